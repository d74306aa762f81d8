"""Amounts of doses as users write them: absolute or per body weight, with a cap."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from atmpsim.errors import ScenarioError
from atmpsim.scenario.dosing import finite_number, wrong
from atmpsim.units import magnitude, parse_quantity, parse_unit

if TYPE_CHECKING:
    import pint


def parse_amount(text: str, *, weight_kg: float | None, target_unit: str | pint.Unit, where: str) -> float:
    """Return the dose that a text gives, in the unit of the state it goes into.

    Parameters
    ----------
    text
        Amount with unit, absolute or per body weight, and optionally a cap: `2e6 cell/kg, max 2e8 cell`.
    weight_kg
        Body weight (kg), or None if the subject has none.
    target_unit
        Unit of the state.

    Raises
    ------
    UnitError
        If a unit is unknown or of another kind than the state's; cells never become particles.
    ScenarioError
        If a dose per body weight has no weight to multiply, is per body surface, is negative, or the cap is unclear.

    Examples
    --------
    >>> parse_amount("2e6 cell/kg, max 2e8 cell", weight_kg=120.0, target_unit="cell", where="here")
    200000000.0
    >>> parse_amount("1e12 vp", weight_kg=None, target_unit="vp", where="here")
    1000000000000.0
    """
    target = parse_unit(target_unit, where=where) if isinstance(target_unit, str) else target_unit
    first, *rest = text.split(",") if isinstance(text, str) else [text]  # parse_quantity refuses what is not text
    cap = _cap(rest, text=text, target=target, where=where)
    amount = _absolute(first, weight_kg=weight_kg, target=target, where=where)
    return min(finite_number(amount, where=where, least=0.0), cap)


def _absolute(text: str, *, weight_kg: float | None, target: pint.Unit, where: str) -> float:
    if re.search(r"/\s*\(?\s*m2\b", str(text)):  # `m2` is not a unit, but everybody writes it
        raise _no_body_surface(text, where=where)
    quantity = parse_quantity(text, where=where)
    per = dict((quantity.units / target).dimensionality)
    if per == {"[length]": -2}:
        raise _no_body_surface(text, where=where)
    if per != {"[mass]": -1}:
        return magnitude(quantity, target, where=where)
    if weight_kg is None:
        remedy = "Give weight in [subject], or give the dose as an absolute amount."
        raise wrong(where, f"'{text.strip()}' for a subject without a weight", expected="a body weight", remedy=remedy)
    weight = finite_number(weight_kg, where=f"{where} weight (kg)", above=0.0)
    return magnitude(quantity * parse_quantity("1 kg", where=where), target, where=where) * weight


def _no_body_surface(text: str, *, where: str) -> ScenarioError:
    remedy = "Doses per body surface are not supported; multiply by the surface yourself."
    return wrong(where, f"'{text.strip()}', a dose per body surface", expected="an amount or one per kg", remedy=remedy)


def _cap(rest: list[str], *, text: str, target: pint.Unit, where: str) -> float:
    if not rest:
        return math.inf
    word, _, limit = rest[0].strip().partition(" ")
    if len(rest) > 1 or word != "max":
        remedy = "Write it like '2e6 cell/kg, max 2e8 cell'."
        raise wrong(where, f"'{text}'", expected="an amount, then at most one cap", remedy=remedy)
    cap = magnitude(parse_quantity(limit, where=f"{where} max"), target, where=f"{where} max")
    return finite_number(cap, where=f"{where} max", above=0.0)
