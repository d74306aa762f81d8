"""Decide which quantity each algebraic rule determines, and what holds a fast reaction in equilibrium."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atmpsim.errors import ModelError
from atmpsim.model.graph import Graph, symbol_of
from atmpsim.model.spec import Model


@dataclass(frozen=True, kw_only=True)
class Held:
    """A formula that is zero at all times, and the states that move to keep it so, with their proportions."""

    formula: int
    along: tuple[tuple[str, int], ...]


def changed_species(model: Model) -> set[str]:
    """Return the species that reactions change."""
    touched = {s for r in model.reactions.values() for s, _ in r.changes}
    return {
        k for k in touched
        if not model.species[k].boundary and k not in model.assignment_rules and k not in model.rate_rules
    }  # fmt: skip


def determined_by(model: Model, graph: Graph, formulas: Sequence[int]) -> list[str]:
    """Return the id that each algebraic rule determines, one for each formula.

    It is one of those that nothing else determines: not constant, without a rule of its own, no species that
    reactions change. Where there is a choice, ids that events set are the last to be taken, and compartments before
    them.

    Raises
    ------
    ModelError
        If a rule has nothing left to determine.
    """
    free = _undetermined(model)
    choices = [[k for k in free if symbol_of(k) in graph.symbols([formula])] for formula in formulas]
    taken: dict[str, int] = {}
    for rule in range(len(formulas)):
        if not _match(rule, choices, taken):
            raise ModelError(
                where=model.path or model.id,
                found=f"an algebraic rule (number {rule + 1}) with nothing left to determine",
                expected="a quantity that is not constant and that no other rule or reaction determines",
                remedy="Make one of its quantities variable, or drop the rule.",
            )
    names = {rule: k for k, rule in taken.items()}
    return [names[rule] for rule in range(len(formulas))]


def _undetermined(model: Model) -> list[str]:
    set_by_events = {k for e in model.events.values() for k, _ in e.assignments}
    elsewhere = model.assignment_rules.keys() | model.rate_rules.keys() | changed_species(model)
    free = [k for k, q in model.quantities.items() if not q.constant and k not in elsewhere]
    return sorted(free, key=lambda k: (k in set_by_events, k in model.compartments))


def _match(rule: int, choices: Sequence[Sequence[str]], taken: dict[str, int]) -> bool:
    """Give a rule a quantity, moving earlier rules to other ones where need be (an augmenting path)."""
    came_from: dict[str, tuple[int, str | None]] = {}
    waiting: list[tuple[int, str | None]] = [(rule, None)]
    while waiting:
        current, through = waiting.pop(0)
        for name in choices[current]:
            if name in came_from:
                continue
            came_from[name] = current, through
            if name not in taken:
                end: str | None = name
                while end is not None:
                    taken[end], end = came_from[end]
                return True
            waiting.append((taken[name], name))
    return False


def equilibria(model: Model, graph: Graph, now: Mapping[str, int], states: Sequence[str]) -> list[Held]:
    """Return what fast reactions hold: each one's rate is zero, and the species move along its stoichiometry."""
    found = []
    for reaction in model.reactions.values():
        along = [
            (species, scaled_stoichiometry(model, graph, species, change, now))
            for species, change in reaction.changes
            if reaction.fast and species in states and species not in model.rate_rules
        ]
        if along:
            found.append(Held(formula=now[symbol_of(reaction.id)], along=tuple(along)))
    return found


def scaled_stoichiometry(model: Model, graph: Graph, species: str, change: int, now: Mapping[str, int]) -> int:
    """Return the node of the substance of a species per extent of a reaction."""
    node = graph.substitute([change], now)[0]
    factor = model.species[species].conversion
    if not factor:
        return node
    symbol = symbol_of(factor)
    return graph.apply("mul", node, now.get(symbol, graph.symbol(symbol)))
