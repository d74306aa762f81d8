"""What cells do to those they touch: eat, attack, fuse; and whom each touches.

Each cell first decides by itself, side by side with all others; then the decisions are carried out one after the
other, and a cell that is already gone is nobody's prey.

Source: Johnson et al. 2025 Cell, doi:10.1016/j.cell.2025.06.048.
"""

from __future__ import annotations

import math

from numba import int64

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import inner
from atmpsim.kernels.agents.lists import GRAIN
from atmpsim.kernels.agents.rows import (
    ACTS,
    ADHESION_DISTANCE,
    AIM,
    APOPTOTIC,
    ATTACK,
    ATTACK_DAMAGE,
    ATTACK_DURATION,
    ATTACK_TIME,
    CUSTOM,
    CYTOPLASMIC_SOLID,
    D_ATTACK_END,
    D_EAT,
    D_FUSE,
    DAMAGE,
    DELIVERED,
    FLUID,
    FUSE,
    GONE,
    ID,
    IMMUNOGENICITY,
    LIVE,
    MATE,
    MOVABLE,
    NO_INDEX,
    NUCLEAR,
    NUCLEAR_SOLID,
    OUTSIDE,
    PHAGOCYTOSE_APOPTOTIC,
    PHAGOCYTOSE_LIVE,
    PHAGOCYTOSE_NECROTIC,
    PREY,
    RADIUS,
    REACH,
    ROOT_ADHESION,
    ROOT_REPULSION,
    STATE,
    TARGET,
    TARGET_CYTOPLASMIC_SOLID,
    TARGET_NUCLEAR_SOLID,
    TOTAL,
    TYPE,
    X,
    Y,
    Z,
)  # fmt: skip
from atmpsim.kernels.agents.springs import link, touching, unlink, unlink_all
from atmpsim.kernels.agents.values import set_value, value
from atmpsim.kernels.philox import uniforms

FAR = 1e12  # um, where cells that are gone wait to be deleted, out of everybody's reach


@inner
def count_contacts(cells, count, layout, near, quirks, thread, threads):
    """Count the neighbours of this thread's cells by type and by state, for the rules that ask."""
    real, whole = cells.real, cells.whole
    by_state = layout.contact + layout.types
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(begin, end):
        for k in range(layout.types + 5):
            real[layout.contact + k, i] = 0.0
        if whole[STATE, i] == GONE or whole[OUTSIDE, i] or (quirks.no_contact_if_fixed and not whole[MOVABLE, i]):
            continue
        for k in range(near.number[i]):
            j = int64(near.who[i, k])
            if whole[STATE, j] == GONE or not touching(real, i, j):
                continue
            real[layout.contact + whole[TYPE, j], i] += 1.0
            state = whole[STATE, j]
            if state == LIVE:
                real[by_state, i] += 1.0
            else:
                real[by_state + 1, i] += 1.0
                real[by_state + (2 if state == APOPTOTIC else 3), i] += 1.0


@inner
def _meet_dead(cells, types, i, j, dt, seed, step):
    kind = PHAGOCYTOSE_APOPTOTIC if cells.whole[STATE, j] == APOPTOTIC else PHAGOCYTOSE_NECROTIC
    chance = dt * value(cells, types, kind, NO_INDEX, i)
    if chance <= 0.0 or cells.whole[PREY, i] >= 0:
        return
    if uniforms(seed, cells.identity[ID, i], cells.identity[ID, j], step, D_EAT)[0] <= chance:
        cells.whole[PREY, i] = j


@inner
def _meet_live(cells, types, i, j, dt, seed, step):
    whole, me, other = cells.whole, cells.identity[ID, i], cells.identity[ID, j]
    eat = dt * value(cells, types, PHAGOCYTOSE_LIVE, int64(whole[TYPE, j]), i)
    attack = dt * value(cells, types, ATTACK, int64(whole[TYPE, j]), i)
    fuse = dt * value(cells, types, FUSE, int64(whole[TYPE, j]), i)
    if eat <= 0.0 and attack <= 0.0 and fuse <= 0.0:
        return
    u, v = uniforms(seed, me, other, step, D_EAT)
    if u < eat and whole[PREY, i] < 0:
        whole[PREY, i] = j
    attack *= value(cells, types, IMMUNOGENICITY, int64(whole[TYPE, i]), j)
    if v < attack and whole[TARGET, i] < 0 and whole[AIM, i] < 0:
        whole[AIM, i] = j
    if fuse > 0.0 and whole[MATE, i] < 0 and uniforms(seed, me, other, step, D_FUSE)[0] < fuse:
        whole[MATE, i] = j


@inner
def decide(cells, count, types, near, box, quirks, seed, step, thread, threads):
    """Let this thread's cells choose whom to eat, to attack and to fuse with; only their own columns are written."""
    real, whole, dt = cells.real, cells.whole, box.dt_mechanics
    begin, end = share(count, thread, threads, GRAIN)
    for i in range(begin, end):
        if not whole[ACTS, i]:
            continue
        whole[PREY, i] = whole[AIM, i] = whole[MATE, i] = -1
        if whole[STATE, i] != LIVE or whole[OUTSIDE, i] or (quirks.no_contact_if_fixed and not whole[MOVABLE, i]):
            continue
        for k in range(near.number[i]):
            j = int64(near.who[i, k])
            state = whole[STATE, j]
            if state == GONE or not touching(real, i, j):
                continue
            if state == LIVE:
                _meet_live(cells, types, i, j, dt, seed, step)
            else:
                _meet_dead(cells, types, i, j, dt, seed, step)


