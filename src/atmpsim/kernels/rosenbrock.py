"""Advance a queue of trajectories in W lanes, each with its own step size, stops and samples.

The lanes share every call of the model's machine code, which also controls the steps; this loop only looks at the
lanes that reached a stop or a sample, or failed. A lane that ends takes the next trajectory from the queue. A
lane's numbers never depend on what the other lanes hold.
"""

from __future__ import annotations

import numpy as np

from atmpsim.kernels.arguments import (
    ADD_TO_STATE,
    AFTER,
    AT_EDGE,
    BEFORE,
    NOT_FINITE,
    OK,
    SET_CONSTANT,
    SET_INFLOW,
    SLIDING,
    STEP_LIMIT,
    STEP_UNDERFLOW,
)
from atmpsim.kernels.call import call_address, inner, lowest_bit
from atmpsim.kernels.crossings import all_alone, find_crossings, put_leaves, slides_on
from atmpsim.kernels.sampling import sample_inside, write


@inner
def advance(code, rows, actions, limits, edges, scratch, course, output, begin, end):
    """Advance trajectories `begin` to `end`.

    This is one long function because it was measured: the same in short functions over a tuple of lane arrays ran at
    a third (10 states) to a half (38 states) of the speed. What only edges need stands in functions of its own.

    Parameters
    ----------
    code, rows, actions, limits, edges, scratch, course, output
        See `kernels.arguments`.
    """
    ws, who, sampled, acted = scratch.workspace, scratch.who, scratch.sampled, scratch.acted
    initial, final, constants = course.initial, course.final, course.constants
    times, status, counts = output.times, output.status, output.attempts
    width, size, base = rows.width, initial.shape[1], scratch.workspace.ctypes.data
    for i in range(size):
        ws[rows.atol * width + i] = limits.atol[i]
    for lane in range(width):
        ws[rows.rtol * width + lane] = limits.rtol
        ws[rows.resolution * width + lane] = limits.resolution
        ws[rows.limit * width + lane] = limits.attempts
        who[lane] = -1
        _idle(ws, rows, lane)
        k = min(begin + lane, end - 1)
        ws[rows.time * width + lane] = course.start[k]
        _load(ws, rows, lane, initial, constants, course.cells, k)
    queue, active, stopped, wanting = begin, 0, 0, (1 << width) - 1
    soon = 0  # lanes whose next step begins where something happened
    while True:
        fresh = 0
        if wanting | stopped:
            for lane in range(width):
                bit = 1 << lane
                while (wanting | stopped) & bit:
                    if wanting & bit:
                        wanting &= ~bit
                        active &= ~bit
                        if queue >= end:
                            _idle(ws, rows, lane)
                            break
                        k = queue
                        queue += 1
                        active |= bit
                        who[lane], sampled[lane], acted[lane] = k, output.next[k], actions.first[actions.plan[k]]
                        scratch.slides[lane], scratch.crossing[lane] = 0, -np.inf
                        ws[rows.time * width + lane] = course.start[k]
                        ws[rows.attempts * width + lane] = 0.0
                        _load(ws, rows, lane, initial, constants, course.cells, k)
                        if limits.side == BEFORE:
                            upto = course.start[k] + limits.resolution
                            sampled[lane] = _sample_here(ws, rows.state, width, lane, output, k, 0, upto)
                    stopped &= ~bit
                    k, now = who[lane], ws[rows.time * width + lane]
                    acted[lane] = _act(ws, rows, actions, lane, k, acted[lane], now, initial, constants)
                    if limits.side == AFTER:
                        upto = now + limits.resolution
                        sampled[lane] = _sample_here(ws, rows.state, width, lane, output, k, sampled[lane], upto)
                    if now >= course.end[k]:
                        status[k], counts[k] = OK, int(ws[rows.attempts * width + lane])
                        course.reached[k], output.next[k] = now, sampled[lane]
                        _keep(ws, rows, lane, final, course.cells, k)
                        wanting |= bit
                    else:
                        fresh |= bit
            if active == 0:
                return
        if fresh:
            call_address(code.first_slope, base)
            if edges.slot.size and not edges.given:
                call_address(code.look_here, base)
                put_leaves(ws, rows, edges, fresh)
                call_address(code.first_slope, base)
            soon |= fresh
            for lane in range(width):
                if fresh >> lane & 1:
                    k = who[lane]
                    stop, last = course.end[k], actions.first[actions.plan[k] + 1]
                    if acted[lane] < last:
                        stop = min(stop, actions.time[acted[lane]])
                    ws[rows.stop * width + lane] = stop
                    ws[rows.sample_at * width + lane] = times[sampled[lane]] if sampled[lane] < times.size else np.inf
                    ws[rows.rejected * width + lane] = 0.0
                    ws[rows.starting * width + lane] = 1.0
                    ws[rows.step * width + lane] = _first_step(ws, rows, lane, size, limits)
        call_address(code.attempt, base)
        crossed = 0
        if edges.slot.size:
            accepted = 0
            for lane in range(width):
                if active >> lane & 1 and ws[rows.accept * width + lane] != 0.0:
                    accepted |= 1 << lane
            crossed = find_crossings(code, rows, limits, scratch, final, base, accepted, soon)
            soon &= ~accepted
        attention = int(ws[rows.attention * width]) & active | crossed
        if attention:
            sample_inside(code, rows, limits, scratch, output, base, attention)
            goes_on, left = 0, attention
            while left:
                lane = lowest_bit(left)
                left &= left - 1
                bit = 1 << lane
                k = who[lane]
                if ws[rows.accept * width + lane] != 0.0:
                    reached = ws[rows.reached * width + lane]
                    at_stop = reached >= ws[rows.stop * width + lane]
                    if crossed & bit:
                        for i in range(size):
                            ws[(rows.trial + i) * width + lane] = final[k, i]
                        if not all_alone(ws, rows, edges, lane):
                            status[k], counts[k] = AT_EDGE, int(ws[rows.attempts * width + lane])
                            course.reached[k], output.next[k] = reached, sampled[lane]
                            for e in range(edges.slot.size):
                                course.cells[k, e] = ws[(rows.cells + e) * width + lane]
                                course.beyond[k, e] = ws[(rows.beyond + e) * width + lane]
                            wanting |= bit
                            continue
                        if slides_on(scratch, limits, lane, reached):
                            status[k], counts[k] = SLIDING, int(ws[rows.attempts * width + lane])
                            wanting |= bit
                            continue
                        goes_on |= bit
                    if not at_stop or limits.side == BEFORE:
                        sampled[lane] = _sample_here(
                            ws, rows.trial, width, lane, output, k, sampled[lane], reached + limits.resolution
                        )
                    ws[rows.sample_at * width + lane] = times[sampled[lane]] if sampled[lane] < times.size else np.inf
                    if at_stop:
                        stopped |= bit
                else:
                    tries = ws[rows.attempts * width + lane]
                    status[k], counts[k] = STEP_LIMIT, int(tries)
                    if tries <= limits.attempts:
                        finite = ws[rows.error * width + lane] < 1e60
                        status[k] = STEP_UNDERFLOW if finite else NOT_FINITE
                    wanting |= bit
            if goes_on:
                put_leaves(ws, rows, edges, goes_on)
                soon |= goes_on
        call_address(code.commit, base)
        if crossed:
            call_address(code.first_slope, base)  # what depends on constants alone depends on leaves


