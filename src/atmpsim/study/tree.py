"""Label what was computed: the groups of a result over the dimension `run`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from atmpsim.results.dataset import statuses, trajectories
from atmpsim.results.digest import BLOCK
from atmpsim.results.provenance import provenance, root_attributes
from atmpsim.results.summary import label_metrics
from atmpsim.results.variables import UNKNOWN_UNIT, describe
from atmpsim.scenario.dosing import GivenDose
from atmpsim.scenario.reader import Inputs
from atmpsim.scenario.rows import positions, rows
from atmpsim.scenario.table import RunTable
from atmpsim.study.compute import Computed
from atmpsim.study.labels import Labels, run_coordinates
from atmpsim.study.tissue import label_fields

MOST_LOGGED = 20_000
"""Runs up to which every dose of every run is logged; beyond, those of the first subject of each arm and point."""


def label_computed(table: RunTable, labels: Labels, computed: Computed) -> dict[str, xr.Dataset]:
    """Return the groups that have one row a run."""
    rows = run_coordinates(table, labels, computed.begin, computed.begin + computed.size)
    unit = table.model.time_unit or UNKNOWN_UNIT
    described = {name: (v.units, v.long_name) for name, v in labels.variables.items()}
    groups = {
        "summary": label_metrics(dict(computed.metrics), table.metrics, described, unit_of_time=unit),
        "parameters": _parameters(table, labels, computed),
        "status": _status(table, computed),
    }
    if not table.summary_only:
        groups["trajectories"] = trajectories(
            computed.curves, times=table.times, time_units=unit, variables=labels.variables, detection=labels.limits
        )
    if computed.fields:
        groups["fields"] = label_fields(table, computed.fields)
    return {name: dataset.assign_coords(rows) for name, dataset in groups.items()}


def block_of(table: RunTable) -> int:
    """Return the runs that are hashed together: one where a run is long, so that each can be stored by itself."""
    return BLOCK if table.agents is None else 1


def label_rest(table: RunTable, labels: Labels, inputs: Inputs) -> dict[str, xr.Dataset]:
    """Return the groups that do not depend on what comes out: root, doses, grid and provenance."""
    scenario = table.scenario
    extra: dict[str, Any] = {
        "question": scenario.question, "context_of_use": scenario.context_of_use, "model": table.model.id,
        "caution": table.model.caution, "engine": scenario.engine, "runs_per_block": block_of(table),
    }  # fmt: skip
    model = table.model if table.agents is None else table.agents
    origin = provenance(inputs.as_json(), inputs_sha256=inputs.sha256, model_sha256=model.digest, seed=inputs.seed)
    return {
        "/": xr.Dataset(attrs=root_attributes(title=scenario.title, notes=table.notes, extra=extra)),
        "doses": doses(table, labels),
        "grid": labels.grid,
        "provenance": xr.Dataset(attrs=origin),
    }


def _parameters(table: RunTable, labels: Labels, computed: Computed) -> xr.Dataset:
    """Return every parameter's value at the start, one column a parameter (an array each would cost a file each)."""
    described = [describe(table.model, k) for k in labels.parameters]
    return xr.Dataset(
        {"value": (("run", "parameter"), computed.parameters,
                   {"long_name": "value at the start", "units": "see units"})},
        coords={
            "parameter": np.array(labels.parameters, dtype=object),
            "units": ("parameter", np.array([v.units for v in described], dtype=object)),
            "long_name": ("parameter", np.array([v.long_name for v in described], dtype=object)),
        },
    )  # fmt: skip


def _status(table: RunTable, computed: Computed) -> xr.Dataset:
    dataset = statuses(computed.status.tolist(), computed.messages)
    assert table.inputs is not None
    seed = np.full(computed.size, table.inputs.seed, dtype=np.int64)
    dataset["seed"] = ("run", seed, {"long_name": "root seed"})
    dataset["steps"] = ("run", computed.steps, {"long_name": "steps of the solver"})
    return dataset


def doses(table: RunTable, labels: Labels) -> xr.Dataset:
    """Return the log of every dose that was given, one row a dose.

    In a table of very many runs only those of the first subject, draw and replicate of each arm and point; an
    attribute says so, and amounts per kg follow each subject's weight in `/parameters`.
    """
    everyone = table.size <= MOST_LOGGED
    shape = table.shape
    inner = shape["subject"] * shape["replicate"] * shape.get("draw", 1)
    runs = range(table.size) if everyone else range(0, table.size, inner)[:MOST_LOGGED]
    flat = list(_given(table, runs))
    where = positions(table, np.array([run for run, _ in flat], dtype=np.int64))
    made: dict[str, Any] = {}
    for name, coordinate in labels.grid.coords.items():
        if name not in ("replicate", "draw", "point"):
            values = coordinate.values[where[str(coordinate.dims[0])]]
            made[str(name)] = ("dose", values, coordinate.attrs)
    units = {q.id: q.unit for q in table.model.quantities.values()}
    texts = {"name": [d.name for _, d in flat], "into": [d.into for _, d in flat],
             "amount_units": [units.get(d.into) or UNKNOWN_UNIT for _, d in flat]}  # fmt: skip
    made |= {k: ("dose", np.array(v, dtype=object)) for k, v in texts.items()}
    made |= _numbers(table, [d for _, d in flat])
    note = {} if everyone else {"note": "doses of the first subject of each arm and point; per kg they follow weight"}
    return xr.Dataset(made, attrs=note)


def _given(table: RunTable, runs: range) -> Iterator[tuple[int, GivenDose]]:
    """Yield number and dose of every dose of some runs, in order; neighbours are written out together."""
    length = 512 if runs.step == 1 else 1
    for begin in range(runs.start, runs.stop, length * runs.step):
        found = []
        for group in rows(table, begin, min(begin + length, runs.stop)):
            for run, which in zip(group.members.tolist(), group.which.tolist(), strict=True):
                found += [(run, dose) for dose in group.schedules[which].log]
        yield from sorted(found, key=lambda entry: entry[0])


def _numbers(table: RunTable, given: list[GivenDose]) -> dict[str, Any]:
    time = {"units": table.model.time_unit or UNKNOWN_UNIT}
    numbers = {
        "time": ([d.time for d in given], {**time, "long_name": "time of the dose, before any lag"}),
        "start": ([d.start for d in given], {**time, "long_name": "time at which the dose starts to enter"}),
        "duration": ([d.duration for d in given], {**time, "long_name": "length of the infusion, 0 for a bolus"}),
        "amount": ([d.amount for d in given], {"units": "see amount_units", "long_name": "amount given"}),
        "bioavailability": ([d.bioavailability for d in given], {"units": "1", "long_name": "share that enters"}),
    }
    return {k: ("dose", np.array(v, dtype=np.float64), attrs) for k, (v, attrs) in numbers.items()}
