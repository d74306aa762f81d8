"""Where the smooth pieces of a model's equations meet: which side a trajectory is on, and when it crosses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from atmpsim.engines.course import Course
from atmpsim.engines.trajectory import FloatArray
from atmpsim.kernels.arguments import LOOKS_PER_RUN, LOOKS_PER_STEP, SOON
from atmpsim.model.pieces import ROUNDINGS

Dense = Callable[[FloatArray | float], FloatArray]

_AT_EQUALITY = {"lt": 0.0, "le": 1.0, "eq": 1.0, "ne": 0.0}


class Edges:
    """The edges of one trajectory.

    The cell of an edge is what stays the same between crossings: the truth of `lt` and `le`, the sign of what is
    compared for `eq` and `ne`, the whole number of `floor` and `ceil`.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        pieces = course.scalar.pieces
        names = [e.name for e in pieces.edges]
        self.operations = [e.operation for e in pieces.edges]
        self.first = len(pieces.constants) - len(names)
        self.lined = np.array(course.scalar.lined, dtype=np.int64)
        self.searched = np.array([e.line is None for e in pieces.edges], dtype=bool)
        self.cells = np.full(len(names), np.nan)
        self.seen = np.full(len(names), np.nan)
        self.look = (course.schedule.end - course.schedule.start) / LOOKS_PER_RUN
        self.kinds = {kind: np.array([o == kind for o in self.operations]) for kind in sorted({*self.operations})}
        self.rounded = np.array([o in ROUNDINGS for o in self.operations], dtype=bool)
        # an edge's formula may have the leaves of others
        nested = not pieces.graph.symbols([e.formula for e in pieces.edges]).isdisjoint(names)
        self.passes = len(names) + 1 if nested else 1

    def __bool__(self) -> bool:
        return self.cells.size > 0

    @property
    def leaves(self) -> FloatArray:
        """The leaves as they stand in the constants; writing to them changes these."""
        return self.course.p[self.first :]

    def follow(self, cells: FloatArray) -> None:
        """Take over the cells of the searched edges (see `Pieces.alone`) from who crossed some on the way."""
        self.cells[self.searched] = cells
        self.leaves[:] = self._truths(self.cells)

    def only_triggers(self) -> None:
        """Stop looking for crossings that only the derivatives are about."""
        pieces = self.course.scalar.pieces
        wanted = pieces.graph.symbols(pieces.triggers)
        self.searched &= np.array([e.name in wanted for e in pieces.edges], dtype=bool)

    def take(self, *, keep: Collection[int] = (), near: float | None = None) -> None:
        """Find the side of every edge whose formula has changed at this instant, except those to keep.

        An edge that is affine in time and met within `near` is taken as crossed.
        """
        near = self.course.near if near is None else near
        for _ in range(self.passes):
            values = self._values(self.course.t, self.course.y)
            changed = (values != self.seen) & ~(np.isnan(values) & np.isnan(self.seen))
            changed[list(keep)] = False
            self.seen = values
            if not changed.any():
                return
            cells = np.where(changed, self._cells(values), self.cells)
            if changed[self.lined].any():
                met = np.abs(self._met() - self.course.t) <= near
                for k in self.lined[met & changed[self.lined]]:
                    cells[k] = self._beyond(k, np.round(values[k]))
            self.cells = cells
            self.leaves[:] = self._truths(cells)

    def at_start(self) -> FloatArray:
        """Find the side of every edge from the start on; return the leaves at that very time."""
        self.take(near=0.0)
        return self._at({int(k): self.cells[k] for k in self.lined[self._met() == self.course.t]})

    def just_ahead(self) -> dict[int, float]:
        """Return the edges that only rounding parts from this instant, with their cells beyond."""
        begin, end = self.course.t, self.course.t + self.course.near
        return {k: self.beyond(k) for k, time in self._next().items() if begin < time <= end}

    def cross(self, hits: Mapping[int, float]) -> FloatArray:
        """Go over edges, given with their cells beyond; return the leaves at the very time of the crossing."""
        at = self._at(hits)
        for k, cell in hits.items():
            self.cells[k] = cell
        self.leaves[:] = self._truths(self.cells)
        self.take(keep=hits)
        at_all = self.leaves.copy()
        at_all[list(hits)] = at[list(hits)]
        return at_all

    def crossings(self) -> dict[int, float]:
        """Return when each edge that is affine in time is next crossed, if all stays as it is."""
        limit = self.course.t + self.course.near
        return {k: time for k, time in self._next().items() if time > limit}

    def beyond(self, k: int) -> float:
        """Return the cell that an edge affine in time comes into when it is crossed."""
        return self._beyond(k, self._level_ahead(k, self._slope(k)))

    def search(self, begin: float, end: float, dense: Dense, *, fresh: bool) -> tuple[float, dict[int, float]] | None:
        """Return the first time within a step at which edges are crossed, with their cells beyond.

        A step that begins where something happened (`fresh`) is looked at closely: what was put onto an edge leaves
        it at once, and may come back within the step.
        """
        if not self.searched.any():
            return None
        count = int(np.clip(np.ceil((end - begin) / self.look), LOOKS_PER_STEP, LOOKS_PER_RUN))
        points = np.linspace(begin, end, count + 1)[1:]
        if fresh:
            points = np.concatenate([begin + (points[0] - begin) * np.array(SOON), points])
            points = points[points > begin]
        states = np.ascontiguousarray(dense(points).T)
        low = begin
        for high, y in zip(points, states, strict=True):
            if self._changed(high, y).any():
                return self._locate(low, high, dense)
            low = high
        return None

    def _locate(self, low: float, high: float, dense: Dense) -> tuple[float, dict[int, float]]:
        while high - low > 0.5 * self.course.near:
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
            if self._changed(middle, np.ascontiguousarray(dense(middle))).any():
                high = middle
            else:
                low = middle
        y = np.ascontiguousarray(dense(high))
        cells = self._cells(self._values(high, y))
        return high, {int(k): float(cells[k]) for k in np.flatnonzero(self._changed(high, y))}

    def _changed(self, t: float, y: FloatArray) -> np.ndarray:
        values = self._values(t, y)
        return self.searched & (self._cells(values) != self.cells) & ~np.isnan(values)

    def _values(self, t: float, y: FloatArray) -> FloatArray:
        return self.course.values(self.course.scalar.edges, t, y)

    def _cells(self, values: FloatArray) -> FloatArray:
        cells = np.sign(values)
        for kind, which in self.kinds.items():
            if kind in _CELLS:
                cells[which] = _CELLS[kind](values[which])
        return cells

    def _truths(self, cells: FloatArray) -> FloatArray:
        truths = cells.copy()
        if "eq" in self.kinds:
            truths[self.kinds["eq"]] = cells[self.kinds["eq"]] == 0.0
        if "ne" in self.kinds:
            truths[self.kinds["ne"]] = cells[self.kinds["ne"]] != 0.0
        return truths

    def _at(self, hits: Mapping[int, float]) -> FloatArray:
        """Return the leaves at the very time at which edges with these cells beyond are crossed."""
        leaves = self.leaves.copy()
        for k, cell in hits.items():
            operation = self.operations[k]
            if operation == "floor":
                leaves[k] = max(cell, self.cells[k])
            elif operation == "ceil":
                leaves[k] = min(cell, self.cells[k])
            else:
                leaves[k] = _AT_EQUALITY[operation]
        return leaves

    def _lines(self) -> FloatArray:
        """Return value at time 0 and slope of each edge that is affine in time, NaN where the slope is 0."""
        lines = self.course.values(self.course.scalar.lines, self.course.t, self.course.y).reshape(-1, 2)
        lines[lines[:, 1] == 0.0] = np.nan
        return lines

    def _met(self) -> FloatArray:
        """Return when each edge that is affine in time is met; of a rounding's levels the nearest."""
        lines = self._lines()
        levels = np.where(self.rounded[self.lined], np.round(self.seen[self.lined]), 0.0)
        return (levels - lines[:, 0]) / lines[:, 1]

    def _next(self) -> dict[int, float]:
        """Return when each edge that is affine in time is met, a rounding's next level ahead."""
        if not self.lined.size:
            return {}
        lines = self._lines()
        levels = [
            self._level_ahead(k, s) if self.rounded[k] else 0.0 for k, s in zip(self.lined, lines[:, 1], strict=True)
        ]
        times = (np.array(levels) - lines[:, 0]) / lines[:, 1]
        return {int(k): float(t) for k, t in zip(self.lined, times, strict=True) if np.isfinite(t)}

    def _level_ahead(self, k: int, slope: float) -> float:
        lower = self.cells[k] - (self.operations[k] == "ceil")
        return float(lower + 1.0 if slope > 0.0 else lower)

    def _slope(self, k: int) -> float:
        return float(self._lines()[np.searchsorted(self.lined, k), 1])

    def _beyond(self, k: int, level: float) -> float:
        """Return the cell beyond an edge that is crossed; a rounding crosses the given level."""
        slope, operation = self._slope(k), self.operations[k]
        if operation in ("lt", "le"):
            return float(slope < 0.0)
        if operation in ("eq", "ne"):
            return float(np.sign(slope))
        return float(level - (slope < 0.0) if operation == "floor" else level + (slope > 0.0))


_CELLS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "lt": lambda v: np.less(v, 0.0).astype(np.float64),
    "le": lambda v: np.less_equal(v, 0.0).astype(np.float64),
    "floor": np.floor,
    "ceil": np.ceil,
}
