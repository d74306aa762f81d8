"""Run a scenario: expand it, integrate every run, label, summarise and store."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from atmpsim.engines.ensemble import gather
from atmpsim.engines.program import prepare
from atmpsim.engines.solve import needed_states, observe, solve
from atmpsim.engines.start import initial_leaves
from atmpsim.engines.trajectory import Failure, Status
from atmpsim.results.dataset import statuses, trajectories
from atmpsim.results.provenance import provenance, root_attributes
from atmpsim.results.store import check_target, on_grid, write
from atmpsim.results.summary import summarise
from atmpsim.results.variables import UNKNOWN_UNIT, describe
from atmpsim.scenario.reader import Inputs, load_inputs
from atmpsim.scenario.table import Run, RunTable, expand_runs
from atmpsim.study.failure import failure_message
from atmpsim.study.simulate import tolerances

Progress = Callable[[int, int], None]


def run(
    scenario: str | os.PathLike[str] | Inputs,
    *,
    out: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> xr.DataTree:
    """Run a scenario and return its result, stored if `out` is given.

    Parameters
    ----------
    scenario
        A path, a shipped scenario's id, or inputs that were loaded already.
    out
        Where to store the result: a name that ends in `.zarr` or `.nc`.
    overrides
        Values by path (`dose.NAME.key`, `parameters.ID`, …) that replace the scenario's.
    overwrite
        Replace a result of other input that stands at `out`.
    progress
        Called with the number of runs done and of all runs.

    Returns
    -------
    DataTree
        As `open_results` returns it.

    Raises
    ------
    InputError
        If the scenario, its model or `out` cannot be used; nothing is written then.
    """
    inputs = scenario if isinstance(scenario, Inputs) else load_inputs(scenario, overrides=overrides, seed=seed)
    table = expand_runs(inputs)
    target = Path(out) if out is not None else None
    if target is not None:
        check_target(target, inputs_sha256=inputs.sha256, overwrite=overwrite)
    tree = execute(table, inputs, progress=progress)
    if target is not None:
        write(tree, target)
    return on_grid(tree)


@dataclass(frozen=True, kw_only=True)
class _Done:
    """A run that was integrated: its values at the start, its kept variables over time, and how it ended."""

    row: Run
    constants: Mapping[str, float]
    values: Mapping[str, NDArray[np.float64]]
    steps: int
    failure: Failure | None


def execute(table: RunTable, inputs: Inputs, *, progress: Progress | None = None) -> xr.DataTree:
    """Return the result of every run of a table, over the dimension `run`."""
    done: list[_Done] = []
    for rows in _alike(table.runs):
        done += _integrate(table, rows)
        if progress is not None:
            progress(len(done), len(table.runs))
    order = {id(row): k for k, row in enumerate(table.runs)}
    return _tree(table, inputs, sorted(done, key=lambda d: order[id(d.row)]))


def _alike(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs in groups that share machine code: the same quantities given."""
    groups: dict[frozenset[str], list[Run]] = {}
    for row in runs:
        groups.setdefault(frozenset(row.given), []).append(row)
    return list(groups.values())


def _integrate(table: RunTable, rows: Sequence[Run]) -> list[_Done]:
    program = prepare(table.model, fixed=rows[0].given)
    equations, solver = program.equations, table.scenario.solver
    each = [
        initial_leaves(equations, row.given, start=0.0, where=f"arm '{row.arm}' subject {row.subject}") for row in rows
    ]
    leaves = {name: np.array([float(e[name]) for e in each]) for name in each[0]}
    ensemble = gather(equations, leaves, count=len(rows), schedules=[row.schedule for row in rows])
    limits = tolerances(equations, rtol=solver.rtol, atol=solver.atol, max_steps=solver.max_steps, where="[solver]")
    solution = solve(
        program, ensemble, times=table.times, tolerances=limits, states=needed_states(equations, table.keep),
        method=solver.method, sample=table.scenario.time.sample_at_dose,
    )  # fmt: skip
    values = observe(equations, solution, times=table.times, select=table.keep)
    return [
        _Done(
            row=row,
            constants=dict(zip(equations.constants, ensemble.constants[k].tolist(), strict=True)),
            values={name: v[k] for name, v in values.items()},
            steps=int(solution.steps[k]),
            failure=solution.failures.get(k),
        )
        for k, row in enumerate(rows)
    ]


