"""Diffusion, decay and exchange of fields in one unsplit implicit step, by conjugate gradients from the last field.

With W the volume of a voxel, each step solves (1 + dt decay + dt loss) p - dt D laplace p = p_old + dt gain, with the
losses of the cells on the diagonal: the steady state has no splitting error, and no step is too long to be stable.

Where voxels are strongly coupled, a coarse grid takes part in each iteration.

Source: Hestenes, Stiefel 1952 J Res Natl Bur Stand 49:409, doi:10.6028/jres.049.044.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atmpsim.kernels.agents.barrier import meet, share
from atmpsim.kernels.agents.coarse import BLOCK, DEEP, Coarse, correct, factorise
from atmpsim.kernels.agents.compiled import entry, inner
from atmpsim.kernels.agents.gradients import apply_deep, apply_flat, go_along, scaled_square, sum_free, turn

MAX_ITERATIONS = 2000
CHANGE, DECAYED, FROM_CELLS, FROM_BORDER = range(4)  # columns of the ledger
# columns of the sums of each row: at the end of a step, and of the scaled squares of the residual
TOTAL, GAIN, LOSS, INFLOW, OUTFLOW, SQUARES = range(6)
SUMS = 6
NOTHING = 1e-200  # squares of a residual below which a field is as it should be: their quotients are no numbers
TRUST = 0.01  # beyond which a field is not scaled to balance


class Solver(NamedTuple):
    """Work arrays (z, y, x) of one solve, and what it needs of every substrate.

    `coupling` is (substrate, direction): D / dx^2, 1/min; `sums` is (row, SUMS); `spent` counts iterations.
    """

    residual: NDArray[np.float64]
    search: NDArray[np.float64]
    image: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    inverse: NDArray[np.float64]
    nothing: NDArray[np.float64]  # a row of zeros, the neighbour of the outermost rows
    coupling: NDArray[np.float64]
    decay: NDArray[np.float64]
    sums: NDArray[np.float64]
    coarse: Coarse
    product: NDArray[np.float64]  # (1,) of the coarse residual and its correction
    spent: NDArray[np.int64]
    tolerance: float


@inner
def _apply_row(p, k, j, solver, cx, cy, cz):
    """Apply the operator to row (k, j) of `p` into `solver.image`; return its product with the row."""
    nz, ny = p.shape[0], p.shape[1]
    row, out, diagonal = p[k, j].ctypes.data, solver.image[k, j].ctypes.data, solver.diagonal[k, j].ctypes.data
    blocks, nothing = solver.coarse.shape[0], solver.nothing.ctypes.data
    below = p[k, j - 1].ctypes.data if j > 0 else nothing
    above = p[k, j + 1].ctypes.data if j + 1 < ny else nothing
    if nz == 1:
        return apply_flat(row, out, diagonal, blocks, below, above, cx, cy)
    before = p[k - 1, j].ctypes.data if k > 0 else nothing
    after = p[k + 1, j].ctypes.data if k + 1 < nz else nothing
    return apply_deep(row, out, diagonal, blocks, below, above, before, after, cx, cy, cz)


@inner
def _start_row(x, loss, gain, fixed, diagonal, inverse, residual, plain, dt, nx):
    """Write the diagonal and the right-hand side of one row, hold what is held.

    `plain` is the diagonal without the couplings that a border lacks, and without cells.
    """
    for i in range(nx):
        rhs = x[i] + dt * gain[i]
        d = diagonal[i] + plain + dt * loss[i]
        free = 1.0
        if fixed[i] == fixed[i]:
            x[i], free, rhs = fixed[i], 0.0, 0.0
        diagonal[i] = d
        inverse[i] = free / d
        residual[i] = rhs


@inner
def _residual_row(residual, image, search, nx):
    for i in range(nx):
        residual[i] -= image[i]
        search[i] = 0.0


@inner
def _square(solver, k, j):
    """Return the scaled square of a row of the residual."""
    return scaled_square(solver.residual[k, j].ctypes.data, solver.inverse[k, j].ctypes.data, solver.coarse.shape[0])


@inner
def _sum_blocks(values, solver, k, j, parts):
    """Write the sums of a row's free voxels, block by block."""
    sum_free(values.ctypes.data, solver.inverse[k, j].ctypes.data, parts.ctypes.data, solver.coarse.shape[0])


