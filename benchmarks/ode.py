"""Work against precision of the batch solver and of libRoadRunner, interleaved in one process on one core.

`python -m benchmarks ode [TRAJECTORIES]` prints, for each workload and tolerance, trajectories per second and the
median achieved error, then the ratio at equal achieved error (log-log interpolation between tolerances), and ends
with one line of JSON. The error of a trajectory is the largest over states and samples of
`|y - exact| / (|exact| + 1e-4 peak)`; exact is LSODA on scalar code at rtol 1e-12.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
import roadrunner
from numpy.typing import NDArray

from atmpsim.engines.ensemble import Ensemble, gather
from atmpsim.engines.program import Program, prepare
from atmpsim.engines.solve import solve
from atmpsim.engines.start import initial_leaves
from atmpsim.engines.trajectory import Tolerances
from atmpsim.scenario.dosing import Schedule, breakpoints, expand
from benchmarks._workloads import Workload, workloads

FloatArray = NDArray[np.float64]
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
WANTED = (1e-3, 1e-5, 1e-6)
REPEATS = 3
CHECKED = 8  # trajectories with an exact solution
PEER = 24  # trajectories of the peer in one timing


def main(arguments: Sequence[str]) -> None:
    """Print a table for each workload and one line of JSON at the end."""
    count = int(arguments[0]) if arguments else 512
    roadrunner.Logger.setLevel(roadrunner.Logger.LOG_FATAL)
    ratios = {w.name: _compare(w, count) for w in workloads()}
    print(json.dumps(ratios))


@contextmanager
def _silence() -> Iterator[None]:
    """Hide what the peer's solver writes to the file descriptors itself: thousands of warnings at tight tolerances."""
    sys.stdout.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with open(os.devnull, "wb") as nowhere:
        for number in kept:
            os.dup2(nowhere.fileno(), number)
    try:
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


def _compare(workload: Workload, count: int) -> dict[str, float]:
    program = prepare(workload.model)
    ensemble = _ensemble(workload, program, count)
    exact = _exact(workload, program, ensemble)
    peer = _Peer(workload, program, ensemble)
    _ours(workload, program, ensemble, 1e-2)  # compiled before it counts
    print(f"\n{workload.name}: {len(program.equations.states)} states, width {program.batch.width}")
    print("tolerance    ours/s      error   fallbacks |  libRoadRunner/s      error")
    ours, theirs = [], []
    for tolerance in TOLERANCES:
        pairs = [(_ours(workload, program, ensemble, tolerance), peer.run(tolerance)) for _ in range(REPEATS)]
        rate = statistics.median(p[0][0] for p in pairs)
        peer_rate = statistics.median(p[1][0] for p in pairs)
        error = _error(workload, program, pairs[0][0][1][:CHECKED], exact)
        peer_error = _error(workload, program, pairs[0][1][1][:CHECKED], exact)
        ours.append((error, rate))
        theirs.append((peer_error, peer_rate))
        print(
            f"{tolerance:9.0e} {rate:10.0f} {error:10.1e} {pairs[0][0][2]:11d} | {peer_rate:16.1f} {peer_error:10.1e}"
        )
    ratios = {f"{e:.0e}": round(_at(ours, e) / _at(theirs, e), 1) for e in WANTED}
    print("times libRoadRunner at equal error: " + ", ".join(f"{r:g} at {e}" for e, r in ratios.items()))
    return ratios


def _ensemble(workload: Workload, program: Program, count: int) -> Ensemble:
    leaves = initial_leaves(program.equations, workload.draw(count), start=0.0, where=workload.name)
    schedule = expand(workload.doses, start=0.0, end=float(workload.times[-1]), where=workload.name)
    return gather(program.equations, leaves, count=count, schedules=[schedule])


def _limits(program: Program, tolerance: float) -> Tolerances:
    return Tolerances(rtol=tolerance, atol=np.full(len(program.equations.states), 1e-4 * tolerance))


def _exact(workload: Workload, program: Program, ensemble: Ensemble) -> FloatArray:
    few = replace(ensemble, initial=ensemble.initial[:CHECKED], constants=ensemble.constants[:CHECKED])
    solution = solve(
        program, few, times=workload.times, tolerances=_limits(program, 1e-12), method="lsoda", sample="before"
    )
    return solution.states


