"""The value of every behaviour in every cell type, as the definitions give it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.behaviours import Behaviour, BehaviourKind
from atmpsim.agents.spec import AgentModel, CellType, per_type

K = BehaviourKind

# a path for `AgentModel.per_type`; tuples are indexed by the behaviour's own index
PATHS = {
    K.SECRETION: "secretion.rates", K.SECRETION_TARGET: "secretion.targets", K.UPTAKE: "secretion.uptake",
    K.EXPORT: "secretion.export", K.CHEMOTACTIC_RESPONSE: "motility.sensitivities", K.PHASE_EXIT: "cycle.rates",
    K.APOPTOSIS: "apoptosis.rate", K.NECROSIS: "necrosis.rate", K.SPEED: "motility.speed", K.BIAS: "motility.bias",
    K.PERSISTENCE: "motility.persistence", K.ADHESION: "mechanics.adhesion", K.REPULSION: "mechanics.repulsion",
    K.ELASTIC_CONSTANT: "mechanics.elastic_constant", K.ADHESION_DISTANCE: "mechanics.adhesion_distance",
    K.MEMBRANE_ADHESION: "mechanics.membrane_adhesion", K.MEMBRANE_REPULSION: "mechanics.membrane_repulsion",
    K.ADHESIVE_AFFINITY: "mechanics.affinities", K.PHAGOCYTOSE_LIVE: "interactions.phagocytose_live",
    K.ATTACK: "interactions.attack", K.FUSE: "interactions.fuse", K.TRANSFORM: "transformations",
    K.ASYMMETRIC_DIVISION: "cycle.asymmetric_division", K.IMMUNOGENICITY: "interactions.immunogenicity",
    K.PHAGOCYTOSE_APOPTOTIC: "interactions.phagocytose_apoptotic",
    K.PHAGOCYTOSE_NECROTIC: "interactions.phagocytose_necrotic",
    K.PHAGOCYTOSE_OTHER_DEAD: "interactions.phagocytose_other_dead", K.CUSTOM: "custom",
    K.MOVABLE: "mechanics.movable", K.ATTACHMENT: "mechanics.attachment_rate",
    K.DETACHMENT: "mechanics.detachment_rate", K.MAX_ATTACHMENTS: "mechanics.max_attachments",
    K.ATTACK_DAMAGE: "interactions.attack_damage_rate", K.ATTACK_DURATION: "interactions.attack_duration",
    K.DAMAGE_RATE: "integrity.damage_rate", K.DAMAGE_REPAIR: "integrity.repair_rate",
}  # fmt: skip


def behaviour_values(model: AgentModel) -> NDArray[np.float64]:
    """Return the definitions' value of each behaviour, (types, behaviours); NaN for a phase that a cycle lacks."""
    return type_values(model.cell_types, model.behaviours)


def type_values(types: Sequence[CellType], behaviours: Sequence[Behaviour]) -> NDArray[np.float64]:
    """Return the value of each behaviour in each type, (types, behaviours); NaN for a phase that a cycle lacks."""
    table = np.full((len(types), len(behaviours)), np.nan)
    for kind, path in PATHS.items():
        column = per_type(types, path)
        for behaviour in (b for b in behaviours if b.kind is kind):
            if column.ndim == 1:
                table[:, behaviour.id] = column
            elif behaviour.index < column.shape[1]:
                table[:, behaviour.id] = column[:, behaviour.index]
    return table


def varying_behaviours(model: AgentModel) -> tuple[int, ...]:
    """Return the ids of the behaviours that may differ between cells of a type: by rule, cells.csv or distribution."""
    drawn = {d.behaviour for t in model.cell_types for d in t.distributions if d.behaviour >= 0}
    return tuple(sorted({r.behaviour for r in model.rules} | set(model.cells.behaviours) | drawn))
