"""Draw many runs as ribbons: the median, and the bands that hold the middle half and nine tenths of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
FROM_RUNS = 30
"""Runs of an arm from which a ribbon says more than lines."""


def quantile_rows(rows: FloatArray) -> FloatArray:
    """Return the quantiles at `LEVELS` of runs (run, time); failed runs are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where all have failed there is no quantile, and nothing is drawn
        return np.asarray(np.nanquantile(rows, LEVELS, axis=0))


def draw_ribbon(axes: Axes, times: FloatArray, levels: FloatArray, *, colour: str, dashes: Any) -> None:
    """Draw quantiles (five, time) as two bands and a line."""
    for low, high, strength in ((0, 4, 0.14), (1, 3, 0.24)):
        axes.fill_between(times, levels[low], levels[high], color=colour, alpha=strength, linewidth=0)
    axes.plot(times, levels[2], color=colour, linestyle=dashes, linewidth=1.4, solid_capstyle="round")
