"""What happens to one trajectory from instant to instant, however it gets from one to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atmpsim.engines.agenda import Agenda
from atmpsim.engines.course import Course
from atmpsim.engines.edges import Edges
from atmpsim.engines.recorder import Recorder
from atmpsim.engines.trajectory import FloatArray, Status
from atmpsim.kernels.arguments import NO_TIME, SLIDES

# a jump comes back as a jump after a delay, then as kinks that are ever weaker
_ECHOES = 4


class Itinerary:
    """The instants of a trajectory: `begin`, then go to `next_stop` or an edge before it, `arrive`, until `ended`."""

    def __init__(self, course: Course, recorder: Recorder) -> None:
        self.course, self.recorder = course, recorder
        self.edges = Edges(course)
        self.agenda = Agenda(course, self.edges)
        self.ahead: dict[int, float] = {}
        self.echoes: list[tuple[float, int]] = []
        self.slides, self.hits, self.last_hit = 0, 0, -np.inf

    @property
    def ended(self) -> bool:
        """Whether the trajectory is at its end."""
        return self.course.t >= self.course.schedule.end

    def begin(self) -> None:
        """Do all that happens at the start."""
        at = self._begin()
        self.recorder.before()
        self.agenda.begin(at)
        self._instant(self.edges.just_ahead())
        self.recorder.happened()

    def arrive(self, hits: dict[int, float]) -> None:
        """Do all that happens now, where edges are crossed that are given with their cells beyond."""
        course = self.course
        self.recorder.before()
        course.past.between(course.t, np.inf, course.near)
        self._instant(hits)
        self.recorder.happened()

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

    def next_stop(self) -> float:
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

    def due(self, stop: float) -> list[int]:
        """Return the edges affine in time that are crossed at a stop."""
        return [k for k, t in self.ahead.items() if abs(t - stop) <= self.course.near]

    def cells_at_stop(self, stop: float) -> dict[int, float]:
        """Return the edges that are crossed at a stop, with their cells beyond."""
        return {k: self.edges.beyond(k) for k in self.due(stop)}

    def hit(self, found: dict[int, float], due: Sequence[int]) -> dict[int, float]:
        """Count a crossing that was found; return all edges crossed now, with those that were due."""
        course = self.course
        span = course.schedule.end - course.schedule.start
        self.slides = self.slides + 1 if course.t - self.last_hit < NO_TIME * span else 0
        self.last_hit = course.t
        self.hits += 1
        course.steps += 1
        if self.hits > course.tolerances.max_steps:
            raise course.stopped(Status.STEP_LIMIT, course.t, course.y, course.slope(course.t, course.y))
        if self.slides > SLIDES:
            self._slide(found)
        return found | {k: self.edges.beyond(k) for k in due}

    def _slide(self, found: dict[int, float]) -> None:
        course = self.course
        if course.whole or not any(course.scalar.pieces.of_motion[k] for k in found):
            raise course.stopped(Status.EVENTS_WITHOUT_END, course.t, course.y, course.slope(course.t, course.y))
        course.whole, self.slides = True, 0
        self.edges.only_triggers()
