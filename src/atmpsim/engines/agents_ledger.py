"""Keep the books of the fields: what decayed, and what came from cells, borders, bursts and doses.

Amounts are sums over voxels. With implicit steps the kernel books decay, cells and border step by step; with split
steps sweeps leave sums that are folded in here, and what crosses a held border is what closes the balance.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.spec import AgentModel
from atmpsim.kernels.agents.advance import Fields
from atmpsim.kernels.agents.implicit_fields import CHANGE, DECAYED, FROM_BORDER, FROM_CELLS
from atmpsim.kernels.agents.therapy import FROM_BURSTS, FROM_DOSES, LEDGER

__all__ = [
    "CHANGE", "DECAYED", "FROM_BORDER", "FROM_BURSTS", "FROM_CELLS", "FROM_DOSES", "LEDGER", "add_dose", "balance",
    "fold", "imbalance", "totals",
]  # fmt: skip

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def totals(fields: Fields, nx: int) -> Floats:
    """Return the amount of each substrate in the domain, whose rows have `nx` voxels before they are padded."""
    found: Floats = fields.density[..., :nx].sum(axis=(1, 2, 3)) * fields.voxel_volume
    return found


def fold(model: AgentModel, fields: Fields, dt: float) -> None:
    """Book what split steps of `dt` have left and given since the last call.

    Each direction of a step divides what is there by 1 + dt times its part of the decay rate.
    """
    directions = 2 if model.domain.two_dimensional else 3
    for s, substrate in enumerate(model.substrates):
        decayed = math.expm1(directions * math.log1p(dt * substrate.decay / directions))
        fields.ledger[s, DECAYED] += decayed * fields.left[s].sum()
        fields.ledger[s, FROM_CELLS] += fields.given[s].sum()
    fields.left[:] = fields.given[:] = 0.0


def add_dose(fields: Fields, s: int, where: tuple[Integers, Integers, Integers], amount: float) -> None:
    """Spread an amount of substrate s evenly over some voxels (z, y, x), and book it.

    What falls into held voxels leaves through them.
    """
    each = amount / (where[0].size * fields.voxel_volume)
    fields.density[(s, *where)] += each
    fields.ledger[s, FROM_DOSES] += each * where[0].size
    fields.ledger[s, FROM_BORDER] -= each * np.count_nonzero(~np.isnan(fields.fixed[(s, *where)]))


def balance(fields: Fields, now: Floats, first: Floats) -> Floats:
    """Return the books as amounts, (substrate, LEDGER), from the amounts in the domain now and at the start."""
    made = fields.ledger * fields.voxel_volume
    made[:, CHANGE] = now - first
    if fields.split:
        held = ~np.isnan(fields.fixed).all(axis=(1, 2, 3))
        rest = made[:, CHANGE] + made[:, DECAYED] - made[:, FROM_CELLS] - made[:, FROM_BURSTS] - made[:, FROM_DOSES]
        made[:, FROM_BORDER] = np.where(held, rest, 0.0)
    return made


def imbalance(books: Floats) -> Floats:
    """Return by how much books (…, LEDGER) do not balance, over the sum of their entries."""
    entries = np.abs(books).sum(axis=-1)
    supply = books[..., [FROM_CELLS, FROM_BORDER, FROM_BURSTS, FROM_DOSES]].sum(axis=-1)
    off = np.abs(books[..., CHANGE] + books[..., DECAYED] - supply)
    return np.divide(off, entries, out=np.zeros_like(off), where=entries > 0.0)
