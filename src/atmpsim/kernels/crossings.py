"""Find where lanes cross the edges of a model's smooth pieces, on the method's dense output.

A lane looks at some points of each step it accepts, and closes in on a crossing by halving. Its numbers do not
depend on what other lanes look at meanwhile.
"""

from __future__ import annotations

import math

from atmpsim.kernels.arguments import LOOKS_PER_RUN, LOOKS_PER_STEP, NO_TIME, SLIDES, SOON
from atmpsim.kernels.call import call_address, inner


@inner
def find_crossings(code, rows, limits, scratch, final, base, accepted, soon):
    """Return the bits of the lanes whose accepted step crosses an edge.

    For these `reached` becomes the time just beyond it, `final` of their trajectory the state there, and the rows
    `beyond` the edges' cells.
    """
    ws, low, high, width = scratch.workspace, scratch.low, scratch.high, rows.width
    found = _look_along(code, rows, limits, scratch, base, accepted, soon)
    if not found:
        return 0
    while True:
        closer = 0
        for lane in range(width):
            middle, theta = 0.5 * (low[lane] + high[lane]), high[lane]
            far = (high[lane] - low[lane]) * ws[rows.step * width + lane] > 0.5 * limits.resolution
            if found >> lane & 1 and far and low[lane] < middle < high[lane]:
                closer |= 1 << lane
                theta = middle
            ws[rows.theta * width + lane] = theta
        call_address(code.look, base)
        if not closer:
            break
        crossed = int(ws[rows.crossed * width])
        for lane in range(width):
            if closer >> lane & 1:
                if crossed >> lane & 1:
                    high[lane] = ws[rows.theta * width + lane]
                else:
                    low[lane] = ws[rows.theta * width + lane]
    call_address(code.sample, base)
    for lane in range(width):
        if found >> lane & 1:
            time = ws[rows.time * width + lane] + high[lane] * ws[rows.step * width + lane]
            stop = ws[rows.stop * width + lane]
            ws[rows.reached * width + lane] = stop if time >= stop - limits.resolution else time
            for i in range(final.shape[1]):
                final[scratch.who[lane], i] = ws[(rows.sampled + i) * width + lane]
    return found


@inner
def _look_along(code, rows, limits, scratch, base, accepted, soon):
    """Return the bits of the lanes that are beyond an edge at a look, which lies between their `low` and `high`."""
    ws, low, high, width = scratch.workspace, scratch.low, scratch.high, rows.width
    most = 0
    for lane in range(width):
        low[lane], high[lane] = 0.0, 1.0
        if accepted >> lane & 1:
            most = max(most, _looks(ws, rows, limits, lane) + (len(SOON) if soon >> lane & 1 else 0))
    found, look = 0, 0
    while look < most and found != accepted:
        for lane in range(width):
            theta = high[lane]
            if accepted >> lane & 1 and not found >> lane & 1:
                theta = _look_at(look, _looks(ws, rows, limits, lane), soon >> lane & 1)
            ws[rows.theta * width + lane] = theta
        call_address(code.look, base)
        crossed = int(ws[rows.crossed * width]) & accepted & ~found
        for lane in range(width):
            if crossed >> lane & 1:
                high[lane] = ws[rows.theta * width + lane]
            elif not found >> lane & 1:
                low[lane] = ws[rows.theta * width + lane]
        found |= crossed
        look += 1
    return found


@inner
def _looks(ws, rows, limits, lane):
    """Return at how many points a lane's step is looked at."""
    step = ws[rows.step * rows.width + lane]
    return int(min(max(math.ceil(step * LOOKS_PER_RUN / limits.span), LOOKS_PER_STEP), LOOKS_PER_RUN))


@inner
def _look_at(look, looks, soon):
    if soon:
        if look < len(SOON):
            return SOON[look] / looks
        look -= len(SOON)
    return min((look + 1) / looks, 1.0)


@inner
def all_alone(ws, rows, edges, lane):
    """Return whether the edges that a lane crosses are all such that it can go on."""
    for e in range(edges.slot.size):
        if ws[(rows.beyond + e) * rows.width + lane] != ws[(rows.cells + e) * rows.width + lane] and not edges.alone[e]:
            return False
    return True


@inner
def put_leaves(ws, rows, edges, lanes):
    """Put some lanes beyond the edges that were found: their cells, and the constants that stand for these."""
    width = rows.width
    for e in range(edges.slot.size):
        for lane in range(width):
            if lanes >> lane & 1:
                cell = ws[(rows.beyond + e) * width + lane]
                leaf = cell
                if edges.equal[e]:
                    leaf = 1.0 if (cell == 0.0) == (edges.equal[e] == 1) else 0.0
                ws[(rows.cells + e) * width + lane] = cell
                ws[(rows.constants + edges.slot[e]) * width + lane] = leaf


@inner
def slides_on(scratch, limits, lane, time):
    """Count a crossing; return whether there were too many in next to no time."""
    near = time - scratch.crossing[lane] < NO_TIME * limits.span
    scratch.slides[lane] = scratch.slides[lane] + 1 if near else 0
    scratch.crossing[lane] = time
    return scratch.slides[lane] > SLIDES
