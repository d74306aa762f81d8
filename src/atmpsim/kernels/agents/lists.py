"""Lists of neighbours: who may come within reach of whom before any has moved by half the skin and some
steps of its own.

Source: Verlet 1967 Phys Rev 159:98, doi:10.1103/PhysRev.159.98 (lists with a skin), on a grid of bins.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import uint32, uint64
from numpy.typing import NDArray

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.rows import GONE, OUTSIDE, PACE, REACH, REACH0, STATE, X0, Y0, Z0, X, Y, Z
from atmpsim.kernels.agents.vectors import LANES

GRAIN = 64  # cells that threads take together
# steps of its own crawling, at most so many µm, that lists allow each cell beside the skin: else all wait for a few
AHEAD, FARTHEST = 6.0, 20.0


class Neighbours(NamedTuple):
    """`who[i, :number[i]]` are the neighbours of cell i; bins hold `order[start[b]:start[b + 1]]`.

    `grid` is (low x, y, z, bin size); `shape` (bins along x, y, z). Where `number` reaches the width of `who` the
    list is too short and has to be made again with more room.

    Each pair is also listed once: cell i is `first` in the pairs `mine[i]` to `mine[i + 1]`, and `second` in the pairs
    `others[theirs[i] : theirs[i + 1]]`. `records` (cell, RECORD) and `forces` (pair, FORCE) are
    what pairs need and make of their cells; the last cell of `records` is out of everybody's reach. `chance` is room
    for a number drawn for each cell.
    """

    who: NDArray[np.uint32]
    number: NDArray[np.uint32]
    mine: NDArray[np.int64]
    theirs: NDArray[np.int64]
    others: NDArray[np.uint32]
    first: NDArray[np.uint32]
    second: NDArray[np.uint32]
    records: NDArray[np.float64]
    forces: NDArray[np.float64]
    chance: NDArray[np.float64]
    order: NDArray[np.uint32]
    bin: NDArray[np.int32]
    sorted: NDArray[np.float64]  # (4, cells): x, y, z and wide reach in the order of the bins
    start: NDArray[np.int64]
    grid: NDArray[np.float64]
    shape: NDArray[np.int64]


@inner
def _bins(length, size):
    return int(min(length / size, 1e6)) + 1


@inner
def _wide(real, i):
    """Return the reach of cell i with what it may crawl before lists are made anew."""
    return real[REACH, i] + min(AHEAD * real[PACE, i], FARTHEST)


@inner
def has_left(real, skin, i):
    """Return whether cell i has moved, or grown, beyond what its list of neighbours allows for."""
    dx, dy, dz = real[X, i] - real[X0, i], real[Y, i] - real[Y0, i], real[Z, i] - real[Z0, i]
    moved = math.sqrt(dx * dx + dy * dy + dz * dz) + real[REACH, i] - real[REACH0, i]
    return not moved < 0.5 * skin + min(AHEAD * real[PACE, i], FARTHEST)


@inner
def lay_grid(cells, count, skin, near):
    """Set size and extent of the bins from the cells that are there. For one thread."""
    real, whole = cells.real, cells.whole
    reach = 0.0
    x0 = y0 = z0 = np.inf
    x1 = y1 = z1 = -np.inf
    for i in range(count):
        if whole[STATE, i] != GONE and whole[OUTSIDE, i] == 0:
            reach = max(reach, _wide(real, i))
            x0, x1 = min(x0, real[X, i]), max(x1, real[X, i])
            y0, y1 = min(y0, real[Y, i]), max(y1, real[Y, i])
            z0, z1 = min(z0, real[Z, i]), max(z1, real[Z, i])
    if x0 > x1:  # nobody
        x0 = y0 = z0 = x1 = y1 = z1 = 0.0
    size = 2.0 * reach + skin
    bins = near.start.size - 1
    while True:  # coarser where there is no room for so many bins
        nx, ny, nz = _bins(x1 - x0, size), _bins(y1 - y0, size), _bins(z1 - z0, size)
        if float(nx) * ny * nz <= bins:
            break
        size *= 1.25
    near.shape[0], near.shape[1], near.shape[2] = nx, ny, nz
    near.grid[0], near.grid[1], near.grid[2], near.grid[3] = x0, y0, z0, size


@inner
def fill_bins(cells, count, near):
    """Sort the cells into bins, in their order. For one thread; cells that nobody feels are in none."""
    real, whole, start = cells.real, cells.whole, near.start
    bx, by = near.shape[0], near.shape[1]
    bins = bx * by * near.shape[2]
    scale = 1.0 / near.grid[3]
    for b in range(bins + 1):
        start[b] = 0
    for i in range(count):
        b = -1
        if whole[STATE, i] != GONE and whole[OUTSIDE, i] == 0:
            ix = int((real[X, i] - near.grid[0]) * scale)
            iy = int((real[Y, i] - near.grid[1]) * scale)
            iz = int((real[Z, i] - near.grid[2]) * scale)
            b = (min(max(iz, 0), near.shape[2] - 1) * by + min(max(iy, 0), by - 1)) * bx + min(max(ix, 0), bx - 1)
            start[b] += 1
        near.bin[i] = b
    for b in range(1, bins + 1):
        start[b] += start[b - 1]
    for back in range(count):
        i = count - 1 - back
        b = near.bin[i]
        if b >= 0:
            start[b] -= 1
            k = start[b]
            near.order[k] = i
            near.sorted[0, k], near.sorted[1, k] = real[X, i], real[Y, i]
            near.sorted[2, k], near.sorted[3, k] = real[Z, i], _wide(real, i)


@inner
def find_neighbours(cells, count, skin, near, thread, threads):
    """List, for this thread's cells, all others within the reach of both plus the skin; return the longest list.

    Remembers where cells were and how far they reached.
    """
    real, order, start, who = cells.real, near.order, near.start, near.who
    x, y, z, reach = near.sorted[0], near.sorted[1], near.sorted[2], near.sorted[3]
    bx, by, bz = near.shape[0], near.shape[1], near.shape[2]
    last_place = uint64(who.shape[1] - 1)
    longest = uint64(0)
    mine, theirs = near.mine, near.theirs
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(uint64(begin), uint64(end)):
        xi, yi, zi, ri = real[X, i], real[Y, i], real[Z, i], _wide(real, i)
        real[X0, i], real[Y0, i], real[Z0, i], real[REACH0, i] = xi, yi, zi, real[REACH, i]
        b = near.bin[i]
        found = later = uint64(0)
        if b >= 0:
            iz, rest = b // (bx * by), b % (bx * by)
            iy, ix = rest // bx, rest % bx
            for jz in range(max(iz - 1, 0), min(iz + 2, bz)):
                for jy in range(max(iy - 1, 0), min(iy + 2, by)):
                    row = (jz * by + jy) * bx
                    first, last = start[row + max(ix - 1, 0)], start[row + min(ix + 1, bx - 1) + 1]
                    for k in range(uint64(first), uint64(last)):
                        j = uint64(order[k])
                        dx, dy, dz = xi - x[k], yi - y[k], zi - z[k]
                        far = ri + reach[k] + skin  # the same whoever of the two asks
                        # written before it is known to count: no branch, which would often be guessed wrong
                        who[i, min(found, last_place)] = uint32(j)
                        close = uint64(dx * dx + dy * dy + dz * dz < far * far) & uint64(j != i)
                        found += close
                        later += close & uint64(j > i)
        mine[i + uint64(1)], theirs[i + uint64(1)] = later, found - later
        near.number[i] = uint32(found)
        longest = max(longest, found)
    return longest


@inner
def number_pairs(near, count):
    """Turn the numbers of pairs in `mine` and `theirs` into their sums, and fill up whole LANES. For one thread.

    Return the number of pairs with those filled up, which may be more than there is room for.
    """
    mine, theirs = near.mine, near.theirs
    mine[0] = theirs[0] = 0
    for i in range(count):
        mine[i + 1] += mine[i]
        theirs[i + 1] += theirs[i]
    pairs = mine[count]
    whole = (pairs + LANES - 1) // LANES * LANES
    if whole <= near.first.size:
        for p in range(pairs, whole):
            near.first[p] = near.second[p] = near.records.shape[0] - 1
    return whole


@inner
def list_pairs(near, count, thread, threads):
    """Write the pairs that this thread's cells are first in."""
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(uint64(begin), uint64(end)):
        p = uint64(near.mine[i])
        for k in range(uint64(near.number[i])):
            j = uint64(near.who[i, k])
            if j > i:
                near.first[p], near.second[p] = uint32(i), uint32(j)
                p += uint64(1)


@inner
def find_others(near, count, thread, threads):
    """Find the pairs that this thread's cells are second in, in the order of their neighbours."""
    second, mine = near.second, near.mine
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(uint64(begin), uint64(end)):
        m = uint64(near.theirs[i])
        for k in range(uint64(near.number[i])):
            j = uint64(near.who[i, k])
            if j < i:
                p = uint64(mine[j])
                while second[p] != i:
                    p += uint64(1)
                near.others[m] = uint32(p)
                m += uint64(1)
