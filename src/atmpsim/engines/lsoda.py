"""Integrate a model's equations with SciPy's LSODA on the compiled derivatives.

The output grid never drives the solver: it stops where a dose, an event or a timed condition changes the
equations, and samples are read off the method's own interpolant in between. LSODA: Petzold 1983 SIAM J Sci
Stat Comput 4:136, doi:10.1137/0904010.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import LSODA

from atmpsim.compile.llvm import Derivatives
from atmpsim.engines.timing import Firing, firings, one_time, resolution, switch_times, switch_values
from atmpsim.engines.trajectory import Failure, FloatArray, Status, Tolerances, Trajectory
from atmpsim.model.equations import Equations
from atmpsim.model.evaluate import evaluate
from atmpsim.model.graph import TIME, symbol_of
from atmpsim.scenario.dosing import SAMPLE_AFTER, Schedule, breakpoints

# LSODA may begin a stiff stretch with a few steps too small to advance time; at a pole it takes them for ever
_STUCK_STEPS = 200


def integrate(
    equations: Equations,
    derivatives: Derivatives,
    *,
    leaves: dict[str, float],
    schedule: Schedule,
    times: FloatArray,
    tolerances: Tolerances,
    sample: str = SAMPLE_AFTER,
) -> Trajectory:
    """Return the trajectory of one run.

    Parameters
    ----------
    leaves
        Initial value of every state and constant (see `initial_leaves`).
    times
        Sample times, sorted, within the schedule's span.
    sample
        Which side of a dose or event a sample at that very time shows: `before` or `after`.
    """
    run = _Run(equations, derivatives, leaves, schedule, tolerances)
    recorder = _Recorder(times, run, sample)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LSODA warns of what its status says as well
            _advance_all(run, recorder)
    except _Stopped as stopped:
        return recorder.trajectory(run.steps, stopped.failure)
    return recorder.trajectory(run.steps, None)


def _advance_all(run: _Run, recorder: _Recorder) -> None:
    stops = run.stops
    recorder.at(stops[0], "before")
    for begin, end in pairwise(stops):
        run.change(begin)
        recorder.at(begin, "after")
        run.open_segment(begin, end)
        recorder.between(begin, end)
        for solver in run.steps_between(begin, end):
            recorder.inside(solver, end)
        recorder.at(end, "before")
    run.change(stops[-1])
    recorder.at(stops[-1], "after")


class _Stopped(Exception):
    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class _Run:
    """The state of one integration between its stops."""

    def __init__(
        self, equations: Equations, derivatives: Derivatives, leaves: dict[str, float], schedule: Schedule,
        tolerances: Tolerances,
    ) -> None:  # fmt: skip
        self.equations, self.schedule, self.tolerances = equations, schedule, tolerances
        self.index = {s: k for k, s in enumerate(equations.states)}
        self.y = np.array([leaves[s] for s in equations.states], dtype=np.float64)
        self.p = np.array([leaves.get(c, 0.0) for c in equations.constants], dtype=np.float64)
        self.y_start, self.p_start = self.y.copy(), self.p.copy()
        self.inflow: FloatArray | None = None
        self.steps = 0
        self.fired, self.stops = self._plan()
        self._call = derivatives.call
        self._p_address = self.p.ctypes.data

    def symbols(self, time: float) -> dict[str, ArrayLike]:
        """Return every leaf and time, as the evaluator wants them."""
        values: dict[str, ArrayLike] = {symbol_of(s): self.y[k] for s, k in self.index.items()}
        values |= {symbol_of(c): self.p[k] for k, c in enumerate(self.equations.constants)}
        return values | {TIME: time}

    def _plan(self) -> tuple[tuple[Firing, ...], list[float]]:
        """Return the firings of events, and the times at which the equations change, both ends included."""
        schedule, symbols = self.schedule, self.symbols(self.schedule.start)
        fired = firings(self.equations, symbols, schedule)
        fixed = {schedule.start, schedule.end, *breakpoints(schedule)}
        # a dose at 0.3 and an event at 0.1 * 3 are one stop: no solver crosses the rounding between them
        one = one_time([*(f.time for f in fired), *switch_times(self.equations, symbols, schedule)], fixed)
        return tuple(f._replace(time=one[f.time]) for f in fired), sorted(fixed | set(one.values()))

    def change(self, time: float) -> None:
        """Do what happens at one instant: resets, events, then boluses."""
        if time in self.schedule.resets:
            self.y[:], self.p[:] = self.y_start, self.p_start
        self._fire([f for f in self.fired if f.time == time])
        for given, into, amount in self.schedule.boluses:
            if given == time:
                self.y[self.index[into]] += amount

    def _fire(self, firings: Sequence[Firing]) -> None:
        """Carry out the events of one instant; SBML takes all their values before any of them acts."""
        if not firings:
            return
        assignments = [a for firing in firings for a in firing.event.assignments]
        values = evaluate(self.equations.graph, [n for _, n in assignments], self.symbols(firings[0].time))
        for (target, _), value in zip(assignments, values, strict=True):
            if target in self.index:
                self.y[self.index[target]] = value
            else:
                self.p[self.equations.constants.index(target)] = value

    def open_segment(self, begin: float, end: float) -> None:
        """Set what is constant between two stops: timed conditions and the inflow of infusions."""
        middle = 0.5 * (begin + end)
        for name, value in switch_values(self.equations, self.symbols(middle)).items():
            self.p[self.equations.constants.index(name)] = value
        self.inflow = None
        for start, stop, into, rate in self.schedule.infusions:
            if start <= begin and stop >= end and start < stop:
                self.inflow = np.zeros_like(self.y) if self.inflow is None else self.inflow
                self.inflow[self.index[into]] += rate

    def slope(self, t: float, y: FloatArray) -> FloatArray:
        """Return dy/dt, infusions included."""
        result = np.empty_like(y)
        self._call(t, y.ctypes.data, self._p_address, result.ctypes.data)
        if self.inflow is not None:
            result += self.inflow
        return result

    def steps_between(self, begin: float, end: float) -> Iterator[LSODA]:
        """Advance from one stop to the next, yielding after every step."""
        # SciPy refuses a state that is not finite with an error of its own
        slope = np.where(np.isfinite(self.y), self.slope(begin, self.y), np.nan)
        if not np.isfinite(slope).all():
            raise self._stopped(Status.NOT_FINITE, begin, self.y, slope)
        if self.y.size == 0:
            return
        tolerances = self.tolerances
        solver = LSODA(self.slope, begin, self.y, end, rtol=tolerances.rtol, atol=tolerances.atol)
        stuck = 0
        while solver.status == "running":
            solver.step()
            self.steps += 1
            stuck = stuck + 1 if solver.t == solver.t_old else 0
            if solver.status == "failed":
                raise self._stopped(self._reason(solver), solver.t, solver.y, self.slope(solver.t, solver.y))
            if not np.isfinite(solver.y).all():
                raise self._stopped(Status.NOT_FINITE, solver.t, solver.y, solver.y)
            if stuck > _STUCK_STEPS:
                raise self._stopped(Status.STEP_UNDERFLOW, solver.t, solver.y, self.slope(solver.t, solver.y))
            if self.steps > tolerances.max_steps:
                raise self._stopped(Status.STEP_LIMIT, solver.t, solver.y, self.slope(solver.t, solver.y))
            yield solver
        self.y[:] = solver.y

    def _reason(self, solver: LSODA) -> Status:
        if not np.isfinite(self.slope(solver.t, solver.y)).all():
            return Status.NOT_FINITE
        tiny = solver.step_size is None or solver.step_size < 1e-13 * max(abs(solver.t), 1e-13)
        return Status.STEP_UNDERFLOW if tiny else Status.SOLVER_FAILED

    def _stopped(self, status: Status, time: float, y: FloatArray, slope: FloatArray) -> _Stopped:
        scale = self.tolerances.atol + self.tolerances.rtol * np.abs(y)
        badness = np.where(np.isfinite(slope), np.abs(slope) / scale, np.inf)
        worst = int(np.argmax(badness))
        return _Stopped(
            Failure(status=status, time=float(time), state=self.equations.states[worst], value=float(y[worst]))
        )


class _Recorder:
    """Samples of the states and constants at the output times."""

    def __init__(self, times: FloatArray, run: _Run, sample: str) -> None:
        self.times, self.run, self.sample = times.copy(), run, sample
        near = resolution(run.stops)
        for stop in run.stops:
            first, last = np.searchsorted(times, stop - near, "left"), np.searchsorted(times, stop + near, "right")
            self.times[first:last] = stop
        self.states = np.full((times.size, run.y.size), np.nan)
        self.constants = np.full((times.size, run.p.size), np.nan)

    def at(self, time: float, side: str) -> None:
        """Record the samples exactly at a stop, if they want this side of it."""
        if side == self.sample:
            first, last = np.searchsorted(self.times, time, "left"), np.searchsorted(self.times, time, "right")
            self.states[first:last], self.constants[first:last] = self.run.y, self.run.p

    def between(self, begin: float, end: float) -> None:
        """Record what stays fixed between two stops (a model without states takes no step)."""
        first, last = np.searchsorted(self.times, begin, "right"), np.searchsorted(self.times, end, "left")
        self.constants[first:last] = self.run.p

    def inside(self, solver: LSODA, end: float) -> None:
        """Record the samples within the last step, its far end included unless a stop is there."""
        first = np.searchsorted(self.times, solver.t_old, "right")
        last = np.searchsorted(self.times, solver.t, "left" if solver.t >= end else "right")
        if first < last:
            self.states[first:last] = solver.dense_output()(self.times[first:last]).T

    def trajectory(self, steps: int, failure: Failure | None) -> Trajectory:
        return Trajectory(states=self.states, constants=self.constants, steps=steps, failure=failure)
