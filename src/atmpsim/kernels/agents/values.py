"""The value of a behaviour in a cell: its own where cells of a type differ, else that of its type."""

from __future__ import annotations

from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.rows import TYPE


@inner
def value(cells, types, kind, index, i):
    """Return the behaviour of a kind (and substrate, type or phase) in cell i."""
    b = types.first[kind] + index
    slot = types.slot[b]
    if slot >= 0:
        return cells.vary[slot, i]
    return types.base[cells.whole[TYPE, i], b]


@inner
def set_value(cells, types, kind, index, i, new):
    """Set a behaviour that differs between cells; a behaviour that does not is left alone."""
    slot = types.slot[types.first[kind] + index]
    if slot >= 0:
        cells.vary[slot, i] = new
