"""Integrate many trajectories of one model side by side, by the compiled Rosenbrock solver."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from atmpsim.compile.batch import Batch
from atmpsim.compile.driver import load_driver
from atmpsim.engines.actions import plan_actions, table
from atmpsim.engines.ensemble import Ensemble, FloatArray, IntArray
from atmpsim.engines.timing import resolution
from atmpsim.engines.trajectory import Tolerances
from atmpsim.kernels.arguments import AFTER, BEFORE, Actions, Course, Limits, Output, Scratch, flatten
from atmpsim.model.equations import Equations
from atmpsim.model.graph import symbol_of
from atmpsim.scenario.dosing import SAMPLE_AFTER, SAMPLE_BEFORE

# trajectories that a thread takes at a time: enough to keep its lanes full, few enough to stop soon
_FEWEST, _MOST = 256, 1024
_PARTS = 4  # of a thread, so that threads end together
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
    threads = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        work = partial(advance, batch, _plans(equations, ensemble), limits, course, output)
        list(pool.map(work, parts_of(count, threads=threads)))
    for k in np.flatnonzero(output.next < times.size):  # given up before
        output.samples[k, output.next[k] :] = np.nan
    return output.samples, output.status, output.attempts


def parts_of(count: int, *, threads: int) -> list[range]:
    """Return the trajectories that a thread takes at a time."""
    size = _MOST if threads == 1 else min(max(_FEWEST, count // (_PARTS * threads)), _MOST)
    return [range(k, min(k + size, count)) for k in range(0, count, size)]


def limits_of(tolerances: Tolerances, *, start: float, end: float, side: int) -> Limits:
    """Return the driver's limits for runs over a span of time."""
    return Limits(
        rtol=tolerances.rtol, atol=tolerances.atol, span=end - start, attempts=tolerances.max_steps, side=side,
        resolution=resolution((start, end)),
    )  # fmt: skip


def advance(batch: Batch, actions: Actions, limits: Limits, course: Course, output: Output, part: range) -> None:
    """Advance some trajectories in this thread; the driver lets go of the GIL."""
    scratch = _scratch(batch)  # what `arguments` holds are addresses, which keep nothing alive
    arguments = flatten(
        batch.code, batch.rows, actions, limits, batch.edges, scratch, course, output, part.start, part.stop
    )
    load_driver()(arguments.ctypes.data)


def _plans(equations: Equations, ensemble: Ensemble) -> Actions:
    """Return every trajectory's actions; trajectories with one schedule share a plan where they can."""
    if equations.switches:  # what happens depends on a trajectory's own values
        plans = [
            plan_actions(equations, ensemble.schedule(k), _symbols(equations, ensemble, k))
            for k in range(ensemble.size)
        ]
        return table(plans, np.arange(ensemble.size))
    distinct = {id(s): s for s in ensemble.schedules}
    place = {name: k for k, name in enumerate(distinct)}
    numbers = np.array([place[id(s)] for s in ensemble.schedules], dtype=np.int64)
    return table([plan_actions(equations, s, {}) for s in distinct.values()], np.resize(numbers, ensemble.size))


def _symbols(equations: Equations, ensemble: Ensemble, k: int) -> dict[str, float]:
    """Return a trajectory's leaves at the start, which timed conditions may depend on."""
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
