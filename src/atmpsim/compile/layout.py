"""Where the parts of a batch's workspace begin."""

from __future__ import annotations

from dataclasses import dataclass, fields

from atmpsim.kernels import rodas5p

PAIR = 2
"""States that a loop takes at once."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The first row of each part of the workspace, and the number of rows.

    One row each: `time` and `step` of the next attempt; `stop`, where the lane must stop, and `sample_at`, its next
    sample; `rtol`; `resolution` (times closer than this are one); `limit` and `attempts`; `rejected` and `accept`
    (1 or 0: the last attempt); `starting` (1 while the step is far too short); `reached` and `next_step`, which
    `commit` makes time and step; `error` (mean square) and `growth` (sum of L's squares); `theta`, where in the step
    `sample` looks; `clock`, a stage's time; `attention`, whose first number is the bit mask of the lanes that the
    driver must look at, `crossed`, whose is that of the lanes that are beyond an edge, `infused`, whose is the number
    of inflows other than 0, and `lane`, whose is the lane that `sample_lane` looks at.
    Then what has rows for each state, so that machine code finds it in any model by the number of its states; they
    go on to whole pairs, with zeros. `atol` is packed: one number a state, and 1 for the rest. `cells` and `beyond`
    have one row an edge: where the lane is, and where `look` finds it.
    """

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
    next_step: int
    error: int
    growth: int
    theta: int
    clock: int
    attention: int
    crossed: int
    infused: int
    lane: int
    state: int
    trial: int
    inflow: int
    stages: int
    by_time: int
    sampled: int
    atol: int
    hoisted: int
    factors: int
    cells: int
    beyond: int
    constants: int
    rows: int


def plan_layout(*, states: int, constants: int, hoisted: int, factors: int, edges: int, width: int) -> Layout:
    """Return the layout of a model's workspace."""
    each = -(-states // PAIR) * PAIR
    sizes = dict.fromkeys((f.name for f in fields(Layout) if f.name != "rows"), 1)
    sizes |= dict.fromkeys(("state", "trial", "inflow", "by_time", "sampled"), each)
    sizes |= {
        "atol": -(-each // width), "stages": rodas5p.STAGES * each, "hoisted": hoisted, "factors": factors,
        "cells": edges, "beyond": edges, "constants": constants,
    }  # fmt: skip
    first, starts = 0, {}
    for name, size in sizes.items():
        starts[name] = first
        first += size
    return Layout(**starts, rows=first)
