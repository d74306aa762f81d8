"""Compute a part of the table of runs: integrate, observe and summarise, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from atmpsim.engines.ensemble import gather
from atmpsim.engines.program import Program, prepare
from atmpsim.engines.solve import Solution, needed_states, observe, solve
from atmpsim.engines.start import initial_leaves
from atmpsim.engines.trajectory import Failure, Status
from atmpsim.results.summary import metric_values
from atmpsim.scenario.dosing import Schedule
from atmpsim.scenario.rows import Group, positions, rows
from atmpsim.scenario.table import RunTable
from atmpsim.study.failure import failure_message
from atmpsim.study.labels import Labels, run_label
from atmpsim.study.simulate import tolerances

FloatArray = NDArray[np.float64]
Adjust = Callable[[Group], Group]
BATCH = 256
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

    @property
    def size(self) -> int:
        """Return the number of runs."""
        return int(self.status.size)


def compute(
    table: RunTable, labels: Labels, begin: int, end: int, *, threads: int | None = 1, adjust: Adjust | None = None
) -> Computed:
    """Return the runs `begin` to `end` of a table; what comes out does not depend on how a table is cut.

    Parameters
    ----------
    threads
        How many threads the solver takes; all cores if None.
    adjust
        Gives each run of a group a schedule of its own.
    """
    size, samples = end - begin, table.times.size
    curves = {name: np.empty((size, samples)) for name in table.keep}
    parameters = np.empty((size, len(labels.parameters)))
    status, steps = np.zeros(size, dtype=np.int8), np.zeros(size, dtype=np.int64)
    messages = [""] * size
    batch = BATCH if threads == 1 else 8 * BATCH
    for planned in rows(table, begin, end):
        group = planned if adjust is None else adjust(planned)
        for first in range(0, group.members.size, batch):
            part = group.part(first, first + batch)
            own = part.members - begin
            program, found = _integrate(table, part, threads)
            for name, values in observe(program.equations, found, times=table.times, select=table.keep).items():
                curves[name][own] = values
            constants = program.equations.constants
            parameters[own] = found.constants[:, 0][:, [constants.index(name) for name in labels.parameters]]
            steps[own] = found.steps
            for k, failure in found.failures.items():
                row = int(own[k])
                status[row] = failure.status
                messages[row] = _message(table, begin + row, failure, part.schedules[int(part.which[k])])
    curves |= _measured(table, curves, begin, end)
    made = metric_values(curves, table.metrics, table.times, labels.limits)
    return Computed(begin=begin, curves=curves, metrics=made, parameters=parameters, status=status, steps=steps,
                    messages=tuple(messages))  # fmt: skip


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


def _integrate(table: RunTable, group: Group, threads: int | None) -> tuple[Program, Solution]:
    program = prepare(table.model, fixed=group.given)
    equations, solver = program.equations, table.scenario.solver
    leaves = initial_leaves(equations, group.given, start=0.0, where=f"arm '{group.arm}'")
    schedules = [group.schedules[k] for k in group.which.tolist()] if len(group.schedules) > 1 else group.schedules
    ensemble = gather(equations, leaves, count=group.members.size, schedules=schedules)
    limits = tolerances(equations, rtol=solver.rtol, atol=solver.atol, max_steps=solver.max_steps, where="[solver]")
    solution = solve(
        program, ensemble, times=table.times, tolerances=limits, states=needed_states(equations, table.keep),
        method=solver.method, sample=table.scenario.time.sample_at_dose, threads=threads,
    )  # fmt: skip
    return program, solution


def _message(table: RunTable, run: int, failure: Failure, schedule: Schedule) -> str:
    given = [d for d in schedule.log if d.start <= failure.time]
    last = f"dose {len(given)} ({given[-1].name})" if given else ""
    return failure_message(table.model, failure, where=run_label(table, run), last_dose=last)


def failed(computed: Computed) -> int:
    """Return the number of runs that failed."""
    return int((computed.status != Status.OK).sum())
