"""Conditions that depend on time alone: which they are, and which of them are known before a run starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from atmpsim.model.graph import COMPARISONS, TIME, Graph, symbol_of

CONSTANT, AFFINE, OTHER = 0, 1, 2
JUMPS = (*COMPARISONS, "floor", "ceil", "rem")


def time_dependence(graph: Graph, roots: Collection[int], varying: Collection[str]) -> dict[int, int]:
    """Return for each node whether it is constant between events, affine in time, or anything else.

    `varying` are the ids (or names) of all that changes otherwise than with time itself.
    """
    kinds: dict[int, int] = {}
    other = {symbol_of(s) for s in varying}
    for node in graph.needed(roots):
        entry = graph.nodes[node]
        below = [kinds[c] for c in graph.children(node)]
        if entry[0] == "symbol":
            kinds[node] = AFFINE if entry[1] == TIME else OTHER if entry[1] in other else CONSTANT
        elif not below or max(below) == CONSTANT:
            kinds[node] = CONSTANT
        elif entry[0] in ("add", "sub", "neg") or (entry[0] == "mul" and min(below) == CONSTANT):
            kinds[node] = max(below)
        elif entry[0] == "div" and below[1] == CONSTANT:
            kinds[node] = below[0]
        else:
            kinds[node] = OTHER
    return kinds


def is_timed_comparison(graph: Graph, node: int, kinds: Mapping[int, int]) -> bool:
    """Return whether a node compares affine functions of time."""
    return graph.nodes[node][0] in COMPARISONS and max(kinds[c] for c in graph.children(node)) == AFFINE


def name_switches(graph: Graph, derivatives: list[int], varying: Collection[str]) -> tuple[list[int], dict[str, int]]:
    """Return the derivatives with a leaf in place of each timed comparison, and the comparison of each such leaf."""
    kinds = time_dependence(graph, derivatives, varying)
    found = [n for n in kinds if is_timed_comparison(graph, n, kinds)]
    switches = {f"switch {k + 1}": node for k, node in enumerate(found)}
    leaves = {node: graph.symbol(name) for name, node in switches.items()}
    return graph.substitute(derivatives, {}, leaves), switches


def jumps_in_time(graph: Graph, roots: Collection[int], varying: Collection[str], states: Collection[str]) -> bool:
    """Return whether the roots jump at times that no state decides: a solver steps over short pulses in silence."""
    kinds, state_symbols = time_dependence(graph, roots, varying), {symbol_of(s) for s in states}
    return any(
        kind != CONSTANT and graph.nodes[node][0] in JUMPS and not graph.symbols([node]) & state_symbols
        for node, kind in kinds.items()
    )
