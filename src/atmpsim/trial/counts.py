"""Rate ratio of counts by negative binomial regression on the arm, for many trials at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

FloatArray = NDArray[np.float64]
_SHAPES = np.geomspace(0.02, 500.0, 121)
"""Shapes of the negative binomial among which the likelihood is first searched; the last is nearly Poisson."""
_GOLDEN = (np.sqrt(5.0) - 1) / 2
_ROUNDS = 24


def log_likelihood(counts: FloatArray, means: FloatArray, shape: FloatArray) -> FloatArray:
    """Return the log-likelihood of counts (NaN where there is none), summed over the last axis."""
    k = shape[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        each = (
            gammaln(counts + k) - gammaln(k) - gammaln(counts + 1.0) + k * np.log(k / (k + means))
            + np.where(counts > 0, counts * np.log(means / (k + means)), 0.0)
        )  # fmt: skip
    return np.nansum(each, axis=-1)


def rate_ratio(treated: FloatArray, control: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log rate ratio of two arms and its standard error, by maximum likelihood of a common shape.

    With the arm as the only covariate and equal exposure the means' estimates are the arms' means, whatever the shape;
    so only the shape is searched. The error is that of the expected information, 1/(n*mu) + 1/(n*shape) for each arm
    (Lawless 1987, Can J Stat 15:209, doi:10.2307/3314912). An arm without any event gives NaN.

    Parameters
    ----------
    treated, control
        Counts over (replicate, patient), NaN where there is none.
    """
    means = [_mean(c) for c in (treated, control)]
    counts = np.concatenate([treated, control], axis=1)
    fitted = np.concatenate(
        [np.broadcast_to(m[:, None], c.shape) for m, c in zip(means, (treated, control), strict=True)], 1
    )
    shape = _best_shape(counts, fitted)
    numbers = [np.maximum((~np.isnan(c)).sum(axis=1), 1) for c in (treated, control)]
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(means[0] / means[1])
        variance = sum(1.0 / (n * m) + 1.0 / (n * shape) for n, m in zip(numbers, means, strict=True))
    known = np.asarray((means[0] > 0) & (means[1] > 0))
    return np.where(known, log, np.nan), np.where(known, np.sqrt(variance), np.nan)


def _mean(counts: FloatArray) -> FloatArray:
    known = ~np.isnan(counts)
    return np.asarray(np.where(known, counts, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def _best_shape(counts: FloatArray, means: FloatArray) -> FloatArray:
    """Return the shape of the highest likelihood of each trial: a grid, then golden sections on its logarithm."""
    grid = np.stack([log_likelihood(counts, means, np.full(len(counts), s)) for s in _SHAPES])
    k = np.clip(grid.argmax(axis=0), 1, _SHAPES.size - 2)
    low, high = np.log(_SHAPES[k - 1]), np.log(_SHAPES[k + 1])
    for _ in range(_ROUNDS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        better = log_likelihood(counts, means, np.exp(left)) > log_likelihood(counts, means, np.exp(right))
        low, high = np.where(better, low, left), np.where(better, right, high)
    return np.exp((low + high) / 2)
