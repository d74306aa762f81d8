"""What viruses and carriers do inside cells in a phenotype step: infect, replicate, wait, burst.

A cell's clock counts the stages of a waiting time that it has passed; the number passed in a step is a Poisson
number, so that the time is the sum of the stages whatever the step. The meaning of every number is that of the
extension of agent models.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atmpsim.kernels.agents.compiled import entry, inner
from atmpsim.kernels.agents.implicit_fields import FROM_BORDER
from atmpsim.kernels.agents.phenotype import transform
from atmpsim.kernels.agents.rows import (
    D_BURST,
    D_CLOCK,
    D_INFECT,
    FATE,
    ID,
    LIVE,
    OUTSIDE,
    REMOVED,
    STATE,
    TYPE,
    VOXEL,
)  # fmt: skip
from atmpsim.kernels.philox import exponential, poisson, uniforms

LINEAR, EXPONENTIAL = range(2)
FIXED, POISSON, GEOMETRIC, INTERNALISED = range(4)
# columns of the ledger after those of the implicit scheme
FROM_BURSTS, FROM_DOSES = range(4, 6)
LEDGER = 6


class Therapy(NamedTuple):
    """The rows of an extension, as numbers.

    Columns: `infection` type, substrate, new type, probability, inhibitor, its half; `clock` type, stages, mean, new
    type; `replication` type, substrate, law, rate, capacity; `burst` type, substrate, amount, size.
    """

    infection: NDArray[np.float64]
    clock: NDArray[np.float64]
    replication: NDArray[np.float64]
    burst: NDArray[np.float64]


@inner
def _infect(cells, types, layout, quirks, rows, density, seed, step, i):
    """Turn cell i by what it took up since the last step."""
    real, whole = cells.real, cells.whole
    for r in range(rows.shape[0]):
        if int(rows[r, 0]) != whole[TYPE, i]:
            continue
        s = int(rows[r, 1])
        taken = max(real[layout.inside + s, i] - real[layout.seen + s, i], 0.0)
        p = rows[r, 3]
        inhibitor = int(rows[r, 4])
        if inhibitor >= 0 and whole[VOXEL, i] >= 0:
            p /= 1.0 + max(density[inhibitor, whole[VOXEL, i]], 0.0) / rows[r, 5]
        if taken <= 0.0 or p <= 0.0:
            continue
        chance = 1.0 if p >= 1.0 else -math.expm1(taken * math.log1p(-p))
        if uniforms(seed, cells.identity[ID, i], r, step, D_INFECT)[0] < chance:
            transform(cells, types, layout, quirks, i, int(rows[r, 2]))
            real[layout.clock, i] = 0.0
            return


@inner
def _replicate(cells, layout, rows, dt, i):
    """Let what is inside cell i grow."""
    real = cells.real
    for r in range(rows.shape[0]):
        if int(rows[r, 0]) == cells.whole[TYPE, i]:
            row = layout.inside + int(rows[r, 1])
            n = max(real[row, i], 1.0)
            grown = n + rows[r, 3] * dt if int(rows[r, 2]) == LINEAR else n * math.exp(rows[r, 3] * dt)
            real[row, i] = max(n, min(grown, rows[r, 4]))


@inner
def _burst(cells, layout, rows, density, fixed, ledger, voxel_volume, seed, step, i):
    """Give what cell i releases to its voxel, and book it; a held voxel passes it on to the border."""
    for r in range(rows.shape[0]):
        if int(rows[r, 0]) != cells.whole[TYPE, i] or cells.whole[VOXEL, i] < 0:
            continue
        s, amount, size = int(rows[r, 1]), rows[r, 2], int(rows[r, 3])
        if size == POISSON:
            amount = float(poisson(amount, seed, cells.identity[ID, i], step, D_BURST))
        elif size == GEOMETRIC:
            waited = exponential(seed, cells.identity[ID, i], r, step, D_BURST)
            amount = math.floor(waited / math.log1p(1.0 / amount)) if amount > 0.0 else 0.0
        elif size == INTERNALISED:
            amount *= max(cells.real[layout.inside + s, i], 0.0)
        v = cells.whole[VOXEL, i]
        given = amount / voxel_volume
        density[s, v] += given
        ledger[s, FROM_BURSTS] += given
        if not np.isnan(fixed[s, v]):
            ledger[s, FROM_BORDER] -= given


@inner
def _tick(cells, types, layout, quirks, therapy, density, fixed, ledger, voxel_volume, dt, seed, step, i):
    """Advance the clock of cell i; at its end the cell changes type, or bursts and is removed."""
    real, whole, rows = cells.real, cells.whole, therapy.clock
    for r in range(rows.shape[0]):
        if int(rows[r, 0]) != whole[TYPE, i]:
            continue
        stages, mean = rows[r, 1], rows[r, 2]
        if stages == 0.0:
            real[layout.clock, i] += dt
            over = real[layout.clock, i] >= mean - 0.5 * dt
        else:
            passed = poisson(dt * stages / mean, seed, cells.identity[ID, i], step, D_CLOCK)
            real[layout.clock, i] += passed
            over = real[layout.clock, i] >= stages
        if not over:
            return
        if rows[r, 3] >= 0.0:
            transform(cells, types, layout, quirks, i, int(rows[r, 3]))
            real[layout.clock, i] = 0.0
        else:
            _burst(cells, layout, therapy.burst, density, fixed, ledger, voxel_volume, seed, step, i)
            whole[FATE, i] = REMOVED
        return


@entry
def therapy_step(cells, count, types, layout, quirks, therapy, density, fixed, ledger, voxel_volume, dt, seed, step):
    """Let viruses act in all living cells for a phenotype step `dt`. For one thread: bursts share voxels.

    Parameters
    ----------
    density, fixed
        (substrate, voxel); bursts add to the density.
    ledger
        (substrate, LEDGER), in density times voxels; added to.
    """
    real, whole = cells.real, cells.whole
    for i in range(count):
        if whole[STATE, i] == LIVE and not whole[OUTSIDE, i] and whole[FATE, i] != REMOVED:
            _infect(cells, types, layout, quirks, therapy.infection, density, seed, step, i)
            _replicate(cells, layout, therapy.replication, dt, i)
            _tick(cells, types, layout, quirks, therapy, density, fixed, ledger, voxel_volume, dt, seed, step, i)
        if layout.inside >= 0:
            for s in range(layout.substrates):
                real[layout.seen + s, i] = real[layout.inside + s, i]
