"""Expand a scenario to its table of runs: one row per arm and subject, with every number in the model's units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, UnitError, did_you_mean, one_of
from atmpsim.model.balance import check_balance
from atmpsim.model.equations import Equations, write_equations
from atmpsim.model.library import read_model
from atmpsim.model.spec import Model
from atmpsim.scenario.convert import dose_in_model_units, in_model_units, state_unit
from atmpsim.scenario.dosing import Dose, Schedule, expand, parse_amount
from atmpsim.scenario.nonmem import DosingTable, read_dosing_table
from atmpsim.scenario.overrides import apply_overrides, drop_doses
from atmpsim.scenario.reader import Inputs, check_schema
from atmpsim.scenario.schema import METRICS, DoseTable, ScenarioFile, SubjectTable, TimeTable
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
    suffix = inputs.model_file[inputs.model_file.rfind(".") :].lower()
    model = read_model(inputs.model_text, where=inputs.model_file, path=inputs.model_file, suffix=suffix)
    check_balance(model, where=inputs.model_file)
    equations = write_equations(model)
    times = _times(scenario.time, model, where)
    runs = [run for arm, raw in _arms(scenario, inputs.raw, where) for run in _runs(arm, raw, inputs, equations, times)]
    keep = _keep(scenario, equations, where)
    notes = tuple(dict.fromkeys(note for run in runs for note in run.notes))
    return RunTable(
        scenario=scenario,
        model=model,
        runs=tuple(runs),
        times=times,
        keep=keep,
        metrics=_metrics(scenario, model, keep, where),
        notes=notes,
    )


def _arms(scenario: ScenarioFile, raw: Mapping[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    base = {k: v for k, v in raw.items() if k != "arm"}
    if not scenario.arm:
        return [(DEFAULT_ARM, base)]
    arms = []
    for arm in scenario.arm:
        place = f"{where} arm '{arm.name}'"
        changed = apply_overrides(base, arm.set, where=f"{place} set")
        if changed.get("time") != base.get("time") or changed.get("model") != base.get("model"):
            raise ScenarioError(where=place, found="another model or time", expected="the same in every arm",
                                remedy="Write a second scenario for it.")  # fmt: skip
        arms.append((arm.name, drop_doses(changed, arm.drop, where=place)))
    return arms


def _runs(arm: str, raw: dict[str, Any], inputs: Inputs, equations: Equations, times: NDArray[np.float64]) -> list[Run]:
    where = f"{inputs.name}.toml" + (f" arm '{arm}'" if arm != DEFAULT_ARM else "")
    scenario = check_schema(raw, where=where)
    model = equations.model
    given, notes, weight = _subject_values(scenario.subject, model, where)
    given |= _values(scenario.parameters, model, f"{where} [parameters]", species=False)
    given |= _values(scenario.initial, model, f"{where} [initial]", species=True)
    doses = [_dose(d, k, scenario, equations, weight, where) for k, d in enumerate(scenario.dose, 1)]
    tables = _dosing_tables(scenario, inputs, equations, where)
    runs = []
    for subject, table in tables.items():
        schedule = expand(
            [*doses, *table.doses], start=0.0, end=float(times[-1]), where=f"{where} [[dose]]", resets=table.resets
        )
        late = f"{schedule.after_end} doses after the end were not given" if schedule.after_end else ""
        runs.append(
            Run(arm=arm, subject=subject, given=given, schedule=schedule, notes=(*notes, *filter(None, [late])))
        )
    return runs


def _times(table: TimeTable, model: Model, where: str) -> NDArray[np.float64]:
    def convert(text: str, key: str) -> float:
        value = float(in_model_units(text, unit=model.time_unit, where=f"{where} [time] {key}"))
        if value < 0 or (value == 0 and key != "at"):
            raise ScenarioError(where=f"{where} [time] {key}", found=f"'{text}'", expected="a time above 0")
        return value

    end = convert(table.end, "end")
    if (table.every is None) == (table.at is None):
        found = "both 'every' and 'at'" if table.every else "neither 'every' nor 'at'"
        raise ScenarioError(where=f"{where} [time]", found=found, expected="one of them",
                            remedy='For example every = "6 h".')  # fmt: skip
    if table.at is not None:
        return _listed_times([convert(t, "at") for t in table.at], end, where)
    every = convert(str(table.every), "every")
    count = math.floor(end / every * (1 + 1e-12)) + 1
    if count > MAX_SAMPLES:
        raise ScenarioError(where=f"{where} [time] every", found=f"{count} samples", expected=f"at most {MAX_SAMPLES}",
                            remedy="Sample less often.")  # fmt: skip
    times = np.arange(count) * every
    return times if math.isclose(times[-1], end, rel_tol=1e-12) else np.append(times, end)


def _listed_times(times: Sequence[float], end: float, where: str) -> NDArray[np.float64]:
    wrong = not times or any(b <= a for a, b in zip(times, times[1:], strict=False)) or times[-1] > end
    if wrong:
        raise ScenarioError(where=f"{where} [time] at", found="times that do not increase up to the end",
                            expected="increasing times, none after the end")  # fmt: skip
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


def _subject(table: SubjectTable, where: str) -> Subject:
    def convert(text: str | None, unit: str, key: str) -> float | None:
        if text is None:
            return None
        return magnitude(parse_quantity(text, where=f"{where} {key}"), unit, where=f"{where} {key}")

    return Subject(
        table.species,
        convert(table.age, "yr", "age"),
        weight_kg=convert(table.weight, "kg", "weight"),
        sex=table.sex,
        condition=table.condition,
    )


def _flows(table: SubjectTable, where: str) -> dict[str, float]:
    return {
        k: magnitude(parse_quantity(v, where=f"{where} flows.{k}"), "L/min", where=f"{where} flows.{k}")
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
        if not isinstance(value, str) and allowed[identifier].typed:
            parse_quantity(value, where=place)  # raises: a number without a unit
        number = float(in_model_units(value, unit=unit, where=place))
        if not math.isfinite(number):
            raise ScenarioError(where=place, found=repr(value), expected="a finite number")
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
    model = equations.model
    place = f"{where} [[dose]] {table.name or number}"
    unit = state_unit(table.into, model=model, states=equations.states, where=f"{place} into")
    typed = model.quantities[table.into].typed
    if isinstance(table.amount, str) and typed:
        amount = parse_amount(table.amount, weight_kg=weight, target_unit=unit, where=f"{place} amount")
    elif typed:
        raise UnitError(where=f"{place} amount", found=f"{table.amount} without a unit", expected=f"an amount in {unit}",
                        remedy=f'Write amount = "{table.amount:g} {unit}".')  # fmt: skip
    else:
        amount = float(in_model_units(table.amount, unit=unit, where=f"{place} amount"))
    if table.every is not None and table.count is None:
        raise ScenarioError(where=place, found="every without count", expected="both",
                            remedy="Give count, the number of doses, or leave every out.")  # fmt: skip
    texts = {k: getattr(table, k) for k in ("time", "duration", "rate", "lag", "bioavailability")}
    if table.count != 1:  # an arm may turn a series into one dose by its count alone
        texts["every"] = table.every
    count = 1 if table.count is None else table.count
    dose = Dose(into=table.into, amount=amount, count=count, name=table.name or f"dose_{number}")
    return dose_in_model_units(
        replace(dose, **{k: v for k, v in texts.items() if v is not None}),
        model=model,
        states=equations.states,
        where=place,
    )


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


def _keep(scenario: ScenarioFile, equations: Equations, where: str) -> tuple[str, ...]:
    keep = scenario.output.keep
    if keep == "outputs":
        return equations.model.outputs
    if keep == "all":
        return tuple(dict.fromkeys((*equations.model.species, *equations.model.assignment_rules)))
    if isinstance(keep, str):
        raise ScenarioError(where=f"{where} [output] keep", found=f"'{keep}'", expected="'outputs', 'all' or a list",
                            remedy=f'Write keep = ["{keep}"] for one id.')  # fmt: skip
    for name in keep:
        if name not in equations.values:
            raise ScenarioError(
                where=f"{where} [output] keep",
                found=f"'{name}'",
                expected="an id of the model, or [species]",
                remedy=did_you_mean(name, equations.values) or "`atmpsim models show` lists them.",
            )
    return tuple(keep)


def _metrics(scenario: ScenarioFile, model: Model, keep: Sequence[str], where: str) -> tuple[tuple[str, str], ...]:
    wanted = scenario.output.summary
    if wanted is None:
        return tuple((name, metric) for name in keep[:8] for metric in ("peak", "end"))
    made = []
    for text in wanted:
        name, _, metric = text.rpartition(".")
        place = f"{where} [output] summary '{text}'"
        if metric not in METRICS:
            raise ScenarioError(where=place, found=f"the metric '{metric}'", expected=one_of(METRICS),
                                remedy=did_you_mean(metric, METRICS) or "Write it as id.metric.")  # fmt: skip
        if name not in keep:
            raise ScenarioError(where=place, found=f"'{name}'", expected="an output that is kept",
                                remedy=did_you_mean(name, keep))  # fmt: skip
        if metric == "time_above_lod" and f"{name}_lod" not in model.parameters:
            raise ScenarioError(where=place, found=f"'{name}' without a limit of detection",
                                expected=f"a parameter '{name}_lod' in the model")  # fmt: skip
        made.append((name, metric))
    return tuple(made)
