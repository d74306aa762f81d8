"""Permutation tests of many trials at once: who is called treated is drawn anew, the numbers of each arm stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
PERMUTATIONS = 1999
_CHUNK = 64

Distance = Callable[[FloatArray, FloatArray, int, int, NDArray[np.int64]], FloatArray]
"""How far from no effect a trial is: from the sums of the treated and of all (broadcast), the number of treated, the
number of all, and which trials these are."""


def distance_of_means(chosen: FloatArray, whole: FloatArray, first: int, total: int, _: object) -> FloatArray:
    """Return the distance of the sum of the treated from its mean: in proportion to the difference of means."""
    return np.abs(chosen - whole * first / total)


def shuffled(
    treated: FloatArray, control: FloatArray, distance: Distance, *, rng: np.random.Generator, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return p-values, and the distance that a share `level` of the shuffles does not exceed.

    Labels are shuffled 1,999 times; p = (1 + number at least as far) / 2,000 never errs to the low side (Phipson &
    Smyth 2010, Stat Appl Genet Mol Biol 9:39, doi:10.2202/1544-6115.1585). A trial beyond that distance has a p of at
    most 1 - `level`. Sixty-four trials with equal numbers of patients share their shuffles.

    Parameters
    ----------
    treated, control
        Values over (trial, patient), NaN where there is none.
    """
    values = np.concatenate([treated, control], axis=1)
    known = ~np.isnan(values)
    first, total = known[:, : treated.shape[1]].sum(axis=1), known.sum(axis=1)
    # who is known stands first, the treated before the others
    packed = np.nan_to_num(np.take_along_axis(values, np.argsort(~known, axis=1, kind="stable"), axis=1))
    p, edge = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for n in np.unique(total).tolist():
        rows = np.flatnonzero((total == n) & (first > 0) & (first < n))
        for begin in range(0, rows.size, _CHUNK):
            own = rows[begin : begin + _CHUNK]
            order = np.argsort(rng.random((PERMUTATIONS, n)), axis=1)
            for a in np.unique(first[own]).tolist():
                these = own[first[own] == a]
                p[these], edge[these] = _ranked(packed[these, :n], a, order, distance, these, level)
    return p, edge


def _ranked(
    values: FloatArray, first: int, order: NDArray[np.int64], distance: Distance, rows: NDArray[np.int64], level: float
) -> tuple[FloatArray, FloatArray]:
    """Return p and edge of trials whose first so many values are those of the treated, from orders of the patients."""
    total, whole = values.shape[1], values.sum(axis=1, keepdims=True)
    far = distance(values @ (order < first).astype(np.float64).T, whole, first, total, rows)
    real = distance(values[:, :first].sum(axis=1, keepdims=True), whole, first, total, rows)
    p = (1.0 + (far >= real - 1e-9).sum(axis=1)) / (PERMUTATIONS + 1.0)
    most = max(int(np.floor((1.0 - level) * (PERMUTATIONS + 1.0) + 1e-9)) - 1, 0)  # as many shuffles may be as far
    return p, np.sort(far, axis=1)[:, PERMUTATIONS - 1 - most]
