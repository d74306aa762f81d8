"""Say where a model as written and PhysiCell 1.14 differ: artefacts of that program that this file would meet.

With `compatibility = "physicell-1.14"` all of them are part of the model, and there is nothing to say.
"""

from __future__ import annotations

import numpy as np

from atmpsim.agents.behaviours import BehaviourKind
from atmpsim.agents.spec import PHYSICELL, AgentModel
from atmpsim.agents.values import behaviour_values

K = BehaviourKind


def warnings(model: AgentModel) -> tuple[str, ...]:
    """Return one sentence for each difference between this model and PhysiCell 1.14, the file's own notes first."""
    if model.compatibility == PHYSICELL:
        return model.notes
    return (*model.notes, *(text for holds, text in _artefacts(model) if holds))


def _artefacts(model: AgentModel) -> list[tuple[bool, str]]:
    dx, dy, dz = model.domain.voxel
    uneven = dy != dx or (dz != dx and not model.domain.two_dimensional)
    eats = _can(model, K.PHAGOCYTOSE_LIVE, K.PHAGOCYTOSE_APOPTOTIC, K.PHAGOCYTOSE_NECROTIC, K.PHAGOCYTOSE_OTHER_DEAD)
    divides, attacks = _can(model, K.PHASE_EXIT), _can(model, K.ATTACK)
    turns = _ruled(model, K.SPEED, K.BIAS, K.CHEMOTACTIC_RESPONSE)
    return [
        (uneven, "voxels are not cubes: PhysiCell diffuses with dx in every direction"),
        (_corners(model), "where two faces meet, PhysiCell's later face decides for all substrates"),
        (len(model.cells.types) + model.cells.random_per_type > 1,
         "every neighbour is found; PhysiCell misses some that have just entered a part of its mechanics grid"),
        (divides, "division keeps the centre of mass; PhysiCell moves it, and less far in two dimensions"),
        (divides and attacks, "a daughter attacks nobody; in PhysiCell she takes over her mother's target"),
        (_can(model, K.TRANSFORM),
         "a transformed cell has all of its new type's rates and keeps its damage; in PhysiCell it keeps the old "
         "type's volume rates and loses its damage"),
        (turns, "speed, bias and sensitivities set by rules act at once; in PhysiCell at the cell's next turn"),
        (eats, "a cell looks at all its neighbours; in PhysiCell it stops at one that was eaten in the same step"),
        (K.MOVABLE in _varying_kinds(model), "immovable cells have contacts; in PhysiCell they have none"),
        (not model.extension.empty, "the <atmpsim:extension> block does not exist for PhysiCell"),
    ]  # fmt: skip


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


def _corners(model: AgentModel) -> bool:
    """Return whether some substrate has faces with different values, or some with one and some without."""
    faces = 4 if model.domain.two_dimensional else 6
    return any(len(set(s.boundary[:faces])) > 1 for s in model.substrates)
