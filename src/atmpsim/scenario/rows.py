"""Write out a part of the table of runs as arrays: what each run is given, and its schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from atmpsim.scenario.dosing import Schedule
from atmpsim.scenario.subject import Subject, resolve
from atmpsim.scenario.swept import is_number, swept_values
from atmpsim.scenario.table import Run, RunTable, fill_from, flows
from atmpsim.scenario.varying import Course, follow, occasion_courses

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Runs that are given values for the same quantities.

    Attributes
    ----------
    members
        Numbers of the runs in the table.
    given
        Value, or values (one per member), by id.
    schedules, which
        The different schedules, and which of them each member has.
    """

    members: IntArray
    arm: str
    given: Mapping[str, float | FloatArray]
    schedules: tuple[Schedule, ...]
    which: IntArray

    def part(self, begin: int, end: int) -> Group:
        """Return some of the members."""
        own = slice(begin, end)
        given = {k: v[own] if isinstance(v, np.ndarray) and v.ndim else v for k, v in self.given.items()}
        return replace(self, members=self.members[own], given=given, which=self.which[own])


def rows(table: RunTable, begin: int, end: int) -> list[Group]:
    """Return the runs `begin` to `end` of a table, in groups."""
    runs = np.arange(begin, end)
    where = positions(table, runs)
    points = sweep_points(table, where)
    plans, which = _plans(table, where["arm"], points, where["subject"])
    swept = table.sweep.positions(points)
    missing = np.stack([p < 0 for p in swept], axis=1) if swept else np.zeros((runs.size, 0), dtype=bool)
    kinds: dict[object, int] = {}
    kind = np.array([kinds.setdefault((plan.arm, frozenset(plan.given)), len(kinds)) for plan in plans])
    _, group = np.unique(np.column_stack([kind[which], missing]), axis=0, return_inverse=True)
    members = [np.flatnonzero(group.ravel() == k) for k in range(int(group.max()) + 1)]
    return [_group(table, runs, where, points, plans, which, own) for own in members]


def positions(table: RunTable, runs: IntArray) -> dict[str, IntArray]:
    """Return the position of each run along every dimension of the table."""
    shape = table.shape
    found = np.unravel_index(runs, tuple(shape.values()))
    return {name: np.asarray(p) for name, p in zip(shape, found, strict=True)}


def sweep_points(table: RunTable, where: Mapping[str, IntArray]) -> IntArray:
    """Return the number of the sweep's point of each run."""
    if not table.sweep.names:
        return np.zeros_like(where["arm"])
    return np.asarray(np.ravel_multi_index([where[n] for n in table.sweep.names], table.sweep.shape))


def _plans(table: RunTable, arms: IntArray, points: IntArray, subjects: IntArray) -> tuple[list[Run], IntArray]:
    """Return the different plans among some runs, and which of them each has."""
    swept = zip(table.sweep.axes, table.sweep.positions(points), strict=True)
    structure = [position for axis, position in swept if not is_number(axis)]
    listed = subjects if table.population is None else np.zeros_like(subjects)
    _, first, which = np.unique(np.stack([arms, listed, *structure]), axis=1, return_index=True, return_inverse=True)
    plans = [table.plan(int(arms[k]), int(points[k]))[int(listed[k])] for k in first]
    return plans, np.asarray(which).ravel()


def _group(
    table: RunTable, runs: IntArray, where: Mapping[str, IntArray], points: IntArray, plans: Sequence[Run],
    which: IntArray, own: IntArray,
) -> Group:  # fmt: skip
    mine = which[own]
    first = plans[mine[0]]
    given: dict[str, float | FloatArray] = {}
    for name, value in first.given.items():
        values = np.array([plan.given[name] for plan in plans]) if len(plans) > 1 and _same(plans, mine, name) else None
        given[name] = value if values is None else values[mine]
    numbers = swept_values(table.sweep, table.model, where="[sweep]")
    swept = {}
    for axis, position in zip(table.sweep.axes, table.sweep.positions(points[own]), strict=True):
        if is_number(axis) and position[0] >= 0:
            name = axis.path.partition(".")[2]
            swept[name] = numbers[name][position]
    chosen = {*first.chosen, *swept}
    schedules, index = _distinct(plans, mine)
    if table.population is not None:
        drawn, schedules, index = _population(table, where, own, first, plans, mine)
        given |= {k: v for k, v in drawn.items() if k not in chosen}
    given |= swept
    if table.courses or (table.population is not None and table.population.occasions is not None):
        schedules, index = _changing(table, where["subject"][own], given, schedules, index)
    return Group(members=runs[own], arm=first.arm, given=given, schedules=schedules, which=index)


