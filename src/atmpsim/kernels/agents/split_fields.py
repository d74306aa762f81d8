"""Diffusion and decay of fields by locally one-dimensional implicit steps, PhysiCell's scheme.

Sources: Ghaffarizadeh, Friedman, Macklin 2016 Bioinformatics, doi:10.1093/bioinformatics/btv730 (the scheme);
Thomas' elimination of tridiagonal systems, as in any textbook.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int64, uint64
from numpy.typing import NDArray

from atmpsim.kernels.agents.barrier import meet, share
from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.lines import LANES, TILE, sweep_eight_rows, sweep_sixteen_rows, sweep_tile, sweep_vector


class Sweeps(NamedTuple):
    """Eliminated tridiagonal systems of every substrate, and the voxels that are held.

    `pivot`, `ratio` and `upper` are (substrate, direction, position), 0 beyond the line: one over the pivot, the same
    times the coupling dt D / dx^2, and the eliminated upper diagonal. `held_start` is (substrate, row + 1) into
    `held_place` and `held_value`: the voxels with a prescribed density, row by row. `moves` is (substrate,): 0 where a
    step changes nothing. `scratch` is (thread, room for sixteen rows).
    """

    pivot: NDArray[np.float64]
    ratio: NDArray[np.float64]
    upper: NDArray[np.float64]
    held_start: NDArray[np.int64]
    held_place: NDArray[np.uint64]
    held_value: NDArray[np.float64]
    moves: NDArray[np.uint8]
    scratch: NDArray[np.float64]


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


@inner
def _along_rows(p, row, end, pivot, ratio, upper, scratch):
    """Sweep the rows `row` to `end` of `p` (row, column)."""
    base, stride = p.ctypes.data, p.shape[1]
    a, b, c, d = pivot.ctypes.data, ratio.ctypes.data, upper.ctypes.data, scratch.ctypes.data
    while row + LANES < end:
        sweep_sixteen_rows(base, stride, row, end - 1, stride, a, b, c, d)
        row += 2 * LANES
    if row < end:
        sweep_eight_rows(base, stride, row, end - 1, stride, a, b, c, d)


@inner
def _across_rows(p, column, end, pivot, ratio, upper, factor, shift, mapped, left, given):
    """Sweep the columns `column` to `end` of `p` (row, column); then density <- factor density + shift, booked."""
    base, stride, lines = p.ctypes.data, p.shape[1], p.shape[0]
    a, b, c, d, e = pivot.ctypes.data, ratio.ctypes.data, upper.ctypes.data, factor.ctypes.data, shift.ctypes.data
    f, g = left.ctypes.data, given.ctypes.data
    while column + TILE * LANES <= end:
        sweep_tile(base, stride, column, lines, a, b, c, d, e, mapped, f, g)
        column += TILE * LANES
    while column < end:
        sweep_vector(base, stride, column, lines, a, b, c, d, e, mapped, f, g)
        column += LANES


@inner
def _hold(rows, sweeps, s, begin, end):
    line = rows.reshape(rows.size)
    for h in range(uint64(sweeps.held_start[s, begin]), uint64(sweeps.held_start[s, end])):
        line[sweeps.held_place[h]] = sweeps.held_value[h]


@inner
def _plane(rows, sweeps, s, begin, end, scratch):
    """Sweep some rows along themselves."""
    _hold(rows, sweeps, s, begin, end)
    _along_rows(rows, begin, end, sweeps.pivot[s, 0], sweeps.ratio[s, 0], sweeps.upper[s, 0], scratch)
    _hold(rows, sweeps, s, begin, end)


@inner
def split_step(density, sweeps, s, factor, shift, mapped, left, given, thread, threads, barrier):
    """Advance the field of substrate s by one step: sweeps along x, y (and z), then factor density + shift.

    Parameters
    ----------
    density, factor, shift
        (z, y, x), rows padded to LANES. Held voxels start their map from the held density, so that the last map holds
        them too.
    mapped
        Whether the map is not the identity.
    left, given
        What diffusion and decay left before the map, and what the map changed, outside held voxels, are added to
        them: (z y x,), of which as many are used as the last sweep has columns.
    """
    nz, ny, stride = density.shape
    rows = density.reshape(nz * ny, stride)
    pivot, ratio, upper = sweeps.pivot[s], sweeps.ratio[s], sweeps.upper[s]
    if sweeps.moves[s]:
        if nz == 1:
            begin, end = share(ny, thread, threads, LANES)
            _plane(rows, sweeps, s, begin, end, sweeps.scratch[thread])
        else:
            begin, end = share(nz, thread, threads, 1)
            for k in range(begin, end):  # each plane is still in the cache when it is swept again
                _plane(rows, sweeps, s, k * ny, (k + 1) * ny, sweeps.scratch[thread])
                _across_rows(density[k], 0, stride, pivot[1], ratio[1], upper[1], factor[k], shift[k], int64(0),
                             left, given)  # fmt: skip
                _hold(rows, sweeps, s, k * ny, (k + 1) * ny)
    meet(barrier, threads)
    direction, lines = (1, ny) if nz == 1 else (2, nz)
    p = density.reshape(lines, density.size // lines)
    a, b = factor.reshape(lines, p.shape[1]), shift.reshape(lines, p.shape[1])
    begin, end = share(p.shape[1], thread, threads, TILE * LANES)
    if sweeps.moves[s]:
        _across_rows(p, begin, end, pivot[direction], ratio[direction], upper[direction], a, b, int64(mapped),
                     left, given)  # fmt: skip
    elif mapped:
        for j in range(lines):
            for i in range(begin, end):
                new = a[j, i] * p[j, i] + b[j, i]
                if a[j, i] != 0.0:
                    given[i] += new - p[j, i]
                p[j, i] = new
    meet(barrier, threads)
