"""A coarse grid under the conjugate gradients: what blocks of voxels as wholes have to change, solved exactly.

With the diagonal alone an error as wide as the domain takes as many iterations as there are voxels across; the sum of
both corrections leaves only errors within a block. The matrix of the blocks is the sum of the fine one's entries.

Source: Nicolaides 1987 SIAM J Numer Anal 24:355, doi:10.1137/0724027 (subspaces of constants on subdomains).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import uint64
from numpy.typing import NDArray

from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.gradients import product
from atmpsim.kernels.agents.vectors import LANES, fused

BLOCK = LANES  # voxels across a block
DEEP = 4.0  # couplings in the diagonal from which it pays


class Coarse(NamedTuple):
    """The blocks' matrix and vectors.

    `within` and `between` are (substrate, direction, block): faces between free voxels of a block, and to its next.
    `band` is (block, bandwidth + 1), the lower triangle and, after `factorise`, its root; the diagonal comes last.
    `parts` is (row, block along x): sums of a row. `value` is (block,). `shape` is (blocks along x, y, z).
    """

    within: NDArray[np.float64]
    between: NDArray[np.float64]
    band: NDArray[np.float64]
    parts: NDArray[np.float64]
    value: NDArray[np.float64]
    shape: NDArray[np.int64]


def make_coarse(fixed: NDArray[np.float64], nx: int) -> Coarse:
    """Return the blocks of fields held as `fixed`, (substrate, z, y, x), rows padded beyond `nx`."""
    free = np.isnan(fixed)
    free[..., nx:] = False
    count, nz, ny, stride = fixed.shape
    shape = [-(-n // BLOCK) for n in (stride, ny, nz)]
    block = [np.arange(n) // BLOCK for n in (nz, ny, stride)]
    number = (block[0][:, None, None] * shape[1] + block[1][:, None]) * shape[0] + block[2]
    blocks = shape[0] * shape[1] * shape[2]
    within, between = np.zeros((count, 3, blocks)), np.zeros((count, 3, blocks))
    for direction, axis in enumerate((2, 1, 0)):
        low, high = (np.take(number, range(a, number.shape[axis] - 1 + a), axis) for a in (0, 1))
        for s in range(count):
            both = np.take(free[s], range(number.shape[axis] - 1), axis) & np.take(
                free[s], range(1, number.shape[axis]), axis
            )
            within[s, direction] = np.bincount(low[both & (low == high)], minlength=blocks)
            between[s, direction] = np.bincount(low[both & (low != high)], minlength=blocks)
    width = shape[0] * shape[1] if shape[2] > 1 else shape[0] if shape[1] > 1 else 1
    return Coarse(
        within=within, between=between, band=np.zeros((blocks, width + 1)), parts=np.zeros((nz * ny, shape[0])),
        value=np.zeros(blocks), shape=np.array(shape, dtype=np.int64),
    )  # fmt: skip


@inner
def gather(coarse, ny, values):
    """Add up the parts of all rows, in their order, into `values` (block,). For one thread."""
    across, down = coarse.shape[0], coarse.shape[1]
    values[:] = 0.0
    for row in range(coarse.parts.shape[0]):
        first = (row // ny // BLOCK * down + row % ny // BLOCK) * across
        for b in range(across):
            values[first + b] += coarse.parts[row, b]


@inner
def factorise(coarse, s, ny, cx, cy, cz):
    """Make the blocks' matrix of substrate s, from the diagonal's parts, and its Cholesky root. For one thread."""
    band, value = coarse.band, coarse.value
    width = band.shape[1] - 1
    gather(coarse, ny, value)
    band[:] = 0.0
    across, plane = coarse.shape[0], coarse.shape[0] * coarse.shape[1]
    for b in range(value.size):
        inside = cx * coarse.within[s, 0, b] + cy * coarse.within[s, 1, b] + cz * coarse.within[s, 2, b]
        band[b, width] = value[b] - 2.0 * inside if value[b] > 0.0 else 1.0
        for step, direction, c in ((1, 0, cx), (across, 1, cy), (plane, 2, cz)):
            if coarse.between[s, direction, b] > 0.0:
                band[b + step, width - step] = -c * coarse.between[s, direction, b]
    for i in range(value.size):
        for j in range(max(0, i - width), i):
            first = max(0, i - width)
            rest = band[i, j - i + width] - _dot(band[i], first - i + width, band[j], first - j + width, j - first)
            band[i, j - i + width] = rest / band[j, width]
        rest = band[i, width] - _dot(band[i], 0, band[i], 0, width)
        band[i, width] = math.sqrt(rest)


@inner
def _dot(a, a_first, b, b_first, count):
    total = product(a[a_first:].ctypes.data, b[b_first:].ctypes.data, count // LANES)
    p, q = uint64(a_first), uint64(b_first)
    for k in range(uint64(count - count % LANES), uint64(count)):
        total = fused(a[p + k], b[q + k], total)
    return total


@inner
def _take_off(value, first, row, row_first, count, x):
    p, q = uint64(first), uint64(row_first)
    for k in range(uint64(count)):
        value[p + k] = fused(row[q + k], -x, value[p + k])


@inner
def correct(coarse, ny):
    """Turn the parts of the residual into each block's correction; return the product of both. For one thread."""
    band, value = coarse.band, coarse.value
    width = band.shape[1] - 1
    gather(coarse, ny, value)
    product = 0.0
    for i in range(value.size):
        first = max(0, i - width)
        value[i] = (value[i] - _dot(band[i], first - i + width, value, first, i - first)) / band[i, width]
        product += value[i] * value[i]
    for back in range(value.size):
        i = value.size - 1 - back
        first = max(0, i - width)
        value[i] /= band[i, width]
        _take_off(value, first, band[i], first - i + width, i - first, value[i])
    return product
