"""Quantities that change over time in a way known beforehand: time-varying covariates, and occasions.

Such a parameter becomes a state whose derivative is zero. Where its value jumps, the schedule adds the difference;
where it follows a straight line, the schedule lets the slope flow in. So every solver carries it out exactly, and
stops where it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, did_you_mean
from atmpsim.model.spec import Model
from atmpsim.scenario.convert import in_model_units
from atmpsim.scenario.dosing import Schedule
from atmpsim.scenario.population import Occasions
from atmpsim.scenario.quantities import parameter_values
from atmpsim.scenario.schema import ScenarioFile, VaryingTable
from atmpsim.scenario.streams import uniforms

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How one quantity changes: its value at the start, jumps (time, difference), and ramps (start, stop, slope)."""

    name: str
    first: float
    jumps: tuple[tuple[float, float], ...] = ()
    ramps: tuple[tuple[float, float, float], ...] = ()


def read_courses(scenario: ScenarioFile, model: Model, *, where: str) -> tuple[Course, ...]:
    """Return the courses of `[varying]`.

    Raises
    ------
    ScenarioError, UnitError
        If a quantity cannot change, has a value elsewhere, or its times do not increase.
    """
    return tuple(
        _course(name, table, scenario, model, f"{where} [varying] {name}") for name, table in scenario.varying.items()
    )


def _course(name: str, table: VaryingTable, scenario: ScenarioFile, model: Model, where: str) -> Course:
    check_changeable([name], model, where=where)
    if name in scenario.parameters:
        raise ScenarioError(where=where, found="a value in [parameters] as well", expected="one of them")
    times = [float(in_model_units(text, unit=model.time_unit, where=f"{where} at")) for text in table.at]
    values = [parameter_values({name: value}, model, where, species=False)[name] for value in table.values]
    if len(times) != len(values):
        raise ScenarioError(where=where, found=f"{len(times)} times and {len(values)} values",
                            expected="one value for each time")  # fmt: skip
    if times[0] < 0 or any(b <= a for a, b in pairwise(times)):
        raise ScenarioError(where=f"{where} at", found=", ".join(table.at), expected="times that increase, from 0 on")
    knots = list(zip(times, values, strict=True))
    if table.interpolation == "linear":
        ramps = tuple((a, b, (y - x) / (b - a)) for (a, x), (b, y) in pairwise(knots))
        return Course(name=name, first=values[0], ramps=tuple(r for r in ramps if r[2] != 0.0))
    late = table.interpolation == "locf"
    jumps = tuple((b if late else a, y - x) for (a, x), (b, y) in pairwise(knots))
    return Course(name=name, first=values[0], jumps=tuple(j for j in jumps if j[1] != 0.0))


def check_changeable(names: Collection[str], model: Model, *, where: str) -> None:
    """Raise unless each name is a parameter with a value of its own.

    Raises
    ------
    ScenarioError
        Naming the first that is not.
    """
    computed = {*model.assignment_rules, *model.rate_rules, *model.initial_assignments}
    allowed = [name for name in model.parameters if name not in computed]
    for name in names:
        if name not in allowed:
            raise ScenarioError(where=where, found=f"'{name}'", expected=f"a parameter of model '{model.id}' with a "
                                "value of its own", remedy=did_you_mean(name, allowed))  # fmt: skip


def with_states(model: Model, names: Collection[str]) -> Model:
    """Return a model in which some parameters are states that only a schedule changes."""
    if not names:
        return model
    nothing = model.graph.const(0.0)
    changed = {name: replace(model.parameters[name], constant=False) for name in names}
    # the digest of a model is that of its SBML: what was changed has to stand there
    return replace(
        model, parameters={**model.parameters, **changed},
        rate_rules={**model.rate_rules, **dict.fromkeys(names, nothing)},
        sbml=f"{model.sbml}\n<!-- states: {' '.join(sorted(names))} -->",
    )  # fmt: skip


def follow(schedule: Schedule, courses: Sequence[Course]) -> Schedule:
    """Return a schedule that also carries out the changes of some courses."""
    jumps = [(time, c.name, change) for c in courses for time, change in c.jumps if time <= schedule.end]
    ramps = [(start, stop, c.name, slope) for c in courses for start, stop, slope in c.ramps if start < schedule.end]
    return replace(
        schedule, boluses=tuple(sorted([*schedule.boluses, *jumps])),
        infusions=tuple(sorted([*schedule.infusions, *ramps])),
    )  # fmt: skip


def occasion_courses(
    occasions: Occasions, values: Mapping[str, FloatArray], subjects: NDArray[np.int64], *, seed: int, end: float
) -> list[list[Course]]:
    """Return, for each run, the courses of the parameters that vary between occasions around its own `values`."""
    from scipy.special import ndtri

    starts = np.arange(0.0, end, occasions.length)
    made: list[list[Course]] = [[] for _ in range(subjects.size)]
    for name, spread in occasions.spread.items():
        factors = np.stack([
            np.exp(spread * ndtri(uniforms(subjects, seed=seed, purpose=f"occasion {k} {name}")))
            for k in range(starts.size)
        ])  # fmt: skip
        course = values[name] * factors
        for run, own in enumerate(made):
            jumps = tuple(zip(starts[1:].tolist(), np.diff(course[:, run]).tolist(), strict=True))
            own.append(Course(name=name, first=float(course[0, run]), jumps=jumps))
    return made
