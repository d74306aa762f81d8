"""A pool of virtual patients whose course in every arm is known: what the patients of all replicates are taken from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Courses over (arm, draw, subject, time), and what belongs to each patient.

    Attributes
    ----------
    curves
        Outputs of the model by id.
    parameters
        Values at the start by id, over (draw, subject): the same in every arm.
    start
        Time from recruitment to infusion by subject, in the model's unit.
    delivered
        Dose delivered over the dose on the label, by subject.
    weight
        Body weight in kg by subject, NaN where the model has none.
    ok
        Whether a run came to its end in every arm, over (draw, subject).
    readings
        What assays showed of each patient of the pool, over (arm, draw, subject, visit), where rules used them.
    """

    times: FloatArray
    curves: Mapping[str, FloatArray]
    parameters: Mapping[str, FloatArray]
    units: Mapping[str, str]
    start: FloatArray
    delivered: FloatArray
    weight: FloatArray
    ok: NDArray[np.bool_]
    readings: Mapping[str, FloatArray] = field(default_factory=dict)
    stopped: FloatArray | None = None

    @property
    def draws(self) -> int:
        """Return the number of draws of what is not known."""
        return int(self.ok.shape[0])

    @property
    def subjects(self) -> int:
        """Return the number of patients in each draw."""
        return int(self.ok.shape[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Who:
    """Which patient of the pool, in which arm, each patient of each replicate is: arrays over (replicate, patient)."""

    arm: IntArray
    draw: IntArray
    subject: IntArray

    def parameter(self, pool: Pool, name: str) -> FloatArray:
        """Return a parameter of each patient."""
        return np.asarray(pool.parameters[name][self.draw, self.subject])

    def rows(self, pool: Pool, name: str) -> FloatArray:
        """Return the course of an output of each patient, over (replicate, patient, time)."""
        return np.asarray(pool.curves[name][self.arm, self.draw, self.subject])

    def at(self, pool: Pool, name: str, times: FloatArray) -> FloatArray:
        """Return an output at times after recruitment, of shape (replicate, patient, visit): linear between samples."""
        return interpolated(pool.times, self.rows(pool, name), times)


def interpolated(grid: FloatArray, values: FloatArray, times: FloatArray) -> FloatArray:
    """Return values over (…, time) at times of shape (…, visit), linear between samples and constant beyond.

    Examples
    --------
    >>> interpolated(np.array([0.0, 2.0]), np.array([[1.0, 3.0]]), np.array([[0.5, 5.0]]))
    array([[1.5, 3. ]])
    """
    right = np.clip(np.searchsorted(grid, times, side="right"), 1, grid.size - 1)
    left = right - 1
    share = np.clip((times - grid[left]) / (grid[right] - grid[left]), 0.0, 1.0)
    below, above = (np.take_along_axis(values, k, axis=-1) for k in (left, right))
    return np.where(share >= 1.0, above, below + share * (above - below))


def pick(
    pool: Pool, *, replicates: int, patients: int, first: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return draw and subject of each patient: no patient of the pool twice in a replicate.

    The subjects of the pool are exchangeable; it is cut in as many parts as there are patients, one from each part is
    taken, and their order is shuffled. Replicate r uses draw r modulo the number of draws.
    """
    part = pool.subjects // patients
    chosen = np.arange(patients) * part + rng.integers(0, part, size=(replicates, patients))
    draws = (first + np.arange(replicates)) % pool.draws
    return np.repeat(draws[:, None], patients, axis=1), rng.permuted(chosen, axis=1)
