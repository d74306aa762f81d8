"""Quantiles from counts on fixed bins: integer counts add up to the same in any order, in little memory.

Between 2^-40 and 2^60 each doubling has 64 bins of equal width, so a quantile read as the middle of its bin errs by
at most 1/128 (0.8 %) of the value. One bin each holds negative values, zeros, what is smaller and what is larger.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PER_DOUBLING = 64
LOWEST, HIGHEST = -40, 60  # powers of two
NEGATIVE, ZERO, TINY = 0, 1, 2
_FIRST = 3
_REGULAR = (HIGHEST - LOWEST) * PER_DOUBLING
HUGE = _FIRST + _REGULAR
BINS = HUGE + 1
RELATIVE_ERROR = 0.5 / PER_DOUBLING

_SHIFT = 52 - 6  # of the 52 bits of the mantissa, six tell the bin within a doubling
_OFFSET = (1023 + LOWEST) << 6


def bin_of(values: FloatArray) -> IntArray:
    """Return the bin of each value, -1 for NaN.

    Examples
    --------
    >>> bin_of(np.array([-1.0, 0.0, 1e-30, 1e30, np.nan])).tolist() == [NEGATIVE, ZERO, TINY, HUGE, -1]
    True
    """
    made = (np.ascontiguousarray(values).view(np.int64) >> _SHIFT) - (_OFFSET - _FIRST)
    made = np.clip(made, TINY, HUGE)
    made[values == 0.0] = ZERO
    made[values < 0.0] = NEGATIVE
    made[np.isnan(values)] = -1
    return made


def middle_of(bins: IntArray) -> FloatArray:
    """Return the middle of each regular bin; 0 for zeros, the smallest and largest bound for what lies beyond, and
    NaN for negative values, whose size is not known.

    Examples
    --------
    >>> abs(float(middle_of(bin_of(np.array([1234.5])))[0]) / 1234.5 - 1) <= RELATIVE_ERROR
    True
    """
    regular = np.clip(bins - _FIRST, 0, _REGULAR - 1)
    power, inside = np.divmod(regular, PER_DOUBLING)
    made = np.ldexp(1.0 + (inside + 0.5) / PER_DOUBLING, power + LOWEST)
    made = np.where(bins == HUGE, 2.0**HIGHEST, np.where(bins == TINY, 2.0**LOWEST, made))
    return np.where(bins == ZERO, 0.0, np.where(bins == NEGATIVE, np.nan, made))


def count(values: FloatArray) -> tuple[IntArray, NDArray[np.uint32]]:
    """Return where the counts of values of shape (run, column) are not zero (column * BINS + bin), and the counts."""
    from atmpsim.kernels.reductions import count_values  # compiles; only reductions need it

    own = np.ascontiguousarray(values)
    places, counts = np.empty(own.size, dtype=np.int64), np.empty(own.size, dtype=np.uint32)
    table = np.zeros((own.shape[1], BINS), dtype=np.uint32)
    found = count_values(own, own.view(np.int64), table, places, counts, _SHIFT, _OFFSET - _FIRST, TINY, HUGE)
    return places[:found], counts[:found]


def quantiles(counts: IntArray, wanted: FloatArray) -> FloatArray:
    """Return quantiles (quantile, column) from counts (column, bin): the smallest value with enough at or below it.

    Examples
    --------
    >>> where, counts = count(np.arange(1.0, 101.0)[:, None])
    >>> dense = np.zeros((1, BINS), dtype=np.int64)
    >>> dense.ravel()[where] = counts
    >>> bool(abs(quantiles(dense, np.array([0.5]))[0, 0] / 50.0 - 1) <= RELATIVE_ERROR)
    True
    """
    below = np.cumsum(counts, axis=1)
    total = below[:, -1]
    made = np.full((wanted.size, counts.shape[0]), np.nan)
    for k, share in enumerate(wanted):
        rank = np.maximum(np.ceil(share * total - 1e-9), 1)
        found = (below < rank[:, None]).sum(axis=1)
        made[k] = np.where(total > 0, middle_of(np.minimum(found, BINS - 1)), np.nan)
    return made
