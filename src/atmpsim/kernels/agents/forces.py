"""Velocities of cells from their neighbours, the walls and their own crawling, and the step that they make.

Sources: Ghaffarizadeh et al. 2018 PLoS Comput Biol 14:e1005991, doi:10.1371/journal.pcbi.1005991 (potentials,
motility, Adams-Bashforth steps); Macklin et al. 2012 J Theor Biol, doi:10.1016/j.jtbi.2012.02.002 (potentials).
"""

from __future__ import annotations

import math

from numba import int64

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.lists import GRAIN, has_left
from atmpsim.kernels.agents.motility import crawl, draw_turns
from atmpsim.kernels.agents.pairs import collect, press, press_typed
from atmpsim.kernels.agents.rows import (
    ADHESIVE_AFFINITY,
    GONE,
    MOTILE,
    MOVABLE,
    MX,
    MY,
    MZ,
    NO_INDEX,
    OUTSIDE,
    PRESSURE,
    PX,
    PY,
    PZ,
    RADIUS,
    REACH,
    ROOT_ADHESION,
    ROOT_REPULSION,
    SPEED,
    STATE,
    TYPE,
    VX,
    VY,
    VZ,
    X,
    Y,
    Z,
)  # fmt: skip
from atmpsim.kernels.agents.values import value
from atmpsim.kernels.agents.vectors import LANES

PRESSURE_SCALE = 12.0 * (1.0 - math.sqrt(math.pi / (2.0 * math.sqrt(3.0)))) ** 2  # of six touching equal discs
WALL = 100.0  # um/min, the strength of a virtual wall
UNIFORM, BY_TYPE, BY_CELL = range(3)  # how adhesion depends on the pair


@inner
def record(cells, count, near, thread, threads):
    """Write the records of this thread's cells."""
    real, kind, records = cells.real, cells.whole[TYPE], near.records
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(begin, end):
        records[i, 0], records[i, 1], records[i, 2] = real[X, i], real[Y, i], real[Z, i]
        records[i, 3], records[i, 4] = real[RADIUS, i], real[REACH, i]
        records[i, 5], records[i, 6], records[i, 7] = real[ROOT_REPULSION, i], real[ROOT_ADHESION, i], kind[i]


@inner
def press_pairs(count, types, near, affinities, thread, threads):
    """Write the forces of this thread's pairs, unless each pair has affinities of its own."""
    if affinities == BY_CELL:
        return
    begin, end = share(near.mine[count], thread, threads, LANES)
    end = (end + LANES - 1) // LANES * LANES
    a, b, c, d = near.records.ctypes.data, near.first.ctypes.data, near.second.ctypes.data, near.forces.ctypes.data
    if affinities == UNIFORM:
        press(a, b, c, d, begin, end)
    else:
        press_typed(a, b, c, d, begin, end, types.affinity.ctypes.data, types.affinity.shape[0])


@inner
def _push_each(cells, types, near, i):
    """Return velocity and pressure of cell i where rules change affinities: each pair has its own."""
    real, kind = cells.real, cells.whole[TYPE]
    vx = vy = vz = pressure = 0.0
    for k in range(near.number[i]):
        j = int64(near.who[i, k])
        dx, dy, dz = real[X, i] - real[X, j], real[Y, i] - real[Y, j], real[Z, i] - real[Z, j]
        d = max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-5)
        push = max(0.0, 1.0 - d / (real[RADIUS, i] + real[RADIUS, j])) ** 2
        stick = max(0.0, 1.0 - d / (real[REACH, i] + real[REACH, j])) ** 2
        affinity = value(cells, types, ADHESIVE_AFFINITY, int64(kind[j]), i) * value(
            cells, types, ADHESIVE_AFFINITY, int64(kind[i]), j
        )
        pressure += push
        w = push * real[ROOT_REPULSION, i] * real[ROOT_REPULSION, j]
        w = (w - stick * real[ROOT_ADHESION, i] * real[ROOT_ADHESION, j] * math.sqrt(max(affinity, 0.0))) / d
        vx += w * dx
        vy += w * dy
        vz += w * dz
    return vx, vy, vz, pressure


