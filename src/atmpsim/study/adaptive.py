"""Carry out adaptive rules in a pool of patients: who meets one at a visit is computed again with other doses."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from atmpsim.model.equations import write_equations
from atmpsim.scenario.dosing import Dose
from atmpsim.scenario.reader import dose_name
from atmpsim.scenario.regimen import regimen_dose
from atmpsim.scenario.rows import positions, rows
from atmpsim.scenario.streams import generator
from atmpsim.scenario.table import RunTable
from atmpsim.study.compute import Computed
from atmpsim.study.labels import Labels
from atmpsim.study.pool import Givens, adjusted, as_pool, compute_pool, own_doses, shape_of
from atmpsim.trial.conduct import observe
from atmpsim.trial.design import Design, outputs_of
from atmpsim.trial.pool import Pool, interpolated
from atmpsim.trial.rules import Rule, changed_doses, read_rule

FloatArray = NDArray[np.float64]
_ONCE = ("stop", "rescue")


def apply_rules(
    design: Design, table: RunTable, labels: Labels, given: Givens, *, seed: int
) -> tuple[Computed, Pool, xr.Dataset]:
    """Return the pool as computed after all rules have acted, the pool of patients, and the log of what they did."""
    rules = read_rules(design, table)
    doses = _doses(table, given, design) if rules else {}
    computed = compute_pool(table, labels, adjusted(design, table, given, {}))
    pool = as_pool(table, labels, computed, given)
    if not rules:
        return computed, pool, _log([], design)
    arms, draws, subjects = shape_of(table)
    shape = (arms, draws, subjects)
    readings = {r.assay: np.full((*shape, design.visits.size), np.nan) for r in rules}
    stopped, fired = np.full(shape, np.inf), {r.table.name: np.zeros(shape, dtype=bool) for r in rules}
    log: list[tuple[Any, ...]] = []
    for visit in range(design.visits.size):
        for name in readings:
            readings[name][..., visit] = _read_now(design, pool, name, visit, seed)
        changed = False
        for rule in rules:
            hit = rule.holds(readings[rule.assay][..., : visit + 1]) & np.isinf(stopped)
            hit &= ~fired[rule.table.name] if rule.table.then in _ONCE else True
            fired[rule.table.name] |= hit
            if rule.table.then == "stop":
                stopped = np.where(hit, design.visits[visit], stopped)
            for run in np.flatnonzero(hit.ravel()).tolist():
                subject = run % subjects
                now = float(given.start[subject] + design.visits[visit])
                doses[run] = changed_doses(doses[run], rule, now=now, extra=_extra(rule, table, pool, subject))
                log.append((rule.table.name, rule.table.then, run, visit, design.visits[visit]))
                changed = True
        if changed:
            computed = compute_pool(table, labels, adjusted(design, table, given, doses))
            pool = as_pool(table, labels, computed, given)
    made = Pool(**{**pool.__dict__, "readings": readings, "stopped": stopped})
    return computed, made, _log(log, design, shape)


def read_rules(design: Design, table: RunTable) -> list[Rule]:
    """Return the rules of a trial.

    Raises
    ------
    ScenarioError
        If one does not fit the assays or doses.
    """
    names = [dose_name(d.name, k) for k, d in enumerate(table.scenario.dose, 1)]
    where = f"{table.inputs.name if table.inputs is not None else 'scenario'}.toml rule"
    return [
        read_rule(rule, design.assays, names, delay=design.time(rule.by, f"{where} '{rule.name}' by", 0.0),
                  where=f"{where} '{rule.name}'")
        for rule in design.rules
    ]  # fmt: skip


def _doses(table: RunTable, given: Givens, design: Design) -> dict[int, list[Dose]]:
    """Return the doses of every run, one by one."""
    named = design.product.doses if design.product is not None else ()
    made: dict[int, list[Dose]] = {}
    for group in rows(table, 0, table.size):
        subjects = positions(table, group.members)["subject"]
        for run, which, subject in zip(group.members.tolist(), group.which.tolist(), subjects.tolist(), strict=True):
            made[run] = own_doses(group.schedules[which], given, subject, named)
    return made


def _read_now(design: Design, pool: Pool, name: str, visit: int, seed: int) -> FloatArray:
    """Return the reading of every patient of the pool at a visit: the same whatever is done later."""
    assay = design.assays[name]
    when = np.broadcast_to(design.visits[: visit + 1], (*pool.ok.shape, visit + 1))
    times = pool.start[None, :, None] + when
    latent = [interpolated(pool.times, curve, np.broadcast_to(times, (len(curve), *times.shape)))
              for curve in (pool.curves[output] for output in outputs_of(assay))]  # fmt: skip
    # one draw decides about all grades of a patient
    purpose = f"rule {name}" if assay.kind == "grade" else f"rule {name} visit {visit}"
    since = np.broadcast_to(when, latent[0].shape)
    return observe(assay, latent, since, design, pool.units, generator(seed=seed, purpose=purpose))[1][..., -1]


def _extra(rule: Rule, table: RunTable, pool: Pool, subject: int) -> Dose | None:
    """Return the dose that a rule gives, for a patient's weight."""
    if rule.table.then not in ("give", "rescue"):
        return None
    number, found = next(
        (k, d) for k, d in enumerate(table.scenario.dose, 1) if dose_name(d.name, k) == rule.table.dose
    )
    single = found.model_copy(update={"every": None, "count": None, "time": None})
    weight = float(pool.weight[subject])
    equations = table.equations or write_equations(table.model)
    return regimen_dose(single, number, equations, None if np.isnan(weight) else weight, f"rule '{rule.table.name}'")[0]


def _log(entries: list[tuple[Any, ...]], design: Design, shape: tuple[int, int, int] = (1, 1, 1)) -> xr.Dataset:
    """Return the log of rules, one row for each time that one acted on a patient of the pool."""
    runs = np.array([e[2] for e in entries], dtype=np.int64)
    arm, draw, subject = np.unravel_index(runs, shape)
    return xr.Dataset({
        "rule": ("action", np.array([e[0] for e in entries], dtype=object)),
        "then": ("action", np.array([e[1] for e in entries], dtype=object)),
        "arm": ("action", np.array([design.arms[a] for a in arm], dtype=object)),
        "draw_index": ("action", draw.astype(np.int64)), "subject_index": ("action", subject.astype(np.int64)),
        "visit": ("action", np.array([e[3] for e in entries], dtype=np.int64)),
        "time": ("action", np.array([e[4] for e in entries], dtype=np.float64), {"units": design.time_unit}),
    })  # fmt: skip
