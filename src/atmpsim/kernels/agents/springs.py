"""Springs between cells: they form and break at random, and pull both ends together.

Source: Johnson et al. 2025 Cell, doi:10.1016/j.cell.2025.06.048, and the user guide of PhysiCell 1.14.
"""

from __future__ import annotations

import math

from numba import int64

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.lists import GRAIN
from atmpsim.kernels.agents.rows import (
    ADHESIVE_AFFINITY,
    ATTACHMENT,
    D_ATTACH,
    D_DETACH,
    DETACHMENT,
    ELASTIC_CONSTANT,
    GONE,
    ID,
    LINKS,
    MAX_ATTACHMENTS,
    MOVABLE,
    NO_INDEX,
    OUTSIDE,
    REACH,
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
from atmpsim.kernels.philox import uniforms


@inner
def linked(cells, i, j):
    """Return whether a spring joins cells i and j."""
    found = False
    for k in range(cells.whole[LINKS, i]):
        found = found or cells.links[i, k] == j
    return found


@inner
def link(cells, i, j):
    """Join cells i and j by a spring, unless one does or a cell has no place left for one."""
    number, links = cells.whole[LINKS], cells.links
    if number[i] < links.shape[1] and number[j] < links.shape[1] and not linked(cells, i, j):
        links[i, number[i]], links[j, number[j]] = j, i
        number[i] += 1
        number[j] += 1


@inner
def _drop(cells, i, j):
    for k in range(cells.whole[LINKS, i]):
        if cells.links[i, k] == j:
            cells.whole[LINKS, i] -= 1
            cells.links[i, k] = cells.links[i, cells.whole[LINKS, i]]
            return


@inner
def unlink(cells, i, j):
    """Take away the spring between cells i and j, if there is one."""
    _drop(cells, i, j)
    _drop(cells, j, i)


@inner
def unlink_all(cells, i):
    """Take away every spring of cell i."""
    while cells.whole[LINKS, i] > 0:
        unlink(cells, i, int64(cells.links[i, cells.whole[LINKS, i] - 1]))


@inner
def touching(real, i, j):
    """Return whether cells i and j are within each other's reach: in contact."""
    dx, dy, dz = real[X, i] - real[X, j], real[Y, i] - real[Y, j], real[Z, i] - real[Z, j]
    far = real[REACH, i] + real[REACH, j]
    return max(dx * dx + dy * dy + dz * dz, 1e-10) < far * far


@inner
def renew_springs(cells, count, types, near, box, seed, step):
    """Break springs, then form new ones between cells in contact. For one thread: each changes two cells.

    Both ends of a spring break it at their own rate, and both cells of a pair form one.
    """
    whole, identity, dt = cells.whole, cells.identity, box.dt_mechanics
    for i in range(count):
        if whole[STATE, i] == GONE or whole[OUTSIDE, i]:
            continue
        chance = value(cells, types, DETACHMENT, NO_INDEX, i) * dt
        if chance > 0.0:
            k = 0
            while k < whole[LINKS, i]:
                j = int64(cells.links[i, k])
                if uniforms(seed, identity[ID, i], identity[ID, j], step, D_DETACH)[0] <= chance:
                    unlink(cells, i, j)  # the last one comes to place k
                else:
                    k += 1
        chance = value(cells, types, ATTACHMENT, NO_INDEX, i) * dt
        if chance > 0.0:
            most = value(cells, types, MAX_ATTACHMENTS, NO_INDEX, i)
            for k in range(near.number[i]):
                if whole[LINKS, i] >= most:
                    break
                j = int64(near.who[i, k])
                full = whole[LINKS, j] >= value(cells, types, MAX_ATTACHMENTS, NO_INDEX, j)
                if full or not touching(cells.real, i, j):
                    continue
                affinity = value(cells, types, ADHESIVE_AFFINITY, int64(whole[TYPE, j]), i)
                if uniforms(seed, identity[ID, i], identity[ID, j], step, D_ATTACH)[0] <= chance * affinity:
                    link(cells, i, j)


@inner
def pull(cells, count, types, thread, threads):
    """Add what their springs do to the velocities of this thread's cells."""
    real, whole = cells.real, cells.whole
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(begin, end):
        if whole[LINKS, i] == 0 or not whole[MOVABLE, i] or whole[OUTSIDE, i]:
            continue
        for k in range(whole[LINKS, i]):
            j = int64(cells.links[i, k])
            mine = value(cells, types, ELASTIC_CONSTANT, NO_INDEX, i) * value(
                cells, types, ADHESIVE_AFFINITY, int64(whole[TYPE, j]), i
            )
            theirs = value(cells, types, ELASTIC_CONSTANT, NO_INDEX, j) * value(
                cells, types, ADHESIVE_AFFINITY, int64(whole[TYPE, i]), j
            )
            w = math.sqrt(max(mine * theirs, 0.0))
            real[VX, i] += w * (real[X, j] - real[X, i])
            real[VY, i] += w * (real[Y, j] - real[Y, i])
            real[VZ, i] += w * (real[Z, j] - real[Z, i])
