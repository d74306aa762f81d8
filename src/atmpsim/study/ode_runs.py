"""Runs of a table by the ODE engine: many side by side."""

from __future__ import annotations

import numpy as np

from atmpsim.engines.ensemble import gather
from atmpsim.engines.program import Program, prepare
from atmpsim.engines.solve import Solution, needed_states, observe, solve
from atmpsim.engines.start import initial_leaves
from atmpsim.engines.trajectory import Failure
from atmpsim.scenario.dosing import Schedule
from atmpsim.scenario.rows import Group
from atmpsim.scenario.table import RunTable
from atmpsim.study.failure import failure_message
from atmpsim.study.labels import Labels, run_label
from atmpsim.study.simulate import tolerances
from atmpsim.study.solved import Solved


def run_odes(table: RunTable, labels: Labels, group: Group, *, threads: int | None) -> Solved:
    """Return some runs of an ODE model."""
    program, found = _integrate(table, group, threads)
    constants = program.equations.constants
    size = group.members.size
    status, messages = np.zeros(size, dtype=np.int8), [""] * size
    for k, failure in found.failures.items():
        status[k] = failure.status
        schedule = group.schedules[int(group.which[k])]
        messages[k] = _message(table, int(group.members[k]), failure, schedule)
    return Solved(
        curves=observe(program.equations, found, times=table.times, select=table.keep),
        parameters=found.constants[:, 0][:, [constants.index(name) for name in labels.parameters]],
        status=status.tolist(), steps=found.steps.tolist(), messages=messages,
    )  # fmt: skip


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
