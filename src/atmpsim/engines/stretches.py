"""Integrate many trajectories side by side from event to event: in lanes in between, one by one at each instant."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from atmpsim.engines.actions import Action, table
from atmpsim.engines.batch import advance, limits_of, parts_of
from atmpsim.engines.course import Course, Stopped
from atmpsim.engines.ensemble import Ensemble, FloatArray, IntArray
from atmpsim.engines.itinerary import Itinerary
from atmpsim.engines.program import Program
from atmpsim.engines.recorder import Recorder
from atmpsim.engines.trajectory import Tolerances
from atmpsim.kernels import arguments
from atmpsim.kernels.arguments import AT_EDGE, INSIDE, OK, SET_INFLOW

_STOPPED = -1  # an event went wrong


def integrate_stretches(
    program: Program,
    ensemble: Ensemble,
    *,
    times: FloatArray,
    tolerances: Tolerances,
    sample: str,
    threads: int | None = None,
) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    """Return states (trajectory, time, state), constants (trajectory, time, constant), status and attempts.

    Parameters
    ----------
    threads
        How many threads share the work; results do not depend on it. All cores by default.
    """
    threads = threads or os.cpu_count() or 1

    def work(part: Sequence[int]) -> _Group:
        group = _Group(program, ensemble.take(part), times, tolerances, sample)
        group.to_the_end()
        return group

    program.scalar, program.batch  # noqa: B018  # compiled once, before threads ask for them
    with ThreadPoolExecutor(threads) as pool:
        groups = list(pool.map(work, parts_of(ensemble.size, threads=threads)))
    return (
        np.concatenate([g.samples for g in groups]),
        np.concatenate([g.constants for g in groups]),
        np.concatenate([g.status for g in groups]),
        np.array([trip.course.steps for g in groups for trip in g.trips], dtype=np.int64),
    )


class _Group:
    """Some trajectories on their way: their itineraries, and the arrays that the driver reads and writes."""

    def __init__(
        self, program: Program, ensemble: Ensemble, times: FloatArray, tolerances: Tolerances, sample: str
    ) -> None:
        self.batch, self.equations, scalar = program.batch, program.equations, program.scalar
        count, states, edges = ensemble.size, len(self.equations.states), self.batch.edges.slot.size
        self.samples = np.full((count, times.size, states), np.nan)
        self.status = np.full(count, OK, dtype=np.int64)
        self.trips: list[Itinerary] = []
        for k in range(count):
            course = Course(scalar, ensemble.leaves(self.equations, k), ensemble.schedule(k), tolerances)
            self.trips.append(Itinerary(course, Recorder(times, course, sample, self.samples[k])))
        here = np.full(count, ensemble.schedules[0].end)  # who is at its end goes nowhere
        self.way = arguments.Course(
            start=here, end=here.copy(), reached=here.copy(), initial=np.zeros((count, states)),
            final=np.zeros((count, states)), constants=np.zeros((count, len(scalar.pieces.constants))),
            cells=np.zeros((count, edges)), beyond=np.zeros((count, edges)),
        )  # fmt: skip
        self.output = arguments.Output(
            times=times, kept=np.arange(states), samples=self.samples, next=np.zeros(count, dtype=np.int64),
            status=np.zeros(count, dtype=np.int64), attempts=np.zeros(count, dtype=np.int64),
        )  # fmt: skip
        schedule = ensemble.schedules[0]
        self.limits = limits_of(tolerances, start=schedule.start, end=schedule.end, side=INSIDE)

    @property
    def constants(self) -> FloatArray:
        """The constants (trajectory, time, constant) at the samples."""
        return np.stack([trip.recorder.constants for trip in self.trips])

    def to_the_end(self) -> None:
        """Bring every trajectory to its end, or to where it fails."""
        live = [k for k, trip in enumerate(self.trips) if self._try(k, trip.begin) and not trip.ended]
        while live:
            plans = [self._depart(k) for k in live]
            numbers = np.zeros(len(self.trips), dtype=np.int64)
            numbers[live] = np.arange(1, len(live) + 1)
            actions, everything = table([[], *plans], numbers), range(len(self.trips))
            advance(self.batch, actions, self.limits, self.way, self.output, everything)
            live = [k for k in live if self._arrive(k) and not self.trips[k].ended]

    def _try(self, k: int, happen: Callable[[], None]) -> bool:
        try:
            happen()
        except Stopped:
            self.status[k] = _STOPPED
        self.way.start[k] = self.way.end[k]
        return bool(self.status[k] == OK)

    def _depart(self, k: int) -> list[Action]:
        """Put a trajectory where the driver finds it; return the infusions that run meanwhile."""
        trip, way = self.trips[k], self.way
        course, stop = trip.course, trip.next_stop()
        course.infuse(stop)
        way.start[k], way.end[k] = course.t, stop
        way.initial[k], way.constants[k] = course.y, course.p
        way.cells[k] = trip.edges.cells[trip.edges.searched]
        self.output.next[k] = trip.recorder.done
        if course.inflow is None:
            return []
        return [Action(course.t, 1, SET_INFLOW, int(i), float(course.inflow[i])) for i in np.flatnonzero(course.inflow)]

    def _arrive(self, k: int) -> bool:
        trip, way = self.trips[k], self.way
        course, stop, status = trip.course, float(way.end[k]), int(self.output.status[k])
        course.steps += int(self.output.attempts[k])
        if status not in (OK, AT_EDGE):
            self.status[k] = status
            way.start[k] = way.end[k]
            return False
        trip.recorder.took(int(self.output.next[k]))
        course.t, course.y[:] = float(way.reached[k]), way.final[k]
        trip.edges.follow(way.cells[k])
        return self._try(k, lambda: trip.arrive(self._crossed(k, stop, at_edge=status == AT_EDGE)))

    def _crossed(self, k: int, stop: float, *, at_edge: bool) -> dict[int, float]:
        trip, cells, beyond = self.trips[k], self.way.cells[k], self.way.beyond[k]
        if not at_edge:
            return trip.cells_at_stop(stop)
        searched = np.flatnonzero(trip.edges.searched)
        found = {int(searched[j]): float(beyond[j]) for j in np.flatnonzero(cells != beyond)}
        return trip.hit(found, trip.due(stop) if trip.course.t == stop else [])
