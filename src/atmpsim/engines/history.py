"""What a trajectory has been through, for values of an earlier time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

import numpy as np

from atmpsim.compile.scalar import Scalar
from atmpsim.engines.trajectory import FloatArray
from atmpsim.model.definitions import Delayed
from atmpsim.model.equations import Equations
from atmpsim.model.graph import symbol_of

Dense = Callable[[float], FloatArray]
_DEEPEST = 100  # delays of delayed values; a delay within itself goes down to the start, step by step


class History:
    """The steps taken so far; false where the model looks back at nothing."""

    def __init__(self, scalar: Scalar, *, start: float, y: FloatArray, p: FloatArray) -> None:
        self.code, self.code_before, self.start = scalar.delays, scalar.before, start
        self.count = len(scalar.equations.delays)
        names = scalar.pieces.constants
        self.slots = [names.index(name) for name in scalar.equations.delays]
        self.inner = [self._delays_in(scalar.equations, delay) for delay in scalar.equations.delays.values()]
        pieces = scalar.pieces
        moving = (*pieces.whole, *pieces.held, *pieces.triggers, *(e.formula for e in pieces.edges))
        # values that are only looked at need no stops where they jump, and no refreshing in between
        self.moves = not pieces.graph.symbols(moving).isdisjoint(scalar.equations.delays)
        self.begins: list[float] = []
        self.steps: list[tuple[float, Dense, FloatArray]] = []  # end, states in between, constants
        self.window = -np.inf, np.inf
        self.before = y.copy(), p.copy()

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, begin: float, end: float, dense: Dense, p: FloatArray) -> None:
        """Remember a step; `p` must not be changed later."""
        self.begins.append(begin)
        self.steps.append((end, dense, p))

    def between(self, begin: float, end: float, near: float) -> None:
        """Say which stretch is being integrated: it looks back at the inside of an earlier one, ends excluded."""
        self.window = begin + 2.0 * near, max(end - 2.0 * near, begin + 2.0 * near)

    def spans(self, t: float, y: FloatArray, p: FloatArray) -> FloatArray:
        """Return how long ago each delayed value is taken."""
        return self.code(t, y, p)[self.count :]

    @staticmethod
    def _delays_in(equations: Equations, delay: Delayed) -> list[int]:
        """Return the numbers of the delayed values that a delayed value is made of: most are made of none."""
        symbols = equations.graph.symbols([delay.formula, delay.span])
        return [k for k, name in enumerate(equations.delays) if symbol_of(name) in symbols]

    def fill(self, t: float, y: FloatArray, p: FloatArray) -> None:
        """Put the delayed values as of a time, and the states there, into `p`."""
        self._fill(range(self.count), t, y, p, 0)

    def _fill(self, which: Iterable[int], t: float, y: FloatArray, p: FloatArray, depth: int) -> None:
        for k in which:
            slot = self.slots[k]
            span = self.code(t, y, p)[self.count + k]
            inside = t if depth else min(max(t, self.window[0]), self.window[1])
            p[slot] = self._value(k, t - span if span == 0.0 else inside - span, t, y, p, depth)

    def _value(self, k: int, when: float, t: float, y: FloatArray, p: FloatArray, depth: int) -> float:
        if not when <= t or depth > _DEEPEST:  # a negative delay, or no number
            return np.nan
        if when == t:
            return float(self.code(t, y, p)[k])
        if when < self.start or not self.begins:
            return float(self.code_before(when, *self.before)[k])
        then, fixed = self._at(when)
        fixed = fixed.copy()
        self._fill(self.inner[k], when, then, fixed, depth + 1)
        return float(self.code(when, then, fixed)[k])

    def _at(self, when: float) -> tuple[FloatArray, FloatArray]:
        end, dense, p = self.steps[max(bisect_right(self.begins, when) - 1, 0)]
        return np.ascontiguousarray(dense(min(when, end))), p
