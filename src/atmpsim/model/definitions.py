"""Put what a model defines into one another: rules, rates of reactions, concentrations, rates of change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from atmpsim.errors import ModelError
from atmpsim.model.differentiate import gradients
from atmpsim.model.graph import TIME, Graph, symbol_of
from atmpsim.model.spec import Model, Species


@dataclass(frozen=True, kw_only=True)
class Delayed:
    """The formula of a delayed value, how long ago it is taken, and the formula for times before the start."""

    formula: int
    span: int
    before: int


def resolve(graph: Graph, model: Model, definitions: Mapping[str, int]) -> dict[str, int]:
    """Return what each symbol of a formula stands for, over leaves: definitions, and species that are concentrations.

    A leaf that is called like a species is its amount; in formulas the species is its concentration unless it is
    substance-only.

    Raises
    ------
    ModelError
        If definitions go round in a circle.
    """
    concentrations = {
        symbol_of(k): s for k, s in model.species.items() if not s.substance_only and symbol_of(k) not in definitions
    }
    names = definitions.keys() | concentrations.keys()
    needs = {k: graph.symbols([n]) & names for k, n in definitions.items()}
    needs |= {k: {symbol_of(s.compartment)} & names for k, s in concentrations.items()}
    resolved: dict[str, int] = {}
    for name in in_order(needs, where=model.path or model.id):
        if name in definitions:
            resolved[name] = graph.substitute([definitions[name]], resolved)[0]
        else:
            resolved[name] = per_volume(graph, graph.symbol(name), concentrations[name], resolved)
    return resolved


def in_order(needs: Mapping[str, Collection[str]], *, where: str) -> list[str]:
    """Return the names so that each comes after what it needs."""
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as cycle:
        circle = sorted({symbol.rstrip("'") for symbol in cycle.args[1]})
        raise ModelError(
            where=where,
            found=f"definitions that go round in a circle: {', '.join(circle[:6])}",
            expected="rules that can be computed one after the other",
            remedy="Break the circle.",
        ) from None


def volume_of(graph: Graph, species: Species, now: Mapping[str, int]) -> int:
    """Return the node of the size of a species' compartment."""
    compartment = symbol_of(species.compartment)
    return now.get(compartment, graph.symbol(compartment))


def per_volume(graph: Graph, amount: int, species: Species, now: Mapping[str, int]) -> int:
    """Return the node of the concentration that an amount of a species makes."""
    return graph.apply("div", amount, volume_of(graph, species, now))


def times_volume(graph: Graph, concentration: int, species: Species, now: Mapping[str, int]) -> int:
    """Return the node of the amount that a concentration of a species makes."""
    return graph.apply("mul", concentration, volume_of(graph, species, now))


def replace_operation(graph: Graph, roots: Sequence[int], operation: str, make: Callable[..., int]) -> list[int]:
    """Return the roots with `make(*children)` in place of every node of an operation, children first."""
    made: dict[int, int] = {}
    for node in graph.needed(roots):
        children = graph.children(node)
        args = [made[c] for c in children]
        if not children:
            made[node] = node
        elif graph.nodes[node][0] == operation:
            made[node] = make(*args)
        else:
            made[node] = graph.apply(str(graph.nodes[node][0]), *args)
    return [made[r] for r in roots]


def contains(graph: Graph, roots: Iterable[int], operation: str) -> bool:
    """Return whether an operation stands anywhere in the roots."""
    return any(graph.nodes[n][0] == operation for n in graph.needed(roots))


def rates_before_start(graph: Graph, roots: Sequence[int]) -> list[int]:
    """Return the roots with rates of change as they were before the start, when only time ran."""

    def by_time(formula: int) -> int:
        return gradients(graph, [formula], [TIME])[0].get(TIME, graph.const(0.0))

    return replace_operation(graph, roots, "rate", by_time)


class RatesOfChange:
    """Writes out `rate` nodes: the derivative in time of a formula over states and time.

    Parameters
    ----------
    derivatives
        The node of each state's derivative, by the state's symbol; these may contain `rate` nodes themselves.
    unknown
        Symbols that vary in a way no formula tells.
    """

    def __init__(self, graph: Graph, derivatives: Mapping[str, int], unknown: Collection[str], *, where: str) -> None:
        self.graph, self.unknown, self.where = graph, frozenset(unknown), where
        self.derivatives = dict(derivatives)
        self.any = contains(graph, range(len(graph.nodes)), "rate")
        unwritten = [name for name, node in derivatives.items() if self.any and contains(graph, [node], "rate")]
        for name in in_order({k: self._states_of_rates(derivatives[k]) for k in unwritten}, where=where):
            self.derivatives[name] = self.write_out([self.derivatives[name]])[0]

    def write_out(self, roots: Sequence[int]) -> list[int]:
        """Return the roots without `rate` nodes."""
        if not self.any:
            return list(roots)
        return replace_operation(self.graph, roots, "rate", self._total)

    def _states_of_rates(self, root: int) -> set[str]:
        formulas = [n for n in self.graph.needed([root]) if self.graph.nodes[n][0] == "rate"]
        return self.graph.symbols(formulas) & self.derivatives.keys()

    def _total(self, formula: int) -> int:
        lost = sorted(self.graph.symbols([formula]) & self.unknown)
        if lost:
            raise ModelError(
                where=self.where,
                found=f"the rate of change of '{lost[0]}'",
                expected="rateOf of a quantity that has a rate of its own",
                remedy="An algebraic rule, a fast reaction or a delay determines it; write its rate out.",
            )
        (row,) = gradients(self.graph, [formula], {*self.derivatives, TIME})
        one = {TIME: self.graph.const(1.0)}
        terms = (self.graph.apply("mul", slope, (one | self.derivatives)[name]) for name, slope in row.items())
        return self.graph.total(terms)
