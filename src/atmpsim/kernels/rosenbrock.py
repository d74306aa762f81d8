"""Advance a queue of trajectories in W lanes, each with its own step size, stops and samples.

The lanes share every call of the model's machine code; a lane that ends takes the next trajectory from the queue.
A lane's numbers never depend on what the other lanes hold.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from atmpsim.kernels.call import call_address

OK, NOT_FINITE, STEP_LIMIT, STEP_UNDERFLOW = 0, 1, 2, 3
ADD_TO_STATE, SET_CONSTANT, SET_INFLOW, RESET = 0, 1, 2, 3
MAX_GROWTH = 1e12  # of an elimination without pivoting: beyond, the factors have lost what a double holds
IDLE_STEP = 1e-9  # of a lane without a trajectory, which computes along


class Code(NamedTuple):
    """Addresses of `attempt`, `first_slope`, `dense` and `commit`."""

    attempt: int
    first_slope: int
    dense: int
    commit: int


class Rows(NamedTuple):
    """First rows of the workspace's parts (see `compile.lanes.Layout`), and the width."""

    time: int
    step: int
    error: int
    accept: int
    rtol: int
    growth: int
    state: int
    trial: int
    atol: int
    inflow: int
    stages: int
    dense: int
    constants: int
    width: int


class Actions(NamedTuple):
    """What happens at stops: trajectory k owns entries first[k] to first[k + 1], sorted by time.

    `kind` is one of ADD_TO_STATE, SET_CONSTANT, SET_INFLOW (to `value`) and RESET; `target` a state or constant.
    """

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


class Work(NamedTuple):
    """What all lanes work on: the queue's inputs and outputs (see `advance`)."""

    workspace: NDArray[np.float64]
    initial: NDArray[np.float64]
    constants: NDArray[np.float64]
    times: NDArray[np.float64]
    samples: NDArray[np.float64]
    status: NDArray[np.int64]
    counts: NDArray[np.int64]


class Lanes(NamedTuple):
    """One entry per lane: which trajectory (-1 none), its time and step, how far it is in samples and actions.

    `wanting` asks for the next trajectory, `fresh` for a first step, `at_stop` says that the step ends at a stop,
    `rejected` that the last attempt failed.
    """

    who: NDArray[np.int64]
    time: NDArray[np.float64]
    step: NDArray[np.float64]
    sampled: NDArray[np.int64]
    acted: NDArray[np.int64]
    wanting: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    at_stop: NDArray[np.bool_]
    rejected: NDArray[np.bool_]


