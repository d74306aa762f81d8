"""Quantities that change over time in a way known beforehand: time-varying covariates, and occasions.

Such a parameter becomes a state whose derivative is zero. Where its value jumps, the schedule adds the difference;
where it follows a straight line, the schedule lets the slope flow in. So every solver carries it out exactly, and
stops where it changes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, did_you_mean
from atmpsim.model.spec import Model
from atmpsim.scenario.convert import in_model_units
from atmpsim.scenario.distributions import finite
from atmpsim.scenario.dosing import Schedule
from atmpsim.scenario.population import Occasions
from atmpsim.scenario.quantities import parameter_values
from atmpsim.scenario.schema import ScenarioFile, VaryingTable
from atmpsim.scenario.streams import uniforms

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How one quantity changes: its value at the start, jumps (time, difference), and ramps (start, stop, slope).

    `subject` is the label of the only one for whom it does, empty for all.
    """

    name: str
    first: float
    subject: str = ""
    jumps: tuple[tuple[float, float], ...] = ()
    ramps: tuple[tuple[float, float, float], ...] = ()


def read_courses(
    scenario: ScenarioFile, model: Model, tables: Mapping[str, str], *, where: str
) -> tuple[Course, ...]:  # fmt: skip
    """Return the courses of `[varying]`; `tables` are the texts of the files that it names.

    Raises
    ------
    ScenarioError, UnitError
        If a quantity cannot change, has a value elsewhere, or its times do not increase.
    """
    return tuple(
        course
        for name, table in scenario.varying.items()
        for course in _courses(name, table, scenario, model, tables, f"{where} [varying] {name}")
    )


def check_subjects(courses: Sequence[Course], subjects: Sequence[str] | int, *, where: str) -> None:
    """Raise unless courses by subject are there for every subject, given by labels or as the number of virtual ones.

    Raises
    ------
    ScenarioError
        Naming the first that is missing.
    """
    labels = [str(k) for k in range(1, subjects + 1)] if isinstance(subjects, int) else list(subjects)
    for name in {c.name: None for c in courses if c.subject}:
        known = {c.subject for c in courses if c.name == name}
        missing = [label for label in labels if label not in known]
        if missing:
            found = f"no row of subject {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            raise ScenarioError(where=f"{where} [varying] {name} table", found=found, expected="rows of every subject",
                                remedy="Add them, or run fewer subjects.")  # fmt: skip


def _courses(
    name: str, table: VaryingTable, scenario: ScenarioFile, model: Model, tables: Mapping[str, str], where: str
) -> list[Course]:
    check_changeable([name], model, where=where)
    if name in scenario.parameters:
        raise ScenarioError(where=where, found="a value in [parameters] as well", expected="one of them")
    listed = bool(table.at or table.values)
    if (table.table is None) != listed:
        found = "both a table and at, values" if listed else "neither a table nor values"
        raise ScenarioError(where=where, found=found,
                            expected="table, for values by subject, or at and values, for all")  # fmt: skip
    if table.table is None:
        times = [float(in_model_units(text, unit=model.time_unit, where=f"{where} at")) for text in table.at]
        values = [parameter_values({name: value}, model, where, species=False)[name] for value in table.values]
        if len(times) != len(values):
            raise ScenarioError(where=where, found=f"{len(times)} times and {len(values)} values",
                                expected="one value for each time")  # fmt: skip
        return [_course(name, "", times, values, table.interpolation, f"{where} at")]
    knots = _knots(name, tables[table.table], model, f"{where} table")
    return [
        _course(name, subject, *knots[subject], table.interpolation, f"{where} table subject {subject}")
        for subject in knots
    ]


def _knots(name: str, text: str, model: Model, where: str) -> dict[str, tuple[list[float], list[float]]]:
    """Return times and values by subject, of a table with the columns `subject`, `time UNIT` and `value UNIT`."""
    reader = csv.DictReader(io.StringIO(text))
    found = [str(c) for c in reader.fieldnames or ()]
    columns = {c.partition(" ")[0]: c for c in found}
    if [c.partition(" ")[0] for c in found] != ["subject", "time", "value"] or columns["subject"] != "subject":
        raise ScenarioError(where=where, found=f"the columns {', '.join(found)}",
                            expected="subject, time UNIT, value UNIT",
                            remedy=f"For example: subject,time {model.time_unit or 'd'},value "
                            f"{model.parameters[name].unit or '1'}.")  # fmt: skip
    made: dict[str, tuple[list[float], list[float]]] = {}
    for number, row in enumerate(reader, 2):
        place = f"{where} line {number}"
        subject = (row["subject"] or "").strip()
        if not subject:
            raise ScenarioError(where=place, found="no subject", expected="the label or number of a subject")
        times, values = made.setdefault(subject, ([], []))
        units = {part: columns[part].partition(" ")[2].strip() for part in ("time", "value")}
        cells = {part: f"{finite(row[columns[part]], where=f'{place} {part}')!r} {units[part]}" for part in units}
        times.append(float(in_model_units(cells["time"].strip(), unit=model.time_unit, where=f"{place} time")))
        values.append(parameter_values({name: cells["value"].strip()}, model, place, species=False)[name])
    return made


def _course(
    name: str, subject: str, times: Sequence[float], values: Sequence[float], interpolation: str, where: str
) -> Course:
    if times[0] < 0 or any(b <= a for a, b in pairwise(times)):
        found = ", ".join(f"{t:g}" for t in times[:6])
        raise ScenarioError(where=where, found=f"the times {found}", expected="times that increase, from 0 on")
    knots = list(zip(times, values, strict=True))
    if interpolation == "linear":
        ramps = tuple((a, b, (y - x) / (b - a)) for (a, x), (b, y) in pairwise(knots))
        return Course(name=name, subject=subject, first=values[0], ramps=tuple(r for r in ramps if r[2] != 0.0))
    late = interpolation == "locf"
    jumps = tuple((b if late else a, y - x) for (a, x), (b, y) in pairwise(knots))
    return Course(name=name, subject=subject, first=values[0], jumps=tuple(j for j in jumps if j[1] != 0.0))


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
