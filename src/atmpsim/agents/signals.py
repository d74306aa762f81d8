"""The signals of the cell behaviour grammar: what a cell can sense, and every name a rules file may call it by.

Source: Johnson et al. 2025 Cell, doi:10.1016/j.cell.2025.06.048; the names are those of PhysiCell 1.14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class SignalKind(IntEnum):
    """What a signal measures; the numbers are those that kernels see."""

    SUBSTRATE = 0  # density in the cell's voxel; index is the substrate
    INTRACELLULAR = 1  # internalised amount / cell volume; index is the substrate
    GRADIENT = 2  # norm of the gradient; index is the substrate
    PRESSURE = 3
    VOLUME = 4  # total, µm³
    CONTACT = 5  # neighbours of one type, dead ones included; index is the type
    CONTACT_LIVE = 6
    CONTACT_DEAD = 7
    CONTACT_APOPTOTIC = 8
    CONTACT_NECROTIC = 9
    CONTACT_OTHER_DEAD = 10
    CONTACT_MEMBRANE = 11
    DAMAGE = 12
    DAMAGE_DELIVERED = 13
    ATTACKING = 14  # 0 or 1
    DEAD = 15  # 0 or 1
    ATTACK_TIME = 16  # min under attack, attackers add up
    TIME = 17  # min
    CUSTOM = 18  # index is the custom variable
    APOPTOTIC = 19  # 0 or 1
    NECROTIC = 20  # 0 or 1


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A signal: its position in `AgentModel.signals`, what it measures, and its names.

    `index` counts substrates, cell types or custom variables, after the kind; it is 0 for the others.
    """

    id: int
    kind: SignalKind
    index: int = 0
    name: str
    synonyms: tuple[str, ...] = ()


_SUBSTRATE_NAMES = (
    (SignalKind.SUBSTRATE, ("{}",)),
    (SignalKind.INTRACELLULAR, ("intracellular {}", "internalized {}")),
    (SignalKind.GRADIENT, ("{} gradient", "grad({})", "gradient of {}")),
)
_TYPE_NAMES = ((SignalKind.CONTACT, ("contact with {name}", "contact with cell type {id}")),)
_CUSTOM_NAMES = ("custom:{name}", "custom: {name}", "custom {id}")
_PLAIN_NAMES = (
    (SignalKind.PRESSURE, ("pressure",)),
    (SignalKind.VOLUME, ("volume",)),
    (SignalKind.CONTACT_LIVE, ("contact with live cell", "contact with live cells")),
    (SignalKind.CONTACT_DEAD, ("contact with dead cell", "contact with dead cells")),
    (SignalKind.CONTACT_APOPTOTIC, ("contact with apoptotic cell", "contact with apoptotic cells")),
    (SignalKind.CONTACT_NECROTIC, ("contact with necrotic cell", "contact with necrotic cells")),
    (SignalKind.CONTACT_OTHER_DEAD, ("contact with other dead cell", "contact with other dead cells")),
    (SignalKind.CONTACT_MEMBRANE, ("contact with basement membrane", "contact with BM")),
    (SignalKind.DAMAGE, ("damage",)),
    (SignalKind.DAMAGE_DELIVERED, ("damage delivered", "total damage delivered")),
    (SignalKind.ATTACKING, ("attacking", "is attacking")),
    (SignalKind.DEAD, ("dead", "is dead")),
    (SignalKind.ATTACK_TIME, ("total attack time",)),
    (SignalKind.TIME, ("time", "current time", "global time")),
    (SignalKind.APOPTOTIC, ("apoptotic", "is_apoptotic")),
    (SignalKind.NECROTIC, ("necrotic", "is_necrotic")),
)


def signals_of(substrates: Sequence[str], types: Sequence[str], custom: Sequence[str]) -> tuple[Signal, ...]:
    """Return every signal of a model with these substrates, cell types and custom variables.

    Examples
    --------
    >>> found = signals_of(["oxygen"], ["tumour"], [])
    >>> found[2].name, found[2].synonyms
    ('oxygen gradient', ('grad(oxygen)', 'gradient of oxygen'))
    """
    rows: list[tuple[SignalKind, int, list[str]]] = []
    for kind, patterns in _SUBSTRATE_NAMES:
        rows += [(kind, i, [p.format(name) for p in patterns]) for i, name in enumerate(substrates)]
    rows += [(kind, 0, list(names)) for kind, names in _PLAIN_NAMES]
    for kind, patterns in _TYPE_NAMES:
        rows += [(kind, i, [p.format(name=name, id=i) for p in patterns]) for i, name in enumerate(types)]
    rows += [
        (SignalKind.CUSTOM, i, [p.format(name=name, id=i) for p in _CUSTOM_NAMES]) for i, name in enumerate(custom)
    ]
    return tuple(
        Signal(id=n, kind=kind, index=i, name=names[0], synonyms=tuple(names[1:]))
        for n, (kind, i, names) in enumerate(rows)
    )


def signal_ids(signals: Sequence[Signal]) -> dict[str, int]:
    """Return the id of each signal by every name it has."""
    return {name: s.id for s in signals for name in (s.name, *s.synonyms)}
