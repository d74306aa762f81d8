"""Interim looks: how small a p-value must be at each, so that all of them together keep the level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

FloatArray = NDArray[np.float64]
_GRID = 801
_WIDTH = 8.0


def spent(share: float, alpha: float) -> float:
    """Return the error spent at a share of the information, after O'Brien and Fleming.

    (Lan & DeMets 1983, Biometrika 70:659, doi:10.1093/biomet/70.3.659: 2 - 2*Phi(z/sqrt(share)) on either side.)

    Examples
    --------
    >>> round(spent(1.0, 0.05), 6), round(spent(0.5, 0.05), 5)
    (0.05, 0.00305)
    """
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / np.sqrt(share)))


def levels(shares: Sequence[float], alpha: float) -> FloatArray:
    """Return the two-sided level of each analysis, the last one included.

    The joint distribution of the test statistics is integrated on a grid, look by look (Armitage, McPherson & Rowe
    1969, J R Stat Soc A 132:235, doi:10.2307/2343787).

    Examples
    --------
    >>> levels([], 0.05).round(6).tolist()
    [0.05]
    >>> levels([0.5], 0.05).round(4).tolist()
    [0.0031, 0.049]
    """
    information = np.array([*shares, 1.0])
    bounds: list[float] = []
    density, grid = np.empty(0), np.empty(0)
    for k, share in enumerate(information):
        wanted = spent(float(share), alpha) - (spent(float(information[k - 1]), alpha) if k else 0.0)
        if k == 0:
            bounds.append(float(stats.norm.isf(wanted / 2)))
        else:
            step = np.sqrt(share - information[k - 1])

            def crossing(
                z: float, now: float = float(share), d: FloatArray = density, g: FloatArray = grid, s=step
            ) -> float:
                limit = z * np.sqrt(now)
                out = stats.norm.sf((limit - g) / s) + stats.norm.cdf((-limit - g) / s)
                return float(np.trapezoid(d * out, g))

            bounds.append(float(brentq(lambda z, w=wanted, f=crossing: f(z) - w, 0.01, _WIDTH)))
        density, grid = _next_density(density, grid, information, bounds, k)
    return 2 * stats.norm.sf(np.array(bounds))


def _next_density(
    density: FloatArray, grid: FloatArray, information: FloatArray, bounds: Sequence[float], k: int
) -> tuple[FloatArray, FloatArray]:
    """Return the density of the running sum within the bounds of look k."""
    limit = bounds[k] * np.sqrt(information[k])
    fine = np.linspace(-limit, limit, _GRID)
    if k == 0:
        return stats.norm.pdf(fine, scale=np.sqrt(information[0])), fine
    step = np.sqrt(information[k] - information[k - 1])
    kernel = stats.norm.pdf(fine[:, None], loc=grid[None, :], scale=step)
    return np.trapezoid(kernel * density[None, :], grid, axis=1), fine