def _tree(table: RunTable, inputs: Inputs, done: Sequence[_Done]) -> xr.DataTree:
    model = table.model
    rows = {
        "arm": ("run", [d.row.arm for d in done]),
        "subject": ("run", [d.row.subject for d in done]),
        "replicate": ("run", np.zeros(len(done), dtype=np.int64)),
    }
    curves = _trajectories(table, done).assign_coords(rows)
    groups = {
        "/": xr.Dataset(attrs=_root(table)),
        "/trajectories": curves,
        "/doses": _doses(table),
        "/parameters": _parameters(table, done).assign_coords(rows),
        "/summary": summarise(curves, table.metrics).assign_coords(rows),
        "/status": _status(table, inputs, done).assign_coords(rows),
        "/provenance": xr.Dataset(
            attrs=provenance(inputs.as_json(), inputs_sha256=inputs.sha256, model_sha256=model.digest, seed=inputs.seed)
        ),
    }
    return xr.DataTree.from_dict(groups)


def _root(table: RunTable) -> dict[str, object]:
    scenario = table.scenario
    extra = {"question": scenario.question, "context_of_use": scenario.context_of_use, "model": table.model.id}
    return root_attributes(title=scenario.title, notes=table.notes, extra=extra)


def _trajectories(table: RunTable, done: Sequence[_Done]) -> xr.Dataset:
    values = {name: np.stack([d.values[name] for d in done]) for name in table.keep}
    variables = {name: describe(table.model, name) for name in table.keep}
    limits = {name: _limit(v.limit_of_detection, done) for name, v in variables.items() if v.limit_of_detection}
    return trajectories(
        values,
        times=table.times,
        time_units=table.model.time_unit or UNKNOWN_UNIT,
        variables=variables,
        detection=limits,
    )


def _limit(parameter: str, done: Sequence[_Done]) -> float:
    """Return the limit of detection; where it differs between runs, the largest (the cautious reading)."""
    return float(max(d.constants[parameter] for d in done))


def _parameters(table: RunTable, done: Sequence[_Done]) -> xr.Dataset:
    """Return every parameter's value at the start, one column a parameter (an array each would cost a file each)."""
    names = [k for k in (*table.model.parameters, *table.model.compartments) if k in done[0].constants]
    columns = [[d.constants[k] for k in names] for d in done]
    described = [describe(table.model, k) for k in names]
    return xr.Dataset(
        {"value": (("run", "parameter"), np.array(columns), {"long_name": "value at the start", "units": "see units"})},
        coords={
            "parameter": np.array(names, dtype=object),
            "units": ("parameter", np.array([v.units for v in described], dtype=object)),
            "long_name": ("parameter", np.array([v.long_name for v in described], dtype=object)),
        },
    )


def _doses(table: RunTable) -> xr.Dataset:
    """Return the log of every dose that was given, one row a dose."""
    time = {"units": table.model.time_unit or UNKNOWN_UNIT}
    given = [(row, dose) for row in table.runs for dose in row.schedule.log]
    units = [(q.unit if (q := table.model.quantity(d.into)) else "") or UNKNOWN_UNIT for _, d in given]
    texts = {
        "arm": [r.arm for r, _ in given],
        "subject": [r.subject for r, _ in given],
        "name": [d.name for _, d in given],
        "into": [d.into for _, d in given],
        "amount_units": units,
    }
    numbers = {
        "time": ([d.time for _, d in given], {**time, "long_name": "time of the dose, before any lag"}),
        "start": ([d.start for _, d in given], {**time, "long_name": "time at which the dose starts to enter"}),
        "duration": ([d.duration for _, d in given], {**time, "long_name": "length of the infusion, 0 for a bolus"}),
        "amount": ([d.amount for _, d in given], {"units": "see amount_units", "long_name": "amount given"}),
        "bioavailability": ([d.bioavailability for _, d in given], {"units": "1", "long_name": "share that enters"}),
    }
    made: dict[str, Any] = {k: ("dose", np.array(v, dtype=object)) for k, v in texts.items()}
    made |= {k: ("dose", np.array(v, dtype=np.float64), attrs) for k, (v, attrs) in numbers.items()}
    return xr.Dataset(made)


def _status(table: RunTable, inputs: Inputs, done: Sequence[_Done]) -> xr.Dataset:
    codes = [d.failure.status if d.failure else Status.OK for d in done]
    messages = [
        failure_message(
            table.model, d.failure, where=f"run {k} (subject {d.row.subject}, arm {d.row.arm})",
            last_dose=_last_dose(d.row, d.failure.time if d.failure else 0.0),
        )
        for k, d in enumerate(done)
    ]  # fmt: skip
    dataset = statuses(codes, messages)
    dataset["seed"] = ("run", np.full(len(done), inputs.seed, dtype=np.int64), {"long_name": "root seed"})
    dataset["steps"] = ("run", np.array([d.steps for d in done]), {"long_name": "steps of the solver"})
    return dataset


def _last_dose(row: Run, time: float) -> str:
    given = [d for d in row.schedule.log if d.start <= time]
    return f"dose {len(given)} ({given[-1].name})" if given else ""
