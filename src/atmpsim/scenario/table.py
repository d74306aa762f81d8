"""Expand a scenario to its table of runs: one row per arm and subject, with every number in the model's units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ModelError, ScenarioError, did_you_mean
from atmpsim.model.equations import Equations, write_equations
from atmpsim.model.library import read_model
from atmpsim.model.spec import Model
from atmpsim.scenario.convert import (
    check_text,
    dose_in_model_units,
    in_model_units,
    is_bare,
    no_unit,
    state_unit,
    with_unit,
)
from atmpsim.scenario.dosing import Dose, Schedule, expand, parse_amount
from atmpsim.scenario.nonmem import DosingTable, read_dosing_table
from atmpsim.scenario.outputs import kept, require_values, wanted_metrics
from atmpsim.scenario.overrides import apply_overrides, check_arm_paths, drop_doses
from atmpsim.scenario.reader import Inputs, check_schema, dose_name
from atmpsim.scenario.schema import DoseTable, ScenarioFile, SubjectTable, TimeTable
from atmpsim.scenario.subject import Physiology, Subject, identifiers, missing_organ_message, resolve
from atmpsim.units import magnitude, parse_quantity

DEFAULT_ARM = "default"
DEFAULT_SUBJECT = "1"
MAX_SAMPLES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row of the table: what the solver needs, and who it is."""

    arm: str
    subject: str
    given: Mapping[str, float]
    schedule: Schedule
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """A scenario written out: the model, the runs (in the order arm, subject), the samples and what to keep."""

    scenario: ScenarioFile
    model: Model
    runs: tuple[Run, ...]
    times: NDArray[np.float64]
    keep: tuple[str, ...]
    metrics: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = field(default_factory=tuple)


def expand_runs(inputs: Inputs) -> RunTable:
    """Return the table of runs of a scenario.

    Raises
    ------
    InputError
        If anything in the scenario does not fit its model.
    """
    where = f"{inputs.name}.toml"
    scenario = check_schema(inputs.raw, where=where)
    suffix = Path(inputs.model_file).suffix.lower()
    model = read_model(inputs.model_text, where=inputs.model_file, path=inputs.model_file, suffix=suffix)
    equations = write_equations(model)
    if not (model.species or model.parameters):
        raise ModelError(where=inputs.model_file, found="a model without species and parameters",
                         expected="something to simulate", remedy="Is it the right file?")  # fmt: skip
    times = _times(scenario.time, model, where)
    runs = [run for arm, raw in _arms(scenario, inputs.raw, where) for run in _runs(arm, raw, inputs, equations, times)]
    keep = kept(scenario.output, equations, where=where)
    for run in runs:
        require_values(equations, run.given, keep, where=inputs.model_file)
    notes = tuple(dict.fromkeys(note for run in runs for note in run.notes))
    return RunTable(
        scenario=scenario,
        model=model,
        runs=tuple(runs),
        times=times,
        keep=keep,
        metrics=wanted_metrics(scenario.output, equations, keep, where=where),
        notes=notes,
    )


