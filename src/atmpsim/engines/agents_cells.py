"""Make the first cells of an agent model, and room for more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.spec import AgentModel, Distribution
from atmpsim.engines.agents_tables import count_rows
from atmpsim.kernels.agents import rows as r

LEAST_ROOM = 256
GROWTH = 1.5  # of small populations
MANY, GROWTH_OF_MANY = 100_000, 1.1
SPRINGS = 20  # places for springs of a cell beyond those it may form by itself: attackers bring theirs


def make_cells(model: AgentModel, types: r.Types, layout: r.Layout, *, springs: bool, seed: int) -> tuple[r.Cells, int]:
    """Return the first cells, with room for more, and their number."""
    positions, kinds = _first_cells(model, seed)
    count = len(kinds)
    room = room_for(count)
    width = SPRINGS + int(np.nanmax(model.per_type("mechanics.max_attachments"))) if springs else 0
    cells = r.Cells(
        real=np.zeros((count_rows(layout), room)), whole=np.zeros((r.WHOLE_ROWS, room), np.int32),
        identity=np.full((2, room), -1, np.int64), vary=np.zeros((int(types.slot.max()) + 1, room)),
        links=np.full((room, width), -1, np.int32),
    )  # fmt: skip
    cells.identity[r.ID, :count] = np.arange(count)
    cells.real[r.X : r.Z + 1, :count] = positions.T
    cells.whole[r.TYPE, :count] = kinds
    _fill(model, types, cells, count, seed)
    return cells, count


def room_for(count: int) -> int:
    """Return how many columns to make for so many cells: some more, as they divide."""
    return max(LEAST_ROOM, int((GROWTH if count < MANY else GROWTH_OF_MANY) * count))


def _first_cells(model: AgentModel, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return positions and types: those of the list, after those at random places."""
    extra = model.cells.random_per_type
    kinds = np.repeat(np.arange(len(model.cell_types)), extra)
    draw = generator(seed, r.D_START).random((kinds.size, 3))
    lower, upper = np.array(model.domain.lower), np.array(model.domain.upper)
    places = lower + draw * (upper - lower)
    if model.domain.two_dimensional:
        places[:, 2] = 0.0
    return np.concatenate([places, model.cells.positions]), np.concatenate([kinds, model.cells.types])


def generator(seed: int, purpose: int | np.integer, stream: int = 0) -> np.random.Generator:
    """Return NumPy's generator for a purpose, a function of the seed alone."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, int(purpose) + 256 * stream], dtype=np.uint64)))


def _fill(model: AgentModel, types: r.Types, cells: r.Cells, count: int, seed: int) -> None:
    """Write volumes, behaviours and flags of the first cells: their type's, then the list's, then what is drawn."""
    kinds = cells.whole[r.TYPE, :count]
    total = np.array([t.volume.total for t in model.cell_types])[kinds]
    listed = slice(count - len(model.cells.types), count)
    wanted = total.copy()
    wanted[listed] = np.where(np.isnan(model.cells.volumes), total[listed], model.cells.volumes)
    fill_type(model, types, cells, 0, count)
    for column, behaviour in enumerate(model.cells.behaviours):
        given = model.cells.values[:, column]
        own = cells.vary[types.slot[behaviour], listed]
        own[:] = np.where(np.isnan(given), own, given)
    _vary(model, types, cells, wanted, count, seed)
    slot = types.slot[types.first[r.MOVABLE_BEHAVIOUR]]
    if slot >= 0:
        cells.whole[r.MOVABLE, :count] = cells.vary[slot, :count] > 0.5
    _fill_volumes(model, types, cells, wanted / total, 0, count)


def fill_type(model: AgentModel, types: r.Types, cells: r.Cells, begin: int, end: int) -> None:
    """Give the cells `begin` to `end`, whose type and place are set, what their type and place say."""
    new = slice(begin, end)
    kinds = cells.whole[r.TYPE, new]
    for b, slot in enumerate(types.slot):
        if slot >= 0:
            cells.vary[slot, new] = types.base[kinds, b]
    for row in (r.TARGET, r.VOXEL, r.PREY, r.AIM, r.MATE):
        cells.whole[row, new] = -1
    cells.whole[r.MOVABLE, new] = types.base[kinds, types.first[r.MOVABLE_BEHAVIOUR]] > 0.5
    cells.whole[r.MOTILE, new] = types.number[kinds, r.T_MOTILE]
    lower, upper = (np.array(side)[:, None] for side in (model.domain.lower, model.domain.upper))
    places = cells.real[r.X : r.Z + 1, new]
    cells.whole[r.OUTSIDE, new] = np.any((places < lower) | (places > upper), axis=0)
    cells.real[r.DEATH, new] = np.nan
    _fill_volumes(model, types, cells, np.ones(end - begin), begin, end)


def _vary(
    model: AgentModel, types: r.Types, cells: r.Cells, volumes: NDArray[np.float64], count: int, seed: int
) -> None:
    """Draw what varies between the first cells of a type."""
    kinds = cells.whole[r.TYPE, :count]
    for kind in model.cell_types:
        mine = np.flatnonzero(kinds == kind.id)
        for stream, one in enumerate(kind.distributions):
            drawn = _draw(one, mine.size, generator(seed, r.D_START, 1 + 64 * kind.id + stream))
            if one.behaviour < 0:
                volumes[mine] = drawn
            else:
                cells.vary[types.slot[one.behaviour], mine] = drawn


def _draw(one: Distribution, size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return numbers from a distribution; those beyond its bounds are drawn again."""
    a, b = one.parameters
    if one.kind == "Uniform":
        return generator.uniform(a, b, size)
    if one.kind == "LogUniform":
        return np.exp(generator.uniform(np.log(a), np.log(b), size))
    found = np.full(size, np.nan)
    while np.isnan(found).any():
        missing = np.flatnonzero(np.isnan(found))
        drawn = generator.normal(a, b, missing.size)
        if one.kind != "Normal":
            drawn = np.exp(drawn) if one.kind == "LogNormal" else 10.0**drawn
        keep = (drawn >= one.lower) & (drawn <= one.upper)
        found[missing[keep]] = drawn[keep]
    return found


