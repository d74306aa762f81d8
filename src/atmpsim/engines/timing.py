"""When timed conditions change, worked out before the integration starts."""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping

from numpy.typing import ArrayLike

from atmpsim.model.equations import Equations, timed_comparisons
from atmpsim.model.evaluate import apply_to_numbers, evaluate
from atmpsim.model.graph import TIME, Graph
from atmpsim.scenario.dosing import Schedule

# times closer than this many roundings are one time: a few operations build a time, each errs by half of one
_ROUNDINGS = 4


def one_time(times: Iterable[float], fixed: Collection[float]) -> dict[float, float]:
    """Return each time's representative: a fixed time, or an earlier one of the times, if only rounding parts them.

    Examples
    --------
    >>> one_time([0.1 * 3, 7.0], [0.0, 0.3, 10.0])
    {0.30000000000000004: 0.3, 7.0: 7.0}
    """
    known, limit = sorted(fixed), resolution(fixed)
    one: dict[float, float] = {}
    for time in sorted(set(times)):
        place = bisect_left(known, time)
        near = min(((abs(t - time), t) for t in known[max(place - 1, 0) : place + 1]), default=(limit, time))
        one[time] = near[1] if near[0] <= limit else time
        if one[time] == time:
            insort(known, time)
    return one


def resolution(times: Iterable[float]) -> float:
    """Return how far apart two of these times may be and still be one time."""
    return _ROUNDINGS * sys.float_info.epsilon * max(map(abs, times), default=0.0)


def switch_times(equations: Equations, symbols: Mapping[str, ArrayLike], schedule: Schedule) -> list[float]:
    """Return the times within the schedule's span at which a timed condition of the derivatives may change."""
    graph = equations.graph.copy()
    found = set()
    for comparison in timed_comparisons(equations, list(equations.switches.values())):
        at_0, slope = _line(graph, graph.apply("sub", *graph.children(comparison)), symbols)
        if slope and schedule.start <= -at_0 / slope <= schedule.end:
            found.add(-at_0 / slope)
    return sorted(found)


def switch_values(equations: Equations, symbols: Mapping[str, ArrayLike]) -> dict[str, float]:
    """Return each timed condition's truth at the time in `symbols`."""
    values = evaluate(equations.graph, list(equations.switches.values()), symbols)
    return {name: float(value) for name, value in zip(equations.switches, values, strict=True)}


def _line(graph: Graph, root: int, symbols: Mapping[str, ArrayLike]) -> tuple[float, float]:
    """Return the value at time 0 and the slope of an affine function of time.

    The slope is built up with the function: two values at two times would lose it to rounding where it is small.
    """
    lines: dict[int, tuple[float, float]] = {}
    for node in graph.needed([root]):
        entry, below = graph.nodes[node], [lines[c] for c in graph.children(node)]
        if not below:
            is_time = entry == ("symbol", TIME)
            lines[node] = (0.0, 1.0) if is_time else (float(evaluate(graph, [node], symbols)[0]), 0.0)
            continue
        value = apply_to_numbers(str(entry[0]), *(v for v, _ in below))
        slopes = [s for _, s in below]
        if entry[0] == "mul":
            slope = slopes[0] * below[1][0] + below[0][0] * slopes[1]
        elif entry[0] == "div":
            slope = slopes[0] / below[1][0] if slopes[0] else 0.0
        else:
            slope = apply_to_numbers(str(entry[0]), *slopes) if any(slopes) else 0.0
        lines[node] = value, slope
    return lines[root]
