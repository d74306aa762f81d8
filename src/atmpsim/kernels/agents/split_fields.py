"""Diffusion and decay of fields by locally one-dimensional implicit steps, PhysiCell's scheme.

Sources: Ghaffarizadeh, Friedman, Macklin 2016 Bioinformatics, doi:10.1093/bioinformatics/btv730 (the scheme);
Thomas' elimination of tridiagonal systems, as in any textbook.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import uint64
from numpy.typing import NDArray

from atmpsim.kernels.agents.barrier import meet, share
from atmpsim.kernels.agents.compiled import inner, inner_exact

ROWS = 8  # swept side by side along x
LANES = 16  # to whole multiples of which rows are stored: no column is left over for slow code


class Sweeps(NamedTuple):
    """Eliminated tridiagonal systems of every substrate, and the voxels that are held.

    `pivot` and `upper` are (substrate, direction, position): one over the pivot, and the eliminated upper diagonal.
    `coupling` is (substrate, direction): dt D / dx^2. `held_start` is (substrate, row + 1) into `held_column` and
    `held_value`: the voxels with a prescribed density, row by row. `moves` is (substrate,): 0 where a step changes
    nothing.
    """

    coupling: NDArray[np.float64]
    pivot: NDArray[np.float64]
    upper: NDArray[np.float64]
    held_start: NDArray[np.int64]
    held_column: NDArray[np.int64]
    held_value: NDArray[np.float64]
    moves: NDArray[np.uint8]


def eliminate(count: int, coupling: float, decay: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one over the pivots, and the upper diagonal, of a line's eliminated system.

    Parameters
    ----------
    count
        Voxels in the line; nothing flows through its ends.
    coupling
        dt D / dx^2.
    decay
        dt times the part of the decay rate that this direction takes.
    """
    diagonal = np.full(count, 1.0 + 2.0 * coupling + decay)
    diagonal[0] = diagonal[-1] = 1.0 + coupling + decay
    if count == 1:
        diagonal[0] = 1.0 + decay
    upper = np.full(count, -coupling)
    upper[0] /= diagonal[0]
    for i in range(1, count):
        diagonal[i] += coupling * upper[i - 1]
        upper[i] /= diagonal[i]
    return 1.0 / diagonal, upper


@inner_exact
def _along_x(p, columns, c, pivot, upper, row, last):
    """Sweep eight rows of `p` (row, column) along x, from `row` on but none beyond `last`.

    The recurrence runs along the row, so speed comes from eight independent ones at once; a transposed copy in vectors
    was slower. A row that comes twice, at the end, is written twice with the same numbers: all loads come first.
    """
    one, n, r0 = uint64(1), uint64(columns), uint64(row)
    r1, r2, r3 = min(r0 + one, last), min(r0 + uint64(2), last), min(r0 + uint64(3), last)
    r4, r5, r6 = min(r0 + uint64(4), last), min(r0 + uint64(5), last), min(r0 + uint64(6), last)
    r7 = min(r0 + uint64(7), last)
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = 0.0
    for i in range(n):
        q = pivot[i]
        cq = c * q
        b0, b1, b2, b3 = p[r0, i] * q, p[r1, i] * q, p[r2, i] * q, p[r3, i] * q
        b4, b5, b6, b7 = p[r4, i] * q, p[r5, i] * q, p[r6, i] * q, p[r7, i] * q
        a0, a1, a2, a3 = b0 + cq * a0, b1 + cq * a1, b2 + cq * a2, b3 + cq * a3
        a4, a5, a6, a7 = b4 + cq * a4, b5 + cq * a5, b6 + cq * a6, b7 + cq * a7
        p[r0, i], p[r1, i], p[r2, i], p[r3, i] = a0, a1, a2, a3
        p[r4, i], p[r5, i], p[r6, i], p[r7, i] = a4, a5, a6, a7
    for back in range(one, n):
        i = n - one - back
        q = upper[i]
        b0, b1, b2, b3 = p[r0, i], p[r1, i], p[r2, i], p[r3, i]
        b4, b5, b6, b7 = p[r4, i], p[r5, i], p[r6, i], p[r7, i]
        a0, a1, a2, a3 = b0 - q * a0, b1 - q * a1, b2 - q * a2, b3 - q * a3
        a4, a5, a6, a7 = b4 - q * a4, b5 - q * a5, b6 - q * a6, b7 - q * a7
        p[r0, i], p[r1, i], p[r2, i], p[r3, i] = a0, a1, a2, a3
        p[r4, i], p[r5, i], p[r6, i], p[r7, i] = a4, a5, a6, a7


