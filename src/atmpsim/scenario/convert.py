"""Convert what a user gives (numbers, texts with a unit, pint quantities) into a model's own units."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from atmpsim.errors import ScenarioError, UnitError, did_you_mean
from atmpsim.model.spec import Model
from atmpsim.scenario.dosing import Dose
from atmpsim.units import known_units, magnitude, parse_quantity


def in_model_units(value: Any, *, unit: str, where: str) -> Any:
    """Return a value in a model's unit: a text or quantity converted, a bare number (or array) as it is.

    Raises
    ------
    UnitError
        If the value's unit is of another kind, or the model's own unit is one that atmpsim does not know.
    """
    if isinstance(value, str):
        value = parse_quantity(value, where=where)
    if not hasattr(value, "units"):
        return value
    if not is_known_unit(unit):
        raise UnitError(
            where=where,
            found=f"a value in {value.units:~C}",
            expected="a bare number",
            remedy=f"The model's own unit ('{unit or 'none'}') is not one that atmpsim can convert to.",
        )
    if isinstance(value.magnitude, int | float):
        return magnitude(value, unit, where=where)
    return value.magnitude * magnitude(1.0 * value.units, unit, where=where)


def is_known_unit(unit: str) -> bool:
    """Return whether a model's unit text is made of accepted units."""
    import re

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
    place = f"{where} into '{dose.into}'"
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
    what = f"'{into}'" if known is None else f"'{into}', which is a {known.kind} that does not change by itself"
    raise ScenarioError(
        where=where,
        found=what,
        expected=f"a state of model '{model.id}'",
        remedy=did_you_mean(into, states) or "`atmpsim models show` lists them.",
    )
