"""Trajectories of one model to run together: arrays of their values at the start, and their doses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atmpsim.model.equations import Equations
from atmpsim.scenario.dosing import Schedule

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """What tells the trajectories of one model apart.

    `initial` (trajectory, state) and `constants` (trajectory, constant) stand in the order of the equations.
    `schedules` is one for all trajectories or one each; all have the same start and end.
    """

    initial: FloatArray
    constants: FloatArray
    schedules: tuple[Schedule, ...]

    @property
    def size(self) -> int:
        """Return the number of trajectories."""
        return self.initial.shape[0]

    def schedule(self, k: int) -> Schedule:
        """Return the schedule of a trajectory."""
        return self.schedules[k if len(self.schedules) > 1 else 0]

    def leaves(self, equations: Equations, k: int) -> dict[str, float]:
        """Return a trajectory's value of every state and constant at the start."""
        states = dict(zip(equations.states, self.initial[k].tolist(), strict=True))
        return states | dict(zip(equations.constants, self.constants[k].tolist(), strict=True))

    def take(self, which: Sequence[int] | IntArray) -> Ensemble:
        """Return some of the trajectories."""
        schedules = self.schedules if len(self.schedules) == 1 else tuple(self.schedules[k] for k in which)
        return Ensemble(initial=self.initial[which], constants=self.constants[which], schedules=schedules)


def gather(
    equations: Equations, leaves: Mapping[str, ArrayLike], *, count: int, schedules: Sequence[Schedule]
) -> Ensemble:
    """Return an ensemble from the value of every state and constant: one for all, or one each.

    Raises
    ------
    ValueError
        If there is neither one schedule nor one for each trajectory.
    """
    if len(schedules) not in (1, count):
        raise ValueError(f"{len(schedules)} schedules for {count} trajectories")
    return Ensemble(
        initial=_columns(equations.states, leaves, count),
        constants=_columns(equations.constants, leaves, count),
        schedules=tuple(schedules),
    )


def _columns(names: Sequence[str], leaves: Mapping[str, ArrayLike], count: int) -> FloatArray:
    table = np.zeros((count, len(names)))
    for k, name in enumerate(names):
        table[:, k] = leaves.get(name, 0.0)
    return table
