"""The behaviours of the cell behaviour grammar: what a rule can change, and every name a file may call it by.

Source: Johnson et al. 2025 Cell, doi:10.1016/j.cell.2025.06.048; the names are those of PhysiCell 1.14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class BehaviourKind(IntEnum):
    """What a behaviour sets; the numbers are those that kernels see."""

    SECRETION = 0  # 1/min; index is the substrate, here and in the three that follow
    SECRETION_TARGET = 1  # density
    UPTAKE = 2  # 1/min
    EXPORT = 3  # amount/min
    CHEMOTACTIC_RESPONSE = 4  # index is the substrate
    PHASE_EXIT = 5  # 1/min; index is the cycle phase, 0 to 5
    APOPTOSIS = 6  # 1/min
    NECROSIS = 7  # 1/min
    SPEED = 8  # µm/min
    BIAS = 9  # 0 to 1
    PERSISTENCE = 10  # min
    ADHESION = 11  # µm/min
    REPULSION = 12  # µm/min
    ELASTIC_CONSTANT = 13  # 1/min
    ADHESION_DISTANCE = 14  # multiple of the radius
    MEMBRANE_ADHESION = 15  # µm/min
    MEMBRANE_REPULSION = 16  # µm/min
    ADHESIVE_AFFINITY = 17  # index is the other type, here and in the six that follow
    PHAGOCYTOSE_LIVE = 18  # 1/min
    ATTACK = 19  # 1/min
    FUSE = 20  # 1/min
    TRANSFORM = 21  # 1/min
    ASYMMETRIC_DIVISION = 22  # probability
    IMMUNOGENICITY = 23  # factor
    PHAGOCYTOSE_APOPTOTIC = 24  # 1/min
    PHAGOCYTOSE_NECROTIC = 25  # 1/min
    PHAGOCYTOSE_OTHER_DEAD = 26  # 1/min
    CUSTOM = 27  # index is the custom variable
    MOVABLE = 28  # above 0.5 is true
    ATTACHMENT = 29  # 1/min
    DETACHMENT = 30  # 1/min
    MAX_ATTACHMENTS = 31
    ATTACK_DAMAGE = 32  # damage/min
    ATTACK_DURATION = 33  # min
    DAMAGE_RATE = 34  # damage/min
    DAMAGE_REPAIR = 35  # 1/min


MAY_BE_NEGATIVE = (BehaviourKind.EXPORT, BehaviourKind.CHEMOTACTIC_RESPONSE, BehaviourKind.CUSTOM)
PHASES = 6  # cycle phases that have a behaviour of their own


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """A behaviour: its position in `AgentModel.behaviours`, what it sets, its unit and its names.

    `index` counts substrates, phases, cell types or custom variables, after the kind; it is 0 for the others.
    """

    id: int
    kind: BehaviourKind
    index: int = 0
    name: str
    unit: str
    synonyms: tuple[str, ...] = ()


_K = BehaviourKind
_Named = tuple[BehaviourKind, str, tuple[str, ...]]
_SUBSTRATE_NAMES: tuple[_Named, ...] = (
    (_K.SECRETION, "1/min", ("{} secretion",)),
    (_K.SECRETION_TARGET, "density", ("{} secretion target", "{} secretion saturation density")),
    (_K.UPTAKE, "1/min", ("{} uptake",)),
    (_K.EXPORT, "amount/min", ("{} export",)),
    (_K.CHEMOTACTIC_RESPONSE, "1", ("chemotactic response to {}", "chemotactic sensitivity to {}")),
)
_TYPE_NAMES: tuple[_Named, ...] = (
    (_K.ADHESIVE_AFFINITY, "1", ("adhesive affinity to {name}", "adhesive affinity to cell type {id}")),
    (_K.PHAGOCYTOSE_LIVE, "1/min", ("phagocytose {name}", "phagocytose cell type {id}", "phagocytosis of {id}")),
    (_K.ATTACK, "1/min", ("attack {name}", "attack cell type {id}")),
    (_K.FUSE, "1/min", ("fuse to {name}", "fuse to cell type {id}")),
    (_K.TRANSFORM, "1/min", ("transform to {name}", "transition to {name}",
                             "transform to cell type {id}", "transition to cell type {id}")),
    (_K.ASYMMETRIC_DIVISION, "1", ("asymmetric division to {name}",)),
    (_K.IMMUNOGENICITY, "1", ("immunogenicity to {name}", "immunogenicity to cell type {id}")),
)  # fmt: skip
_CUSTOM_NAMES = ("custom:{name}", "custom: {name}", "custom {id}")


def _eats(what: str) -> tuple[str, ...]:
    return (f"phagocytose {what} cell", f"phagocytosis of {what} cell", f"phagocytosis of {what} cells")


_PLAIN_NAMES: tuple[_Named, ...] = (
    (_K.APOPTOSIS, "1/min", ("apoptosis",)),
    (_K.NECROSIS, "1/min", ("necrosis",)),
    (_K.SPEED, "µm/min", ("migration speed",)),
    (_K.BIAS, "1", ("migration bias",)),
    (_K.PERSISTENCE, "min", ("migration persistence time",)),
    (_K.ADHESION, "µm/min", ("cell-cell adhesion",)),
    (_K.REPULSION, "µm/min", ("cell-cell repulsion",)),
    (_K.ELASTIC_CONSTANT, "1/min", ("cell-cell adhesion elastic constant",)),
    (_K.ADHESION_DISTANCE, "1", ("relative maximum adhesion distance",)),
    (_K.MEMBRANE_ADHESION, "µm/min", ("cell-BM adhesion", "cell-membrane adhesion")),
    (_K.MEMBRANE_REPULSION, "µm/min", ("cell-BM repulsion", "cell-membrane repulsion")),
    (_K.PHAGOCYTOSE_APOPTOTIC, "1/min", _eats("apoptotic")),
    (_K.PHAGOCYTOSE_NECROTIC, "1/min", _eats("necrotic")),
    (_K.PHAGOCYTOSE_OTHER_DEAD, "1/min", _eats("other dead")),
    (_K.MOVABLE, "0 or 1", ("is_movable", "movable", "is movable")),
    (_K.ATTACHMENT, "1/min", ("cell attachment rate",)),
    (_K.DETACHMENT, "1/min", ("cell detachment rate",)),
    (_K.MAX_ATTACHMENTS, "1", ("maximum number of cell attachments",)),
    (_K.ATTACK_DAMAGE, "damage/min", ("attack damage rate",)),
    (_K.ATTACK_DURATION, "min", ("attack duration",)),
    (_K.DAMAGE_RATE, "damage/min", ("damage rate",)),
    (_K.DAMAGE_REPAIR, "1/min", ("damage repair rate",)),
)


def behaviours_of(substrates: Sequence[str], types: Sequence[str], custom: Sequence[str]) -> tuple[Behaviour, ...]:
    """Return every behaviour of a model with these substrates, cell types and custom variables.

    Examples
    --------
    >>> [b.name for b in behaviours_of(["oxygen"], ["tumour"], [])][5:8]
    ['cycle entry', 'exit from cycle phase 1', 'exit from cycle phase 2']
    """
    rows: list[tuple[BehaviourKind, int, str, list[str]]] = []
    for kind, unit, patterns in _SUBSTRATE_NAMES:
        rows += [(kind, i, unit, [p.format(name) for p in patterns]) for i, name in enumerate(substrates)]
    exits = [f"exit from cycle phase {i}" for i in range(PHASES)]
    rows += [(_K.PHASE_EXIT, i, "1/min", [name] if i else ["cycle entry", name]) for i, name in enumerate(exits)]
    rows += [(kind, 0, unit, list(names)) for kind, unit, names in _PLAIN_NAMES]
    for kind, unit, patterns in _TYPE_NAMES:
        rows += [(kind, i, unit, [p.format(name=name, id=i) for p in patterns]) for i, name in enumerate(types)]
    rows += [(_K.CUSTOM, i, "", [p.format(name=name, id=i) for p in _CUSTOM_NAMES]) for i, name in enumerate(custom)]
    return tuple(
        Behaviour(id=n, kind=kind, index=i, unit=unit, name=names[0], synonyms=tuple(names[1:]))
        for n, (kind, i, unit, names) in enumerate(rows)
    )


def behaviour_ids(behaviours: Sequence[Behaviour]) -> dict[str, int]:
    """Return the id of each behaviour by every name it has."""
    return {name: b.id for b in behaviours for name in (b.name, *b.synonyms)}
