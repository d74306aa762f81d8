"""The solvers that the batch solver is compared with; set-up stays outside the timing."""

from __future__ import annotations

import ctypes
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import roadrunner
from numpy.typing import NDArray

from atmpsim.compile.llvm import compile_derivatives
from atmpsim.engines.ensemble import Ensemble
from atmpsim.engines.program import Program
from atmpsim.scenario.dosing import Schedule, breakpoints
from benchmarks._workloads import Workload

FloatArray = NDArray[np.float64]
COUNT = 24  # trajectories of a peer in one timing


class RoadRunner:
    """libRoadRunner (CVODE): doses by split calls."""

    name = "libRoadRunner"

    def __init__(self, workload: Workload, program: Program, ensemble: Ensemble) -> None:
        roadrunner.Logger.setLevel(roadrunner.Logger.LOG_FATAL)
        self.workload, self.ensemble, self.equations = workload, ensemble, program.equations
        self.runner = roadrunner.RoadRunner(workload.model.sbml)
        self.states = program.equations.states
        self.runner.timeCourseSelections = ["time", *self.states]

    def run(self, tolerance: float) -> tuple[float, FloatArray]:
        """Return trajectories per second and the states of the first ones; NaN where it gives up."""
        self.runner.integrator.relative_tolerance = tolerance
        self.runner.integrator.absolute_tolerance = 1e-4 * tolerance
        return _timed(self._one, self.ensemble, (self.workload.times.size, len(self.states)))

    def _reset(self, k: int) -> None:
        constants = dict(zip(self.equations.constants, self.ensemble.constants[k], strict=True))
        self.runner.resetToOrigin()
        for name in (*self.workload.varied, *self.workload.model.initial_assignments):
            if name in self.workload.model.parameters and name not in self.states:
                self.runner[name] = constants[name]
        for name, value in zip(self.states, self.ensemble.initial[k], strict=True):
            self.runner[name] = value

    def _one(self, k: int, out: FloatArray) -> float:
        self._reset(k)
        elapsed, schedule = 0.0, self.ensemble.schedule(k)
        for begin, _, grid, rows in _segments(self.workload.times, schedule):
            if self.workload.inflow_parameter:
                rates = [rate for start, stop, _, rate in schedule.infusions if start <= begin < stop]
                self.runner[self.workload.inflow_parameter] = sum(rates)
            for given, into, amount in schedule.boluses:
                if given == begin:
                    self.runner[into] = self.runner[into] + amount
            with _silence():
                started = time.process_time()
                block = np.array(self.runner.simulate(times=grid))
                elapsed += time.process_time() - started
            for row, place in rows.items():
                out[row] = block[place, 1:]
        return elapsed


class NumbaLsoda:
    """numbalsoda on our own compiled derivatives, which is generous to it."""

    name = "numbalsoda"

    def __init__(self, workload: Workload, program: Program, ensemble: Ensemble) -> None:
        from numba import carray, cfunc
        from numbalsoda import lsoda, lsoda_sig

        self.lsoda, self.workload, self.ensemble = lsoda, workload, ensemble
        self.index = {s: k for k, s in enumerate(program.equations.states)}
        size, numbers = len(self.index), ensemble.constants.shape[1] + len(self.index)
        self.derivatives = compile_derivatives(program.equations)
        address = ctypes.cast(self.derivatives.call, ctypes.c_void_p).value
        call = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_ssize_t)(address)

        @cfunc(lsoda_sig)
        def slope(t, u, du, p):  # type: ignore[no-untyped-def]
            y, dy, data = carray(u, (size,)), carray(du, (size,)), carray(p, (numbers,))
            call(t, y.ctypes.data, data.ctypes.data + 8 * size, dy.ctypes.data)
            for i in range(size):
                dy[i] += data[i]

        self.slope = slope

    def run(self, tolerance: float) -> tuple[float, FloatArray]:
        """Return trajectories per second and the states of the first ones; NaN where it gives up."""

        def one(k: int, out: FloatArray) -> float:
            return self._one(k, out, tolerance)

        return _timed(one, self.ensemble, (self.workload.times.size, len(self.index)))

    def _one(self, k: int, out: FloatArray, tolerance: float) -> float:
        elapsed, schedule, state = 0.0, self.ensemble.schedule(k), self.ensemble.initial[k].copy()
        for begin, _, grid, rows in _segments(self.workload.times, schedule):
            data = np.concatenate([np.zeros(state.size), self.ensemble.constants[k]])
            for start, stop, into, rate in schedule.infusions:
                if start <= begin < stop:
                    data[self.index[into]] += rate
            for given, into, amount in schedule.boluses:
                if given == begin:
                    state[self.index[into]] += amount
            started = time.process_time()
            block, success = self.lsoda(
                self.slope.address, state, np.array(grid), data=data, rtol=tolerance, atol=1e-4 * tolerance
            )
            elapsed += time.process_time() - started
            if not success:
                raise RuntimeError("numbalsoda gave up")
            state = block[-1].copy()
            for row, place in rows.items():
                out[row] = block[place]
        return elapsed


def _timed(
    one: Callable[[int, FloatArray], float], ensemble: Ensemble, shape: tuple[int, int]
) -> tuple[float, FloatArray]:
    found = np.full((min(COUNT, ensemble.size), *shape), math.nan)
    elapsed, solved = 0.0, 0
    for k in range(len(found)):
        try:
            elapsed += one(k, found[k])
            solved += 1
        except RuntimeError:  # it asks for more accuracy than it can have after a dose: not counted
            found[k] = math.nan
    return solved / elapsed if solved else math.nan, found


def _segments(times: FloatArray, schedule: Schedule) -> Iterator[tuple[float, float, list[float], dict[int, int]]]:
    """Return each span between doses: both ends, the times to stop at, and where each sample stands among them."""
    stops = sorted({schedule.start, float(times[-1]), *breakpoints(schedule)})
    for begin, end in pairwise(stops):
        inside = [float(t) for t in times if begin < t <= end]
        grid = [begin, *inside] + ([] if inside and inside[-1] == end else [end])
        place = {t: k for k, t in enumerate(grid)}
        yield (
            begin,
            end,
            grid,
            {k: place[float(t)] for k, t in enumerate(times) if begin < t <= end or t == begin == schedule.start},
        )


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
