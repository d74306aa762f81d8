"""Allot patients to arms: simple, in blocks, or in blocks within strata."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def simple(ratio: Sequence[float], shape: tuple[int, int], *, rng: np.random.Generator) -> IntArray:
    """Return the arm of each patient, each drawn by itself."""
    edges = np.cumsum(np.asarray(ratio) / sum(ratio))[:-1]
    return np.searchsorted(edges, rng.random(shape), side="right").astype(np.int64)


def blocks(ratio: Sequence[float], shape: tuple[int, int], *, block: int | None, rng: np.random.Generator) -> IntArray:
    """Return the arm of each patient: every block of patients holds the ratio, in random order.

    Parameters
    ----------
    ratio
        Whole numbers.
    shape
        Replicates and patients.
    block
        Length of a block, a multiple of the sum of the ratio; that sum if None.

    Examples
    --------
    >>> made = blocks([2, 1], (1, 6), block=None, rng=np.random.default_rng(1))
    >>> np.bincount(made[0, :3]).tolist(), np.bincount(made[0, 3:]).tolist()
    ([2, 1], [2, 1])
    """
    counts = np.asarray(ratio, dtype=np.int64)
    counts = counts * ((block or int(counts.sum())) // int(counts.sum()))
    one = np.repeat(np.arange(counts.size), counts)
    number = -(-shape[1] // one.size)
    made = rng.permuted(np.broadcast_to(one, (shape[0], number, one.size)), axis=2)
    return made.reshape(shape[0], -1)[:, : shape[1]]


def stratified(ratio: Sequence[float], strata: IntArray, *, block: int | None, rng: np.random.Generator) -> IntArray:
    """Return the arm of each patient, in blocks of its own stratum's patients in their order of recruitment."""
    arms = np.empty_like(strata)
    for stratum in range(int(strata.max(initial=0)) + 1):
        listed = blocks(ratio, strata.shape, block=block, rng=rng)
        own = strata == stratum
        place = np.cumsum(own, axis=1) - 1
        arms[own] = np.take_along_axis(listed, np.maximum(place, 0), axis=1)[own]
    return arms
