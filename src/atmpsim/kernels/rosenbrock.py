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


@njit(nogil=True, cache=True, error_model="numpy")
def advance(code, rows, actions, limits, workspace, initial, constants, times, samples, status, counts, begin, end):
    """Advance trajectories `begin` to `end`.

    This is one long function because it was measured: the same in short functions over a tuple of lane arrays ran at
    a third (10 states) to a half (38 states) of the speed.

    Parameters
    ----------
    workspace
        float64, aligned to the vector; rows of `rows.width` lanes.
    initial, constants
        (trajectory, state) and (trajectory, constant), the values at the start.
    times, samples
        Sample times, sorted, and (trajectory, time, state) where the samples go; NaN where a trajectory failed.
    status, counts
        (trajectory,) how each ended and how many attempts it took.
    """
    width, size = rows.width, initial.shape[1]
    base = workspace.ctypes.data
    time, step = np.zeros(width), np.full(width, 1e-9)
    who = np.full(width, -1)
    sampled, acted = np.zeros(width, np.int64), np.zeros(width, np.int64)
    wanting, fresh = np.ones(width, np.bool_), np.zeros(width, np.bool_)
    at_stop, rejected = np.zeros(width, np.bool_), np.zeros(width, np.bool_)
    for lane in range(width):
        workspace[rows.rtol * width + lane] = limits.rtol
        for i in range(size):
            workspace[(rows.atol + i) * width + lane] = limits.atol[i]
        _load(workspace, rows, lane, initial, constants, min(begin + lane, end - 1))
    queue, active = begin, 0
    while True:
        any_fresh = False
        for lane in range(width):
            if wanting[lane]:
                wanting[lane] = False
                if queue < end:
                    k = queue
                    queue += 1
                    active += 1
                    who[lane], time[lane] = k, limits.start
                    sampled[lane], acted[lane], counts[k] = 0, actions.first[k], 0
                    _load(workspace, rows, lane, initial, constants, k)
                    if not limits.sample_after:
                        sampled[lane] = _sample_here(
                            workspace, rows, lane, samples, k, times, 0, time[lane] + limits.resolution
                        )
                    at_stop[lane] = True
                else:
                    who[lane], step[lane] = -1, 1e-9
            if at_stop[lane]:
                at_stop[lane] = False
                k = who[lane]
                acted[lane] = _act(workspace, rows, actions, lane, k, acted[lane], time[lane], initial, constants)
                if limits.sample_after:
                    upto = time[lane] + limits.resolution
                    sampled[lane] = _sample_here(workspace, rows, lane, samples, k, times, sampled[lane], upto)
                fresh[lane] = True
                if time[lane] >= limits.end:
                    status[k] = OK
                    wanting[lane], fresh[lane], who[lane] = True, False, -1
                    active -= 1
                    step[lane] = 1e-9
            any_fresh = any_fresh or fresh[lane]
        if active == 0 and queue >= end:
            return
        if any_fresh:
            for lane in range(width):
                workspace[rows.time * width + lane] = time[lane]
            call_address(code.first_slope, base)
            for lane in range(width):
                if fresh[lane]:
                    fresh[lane], rejected[lane] = False, False
                    step[lane] = _first_step(workspace, rows, lane, size, limits, time[lane])
        for lane in range(width):
            k = who[lane]
            if k >= 0:
                stop = limits.end
                if acted[lane] < actions.first[k + 1]:
                    stop = min(stop, actions.time[acted[lane]])
                if time[lane] + 1.0001 * step[lane] >= stop:
                    step[lane], at_stop[lane] = stop - time[lane], True
            workspace[rows.time * width + lane] = time[lane]
            workspace[rows.step * width + lane] = step[lane]
        call_address(code.attempt, base)
        dense = False
        for lane in range(width):
            workspace[rows.accept * width + lane] = 0.0
            k = who[lane]
            if k < 0:
                continue
            counts[k] += 1
            error = np.sqrt(workspace[rows.error * width + lane] / max(size, 1))
            growth = workspace[rows.growth * width + lane]
            exhausted = counts[k] > limits.attempts
            if error <= 1.0 and growth < MAX_GROWTH and not exhausted:
                reached = time[lane] + step[lane]
                if at_stop[lane]:
                    reached = limits.end
                    if acted[lane] < actions.first[k + 1]:
                        reached = min(reached, actions.time[acted[lane]])
                o = sampled[lane]
                while o < times.size and (
                    times[o] < reached - limits.resolution
                    or (times[o] <= reached + limits.resolution and not (at_stop[lane] and limits.sample_after))
                ):
                    if times[o] >= reached - limits.resolution:
                        for i in range(size):
                            samples[k, o, i] = workspace[(rows.trial + i) * width + lane]
                    else:
                        if not dense:
                            call_address(code.dense, base)
                            dense = True
                        _interpolate(workspace, rows, lane, size, (times[o] - time[lane]) / step[lane], samples, k, o)
                    o += 1
                sampled[lane] = o
                workspace[rows.accept * width + lane] = 1.0
                time[lane] = reached
                factor = min(6.0, 0.9 * error**-0.2) if error > 1e-8 else 6.0
                factor = max(0.2, min(factor, 1.0) if rejected[lane] else factor)
                rejected[lane] = False
                step[lane] *= factor
            else:
                at_stop[lane], rejected[lane] = False, True
                finite = error < 1e30
                step[lane] *= max(0.2, 0.9 * error**-0.2) if finite and error > 1.0 else 0.1
                failed = OK
                if exhausted:
                    failed = STEP_LIMIT
                elif step[lane] < 1e-14 * max(abs(time[lane]), 1e-3):
                    failed = STEP_UNDERFLOW if finite else NOT_FINITE
                if failed != OK:
                    status[k] = failed
                    wanting[lane], who[lane] = True, -1
                    active -= 1
                    step[lane] = 1e-9
        call_address(code.commit, base)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _load(workspace, rows, lane, initial, constants, k):
    width = rows.width
    for i in range(initial.shape[1]):
        workspace[(rows.state + i) * width + lane] = initial[k, i]
        workspace[(rows.inflow + i) * width + lane] = 0.0
    for j in range(constants.shape[1]):
        workspace[(rows.constants + j) * width + lane] = constants[k, j]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _act(workspace, rows, actions, lane, k, done, time, initial, constants):
    """Carry out the actions of trajectory k up to a time; return the number of those done."""
    width = rows.width
    while done < actions.first[k + 1] and actions.time[done] <= time:
        kind, target, value = actions.kind[done], actions.target[done], actions.value[done]
        if kind == ADD_TO_STATE:
            workspace[(rows.state + target) * width + lane] += value
        elif kind == SET_CONSTANT:
            workspace[(rows.constants + target) * width + lane] = value
        elif kind == SET_INFLOW:
            workspace[(rows.inflow + target) * width + lane] = value
        else:
            for i in range(initial.shape[1]):
                workspace[(rows.state + i) * width + lane] = initial[k, i]
        done += 1
    return done


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _sample_here(workspace, rows, lane, samples, k, times, done, time):
    """Write the state into the samples up to this time; return the number of those done."""
    while done < times.size and times[done] <= time:
        for i in range(samples.shape[2]):
            samples[k, done, i] = workspace[(rows.state + i) * rows.width + lane]
        done += 1
    return done


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _first_step(workspace, rows, lane, size, limits, time):
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
def _interpolate(workspace, rows, lane, size, theta, samples, k, o):
    width, rest = rows.width, 1.0 - theta
    for i in range(size):
        d0 = workspace[(rows.dense + i) * width + lane]
        d1 = workspace[(rows.dense + size + i) * width + lane]
        d2 = workspace[(rows.dense + 2 * size + i) * width + lane]
        curve = d0 + theta * (d1 + theta * d2)
        old, new = workspace[(rows.state + i) * width + lane], workspace[(rows.trial + i) * width + lane]
        samples[k, o, i] = old + theta * ((new - old) + rest * curve)
