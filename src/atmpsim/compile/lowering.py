"""Rewrite a model's equations for speed: what depends on constants alone is computed once per trajectory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from atmpsim.compile.hubs import find_hubs
from atmpsim.model.differentiate import gradients
from atmpsim.model.graph import TIME, Graph, symbol_of
from atmpsim.model.pieces import Pieces


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """Derivatives, sparse Jacobian, time derivative and edges in a graph whose divisions by constants are products.

    The Jacobian has rows and columns for the states and then for the `hubs`, unknowns of their own whose rows hold
    what makes them less 1 on the diagonal. `edges` are operation and formula of each; the last `algebraic`
    of the slopes are zero at all times; `invariant[node]` says that a node depends on constants alone.
    """

    graph: Graph
    slopes: tuple[int, ...]
    jacobian: dict[tuple[int, int], int]
    hubs: int
    by_time: dict[int, int]
    edges: tuple[tuple[str, int], ...]
    algebraic: int
    invariant: dict[int, bool]

    @property
    def pattern(self) -> set[tuple[int, int]]:
        """Return the places of M/(h gamma) - J that are not zero."""
        return self.jacobian.keys() | {(k, k) for k in range(self.differential)}

    @property
    def differential(self) -> int:
        """Return how many states come first that have a derivative instead of an algebraic rule."""
        return len(self.slopes) - self.algebraic


def lower(pieces: Pieces, states: Sequence[str]) -> Lowered:
    """Return the lowered pieces of a model; of its edges those that have to be searched."""
    source = pieces.graph.copy()
    position = {symbol_of(s): k for k, s in enumerate(states)}
    hubs = find_hubs(source, pieces.derivatives, position)
    partial = _partial_derivatives(source, pieces.derivatives, position, hubs)
    by_time = {i: row[TIME] for i, row in enumerate(gradients(source, pieces.derivatives, [TIME])) if row}
    searched = [e for e in pieces.edges if e.line is None]
    rewriter = _Rewriter(source, set(position))
    groups = (pieces.derivatives, [e.formula for e in searched], list(partial.values()), list(by_time.values()))
    nodes = iter(rewriter.rewrite([node for group in groups for node in group]))
    slopes, formulas, entries, times = (list(islice(nodes, len(group))) for group in groups)
    return Lowered(
        graph=rewriter.graph,
        slopes=tuple(slopes),
        jacobian=dict(zip(partial, entries, strict=True)),
        hubs=len(hubs),
        by_time=dict(zip(by_time, times, strict=True)),
        edges=tuple((e.operation, n) for e, n in zip(searched, formulas, strict=True)),
        algebraic=pieces.algebraic,
        invariant=rewriter.invariant,
    )


def _partial_derivatives(
    graph: Graph, equations: Sequence[int], position: Mapping[str, int], hubs: Sequence[int]
) -> dict[tuple[int, int], int]:
    """Return the partial derivatives of equations and hubs by states and hubs, where they are not zero."""
    named = {hub: graph.symbol(f"hub {k}") for k, hub in enumerate(hubs)}
    column = {**position, **{f"hub {k}": len(equations) + k for k in range(len(hubs))}}
    rows = list(graph.substitute(equations, {}, named))
    for k, hub in enumerate(hubs):  # a hub may be made of those before it
        rows += graph.substitute([hub], {}, {h: named[h] for h in hubs[:k]})
    found = gradients(graph, rows, column)
    places = [(i, column[symbol]) for i, row in enumerate(found) for symbol in row]
    nodes = graph.substitute(
        [n for row in found for n in row.values()], {f"hub {k}": hub for k, hub in enumerate(hubs)}
    )
    made = dict(zip(places, nodes, strict=True))
    less = {(len(equations) + k, len(equations) + k): graph.const(-1.0) for k in range(len(hubs))}
    return made | less


class _Rewriter:
    """Copies expressions into a new graph, factors that are constant in front."""

    def __init__(self, source: Graph, states: set[str]) -> None:
        self.source, self.states = source, states
        self.graph = Graph()
        self.invariant: dict[int, bool] = {}

    def rewrite(self, roots: Sequence[int]) -> list[int]:
        made: dict[int, int] = {}
        for node in self.source.needed(roots):
            entry = self.source.nodes[node]
            if entry[0] == "const":
                made[node] = self._note(self.graph.const(float(entry[1])))  # type: ignore[arg-type]
            elif entry[0] == "symbol":
                made[node] = self._note(self.graph.symbol(str(entry[1])))
            else:
                made[node] = self._apply(str(entry[0]), [made[c] for c in self.source.children(node)])
        return [made[r] for r in roots]

    def _note(self, node: int) -> int:
        if node not in self.invariant:
            entry = self.graph.nodes[node]
            if entry[0] == "symbol":
                self.invariant[node] = entry[1] != TIME and entry[1] not in self.states
            else:
                self.invariant[node] = all(self.invariant[self._note(c)] for c in self.graph.children(node))
        return node

    def _apply(self, operation: str, args: list[int]) -> int:
        if operation == "div":
            return self._div(*args)
        if operation == "mul":
            return self._mul(*args)
        return self._note(self.graph.apply(operation, *args))

    def _div(self, a: int, b: int) -> int:
        if self.graph.value(a) == 1.0:
            return self._note(self.graph.apply("div", a, b))
        if self.invariant[a] and self.invariant[b]:
            return self._note(self.graph.apply("div", a, b))
        # one reciprocal serves every quotient with the same denominator
        return self._mul(self._div(self.graph.const(1.0), b), a)

    def _mul(self, a: int, b: int) -> int:
        self._note(a)
        self._note(b)
        if self.invariant[b] and not self.invariant[a]:
            a, b = b, a
        if self.invariant[a] == self.invariant[b]:
            return self._mul_alike(a, b)
        inner = self._constant_factor(b)
        if inner is not None:
            return self._mul(self._plain("mul", a, inner[0]), inner[1])
        return self._plain("mul", a, b)

    def _mul_alike(self, a: int, b: int) -> int:
        if self.invariant[a]:
            return self._plain("mul", a, b)
        for one, other in ((a, b), (b, a)):
            inner = self._constant_factor(one)
            if inner is not None:
                return self._mul(inner[0], self._mul(inner[1], other))
        return self._plain("mul", a, b)

    def _plain(self, operation: str, a: int, b: int) -> int:
        return self._note(self.graph.apply(operation, a, b))

    def _constant_factor(self, node: int) -> tuple[int, int] | None:
        if self.graph.nodes[node][0] != "mul":
            return None
        a, b = self.graph.children(node)
        if self.invariant[a] != self.invariant[b]:
            return (a, b) if self.invariant[a] else (b, a)
        return None
