"""Count values on bins and add up their moments: one pass over numbers that are in the processor's cache already."""

from __future__ import annotations

import numpy as np

from atmpsim.kernels.compiling import njit


@njit(nogil=True, cache=True, error_model="numpy")
def count_values(values, bits, table, places, counts, shift, offset, first, last):
    """Count each value of a column in the bin that its own bits spell; return how many bins are not empty.

    Parameters
    ----------
    values, bits
        (run, column), and the same memory as int64.
    table
        (column, bin), zeros. Bins 0 and 1 hold negative values and zeros; NaN is not counted.
    places, counts
        (run * column,), written: the bins that are not empty, in order, as column * bins + bin, and their counts.
    shift, offset
        A positive value is in bin `(bits >> shift) - offset`, but at least in `first` and at most in `last`.
    """
    rows, columns = values.shape
    lowest, highest = np.full(columns, table.shape[1]), np.full(columns, -1)
    for k in range(rows):
        for j in range(columns):
            value = values[k, j]
            if value > 0.0:
                place = min(max((bits[k, j] >> shift) - offset, first), last)
            elif value == 0.0:
                place = 1
            elif value < 0.0:
                place = 0
            else:
                continue
            table[j, place] += 1
            lowest[j], highest[j] = min(lowest[j], place), max(highest[j], place)
    found = 0
    for j in range(columns):
        for place in range(lowest[j], highest[j] + 1):
            if table[j, place] > 0:
                places[found], counts[found] = j * table.shape[1] + place, table[j, place]
                found += 1
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def add_moments(values, made):
    """Write count, mean, sum of squared deviations, minimum and maximum of each column; NaN is left out.

    Parameters
    ----------
    values
        (run, column).
    made
        (5, column), written. Without any value mean, minimum and maximum are NaN.
    """
    rows, columns = values.shape
    for j in range(columns):
        made[0, j], made[1, j], made[2, j], made[3, j], made[4, j] = 0.0, 0.0, 0.0, np.inf, -np.inf
    for k in range(rows):
        for j in range(columns):
            value = values[k, j]
            if value == value:
                made[0, j] += 1.0
                made[1, j] += value
                made[3, j] = min(made[3, j], value)
                made[4, j] = max(made[4, j], value)
    for j in range(columns):
        if made[0, j] > 0.0:
            made[1, j] /= made[0, j]
        else:
            made[1, j], made[3, j], made[4, j] = np.nan, np.nan, np.nan
    for k in range(rows):
        for j in range(columns):
            value = values[k, j]
            if value == value:
                made[2, j] += (value - made[1, j]) ** 2
