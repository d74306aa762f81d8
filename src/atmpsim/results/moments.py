"""Moments of many values from those of parts, always merged in the same order, so that they come out bit for bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
COUNT, MEAN, SQUARES, LOWEST, HIGHEST = range(5)
PARTS = 5


def moments(values: FloatArray) -> FloatArray:
    """Return count, mean, sum of squared deviations, minimum and maximum, shape (5, column), of values (run, column).

    NaN is left out; without any value mean, minimum and maximum are NaN (and the squares 0).
    """
    from atmpsim.kernels.reductions import add_moments  # compiles; only reductions need it

    made = np.empty((PARTS, values.shape[1]))
    add_moments(np.ascontiguousarray(values), made)
    return made


def merged(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the moments of two disjoint parts together (Chan 1983 Am Stat 37:242, doi:10.2307/2683386)."""
    count = first[COUNT] + second[COUNT]
    with np.errstate(invalid="ignore", divide="ignore"):
        step = second[MEAN] - first[MEAN]
        mean = first[MEAN] + step * second[COUNT] / count
        squares = first[SQUARES] + second[SQUARES] + step * step * first[COUNT] * second[COUNT] / count
    only_second, only_first = first[COUNT] == 0, second[COUNT] == 0
    mean = np.where(only_second, second[MEAN], np.where(only_first, first[MEAN], mean))
    squares = np.where(only_second | only_first, first[SQUARES] + second[SQUARES], squares)
    return np.stack(
        [count, mean, squares, np.fmin(first[LOWEST], second[LOWEST]), np.fmax(first[HIGHEST], second[HIGHEST])]
    )
