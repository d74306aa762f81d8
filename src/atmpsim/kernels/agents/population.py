"""Division, removal and order of cells in memory, and the rows that follow from others.

Sources: Ghaffarizadeh et al. 2018 PLoS Comput Biol 14:e1005991, doi:10.1371/journal.pcbi.1005991; Johnson et al.
2025 Cell, doi:10.1016/j.cell.2025.06.048 (asymmetric division).
"""

from __future__ import annotations

import math

import numpy as np
from numba import int64

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import entry, inner
from atmpsim.kernels.agents.interactions import swell
from atmpsim.kernels.agents.lists import GRAIN
from atmpsim.kernels.agents.motility import direction
from atmpsim.kernels.agents.phenotype import transform
from atmpsim.kernels.agents.rows import (
    ACTS,
    ADHESION,
    AIM,
    ASYMMETRIC_DIVISION,
    ATTACK,
    ATTACK_TIME,
    BIRTH,
    CUSTOM,
    CYTOPLASMIC_SOLID,
    D_ASYMMETRIC,
    D_DIVISION,
    DEATH,
    DIVIDES,
    EXPORT,
    FATE,
    FLUID,
    FUSE,
    GONE,
    ID,
    LINKS,
    LIVE,
    MATE,
    MOTILE,
    MOVABLE,
    MOVABLE_BEHAVIOUR,
    NO_INDEX,
    NUCLEAR,
    NUCLEAR_SOLID,
    PACE,
    PARENT,
    PHAGOCYTOSE_APOPTOTIC,
    PHAGOCYTOSE_LIVE,
    PHAGOCYTOSE_NECROTIC,
    PHAGOCYTOSE_OTHER_DEAD,
    PREY,
    PX,
    PY,
    PZ,
    RADIUS,
    REMOVED,
    REPULSION,
    ROOT_ADHESION,
    ROOT_REPULSION,
    RUPTURE_VOLUME,
    SECRETION,
    SECRETION_TARGET,
    SPEED,
    STATE,
    STAYS,
    T_ASYMMETRIC,
    TARGET,
    TARGET_CYTOPLASMIC_SOLID,
    TARGET_NUCLEAR_SOLID,
    TOTAL,
    TYPE,
    UPTAKE,
    VOXEL,
    X,
    Y,
    Z,
)  # fmt: skip
from atmpsim.kernels.agents.springs import unlink_all
from atmpsim.kernels.agents.values import set_value, value
from atmpsim.kernels.philox import uniforms

IN_SPACE = np.bool_(False)  # not Python's, for which `direction` would be compiled anew
APART = 0.75  # radii that mother and daughter each move apart; the sum of both is PhysiCell's 1.5


@inner
def _copy(cells, source, target):
    for rows in (cells.real, cells.vary):
        for r in range(rows.shape[0]):
            rows[r, target] = rows[r, source]
    for r in range(cells.whole.shape[0]):
        cells.whole[r, target] = cells.whole[r, source]


@inner
def _halve(cells, types, layout, i):
    real = cells.real
    for row in (
        TOTAL, FLUID, NUCLEAR, NUCLEAR_SOLID, CYTOPLASMIC_SOLID, TARGET_NUCLEAR_SOLID, TARGET_CYTOPLASMIC_SOLID,
        RUPTURE_VOLUME,
    ):  # fmt: skip
        real[row, i] *= 0.5
    real[ATTACK_TIME, i] = 0.0
    if layout.inside >= 0:
        for s in range(layout.substrates):
            real[layout.inside + s, i] *= 0.5
            if layout.seen >= 0:
                real[layout.seen + s, i] *= 0.5
    for k in range(layout.custom_conserved.size):
        if layout.custom_conserved[k]:
            set_value(cells, types, CUSTOM, k, i, 0.5 * value(cells, types, CUSTOM, k, i))


