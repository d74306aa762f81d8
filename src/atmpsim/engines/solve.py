"""Run trajectories of one model: in lanes where the model allows it, by LSODA otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atmpsim.engines.program import Program
from atmpsim.engines.trajectory import Tolerances, Trajectory
from atmpsim.scenario.dosing import SAMPLE_AFTER, Schedule

METHODS = ("rosenbrock", "lsoda")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One trajectory to run: initial value of every state and constant, and its doses."""

    leaves: Mapping[str, float]
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class Solved:
    """The trajectories in the order of their jobs, and the indices of those that LSODA had to run again."""

    trajectories: tuple[Trajectory, ...]
    fallbacks: tuple[int, ...] = ()


def solve(
    program: Program,
    jobs: Sequence[Job],
    *,
    times: NDArray[np.float64],
    tolerances: Tolerances,
    method: str = METHODS[0],
    sample: str = SAMPLE_AFTER,
    threads: int | None = None,
) -> Solved:
    """Return the trajectories of several jobs, which must share start and end.

    Parameters
    ----------
    method
        `rosenbrock` runs side by side what the model allows, and falls back to LSODA for what fails; `lsoda` runs
        everything by LSODA, one after the other.
    threads
        For `rosenbrock`; results do not depend on it. All cores by default.
    """

    def scalar(job: Job) -> Trajectory:
        from atmpsim.engines.lsoda import integrate  # SciPy's integrators take half a second to import

        return integrate(
            program.scalar,
            leaves=dict(job.leaves),
            schedule=job.schedule,
            times=times,
            tolerances=tolerances,
            sample=sample,
        )

    if method == "lsoda" or not program.goes_in_lanes:
        return Solved(trajectories=tuple(scalar(job) for job in jobs))
    from atmpsim.engines.batch import integrate_batch  # compiles the kernels

    found, failed = integrate_batch(
        program.equations, program.batch, leaves=[j.leaves for j in jobs], schedules=[j.schedule for j in jobs],
        times=times, tolerances=tolerances, sample=sample, threads=threads,
    )  # fmt: skip
    again = {k: scalar(jobs[k]) for k in failed}
    return Solved(
        trajectories=tuple(again.get(k, trajectory) for k, trajectory in enumerate(found)), fallbacks=tuple(failed)
    )
