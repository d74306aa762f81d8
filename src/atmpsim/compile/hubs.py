"""Hubs: expressions of many states that many equations share, such as the number of all cells in a tumour.

A hub fills the Jacobian: every equation that uses it depends on every state in it. As an unknown of its own, with a
row that says what it is, it leaves the linear systems sparse; their solution is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from atmpsim.compile.sparse_lu import plan_elimination
from atmpsim.model.graph import Graph

Entries = set[tuple[int, int]]

_LEAST = 8  # entries that a hub saves, if nothing else couples its equations and states
_MOST_TRIED = 16
_GAIN = 0.01  # of the work, that a hub must save
_SOLVES = 8  # linear systems that one factorisation serves


@dataclass(frozen=True, kw_only=True)
class _Dependencies:
    """Which states each node depends on, and which equations on it."""

    graph: Graph
    equations: Sequence[int]
    order: Sequence[int]
    states: dict[int, set[int]]
    users: dict[int, set[int]]


def find_hubs(graph: Graph, equations: Sequence[int], states: dict[str, int]) -> tuple[int, ...]:
    """Return the nodes, children first, that are worth an unknown each.

    Parameters
    ----------
    equations
        The node of each state's equation.
    states
        Number of each state by symbol.
    """
    known = _dependencies(graph, equations, states)
    hubs = _candidates(known)[:_MOST_TRIED]
    # one hub alone gains nothing where another couples the same states: begin with all
    best = _work(known, hubs)
    for node in reversed(tuple(hubs)):
        fewer = [hub for hub in hubs if hub != node]
        work = _work(known, fewer)
        if work <= (1.0 + _GAIN) * best:
            hubs, best = fewer, min(best, work)
    return tuple(sorted(hubs))


def _dependencies(graph: Graph, equations: Sequence[int], states: dict[str, int]) -> _Dependencies:
    order = graph.needed(equations)
    users: dict[int, set[int]] = {node: set() for node in order}
    for number, root in enumerate(equations):
        users[root].add(number)
    for node in reversed(order):
        for child in graph.children(node):
            users[child] |= users[node]
    found = {node: _own(graph, node, states) for node in order}
    for node in order:
        for child in graph.children(node):
            found[node] |= found[child]
    return _Dependencies(graph=graph, equations=equations, order=order, states=found, users=users)


def _own(graph: Graph, node: int, states: dict[str, int]) -> set[int]:
    entry = graph.nodes[node]
    return {states[str(entry[1])]} if entry[0] == "symbol" and entry[1] in states else set()


def _candidates(known: _Dependencies) -> list[int]:
    """Return nodes that bring states together, those first that would save most."""
    saved = {}
    for node in known.order:
        children = known.graph.children(node)
        if children and all(known.states[c] != known.states[node] for c in children):
            many, wide = len(known.users[node]), len(known.states[node])
            saved[node] = many * wide - many - wide
    return sorted((n for n, s in saved.items() if s >= _LEAST), key=lambda n: (-saved[n], n))


def _entries(known: _Dependencies, hubs: Collection[int]) -> Entries:
    """Return where the matrix has entries once the hubs are unknowns, numbered after the states."""
    count = len(known.equations)
    number = {hub: count + k for k, hub in enumerate(sorted(hubs))}
    seen: dict[int, set[int]] = {}
    inside: dict[int, set[int]] = {}
    for node in known.order:
        children = known.graph.children(node)
        seen[node] = set().union(*(seen[c] for c in children)) if children else known.states[node]
        if node in number:
            inside[node], seen[node] = seen[node], {number[node]}
    made = {(k, j) for k, root in enumerate(known.equations) for j in (*seen[root], k)}
    return made | {(row, j) for hub, row in number.items() for j in (*inside[hub], row)}


def _work(known: _Dependencies, hubs: Collection[int]) -> int:
    """Return the multiply-adds of one factorisation and its solves."""
    plan = plan_elimination(len(known.equations) + len(hubs), _entries(known, hubs))
    left, right = plan.sides()
    factorising = sum(len(right[k]) for pivots in left for k in pivots)
    return factorising + _SOLVES * len(plan.slots)
