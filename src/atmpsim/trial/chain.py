"""Paths of disability: a chain of half steps of EDSS with rates up and down, realised for each patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atmpsim.trial.pool import interpolated

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STEPS = np.array([0.0, *np.arange(1.0, 10.1, 0.5)])
"""The scale: 0, 1.0, 1.5, …, 10."""
LATE_FROM = 7.0
"""From here on upward steps are slower by the model's late factor."""


def nearest_step(edss: FloatArray) -> IntArray:
    """Return the number of the step nearest to a value.

    Examples
    --------
    >>> STEPS[nearest_step(np.array([5.6, 0.1, 6.3]))].tolist()
    [5.5, 0.0, 6.5]
    """
    edges = (STEPS[1:] + STEPS[:-1]) / 2
    return np.searchsorted(edges, edss, side="right").astype(np.int64)


def paths(
    start: IntArray, visits: FloatArray, *, up: FloatArray, down: FloatArray, late: FloatArray, grid: FloatArray,
    ratio: FloatArray, rng: np.random.Generator,
) -> IntArray:  # fmt: skip
    """Return the step at each visit of each patient, exact by thinning.

    Candidate changes come at a rate above that of any step; each is accepted with its own rate at that time over it
    (Lewis & Shedler 1979, Nav Res Logist Q 26:403, doi:10.1002/nav.3800260304).

    Parameters
    ----------
    start
        Step at time 0 of each patient.
    visits
        Increasing times of shape (patient, visit), from 0 on.
    up, down, late
        Rates of one patient each, and the factor on `up` from EDSS 7.0 on.
    grid, ratio
        Times, and the factor on `up` at these times, of shape (patient, time).
    """
    bound = up * np.maximum(ratio.max(axis=1), 0.0) * np.maximum(late, 1.0) + down
    step, clock = start.copy(), np.zeros(start.size)
    made = np.repeat(start[:, None], visits.shape[1], axis=1)
    last = visits[:, -1]
    alive = (bound > 0) & (last > 0)
    while alive.any():
        own = np.flatnonzero(alive)
        clock[own] += rng.exponential(size=own.size) / bound[own]
        draw = rng.random(own.size) * bound[own]
        seen = interpolated(grid, ratio[own], clock[own, None])[:, 0]
        rise = up[own] * seen * np.where(STEPS[step[own]] >= LATE_FROM, late[own], 1.0)
        change = np.where(draw < rise, 1, np.where(draw < rise + down[own], -1, 0))
        step[own] = np.clip(step[own] + change, 0, STEPS.size - 1)
        made[own] = np.where(visits[own] >= clock[own, None], step[own, None], made[own])
        alive[own] = clock[own] < last[own]
    return made


def rated(steps: IntArray, *, error: float, rng: np.random.Generator) -> FloatArray:
    """Return what a rater writes: half a step too high or too low, each with probability `error`."""
    draw = rng.random(steps.shape)
    moved = steps + (draw < error).astype(np.int64) - (draw > 1 - error).astype(np.int64)
    return STEPS[np.clip(moved, 0, STEPS.size - 1)]
