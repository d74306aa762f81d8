"""What a cell does by itself in a phenotype step: change type, follow its rules, grow, mend, die, cycle.

Sources: Ghaffarizadeh et al. 2018 PLoS Comput Biol 14:e1005991, doi:10.1371/journal.pcbi.1005991 (cycle, death and
volume models); Johnson et al. 2025 Cell, doi:10.1016/j.cell.2025.06.048 (transformation, damage).
"""

from __future__ import annotations

import numpy as np
from numba import int64

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import entry, inner
from atmpsim.kernels.agents.lists import GRAIN
from atmpsim.kernels.agents.response import respond
from atmpsim.kernels.agents.rows import (
    APOPTOSIS,
    APOPTOTIC,
    CALCIFICATION_RATE,
    CALCIFIED,
    CUSTOM,
    CYTOPLASMIC_RATE,
    CYTOPLASMIC_SOLID,
    D_CYCLE,
    D_DEATH,
    D_TRANSFORM,
    DAMAGE,
    DAMAGE_RATE,
    DAMAGE_REPAIR,
    DEATH,
    DEATH_CALCIFICATION,
    DEATH_CYTOPLASMIC,
    DEATH_FIXED_0,
    DEATH_FIXED_1,
    DEATH_FLUID,
    DEATH_LYSED_FLUID,
    DEATH_NUCLEAR,
    DEATH_RATE_0,
    DEATH_RATE_1,
    DEATH_RUPTURE,
    DELIVERED,
    DIVIDES,
    ELAPSED,
    EXPORT,
    FATE,
    FLUID,
    FLUID_RATE,
    GONE,
    ID,
    LIVE,
    LYSED,
    MOTILE,
    MOVABLE,
    MOVABLE_BEHAVIOUR,
    MX,
    MY,
    MZ,
    NECROSIS,
    NECROTIC,
    NO_INDEX,
    NUCLEAR,
    NUCLEAR_RATE,
    NUCLEAR_SOLID,
    OUTSIDE,
    PHASE,
    PHASE_EXIT,
    REMOVED,
    RUPTURE_VOLUME,
    SECRETION,
    STATE,
    STAYS,
    T_CALCIFICATION_RATE,
    T_CYTOPLASMIC_RATE,
    T_FLUID_FRACTION,
    T_FLUID_RATE,
    T_MOTILE,
    T_NUCLEAR_RATE,
    T_NUCLEAR_SOLID,
    T_PHASES,
    T_RATIO,
    TARGET,
    TARGET_CYTOPLASMIC_SOLID,
    TARGET_FLUID_FRACTION,
    TARGET_NUCLEAR_SOLID,
    TARGET_RATIO,
    TOTAL,
    TRANSFORM,
    TYPE,
    UPTAKE,
)  # fmt: skip
from atmpsim.kernels.agents.values import set_value, value
from atmpsim.kernels.philox import uniforms

UPTAKE_OF_DEAD = 0.1  # of what the cell took up alive
LEAST_DAMAGE_RATE = 1e-8  # 1/min, below which damage stands still


@inner
def transform(cells, types, layout, quirks, i, kind):
    """Make cell i one of another type: it keeps its place, volumes, springs and what is conserved."""
    real, whole = cells.real, cells.whole
    first, last = types.first[CUSTOM], types.first[CUSTOM] + layout.custom_conserved.size
    for b in range(types.slot.size):
        if types.slot[b] >= 0 and not (first <= b < last and layout.custom_conserved[b - first]):
            cells.vary[types.slot[b], i] = types.base[kind, b]
    number = types.number[kind]
    whole[TYPE, i], whole[PHASE, i], whole[TARGET, i] = kind, 0, -1
    real[ELAPSED, i] = real[DELIVERED, i] = 0.0
    whole[MOTILE, i] = int(number[T_MOTILE])
    whole[MOVABLE, i] = value(cells, types, MOVABLE_BEHAVIOUR, NO_INDEX, i) > 0.5
    real[MX, i] = real[MY, i] = real[MZ, i] = 0.0
    real[TARGET_NUCLEAR_SOLID, i] = number[T_NUCLEAR_SOLID]
    real[TARGET_FLUID_FRACTION, i], real[TARGET_RATIO, i] = number[T_FLUID_FRACTION], number[T_RATIO]
    if quirks.transformed_is_whole:
        real[DAMAGE, i] = 0.0
    else:
        real[FLUID_RATE, i], real[NUCLEAR_RATE, i] = number[T_FLUID_RATE], number[T_NUCLEAR_RATE]
        real[CYTOPLASMIC_RATE, i] = number[T_CYTOPLASMIC_RATE]
        real[CALCIFICATION_RATE, i] = number[T_CALCIFICATION_RATE]


