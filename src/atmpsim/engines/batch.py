"""Integrate many trajectories of one model side by side, by the compiled Rosenbrock solver."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from atmpsim.compile.batch import Batch
from atmpsim.compile.driver import load_driver
from atmpsim.engines.actions import Action, plan_actions, table
from atmpsim.engines.ensemble import Ensemble, FloatArray, IntArray
from atmpsim.engines.timing import resolution
from atmpsim.engines.trajectory import Tolerances
from atmpsim.kernels.arguments import AFTER, BEFORE, Actions, Course, Limits, Output, Scratch, flatten
from atmpsim.model.equations import Equations
from atmpsim.model.graph import symbol_of
from atmpsim.scenario.dosing import SAMPLE_AFTER, SAMPLE_BEFORE

CHUNK = 256  # trajectories a thread takes at a time: long enough to keep its lanes full
SIDES = {SAMPLE_BEFORE: BEFORE, SAMPLE_AFTER: AFTER}


def integrate_batch(
    equations: Equations,
    batch: Batch,
    *,
    ensemble: Ensemble,
    times: FloatArray,
    kept: IntArray,
    tolerances: Tolerances,
    sample: str = SAMPLE_AFTER,
    threads: int | None = None,
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the samples (trajectory, time, kept state), and status and number of attempts of each trajectory.

    Parameters
    ----------
    kept
        The indices of the states to sample.
    threads
        How many threads share the work; results do not depend on it. All cores by default.
    """
    count, schedule = ensemble.size, ensemble.schedules[0]
    states, edges = len(equations.states), batch.edges.slot.size
    nothing = np.zeros((count, edges))
    course = Course(
        start=np.full(count, schedule.start), end=np.full(count, schedule.end), reached=np.zeros(count),
        initial=ensemble.initial, final=np.empty((count, states)), constants=ensemble.constants, cells=nothing,
        beyond=nothing,
    )  # fmt: skip
    output = Output(
        times=times, kept=kept, samples=np.empty((count, times.size, kept.size)),
        next=np.zeros(count, dtype=np.int64), status=np.full(count, -1, dtype=np.int64),
        attempts=np.zeros(count, dtype=np.int64),
    )  # fmt: skip
    limits = limits_of(tolerances, start=schedule.start, end=schedule.end, side=SIDES[sample])
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        work = partial(advance, batch, _plans(equations, ensemble), limits, course, output)
        list(pool.map(work, range(0, count, CHUNK)))
    for k in np.flatnonzero(output.next < times.size):  # given up before
        output.samples[k, output.next[k] :] = np.nan
    return output.samples, output.status, output.attempts


def limits_of(tolerances: Tolerances, *, start: float, end: float, side: int) -> Limits:
    """Return the driver's limits for runs over a span of time."""
    return Limits(
        rtol=tolerances.rtol, atol=tolerances.atol, span=end - start, attempts=tolerances.max_steps, side=side,
        resolution=resolution((start, end)),
    )  # fmt: skip


def advance(
    batch: Batch, actions: Actions, limits: Limits, course: Course, output: Output, begin: int, size: int = CHUNK
) -> None:
    """Advance trajectories from `begin` on in this thread; the driver lets go of the GIL."""
    scratch, end = _scratch(batch), min(begin + size, len(course.start))
    arguments = flatten(batch.code, batch.rows, actions, limits, batch.edges, scratch, course, output, begin, end)
    load_driver()(arguments.ctypes.data)


def _plans(equations: Equations, ensemble: Ensemble) -> Actions:
    """Return every trajectory's actions; trajectories share a plan where only their values differ."""
    shared = not equations.switches
    plans: list[list[Action]] = []
    numbers = np.zeros(ensemble.size, dtype=np.int64)
    known: dict[int, int] = {}
    for k in range(ensemble.size):
        schedule = ensemble.schedule(k)
        if id(schedule) not in known or not shared:
            known[id(schedule)] = len(plans)
            plans.append(plan_actions(equations, schedule, _symbols(equations, ensemble, k)))
        numbers[k] = known[id(schedule)]
    return table(plans, numbers)


def _symbols(equations: Equations, ensemble: Ensemble, k: int) -> dict[str, float]:
    """Return a trajectory's leaves at the start, which timed conditions may depend on."""
    if not equations.switches:
        return {}
    found = dict(zip(map(symbol_of, equations.states), ensemble.initial[k].tolist(), strict=True))
    return found | dict(zip(map(symbol_of, equations.constants), ensemble.constants[k].tolist(), strict=True))


def _scratch(batch: Batch) -> Scratch:
    """Return zeroed rows that begin at a multiple of 64 bytes, as wide vectors want them, and the lanes' numbers."""
    layout = batch.layout
    memory = np.zeros(layout.rows * batch.width + 8)
    offset = (-memory.ctypes.data) % 64 // 8
    workspace = memory[offset : offset + layout.rows * batch.width]
    workspace[layout.atol * batch.width : layout.hoisted * batch.width] = 1.0
    who, sampled, ahead, acted, slides = (np.zeros(batch.width, dtype=np.int64) for _ in range(5))
    low, high, crossing = (np.zeros(batch.width) for _ in range(3))
    return Scratch(workspace, who, sampled, ahead, acted, slides, low, high, crossing)
