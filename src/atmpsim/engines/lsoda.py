"""Integrate a model's equations with SciPy's LSODA on the compiled derivatives.

The output grid never drives the solver: it stops where a dose, an event or an edge changes the equations, and samples
are read off the method's own interpolant in between. What is known beforehand (doses, conditions of time, delayed
events) is a stop; any other edge is located on the interpolant. LSODA: Petzold 1983 SIAM J Sci Stat Comput 4:136,
doi:10.1137/0904010.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.integrate import LSODA

from atmpsim.compile.scalar import Scalar
from atmpsim.engines.agenda import Agenda
from atmpsim.engines.course import Course, Stopped
from atmpsim.engines.edges import Edges
from atmpsim.engines.recorder import Recorder
from atmpsim.engines.trajectory import FloatArray, Status, Tolerances, Trajectory
from atmpsim.scenario.dosing import SAMPLE_AFTER, Schedule

# LSODA may begin a stiff stretch with a few steps too small to advance time; at a pole it takes them for ever
_STUCK_STEPS = 200
# a trajectory that crosses edges this often in next to no time (a part of the run) slides along one, or its events
# come ever faster. Assumption: nothing that goes on does so; a jump in the derivatives is then left to LSODA
_SLIDES, _NO_TIME = 30, 1e-9
# a jump comes back as a jump after a delay, then as kinks that are ever weaker
_ECHOES = 4


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
            _Run(course, recorder).to_the_end()
    except Stopped as stopped:
        return recorder.trajectory(course.steps, stopped.failure)
    return recorder.trajectory(course.steps, None)


class _Step(NamedTuple):
    begin: float
    end: float
    dense: Callable[[FloatArray | float], FloatArray]


class _Run:
    """Goes from instant to instant."""

    def __init__(self, course: Course, recorder: Recorder) -> None:
        self.course, self.recorder = course, recorder
        self.edges = Edges(course)
        self.agenda = Agenda(course, self.edges)
        self.ahead: dict[int, float] = {}
        self.echoes: list[tuple[float, int]] = []
        self.slides, self.hits, self.last_hit = 0, 0, -np.inf
        self.since = 0  # steps since the last crossing

    def to_the_end(self) -> None:
        course, recorder = self.course, self.recorder
        at = self._begin()
        recorder.before()
        self.agenda.begin(at)
        self._instant(self.edges.just_ahead())
        recorder.happened()
        while course.t < course.schedule.end:
            hits = self._advance(self._next_stop())
            recorder.before()
            course.past.between(course.t, np.inf, course.near)
            self._instant(hits)
            recorder.happened()

    def _begin(self) -> FloatArray:
        course, edges = self.course, self.edges
        course.look_back(course.t, course.y)
        at = edges.at_start()
        for _ in range(3):  # what is held may itself have edges
            course.hold()
            edges.take(near=0.0)
        course.keep_start()
        self._echo(0)
        return at

    def _next_stop(self) -> float:
        """Return the next time at which something is known to happen, a time of the schedule if one is that near."""
        course = self.course
        limit = course.t + course.near
        times = [t for t in course.fixed if t > limit][:1]
        self.ahead = self.edges.crossings()
        times += [*self.ahead.values(), *(t for t in (self.agenda.next_due(),) if t > limit)]
        times += [t for t, _ in self.echoes if t > limit]
        first = min(times)
        return next((t for t in course.fixed if abs(t - first) <= course.near), first)

    def _instant(self, hits: dict[int, float]) -> None:
        """Do all that happens now: resets, edges that are crossed, events, boluses and the events these set off."""
        course = self.course
        if course.t in course.schedule.resets:
            course.reset()
            course.hold()
            self.edges.take(keep=hits)
            self.agenda.restart()
        if hits:
            at = self.edges.cross(hits)
            course.hold()
            self.edges.take()
            self.agenda.look(at)
        self._change()

    def _change(self) -> None:
        course = self.course
        self.agenda.carry_out()
        given = [(into, amount) for time, into, amount in course.schedule.boluses if time == course.t]
        for into, amount in given:
            course.y[course.index[into]] += amount
        if given:
            course.hold()
            self.edges.take()
            self.agenda.look()
            self.agenda.carry_out()
        if course.past.moves:
            self._echo(min((n for t, n in self.echoes if abs(t - course.t) <= course.near), default=-1) + 1)

    def _echo(self, number: int) -> None:
        """Note when a jump of now, or its echo of a number, comes back in delayed values."""
        course = self.course
        if course.past.moves and number < _ECHOES:
            self.echoes = [(t, n) for t, n in self.echoes if t > course.t + course.near]
            spans = course.past.spans(course.t, course.y, course.p)
            self.echoes += [(course.t + span, number) for span in spans if span > course.near]

    def _advance(self, stop: float) -> dict[int, float]:
        """Go to the next stop, or to where an edge is crossed before it; return the edges crossed there."""
        course, edges = self.course, self.edges
        due = [k for k, t in self.ahead.items() if abs(t - stop) <= course.near]
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
            self.recorder.until(end, step.dense, stop=bool(found) or end >= stop)
            course.t, course.y[:] = end, step.dense(end) if found else course.y
            if found:
                self.since = 0
                return self._hit(found[1], due if end == stop else [])
        return {k: edges.beyond(k) for k in due}

    def _hit(self, found: dict[int, float], due: Sequence[int]) -> dict[int, float]:
        course = self.course
        span = course.schedule.end - course.schedule.start
        self.slides = self.slides + 1 if course.t - self.last_hit < _NO_TIME * span else 0
        self.last_hit = course.t
        self.hits += 1
        self._limit(self.hits)
        if self.slides > _SLIDES:
            self._slide(found)
        return found | {k: self.edges.beyond(k) for k in due}

    def _slide(self, found: dict[int, float]) -> None:
        course = self.course
        if course.whole or not any(course.scalar.pieces.of_motion[k] for k in found):
            raise course.stopped(Status.EVENTS_WITHOUT_END, course.t, course.y, course.slope(course.t, course.y))
        course.whole, self.slides = True, 0
        self.edges.only_triggers()

    def _limit(self, count: int) -> None:
        """Count a step; raise if this was one too many since the last crossing, or one crossing too many."""
        course = self.course
        course.steps += 1
        if count > course.tolerances.max_steps:
            raise course.stopped(Status.STEP_LIMIT, course.t, course.y, course.slope(course.t, course.y))

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
        self._limit(self.since)

    def _reason(self, solver: LSODA) -> Status:
        if not np.isfinite(self.course.slope(solver.t, solver.y)).all():
            return Status.NOT_FINITE
        tiny = solver.step_size is None or solver.step_size < 1e-13 * max(abs(solver.t), 1e-13)
        return Status.STEP_UNDERFLOW if tiny else Status.SOLVER_FAILED