@inner
def _part(cells, box, quirks, seed, step, mother, daughter):
    """Move mother and daughter apart in a random direction."""
    real = cells.real
    u, v = uniforms(seed, cells.identity[ID, mother], NO_INDEX, step, D_DIVISION)
    radius = real[RADIUS, mother]
    if quirks.lopsided_division:
        dx, dy, dz = direction(u, v, IN_SPACE)
        if box.planar:
            dz = 0.0
        ahead, back = radius, -0.5 * radius
    else:
        dx, dy, dz = direction(u, v, box.planar)
        ahead, back = APART * radius, -APART * radius
    for i, far in ((daughter, ahead), (mother, back)):
        real[X, i] += far * dx
        real[Y, i] += far * dy
        real[Z, i] += far * dz


@inner
def _choose_type(cells, types, layout, quirks, seed, step, i):
    """Draw the type of a daughter from an asymmetric division; what the chances leave over changes nothing."""
    kinds, own = types.base.shape[0], int64(cells.whole[TYPE, i])
    total = 0.0
    for kind in range(kinds):
        total += value(cells, types, ASYMMETRIC_DIVISION, kind, i)
    excess = max(total - 1.0, 0.0)
    u = uniforms(seed, cells.identity[ID, i], NO_INDEX, step, D_ASYMMETRIC)[0]
    upto = 0.0
    for kind in range(kinds):
        chance = value(cells, types, ASYMMETRIC_DIVISION, kind, i)
        upto += max(chance - excess, 0.0) if kind == own else chance
        if u < upto:
            if kind != own:
                transform(cells, types, layout, quirks, i, kind)
            return


@entry
def divide(cells, count, types, layout, box, quirks, time, seed, step, next_id):
    """Divide the cells whose fate it is. For one thread; there must be room. Return the new count and next id."""
    whole, identity, real = cells.whole, cells.identity, cells.real
    mothers = count
    for mother in range(mothers):
        if whole[FATE, mother] != DIVIDES:
            continue
        daughter = count
        count += 1
        unlink_all(cells, mother)
        _part_and_copy(cells, types, layout, box, quirks, seed, step, mother, daughter)
        identity[ID, daughter], identity[PARENT, daughter] = next_id, identity[ID, mother]
        next_id += 1
        real[BIRTH, daughter], real[DEATH, daughter] = time, np.nan
        whole[FATE, mother] = whole[FATE, daughter] = STAYS
        if types.number[whole[TYPE, mother], T_ASYMMETRIC] != 0.0:
            _choose_type(cells, types, layout, quirks, seed, step, daughter)
    return count, next_id


@inner
def _part_and_copy(cells, types, layout, box, quirks, seed, step, mother, daughter):
    real, whole = cells.real, cells.whole
    _halve(cells, types, layout, mother)
    _copy(cells, mother, daughter)
    _part(cells, box, quirks, seed, step, mother, daughter)
    real[PX, daughter] = real[PY, daughter] = real[PZ, daughter] = 0.0
    whole[LINKS, daughter], whole[VOXEL, daughter] = 0, -1
    if not quirks.daughter_attacks:
        whole[TARGET, daughter] = -1
    if quirks.daughter_movable:
        whole[MOVABLE, daughter] = 1
        set_value(cells, types, MOVABLE_BEHAVIOUR, NO_INDEX, daughter, 1.0)


@entry
def refresh(cells, count, types, layout, voxel_volume, dt, thread, threads):
    """Write the rows that follow from volumes and behaviours: size, strengths, pace, exchange with fields, acting."""
    real, whole = cells.real, cells.whole
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(begin, end):
        if whole[STATE, i] == GONE:
            continue
        swell(cells, types, i)
        real[ROOT_REPULSION, i] = math.sqrt(max(value(cells, types, REPULSION, NO_INDEX, i), 0.0))
        real[ROOT_ADHESION, i] = math.sqrt(max(value(cells, types, ADHESION, NO_INDEX, i), 0.0))
        real[PACE, i] = dt * value(cells, types, SPEED, NO_INDEX, i) if whole[MOTILE, i] else 0.0
        part = real[TOTAL, i] / voxel_volume
        for s in range(layout.substrates):
            rate = value(cells, types, SECRETION, s, i)
            real[layout.loss + s, i] = part * (rate + value(cells, types, UPTAKE, s, i))
            real[layout.gain + s, i] = part * rate * value(cells, types, SECRETION_TARGET, s, i)
            real[layout.gift + s, i] = value(cells, types, EXPORT, s, i) / voxel_volume
        whole[ACTS, i] = _acts(cells, types, layout, i)
        whole[PREY, i] = whole[AIM, i] = whole[MATE, i] = -1