@inner
def _maybe_transform(cells, types, layout, quirks, dt, seed, step, i):
    for kind in range(types.base.shape[0]):
        chance = dt * value(cells, types, TRANSFORM, kind, i)
        if chance <= 0.0 or kind == cells.whole[TYPE, i]:
            continue
        if uniforms(seed, cells.identity[ID, i], kind, step, D_TRANSFORM)[0] <= chance:
            transform(cells, types, layout, quirks, i, kind)
            return


@inner
def grow(real, i, dt):
    """Move the volumes of cell i towards their targets by one explicit step."""
    goal = real[TARGET_FLUID_FRACTION, i] * real[TOTAL, i]
    fluid = max(real[FLUID, i] + dt * real[FLUID_RATE, i] * (goal - real[FLUID, i]), 0.0)
    wet = real[NUCLEAR, i] / real[TOTAL, i] * fluid if real[TOTAL, i] > 0.0 else 0.0
    nuclear = real[NUCLEAR_SOLID, i]
    nuclear = max(nuclear + dt * real[NUCLEAR_RATE, i] * (real[TARGET_NUCLEAR_SOLID, i] - nuclear), 0.0)
    real[TARGET_CYTOPLASMIC_SOLID, i] = real[TARGET_RATIO, i] * real[TARGET_NUCLEAR_SOLID, i]
    solid = real[CYTOPLASMIC_SOLID, i]
    solid = max(solid + dt * real[CYTOPLASMIC_RATE, i] * (real[TARGET_CYTOPLASMIC_SOLID, i] - solid), 0.0)
    real[CALCIFIED, i] += dt * real[CALCIFICATION_RATE, i] * (1.0 - real[CALCIFIED, i])
    real[FLUID, i], real[NUCLEAR_SOLID, i], real[CYTOPLASMIC_SOLID, i] = fluid, nuclear, solid
    real[NUCLEAR, i] = wet + nuclear
    real[TOTAL, i] = nuclear + solid + fluid


@inner
def die(cells, types, layout, which, i):
    """Start the death of cell i: 0 apoptosis, 1 necrosis."""
    real, whole = cells.real, cells.whole
    death = types.death[whole[TYPE, i], which]
    whole[STATE, i] = NECROTIC if which else APOPTOTIC
    whole[PHASE, i], whole[MOTILE, i] = 0, 0
    real[ELAPSED, i] = real[MX, i] = real[MY, i] = real[MZ, i] = 0.0
    for s in range(layout.substrates):
        set_value(cells, types, SECRETION, s, i, 0.0)
        set_value(cells, types, EXPORT, s, i, 0.0)
        set_value(cells, types, UPTAKE, s, i, UPTAKE_OF_DEAD * value(cells, types, UPTAKE, s, i))
    real[TARGET_FLUID_FRACTION, i] = 1.0 if which else 0.0
    real[TARGET_NUCLEAR_SOLID, i] = real[TARGET_CYTOPLASMIC_SOLID, i] = real[TARGET_RATIO, i] = 0.0
    real[FLUID_RATE, i], real[CYTOPLASMIC_RATE, i] = death[DEATH_FLUID], death[DEATH_CYTOPLASMIC]
    real[NUCLEAR_RATE, i], real[CALCIFICATION_RATE, i] = death[DEATH_NUCLEAR], death[DEATH_CALCIFICATION]
    real[RUPTURE_VOLUME, i] = death[DEATH_RUPTURE] * real[TOTAL, i]


@inner
def _ends(rate, fixed, elapsed, dt, seed, who, step):
    """Return whether a phase ends in this step: after its duration, or by chance."""
    if fixed:
        return elapsed > 1.0 / rate - 0.5 * dt
    return uniforms(seed, who, NO_INDEX, step, D_CYCLE)[0] <= rate * dt and rate > 0.0


