"""Rate ratio of counts by negative binomial regression on the arm, for many trials at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

FloatArray = NDArray[np.float64]
_SHAPES = np.geomspace(0.02, 500.0, 41)
"""Shapes of the negative binomial among which the likelihood is first searched; the last is nearly Poisson."""
_GOLDEN = (np.sqrt(5.0) - 1) / 2
_ROUNDS = 24


def log_likelihood(counts: FloatArray, means: FloatArray, shape: FloatArray) -> FloatArray:
    """Return the log-likelihood of counts (NaN where there is none), summed over the last axis."""
    return _of_shape(counts, means, shape) - np.nansum(gammaln(counts + 1.0), axis=-1)


def _of_shape(counts: FloatArray, means: FloatArray, shape: FloatArray) -> FloatArray:
    """Return what of the log-likelihood depends on shape or means."""
    k = shape[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        each = (
            gammaln(counts + k) - gammaln(k) + k * np.log(k / (k + means))
            + np.where(counts > 0, counts * np.log(means / (k + means)), 0.0)
        )  # fmt: skip
    return np.nansum(each, axis=-1)


def common_shape(treated: FloatArray, control: FloatArray) -> FloatArray:
    """Return the shape of the highest likelihood of each trial, arms having one mean: no matter who is called treated.

    Parameters
    ----------
    treated, control
        Counts over (trial, patient), NaN where there is none.
    """
    counts = np.concatenate([treated, control], axis=1)
    known = ~np.isnan(counts)
    mean = np.where(known, counts, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return best_shape(counts, np.broadcast_to(mean[:, None], counts.shape))


def best_shape(counts: FloatArray, means: FloatArray) -> FloatArray:
    """Return the shape of the highest likelihood of each trial: a grid, then golden sections on its logarithm."""
    grid = np.stack([_of_shape(counts, means, np.full(len(counts), s)) for s in _SHAPES])
    k = np.clip(grid.argmax(axis=0), 1, _SHAPES.size - 2)
    low, high = np.log(_SHAPES[k - 1]), np.log(_SHAPES[k + 1])
    for _ in range(_ROUNDS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        better = _of_shape(counts, means, np.exp(left)) > _of_shape(counts, means, np.exp(right))
        low, high = np.where(better, low, left), np.where(better, right, high)
    return np.exp((low + high) / 2)


def log_ratio(
    chosen: FloatArray, whole: FloatArray, first: int, total: int, shape: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the log rate ratio and its standard error from the sums of the treated and of all.

    With the arm as the only covariate and equal exposure the means' estimates are the arms' means, whatever the shape.
    The error is that of the expected information, 1/(n*mu) + 1/(n*shape) for each arm (Lawless 1987, Can J Stat
    15:209, doi:10.2307/3314912). Without any event in an arm the logarithm is infinite, and so is the error.

    Examples
    --------
    >>> log, error = log_ratio(np.array([20.0]), np.array([50.0]), 10, 25, np.array([2.0]))
    >>> log.round(3), (error**2).round(3)
    (array([0.]), array([0.167]))
    """
    means = chosen / first, (whole - chosen) / (total - first)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(means[0] / means[1])
        error = np.sqrt(sum((1.0 / m + 1.0 / shape) / n for n, m in zip((first, total - first), means, strict=True)))
    return log, error