@inner_exact
def _across(p, c, pivot, upper, begin, end, factor, shift, mapped):
    """Sweep the columns `begin` to `end` of `p` (line, column) along its lines; then density <- factor density + shift.

    The map of a line waits for the line before it, which needs the density as the sweep left it.
    """
    one = uint64(1)
    lines, a, b = uint64(p.shape[0]), uint64(begin), uint64(end)
    q = pivot[0]
    for i in range(a, b):
        p[0, i] *= q
    for j in range(one, lines):
        q = pivot[j]
        cq = c * q
        line, before = p[j], p[j - one]
        for i in range(a, b):
            line[i] = line[i] * q + cq * before[i]
    for back in range(one, lines):
        j = lines - one - back
        q = upper[j]
        line, after = p[j], p[j + one]
        if mapped:
            m, d = factor[j + one], shift[j + one]
            for i in range(a, b):
                v = after[i]
                line[i] -= q * v
                after[i] = m[i] * v + d[i]
        else:
            for i in range(a, b):
                line[i] -= q * after[i]
    if mapped:
        for i in range(a, b):
            p[0, i] = factor[0, i] * p[0, i] + shift[0, i]


@inner
def _hold(p, sweeps, s, row_begin, row_end):
    start = sweeps.held_start[s]
    for row in range(row_begin, row_end):
        for h in range(start[row], start[row + 1]):
            p[row, sweeps.held_column[h]] = sweeps.held_value[h]


@inner
def split_step(density, nx, sweeps, factor, shift, mapped, thread, threads, barrier):
    """Advance all fields by one step: sweeps along x, y (and z), then what cells do: factor density + shift.

    Parameters
    ----------
    density, factor, shift
        (substrate, z, y, x). Held voxels start their map from the held density, so that the last map holds them too.
    nx
        Voxels along x; rows are stored padded to LANES.
    mapped
        (substrate,) whether the map is not the identity.
    """
    substrates, nz, ny, stride = density.shape
    if nz == 1:
        begin, end = share(ny, thread, threads, ROWS)
    else:
        slab, slab_end = share(nz, thread, threads, 1)
        begin, end = slab * ny, slab_end * ny
    for s in range(substrates):
        if sweeps.moves[s]:
            rows = density[s].reshape(nz * ny, stride)
            _hold(rows, sweeps, s, begin, end)
            for row in range(begin, end, ROWS):
                _along_x(rows, nx, sweeps.coupling[s, 0], sweeps.pivot[s, 0], sweeps.upper[s, 0], row, uint64(end - 1))
            _hold(rows, sweeps, s, begin, end)
            if nz > 1:
                for k in range(slab, slab_end):
                    _across(
                        density[s, k], sweeps.coupling[s, 1], sweeps.pivot[s, 1], sweeps.upper[s, 1], 0, stride,
                        factor[s, k], shift[s, k], False,
                    )  # fmt: skip
                _hold(rows, sweeps, s, begin, end)
    meet(barrier, threads)
    across = 1 if nz == 1 else 2
    lines = ny if nz == 1 else nz
    begin, end = share(density.size // substrates // lines, thread, threads, LANES)
    for s in range(substrates):
        p = density[s].reshape(lines, -1)
        a, b = factor[s].reshape(lines, -1), shift[s].reshape(lines, -1)
        if sweeps.moves[s]:
            _across(
                p,
                sweeps.coupling[s, across],
                sweeps.pivot[s, across],
                sweeps.upper[s, across],
                begin,
                end,
                a,
                b,
                mapped[s],
            )
        elif mapped[s]:
            for j in range(lines):
                for i in range(begin, end):
                    p[j, i] = a[j, i] * p[j, i] + b[j, i]
    meet(barrier, threads)
