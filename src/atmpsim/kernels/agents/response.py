"""Rules: what a cell senses, and the behaviours that it makes of it.

Source: Johnson et al. 2025 Cell, doi:10.1016/j.cell.2025.06.048 (the grammar and its response).
"""

from __future__ import annotations

import numpy as np

from atmpsim.kernels.agents.barrier import share
from atmpsim.kernels.agents.compiled import entry, inner
from atmpsim.kernels.agents.motility import gradient
from atmpsim.kernels.agents.rows import (
    APOPTOTIC,
    ATTACK_TIME,
    CUSTOM,
    DAMAGE,
    DELIVERED,
    LIVE,
    NECROTIC,
    PRESSURE,
    S_APOPTOTIC,
    S_ATTACK_TIME,
    S_ATTACKING,
    S_CONTACT,
    S_CONTACT_DEAD,
    S_CONTACT_LIVE,
    S_CONTACT_OTHER_DEAD,
    S_CUSTOM,
    S_DAMAGE,
    S_DEAD,
    S_DELIVERED,
    S_GRADIENT,
    S_INTRACELLULAR,
    S_NECROTIC,
    S_PRESSURE,
    S_SUBSTRATE,
    S_TIME,
    S_VOLUME,
    STATE,
    TARGET,
    TOTAL,
    TYPE,
    VOXEL,
)  # fmt: skip
from atmpsim.kernels.agents.values import value

MAX_TERM = 1e150  # of a Hill response: a larger one changes no digit of it, and the sum of several stays finite


@inner
def sense(cells, types, layout, quirks, fields, time, kind, index, i):
    """Return one signal of cell i. `fields` are density and norm of the gradient, both (substrate, voxel)."""
    real, whole = cells.real, cells.whole
    density, slopes = fields
    state, voxel = whole[STATE, i], whole[VOXEL, i]
    if kind == S_SUBSTRATE:
        return density[index, voxel] if voxel >= 0 else 0.0
    if kind == S_INTRACELLULAR:
        return real[layout.inside + index, i] / real[TOTAL, i] if layout.inside >= 0 else 0.0
    if kind == S_GRADIENT:
        return slopes[index, voxel] if voxel >= 0 else 0.0
    if kind == S_PRESSURE:
        return real[PRESSURE, i]
    if kind == S_VOLUME:
        return real[TOTAL, i]
    if kind == S_CONTACT:
        return real[layout.contact + index, i]
    if S_CONTACT_LIVE <= kind <= S_CONTACT_OTHER_DEAD:
        if quirks.blind_to_death and kind > S_CONTACT_DEAD:
            return 0.0
        return real[layout.contact + layout.types + kind - S_CONTACT_LIVE, i]
    if kind == S_DAMAGE:
        return real[DAMAGE, i]
    if kind == S_DELIVERED:
        return real[DELIVERED, i]
    if kind == S_ATTACKING:
        return 1.0 if whole[TARGET, i] >= 0 else 0.0
    if kind == S_DEAD:
        return 1.0 if state != LIVE else 0.0
    if kind == S_ATTACK_TIME:
        return real[ATTACK_TIME, i]
    if kind == S_TIME:
        return time
    if kind == S_CUSTOM:
        return value(cells, types, CUSTOM, index, i)
    if kind == S_APOPTOTIC:
        return 1.0 if state == APOPTOTIC else 0.0
    if kind == S_NECROTIC:
        return 1.0 if state >= NECROTIC else 0.0
    return 0.0  # contact with a basement membrane, which no model has


@inner
def respond(cells, types, layout, quirks, rules, fields, time, i):
    """Write what the rules of its type make of the behaviours of cell i, one after the other."""
    dead = cells.whole[STATE, i] != LIVE
    kind = cells.whole[TYPE, i]
    for r in range(rules.first_response[kind], rules.first_response[kind + 1]):
        if dead and not rules.changes_dead[r]:
            continue
        base = rules.base_value[r]
        up = up_weight = down = down_weight = 0.0
        for k in range(rules.first_term[r], rules.first_term[r + 1]):
            if dead and not rules.dead[k]:
                continue
            what, index = rules.signal_kind[k], rules.signal_index[k]
            s = max(sense(cells, types, layout, quirks, fields, time, what, index, i), 0.0)
            s = min((s / rules.half_max[k]) ** rules.hill_power[k], MAX_TERM)
            if rules.increases[k]:
                up += s * (rules.saturation[k] - base)
                up_weight += s
            else:
                down += s * rules.saturation[k]
                down_weight += s
        raised = base + up / (1.0 + up_weight)
        slot = types.slot[rules.behaviour[r]]
        cells.vary[slot, i] = raised + (down - down_weight * raised) / (1.0 + down_weight)


@entry
def measure_slopes(density, nx, box, wanted, slopes, edges, thread, threads):
    """Write the norm of the gradient in this thread's voxels for the wanted substrates.

    Parameters
    ----------
    density
        (substrate, z, y, x), rows padded beyond `nx`.
    slopes
        (substrate, voxel).
    edges
        Whether there is a gradient across the outermost voxels.
    """
    begin, end = share(slopes.shape[1], thread, threads, 64)
    for s in range(wanted.size):
        if wanted[s]:
            for v in range(begin, end):
                if v % density.shape[3] < nx:
                    gx, gy, gz = gradient(density[s], box, v, edges)
                    slopes[s, v] = np.sqrt(gx * gx + gy * gy + gz * gz)
