"""Integrate a model's equations with SciPy's LSODA on the compiled derivatives.

The output grid never drives the solver: it stops where a dose, an event or an edge changes the equations, and samples
are read off the method's own interpolant in between. What is known beforehand (doses, conditions of time, delayed
events) is a stop; any other edge is located on the interpolant. LSODA: Petzold 1983 SIAM J Sci Stat Comput 4:136,
doi:10.1137/0904010.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.integrate import LSODA

from atmpsim.compile.scalar import Scalar
from atmpsim.engines.course import Course, Stopped
from atmpsim.engines.itinerary import Itinerary
from atmpsim.engines.recorder import Recorder
from atmpsim.engines.trajectory import FloatArray, Status, Tolerances, Trajectory
from atmpsim.scenario.dosing import SAMPLE_AFTER, Schedule

# LSODA may begin a stiff stretch with a few steps too small to advance time; at a pole it takes them for ever
_STUCK_STEPS = 200


def integrate(
    scalar: Scalar,
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
    course = Course(scalar, leaves, schedule, tolerances)
    recorder = Recorder(times, course, sample)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LSODA warns of what its status says as well
            itinerary = Itinerary(course, recorder)
            stepper = _Stepper(itinerary)
            itinerary.begin()
            while not itinerary.ended:
                itinerary.arrive(stepper.advance(itinerary.next_stop()))
    except Stopped as stopped:
        return recorder.trajectory(course.steps, stopped.failure)
    return recorder.trajectory(course.steps, None)


class _Step(NamedTuple):
    begin: float
    end: float
    dense: Callable[[FloatArray | float], FloatArray]


class _Stepper:
    """Brings a trajectory from instant to instant by LSODA."""

    def __init__(self, itinerary: Itinerary) -> None:
        self.itinerary, self.course = itinerary, itinerary.course
        self.since = 0  # steps since the last crossing

    def advance(self, stop: float) -> dict[int, float]:
        """Go to the next stop, or to where an edge is crossed before it; return the edges crossed there."""
        course, edges = self.course, self.itinerary.edges
        begin = course.t
        course.infuse(stop)
        course.past.between(course.t, stop, course.near)
        fixed = course.p.copy()
        for step in self._steps(stop):
            found = edges.search(step.begin, step.end, step.dense, fresh=step.begin == begin)
            end = found[0] if found else step.end
            if found and end >= stop - course.near:
                end = stop
            if course.past:
                course.past.add(step.begin, end, step.dense, fixed)
            self.itinerary.recorder.until(end, step.dense, stop=bool(found) or end >= stop)
            course.t, course.y[:] = end, step.dense(end) if found else course.y
            if found:
                self.since = 0
                return self.itinerary.hit(found[1], self.itinerary.due(stop) if end == stop else [])
        return self.itinerary.cells_at_stop(stop)

    def _steps(self, end: float) -> Iterator[_Step]:
        """Advance the course to a time, yielding every step after it is taken."""
        course = self.course
        # SciPy refuses a state that is not finite with an error of its own
        slope = np.where(np.isfinite(course.y), course.slope(course.t, course.y), np.nan)
        if not np.isfinite(slope).all():
            raise course.stopped(Status.NOT_FINITE, course.t, course.y, slope)
        if course.y.size == 0:
            begin, course.t = course.t, end
            yield _Step(begin, end, lambda t: np.empty((0, *np.shape(t))))
            return
        solver = self._solver(end)
        stuck = 0
        while solver.status == "running":
            solver.step()
            self._check(solver)
            stuck = stuck + 1 if solver.t == solver.t_old else 0
            if stuck > _STUCK_STEPS:
                raise course.stopped(Status.STEP_UNDERFLOW, solver.t, solver.y, course.slope(solver.t, solver.y))
            if stuck:
                continue
            course.t, course.y[:] = solver.t, solver.y
            yield _Step(solver.t_old, solver.t, solver.dense_output())

    def _solver(self, end: float) -> LSODA:
        course, tolerances = self.course, self.course.tolerances
        longest = np.inf
        if course.past.moves:  # a step must not look back into itself
            spans = course.past.spans(course.t, course.y, course.p)
            longest = min(spans[spans > course.near], default=np.inf)
        return LSODA(
            course.slope, course.t, course.y.copy(), end, rtol=tolerances.rtol, atol=tolerances.atol, max_step=longest
        )

    def _check(self, solver: LSODA) -> None:
        course = self.course
        if solver.status == "failed":
            raise course.stopped(self._reason(solver), solver.t, solver.y, course.slope(solver.t, solver.y))
        if not np.isfinite(solver.y).all():
            raise course.stopped(Status.NOT_FINITE, solver.t, solver.y, solver.y)
        self.since += 1
        course.steps += 1
        if self.since > course.tolerances.max_steps:
            raise course.stopped(Status.STEP_LIMIT, course.t, course.y, course.slope(course.t, course.y))

    def _reason(self, solver: LSODA) -> Status:
        if not np.isfinite(self.course.slope(solver.t, solver.y)).all():
            return Status.NOT_FINITE
        tiny = solver.step_size is None or solver.step_size < 1e-13 * max(abs(solver.t), 1e-13)
        return Status.STEP_UNDERFLOW if tiny else Status.SOLVER_FAILED