def _ours(workload: Workload, program: Program, ensemble: Ensemble, tolerance: float) -> tuple[float, FloatArray, int]:
    started = time.perf_counter()
    solution = solve(
        program, ensemble, times=workload.times, tolerances=_limits(program, tolerance), sample="before", threads=1
    )
    elapsed = time.perf_counter() - started
    return ensemble.size / elapsed, solution.states[:CHECKED], len(solution.fallbacks)


def _error(workload: Workload, program: Program, found: FloatArray, exact: FloatArray) -> float:
    keep = [k for k, s in enumerate(program.equations.states) if s not in workload.left_out]
    peak = np.abs(exact).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(found - exact) / (np.abs(exact) + 1e-4 * peak)
    relative = np.where(peak > workload.floor, relative, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a trajectory that the peer gave up is NaN throughout
        return float(np.nanmedian(np.nanmax(relative[:, :, keep], axis=(1, 2))))


def _at(points: Sequence[tuple[float, float]], error: float) -> float:
    """Return the rate at an achieved error, interpolated log-log."""
    ordered = sorted(p for p in points if all(map(math.isfinite, p)))
    return float(np.exp(np.interp(np.log(error), *(np.log([p[k] for p in ordered]) for k in (0, 1)))))


class _Peer:
    """libRoadRunner on the same trajectories: doses by split calls, set-up outside the timing."""

    def __init__(self, workload: Workload, program: Program, ensemble: Ensemble) -> None:
        self.workload, self.ensemble, self.equations = workload, ensemble, program.equations
        self.runner = roadrunner.RoadRunner(workload.model.sbml)
        self.states = program.equations.states
        self.runner.timeCourseSelections = ["time", *self.states]

    def run(self, tolerance: float) -> tuple[float, FloatArray]:
        """Return trajectories per second and the states of the first ones."""
        self.runner.integrator.relative_tolerance = tolerance
        self.runner.integrator.absolute_tolerance = 1e-4 * tolerance
        found, elapsed, solved = [], 0.0, 0
        for k in range(min(PEER, self.ensemble.size)):
            self._reset(k)
            try:
                with _silence():
                    seconds, states = self._one(self.ensemble.schedule(k))
            except RuntimeError:  # it asks for more accuracy than it can have after a dose: not counted
                found.append(np.full((self.workload.times.size, len(self.states)), math.nan))
                continue
            elapsed += seconds
            solved += 1
            found.append(states)
        return solved / elapsed if solved else math.nan, np.stack(found)

    def _reset(self, k: int) -> None:
        constants = dict(zip(self.equations.constants, self.ensemble.constants[k], strict=True))
        self.runner.resetToOrigin()
        for name in (*self.workload.varied, *self.workload.model.initial_assignments):
            if name in self.workload.model.parameters and name not in self.states:
                self.runner[name] = constants[name]
        for name, value in zip(self.states, self.ensemble.initial[k], strict=True):
            self.runner[name] = value

    def _one(self, schedule: Schedule) -> tuple[float, FloatArray]:
        times = self.workload.times
        stops = sorted({0.0, float(times[-1]), *breakpoints(schedule)})
        out = np.empty((times.size, len(self.states)))
        elapsed = 0.0
        for begin, end in pairwise(stops):
            if self.workload.inflow_parameter:
                rates = [rate for start, stop, _, rate in schedule.infusions if start <= begin < stop]
                self.runner[self.workload.inflow_parameter] = sum(rates)
            for given, into, amount in schedule.boluses:
                if given == begin:
                    self.runner[into] = self.runner[into] + amount
            inside = [t for t in times if begin < t <= end]
            grid = [begin, *inside] + ([] if inside and inside[-1] == end else [end])
            started = time.perf_counter()
            block = np.array(self.runner.simulate(times=grid))
            elapsed += time.perf_counter() - started
            rows = {t: k for k, t in enumerate(grid)}
            for k, t in enumerate(times):
                if begin < t <= end or (t == begin == 0.0):
                    out[k] = block[rows[float(t)], 1:]
        return elapsed, out