def _changing(
    table: RunTable, subjects: IntArray, given: dict[str, float | FloatArray], schedules: tuple[Schedule, ...],
    index: IntArray,
) -> tuple[tuple[Schedule, ...], IntArray]:  # fmt: skip
    """Put first values of what changes over time into `given`; return the schedules that change it."""
    given |= {course.name: course.first for course in table.courses if not course.subject}
    schedules = tuple(follow(s, [c for c in table.courses if not c.subject]) for s in schedules)
    schedules, index = _by_subject(table, subjects, given, schedules, index)
    population = table.population
    if population is None or population.occasions is None:
        return schedules, index
    own = {
        k: np.broadcast_to(np.asarray(given.get(k, table.model.parameters[k].value), dtype=np.float64), subjects.size)
        for k in population.occasions.spread
    }
    courses = occasion_courses(population.occasions, own, subjects, seed=population.seed, end=float(table.times[-1]))
    given |= {name: np.array([c[k].first for c in courses]) for k, name in enumerate(population.occasions.spread)}
    each = tuple(follow(schedules[which], course) for which, course in zip(index.tolist(), courses, strict=True))
    return each, np.arange(subjects.size)


def _by_subject(
    table: RunTable, subjects: IntArray, given: dict[str, float | FloatArray], schedules: tuple[Schedule, ...],
    index: IntArray,
) -> tuple[tuple[Schedule, ...], IntArray]:  # fmt: skip
    """Do the same for what changes in each subject in its own way."""
    own = [c for c in table.courses if c.subject]
    if not own:
        return schedules, index
    labels = table.subjects
    numbers = {str(k + 1) if isinstance(labels, int) else labels[k]: k for k in np.unique(subjects).tolist()}
    courses: dict[int, list[Course]] = {k: [] for k in numbers.values()}
    for course in own:
        if course.subject in numbers:
            courses[numbers[course.subject]].append(course)
    firsts = {k: {c.name: c.first for c in mine} for k, mine in courses.items()}
    given |= {name: np.array([firsts[k][name] for k in subjects.tolist()]) for name in {c.name for c in own}}
    pairs, which = np.unique(np.stack([index, subjects]), axis=1, return_inverse=True)
    return tuple(follow(schedules[k], courses[s]) for k, s in pairs.T.tolist()), np.asarray(which).ravel()


def _same(plans: Sequence[Run], mine: IntArray, name: str) -> bool:
    """Return whether the plans in use all give a quantity, with several values."""
    used = [plans[k] for k in np.unique(mine)]
    return len({plan.given[name] for plan in used}) > 1 and all(name in plan.given for plan in plans)


def _distinct(plans: Sequence[Run], mine: IntArray) -> tuple[tuple[Schedule, ...], IntArray]:
    used, index = np.unique(mine, return_inverse=True)
    return tuple(plans[k].schedule for k in used), np.asarray(index)


def _population(
    table: RunTable, where: Mapping[str, IntArray], own: IntArray, first: Run, plans: Sequence[Run], mine: IntArray
) -> tuple[dict[str, FloatArray], tuple[Schedule, ...], IntArray]:
    """Return what the population gives to each run, and the schedules by plan and body weight."""
    population = table.population
    assert population is not None
    subjects = where["subject"][own]
    draws = where["draw"][own] if "draw" in where else np.zeros_like(subjects)
    drawn = population.sample(subjects, draws, arm=first.arm)
    if population.covariates is None:
        return drawn, *_distinct(plans, mine)
    filled, weights = _bodies(table, subjects, first.arm)
    pairs, index = np.unique(np.stack([mine.astype(np.float64), weights]), axis=1, return_inverse=True)
    schedules = tuple(plans[int(plan)].schedule_at(float(weight)) for plan, weight in pairs.T)
    return {**filled, **drawn}, schedules, np.asarray(index).ravel()


def _bodies(table: RunTable, subjects: IntArray, arm: str) -> tuple[dict[str, FloatArray], FloatArray]:
    """Return what the bodies of virtual subjects give to the model, and their weights in kg."""
    population = table.population
    assert population is not None
    assert population.covariates is not None
    unique, index = np.unique(subjects, return_inverse=True)
    people = population.covariates.subjects(
        unique, seed=population.seed, arm="" if population.same_in_every_arm else arm
    )
    made = [_body(table, person, int(k)) for person, k in zip(people, unique, strict=True)]
    weights = np.array([weight for _, weight in made])[index]
    return {name: np.array([values[name] for values, _ in made])[index] for name in made[0][0]}, weights


def _body(table: RunTable, person: Subject, number: int) -> tuple[dict[str, float], float]:
    subject = table.scenario.subject
    assert subject is not None
    where = f"[population] subject {number + 1}"
    physiology = resolve(person, where=where, overrides=flows(subject, where))
    return fill_from(physiology, table.model, person.species, "[population]"), physiology.values["weight"][0]
