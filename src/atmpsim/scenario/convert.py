"""Convert what a user gives (numbers, texts with a unit, pint quantities) into a model's own units."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from atmpsim.errors import ScenarioError, UnitError, did_you_mean
from atmpsim.model.spec import Model
from atmpsim.scenario.dosing import Dose
from atmpsim.units import known_units, magnitude, parse_quantity

if TYPE_CHECKING:
    import pint

_LONGEST = 100
_TOWER = re.compile(r"(\*\*|\^)(\s*[-+(]?\s*\d{3}|[^A-Za-z]*(\*\*|\^))")
_BARE = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def in_model_units(value: Any, *, unit: str, where: str) -> Any:
    """Return a value in a model's unit: a text or quantity converted, a bare number (or array) as it is.

    Where the model does not say a unit that atmpsim knows, a pure number ('10 1') is in the model's own unit.

    Raises
    ------
    UnitError
        If the value has no unit or one of another kind.
    """
    if isinstance(value, str):
        value = with_unit(value, unit=unit, where=where)
    if not hasattr(value, "units"):
        return value
    if not is_known_unit(unit):
        if value.dimensionless:
            return value.m_as("dimensionless")
        raise UnitError(
            where=where, found=f"a value in {value.units:~C}", expected="a pure number, such as '10 1'",
            remedy=f"The model's own unit '{unit}' is not known." if unit else "The model does not say its unit.",
        )  # fmt: skip
    if isinstance(value.magnitude, int | float):
        return magnitude(value, unit, where=where)
    return value.magnitude * magnitude(1.0 * value.units, unit, where=where)


def with_unit(text: str, *, unit: str, where: str) -> pint.Quantity:
    """Return the quantity of a text; `unit` is what a message suggests where the text has none.

    Raises
    ------
    UnitError
        If there is no number, no unit, or an unknown unit.
    """
    check_text(text, where=where)
    if is_bare(text):
        raise no_unit(text, unit=unit, where=where)
    return parse_quantity(text, where=where)


def check_text(text: str, *, where: str) -> None:
    """Raise for what no quantity looks like and no message should repeat: control characters, pages of text.

    Raises
    ------
    UnitError
        Naming the beginning of the text.
    """
    if len(text) > _LONGEST or not text.isprintable():
        found = f"a text of {len(text)} characters, {text[:20]!r}"
        raise UnitError(where=where, found=found, expected="a number with its unit", remedy="Write it on one line.")
    if _TOWER.search(text):  # 9**9**9 would keep the machine busy for good
        raise UnitError(where=where, found=f"'{text}'", expected="a unit with powers of at most 99",
                        remedy="Write it like '1 m^2'.")  # fmt: skip


def is_bare(text: str) -> bool:
    """Return whether a text is a number without a unit."""
    return _BARE.fullmatch(text) is not None


def no_unit(value: object, *, unit: str, where: str) -> UnitError:
    """Return the error for a number without a unit where one is needed."""
    number = f"{value:.15g}" if isinstance(value, float) else str(value).strip()
    wanted = unit if is_known_unit(unit) else "1"
    return UnitError(
        where=where, found=f"{number} without a unit", expected=f"a quantity in {wanted}",
        remedy=f'Write "{number} {wanted}", in quotes.',
    )  # fmt: skip


def is_known_unit(unit: str) -> bool:
    """Return whether a model's unit text is made of accepted units."""
    return unit == "1" or (bool(unit) and all(w in known_units() for w in re.findall(r"[A-Za-z%]\w*", unit)))


def dose_in_model_units(dose: Dose, *, model: Model, states: Collection[str], where: str) -> Dose:
    """Return a dose whose numbers are all in the model's units.

    Raises
    ------
    ScenarioError
        If `into` is not a state of the model.
    UnitError
        If an amount or time is of another kind.
    """
    unit = state_unit(dose.into, model=model, states=states, where=where)
    place = where if dose.name else f"{where} into '{dose.into}'"
    times = {
        key: in_model_units(getattr(dose, key), unit=model.time_unit, where=f"{place} {key}")
        for key in ("time", "duration", "every", "lag")
        if getattr(dose, key) is not None
    }
    amount = in_model_units(dose.amount, unit=unit, where=f"{place} amount")
    rate = dose.rate
    if rate is not None:
        rate = in_model_units(rate, unit=f"{unit}/{model.time_unit}" if unit else "", where=f"{place} rate")
    share = in_model_units(dose.bioavailability, unit="1", where=f"{place} bioavailability")
    return replace(dose, amount=amount, rate=rate, bioavailability=share, **times)


def state_unit(into: str, *, model: Model, states: Collection[str], where: str) -> str:
    """Return the unit of the state that a dose goes into.

    Raises
    ------
    ScenarioError
        If it is not a state: a parameter, something computed, or unknown.
    """
    if into in states:
        quantity = model.quantity(into)
        return quantity.unit if quantity is not None else ""
    known = model.quantity(into)
    if into in model.assignment_rules:
        what = f"'{into}', which the model computes by a rule"
    else:
        what = f"'{into}'" if known is None else f"'{into}', which is a {known.kind} that does not change by itself"
    raise ScenarioError(
        where=where,
        found=what,
        expected=f"a state of model '{model.id}'",
        remedy=did_you_mean(into, states) or "`atmpsim models show` lists them.",
    )
