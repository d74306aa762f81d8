"""Write the samples that lie inside the steps that lanes accepted, from the method's dense output."""

from __future__ import annotations

import numpy as np

from atmpsim.kernels.call import call_address, inner, lowest_bit


@inner
def sample_inside(code, rows, limits, scratch, output, base, attention):
    """Write what lies inside the steps of some lanes.

    The dense output finds one time of every lane, or W times of one lane: lanes with many times get calls of their
    own, the others share theirs. A sample has the same bits either way.
    """
    ws, who, sampled, ahead, width = scratch.workspace, scratch.who, scratch.sampled, scratch.ahead, rows.width
    inside, most, left = 0, 0, attention
    while left:
        lane = lowest_bit(left)
        left &= left - 1
        ahead[lane] = _count(ws, rows, limits, output, lane, sampled[lane])
        if ahead[lane]:
            inside |= 1 << lane
            most = max(most, ahead[lane])
    shared = _shared(ahead, width, inside, most)
    left = inside
    while left:
        lane = lowest_bit(left)
        left &= left - 1
        if ahead[lane] > shared:
            _sample_lane(code, ws, rows, output, base, lane, who[lane], sampled[lane], ahead[lane])
            sampled[lane] += ahead[lane]
            inside &= ~(1 << lane)
    while inside:
        left = inside
        while left:
            lane = lowest_bit(left)
            left &= left - 1
            _set_theta(ws, rows, lane, lane, output.times[sampled[lane]])
        call_address(code.sample, base)
        left = inside
        while left:
            lane = lowest_bit(left)
            left &= left - 1
            write(ws, rows.sampled, width, lane, output, who[lane], sampled[lane])
            sampled[lane] += 1
            ahead[lane] -= 1
            if ahead[lane] == 0:
                inside &= ~(1 << lane)


@inner
def _count(ws, rows, limits, output, lane, first):
    """Return how many samples lie inside the step that a lane accepted, from the first on."""
    times, upto, o = output.times, ws[rows.reached * rows.width + lane] - limits.resolution, first
    if ws[rows.accept * rows.width + lane] != 0.0:
        while o < times.size and times[o] < upto:
            o += 1
    return o - first


@inner
def _shared(ahead, width, inside, most):
    """Return the number of shared calls with which the calls are fewest; lanes with more times get their own."""
    best, fewest = most, most
    for shared in range(most if most > 1 else 0):
        if shared >= fewest:
            break
        calls, left = shared, inside
        while left:
            lane = lowest_bit(left)
            left &= left - 1
            if ahead[lane] > shared:
                calls += 1
            if ahead[lane] > max(shared, width):  # rarely: a division takes long
                calls += (ahead[lane] - 1) // width
        if calls < fewest:
            best, fewest = shared, calls
    return best


@inner
def _sample_lane(code, ws, rows, output, base, lane, k, first, count):
    """Write samples of one lane, as many at once as there are lanes."""
    width = rows.width
    ws[rows.lane * width] = lane
    for begin in range(first, first + count, width):
        some = min(width, first + count - begin)
        for s in range(width):
            _set_theta(ws, rows, s, lane, output.times[begin + min(s, some - 1)])
        call_address(code.sample_lane, base)
        for s in range(some):
            write(ws, rows.sampled, width, s, output, k, begin + s)


@inner
def _set_theta(ws, rows, slot, lane, time):
    """Let a slot look at a time inside a lane's step."""
    passed = time - ws[rows.time * rows.width + lane]
    ws[rows.theta * rows.width + slot] = passed / ws[rows.step * rows.width + lane]


@inner
def write(ws, row, width, lane, output, k, o):
    """Write rows from `row` on into a trajectory's sample."""
    # unsigned, because for an index that may be negative there are as many instructions again
    first, each, sample = np.uint64(row * width + lane), np.uint64(width), output.samples[k, o]
    for j in range(output.kept.size):
        sample[j] = ws[first + np.uint64(output.kept[j]) * each]