@njit(nogil=True, cache=True, error_model="numpy")
def advance(code, rows, actions, limits, work, begin, end):
    """Advance trajectories `begin` to `end`.

    `work` holds: `workspace`, float64, aligned to the vector, rows of `rows.width` lanes; `initial` (trajectory,
    state) and `constants` (trajectory, constant), the values at the start; `times`, sorted, and `samples`
    (trajectory, time, state), where they go, NaN where a trajectory failed; `status` and `counts` (trajectory,),
    how each ended and how many attempts it took.
    """
    width, base = rows.width, work.workspace.ctypes.data
    lanes = _idle_lanes(rows, limits, work, begin, end)
    queue, active = begin, 0
    while True:
        any_fresh = False
        for lane in range(width):
            if lanes.wanting[lane]:
                lanes.wanting[lane] = False
                if queue < end:
                    _take(rows, actions, limits, work, lanes, lane, queue)
                    queue += 1
                    active += 1
            if lanes.at_stop[lane] and _finished_at_stop(rows, actions, limits, work, lanes, lane):
                active -= 1
            any_fresh = any_fresh or lanes.fresh[lane]
        if active == 0 and queue >= end:
            return
        if any_fresh:
            _first_steps(code, rows, limits, work, lanes, base)
        for lane in range(width):
            _aim(rows, actions, limits, work, lanes, lane)
        call_address(code.attempt, base)
        dense = False
        for lane in range(width):
            work.workspace[rows.accept * width + lane] = 0.0
            k = lanes.who[lane]
            if k < 0:
                continue
            work.counts[k] += 1
            error = np.sqrt(work.workspace[rows.error * width + lane] / max(work.initial.shape[1], 1))
            growth = work.workspace[rows.growth * width + lane]
            if error <= 1.0 and growth < MAX_GROWTH and work.counts[k] <= limits.attempts:
                dense = _accept(code, rows, actions, limits, work, lanes, lane, error, dense)
            elif _gave_up(limits, work, lanes, lane, error):
                active -= 1
        call_address(code.commit, base)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _idle_lanes(rows, limits, work, begin, end):
    """Return lanes that all want a trajectory; their rows hold a real one's values, so that nothing is NaN."""
    width = rows.width
    for lane in range(width):
        work.workspace[rows.rtol * width + lane] = limits.rtol
        for i in range(work.initial.shape[1]):
            work.workspace[(rows.atol + i) * width + lane] = limits.atol[i]
        _load(work.workspace, rows, lane, work.initial, work.constants, min(begin + lane, end - 1))
    return Lanes(
        np.full(width, -1), np.zeros(width), np.full(width, IDLE_STEP), np.zeros(width, np.int64),
        np.zeros(width, np.int64), np.ones(width, np.bool_), np.zeros(width, np.bool_), np.zeros(width, np.bool_),
        np.zeros(width, np.bool_),
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _take(rows, actions, limits, work, lanes, lane, k):
    """Put trajectory k at its start into a lane."""
    lanes.who[lane], lanes.time[lane] = k, limits.start
    lanes.sampled[lane], lanes.acted[lane], work.counts[k] = 0, actions.first[k], 0
    _load(work.workspace, rows, lane, work.initial, work.constants, k)
    if not limits.sample_after:
        lanes.sampled[lane] = _sample_here(rows, limits, work, lanes, lane)
    lanes.at_stop[lane] = True


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _leave(lanes, lane):
    """Take a trajectory out of its lane."""
    lanes.who[lane], lanes.step[lane] = -1, IDLE_STEP
    lanes.wanting[lane], lanes.fresh[lane] = True, False


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _finished_at_stop(rows, actions, limits, work, lanes, lane):
    """Carry out what happens at a stop, sample after it, and say whether the trajectory has ended."""
    k = lanes.who[lane]
    lanes.at_stop[lane] = False
    lanes.acted[lane] = _act(rows, actions, work, lanes, lane)
    if limits.sample_after:
        lanes.sampled[lane] = _sample_here(rows, limits, work, lanes, lane)
    lanes.fresh[lane] = True
    if lanes.time[lane] < limits.end:
        return False
    work.status[k] = OK
    _leave(lanes, lane)
    return True


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _first_steps(code, rows, limits, work, lanes, base):
    """Give the fresh lanes a first step."""
    for lane in range(rows.width):
        work.workspace[rows.time * rows.width + lane] = lanes.time[lane]
    call_address(code.first_slope, base)
    for lane in range(rows.width):
        if lanes.fresh[lane]:
            lanes.fresh[lane], lanes.rejected[lane] = False, False
            lanes.step[lane] = _first_step(work.workspace, rows, lane, work.initial.shape[1], limits)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _next_stop(actions, limits, lanes, lane):
    k = lanes.who[lane]
    if lanes.acted[lane] < actions.first[k + 1]:
        return min(limits.end, actions.time[lanes.acted[lane]])
    return limits.end


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _aim(rows, actions, limits, work, lanes, lane):
    """Set a lane's time and step for the next attempt, the step cut to end exactly at the next stop."""
    if lanes.who[lane] >= 0:
        stop = _next_stop(actions, limits, lanes, lane)
        if lanes.time[lane] + 1.0001 * lanes.step[lane] >= stop:
            lanes.step[lane], lanes.at_stop[lane] = stop - lanes.time[lane], True
    work.workspace[rows.time * rows.width + lane] = lanes.time[lane]
    work.workspace[rows.step * rows.width + lane] = lanes.step[lane]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _accept(code, rows, actions, limits, work, lanes, lane, error, dense):
    """Sample within the step, move on, and choose the next step; return whether the dense rows are computed."""
    begin, step, k = lanes.time[lane], lanes.step[lane], lanes.who[lane]
    reached = _next_stop(actions, limits, lanes, lane) if lanes.at_stop[lane] else begin + step
    wait = lanes.at_stop[lane] and limits.sample_after
    o = lanes.sampled[lane]
    while o < work.times.size:
        time = work.times[o]
        if time > reached + limits.resolution or (wait and time >= reached - limits.resolution):
            break
        if time >= reached - limits.resolution:
            for i in range(work.initial.shape[1]):
                work.samples[k, o, i] = work.workspace[(rows.trial + i) * rows.width + lane]
        else:
            if not dense:
                call_address(code.dense, work.workspace.ctypes.data)
                dense = True
            _interpolate(work.workspace, rows, lane, (time - begin) / step, work.samples, k, o)
        o += 1
    lanes.sampled[lane] = o
    work.workspace[rows.accept * rows.width + lane] = 1.0
    lanes.time[lane] = reached
    factor = min(6.0, 0.9 * error**-0.2) if error > 1e-8 else 6.0
    lanes.step[lane] *= max(0.2, min(factor, 1.0) if lanes.rejected[lane] else factor)
    lanes.rejected[lane] = False
    return dense


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _gave_up(limits, work, lanes, lane, error):
    """Shorten the step after a failed attempt; say whether the trajectory has to be given up."""
    k, finite = lanes.who[lane], error < 1e30
    lanes.at_stop[lane], lanes.rejected[lane] = False, True
    lanes.step[lane] *= max(0.2, 0.9 * error**-0.2) if finite and error > 1.0 else 0.1
    if work.counts[k] > limits.attempts:
        work.status[k] = STEP_LIMIT
    elif lanes.step[lane] < 1e-14 * max(abs(lanes.time[lane]), 1e-3):
        work.status[k] = STEP_UNDERFLOW if finite else NOT_FINITE
    else:
        return False
    _leave(lanes, lane)
    return True


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _load(workspace, rows, lane, initial, constants, k):
    width = rows.width
    for i in range(initial.shape[1]):
        workspace[(rows.state + i) * width + lane] = initial[k, i]
        workspace[(rows.inflow + i) * width + lane] = 0.0
    for j in range(constants.shape[1]):
        workspace[(rows.constants + j) * width + lane] = constants[k, j]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _act(rows, actions, work, lanes, lane):
    """Carry out the actions due by the lane's time; return the index of the next one."""
    width, k, done = rows.width, lanes.who[lane], lanes.acted[lane]
    while done < actions.first[k + 1] and actions.time[done] <= lanes.time[lane]:
        kind, target, value = actions.kind[done], actions.target[done], actions.value[done]
        if kind == ADD_TO_STATE:
            work.workspace[(rows.state + target) * width + lane] += value
        elif kind == SET_CONSTANT:
            work.workspace[(rows.constants + target) * width + lane] = value
        elif kind == SET_INFLOW:
            work.workspace[(rows.inflow + target) * width + lane] = value
        else:
            for i in range(work.initial.shape[1]):
                work.workspace[(rows.state + i) * width + lane] = work.initial[k, i]
        done += 1
    return done


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _sample_here(rows, limits, work, lanes, lane):
    """Write the state into the samples up to the lane's time; return the index of the next one."""
    k, done = lanes.who[lane], lanes.sampled[lane]
    while done < work.times.size and work.times[done] <= lanes.time[lane] + limits.resolution:
        for i in range(work.initial.shape[1]):
            work.samples[k, done, i] = work.workspace[(rows.state + i) * rows.width + lane]
        done += 1
    return done


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _first_step(workspace, rows, lane, size, limits):
    """Return a first step from the sizes of state and slope (Hairer, Norsett, Wanner 1993, section II.4)."""
    width = rows.width
    of_state, of_slope = 0.0, 0.0
    for i in range(size):
        y = workspace[(rows.state + i) * width + lane]
        scale = limits.atol[i] + limits.rtol * abs(y)
        of_state += (y / scale) ** 2
        of_slope += (workspace[(rows.stages + i) * width + lane] / scale) ** 2
    longest = 0.1 * (limits.end - limits.start)
    if not (of_state > 1e-10 and of_slope > 1e-10):
        return min(1e-6, longest)
    return min(0.01 * np.sqrt(of_state / of_slope), longest)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _interpolate(workspace, rows, lane, theta, samples, k, o):
    width, size, rest = rows.width, samples.shape[2], 1.0 - theta
    for i in range(size):
        d0 = workspace[(rows.dense + i) * width + lane]
        d1 = workspace[(rows.dense + size + i) * width + lane]
        d2 = workspace[(rows.dense + 2 * size + i) * width + lane]
        curve = d0 + theta * (d1 + theta * d2)
        old, new = workspace[(rows.state + i) * width + lane], workspace[(rows.trial + i) * width + lane]
        samples[k, o, i] = old + theta * ((new - old) + rest * curve)