@inner
def _wall(real, box, i):
    """Return the velocity by which the nearest face of the domain pushes cell i back."""
    x, y, z, r = real[X, i], real[Y, i], real[Z, i], real[RADIUS, i]
    low, high = min(x - box.x_min, y - box.y_min), min(box.x_max - x, box.y_max - y)
    if not box.planar:
        low, high = min(low, z - box.z_min), min(high, box.z_max - z)
    if min(low, high) >= r:
        return 0, 0.0
    nearest, axis, sign = real[X, i] - box.x_min, 0, 1.0
    for k in range(1, 4 if box.planar else 6):
        if k == 1:
            s = box.x_max - real[X, i]
        elif k == 2:
            s = real[Y, i] - box.y_min
        elif k == 3:
            s = box.y_max - real[Y, i]
        elif k == 4:
            s = real[Z, i] - box.z_min
        else:
            s = box.z_max - real[Z, i]
        if s < nearest:
            nearest, axis, sign = s, k // 2, 1.0 - 2.0 * (k % 2)
    push = 0.0
    if nearest < real[RADIUS, i]:
        push = sign * WALL * (1.0 - nearest / real[RADIUS, i]) ** 2
    return axis, push


@inner
def find_velocities(cells, count, types, near, box, quirks, plan, density, seed, step, thread, threads):
    """Write velocity and pressure of this thread's cells: pairs, wall, crawling; springs come later.

    The forces of the pairs must be there.

    Parameters
    ----------
    plan
        Its `affinities` are UNIFORM, BY_TYPE or BY_CELL.
    density
        (substrate, z, y, x), for chemotaxis.
    """
    real, whole = cells.real, cells.whole
    mine, theirs, others, forces = near.mine, near.theirs, near.others.ctypes.data, near.forces.ctypes.data
    begin, end = share(count, thread, threads, GRAIN)
    if plan.crawls:
        draw_turns(cells, seed, step, begin, end, near.chance)
    for i in range(begin, end):
        if whole[OUTSIDE, i] or whole[STATE, i] == GONE:
            continue
        movable = whole[MOVABLE, i] != 0
        if not movable and quirks.no_contact_if_fixed:
            continue
        if plan.affinities == BY_CELL:
            vx, vy, vz, p = _push_each(cells, types, near, i)
        else:
            seconds = theirs[i + 1] - theirs[i]
            vx, vy, vz, p = collect(forces, mine[i], mine[i + 1], others + 4 * theirs[i], seconds)
        real[PRESSURE, i] = p / PRESSURE_SCALE
        if not movable:
            continue
        real[VX, i], real[VY, i], real[VZ, i] = vx, vy, vz
        if box.wall:
            axis, push = _wall(real, box, i)
            real[VX + axis, i] += push
        if whole[MOTILE, i]:
            crawl(cells, types, box, quirks, density, near.chance, seed, step, i)
            scale = 1.0 if quirks.speed_at_turns else value(cells, types, SPEED, NO_INDEX, i)
            real[VX, i] += scale * real[MX, i]
            real[VY, i] += scale * real[MY, i]
            real[VZ, i] += scale * real[MZ, i]


@inner
def move(cells, count, near, box, quirks, skin, thread, threads):
    """Move this thread's cells by one step; return whether any has left the skin of its list of neighbours."""
    real, whole = cells.real, cells.whole
    dt = box.dt_mechanics
    new, old = 1.5 * dt, -0.5 * dt
    stale = False
    records = near.records
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(begin, end):
        if whole[OUTSIDE, i] or whole[STATE, i] == GONE or not whole[MOVABLE, i]:
            continue
        x = real[X, i] + new * real[VX, i] + old * real[PX, i]
        y = real[Y, i] + new * real[VY, i] + old * real[PY, i]
        z = real[Z, i]
        if not box.planar:
            z += new * real[VZ, i] + old * real[PZ, i]
        if x < box.x_min or x > box.x_max or y < box.y_min or y > box.y_max or z < box.z_min or z > box.z_max:
            if quirks.outside_is_frozen:
                whole[OUTSIDE, i] = 1
                stale = True
            else:
                x, y = min(max(x, box.x_min), box.x_max), min(max(y, box.y_min), box.y_max)
                z = min(max(z, box.z_min), box.z_max)
        real[X, i], real[Y, i], real[Z, i] = x, y, z
        records[i, 0], records[i, 1], records[i, 2] = x, y, z
        real[PX, i], real[PY, i], real[PZ, i] = real[VX, i], real[VY, i], real[VZ, i]
        if has_left(real, skin, i):
            stale = True
    return stale