@inner
def _acts(cells, types, layout, i):
    if cells.whole[STATE, i] != LIVE:
        return 0
    if cells.whole[TARGET, i] >= 0:
        return 1
    for kind in (PHAGOCYTOSE_APOPTOTIC, PHAGOCYTOSE_NECROTIC, PHAGOCYTOSE_OTHER_DEAD):
        if value(cells, types, kind, NO_INDEX, i) > 0.0:
            return 1
    for kind in (PHAGOCYTOSE_LIVE, ATTACK, FUSE):
        for other in range(layout.types):
            if value(cells, types, kind, other, i) > 0.0:
                return 1
    return 0


@entry
def order_cells(cells, count, box, size, keys, start, order, place):
    """Find the order of cells in memory by boxes of a given size, without those removed. For one thread.

    Parameters
    ----------
    keys, order, place
        (cells,): box of each cell; the old column of each new one; the new column of each old one, -1 if removed.
    start
        Room for the boxes; fewer are used where it is too small.

    Returns
    -------
    int
        The number of cells that remain.
    """
    real, whole = cells.real, cells.whole
    for i in range(count):
        if whole[FATE, i] == REMOVED:
            unlink_all(cells, i)
    lengths = (box.x_max - box.x_min, box.y_max - box.y_min, box.z_max - box.z_min)
    while (lengths[0] / size + 1.0) * (lengths[1] / size + 1.0) * (lengths[2] / size + 1.0) > start.size - 2:
        size *= 1.25
    bx, by, bz = int(lengths[0] / size) + 1, int(lengths[1] / size) + 1, int(lengths[2] / size) + 1
    start[: bx * by * bz + 1] = 0
    for i in range(count):
        keys[i] = -1
        if whole[FATE, i] != REMOVED:
            ix = min(max(int((real[X, i] - box.x_min) / size), 0), bx - 1)
            iy = min(max(int((real[Y, i] - box.y_min) / size), 0), by - 1)
            iz = min(max(int((real[Z, i] - box.z_min) / size), 0), bz - 1)
            keys[i] = (iz * by + iy) * bx + ix
            start[keys[i] + 1] += 1
    for b in range(1, bx * by * bz + 1):
        start[b] += start[b - 1]
    remain = start[bx * by * bz]
    for i in range(count):
        place[i] = -1
        if keys[i] >= 0:
            place[i] = start[keys[i]]
            order[start[keys[i]]] = i
            start[keys[i]] += 1
    return remain


@inner
def permute(row, order, remain, spare):
    """Bring one row into the new order."""
    for k in range(remain):
        spare[k] = row[order[k]]
    for k in range(remain):
        row[k] = spare[k]


@entry
def reorder(cells, remain, order, place, spare, spare_whole, spare_identity, thread, threads):
    """Bring this thread's rows of all arrays into the new order; springs and targets follow their cells."""
    real, whole, vary, identity = cells.real, cells.whole, cells.vary, cells.identity
    job = 0
    for r in range(real.shape[0]):
        if job % threads == thread:
            permute(real[r], order, remain, spare[thread])
        job += 1
    for r in range(vary.shape[0]):
        if job % threads == thread:
            permute(vary[r], order, remain, spare[thread])
        job += 1
    for r in range(whole.shape[0]):
        if job % threads == thread:
            permute(whole[r], order, remain, spare_whole[thread])
            if r == TARGET:
                for k in range(remain):
                    if whole[TARGET, k] >= 0:
                        whole[TARGET, k] = place[whole[TARGET, k]]
        job += 1
    for r in range(2):
        if job % threads == thread:
            permute(identity[r], order, remain, spare_identity[thread])
        job += 1
    for m in range(cells.links.shape[1]):
        if job % threads == thread:
            _reorder_links(cells.links, m, order, place, remain, spare_whole[thread])
        job += 1


@inner
def _reorder_links(links, m, order, place, remain, spare):
    for k in range(remain):
        j = links[order[k], m]
        spare[k] = place[j] if 0 <= j < place.size else -1
    for k in range(remain):
        links[k, m] = spare[k]