@inner
def _rot(cells, types, dt, seed, step, i):
    """Advance dead cell i: it is removed after its time; a necrotic one first swells until it ruptures."""
    real, whole = cells.real, cells.whole
    state, who = whole[STATE, i], cells.identity[ID, i]
    death = types.death[whole[TYPE, i], 0 if state == APOPTOTIC else 1]
    if state == NECROTIC:
        if real[TOTAL, i] >= real[RUPTURE_VOLUME, i]:
            whole[STATE, i], whole[PHASE, i] = LYSED, 1
            real[ELAPSED, i], real[RUPTURE_VOLUME, i] = 0.0, np.inf
            real[TARGET_FLUID_FRACTION, i], real[FLUID_RATE, i] = 0.0, death[DEATH_LYSED_FLUID]
        return
    last = DEATH_RATE_0 if state == APOPTOTIC else DEATH_RATE_1
    fixed = death[DEATH_FIXED_0 if state == APOPTOTIC else DEATH_FIXED_1] != 0.0
    if _ends(death[last], fixed, real[ELAPSED, i], dt, seed, who, step):
        whole[FATE, i] = REMOVED


@inner
def _cycle(cells, types, dt, seed, step, i):
    """Advance living cell i through its cycle by at most one phase."""
    real, whole = cells.real, cells.whole
    kind, phase = int64(whole[TYPE, i]), int64(whole[PHASE, i])
    rate = value(cells, types, PHASE_EXIT, phase, i)
    if not _ends(rate, types.fixed[kind, phase] != 0, real[ELAPSED, i], dt, seed, cells.identity[ID, i], step):
        return
    if types.divides[kind, phase]:
        whole[FATE, i] = DIVIDES
    phase = (phase + 1) % int(types.number[kind, T_PHASES])
    whole[PHASE, i], real[ELAPSED, i] = phase, 0.0
    if types.doubles[kind, phase]:
        real[TARGET_NUCLEAR_SOLID, i] *= 2.0
        real[TARGET_CYTOPLASMIC_SOLID, i] *= 2.0


@entry
def live_on(cells, count, types, layout, quirks, rules, fields, box, time, seed, step, thread, threads):
    """Advance this thread's cells by a phenotype step; those that divide or are removed get it as their FATE."""
    real, whole, dt = cells.real, cells.whole, box.dt_phenotype
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(begin, end):
        whole[FATE, i] = STAYS
        if whole[OUTSIDE, i]:
            continue
        if whole[STATE, i] == GONE:
            whole[FATE, i] = REMOVED
            continue
        if whole[STATE, i] == LIVE:
            _maybe_transform(cells, types, layout, quirks, dt, seed, step, i)
        respond(cells, types, layout, quirks, rules, fields, time, i)
        if types.slot[types.first[MOVABLE_BEHAVIOUR]] >= 0:
            whole[MOVABLE, i] = value(cells, types, MOVABLE_BEHAVIOUR, NO_INDEX, i) > 0.5
        grow(real, i, dt)
        harm, repair = value(cells, types, DAMAGE_RATE, NO_INDEX, i), value(cells, types, DAMAGE_REPAIR, NO_INDEX, i)
        if harm > LEAST_DAMAGE_RATE or repair > LEAST_DAMAGE_RATE:
            real[DAMAGE, i] = (real[DAMAGE, i] + dt * harm) / (1.0 + dt * repair)
        if whole[STATE, i] == LIVE:
            u, v = uniforms(seed, cells.identity[ID, i], NO_INDEX, step, D_DEATH)
            apoptosis = u < dt * value(cells, types, APOPTOSIS, NO_INDEX, i)
            if apoptosis or v < dt * value(cells, types, NECROSIS, NO_INDEX, i):
                die(cells, types, layout, 0 if apoptosis else 1, i)
                real[DEATH, i] = time
        real[ELAPSED, i] += dt
        if whole[STATE, i] == LIVE:
            _cycle(cells, types, dt, seed, step, i)
        else:
            _rot(cells, types, dt, seed, step, i)
