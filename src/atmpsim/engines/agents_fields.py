"""Lay out the fields of an agent model: densities, held voxels, and the systems that advance them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.spec import PHYSICELL, AgentModel
from atmpsim.kernels.agents import rows as r
from atmpsim.kernels.agents.advance import Fields
from atmpsim.kernels.agents.coarse import make_coarse
from atmpsim.kernels.agents.implicit_fields import SUMS, Solver
from atmpsim.kernels.agents.lines import LANES, ROW_GROUPS
from atmpsim.kernels.agents.split_fields import Sweeps, eliminate
from atmpsim.kernels.agents.therapy import LEDGER

IMPLICIT, SPLIT = "implicit", "physicell"
SCHEMES = (IMPLICIT, SPLIT)
TOLERANCE = 1e-6  # of the implicit solve, relative root mean square
# the outermost layer of voxels at each face, in (z, y, x), in the order of `FACES`
_LAYERS = (
    np.s_[:, :, 0], np.s_[:, :, -1], np.s_[:, 0, :], np.s_[:, -1, :], np.s_[0, :, :], np.s_[-1, :, :],
)  # fmt: skip


def held_densities(model: AgentModel) -> NDArray[np.float64]:
    """Return the densities held at the border, (substrate, z, y, x), NaN where none is.

    On edges and corners the later face counts. PhysiCell lets a face on which any substrate is held decide for all
    substrates, so that it also releases those it does not hold: so does `compatibility`.
    """
    nx, ny, nz = model.domain.shape
    fixed = np.full((len(model.substrates), nz, ny, nx), np.nan)
    exact = model.compatibility == PHYSICELL
    for face, layer in enumerate(_LAYERS[: 4 if model.domain.two_dimensional else 6]):
        values = [s.boundary[face] for s in model.substrates]
        for s, value in enumerate(values):
            if value is not None:
                fixed[s][layer] = value
            elif exact and any(v is not None for v in values):
                fixed[s][layer] = np.nan
    return fixed


def in_lines(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an array of zeros that begins with a line of the cache."""
    size = int(np.prod(shape))
    room = np.zeros(size + 8)
    begin = -room.ctypes.data % 64 // 8
    return room[begin : begin + size].reshape(shape)


def _padded(values: NDArray[np.float64], fill: float) -> NDArray[np.float64]:
    width = -values.shape[-1] % LANES
    found = in_lines((*values.shape[:-1], values.shape[-1] + width))
    found[...] = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, width)], constant_values=fill)
    return found


def make_fields(model: AgentModel, *, scheme: str, every: NDArray[np.int64]) -> Fields:
    """Return the fields at the start.

    Parameters
    ----------
    scheme
        One of SCHEMES.
    every
        Mechanics steps in one implicit step, (substrate,).
    """
    fixed = held_densities(model)
    density = np.empty_like(fixed)
    density[:] = np.array([s.initial for s in model.substrates]).reshape(-1, 1, 1, 1)
    if scheme == IMPLICIT:
        density = np.where(np.isnan(fixed), density, fixed)
    signals = [model.signals[rule.signal] for rule in model.rules]
    wanted = np.zeros(len(fixed), dtype=np.uint8)
    wanted[[s.index for s in signals if s.kind == r.S_GRADIENT]] = 1
    density, fixed = _padded(density, 0.0), _padded(fixed, np.nan)
    split = scheme == SPLIT
    booked = density[0].size if split else 1
    # with cells acting one by one there is no map to hold the held voxels: a map of held voxels alone does
    factor, shift = in_lines(fixed.shape), in_lines(fixed.shape)
    if split:
        factor[...], shift[...] = np.isnan(fixed), np.nan_to_num(fixed, nan=0.0)
    return Fields(
        density=density, fixed=fixed, factor=factor, shift=shift, mapped=np.ones(len(fixed), np.uint8),
        slopes=np.zeros((len(fixed), density[:1].size)), wanted=wanted, every=every,
        ledger=np.zeros((len(fixed), LEDGER)), left=np.zeros((len(fixed), booked)),
        given=np.zeros((len(fixed), booked)), split=split,
        substeps=round(model.steps.mechanics / model.steps.diffusion) if split else 0,
        voxel_volume=model.domain.voxel_volume,
    )  # fmt: skip


def make_sweeps(model: AgentModel, fixed: NDArray[np.float64], *, threads: int) -> Sweeps:
    """Return the eliminated systems of the split scheme, and the held voxels row by row.

    PhysiCell takes the voxel's length along x for all directions: so does `compatibility`.
    """
    shape, dt = model.domain.shape, model.steps.diffusion
    directions = 2 if model.domain.two_dimensional else 3
    size = np.array(model.domain.voxel)
    if model.compatibility == PHYSICELL:
        size[:] = size[0]
    count = len(model.substrates)
    longest = max(*shape, fixed.shape[-1])
    pivot, ratio, upper = (np.zeros((count, 3, longest)) for _ in range(3))
    for s, substrate in enumerate(model.substrates):
        for d in range(directions):
            coupling = dt * substrate.diffusion / size[d] ** 2
            found = eliminate(shape[d], coupling, dt * substrate.decay / directions)
            pivot[s, d, : shape[d]], upper[s, d, : shape[d]] = found
            ratio[s, d] = coupling * pivot[s, d]
    rows = fixed.reshape(count, -1, fixed.shape[-1])
    held = ~np.isnan(rows)
    start = np.zeros((count, rows.shape[1] + 1), dtype=np.int64)
    totals = np.cumsum(held.sum(axis=2).ravel()).reshape(count, -1)
    start[:, 1:] = totals
    start[1:, 0] = totals[:-1, -1]
    return Sweeps(
        pivot=pivot, ratio=ratio, upper=upper, held_start=start,
        held_place=np.nonzero(held.reshape(count, rows[:1].size))[1].astype(np.uint64),
        held_value=rows[held], moves=np.ones(count, np.uint8),
        scratch=np.zeros((threads, ROW_GROUPS * LANES * fixed.shape[-1])),
    )  # fmt: skip


def make_solver(model: AgentModel, fixed: NDArray[np.float64]) -> Solver:
    """Return the work arrays of the implicit scheme for fields held as `fixed`, (substrate, z, y, x)."""
    shape = fixed.shape[1:]
    size = np.array(model.domain.voxel)
    diffusion = np.array([s.diffusion for s in model.substrates])
    coupling = diffusion[:, None] / size**2
    if model.domain.two_dimensional:
        coupling[:, 2] = 0.0
    return Solver(
        residual=in_lines(shape), search=in_lines(shape), image=in_lines(shape), diagonal=in_lines(shape),
        inverse=in_lines(shape), nothing=np.zeros(shape[2]), coupling=coupling,
        decay=np.array([s.decay for s in model.substrates]), sums=np.zeros((shape[0] * shape[1], SUMS)),
        coarse=make_coarse(fixed, min(model.domain.shape[0], shape[2])), product=np.zeros(1),
        spent=np.zeros(len(diffusion), np.int64), tolerance=TOLERANCE,
    )  # fmt: skip
