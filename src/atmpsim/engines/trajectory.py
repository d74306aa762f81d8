"""What a solver returns: states over time, or where and why it stopped; and the values of every id over time."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atmpsim.model.equations import Equations
from atmpsim.model.evaluate import evaluate
from atmpsim.model.graph import TIME, symbol_of

FloatArray = NDArray[np.float64]


class Status(enum.IntEnum):
    """How a run ended."""

    OK = 0
    NOT_FINITE = 1
    STEP_LIMIT = 2
    STEP_UNDERFLOW = 3
    SOLVER_FAILED = 4
    EVENTS_WITHOUT_END = 5


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """Relative tolerance, absolute tolerance per state (in its unit), and the most steps of one run."""

    rtol: float
    atol: FloatArray
    max_steps: int = 100_000


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Where a run stopped: the time, the worst state and its value, and why."""

    status: Status
    time: float
    state: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """States (time, state) and constants (time, constant) at the sample times; NaN from a failure on."""

    states: FloatArray
    constants: FloatArray
    steps: int
    failure: Failure | None = None


def observe(
    equations: Equations, trajectories: Sequence[Trajectory], *, times: FloatArray, select: Sequence[str]
) -> dict[str, FloatArray]:
    """Return the values (run, time) of the selected ids (`S` an amount, `[S]` a concentration); NaN after failures."""
    states = np.stack([t.states for t in trajectories])
    constants = np.stack([t.constants for t in trajectories])
    symbols: dict[str, ArrayLike] = {TIME: times}
    symbols |= {symbol_of(s): states[:, :, k] for k, s in enumerate(equations.states)}
    symbols |= {symbol_of(c): constants[:, :, k] for k, c in enumerate(equations.constants)}
    values = evaluate(equations.graph, [equations.values[s] for s in select], symbols)
    failed = np.isnan(states).any(axis=2) & np.array([[t.failure is not None] for t in trajectories])
    return {
        name: np.where(failed, np.nan, np.broadcast_to(value, failed.shape))
        for name, value in zip(select, values, strict=True)
    }
