"""Put a point of a sweep into a scenario: most swept values are only numbers, the others change the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError
from atmpsim.model.spec import Model
from atmpsim.scenario.convert import in_model_units, no_unit
from atmpsim.scenario.overrides import apply_overrides, check_arm_paths
from atmpsim.scenario.quantities import parameter_values
from atmpsim.scenario.sweep import Axis, Sweep
from atmpsim.units import parse_quantity

_VALUE_SECTIONS = ("parameters", "initial")
_WEIGHT = "parameters.weight"  # doses per kg depend on it


def check_paths(sweep: Sweep, *, where: str) -> None:
    """Raise if a swept path is what all runs of a scenario share.

    Raises
    ------
    ScenarioError
        Naming the path.
    """
    check_arm_paths([axis.path for axis in sweep.axes], where=where)


def is_number(axis: Axis) -> bool:
    """Return whether an axis only sets a parameter or initial value to numbers."""
    section = axis.path.partition(".")[0]
    return section in _VALUE_SECTIONS and axis.path != _WEIGHT and not isinstance(axis.values, tuple)


def structure_at(sweep: Sweep, point: int) -> tuple[int, ...]:
    """Return the positions, at a point, of the values that change doses or subject (-1: none)."""
    positions = sweep.positions(np.array([point]))
    return tuple(int(p[0]) for axis, p in zip(sweep.axes, positions, strict=True) if not is_number(axis))


def with_point(
    raw: Mapping[str, Any], sweep: Sweep, point: int, *, base: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Return an arm's tables with the values of a point that change doses or subject.

    A dose that the arm does not get (but `base` has) is left alone: its sweep has no effect in that arm.
    """
    changes = {}
    positions = sweep.positions(np.array([point]))
    for axis, position in zip(sweep.axes, positions, strict=True):
        if int(position[0]) >= 0 and not is_number(axis) and not _dropped(axis.path, raw, base):
            changes[axis.path] = axis.override(int(position[0]))
    return apply_overrides(dict(raw), changes, where=where) if changes else dict(raw)


def _dropped(path: str, raw: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    section, _, rest = path.partition(".")
    name = rest.rpartition(".")[0]
    return section == "dose" and name in _names(base) and name not in _names(raw)


def _names(raw: Mapping[str, Any]) -> set[Any]:
    return {dose.get("name") for dose in raw.get("dose", [])}


def swept_values(sweep: Sweep, model: Model, *, where: str) -> dict[str, NDArray[np.float64]]:
    """Return the values, in the model's units, of every axis that only sets a number, by the quantity's id.

    Raises
    ------
    ScenarioError, UnitError
        If a value does not fit its quantity.
    """
    return {axis.path.partition(".")[2]: _converted(axis, model, where) for axis in sweep.axes if is_number(axis)}


def _converted(axis: Axis, model: Model, where: str) -> NDArray[np.float64]:
    section, _, name = axis.path.partition(".")
    place = f"{where} '{axis.path}'"
    values = np.asarray(axis.values, dtype=np.float64)
    # the ends of the axis go the way of any other value, for its checks and messages
    for extreme in (int(values.argmin()), int(values.argmax())):
        parameter_values({name: axis.override(extreme)}, model, place, species=section == "initial")
    quantity = model.quantity(name)
    assert quantity is not None
    if not axis.units:
        if quantity.typed:
            raise no_unit(float(values[0]), unit=quantity.unit, where=place)
        return values
    one = parse_quantity(f"1 {axis.units}", where=place)
    converted = values * float(in_model_units(one, unit=quantity.unit, where=place))
    if not np.isfinite(converted).all():
        raise ScenarioError(where=place, found="a value that is not finite", expected="finite values")
    return converted