@inner
def vanish(cells, i):
    """Take cell i out of the world; its column is freed at the next phenotype step."""
    real, whole = cells.real, cells.whole
    unlink_all(cells, i)
    whole[STATE, i], whole[TARGET, i], whole[ACTS, i] = GONE, -1, 0
    real[X, i], real[Y, i], real[Z, i] = FAR, FAR, FAR
    real[RADIUS, i] = real[REACH, i] = real[ROOT_REPULSION, i] = real[ROOT_ADHESION, i] = 0.0
    real[TOTAL, i] = real[FLUID, i] = real[NUCLEAR, i] = 0.0
    real[NUCLEAR_SOLID, i] = real[CYTOPLASMIC_SOLID, i] = 0.0


@inner
def _take_inside(cells, types, layout, i, j):
    """Give cell i what cell j holds inside, and its conserved variables."""
    if layout.inside >= 0:
        for s in range(layout.substrates):
            cells.real[layout.inside + s, i] += cells.real[layout.inside + s, j]
            if layout.seen >= 0:  # eaten, not taken up: it does not infect
                cells.real[layout.seen + s, i] += cells.real[layout.inside + s, j]
            cells.real[layout.inside + s, j] = 0.0
    for k in range(layout.custom_conserved.size):
        if layout.custom_conserved[k]:
            total = value(cells, types, CUSTOM, k, i) + value(cells, types, CUSTOM, k, j)
            set_value(cells, types, CUSTOM, k, i, total)


@inner
def swell(cells, types, i):
    """Set radius and reach of cell i after its volume."""
    radius = (0.75 * max(cells.real[TOTAL, i], 0.0) / math.pi) ** (1.0 / 3.0)
    cells.real[RADIUS, i] = radius
    cells.real[REACH, i] = radius * value(cells, types, ADHESION_DISTANCE, NO_INDEX, i)


@inner
def _ingest(cells, types, layout, i, j):
    """Cell i eats cell j: fluid becomes its cytoplasm's fluid, solids its cytoplasm's solid."""
    real = cells.real
    real[FLUID, i] += real[FLUID, j]
    real[CYTOPLASMIC_SOLID, i] += real[CYTOPLASMIC_SOLID, j] + real[NUCLEAR_SOLID, j]
    real[TOTAL, i] += real[TOTAL, j]
    _take_inside(cells, types, layout, i, j)
    vanish(cells, j)
    swell(cells, types, i)


@inner
def _fuse(cells, types, layout, i, j):
    """Cell i takes in cell j, midway by volume."""
    real = cells.real
    part = real[TOTAL, j] / (real[TOTAL, i] + real[TOTAL, j])
    for d in range(3):
        real[X + d, i] += part * (real[X + d, j] - real[X + d, i])
    for row in (
        TOTAL, FLUID, NUCLEAR, NUCLEAR_SOLID, CYTOPLASMIC_SOLID, TARGET_NUCLEAR_SOLID, TARGET_CYTOPLASMIC_SOLID
    ):  # fmt: skip
        real[row, i] += real[row, j]
    _take_inside(cells, types, layout, i, j)
    vanish(cells, j)
    swell(cells, types, i)


@inner
def _strike(cells, types, box, seed, step, i):
    """Let cell i hurt its target for one step; the attack ends by chance, or with the target's life."""
    real, whole, dt = cells.real, cells.whole, box.dt_mechanics
    j = int64(whole[TARGET, i])
    over = whole[STATE, j] != LIVE
    if not over:
        harm = dt * value(cells, types, ATTACK_DAMAGE, NO_INDEX, i)
        real[DAMAGE, j] += harm
        real[ATTACK_TIME, j] += dt
        real[DELIVERED, i] += harm
        duration = value(cells, types, ATTACK_DURATION, NO_INDEX, i)
        over = uniforms(seed, cells.identity[ID, i], NO_INDEX, step, D_ATTACK_END)[0] * duration <= dt
    if over:
        unlink(cells, i, j)
        whole[TARGET, i] = -1


@inner
def carry_out(cells, count, types, layout, box, springs, seed, step):
    """Carry out what cells chose. For one thread: each act changes two cells. Return the number that are gone."""
    whole = cells.whole
    gone = 0
    for i in range(count):
        if not whole[ACTS, i] or whole[STATE, i] != LIVE or whole[OUTSIDE, i]:
            continue
        j = int64(whole[PREY, i])
        if j >= 0 and whole[STATE, j] != GONE:
            _ingest(cells, types, layout, i, j)
            gone += 1
        j = int64(whole[AIM, i])
        if j >= 0 and whole[STATE, j] == LIVE:
            whole[TARGET, i] = j
            if springs:
                link(cells, i, j)
        j = int64(whole[MATE, i])
        if j >= 0 and whole[STATE, j] == LIVE:
            _fuse(cells, types, layout, i, j)
            gone += 1
        whole[PREY, i] = whole[AIM, i] = whole[MATE, i] = -1
        if whole[TARGET, i] >= 0:
            _strike(cells, types, box, seed, step, i)
    return gone