def _arms(scenario: ScenarioFile, raw: Mapping[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    base = {k: v for k, v in raw.items() if k != "arm"}
    if not scenario.arm:
        return [(DEFAULT_ARM, base)]
    arms = []
    for arm in scenario.arm:
        place = f"{where} arm '{arm.name}'"
        check_arm_paths(arm.set, where=f"{place} set")
        changed = apply_overrides(base, arm.set, where=f"{place} set")
        arms.append((arm.name, drop_doses(changed, arm.drop, where=place)))
    return arms


def _runs(arm: str, raw: dict[str, Any], inputs: Inputs, equations: Equations, times: NDArray[np.float64]) -> list[Run]:
    where = f"{inputs.name}.toml" + (f" arm '{arm}'" if arm != DEFAULT_ARM else "")
    scenario = check_schema(raw, where=where)
    model = equations.model
    filled, notes, weight = _subject_values(scenario.subject, model, where)
    chosen = _values(scenario.parameters, model, f"{where} [parameters]", species=False)
    notes += tuple(f"parameters.{k} replaces the subject's" for k in chosen if k in filled)
    given = filled | chosen | _values(scenario.initial, model, f"{where} [initial]", species=True)
    weight = _weight(weight, scenario, given, model, where)
    doses = [_dose(d, k, scenario, equations, weight, where) for k, d in enumerate(scenario.dose, 1)]
    tables = _dosing_tables(scenario, inputs, equations, where)
    runs = []
    for subject, table in tables.items():
        schedule = expand([*doses, *table.doses], start=0.0, end=float(times[-1]), where=where, resets=table.resets)
        late = (f"doses: {schedule.after_end} in arm '{arm}' would enter after the end and were not given",)
        runs.append(
            Run(arm=arm, subject=subject, given=given, schedule=schedule, notes=notes + late * bool(schedule.after_end))
        )
    return runs


def _times(table: TimeTable, model: Model, where: str) -> NDArray[np.float64]:
    place = f"{where} [time]"

    def convert(text: str, key: str) -> float:
        value = float(in_model_units(text, unit=model.time_unit, where=f"{place} {key}"))
        if value < 0 or (value == 0 and key != "at"):
            least = "of at least 0" if key == "at" else "above 0"
            raise ScenarioError(where=f"{place} {key}", found=f"'{text}'", expected=f"a time {least}")
        return value

    end = convert(table.end, "end")
    if (table.every is None) == (table.at is None):
        found, remedy = "neither 'every' nor 'at'", 'For example every = "6 h".'
        if table.every is not None:
            found, remedy = "both 'every' and 'at'", "Remove one of them."
        raise ScenarioError(where=place, found=found, expected="one of them", remedy=remedy)
    if table.at is not None:
        return _listed_times(table.at, [convert(t, "at") for t in table.at], end, where=f"{place} at")
    every = convert(str(table.every), "every")
    if end / every > MAX_SAMPLES:
        raise ScenarioError(where=f"{place} every", found=f"{end / every:.3g} samples",
                            expected=f"at most {MAX_SAMPLES}", remedy="Sample less often.")  # fmt: skip
    times = np.arange(math.floor(end / every * (1 + 1e-12)) + 1, dtype=np.float64) * every
    return times if math.isclose(times[-1], end, rel_tol=1e-12) else np.concatenate([times, [end]])


def _listed_times(texts: Sequence[str], times: Sequence[float], end: float, *, where: str) -> NDArray[np.float64]:
    early = [k for k in range(1, len(times)) if times[k] <= times[k - 1]]
    late = [k for k, time in enumerate(times) if time > end]
    found = "an empty list" if not times else ""
    if early:
        found = f"'{texts[early[0]]}' after '{texts[early[0] - 1]}'"
    elif late:
        found = f"'{texts[late[0]]}', which is after the end"
    if found:
        raise ScenarioError(where=where, found=found, expected="times that increase, up to the end at most",
                            remedy="Sort them, remove what stands twice, or move the end.")  # fmt: skip
    return np.array(times)


def _subject_values(
    table: SubjectTable | None, model: Model, where: str
) -> tuple[dict[str, float], tuple[str, ...], float | None]:
    """Return what the subject fills in, what was assumed for it, and its weight in kg."""
    if table is None:
        weight = model.quantity("weight")
        note = ("no [subject]: the model's own physiology",)
        return {}, note, weight.value if weight is not None and weight.unit == "kg" else None
    place = f"{where} [subject]"
    physiology = resolve(_subject(table, place), where=place, overrides=_flows(table, place))
    filled = {}
    for identifier in model.parameters:
        if identifier not in identifiers() or identifier in model.assignment_rules:
            continue
        if identifier not in physiology.values:
            raise ScenarioError(
                where=place,
                found=missing_organ_message(identifier, table.species),
                expected=f"every organ of model '{model.id}'",
                remedy=f"Give parameters.{identifier}.",
            )
        filled[identifier] = _physiology_value(physiology, identifier, model, place)
    filled |= _condition_values(physiology, model)
    return filled, physiology.notes, physiology.values["weight"][0]


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


def _subject(table: SubjectTable, where: str) -> Subject:
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


def _flows(table: SubjectTable, where: str) -> dict[str, float]:
    return {
        k: magnitude(with_unit(v, unit="L/min", where=f"{where} flows {k}"), "L/min", where=f"{where} flows {k}")
        for k, v in table.flows.items()
    }


def _physiology_value(physiology: Physiology, identifier: str, model: Model, where: str) -> float:
    number, unit = physiology.values[identifier]
    quantity = parse_quantity(f"{number!r} {unit}", where=where)
    return float(in_model_units(quantity, unit=model.parameters[identifier].unit, where=f"{where} {identifier}"))


def _condition_values(physiology: Physiology, model: Model) -> dict[str, float]:
    changed = {}
    for identifier, (how, factor) in physiology.model_factors.items():
        quantity = model.parameters.get(identifier)
        if quantity is not None and quantity.value is not None:
            changed[identifier] = factor if how == "set" else quantity.value * factor
    return changed


def _values(table: Mapping[str, Any], model: Model, where: str, *, species: bool) -> dict[str, float]:
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


def _dose(
    table: DoseTable, number: int, scenario: ScenarioFile, equations: Equations, weight: float | None, where: str
) -> Dose:
    model, name = equations.model, dose_name(table.name, number)
    place = f"{where} dose '{name}'"
    unit = state_unit(table.into, model=model, states=equations.states, where=f"{place} into")
    amount = _amount(table.amount, unit, weight, typed=model.quantities[table.into].typed, where=f"{place} amount")
    texts = {k: getattr(table, k) for k in ("time", "duration", "rate", "every", "lag", "bioavailability")}
    texts = {k: v for k, v in texts.items() if v is not None}
    if table.every is not None and table.count is None:
        raise ScenarioError(where=place, found="every without count", expected="both",
                            remedy="Give count, the number of doses, or leave every out.")  # fmt: skip
    if table.count == 1:  # an arm may cut a series to one dose; its interval is then without meaning
        texts.pop("every", None)
    dose = Dose(into=table.into, amount=amount, count=1 if table.count is None else table.count, name=name, **texts)
    made = dose_in_model_units(dose, model=model, states=equations.states, where=place)
    for key, text in texts.items():  # in the user's words; the schedule knows numbers in the model's units only
        value, positive = getattr(made, key), key in ("duration", "rate", "every")
        if value < 0 or (positive and value == 0):
            raise ScenarioError(where=f"{place} {key}", found=f"'{text}'",
                                expected="a value above 0" if positive else "a value of at least 0")  # fmt: skip
    return made


def _amount(amount: str | float, unit: str, weight: float | None, *, typed: bool, where: str) -> float:
    if not typed:
        return float(in_model_units(amount, unit=unit, where=where))
    if not isinstance(amount, str):
        raise no_unit(amount, unit=unit, where=where)
    check_text(amount, where=where)
    first, *caps = (part.strip() for part in amount.split(","))
    for part, place in [(first, where), *((cap.removeprefix("max").strip(), f"{where} max") for cap in caps)]:
        if is_bare(part):
            raise no_unit(part, unit=unit, where=place)
        if part.startswith("-"):
            raise ScenarioError(where=place, found=f"'{part}'", expected="an amount of at least 0")
    return parse_amount(amount, weight_kg=weight, target_unit=unit, where=where)


def _dosing_tables(
    scenario: ScenarioFile, inputs: Inputs, equations: Equations, where: str
) -> Mapping[str, DosingTable]:
    if scenario.dosing is None:
        return {DEFAULT_SUBJECT: DosingTable((), (), (), ())}
    dosing, place = scenario.dosing, f"{where} [dosing]"
    model = equations.model
    time_factor = in_model_units(f"1 {dosing.time_unit}", unit=model.time_unit, where=f"{place} time_unit")
    tables = read_dosing_table(
        inputs.table_text, name=inputs.table_file, states=equations.states, ignore=dosing.ignore,
        time_factor=float(time_factor), where=place,
    )  # fmt: skip
    return {
        subject: replace(table, doses=tuple(_table_dose(d, dosing.amount_unit, model, place) for d in table.doses))
        for subject, table in tables.items()
    }


def _table_dose(dose: Dose, unit: str, model: Model, where: str) -> Dose:
    target = model.quantities[dose.into].unit
    factor = float(in_model_units(f"1 {unit}", unit=target, where=f"{where} amount_unit into '{dose.into}'"))
    rate = dose.rate * factor if dose.rate is not None else None
    return replace(dose, amount=dose.amount * factor, rate=rate)
