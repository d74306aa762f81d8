"""Compute a part of the table of runs: simulate, measure and summarise, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from atmpsim.engines.trajectory import Status
from atmpsim.results.summary import metric_values
from atmpsim.scenario.rows import Group, positions, rows
from atmpsim.scenario.table import RunTable
from atmpsim.study.labels import Labels
from atmpsim.study.ode_runs import run_odes
from atmpsim.study.solved import Columns, Saving, Solved, stacked

FloatArray = NDArray[np.float64]
Adjust = Callable[[Group], Group]
BATCH = 1024
"""Runs that are integrated at a time: bounds the memory for states, which are more than what is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Computed:
    """What came out of some runs: arrays with one row a run, in the order of the table."""

    begin: int
    curves: Mapping[str, FloatArray]
    metrics: Mapping[str, FloatArray]
    parameters: FloatArray
    status: NDArray[np.int8]
    steps: NDArray[np.int64]
    messages: tuple[str, ...] = field(repr=False)
    fields: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    tables: Mapping[str, Columns] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        """Return the number of runs."""
        return int(self.status.size)


def compute(
    table: RunTable,
    labels: Labels,
    begin: int,
    end: int,
    *,
    threads: int | None = 1,
    adjust: Adjust | None = None,
    saving: Saving | None = None,
) -> Computed:
    """Return the runs `begin` to `end` of a table; what comes out does not depend on how a table is cut.

    Parameters
    ----------
    threads
        How many threads the solver takes; all cores if None.
    adjust
        Gives each run of a group a schedule of its own.
    saving
        Where runs that take long save their state, to go on from it; only the agent engine does.
    """
    made = nothing(table, labels, begin, end)
    batch = BATCH if threads == 1 else 2 * BATCH
    messages, tables = [""] * made.size, []
    for planned in rows(table, begin, end):
        group = planned if adjust is None else adjust(planned)
        for first in range(0, group.members.size, batch):
            part = group.part(first, first + batch)
            members = part.members - begin
            own = _rows(members)
            solved = _solve(table, labels, part, threads, saving)
            for name, values in solved.curves.items():
                made.curves[name][own] = values
            for name, field_values in solved.fields.items():
                made.fields[name][own] = field_values
            made.parameters[own], made.status[own], made.steps[own] = solved.parameters, solved.status, solved.steps
            for row, message in zip(members.tolist(), solved.messages, strict=True):
                messages[row] = message
            tables.append(solved.tables)
    curves = {**made.curves, **_measured(table, made.curves, begin, end)}
    metrics = metric_values(curves, table.metrics, table.times, labels.limits)
    return replace(made, curves=curves, metrics=metrics, messages=tuple(messages), tables=_in_order(stacked(tables)))


def _rows(own: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    """Return rows as a slice where they are neighbours: whole blocks are copied much faster."""
    first, last = int(own[0]), int(own[-1]) + 1
    return slice(first, last) if np.array_equal(own, np.arange(first, last)) else own


def _in_order(tables: Mapping[str, Columns]) -> dict[str, Columns]:
    """Return tables whose rows follow the order of the runs, as parts of a run's group may not."""
    made: dict[str, Columns] = {}
    for name, columns in tables.items():
        order = np.argsort(columns["run"], kind="stable")
        made[name] = {column: values[order] for column, values in columns.items()}
    return made


def _solve(table: RunTable, labels: Labels, group: Group, threads: int | None, saving: Saving | None) -> Solved:
    """Return some runs by the engine of the scenario."""
    if table.agents is None:
        return run_odes(table, labels, group, threads=threads)
    from atmpsim.study.agent_runs import run_agents  # only who needs the agents' kernels waits for them

    return run_agents(table, labels, group, threads=threads, saving=saving)


def nothing(table: RunTable, labels: Labels, begin: int, end: int) -> Computed:
    """Return the shape of some runs, without anything computed."""
    size = end - begin
    fields = {}
    if table.agents is not None:
        from atmpsim.study.agent_runs import no_fields

        shots = len(table.scenario.agents.snapshots)
        fields = {k: np.repeat(v[None], size, axis=0) for k, v in no_fields(table, shots).items()}
    curves = {name: np.empty((size, table.times.size)) for name in table.curves}
    return Computed(
        begin=begin, curves=curves, metrics={f"{k}.{metric}": np.full(size, np.nan) for k, metric in table.metrics},
        parameters=np.empty((size, len(labels.parameters))), status=np.zeros(size, dtype=np.int8),
        steps=np.zeros(size, dtype=np.int64), messages=("",) * size, fields=fields,
    )  # fmt: skip


def joined(parts: Sequence[Computed]) -> Computed:
    """Return neighbouring parts of a table as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return Computed(
        begin=first.begin,
        curves={k: np.concatenate([p.curves[k] for p in parts]) for k in first.curves},
        metrics={k: np.concatenate([p.metrics[k] for p in parts]) for k in first.metrics},
        parameters=np.concatenate([p.parameters for p in parts]),
        status=np.concatenate([p.status for p in parts]),
        steps=np.concatenate([p.steps for p in parts]),
        messages=tuple(message for p in parts for message in p.messages),
        fields={k: np.concatenate([p.fields[k] for p in parts]) for k in first.fields},
        tables=stacked([p.tables for p in parts]),
    )


def _measured(table: RunTable, curves: Mapping[str, FloatArray], begin: int, end: int) -> dict[str, FloatArray]:
    """Return what assays with an error show of the curves."""
    if table.population is None or not table.observed:
        return {}
    where = positions(table, np.arange(begin, end))
    draws = where.get("draw", np.zeros_like(where["arm"]))
    return {
        f"{name}.observed": table.population.measured(name, curves[name], where["subject"], draws, where["replicate"])
        for name in table.observed
    }


def failed(computed: Computed) -> int:
    """Return the number of runs that failed."""
    return int((computed.status != Status.OK).sum())
