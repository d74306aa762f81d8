"""Keep formulas at zero: algebraic rules and fast reactions.

A formula g(y, t) that is zero at all times has a derivative that is zero: the states move along given directions D
so fast that it is, with y' = f + D r and (dg/dy D) r = -(dg/dy f + dg/dt). This makes an ordinary differential
equation of an algebraic one (Hairer & Wanner 1996, Solving Ordinary Differential Equations II, section VII.2). At the
start and after every jump, Newton's method moves the states along D until g is zero.
"""

from __future__ import annotations

import numpy as np

from atmpsim.compile.scalar import Scalar
from atmpsim.engines.trajectory import FloatArray

_ITERATIONS = 100
_HALVINGS = 30
_FIRST_PACE, _LAST_PACE = 1e2, 1e-9  # inverse lengths of the first and last step, as parts of the fastest rate


class Held:
    """The held formulas of a model; false where there are none."""

    def __init__(self, scalar: Scalar) -> None:
        self.code = scalar.held
        self.states, self.count = len(scalar.equations.states), len(scalar.equations.held)
        index = {s: k for k, s in enumerate(scalar.equations.states)}
        self.unknowns = [index[k] for k in scalar.equations.unknowns]
        # the first formulas are rates of fast reactions, which flow to where they end; the last those of unknowns
        self.flowing = np.arange(self.count) < self.count - len(self.unknowns)

    def __bool__(self) -> bool:
        return self.count > 0

    def _parts(self, t: float, y: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return g (k), dg/dy (k, n), dg/dt (k) and D (n, k)."""
        k, n = self.count, self.states
        numbers = self.code(t, y, p)
        value, by_state, by_time, along = np.split(numbers, [k, k + k * n, 2 * k + k * n])
        return value, by_state.reshape(k, n), by_time, along.reshape(n, k)

    def flow(self, t: float, y: FloatArray, p: FloatArray, slope: FloatArray) -> FloatArray:
        """Return the slope with the movement that keeps the formulas at zero."""
        _, by_state, by_time, along = self._parts(t, y, p)
        return slope + along @ _solve(by_state @ along, -(by_state @ slope + by_time))

    def badness(self, t: float, y: FloatArray, p: FloatArray) -> FloatArray:
        """Return by how much each state would have to move."""
        value, by_state, _, along = self._parts(t, y, p)
        return along @ _solve(by_state @ along, -value)

    def project(self, t: float, y: FloatArray, p: FloatArray) -> bool:
        """Move the states in place until the formulas are zero; return whether that was possible."""
        first = y.copy()
        first[self.unknowns] = np.where(np.isnan(y[self.unknowns]), 1.0, y[self.unknowns])
        # a guess at which nothing moves (z^2 = 4 from 0) is tried again from elsewhere
        for guess in (0.0, 1.0, -1.0, 100.0):
            y[:] = first
            y[self.unknowns] += guess
            if self.flowing.any():
                self._flow_to_rest(t, y, p)
            if self._newton(t, y, p):
                return True
        y[:] = first
        return False

    def _flow_to_rest(self, t: float, y: FloatArray, p: FloatArray) -> None:
        """Let fast reactions run by implicit Euler steps that grow: of several equilibria they have one to go to."""
        value, by_state, _, along = self._parts(t, y, p)
        matrix = by_state @ along
        moved = np.abs(along) @ np.abs(value)
        rate = max(float(np.abs(matrix[self.flowing]).max()), float((moved / np.maximum(np.abs(y), 1e-300)).max()))
        pace = _FIRST_PACE * rate
        while np.isfinite(matrix).all() and pace > _LAST_PACE * rate:
            y += along @ _solve(matrix - np.diag(np.where(self.flowing, pace, 0.0)), -value)
            value, by_state, _, along = self._parts(t, y, p)
            matrix, pace = by_state @ along, 0.7 * pace

    def _newton(self, t: float, y: FloatArray, p: FloatArray) -> bool:
        value, by_state, _, along = self._parts(t, y, p)
        for _ in range(_ITERATIONS):
            if not np.isfinite(value).all():
                return False
            if not value.any():
                return True
            step = along @ _solve(by_state @ along, -value)
            settled = bool((np.abs(step) <= 4e-16 * np.abs(y)).all())
            size, part = float(np.abs(value).max()), 1.0
            for _ in range(_HALVINGS):
                trial = self._parts(t, y + part * step, p)
                if np.abs(trial[0]).max() < size:
                    break
                part *= 0.5
            else:  # no better: at the rounding of the formulas, or nowhere
                return settled or self._is_rounding(value, by_state, y)
            y += part * step
            value, by_state, _, along = trial
        return self._is_rounding(value, by_state, y)

    def _is_rounding(self, value: FloatArray, by_state: FloatArray, y: FloatArray) -> bool:
        scale = np.abs(by_state) @ np.abs(y)
        return bool((np.abs(value) <= 1e-12 * scale).all())


def _solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    if not (np.isfinite(matrix).all() and np.isfinite(right).all()):
        return np.full_like(right, np.nan)
    try:
        return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
    except np.linalg.LinAlgError:  # two fast reactions that say the same
        return np.asarray(np.linalg.lstsq(matrix, right)[0], dtype=np.float64)
