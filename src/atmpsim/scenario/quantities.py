"""Values of `[parameters]` and `[initial]`, checked against the model and in its units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from atmpsim.errors import ScenarioError, did_you_mean
from atmpsim.model.spec import Model
from atmpsim.scenario.convert import in_model_units, no_unit


def parameter_values(table: Mapping[str, Any], model: Model, where: str, *, species: bool) -> dict[str, float]:
    """Return the values of `[parameters]` or `[initial]` in the model's units.

    Raises
    ------
    ScenarioError, UnitError
        If there is no such quantity, or the value does not fit it.
    """
    allowed = model.species if species else {**model.parameters, **model.compartments}
    allowed = {k: q for k, q in allowed.items() if k not in model.assignment_rules}
    values = {}
    for identifier, value in table.items():
        if identifier not in allowed:
            raise _unknown_quantity(identifier, allowed, model, where)
        unit = allowed[identifier].unit
        place = f"{where} {identifier}"
        if not isinstance(value, str) and not math.isfinite(value):
            raise ScenarioError(where=place, found=repr(value), expected="a finite number")
        if not isinstance(value, str) and allowed[identifier].typed:
            raise no_unit(value, unit=unit, where=place)
        number = float(in_model_units(value, unit=unit, where=place))
        if not math.isfinite(number):
            raise ScenarioError(where=place, found=repr(value), expected="a finite number")
        if species and number < 0 and allowed[identifier].typed:
            raise ScenarioError(where=place, found=f"'{value}'", expected="an amount of at least 0")
        values[identifier] = number
    return values


def _unknown_quantity(identifier: str, allowed: Mapping[str, Any], model: Model, where: str) -> ScenarioError:
    if identifier in model.assignment_rules:
        found, remedy = f"'{identifier}', which the model computes by a rule", "Set what it is computed from."
    elif identifier in model.species:
        found, remedy = f"the species '{identifier}'", "Give its start under [initial]."
    elif identifier in model.parameters:
        found, remedy = f"the parameter '{identifier}'", "Give it under [parameters]."
    else:
        found, remedy = f"'{identifier}'", did_you_mean(identifier, allowed) or "`atmpsim models show` lists them."
    return ScenarioError(where=where, found=found, expected=f"a quantity of model '{model.id}'", remedy=remedy)
