"""Check that every equation of a typed model balances in its units, sizes (mL against L) included."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from atmpsim.errors import ModelError
from atmpsim.model.graph import OF_A_COURSE, TIME, Graph, symbol_of
from atmpsim.model.spec import Model
from atmpsim.units import known_units, parse_unit, registry

_SAME = ("add", "sub", "min", "max", "lt", "le", "eq", "ne", "rem")
_TRUTH = ("lt", "le", "eq", "ne", "and", "or", "xor", "not")


@dataclass(frozen=True)
class _Unit:
    """A unit as its size in base units and its powers; `any` fits every unit (the number 0)."""

    size: float
    powers: frozenset[tuple[str, float]]
    any: bool = False

    def times(self, other: _Unit, sign: float = 1.0) -> _Unit:
        powers = dict(self.powers)
        for kind, power in other.powers:
            powers[kind] = powers.get(kind, 0.0) + sign * power
        return _Unit(self.size * other.size**sign, frozenset((k, p) for k, p in powers.items() if p))

    def power(self, exponent: float) -> _Unit:
        return _Unit(self.size**exponent, frozenset((k, p * exponent) for k, p in self.powers))

    def fits(self, other: _Unit) -> bool:
        same = self.powers == other.powers and math.isclose(self.size, other.size, rel_tol=1e-9)
        return self.any or other.any or same

    def text(self) -> str:
        parts = [f"{k.strip('[]')}^{p:g}" for k, p in sorted(self.powers)]
        return " ".join(parts) + (f" (size {self.size:.6g} in base units)" if self.powers or self.size != 1.0 else "1")


_NUMBER = _Unit(1.0, frozenset())
_ZERO = _Unit(1.0, frozenset(), any=True)


def check_balance(model: Model, *, where: str) -> None:
    """Raise for the first equation whose units do not balance.

    Quantities without a typed unit (see `Quantity.typed`) are unknown and never a fault, so a foreign model
    passes.

    Raises
    ------
    ModelError
        Naming the equation, and the two units that meet in it.
    """
    for problem in find_imbalances(model):
        raise ModelError(
            where=f"{where} {problem[0]}",
            found=problem[1],
            expected=problem[2],
            remedy="Correct the formula or the unit of a quantity in it.",
        )


def find_imbalances(model: Model) -> Iterator[tuple[str, str, str]]:
    """Return every imbalance as (place, found, expected)."""
    if not any(q.typed for q in model.quantities.values()):
        return
    table = {symbol_of(k): _unit_of(q.unit) for k, q in model.quantities.items() if q.typed}
    if model.time_unit in ("1", *known_units()):
        table[TIME] = _unit_of(model.time_unit)
    _add_concentrations(model, table)
    per_time = table.get(TIME)
    units: dict[int, _Unit | None] = {}
    for place, node, wanted in _equations(model, table, per_time):
        problem = _infer(model.graph, node, table, units)
        if problem:
            yield place, problem[0], problem[1]
            continue
        got = units[node]
        if wanted is not None and got is not None and not got.fits(wanted):
            yield place, f"a formula in {got.text()}", f"one in {wanted.text()}"


def _unit_of(text: str) -> _Unit:
    quantity = registry().Quantity(1.0, parse_unit(text, where="unit")).to_base_units()
    powers = frozenset((str(k), float(p)) for k, p in dict[Any, Any](quantity.dimensionality).items())
    return _Unit(float(quantity.magnitude), powers)


def _add_concentrations(model: Model, table: dict[str, _Unit]) -> None:
    for identifier, species in model.species.items():
        if species.substance_only or symbol_of(identifier) not in table:
            continue
        volume = table.get(symbol_of(species.compartment))
        if volume is None:
            del table[symbol_of(identifier)]
        else:
            table[symbol_of(identifier)] = table[symbol_of(identifier)].times(volume, -1.0)


def _equations(model: Model, table: dict[str, _Unit], time: _Unit | None) -> Iterator[tuple[str, int, _Unit | None]]:
    for identifier, node in (*model.assignment_rules.items(), *model.initial_assignments.items()):
        yield f"formula of '{identifier}'", node, table.get(symbol_of(identifier))
    for identifier, node in model.rate_rules.items():
        unit = table.get(symbol_of(identifier))
        yield f"rate of '{identifier}'", node, unit.times(time, -1.0) if unit and time else None
    for event in model.events.values():
        yield f"trigger of event '{event.id}'", event.trigger, None
        for target, node in event.assignments:
            yield f"event '{event.id}'", node, table.get(symbol_of(target))
    for reaction in model.reactions.values():
        for species, _ in reaction.changes:
            quantity = model.species[species]
            if quantity.conversion:
                continue
            unit = _unit_of(quantity.unit) if quantity.typed else None
            yield f"reaction '{reaction.id}'", reaction.rate, unit.times(time, -1.0) if unit and time else None


def _infer(graph: Graph, root: int, table: dict[str, _Unit], units: dict[int, _Unit | None]) -> tuple[str, str] | None:
    """Fill in the unit of every node below the root; return (found, expected) of the first clash."""
    for node in graph.needed([root]):
        if node in units:
            continue
        entry = graph.nodes[node]
        if entry[0] == "const":
            units[node] = _ZERO if graph.value(node) == 0.0 else _NUMBER
        elif entry[0] == "symbol":
            units[node] = table.get(str(entry[1]))
        else:
            below = [units[c] for c in graph.children(node)]
            clash = _clash(str(entry[0]), below)
            if clash:
                names = [", ".join(sorted(graph.symbols([c]))[:3]) or "a number" for c in graph.children(node)]
                return f"'{entry[0]}' of {clash[0]} (from {names[0]})", f"{clash[1]} (from {names[-1]})"
            units[node] = _combine(graph, node, str(entry[0]), below)
    return None


def _clash(operation: str, below: list[_Unit | None]) -> tuple[str, str] | None:
    """Return the two units that may not meet in an operation, if they do."""
    compared = below[1:] if operation == "select" else below
    if operation == "pow" and below[1] is not None and not below[1].fits(_NUMBER):
        return below[1].text(), "a pure number"
    if operation in _SAME or operation == "select":
        first, second = compared
        if first is not None and second is not None and not first.fits(second):
            return first.text(), second.text()
    elif operation not in ("mul", "div", "neg", "abs", "floor", "ceil", "sqrt", "pow", *OF_A_COURSE, *_TRUTH):
        for unit in below:
            if unit is not None and not unit.fits(_NUMBER):
                return unit.text(), "a pure number"
    return None


def _combine(graph: Graph, node: int, operation: str, below: list[_Unit | None]) -> _Unit | None:
    if operation in _TRUTH:
        return _NUMBER
    if operation in ("mul", "div"):
        first, second = below
        return None if first is None or second is None else first.times(second, 1.0 if operation == "mul" else -1.0)
    if operation == "rate":
        return None  # per unit of time, which may be unknown
    if operation == "sqrt":
        return below[0].power(0.5) if below[0] is not None else None
    if operation == "pow":
        exponent = graph.value(graph.children(node)[1])
        if below[0] is None or below[0].fits(_NUMBER):
            return below[0]
        return below[0].power(exponent) if exponent is not None else None
    if operation in _SAME or operation == "select":
        first, second = below[-2:]
        return second if first is None or first.any else first
    return below[0] if operation in ("neg", "abs", "floor", "ceil", "delay") else _NUMBER
