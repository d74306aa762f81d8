"""Expand a scenario to its table of runs: arms, swept points, draws, subjects and replicates, written out on demand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.face import face
from atmpsim.agents.spec import AgentModel
from atmpsim.errors import ModelError, ScenarioError, did_you_mean
from atmpsim.model.equations import Equations, write_equations
from atmpsim.model.library import read_model
from atmpsim.model.spec import Model
from atmpsim.scenario.agent_checks import check_agents
from atmpsim.scenario.agent_inputs import agent_model, time_unit
from atmpsim.scenario.convert import in_model_units, with_unit
from atmpsim.scenario.dosing import Dose, Schedule, expand
from atmpsim.scenario.outputs import kept, require_values, wanted_metrics
from atmpsim.scenario.overrides import apply_overrides, check_arm_paths, drop_doses
from atmpsim.scenario.population import Population, read_population
from atmpsim.scenario.quantities import parameter_values
from atmpsim.scenario.reader import Inputs, check_schema
from atmpsim.scenario.regimen import delivered_doses, dosing_tables, product_doses, regimen_dose
from atmpsim.scenario.samples import sample_times
from atmpsim.scenario.schema import RESCUE, SUMMARY, ScenarioFile, SubjectTable
from atmpsim.scenario.subject import Physiology, Subject, identifiers, missing_organ_message, resolve
from atmpsim.scenario.sweep import Sweep, check_size, read_sweep
from atmpsim.scenario.swept import check_paths, structure_at, swept_values, with_point
from atmpsim.scenario.varying import Course, check_changeable, check_subjects, read_courses, with_states
from atmpsim.units import magnitude, parse_quantity

DEFAULT_ARM = "default"
_MOST_PLANS = 4096


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the runs of one arm, point and dosing subject have in common: what the solver needs, and who it is.

    `doses` and `resets` are those that `schedule` was expanded from. `per_kg` gives, for each dose per body weight,
    the amount per kg and its cap in the state's unit, None for the others.
    """

    arm: str
    subject: str
    given: Mapping[str, float]
    schedule: Schedule
    notes: tuple[str, ...] = ()
    doses: tuple[Dose, ...] = field(default=(), repr=False)
    resets: tuple[float, ...] = ()
    per_kg: tuple[tuple[float, float] | None, ...] = ()
    chosen: frozenset[str] = frozenset()

    def schedule_at(self, weight: float) -> Schedule:
        """Return the schedule for a body weight in kg."""
        if not any(self.per_kg):
            return self.schedule
        doses = [
            dose if per_kg is None else replace(dose, amount=min(per_kg[0] * weight, per_kg[1]))
            for dose, per_kg in zip(self.doses, self.per_kg, strict=False)
        ]
        start, end = self.schedule.start, self.schedule.end
        where = f"arm '{self.arm}' at {weight:g} kg"
        return expand([*doses, *self.doses[len(doses) :]], start=start, end=end, where=where, resets=self.resets)


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """A scenario written out: the model, its dimensions, the samples and what to keep.

    `runs` are the rows of every arm and dosing subject at the first point of the sweep, in the order arm, subject.
    The whole table is their product with the points of the sweep, the draws, the subjects of the population and
    the replicates; `rows` writes out any part of it. Of an agent model, `agents`, `model` holds the quantities.
    """

    scenario: ScenarioFile
    model: Model
    agents: AgentModel | None = None
    runs: tuple[Run, ...]
    times: NDArray[np.float64]
    keep: tuple[str, ...]
    metrics: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = field(default_factory=tuple)
    inputs: Inputs | None = field(default=None, repr=False)
    equations: Equations | None = field(default=None, repr=False)
    arms: tuple[tuple[str, Mapping[str, Any]], ...] = field(default=(), repr=False)
    sweep: Sweep = field(default_factory=Sweep)
    population: Population | None = None
    courses: tuple[Course, ...] = ()
    observed: tuple[str, ...] = ()
    summary_only: bool = False
    _plans: dict[tuple[int, ...], list[Run]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def curves(self) -> tuple[str, ...]:
        """Return the names of the variables over time: what is kept, and what an assay with error would show."""
        return (*self.keep, *(f"{name}.observed" for name in self.observed))

    @property
    def subjects(self) -> tuple[str, ...] | int:
        """Return the labels of the subjects, or how many virtual ones there are (called 1, 2, …)."""
        if self.population is not None:
            return self.population.size
        return tuple(run.subject for run in self.plan(0, 0))

    @property
    def shape(self) -> dict[str, int]:
        """Return the length of each dimension, slowest first: arm, swept axes, draw, subject, replicate."""
        sizes = {"arm": len(self.arms), **dict(zip(self.sweep.names, self.sweep.shape, strict=True))}
        population = self.population
        if population is not None and population.draws:
            sizes["draw"] = population.draws
        subjects = self.subjects
        sizes["subject"] = subjects if isinstance(subjects, int) else len(subjects)
        return {**sizes, "replicate": population.replicates if population is not None else 1}

    @property
    def size(self) -> int:
        """Return the number of runs."""
        return math.prod(self.shape.values())

    def plan(self, arm: int, point: int) -> list[Run]:
        """Return what the runs of one arm and point of the sweep have in common, for each dosing subject."""
        key = (arm, *structure_at(self.sweep, point))
        if key not in self._plans:
            if len(self._plans) > _MOST_PLANS:
                self._plans.clear()
            assert self.inputs is not None
            assert self.equations is not None
            name, raw = self.arms[arm]
            where = f"{self.inputs.name}.toml" + (f" arm '{name}'" if name != DEFAULT_ARM else "")
            changed = with_point(raw, self.sweep, point, base=self.inputs.raw, where=f"{where} [sweep]")
            self._plans[key] = _runs(name, changed, self.inputs, self.equations, self.times, where, self.agents)
        return self._plans[key]

    def varied_values(self) -> dict[str, float]:
        """Return an example value of every quantity that the sweep or the population gives a value."""
        swept = {k: float(v[0]) for k, v in swept_values(self.sweep, self.model, where="[sweep]").items()}
        varied = self.population.varied if self.population is not None else ()
        return {**dict.fromkeys(varied, 1.0), **swept}


def expand_runs(inputs: Inputs) -> RunTable:
    """Return the table of runs of a scenario.

    Raises
    ------
    InputError
        If anything in the scenario does not fit its model.
    """
    where = f"{inputs.name}.toml"
    scenario = check_schema(inputs.raw, where=where)
    _needs_trial(scenario, where)
    agents, model = _models(inputs, scenario, where)
    courses = read_courses(scenario, model, inputs.tables, where=where)
    population = read_population(scenario, inputs, model, where=where)
    changing = _changing(courses, population, scenario, model, where)
    model = with_states(model, changing)
    equations = write_equations(model)
    if not (model.species or model.parameters):
        raise ModelError(where=inputs.model_file, found="a model without species and parameters",
                         expected="something to simulate", remedy="Is it the right file?")  # fmt: skip
    keep = kept(scenario.output, equations, where=where)
    table = RunTable(
        scenario=scenario, model=model, agents=agents, runs=(), times=sample_times(scenario.time, model, where),
        keep=keep, metrics=wanted_metrics(scenario.output, equations, keep, where=where), inputs=inputs,
        equations=equations,
        arms=tuple(_arms(scenario, _with_reference(inputs.raw, population), where)),
        sweep=_sweep(scenario, inputs, where),
        population=population, courses=courses, observed=_observed(population, keep, where),
        summary_only=scenario.output.keep == SUMMARY,
    )  # fmt: skip
    check_paths(table.sweep, where=f"{where} [sweep]")
    check_size(table.size, where=where)
    check_subjects(courses, table.subjects, where=where)
    runs = tuple(run for arm in range(len(table.arms)) for run in table.plan(arm, 0))
    table = replace(table, runs=runs, notes=_notes(table, runs))
    swept_values(table.sweep, model, where=f"{where} [sweep]")
    if agents is not None:
        check_agents(table, agents, where=where)
    for run in runs:
        require_values(equations, {**run.given, **table.varied_values()}, keep, where=inputs.model_file)
    return table


def _needs_trial(scenario: ScenarioFile, where: str) -> None:
    """Raise if something acts or is made in a trial only, and there is none: it would be left out."""
    for section in ("rule", "endpoint"):
        if getattr(scenario, section) and scenario.trial is None:
            raise ScenarioError(where=f"{where} [[{section}]]", found=f"a {section} without [trial]",
                                expected="the visits of a [trial]",
                                remedy="Add [trial] and use `atmpsim trial`, or remove it.")  # fmt: skip


def _models(inputs: Inputs, scenario: ScenarioFile, where: str) -> tuple[AgentModel | None, Model]:
    """Return the agent model, where it is one, and the model as quantities and equations."""
    if scenario.engine == "agents":
        agents = agent_model(inputs, scenario, where=where)
        return agents, face(agents, time_unit=time_unit(scenario, where=where))
    suffix = Path(inputs.model_file).suffix.lower()
    return None, read_model(inputs.model_text, where=inputs.model_file, path=inputs.model_file, suffix=suffix)


def _changing(
    courses: Sequence[Course], population: Population | None, scenario: ScenarioFile, model: Model, where: str
) -> tuple[str, ...]:
    """Return the parameters that change over time."""
    named = list(dict.fromkeys(course.name for course in courses))
    if population is not None:
        for name in sorted({*named} & population.varied):
            raise ScenarioError(where=f"{where} [varying] {name}", found="a distribution in the population as well",
                                expected="one of them", remedy='Write vary = "listed" under [population].')  # fmt: skip
        if population.occasions is not None:
            named += population.occasions.spread
            check_changeable(population.occasions.spread, model, where=f"{where} [population] occasions spread")
    if len({*named}) < len(named):
        raise ScenarioError(where=f"{where} [varying]", found="a quantity that varies between occasions as well",
                            expected="one of them")  # fmt: skip
    if named and scenario.dosing is not None:
        raise ScenarioError(where=f"{where} [varying]", found="a [dosing] table, which may reset all states",
                            expected="doses under [[dose]]")  # fmt: skip
    return tuple(named)


def _observed(population: Population | None, keep: Sequence[str], where: str) -> tuple[str, ...]:
    names = tuple(population.residual) if population is not None else ()
    for name in names:
        if name not in keep:
            raise ScenarioError(where=f"{where} [population] residual", found=f"'{name}'", expected="an output that is "
                                "kept", remedy=did_you_mean(name, keep))  # fmt: skip
    return names


def _with_reference(raw: Mapping[str, Any], population: Population | None) -> Mapping[str, Any]:
    """Return tables whose [subject] has the age and weight of the first virtual one, if covariates are sampled.

    What all arms share is planned for that one; each run then has its own subject's numbers.
    """
    if population is None or population.covariates is None:
        return raw
    first = population.covariates.subjects(np.array([0]), seed=population.seed)[0]
    found = {
        "age": first.age_years and f"{first.age_years!r} yr",
        "weight": first.weight_kg and f"{first.weight_kg!r} kg",
    }
    return {**raw, "subject": {**raw["subject"], **{k: v for k, v in found.items() if v}}}


def _notes(table: RunTable, runs: Sequence[Run]) -> tuple[str, ...]:
    """Return what was assumed; with sampled covariates no single subject's physiology is told."""
    population = table.population
    notes = [note for run in runs for note in run.notes]
    if population is not None and population.covariates is not None:
        notes = [note for note in notes if note.startswith(("doses:", "parameters."))]
    if table.scenario.rule:
        notes.append("doses: rules act in `atmpsim trial`; here every planned dose is given")
    return tuple(dict.fromkeys([*notes, *(population.notes if population is not None else ())]))


def _sweep(scenario: ScenarioFile, inputs: Inputs, where: str) -> Sweep:
    if scenario.sweep is None:
        return Sweep()
    text = inputs.tables.get(str(scenario.sweep.get("table", "")), "")
    return read_sweep(scenario.sweep, csv_text=text, seed=inputs.seed, where=where)


def _arms(scenario: ScenarioFile, raw: Mapping[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    base = {k: v for k, v in raw.items() if k not in ("arm", "sweep", "population")}
    if not scenario.arm:
        return [(DEFAULT_ARM, base)]
    arms = []
    for arm in scenario.arm:
        place = f"{where} arm '{arm.name}'"
        check_arm_paths(arm.set, where=f"{place} set")
        changed = apply_overrides(base, arm.set, where=f"{place} set")
        arms.append((arm.name, drop_doses(changed, arm.drop, where=place)))
    return arms


def _runs(
    arm: str, raw: dict[str, Any], inputs: Inputs, equations: Equations, times: NDArray[np.float64], where: str,
    agents: AgentModel | None,
) -> list[Run]:  # fmt: skip
    scenario = check_schema(raw, where=where)
    model = equations.model
    filled, notes, weight = _subject_values(scenario.subject, model, where)
    notes = () if agents is not None and scenario.subject is None else notes  # a piece of tissue has no physiology
    chosen = parameter_values(scenario.parameters, model, f"{where} [parameters]", species=False)
    notes += tuple(f"parameters.{k} replaces the subject's" for k in chosen if k in filled)
    start = parameter_values(scenario.initial, model, f"{where} [initial]", species=True)
    given = filled | chosen | start
    weight = _weight(weight, scenario, given, model, where)
    given_doses, made_notes = product_doses(scenario, equations, where)
    made = [
        regimen_dose(d, k, equations, weight, where, agents=agents)
        for k, d in enumerate(given_doses, 1)
        if d.role != RESCUE
    ]
    doses = delivered_doses([dose for dose, _ in made], scenario, model, where)
    per_kg, notes = tuple(share for _, share in made), notes + made_notes
    tables = dosing_tables(scenario, inputs, equations, where)
    runs = []
    for subject, table in tables.items():
        every = (*doses, *table.doses)
        schedule = expand(every, start=0.0, end=float(times[-1]), where=where, resets=table.resets)
        late = (f"doses: {schedule.after_end} in arm '{arm}' would enter after the end and were not given",)
        runs.append(
            Run(arm=arm, subject=subject, given=given, schedule=schedule, notes=notes + late * bool(schedule.after_end),
                doses=every, resets=table.resets, per_kg=per_kg, chosen=frozenset({*chosen, *start}))
        )  # fmt: skip
    return runs


def _subject_values(
    table: SubjectTable | None, model: Model, where: str
) -> tuple[dict[str, float], tuple[str, ...], float | None]:
    """Return what the subject fills in, what was assumed for it, and its weight in kg."""
    if table is None:
        weight = model.quantity("weight")
        note = ("no [subject]: the model's own physiology",)
        return {}, note, weight.value if weight is not None and weight.unit == "kg" else None
    place = f"{where} [subject]"
    physiology = resolve(described(table, place), where=place, overrides=flows(table, place))
    return fill_from(physiology, model, table.species, place), physiology.notes, physiology.values["weight"][0]


def fill_from(physiology: Physiology, model: Model, species: str, where: str) -> dict[str, float]:
    """Return what a subject's physiology gives to a model, in the model's units.

    Raises
    ------
    ScenarioError
        If the model asks for an organ that the tables do not have.
    """
    filled = {}
    for identifier in model.parameters:
        if identifier not in identifiers() or identifier in model.assignment_rules:
            continue
        if identifier not in physiology.values:
            raise ScenarioError(
                where=where,
                found=missing_organ_message(identifier, species),
                expected=f"every organ of model '{model.id}'",
                remedy=f"Give parameters.{identifier}.",
            )
        filled[identifier] = _physiology_value(physiology, identifier, model, where)
    return filled | _condition_values(physiology, model)


def _weight(
    resolved: float | None, scenario: ScenarioFile, given: Mapping[str, float], model: Model, where: str
) -> float | None:
    """Return the weight in kg that doses per kg are multiplied by: the same that the model uses."""
    if "weight" not in scenario.parameters:
        return resolved
    if scenario.subject is not None:
        raise ScenarioError(where=f"{where} [parameters] weight", found="a second weight beside the subject's",
                            expected="one", remedy="Write it as weight under [subject].")  # fmt: skip
    return given["weight"] if model.parameters["weight"].unit == "kg" else None


def described(table: SubjectTable, where: str) -> Subject:
    """Return the subject that a `[subject]` table describes."""

    def convert(text: str | None, unit: str, key: str) -> float | None:
        if text is None:
            return None
        return magnitude(with_unit(text, unit=unit, where=f"{where} {key}"), unit, where=f"{where} {key}")

    return Subject(
        table.species,
        convert(table.age, "yr", "age"),
        weight_kg=convert(table.weight, "kg", "weight"),
        sex=table.sex,
        condition=table.condition,
    )


def flows(table: SubjectTable, where: str) -> dict[str, float]:
    """Return the blood flows of a `[subject]` table, L/min."""
    return {
        k: magnitude(with_unit(v, unit="L/min", where=f"{where} flows {k}"), "L/min", where=f"{where} flows {k}")
        for k, v in table.flows.items()
    }


def _physiology_value(physiology: Physiology, identifier: str, model: Model, where: str) -> float:
    number, unit = physiology.values[identifier]
    return number * _factor(unit, model.parameters[identifier].unit, f"{where} {identifier}")


@lru_cache(maxsize=1024)
def _factor(unit: str, own: str, where: str) -> float:
    return float(in_model_units(parse_quantity(f"1 {unit}", where=where), unit=own, where=where))


def _condition_values(physiology: Physiology, model: Model) -> dict[str, float]:
    changed = {}
    for identifier, (how, factor) in physiology.model_factors.items():
        quantity = model.parameters.get(identifier)
        if quantity is not None and quantity.value is not None:
            changed[identifier] = factor if how == "set" else quantity.value * factor
    return changed
