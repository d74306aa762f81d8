"""What cells do to the fields: who is in which voxel, and what all cells of a voxel together make of its density.

A cell takes up, secretes and exports by one implicit step p <- (p + dt gain) / (1 + dt loss) + dt gift. Cells of one
voxel act one after the other by age, so together they make p <- factor p + shift.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.rows import (
    GONE,
    ID,
    OUTSIDE,
    STATE,
    VOXEL,
    X,
    Y,
    Z,
)


class Tenants(NamedTuple):
    """Cells by voxel: `member[start[v]:start[v + 1]]`; `dirty` voxels have changed since the maps were made."""

    start: NDArray[np.int64]
    member: NDArray[np.int32]
    dirty: NDArray[np.uint8]


@inner
def place(position, low, size, count):
    """Return the voxel along one direction of a position: that of the border for those beyond it."""
    k = int(np.floor((position - low) / size))
    return min(max(k, 0), count - 1)


@inner
def house(cells, count, box, tenants, moved_in_memory):
    """Sort cells into voxels, and mark the voxels that cells left or entered. For one thread.

    Parameters
    ----------
    moved_in_memory
        Whether cells have been re-ordered, made or deleted since the last time.
    """
    whole, real = cells.whole, cells.real
    start, dirty = tenants.start, tenants.dirty
    changed = moved_in_memory
    for i in range(count):
        v = -1
        if whole[STATE, i] != GONE and whole[OUTSIDE, i] == 0:
            ix = place(real[X, i], box.x_min, box.dx, box.nx)
            iy = place(real[Y, i], box.y_min, box.dy, box.ny)
            iz = 0 if box.planar else place(real[Z, i], box.z_min, box.dz, box.nz)
            v = (iz * box.ny + iy) * box.stride + ix
        old = whole[VOXEL, i]
        if v != old:
            changed = True
            whole[VOXEL, i] = v
            if old >= 0:
                dirty[old] = 1
            if v >= 0:
                dirty[v] = 1
    if not changed:
        return
    voxels = start.size - 1
    start[:] = 0
    for i in range(count):
        if whole[VOXEL, i] >= 0:
            start[whole[VOXEL, i]] += 1
    for v in range(1, voxels):
        start[v] += start[v - 1]
    start[voxels] = start[voxels - 1]
    for back in range(count):  # start[v] falls from the end of voxel v to its begin
        i = count - 1 - back
        v = whole[VOXEL, i]
        if v >= 0:
            start[v] -= 1
            tenants.member[start[v]] = i


@inner
def _by_age(member, begin, end, identity):
    """Sort the few cells of one voxel by their id."""
    for k in range(begin + 1, end):
        i = member[k]
        m = k
        while m > begin and identity[ID, member[m - 1]] > identity[ID, i]:
            member[m] = member[m - 1]
            m -= 1
        member[m] = i


@inner
def compose(cells, layout, tenants, fixed, dt, factor, shift, thread, threads):
    """Write the maps of all dirty voxels: what one step does to the density there.

    Parameters
    ----------
    fixed
        (substrate, voxel): the held density, or NaN. A held voxel starts each step from it.
    factor, shift
        (substrate, voxel).
    """
    real, member = cells.real, tenants.member
    begin, end = share(tenants.dirty.size, thread, threads, 64)
    for v in range(begin, end):
        if not tenants.dirty[v]:
            continue
        first, last = tenants.start[v], tenants.start[v + 1]
        _by_age(member, first, last, cells.identity)
        for s in range(layout.substrates):
            a, b = 1.0, 0.0
            if not np.isnan(fixed[s, v]):
                a, b = 0.0, fixed[s, v]
            for k in range(first, last):
                i = member[k]
                loss, gain, gift = real[layout.loss + s, i], real[layout.gain + s, i], real[layout.gift + s, i]
                if loss != 0.0 or gain != 0.0:
                    part = 1.0 / (1.0 + dt * loss)
                    a, b = a * part, (b + dt * gain) * part
                b += dt * gift
            factor[s, v], shift[s, v] = a, b


@inner
def exchange(cells, layout, tenants, dt, voxel_volume, density, s, thread, threads):
    """Let cells act on their voxels one by one, and book what each took in of substrate s. `density` is (voxel,)."""
    member = tenants.member
    losses, gains, gifts = cells.real[layout.loss + s], cells.real[layout.gain + s], cells.real[layout.gift + s]
    inside = cells.real[layout.inside + s]
    begin, end = share(tenants.dirty.size, thread, threads, 64)
    for v in range(begin, end):
        for k in range(tenants.start[v], tenants.start[v + 1]):
            i, p = member[k], density[v]
            after = (p + dt * gains[i]) / (1.0 + dt * losses[i])
            inside[i] -= voxel_volume * (after - p + dt * gifts[i])
            density[v] = after + dt * gifts[i]


@inner
def add_up(cells, layout, tenants, loss, gain, thread, threads):
    """Write the losses (1/min) and gains (density/min) of all cells in each dirty voxel, both (substrate, voxel)."""
    real, member = cells.real, tenants.member
    begin, end = share(tenants.dirty.size, thread, threads, 64)
    for v in range(begin, end):
        if not tenants.dirty[v]:
            continue
        first, last = tenants.start[v], tenants.start[v + 1]
        _by_age(member, first, last, cells.identity)
        for s in range(layout.substrates):
            a = b = 0.0
            for k in range(first, last):
                i = member[k]
                a += real[layout.loss + s, i]
                b += real[layout.gain + s, i] + real[layout.gift + s, i]
            loss[s, v], gain[s, v] = a, b


@inner
def take_in(cells, layout, tenants, dt, voxel_volume, density, s, thread, threads):
    """Book what each cell took in of substrate s during an implicit step that ended at `density` (substrate, voxel)."""
    real = cells.real
    begin, end = share(tenants.dirty.size, thread, threads, 64)
    for v in range(begin, end):
        for k in range(tenants.start[v], tenants.start[v + 1]):
            i = tenants.member[k]
            given = real[layout.gain + s, i] + real[layout.gift + s, i] - real[layout.loss + s, i] * density[s, v]
            real[layout.inside + s, i] -= voxel_volume * dt * given


@inner
def sort_tenants(cells, tenants, thread, threads):
    """Sort the cells of every voxel by age, where they will act one by one."""
    begin, end = share(tenants.dirty.size, thread, threads, 64)
    for v in range(begin, end):
        _by_age(tenants.member, tenants.start[v], tenants.start[v + 1], cells.identity)
