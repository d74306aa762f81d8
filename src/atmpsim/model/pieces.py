"""The smooth pieces that a model's equations consist of, and the edges between them.

Every jump (a comparison, `floor`, `ceil`, `rem`) of what varies gets a leaf that is constant within a piece. The
solver never sees a jump: it goes on smoothly past an edge, which is found where the edge's own formula says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from atmpsim.model.differentiate import gradients
from atmpsim.model.equations import Equations
from atmpsim.model.graph import COMPARISONS, TIME, Graph, symbol_of
from atmpsim.model.timed import AFFINE, CONSTANT, time_dependence

ROUNDINGS = ("floor", "ceil")


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A jump: its leaf's name, the operation, and the formula that is compared with 0 or rounded.

    Where that formula is affine in time, `line` has the nodes of its value at time 0 and of its slope.
    """

    name: str
    operation: str
    formula: int
    line: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Derivatives, held formulas and triggers over states, time, constants and the leaves of `edges`.

    `whole` are the derivatives with their jumps in them. `of_motion` says which edges the derivatives and held
    formulas have, the others belong to triggers alone. `keeps_switches` says that conditions of time alone are still
    the constants that the equations' `switches` name. The last `algebraic` of the derivatives are formulas that are
    zero at all times instead.
    """

    graph: Graph
    constants: tuple[str, ...]
    derivatives: tuple[int, ...]
    whole: tuple[int, ...]
    held: tuple[int, ...]
    triggers: tuple[int, ...]
    edges: tuple[Edge, ...]
    of_motion: tuple[bool, ...]
    keeps_switches: bool
    algebraic: int = 0

    @cached_property
    def alone(self) -> tuple[bool, ...]:
        """Whether crossing an edge changes nothing but the derivatives: no trigger, and no other edge."""
        lines = [node for e in self.edges for node in e.line or ()]
        others = self.graph.symbols([*self.triggers, *self.held, *(e.formula for e in self.edges), *lines])
        return tuple(e.line is None and e.name not in others for e in self.edges)


def with_rules(pieces: Pieces, unknowns: int) -> Pieces:
    """Return pieces with algebraic rules for the derivatives of the unknowns, which are the last states.

    What holds the unknowns must be all that is held.
    """
    count = len(pieces.derivatives) - unknowns
    return replace(pieces, derivatives=(*pieces.derivatives[:count], *pieces.held), algebraic=unknowns)


def cut(equations: Equations, *, keep_switches: bool = False) -> Pieces:
    """Return the smooth pieces of a model's equations.

    Parameters
    ----------
    keep_switches
        Leave conditions of time alone as they are, for a solver that is told when they change.
    """
    cutter = _Cutter(equations)
    switches = {} if keep_switches else dict(equations.switches)
    (*whole,) = cutter.graph.substitute(equations.derivatives, switches)
    derivatives = cutter.cut(whole)
    held = cutter.cut([h.formula for h in equations.held])
    count = len(cutter.edges)
    triggers = cutter.cut([e.trigger for e in equations.events])
    edges = tuple(cutter.edges.values())
    return Pieces(
        graph=cutter.graph,
        constants=(*equations.constants, *(e.name for e in edges)),
        derivatives=tuple(derivatives),
        whole=tuple(whole),
        held=tuple(held),
        triggers=tuple(triggers),
        edges=edges,
        of_motion=tuple(k < count for k in range(len(edges))),
        keeps_switches=keep_switches,
    )


class _Cutter:
    """Replaces jumps by leaves, the same jump by the same leaf."""

    def __init__(self, equations: Equations) -> None:
        self.graph = equations.graph.copy()
        self.varying = {*equations.states, *equations.delays}
        self.symbols = {symbol_of(s) for s in self.varying} | {TIME}
        self.edges: dict[tuple[str, int], Edge] = {}

    def cut(self, roots: Sequence[int]) -> list[int]:
        made: dict[int, int] = {}
        for node in self.graph.needed(roots):
            children = self.graph.children(node)
            made[node] = self._apply(str(self.graph.nodes[node][0]), [made[c] for c in children]) if children else node
        return [made[r] for r in roots]

    def _apply(self, operation: str, args: list[int]) -> int:
        graph = self.graph
        if operation in COMPARISONS:
            return self._edge(operation, graph.apply("sub", *args), graph.apply(operation, *args))
        if operation in ROUNDINGS:
            return self._edge(operation, args[0], graph.apply(operation, *args))
        if operation == "rem" and self._varies(graph.apply("rem", *args)):
            whole = self._truncated(graph.apply("div", *args))
            return graph.apply("sub", args[0], graph.apply("mul", args[1], whole))
        return graph.apply(operation, *args)

    def _truncated(self, node: int) -> int:
        negative = self._apply("lt", [node, self.graph.const(0.0)])
        return self.graph.apply("select", negative, self._apply("ceil", [node]), self._apply("floor", [node]))

    def _varies(self, node: int) -> bool:
        return bool(self.graph.symbols([node]) & self.symbols)

    def _edge(self, operation: str, formula: int, plain: int) -> int:
        if not self._varies(formula):
            return plain
        key = operation, formula
        if key not in self.edges:
            name = f"edge {len(self.edges) + 1}"
            self.edges[key] = Edge(name=name, operation=operation, formula=formula, line=self._line(formula))
        return self.graph.symbol(self.edges[key].name)

    def _line(self, formula: int) -> tuple[int, int] | None:
        if time_dependence(self.graph, [formula], self.varying)[formula] not in (CONSTANT, AFFINE):
            return None
        zero = self.graph.const(0.0)
        slope = gradients(self.graph, [formula], [TIME])[0].get(TIME, zero)
        return self.graph.substitute([formula], {TIME: zero})[0], slope
