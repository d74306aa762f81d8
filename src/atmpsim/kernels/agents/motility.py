"""How a cell crawls: it keeps its direction for a random time, then turns towards a mix of chance and gradient.

Source: Ghaffarizadeh et al. 2018 PLoS Comput Biol 14:e1005991, doi:10.1371/journal.pcbi.1005991.
"""

from __future__ import annotations

import math

import numpy as np
from numba import int64, uint64

from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.rows import (
    BIAS,
    CHEMOTACTIC_RESPONSE,
    D_TURN,
    D_TURN_DIRECTION,
    ID,
    MX,
    MY,
    MZ,
    NO_INDEX,
    PERSISTENCE,
    SPEED,
    T_ADVANCED,
    T_CHEMOTAXIS,
    T_CHEMOTAXIS_DIRECTION,
    T_CHEMOTAXIS_SUBSTRATE,
    T_NORMALISE,
    T_PLANAR,
    TYPE,
    VOXEL,
)  # fmt: skip
from atmpsim.kernels.agents.values import value
from atmpsim.kernels.philox import uniforms

EDGES = np.bool_(True)  # gradients across the outermost voxels; not Python's, for which callees are compiled anew


@inner
def gradient(p, box, voxel, edges):
    """Return the gradient in a voxel of a field (z, y, x): central differences.

    In the outermost voxels of a line they are one-sided with `edges`, else 0.
    """
    stride = p.shape[2]
    ix, rest = voxel % stride, voxel // stride
    iy, iz = rest % box.ny, rest // box.ny
    a, b = max(ix - 1, 0), min(ix + 1, box.nx - 1)
    gx = (p[iz, iy, b] - p[iz, iy, a]) / ((b - a) * box.dx) if b - a == 2 or (b > a and edges) else 0.0
    a, b = max(iy - 1, 0), min(iy + 1, box.ny - 1)
    gy = (p[iz, b, ix] - p[iz, a, ix]) / ((b - a) * box.dy) if b - a == 2 or (b > a and edges) else 0.0
    a, b = max(iz - 1, 0), min(iz + 1, box.nz - 1)
    gz = (p[b, iy, ix] - p[a, iy, ix]) / ((b - a) * box.dz) if b - a == 2 or (b > a and edges) else 0.0
    return gx, gy, gz


@inner
def _one(x, y, z):
    """Return a vector scaled to length 1; one too short to have a direction is 0."""
    length = math.sqrt(x * x + y * y + z * z + 1e-32)
    if length <= 1e-16:
        return 0.0, 0.0, 0.0
    return x / length, y / length, z / length


@inner
def direction(u, v, planar):
    """Return a uniform direction, in the plane or in space, from two uniform numbers."""
    angle = 2.0 * math.pi * u
    if planar:
        return math.cos(angle), math.sin(angle), 0.0
    z = 2.0 * v - 1.0
    r = math.sqrt(max(0.0, 1.0 - z * z))
    return r * math.cos(angle), r * math.sin(angle), z


@inner
def _lure(cells, types, box, density, i):
    """Return the direction that gradients draw cell i to; 0 without chemotaxis."""
    number = types.number[cells.whole[TYPE, i]]
    voxel = int64(cells.whole[VOXEL, i])
    if voxel < 0:
        return 0.0, 0.0, 0.0
    if number[T_ADVANCED] != 0.0:
        x = y = z = 0.0
        for s in range(density.shape[0]):
            w = value(cells, types, CHEMOTACTIC_RESPONSE, s, i)
            if w != 0.0:
                gx, gy, gz = gradient(density[s], box, voxel, EDGES)
                if number[T_NORMALISE] != 0.0:
                    gx, gy, gz = _one(gx, gy, gz)
                x, y, z = x + w * gx, y + w * gy, z + w * gz
        return _one(x, y, z)
    if number[T_CHEMOTAXIS] != 0.0:
        gx, gy, gz = gradient(density[int(number[T_CHEMOTAXIS_SUBSTRATE])], box, voxel, EDGES)
        gx, gy, gz = _one(gx, gy, gz)
        w = number[T_CHEMOTAXIS_DIRECTION]
        return w * gx, w * gy, w * gz
    return 0.0, 0.0, 0.0


@inner
def draw_turns(cells, seed, step, begin, end, chance):
    """Draw for each cell whether it turns: in one loop, which becomes vectors."""
    who = cells.identity[ID]
    for i in range(uint64(begin), uint64(end)):
        chance[i] = uniforms(seed, who[i], NO_INDEX, step, D_TURN)[0]


@inner
def crawl(cells, types, box, quirks, density, chance, seed, step, i):
    """Turn cell i if its time has come: write the direction of its motility, times its speed with `speed_at_turns`."""
    if chance[i] * value(cells, types, PERSISTENCE, NO_INDEX, i) > box.dt_mechanics:
        return
    who = cells.identity[ID, i]
    u, v = uniforms(seed, who, NO_INDEX, step, D_TURN_DIRECTION)
    nx, ny, nz = direction(u, v, box.planar or types.number[cells.whole[TYPE, i], T_PLANAR] != 0.0)
    bias = value(cells, types, BIAS, NO_INDEX, i)
    bx, by, bz = _lure(cells, types, box, density, i)
    rest = 1.0 - bias
    x, y, z = _one(bias * bx + rest * nx, bias * by + rest * ny, bias * bz + rest * nz)
    speed = value(cells, types, SPEED, NO_INDEX, i) if quirks.speed_at_turns else 1.0
    cells.real[MX, i], cells.real[MY, i], cells.real[MZ, i] = speed * x, speed * y, speed * z
