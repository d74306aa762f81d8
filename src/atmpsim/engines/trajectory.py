"""What a solver returns: states over time, or where and why it stopped."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Status(enum.IntEnum):
    """How a run ended."""

    OK = 0
    NOT_FINITE = 1
    STEP_LIMIT = 2
    STEP_UNDERFLOW = 3
    SOLVER_FAILED = 4
    EVENTS_WITHOUT_END = 5
    STOPPED = 6


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