@inner
def _edges(solver, s, dt, k, j, nz, ny, nx):
    """Write the couplings that a voxel has into its diagonal: fewer at the border, through which nothing flows."""
    cx, cy, cz = dt * solver.coupling[s, 0], dt * solver.coupling[s, 1], dt * solver.coupling[s, 2]
    rest = ((j > 0) + (j + 1 < ny)) * cy + ((k > 0) + (k + 1 < nz)) * cz
    row = solver.diagonal[k, j]
    for i in range(nx):
        row[i] = 2.0 * cx + rest
    row[0] -= cx
    row[nx - 1] -= cx


@inner
def _prepare(solver, deep, ny, thread, threads, barrier):
    """Return the product of the residual and its correction, and leave the coarse part of that in the blocks."""
    meet(barrier, threads)
    if not deep:
        return _total(solver.sums, SQUARES)
    if thread == 0:
        solver.product[0] = correct(solver.coarse, ny)
    meet(barrier, threads)
    return _total(solver.sums, SQUARES) + solver.product[0]


@inner
def _turn(solver, ny, beta, begin, end):
    """Write the next search direction into this thread's rows."""
    coarse = solver.coarse
    across, down = coarse.shape[0], coarse.shape[1]
    for row in range(begin, end):
        k, j = row // ny, row % ny
        first = (k // BLOCK * down + j // BLOCK) * across
        turn(
            solver.search[k, j].ctypes.data, solver.residual[k, j].ctypes.data, solver.inverse[k, j].ctypes.data,
            coarse.value[first:].ctypes.data, across, beta,
        )  # fmt: skip


@inner
def _total(sums, column):
    total = 0.0
    for row in range(sums.shape[0]):
        total += sums[row, column]
    return total


@entry
def implicit_step(x, loss, gain, fixed, solver, s, dt, nx, ledger, thread, threads, barrier):
    """Advance the field of substrate s by dt.

    Parameters
    ----------
    x, loss, gain, fixed
        (z, y, x), rows padded beyond `nx`: density; loss (1/min) and gain (density/min) of the cells; held density or
        NaN.
    ledger
        (4,): change, decay, from cells, from held voxels, in density times voxels; added to.
    """
    nz, ny = x.shape[0], x.shape[1]
    rows = nz * ny
    begin, end = share(rows, thread, threads, 1)
    cx, cy, cz = dt * solver.coupling[s, 0], dt * solver.coupling[s, 1], dt * solver.coupling[s, 2]
    sums = solver.sums
    coarse = solver.coarse
    deep = cx + cy + cz > DEEP
    for row in range(begin, end):
        k, j = row // ny, row % ny
        _edges(solver, s, dt, k, j, nz, ny, nx)
        _start_row(
            x[k, j], loss[k, j], gain[k, j], fixed[k, j], solver.diagonal[k, j], solver.inverse[k, j],
            solver.residual[k, j], 1.0 + dt * solver.decay[s], dt, nx,
        )  # fmt: skip
        sums[row, 0] = _square(solver, k, j)
        sums[row, 2] = _sum_free(x[k, j], fixed[k, j], nx)
        if deep:
            _sum_blocks(solver.diagonal[k, j], solver, k, j, coarse.parts[row])
    meet(barrier, threads)
    if thread == 0:
        coarse.value[:] = 0.0
        if deep:
            factorise(coarse, s, ny, cx, cy, cz)
    meet(barrier, threads)
    for row in range(begin, end):
        k, j = row // ny, row % ny
        _apply_row(x, k, j, solver, cx, cy, cz)
        _residual_row(solver.residual[k, j], solver.image[k, j], solver.search[k, j], nx)
        sums[row, SQUARES] = _square(solver, k, j)
        if deep:
            _sum_blocks(solver.residual[k, j], solver, k, j, coarse.parts[row])
    before, limit = _total(sums, 2), max(solver.tolerance**2 * _total(sums, 0), NOTHING)
    size = _prepare(solver, deep, ny, thread, threads, barrier)
    fine = _total(sums, SQUARES)
    beta = 0.0
    iterations = 0
    while fine > limit and iterations < MAX_ITERATIONS:
        _turn(solver, ny, beta, begin, end)
        meet(barrier, threads)
        for row in range(begin, end):
            sums[row, 0] = _apply_row(solver.search, row // ny, row % ny, solver, cx, cy, cz)
        meet(barrier, threads)
        alpha = size / _total(sums, 0)
        for row in range(begin, end):
            k, j = row // ny, row % ny
            sums[row, SQUARES] = go_along(
                x[k, j].ctypes.data, solver.residual[k, j].ctypes.data, solver.search[k, j].ctypes.data,
                solver.image[k, j].ctypes.data, solver.inverse[k, j].ctypes.data, coarse.parts[row].ctypes.data,
                coarse.shape[0], alpha,
            )  # fmt: skip
        smaller = _prepare(solver, deep, ny, thread, threads, barrier)
        fine, beta, size = _total(sums, SQUARES), smaller / size, smaller
        iterations += 1
        meet(barrier, threads)
    _book(x, loss, gain, fixed, solver, dt, cx, cy, cz, nx, begin, end)
    meet(barrier, threads)
    total, gained, lost = _total(sums, TOTAL), dt * _total(sums, GAIN), dt * _total(sums, LOSS)
    inflow, outflow = _total(sums, INFLOW), _total(sums, OUTFLOW)
    scale = _to_balance(before + gained + inflow, total * (1.0 + dt * solver.decay[s]) + lost + outflow)
    for row in range(begin, end):
        _scale_free(x[row // ny, row % ny], fixed[row // ny, row % ny], scale, nx)
    if thread == 0:
        solver.spent[s] += iterations
        ledger[CHANGE] += scale * total - before
        ledger[DECAYED] += scale * total * dt * solver.decay[s]
        ledger[FROM_CELLS] += gained - scale * lost
        ledger[FROM_BORDER] += inflow - scale * outflow
    meet(barrier, threads)


@inner
def _to_balance(supply, demand):
    """Return what to multiply the field by so that nothing is lost to the solver's tolerance."""
    if demand > 0.0 and abs(supply - demand) < TRUST * demand:
        return supply / demand
    return 1.0


@inner
def _scale_free(x, fixed, scale, nx):
    for i in range(nx):
        if fixed[i] != fixed[i]:
            x[i] *= scale


@inner
def _sum_free(x, fixed, nx):
    total = 0.0
    for i in range(nx):
        if fixed[i] != fixed[i]:
            total += x[i]
    return total


@inner
def _book(x, loss, gain, fixed, solver, dt, cx, cy, cz, nx, begin, end):
    """Write, for each row, what is there, what cells gave and took, and what came from and went to held voxels."""
    nz, ny = x.shape[0], x.shape[1]
    for row in range(begin, end):
        k, j = row // ny, row % ny
        line, held = x[k, j], fixed[k, j]
        total = gains = losses = inflow = outflow = 0.0
        for i in range(nx):
            if held[i] == held[i]:
                continue
            v = line[i]
            total += v
            gains += gain[k, j, i]
            losses += loss[k, j, i] * v
            if i > 0 and held[i - 1] == held[i - 1]:
                inflow, outflow = inflow + cx * line[i - 1], outflow + cx * v
            if i + 1 < nx and held[i + 1] == held[i + 1]:
                inflow, outflow = inflow + cx * line[i + 1], outflow + cx * v
            for side in (-1, 1):
                if 0 <= j + side < ny and fixed[k, j + side, i] == fixed[k, j + side, i]:
                    inflow, outflow = inflow + cy * x[k, j + side, i], outflow + cy * v
                if 0 <= k + side < nz and fixed[k + side, j, i] == fixed[k + side, j, i]:
                    inflow, outflow = inflow + cz * x[k + side, j, i], outflow + cz * v
        sums = solver.sums
        sums[row, TOTAL], sums[row, GAIN], sums[row, LOSS] = total, gains, losses
        sums[row, INFLOW], sums[row, OUTFLOW] = inflow, outflow
