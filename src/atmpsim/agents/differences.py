"""Say where a model as written and PhysiCell 1.14 differ: artefacts of that program that this file would meet.

With `compatibility = "physicell-1.14"` most of them are part of the model; a few are never copied.
"""

from __future__ import annotations

import numpy as np

from atmpsim.agents.behaviours import BehaviourKind
from atmpsim.agents.spec import PHYSICELL, AgentModel
from atmpsim.agents.values import behaviour_values

K = BehaviourKind


def warnings(model: AgentModel) -> tuple[str, ...]:
    """Return one sentence for each difference between this model and PhysiCell 1.14, the file's own notes first."""
    native = () if model.compatibility == PHYSICELL else _artefacts(model)
    return (*model.notes, *(text for holds, text in (*native, *_never_copied(model)) if holds))


def _artefacts(model: AgentModel) -> tuple[tuple[bool, str], ...]:
    """Return what `compatibility` would switch on."""
    dx, dy, dz = model.domain.voxel
    uneven = dy != dx or (dz != dx and not model.domain.two_dimensional)
    divides, attacks = _can(model, K.PHASE_EXIT), _can(model, K.ATTACK)
    fixed = K.MOVABLE in _varying_kinds(model)
    return (
        (True, "fields are solved by one implicit step in all directions; PhysiCell steps each direction by itself"),
        (uneven, "voxels are not cubes: PhysiCell diffuses with dx in every direction"),
        (_releases(model), "where two faces meet, PhysiCell's later face releases substrates that it does not hold"),
        (divides, "division keeps the centre of mass; PhysiCell moves it, and less far in two dimensions"),
        (divides and attacks, "a daughter attacks nobody; in PhysiCell she takes over her mother's target"),
        (divides and fixed, "a daughter of an immovable cell is immovable; in PhysiCell she moves"),
        (_can(model, K.TRANSFORM),
         "a transformed cell has all of its new type's rates and keeps its damage; in PhysiCell it keeps the old "
         "type's volume rates and loses its damage"),
        (_ruled(model, K.SPEED), "a speed set by a rule acts at once; in PhysiCell at the cell's next turn"),
        (fixed, "immovable cells have contacts; in PhysiCell they have none"),
    )  # fmt: skip


def _never_copied(model: AgentModel) -> tuple[tuple[bool, str], ...]:
    """Return what PhysiCell does by itself, whatever the compatibility."""
    eats = _can(model, K.PHAGOCYTOSE_LIVE, K.PHAGOCYTOSE_APOPTOTIC, K.PHAGOCYTOSE_NECROTIC, K.PHAGOCYTOSE_OTHER_DEAD)
    return (
        (len(model.cells.types) + model.cells.random_per_type > 1,
         "every neighbour is found; PhysiCell misses some that have just entered a part of its mechanics grid"),
        (eats, "cells decide whom to eat side by side; PhysiCell lets them decide one after the other"),
        (not model.extension.empty, "the <atmpsim:extension> block does not exist for PhysiCell"),
    )  # fmt: skip


def _can(model: AgentModel, *kinds: BehaviourKind) -> bool:
    """Return whether some cell may ever show a behaviour of these kinds."""
    values = behaviour_values(model)
    columns = [b.id for b in model.behaviours if b.kind in kinds]
    return bool(np.any(values[:, columns] > 0)) or bool(_varying_kinds(model) & set(kinds))


def _ruled(model: AgentModel, *kinds: BehaviourKind) -> bool:
    return any(model.behaviours[rule.behaviour].kind in kinds for rule in model.rules)


def _varying_kinds(model: AgentModel) -> set[BehaviourKind]:
    ids = {rule.behaviour for rule in model.rules} | set(model.cells.behaviours)
    return {model.behaviours[i].kind for i in ids}


def _releases(model: AgentModel) -> bool:
    """Return whether some face holds one substrate and releases another that is held elsewhere."""
    faces = 4 if model.domain.two_dimensional else 6
    held = np.array([[value is not None for value in s.boundary[:faces]] for s in model.substrates])
    return bool((held.any(axis=0) & (held.any(axis=1, keepdims=True) & ~held).any(axis=0)).any())
