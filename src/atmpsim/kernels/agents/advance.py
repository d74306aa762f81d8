"""The loop over mechanics steps: neighbours, velocities, interactions, movement, and the fields in between.

Every thread runs this same function on its part of cells and voxels, and they wait for each other at barriers. No
thread writes what another may read before the next barrier; sums that several threads contribute to are taken in
one order. So the result does not depend on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int64
from numpy.typing import NDArray

from atmpsim.kernels.agents import clock
from atmpsim.kernels.agents.barrier import meet
from atmpsim.kernels.agents.clock import book, cycles
from atmpsim.kernels.agents.compiled import entry, inner
from atmpsim.kernels.agents.forces import find_velocities, move, press_pairs, record
from atmpsim.kernels.agents.implicit_fields import Solver, implicit_step
from atmpsim.kernels.agents.interactions import carry_out, count_contacts, decide
from atmpsim.kernels.agents.lists import (
    Neighbours,
    fill_bins,
    find_neighbours,
    find_others,
    lay_grid,
    list_pairs,
    number_pairs,
)
from atmpsim.kernels.agents.motility import EDGES
from atmpsim.kernels.agents.response import measure_slopes
from atmpsim.kernels.agents.rows import Box, Cells, Layout, Quirks, Types
from atmpsim.kernels.agents.sources import (
    Tenants,
    add_up,
    clean,
    compose,
    exchange,
    find_movers,
    house,
    rehouse,
    take_in,
)
from atmpsim.kernels.agents.split_fields import Sweeps, split_step
from atmpsim.kernels.agents.springs import pull, renew_springs

DONE, NEEDS_ROOM = 0, 1
# entries of World.memory
STEP, STATUS, LONGEST, PAIRS, LISTS, REORDERED = range(6)
MEMORY = 6


class Fields(NamedTuple):
    """All fields: density, held density (NaN: not held), and what cells do, all (substrate, z, y, x).

    `factor` and `shift` are the map of one split step; with implicit steps they are losses and gains. `slopes` is the
    norm of the gradient, for the substrates `wanted` by rules.
    """

    density: NDArray[np.float64]
    fixed: NDArray[np.float64]
    factor: NDArray[np.float64]
    shift: NDArray[np.float64]
    mapped: NDArray[np.uint8]
    slopes: NDArray[np.float64]
    wanted: NDArray[np.uint8]
    every: NDArray[np.int64]  # mechanics steps in one implicit step, per substrate
    ledger: NDArray[np.float64]  # (substrate, LEDGER), in density times voxels
    left: NDArray[np.float64]  # (substrate, voxel), sums over split steps that are not in the ledger yet
    given: NDArray[np.float64]
    split: bool
    substeps: int  # split steps in one mechanics step
    voxel_volume: float


class Plan(NamedTuple):
    """What this model needs in a mechanics step."""

    affinities: int
    crawls: bool  # some cells are motile
    acts: bool  # some cells may eat, attack or fuse
    springs: bool  # springs pull
    attaches: bool  # springs form and break at random
    contacts: bool  # rules ask for neighbours
    phenotype_every: int  # mechanics steps in one phenotype step


class World(NamedTuple):
    """Everything that threads share."""

    cells: Cells
    types: Types
    layout: Layout
    quirks: Quirks
    box: Box
    near: Neighbours
    tenants: Tenants
    fields: Fields
    sweeps: Sweeps
    solver: Solver
    plan: Plan
    memory: NDArray[np.int64]
    stale: NDArray[np.uint8]  # (threads,)
    longest: NDArray[np.int64]  # (threads,)
    spent: NDArray[np.int64]  # (STAGES,) cycles in each stage
    barrier: NDArray[np.int64]


@inner
def _most(values):
    most = int64(values[0])
    for k in range(1, values.size):
        most = max(most, int64(values[k]))
    return most


@inner
def _make_lists(cells, count, near, skin, memory, stale, longest, thread, threads, barrier):
    """Make the lists of neighbours and of pairs; return whether there was room for them."""
    if thread == 0:
        lay_grid(cells, count, skin, near)
        fill_bins(cells, count, near)
        memory[LISTS] += 1
    meet(barrier, threads)
    longest[thread] = find_neighbours(cells, count, skin, near, thread, threads)
    stale[thread] = 0
    meet(barrier, threads)
    if thread == 0:
        memory[LONGEST], memory[PAIRS] = _most(longest), number_pairs(near, count)
    meet(barrier, threads)
    if memory[LONGEST] >= near.who.shape[1] or memory[PAIRS] > near.first.size:
        return False
    list_pairs(near, count, thread, threads)
    meet(barrier, threads)
    find_others(near, count, thread, threads)
    return True


@entry
def settle_sources(cells, count, layout, box, tenants, fields, memory, dt, thread, threads, barrier):
    """Bring what cells do to the fields up to date with where they are. `dt` is that of a split step."""
    substrates = layout.substrates
    if substrates == 0:
        return
    anew = memory[REORDERED] != 0
    if not anew:
        find_movers(cells, count, box, tenants, thread, threads)
    meet(barrier, threads)
    if thread == 0:
        if anew:
            house(cells, count, box, tenants)
        else:
            rehouse(cells, count, box, tenants, threads)
        memory[REORDERED] = 0
    meet(barrier, threads)
    factor, shift = fields.factor.reshape(substrates, -1), fields.shift.reshape(substrates, -1)
    if not fields.split:
        add_up(cells, layout, tenants, factor, shift, thread, threads)
    elif layout.inside < 0:
        compose(cells, layout, tenants, fields.fixed.reshape(substrates, -1), dt, factor, shift, thread, threads)
    else:
        clean(tenants, thread, threads)
    meet(barrier, threads)
    if thread == 0:
        tenants.number[0] = 0


@entry
def split_steps(cells, layout, tenants, fields, sweeps, steps, dt, thread, threads, barrier):
    """Advance all fields by some split steps of `dt`, one substrate after the other: each is small enough to cache."""
    for s in range(layout.substrates):
        density = fields.density[s]
        flat, held = density.reshape(density.size), fields.fixed[s].reshape(density.size)
        for _ in range(steps):
            split_step(
                density, sweeps, s, fields.factor[s], fields.shift[s], fields.mapped[s], fields.left[s],
                fields.given[s], thread, threads, barrier,
            )  # fmt: skip
            if layout.inside >= 0:
                exchange(
                    cells, layout, tenants, dt, fields.voxel_volume, flat, held, fields.given[s], s, thread, threads
                )
                meet(barrier, threads)


@entry
def advance(w, count, skin, seed, last, thread, threads):
    """Advance from the mechanics step in `memory[STEP]` to `last`, or until there is no room for the neighbours.

    Call it from every thread; `memory[STATUS]` is DONE or NEEDS_ROOM, for lists of `memory[LONGEST]` neighbours and of
    `memory[PAIRS]` pairs. The split steps between two mechanics steps end one short of the next, as output and
    phenotype come before it.
    """
    cells, types, layout, quirks, box, near, plan = w.cells, w.types, w.layout, w.quirks, w.box, w.near, w.plan
    tenants, fields, memory, stale, barrier = w.tenants, w.fields, w.memory, w.stale, w.barrier
    dt = box.dt_mechanics / max(fields.substeps, 1)
    density = fields.density.reshape(fields.slopes.shape)  # (substrate, voxel)
    step = memory[STEP]
    spent = w.spent
    fresh = True
    while step < last:
        tick = cycles()
        old = _most(stale) > 0
        meet(barrier, threads)
        if old and not _make_lists(cells, count, near, skin, memory, stale, w.longest, thread, threads, barrier):
            meet(barrier, threads)
            stale[thread] = 1
            if thread == 0:
                memory[STEP], memory[STATUS] = step, NEEDS_ROOM
            return
        if fresh or plan.acts:
            record(cells, count, near, thread, threads)
            fresh = False
        meet(barrier, threads)
        tick = book(spent, clock.LISTS, tick, thread)
        press_pairs(count, types, near, plan.affinities, thread, threads)
        meet(barrier, threads)
        find_velocities(cells, count, types, near, box, quirks, plan, fields.density, seed, step, thread, threads)
        tick = book(spent, clock.VELOCITIES, tick, thread)
        if (step + 1) % plan.phenotype_every == 0:  # what only rules ask for
            if plan.contacts:
                count_contacts(cells, count, layout, near, quirks, thread, threads)
            measure_slopes(fields.density, box.nx, box, fields.wanted, fields.slopes, EDGES, thread, threads)
        tick = book(spent, clock.SIGNALS, tick, thread)
        if plan.acts:
            decide(cells, count, types, near, box, quirks, seed, step, thread, threads)
        meet(barrier, threads)
        tick = book(spent, clock.DECISIONS, tick, thread)
        if plan.attaches and thread == 0:
            renew_springs(cells, count, types, near, box, seed, step)
        if plan.springs:
            meet(barrier, threads)
            pull(cells, count, types, thread, threads)
            meet(barrier, threads)
        tick = book(spent, clock.SPRINGS, tick, thread)
        if plan.acts:
            if thread == 0:
                carry_out(cells, count, types, layout, box, plan.springs, seed, step)
            meet(barrier, threads)
        tick = book(spent, clock.ACTS, tick, thread)
        if move(cells, count, near, box, quirks, skin, thread, threads):
            stale[thread] = 1
        meet(barrier, threads)
        tick = book(spent, clock.MOVEMENT, tick, thread)
        settle_sources(cells, count, layout, box, tenants, fields, memory, dt, thread, threads, barrier)
        tick = book(spent, clock.SOURCES, tick, thread)
        step += 1
        if fields.split:
            steps = fields.substeps - 1 if step == last else fields.substeps
            split_steps(cells, layout, tenants, fields, w.sweeps, steps, dt, thread, threads, barrier)
        else:
            for s in range(layout.substrates):
                if step % fields.every[s] == 0:
                    period = fields.every[s] * box.dt_mechanics
                    implicit_step(
                        fields.density[s], fields.factor[s], fields.shift[s], fields.fixed[s], w.solver, s, period,
                        box.nx, fields.ledger[s], thread, threads, barrier,
                    )  # fmt: skip
                    if layout.inside >= 0:
                        take_in(cells, layout, tenants, period, fields.voxel_volume, density, s, thread, threads)
                        meet(barrier, threads)
        tick = book(spent, clock.FIELDS, tick, thread)
    if thread == 0:
        memory[STEP], memory[STATUS] = step, DONE
