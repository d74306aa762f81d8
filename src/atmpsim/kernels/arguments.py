"""The arguments of the batch driver, and what its status codes mean; importing them does not import the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OK, NOT_FINITE, STEP_LIMIT, STEP_UNDERFLOW = 0, 1, 2, 3
ADD_TO_STATE, SET_CONSTANT, SET_INFLOW, RESET = 0, 1, 2, 3


class Code(NamedTuple):
    """Addresses of `attempt`, `first_slope`, `sample` and `commit`."""

    attempt: int
    first_slope: int
    sample: int
    commit: int


class Rows(NamedTuple):
    """First rows of the workspace's parts (see `compile.lanes.Layout`), and the width."""

    time: int
    step: int
    stop: int
    sample_at: int
    rtol: int
    resolution: int
    limit: int
    attempts: int
    rejected: int
    starting: int
    accept: int
    reached: int
    error: int
    theta: int
    attention: int
    atol: int
    state: int
    trial: int
    inflow: int
    stages: int
    sampled: int
    constants: int
    width: int


class Actions(NamedTuple):
    """What happens at stops: plan p owns entries first[p] to first[p + 1], sorted by time.

    `kind` is one of ADD_TO_STATE, SET_CONSTANT, SET_INFLOW (to `value`) and RESET; `target` a state or constant.
    `plan` gives the plan of each trajectory.
    """

    plan: NDArray[np.int64]
    first: NDArray[np.int64]
    time: NDArray[np.float64]
    kind: NDArray[np.int64]
    target: NDArray[np.int64]
    value: NDArray[np.float64]


class Limits(NamedTuple):
    """Tolerances, the span of time, the most attempts of one trajectory, and the side samples at a stop show.

    Times closer than `resolution` are one time: 0.1 * 3 is not 0.3 in binary numbers, yet means it.
    """

    rtol: float
    atol: NDArray[np.float64]
    start: float
    end: float
    attempts: int
    sample_after: bool
    resolution: float


class Scratch(NamedTuple):
    """Memory of one call: the workspace (rows of W float64, aligned to the vector) and three numbers a lane."""

    workspace: NDArray[np.float64]
    who: NDArray[np.int64]
    sampled: NDArray[np.int64]
    acted: NDArray[np.int64]


def flatten(*arguments: object) -> NDArray[np.int64]:
    """Return arguments of the driver as one row of 64-bit numbers, in the order in which `kernels.entry` reads them.

    A tuple stands as its members, an array as its address and shape, a float as its bits.
    """
    return np.array([number for argument in arguments for number in _numbers(argument)], dtype=np.int64)


def _numbers(argument: object) -> Iterator[int]:
    if isinstance(argument, tuple):
        for member in argument:
            yield from _numbers(member)
    elif isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous or argument.dtype.itemsize != 8:
            raise ValueError(f"expected a C-contiguous array of 64-bit numbers, found {argument.dtype}")
        yield argument.ctypes.data
        yield from argument.shape
    elif isinstance(argument, float):
        yield int(np.float64(argument).view(np.int64))
    else:
        yield int(argument)  # type: ignore[call-overload]
