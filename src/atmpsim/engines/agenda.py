"""What a model's events do, and in which order: the semantics of SBML Level 3 Version 2, section 4.11.

An event is set off where its trigger turns true, and carried out after its delay. Of those that are due at one
instant the one of highest priority is carried out first, priorities being worked out anew each time. Among those of
equal priority chance decides, by numbers that are the same in every run; those without a priority come last, in the
order in which they were set off, then in the order of the model. After each one all triggers are looked at again, which
may set off more events, or call off those that are not persistent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atmpsim.engines.course import Course
from atmpsim.engines.edges import Edges
from atmpsim.engines.trajectory import FloatArray, Status

# Assumption: more events at one instant than this set one another off without end.
MAX_AT_ONCE = 10_000
_SEED = 0  # SBML wants chance among equal priorities; a run must still come out the same twice


@dataclass(frozen=True, kw_only=True, eq=False)
class Pending:
    """An event that has been set off: when it is due, and its values if those of the trigger's time count."""

    event: int
    due: float
    values: FloatArray | None


class Agenda:
    """The events of one trajectory: the truth of their triggers, and those that are pending."""

    def __init__(self, course: Course, edges: Edges) -> None:
        self.course, self.edges = course, edges
        self.events = course.equations.events
        self.truth = np.array([e.initially_true for e in self.events], dtype=bool)
        self.pending: list[Pending] = []
        self.chance = np.random.default_rng(_SEED)

    def begin(self, at: FloatArray) -> None:
        """Set off the events of the start; `at` are the edges' leaves at that very time.

        A trigger that is true at one instant only, such as `time == 0`, is set off at the start as well, where
        SBML's rule (it counts as true before) would leave it without any effect.
        """
        if self.events:
            pulse = self._triggers(at) & ~self._triggers(self.edges.leaves)
            self.truth &= ~pulse
            self.look(at)

    def restart(self) -> None:
        """Forget what is pending, and take the triggers' truth from how things are now without setting off any."""
        self.pending.clear()
        self.truth = self._triggers(self.edges.leaves)

    def look(self, at: FloatArray | None = None) -> None:
        """Look at all triggers: set off events, call off others."""
        if not self.events:
            return
        after = self._triggers(self.edges.leaves)
        moment = after if at is None else after | self._triggers(at)
        self.pending = [p for p in self.pending if after[p.event] or self.events[p.event].persistent]
        for k in np.flatnonzero(moment & ~self.truth):
            self._set_off(int(k), lasting=bool(after[k]))
        self.truth = after

    def next_due(self) -> float:
        """Return when the next pending event is due."""
        return min((p.due for p in self.pending), default=np.inf)

    def carry_out(self) -> bool:
        """Carry out all that is due now, and all that follows from it at once; return whether there was anything."""
        for count in range(MAX_AT_ONCE + 1):
            due = [p for p in self.pending if p.due <= self.course.t + self.course.near]
            if not due:
                return count > 0
            chosen = self._first(due)
            self.pending.remove(chosen)
            self._carry_out(chosen)
        course = self.course
        raise course.stopped(Status.EVENTS_WITHOUT_END, course.t, course.y, np.zeros_like(course.y))

    def _triggers(self, leaves: FloatArray) -> np.ndarray:
        course = self.course
        kept = self.edges.leaves.copy()
        self.edges.leaves[:] = leaves
        values = course.values(course.scalar.triggers, course.t, course.y)
        self.edges.leaves[:] = kept
        return (values != 0.0) & ~np.isnan(values)

    def _set_off(self, k: int, *, lasting: bool) -> None:
        event, now = self.events[k], self.course.t
        numbers = self._numbers(k)
        delay = float(numbers[0])
        if delay < 0.0 or not np.isfinite(delay):
            raise self.course.stopped(Status.NOT_FINITE, now, self.course.y, np.zeros_like(self.course.y))
        if delay and not (lasting or event.persistent):
            return
        values = numbers[2 : 2 + len(event.assignments)] if event.early else None
        self.pending.append(Pending(event=k, due=now + delay, values=values))

    def _numbers(self, k: int) -> FloatArray:
        """Return an event's delay, priority, values and volumes as of now."""
        self.course.look_back(self.course.t, self.course.y)
        return self.course.scalar.events[k](self.course.t, self.course.y, self.course.p)

    def _first(self, due: list[Pending]) -> Pending:
        if len(due) == 1:
            return due[0]
        priorities = []
        for pending in due:
            without = self.events[pending.event].priority is None
            value = -np.inf if without else float(self._numbers(pending.event)[1])
            priorities.append(-np.inf if np.isnan(value) else value)
        highest = max(priorities)
        equal = [p for p, priority in zip(due, priorities, strict=True) if priority == highest]
        return equal[self.chance.integers(len(equal)) if len(equal) > 1 and highest > -np.inf else 0]

    def _carry_out(self, pending: Pending) -> None:
        course, k = self.course, pending.event
        targets = [target for target, _ in self.events[k].assignments]
        now = self._numbers(k)
        values = now[2 : 2 + len(targets)] if pending.values is None else pending.values
        # all is set at once: a concentration makes an amount by the compartment as it was, which then keeps it
        for target, value, size in zip(targets, values, now[2 + len(targets) :], strict=True):
            course.put(target, value * size if target in course.equations.volumes else value)
        course.hold()
        self.edges.take()
        self.look()