@inner
def _load(ws, rows, lane, initial, constants, cells, k):
    width = rows.width
    for e in range(cells.shape[1]):
        ws[(rows.cells + e) * width + lane] = cells[k, e]
    for i in range(initial.shape[1]):
        ws[(rows.state + i) * width + lane] = initial[k, i]
        _set_inflow(ws, rows, lane, i, 0.0)
    for j in range(constants.shape[1]):
        ws[(rows.constants + j) * width + lane] = constants[k, j]


@inner
def _set_inflow(ws, rows, lane, i, value):
    """Set a state's inflow, and count those other than 0."""
    at = (rows.inflow + i) * rows.width + lane
    ws[rows.infused * rows.width] += int(value != 0.0) - int(ws[at] != 0.0)
    ws[at] = value


@inner
def _keep(ws, rows, lane, final, cells, k):
    """Write a trajectory's last state and cells."""
    for i in range(final.shape[1]):
        final[k, i] = ws[(rows.state + i) * rows.width + lane]
    for e in range(cells.shape[1]):
        cells[k, e] = ws[(rows.cells + e) * rows.width + lane]


@inner
def _idle(ws, rows, lane):
    """Let a lane without a trajectory idle: it asks for nothing."""
    ws[rows.stop * rows.width + lane] = np.inf
    ws[rows.sample_at * rows.width + lane] = np.inf
    ws[rows.step * rows.width + lane] = 1e-9
    ws[rows.attempts * rows.width + lane] = 0.0


@inner
def _act(ws, rows, actions, lane, k, done, time, initial, constants):
    """Carry out the actions of trajectory k up to a time; return the number of those done."""
    width, last = rows.width, actions.first[actions.plan[k] + 1]
    while done < last and actions.time[done] <= time:
        kind, target, value = actions.kind[done], actions.target[done], actions.value[done]
        if kind == ADD_TO_STATE:
            ws[(rows.state + target) * width + lane] += value
        elif kind == SET_CONSTANT:
            ws[(rows.constants + target) * width + lane] = value
        elif kind == SET_INFLOW:
            _set_inflow(ws, rows, lane, target, value)
        else:
            for i in range(initial.shape[1]):
                ws[(rows.state + i) * width + lane] = initial[k, i]
        done += 1
    return done


@inner
def _sample_here(ws, row, width, lane, output, k, done, time):
    """Write rows from `row` on into the samples up to this time; return the number of those done."""
    while done < output.times.size and output.times[done] <= time:
        write(ws, row, width, lane, output, k, done)
        done += 1
    return done


@inner
def _first_step(ws, rows, lane, size, limits):
    """Return a first step from the sizes of state and slope (Hairer, Norsett, Wanner 1993, section II.4)."""
    width = rows.width
    of_state, of_slope = 0.0, 0.0
    for i in range(size):
        y = ws[(rows.state + i) * width + lane]
        inverse = 1.0 / (limits.atol[i] + limits.rtol * abs(y))
        of_state += (y * inverse) ** 2
        of_slope += (ws[(rows.stages + i) * width + lane] * inverse) ** 2
    longest = 0.1 * limits.span
    if not (of_state > 1e-10 and of_slope > 1e-10):
        return min(1e-6, longest)
    return min(0.01 * np.sqrt(of_state / of_slope), longest)
