"""Samples of a trajectory at the output times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from atmpsim.engines.course import Course
from atmpsim.engines.trajectory import Failure, FloatArray, Trajectory
from atmpsim.scenario.dosing import SAMPLE_AFTER

Dense = Callable[[FloatArray], FloatArray]


class Recorder:
    """States and constants at sample times; a time that only rounding parts from a stop is at the stop."""

    def __init__(self, times: FloatArray, course: Course, sample: str, states: FloatArray | None = None) -> None:
        self.times, self.course, self.after = times, course, sample == SAMPLE_AFTER
        self.states = np.full((times.size, course.y.size), np.nan) if states is None else states
        self.constants = np.full((times.size, len(course.equations.constants)), np.nan)
        self.done = 0

    def before(self) -> None:
        """Record the samples at this instant, before anything happens at it."""
        if not self.after:
            self._here(self.done)

    def happened(self) -> None:
        """Record the samples at this instant, after all that happens at it."""
        if self.after:
            self._here(int(np.searchsorted(self.times, self.course.t - self.course.near, "left")))

    def _here(self, first: int) -> None:
        last = int(np.searchsorted(self.times, self.course.t + self.course.near, "right"))
        if first < last:
            course = self.course
            course.look_back(course.t, course.y)
            self.states[first:last] = course.y
            self.constants[first:last] = course.p[: self.constants.shape[1]]
        self.done = max(self.done, last)

    def until(self, end: float, dense: Dense, *, stop: bool) -> None:
        """Record the samples up to a time within the last step, that time itself excluded if it is a `stop`."""
        if stop:
            last = int(np.searchsorted(self.times, end - self.course.near, "left"))
        else:
            last = int(np.searchsorted(self.times, end, "right"))
        if last <= self.done:
            return
        rows = slice(self.done, last)
        self.states[rows] = dense(self.times[rows]).T
        if self.course.past:
            for k in range(self.done, last):
                self.course.look_back(float(self.times[k]), np.ascontiguousarray(self.states[k]))
                self.constants[k] = self.course.p[: self.constants.shape[1]]
        else:
            self.constants[rows] = self.course.p[: self.constants.shape[1]]
        self.done = last

    def took(self, last: int) -> None:
        """Note that the states of all samples up to a number were written, all from one stretch."""
        self.constants[self.done : last] = self.course.p[: self.constants.shape[1]]
        self.done = max(self.done, last)

    def trajectory(self, steps: int, failure: Failure | None) -> Trajectory:
        """Return what was recorded."""
        return Trajectory(states=self.states, constants=self.constants, steps=steps, failure=failure)
