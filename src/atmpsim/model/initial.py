"""The values at the start of a run, as formulas over what has a number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from atmpsim.model.definitions import rates_before_start, replace_operation, resolve, times_volume
from atmpsim.model.graph import TIME, Graph, symbol_of
from atmpsim.model.spec import Model, Species


def initial_values(
    graph: Graph,
    model: Model,
    *,
    fixed: Collection[str],
    definitions: Mapping[str, int],
    write_out: Callable[[list[int]], list[int]],
) -> dict[str, int]:
    """Return the node of each leaf's value at the start, over leaves that have a number.

    Parameters
    ----------
    fixed
        Ids whose initial value the caller gives: their initial assignments do not count.
    definitions
        The nodes of rules and rates by symbol.
    write_out
        Replaces rates of change in formulas over leaves.
    """
    given = {k: n for k, n in model.initial_assignments.items() if k not in fixed and k not in model.assignment_rules}
    start = {symbol_of(k): n for k, n in given.items()}
    # an initial assignment may use a species whose own start is a number: its symbol is that concentration
    now = resolve(graph, model, {**definitions, **start})
    initial = {}
    for identifier in given:
        species = model.species.get(identifier)
        node = now[symbol_of(identifier)]
        concentration = species is not None and not species.substance_only
        initial[identifier] = times_volume(graph, node, species, now) if species and concentration else node
    for identifier, species in model.species.items():
        if identifier not in initial and identifier not in model.assignment_rules and species.value is not None:
            initial[identifier] = _amount_from_number(graph, species, now)
    nodes = replace_operation(graph, list(initial.values()), "delay", lambda f, s: _was(graph, f, s))
    return dict(zip(initial, write_out(nodes), strict=True))


def _was(graph: Graph, formula: int, span: int) -> int:
    return earlier(graph, rates_before_start(graph, [formula])[0], span)


def before_start(graph: Graph, delays: Mapping[str, tuple[int, int]], initial: Mapping[str, int]) -> dict[str, int]:
    """Return for each delayed formula (and its span) what it is at times before the start.

    What has an initial assignment had the value of that, with time running; all else had the value of the start.
    """
    moving = {symbol_of(k): n for k, n in initial.items() if TIME in graph.symbols([n])}
    before: dict[str, int] = {}
    for name, (formula, span) in delays.items():
        node, lag = rates_before_start(graph, graph.substitute([formula, span], moving))
        before[name] = node
        moving[name] = earlier(graph, node, lag)
    return before


def earlier(graph: Graph, formula: int, span: int) -> int:
    """Return a formula of time as it was some time ago."""
    return graph.substitute([formula], {TIME: graph.apply("sub", graph.symbol(TIME), span)})[0]


def _amount_from_number(graph: Graph, species: Species, now: Mapping[str, int]) -> int:
    number = graph.const(species.value if species.value is not None else float("nan"))
    return times_volume(graph, number, species, now) if species.value_is_concentration else number
