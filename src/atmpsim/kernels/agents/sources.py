"""What cells do to the fields: who is in which voxel, and what all cells of a voxel together make of its density.

A cell takes up, secretes and exports by one implicit step p <- (p + dt gain) / (1 + dt loss) + dt gift. Cells of one
voxel act one after the other by age, so together they make p <- factor p + shift.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int64
from numpy.typing import NDArray

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.lists import GRAIN
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
    """Cells by voxel, as chains by age: `head[v]` is the oldest of voxel v, `after[i]` the next, -1 none.

    `moved` are the cells that have changed their voxel, as many as `movers[k, 0]` from the first cell of thread k on.
    `changed[:number[0]]` are the voxels whose cells or sources have changed since the maps were made, all `dirty`.
    """

    head: NDArray[np.int32]
    after: NDArray[np.int32]
    moved: NDArray[np.int32]
    movers: NDArray[np.int64]
    dirty: NDArray[np.uint8]
    changed: NDArray[np.int64]
    number: NDArray[np.int64]


@inner
def place(position, low, size, count):
    """Return the voxel along one direction of a position: that of the border for those beyond it."""
    k = int(np.floor((position - low) / size))
    return min(max(k, 0), count - 1)


@inner
def _voxel(real, whole, box, i):
    if whole[STATE, i] == GONE or whole[OUTSIDE, i] != 0:
        return -1
    ix = place(real[X, i], box.x_min, box.dx, box.nx)
    iy = place(real[Y, i], box.y_min, box.dy, box.ny)
    iz = 0 if box.planar else place(real[Z, i], box.z_min, box.dz, box.nz)
    return (iz * box.ny + iy) * box.stride + ix


@inner
def find_movers(cells, count, box, tenants, thread, threads):
    """List those of this thread's cells that have changed their voxel."""
    begin, end = share(count, thread, threads, GRAIN)
    found = begin
    for i in range(begin, end):
        if _voxel(cells.real, cells.whole, box, i) != cells.whole[VOXEL, i]:
            tenants.moved[found] = i
            found += 1
    tenants.movers[thread, 0] = found - begin


@inner
def house(cells, count, box, tenants):
    """Sort all cells into voxels, all of which become dirty. For one thread."""
    tenants.head[:] = -1
    for v in range(tenants.head.size):
        tenants.changed[v] = v
        tenants.dirty[v] = 1
    tenants.number[0] = tenants.head.size
    for back in range(count):
        i = count - 1 - back
        v = _voxel(cells.real, cells.whole, box, i)
        cells.whole[VOXEL, i] = v
        if v >= 0:
            _enter(cells, tenants, v, i)


@inner
def rehouse(cells, count, box, tenants, threads):
    """Bring the cells that have moved to their new voxels. For one thread."""
    for thread in range(threads):
        begin, _ = share(count, thread, threads, GRAIN)
        for k in range(begin, begin + tenants.movers[thread, 0]):
            i = int64(tenants.moved[k])
            old, new = int64(cells.whole[VOXEL, i]), _voxel(cells.real, cells.whole, box, i)
            cells.whole[VOXEL, i] = new
            if old >= 0:
                _leave(tenants, old, i)
                _soil(tenants, old)
            if new >= 0:
                _enter(cells, tenants, new, i)
                _soil(tenants, new)


@inner
def _soil(tenants, v):
    if not tenants.dirty[v]:
        tenants.dirty[v] = 1
        tenants.changed[tenants.number[0]] = v
        tenants.number[0] += 1


@inner
def _enter(cells, tenants, v, i):
    age, after = cells.identity[ID], tenants.after
    j = tenants.head[v]
    if j < 0 or age[j] > age[i]:
        after[i], tenants.head[v] = j, i
        return
    while after[j] >= 0 and age[after[j]] < age[i]:
        j = after[j]
    after[i], after[j] = after[j], i


@inner
def _leave(tenants, v, i):
    after = tenants.after
    j = tenants.head[v]
    if j == i:
        tenants.head[v] = after[i]
        return
    while after[j] != i:
        j = after[j]
    after[j] = after[i]


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
    real = cells.real
    begin, end = share(tenants.number[0], thread, threads, 64)
    for k in range(begin, end):
        v = tenants.changed[k]
        tenants.dirty[v] = 0
        for s in range(layout.substrates):
            a, b = 1.0, 0.0
            if not np.isnan(fixed[s, v]):
                a, b = 0.0, fixed[s, v]
            i = tenants.head[v]
            while i >= 0:
                loss, gain, gift = real[layout.loss + s, i], real[layout.gain + s, i], real[layout.gift + s, i]
                if loss != 0.0 or gain != 0.0:
                    part = 1.0 / (1.0 + dt * loss)
                    a, b = a * part, (b + dt * gain) * part
                b += dt * gift
                i = tenants.after[i]
            factor[s, v], shift[s, v] = a, b


@inner
def exchange(cells, layout, tenants, dt, voxel_volume, density, fixed, given, s, thread, threads):
    """Let cells act on their voxels one by one, and book what each took in of substrate s.

    `density`, `fixed` and `given` are (voxel,); what cells changed outside held voxels is added to the last.
    """
    losses, gains, gifts = cells.real[layout.loss + s], cells.real[layout.gain + s], cells.real[layout.gift + s]
    inside = cells.real[layout.inside + s]
    begin, end = share(tenants.head.size, thread, threads, 64)
    for v in range(begin, end):
        i = tenants.head[v]
        before = density[v]
        while i >= 0:
            p = density[v]
            after = (p + dt * gains[i]) / (1.0 + dt * losses[i])
            inside[i] -= voxel_volume * (after - p + dt * gifts[i])
            density[v] = after + dt * gifts[i]
            i = tenants.after[i]
        if tenants.head[v] >= 0 and np.isnan(fixed[v]):
            given[v] += density[v] - before


@inner
def add_up(cells, layout, tenants, loss, gain, thread, threads):
    """Write the losses (1/min) and gains (density/min) of all cells in each dirty voxel, both (substrate, voxel)."""
    real = cells.real
    begin, end = share(tenants.number[0], thread, threads, 64)
    for k in range(begin, end):
        v = tenants.changed[k]
        tenants.dirty[v] = 0
        for s in range(layout.substrates):
            a = b = 0.0
            i = tenants.head[v]
            while i >= 0:
                a += real[layout.loss + s, i]
                b += real[layout.gain + s, i] + real[layout.gift + s, i]
                i = tenants.after[i]
            loss[s, v], gain[s, v] = a, b


@inner
def take_in(cells, layout, tenants, dt, voxel_volume, density, s, thread, threads):
    """Book what each cell took in of substrate s during an implicit step that ended at `density` (substrate, voxel)."""
    real = cells.real
    begin, end = share(tenants.head.size, thread, threads, 64)
    for v in range(begin, end):
        i = tenants.head[v]
        while i >= 0:
            given = real[layout.gain + s, i] + real[layout.gift + s, i] - real[layout.loss + s, i] * density[s, v]
            real[layout.inside + s, i] -= voxel_volume * dt * given
            i = tenants.after[i]


@inner
def clean(tenants, thread, threads):
    """Take all voxels for clean, where cells act one by one and there are no maps."""
    begin, end = share(tenants.number[0], thread, threads, 64)
    for k in range(begin, end):
        tenants.dirty[tenants.changed[k]] = 0
