"""What each row of the cells' arrays holds, and the numbers by which behaviours, signals and draws are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Cells.real: position (µm), velocity now and a step ago (µm/min), motility (µm/min)
X, Y, Z, VX, VY, VZ, PX, PY, PZ, MX, MY, MZ = range(12)
# radius and reach of adhesion (µm), roots of repulsion and adhesion, pressure
RADIUS, REACH, ROOT_REPULSION, ROOT_ADHESION, PRESSURE = range(12, 17)
# volumes and their targets (µm³, ratios), rates (1/min)
TOTAL, FLUID, NUCLEAR, NUCLEAR_SOLID, CYTOPLASMIC_SOLID = range(17, 22)
TARGET_NUCLEAR_SOLID, TARGET_CYTOPLASMIC_SOLID, TARGET_FLUID_FRACTION, TARGET_RATIO = range(22, 26)
FLUID_RATE, NUCLEAR_RATE, CYTOPLASMIC_RATE, CALCIFICATION_RATE, CALCIFIED, RUPTURE_VOLUME = range(26, 32)
ELAPSED, DAMAGE, ATTACK_TIME, DELIVERED, BIRTH, DEATH = range(32, 38)
# where the cell stood, and its reach, when the lists of neighbours were made
X0, Y0, Z0, REACH0 = range(38, 42)
PACE = 42  # how far it crawls in a mechanics step, µm
REAL_ROWS = 43  # then what the model needs of `Layout`

# Cells.whole
TYPE, STATE, PHASE, MOTILE, MOVABLE, OUTSIDE, TARGET, VOXEL, FATE, ACTS, LINKS, PREY, AIM, MATE = range(14)
WHOLE_ROWS = 14

# Cells.identity
ID, PARENT = 0, 1

# STATE
LIVE, APOPTOTIC, NECROTIC, LYSED, GONE = range(5)
# FATE after the phenotype step
STAYS, DIVIDES, REMOVED = range(3)

# behaviours, as the language numbers their kinds; not Python's integers, for each of which a callee would be
# compiled anew
NO_INDEX = np.int64(0)
(
    SECRETION, SECRETION_TARGET, UPTAKE, EXPORT, CHEMOTACTIC_RESPONSE, PHASE_EXIT, APOPTOSIS, NECROSIS, SPEED, BIAS,
    PERSISTENCE, ADHESION, REPULSION, ELASTIC_CONSTANT, ADHESION_DISTANCE, MEMBRANE_ADHESION, MEMBRANE_REPULSION,
    ADHESIVE_AFFINITY, PHAGOCYTOSE_LIVE, ATTACK, FUSE, TRANSFORM, ASYMMETRIC_DIVISION, IMMUNOGENICITY,
    PHAGOCYTOSE_APOPTOTIC, PHAGOCYTOSE_NECROTIC, PHAGOCYTOSE_OTHER_DEAD, CUSTOM, MOVABLE_BEHAVIOUR, ATTACHMENT,
    DETACHMENT, MAX_ATTACHMENTS, ATTACK_DAMAGE, ATTACK_DURATION, DAMAGE_RATE, DAMAGE_REPAIR,
) = map(np.int64, range(36))  # fmt: skip

# signals, as the language numbers their kinds
(
    S_SUBSTRATE, S_INTRACELLULAR, S_GRADIENT, S_PRESSURE, S_VOLUME, S_CONTACT, S_CONTACT_LIVE, S_CONTACT_DEAD,
    S_CONTACT_APOPTOTIC, S_CONTACT_NECROTIC, S_CONTACT_OTHER_DEAD, S_CONTACT_MEMBRANE, S_DAMAGE, S_DELIVERED,
    S_ATTACKING, S_DEAD, S_ATTACK_TIME, S_TIME, S_CUSTOM, S_APOPTOTIC, S_NECROTIC,
) = range(21)  # fmt: skip

# what a random number is drawn for
(
    D_TRANSFORM, D_DEATH, D_CYCLE, D_DIVISION, D_ASYMMETRIC, D_TURN, D_TURN_DIRECTION, D_EAT, D_ATTACK, D_ATTACK_END,
    D_FUSE, D_DETACH, D_ATTACH, D_INFECT, D_CLOCK, D_BURST, D_ARRIVE, D_RECRUIT, D_START,
) = map(np.int64, range(19))  # fmt: skip

# columns of Types.number
(
    T_FLUID_RATE, T_NUCLEAR_RATE, T_CYTOPLASMIC_RATE, T_CALCIFICATION_RATE, T_FLUID_FRACTION, T_NUCLEAR_SOLID,
    T_RATIO, T_RUPTURE, T_MOTILE, T_PLANAR, T_CHEMOTAXIS, T_CHEMOTAXIS_SUBSTRATE, T_CHEMOTAXIS_DIRECTION, T_ADVANCED,
    T_NORMALISE, T_PHASES, T_ASYMMETRIC, T_MOVABLE,
) = range(18)  # fmt: skip
TYPE_NUMBERS = 18

# columns of Types.death (type, 0 apoptosis or 1 necrosis, column)
(
    DEATH_RATE_0, DEATH_RATE_1, DEATH_FIXED_0, DEATH_FIXED_1, DEATH_FLUID, DEATH_LYSED_FLUID, DEATH_CYTOPLASMIC,
    DEATH_NUCLEAR, DEATH_CALCIFICATION, DEATH_RUPTURE,
) = range(10)  # fmt: skip
DEATH_NUMBERS = 10


class Cells(NamedTuple):
    """The cells, one column each; columns from the count on are free.

    `vary` holds the behaviours that differ between cells of a type, a row each; `links` the springs of each cell.
    """

    real: NDArray[np.float64]
    whole: NDArray[np.int32]
    identity: NDArray[np.int64]
    vary: NDArray[np.float64]
    links: NDArray[np.int32]  # (cell, spring)


class Types(NamedTuple):
    """What is the same for all cells of a type.

    `base` is (type, behaviour), `first` the first behaviour of each kind, `slot` the row of `Cells.vary` of each
    behaviour or -1. `fixed`, `doubles`, `divides` are (type, phase). `affinity` is (type, type): the root of the
    product of both affinities.
    """

    base: NDArray[np.float64]
    first: NDArray[np.int64]
    slot: NDArray[np.int64]
    number: NDArray[np.float64]
    death: NDArray[np.float64]
    fixed: NDArray[np.uint8]
    doubles: NDArray[np.uint8]
    divides: NDArray[np.uint8]
    affinity: NDArray[np.float64]


class Layout(NamedTuple):
    """Rows of `Cells.real` that only some models have (-1: not this one), and what the model contains.

    Per substrate: `loss`, `gain` and `gift` (what a cell does to its voxel: loss and gain per min, gift in
    density/min) and `inside` (amount internalised). `contact`: neighbours by type, then live, dead, apoptotic,
    necrotic and other dead ones.
    """

    loss: int
    gain: int
    gift: int
    inside: int
    contact: int
    clock: int  # stages passed, or minutes, of the clock of its type
    seen: int  # what was inside at the last phenotype step, per substrate
    types: int
    substrates: int
    custom_conserved: NDArray[np.uint8]


class Quirks(NamedTuple):
    """Artefacts of PhysiCell 1.14, each on only where a model asks for its compatibility."""

    lopsided_division: bool  # mother half a radius, daughter one; in the plane the step is foreshortened
    daughter_attacks: bool  # a daughter takes over the attack of her mother
    daughter_movable: bool  # even of an immovable mother
    transformed_is_whole: bool  # a change of type heals damage and keeps the old rates of volume change
    outside_is_frozen: bool  # a cell beyond the domain stays there for ever, and nobody feels it
    no_contact_if_fixed: bool  # an immovable cell has neither neighbours nor pressure
    speed_at_turns: bool  # a new speed counts from the next turn
    flat_edges: bool  # in the first phenotype step there is no gradient across the outermost voxels
    blind_to_death: bool  # contacts with apoptotic, necrotic and other dead cells count nothing


class Box(NamedTuple):
    """The domain: its faces, its voxels (µm) and its time steps (min)."""

    x_min: float
    y_min: float
    z_min: float
    x_max: float
    y_max: float
    z_max: float
    dx: float
    dy: float
    dz: float
    nx: int
    ny: int
    nz: int
    stride: int  # voxels along x as stored: rows are padded
    planar: bool
    wall: bool
    dt_mechanics: float
    dt_phenotype: float
