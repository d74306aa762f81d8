"""The arguments of the batch driver, and what its status codes mean; importing them does not import the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OK, NOT_FINITE, STEP_LIMIT, STEP_UNDERFLOW, SLIDING, AT_EDGE = 0, 1, 2, 3, 4, 5
BEFORE, AFTER, INSIDE = 0, 1, 2
ADD_TO_STATE, SET_CONSTANT, SET_INFLOW, RESET = 0, 1, 2, 3

SLIDES, NO_TIME = 30, 1e-9
"""A trajectory that crosses edges this often in next to no time (a part of the run) slides along one, or its events
come ever faster. Assumption: nothing that goes on does so."""

LOOKS_PER_STEP, LOOKS_PER_RUN = 4, 1000
"""Between two looks an edge may be crossed and crossed back. Assumption: not within a thousandth of the run."""

SOON = (1e-8, 1e-6, 1e-4, 1e-2)
"""Parts of the way to the first look at which a step looks as well that begins where something happened."""


class Code(NamedTuple):
    """Addresses of the model's functions (see `compile.attempt`)."""

    attempt: int
    first_slope: int
    sample: int
    sample_lane: int
    commit: int
    look: int
    look_here: int


class Rows(NamedTuple):
    """First rows of the workspace's parts (see `compile.layout.Layout`), and the width."""

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
    crossed: int
    infused: int
    lane: int
    atol: int
    state: int
    trial: int
    inflow: int
    stages: int
    sampled: int
    cells: int
    beyond: int
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
    """Tolerances, the length of the whole run, and the most attempts of one trajectory.

    `side` says what samples at a stop show: the state BEFORE or AFTER it; INSIDE writes none at a trajectory's ends.
    Times closer than `resolution` are one time: 0.1 * 3 is not 0.3 in binary numbers, yet means it.
    """

    rtol: float
    atol: NDArray[np.float64]
    span: float
    attempts: int
    side: int
    resolution: float


class Edges(NamedTuple):
    """The edges to search, and what to do where one is crossed.

    `slot` is the constant that is an edge's leaf; `alone` says that crossing it changes nothing else, so that the
    trajectory goes on at once, where at any other it ends with the status AT_EDGE. `equal` is 0 for a leaf that is
    its cell, 1 where it is whether the cell is 0, and 2 where it is whether it is not. `given` says that the cells
    at the start are the caller's.
    """

    slot: NDArray[np.int64]
    alone: NDArray[np.int64]
    equal: NDArray[np.int64]
    given: int


class Course(NamedTuple):
    """Where each trajectory begins, must end and has come to.

    `start`, `end` and `reached` (trajectory,) are times; `initial` and `final` (trajectory, state), `constants`
    (trajectory, constant), and `cells` (trajectory, edge), which is where the trajectory ended, and `beyond` what is
    past the edges it ended at.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    reached: NDArray[np.float64]
    initial: NDArray[np.float64]
    final: NDArray[np.float64]
    constants: NDArray[np.float64]
    cells: NDArray[np.float64]
    beyond: NDArray[np.float64]


class Output(NamedTuple):
    """Sample times, sorted, and the states to keep; each trajectory's first sample, its samples, and how it ended.

    `samples` (trajectory, time, kept state); what follows a failure is left as it is. `next` (trajectory,) is the
    number of the next sample, `status` and `attempts` (trajectory,) how it ended and what that took.
    """

    times: NDArray[np.float64]
    kept: NDArray[np.int64]
    samples: NDArray[np.float64]
    next: NDArray[np.int64]
    status: NDArray[np.int64]
    attempts: NDArray[np.int64]


class Scratch(NamedTuple):
    """Memory of one call: the workspace (rows of W float64, aligned to the vector) and some numbers a lane."""

    workspace: NDArray[np.float64]
    who: NDArray[np.int64]
    sampled: NDArray[np.int64]
    ahead: NDArray[np.int64]
    acted: NDArray[np.int64]
    slides: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    crossing: NDArray[np.float64]


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
