"""Other first cells than the file's: so many of each type, or only those in a window around the middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from atmpsim.agents.face import first_counts
from atmpsim.agents.settable import words
from atmpsim.agents.spec import AgentModel, InitialCells
from atmpsim.errors import ModelError

MOST_CELLS = 1e8  # at the start; what memory holds is fewer, but these must be made before it is asked


def with_start(model: AgentModel, start: Mapping[str, float], *, seed: int, where: str) -> AgentModel:
    """Return a model that starts with other numbers of cells, or amounts of substrates.

    Cells of a type of which there are too many leave at random; types of which there are too few take the free
    places, at random, then random points of the domain. An amount of a substrate is spread evenly.

    Raises
    ------
    ModelError
        If a number of cells is not whole, or there would be far too many.
    """
    types, substrates = words(model)
    volume = float(np.prod(model.domain.shape)) * model.domain.voxel_volume
    fields = tuple(
        replace(s, initial=start[name] / volume) if name in start else s
        for name, s in zip(substrates, model.substrates, strict=True)
    )
    wanted = first_counts(model)
    for k, name in enumerate(types):
        if name in start:
            least = model.cells.random_per_type
            if start[name] != round(start[name]) or start[name] < least:
                raise ModelError(where=f"{where} {name}", found=f"{start[name]:g} cell",
                                 expected=f"a whole number of cells, at least {least}")  # fmt: skip
            wanted[k] = start[name]
    if wanted.sum() > MOST_CELLS:
        raise ModelError(where=where, found=f"{wanted.sum():.15g} cells", expected=f"at most {MOST_CELLS:g}")
    model = replace(model, substrates=fields)
    if np.array_equal(wanted, first_counts(model)):
        return model
    return replace(model, cells=_recast(model, wanted.astype(np.int64) - model.cells.random_per_type, seed))


def _recast(model: AgentModel, wanted: np.ndarray, seed: int) -> InitialCells:
    """Return listed cells of which so many are of each type."""
    cells = model.cells
    draw = np.random.Generator(np.random.Philox(key=[seed, 0x5EED]))
    free, short = [], []
    for k, number in enumerate(wanted):
        mine = np.flatnonzero(cells.types == k)
        free.append(draw.permutation(mine)[: max(mine.size - number, 0)])
        short += [k] * max(int(number) - mine.size, 0)
    places = draw.permutation(np.concatenate(free))
    taken = places[: len(short)]
    types, volumes, values = cells.types.copy(), cells.volumes.copy(), cells.values.copy()
    types[taken], volumes[taken], values[taken] = short[: taken.size], np.nan, np.nan
    stay = np.setdiff1d(np.arange(types.size), places[taken.size :])
    more = np.array(short[taken.size :], dtype=np.int64)
    new = draw.uniform(model.domain.lower, model.domain.upper, (more.size, 3))
    if model.domain.two_dimensional:
        new[:, 2] = 0.0
    blank = np.full(more.size, np.nan)
    return replace(
        cells, positions=np.concatenate([cells.positions[stay], new]), types=np.concatenate([types[stay], more]),
        volumes=np.concatenate([volumes[stay], blank]),
        values=np.concatenate([values[stay], np.full((more.size, values.shape[1]), np.nan)]),
    )  # fmt: skip


def windowed(model: AgentModel, size: Sequence[float], *, where: str) -> AgentModel:
    """Return the part of a model in a window around the middle of its domain, whose edges are whole voxels.

    Parameters
    ----------
    size
        Widths along x, y (and z), µm; they are rounded up to voxels.

    Raises
    ------
    ModelError
        If the window is larger than the domain, or holds no cell.
    """
    domain = model.domain
    lower, upper = list(domain.lower), list(domain.upper)
    for axis, width in enumerate(size):
        whole = upper[axis] - lower[axis]
        if not 0.0 < width <= whole + 1e-9:
            raise ModelError(where=where, found=f"{width:g} um", expected=f"more than 0 and at most {whole:g} um")
        voxels = min(int(np.ceil(width / domain.voxel[axis] - 1e-9)), domain.shape[axis])
        middle = 0.5 * (lower[axis] + upper[axis])
        lower[axis], upper[axis] = (middle + side * 0.5 * voxels * domain.voxel[axis] for side in (-1, 1))
    cells = model.cells
    stay = np.all((cells.positions >= lower) & (cells.positions <= upper), axis=1)
    if not stay.any() and not cells.random_per_type:
        raise ModelError(where=where, found="no cell in it", expected="a window with cells")
    kept = replace(cells, positions=cells.positions[stay], types=cells.types[stay], volumes=cells.volumes[stay],
                   values=cells.values[stay])  # fmt: skip
    box = replace(domain, lower=(lower[0], lower[1], lower[2]), upper=(upper[0], upper[1], upper[2]))
    return replace(model, domain=box, cells=kept)