def _fill_volumes(
    model: AgentModel, types: r.Types, cells: r.Cells, scale: NDArray[np.float64], begin: int, end: int
) -> None:
    """Write volumes; a volume of a cell's own scales all its parts and targets."""
    real, number = cells.real[:, begin:end], types.number[cells.whole[r.TYPE, begin:end]]
    volume = [t.volume for t in model.cell_types]
    kinds = cells.whole[r.TYPE, begin:end]
    total = np.array([v.total for v in volume])[kinds] * scale
    nuclear = np.array([v.nuclear for v in volume])[kinds] * scale
    wet = number[:, r.T_FLUID_FRACTION]
    real[r.TOTAL], real[r.NUCLEAR], real[r.FLUID] = total, nuclear, wet * total
    real[r.NUCLEAR_SOLID] = real[r.TARGET_NUCLEAR_SOLID] = (1.0 - wet) * nuclear
    real[r.CYTOPLASMIC_SOLID] = real[r.TARGET_CYTOPLASMIC_SOLID] = (1.0 - wet) * (total - nuclear)
    real[r.TARGET_FLUID_FRACTION], real[r.TARGET_RATIO] = wet, number[:, r.T_RATIO]
    real[r.FLUID_RATE], real[r.NUCLEAR_RATE] = number[:, r.T_FLUID_RATE], number[:, r.T_NUCLEAR_RATE]
    real[r.CYTOPLASMIC_RATE] = number[:, r.T_CYTOPLASMIC_RATE]
    real[r.CALCIFICATION_RATE] = number[:, r.T_CALCIFICATION_RATE]
    real[r.CALCIFIED] = np.array([v.calcified_fraction for v in volume])[kinds]
    real[r.RUPTURE_VOLUME] = number[:, r.T_RUPTURE] * total


def with_room(cells: r.Cells, room: int) -> r.Cells:
    """Return the same cells in arrays with more room."""
    have = cells.real.shape[1]
    wider = {}
    for name in ("real", "whole", "identity", "vary"):
        old = getattr(cells, name)
        new = np.zeros((old.shape[0], room), old.dtype)
        new[:, :have] = old
        wider[name] = new
    links = np.full((room, cells.links.shape[1]), -1, np.int32)
    links[:have] = cells.links
    return r.Cells(**wider, links=links)
