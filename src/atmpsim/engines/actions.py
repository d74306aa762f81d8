"""Turn schedules and timed conditions into the flat table of actions that the batch kernel carries out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atmpsim.engines.timing import one_time, switch_times, switch_values
from atmpsim.kernels.arguments import ADD_TO_STATE, RESET, SET_CONSTANT, SET_INFLOW, Actions
from atmpsim.model.equations import Equations
from atmpsim.model.graph import TIME
from atmpsim.scenario.dosing import Schedule


class Action(NamedTuple):
    """One change at one time; actions at equal times are carried out in the order of `rank`."""

    time: float
    rank: int
    kind: int
    target: int
    value: float


def plan_actions(equations: Equations, schedule: Schedule, symbols: Mapping[str, ArrayLike]) -> list[Action]:
    """Return the actions of one trajectory, sorted by time.

    Parameters
    ----------
    symbols
        The trajectory's leaves at the start, which timed conditions may depend on.
    """
    index = {s: k for k, s in enumerate(equations.states)}
    found = [Action(time, 0, RESET, 0, 0.0) for time in schedule.resets]
    found += _inflows(schedule, index)
    found += [Action(time, 2, ADD_TO_STATE, index[into], amount) for time, into, amount in schedule.boluses]
    found += _switches(equations, schedule, symbols, {schedule.start, schedule.end, *(a.time for a in found)})
    return sorted(a for a in found if a.time <= schedule.end)


def table(plans: Sequence[Sequence[Action]], numbers: NDArray[np.int64]) -> Actions:
    """Return all plans as the kernel's arrays; `numbers` gives each trajectory its plan."""
    first = np.concatenate([[0], np.cumsum([len(p) for p in plans])]).astype(np.int64)
    flat = [a for plan in plans for a in plan]
    return Actions(
        plan=numbers,
        first=first,
        time=np.array([a.time for a in flat], dtype=np.float64),
        kind=np.array([a.kind for a in flat], dtype=np.int64),
        target=np.array([a.target for a in flat], dtype=np.int64),
        value=np.array([a.value for a in flat], dtype=np.float64),
    )


def _inflows(schedule: Schedule, index: Mapping[str, int]) -> list[Action]:
    """Return the total inflow of each state from each time on at which it changes; sums run in schedule order."""
    found = []
    for into in dict.fromkeys(i[2] for i in schedule.infusions):
        rates = [(start, stop, rate) for start, stop, state, rate in schedule.infusions if state == into]
        for time in sorted({t for start, stop, _ in rates for t in (start, stop)}):
            total = sum(rate for start, stop, rate in rates if start <= time < stop)
            found.append(Action(time, 1, SET_INFLOW, index[into], float(total)))
    return found


def _switches(
    equations: Equations, schedule: Schedule, symbols: Mapping[str, ArrayLike], others: Collection[float]
) -> list[Action]:
    """Return the truth of each timed condition from the start and from each change on.

    A change that only rounding parts from one of the `others` is at that time.
    """
    if not equations.switches:
        return []
    changes = one_time(switch_times(equations, symbols, schedule), others).values()
    points = sorted({schedule.start, *changes})
    ends = [*points[1:], schedule.end]
    found = []
    for time, after in zip(points, ends, strict=True):
        values = switch_values(equations, {**symbols, TIME: 0.5 * (time + after)})
        found += [Action(time, 3, SET_CONSTANT, equations.constants.index(n), v) for n, v in values.items()]
    return found
