"""Times of events: drawn from a survival curve, or a cumulative share, that the model gives each patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def event_times(
    grid: FloatArray, curves: FloatArray, start: FloatArray, draw: FloatArray, *, cumulative: bool
) -> FloatArray:
    """Return when the event comes, in the time of `grid`; infinity where it does not within it.

    The patient has had no event at `start`: the curve is divided by its value there. Linear between samples.

    Parameters
    ----------
    grid, curves
        Times, and probabilities to be without the event (or with it, if `cumulative`) over (…, time).
    draw
        A uniform number for each patient. Equal numbers for two events of which one is always the more probable keep
        their order: that one comes first.

    Examples
    --------
    >>> grid = np.array([0.0, 1.0, 2.0])
    >>> event_times(grid, np.array([[1.0, 0.5, 0.25]]), np.array([0.0]), np.array([0.375]), cumulative=False)
    array([1.5])
    """
    without = np.clip(1.0 - curves if cumulative else curves, 0.0, 1.0)
    without = np.minimum.accumulate(without, axis=-1)
    right = np.clip(np.searchsorted(grid, start, side="right"), 1, grid.size - 1)
    share = np.clip((start - grid[right - 1]) / (grid[right] - grid[right - 1]), 0.0, 1.0)
    low, high = (np.take_along_axis(without, k[..., None], axis=-1)[..., 0] for k in (right - 1, right))
    level = draw * (low + share * (high - low))
    passed = without <= level[..., None]
    k = np.maximum(passed.argmax(axis=-1), 1)
    above, below = (np.take_along_axis(without, j[..., None], axis=-1)[..., 0] for j in (k - 1, k))
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(above > below, (above - level) / (above - below), 1.0)
    when = grid[k - 1] + np.clip(part, 0.0, 1.0) * (grid[k] - grid[k - 1])
    return np.where(passed.any(axis=-1), np.maximum(when, start), np.inf)
