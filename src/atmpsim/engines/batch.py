"""Integrate many trajectories of one model side by side, by the compiled Rosenbrock solver."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from atmpsim.compile.batch import Batch
from atmpsim.engines.actions import plan_actions, table
from atmpsim.engines.timing import resolution
from atmpsim.engines.trajectory import Tolerances, Trajectory
from atmpsim.kernels.rosenbrock import OK, Limits, advance
from atmpsim.model.equations import Equations
from atmpsim.model.graph import symbol_of
from atmpsim.scenario.dosing import SAMPLE_AFTER, Schedule

FloatArray = NDArray[np.float64]
CHUNK = 256  # trajectories a thread takes at a time: long enough to keep its lanes full


def integrate_batch(
    equations: Equations,
    batch: Batch,
    *,
    leaves: Sequence[Mapping[str, float]],
    schedules: Sequence[Schedule],
    times: FloatArray,
    tolerances: Tolerances,
    sample: str = SAMPLE_AFTER,
    threads: int | None = None,
) -> tuple[list[Trajectory], list[int]]:
    """Return the trajectories of several runs of one model, and the indices of those that failed.

    Parameters
    ----------
    leaves, schedules
        Initial values and doses of each run; all schedules have one start and one end.
    threads
        How many threads share the work; results do not depend on it. All cores by default.
    """
    initial = np.array([[run[s] for s in equations.states] for run in leaves])
    constants = np.array([[run.get(c, 0.0) for c in equations.constants] for run in leaves])
    constants = constants.reshape(len(leaves), len(equations.constants))
    actions = table([plan_actions(equations, s, _symbols(run)) for s, run in zip(schedules, leaves, strict=True)])
    samples = np.full((len(leaves), times.size, len(equations.states)), np.nan)
    status, counts = np.full(len(leaves), -1), np.zeros(len(leaves), dtype=np.int64)
    limits = Limits(
        tolerances.rtol, tolerances.atol, schedules[0].start, schedules[0].end, tolerances.max_steps,
        sample == SAMPLE_AFTER, resolution((schedules[0].start, schedules[0].end)),
    )  # fmt: skip

    def work(begin: int) -> None:
        end = min(begin + CHUNK, len(leaves))
        advance(
            batch.code, batch.rows, actions, limits, _workspace(batch), initial, constants, times, samples, status,
            counts, begin, end,
        )  # fmt: skip

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        list(pool.map(work, range(0, len(leaves), CHUNK)))
    done = [
        Trajectory(states=samples[k], constants=np.broadcast_to(constants[k], (times.size, constants.shape[1])),
                   steps=int(counts[k]))
        for k in range(len(leaves))
    ]  # fmt: skip
    return done, [k for k in range(len(leaves)) if status[k] != OK]


def _symbols(run: Mapping[str, float]) -> dict[str, float]:
    return {symbol_of(k): v for k, v in run.items()}


def _workspace(batch: Batch) -> FloatArray:
    """Return zeroed rows that begin at a multiple of 64 bytes, as wide vectors want them."""
    size = batch.layout.rows * batch.width
    memory = np.zeros(size + 8)
    offset = (-memory.ctypes.data) % 64 // 8
    return memory[offset : offset + size]
