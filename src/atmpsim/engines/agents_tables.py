"""Turn an agent model into the tables that its kernels read."""

from __future__ import annotations

import numpy as np

from atmpsim.agents.spec import PHYSICELL, AgentModel, CellType, Death
from atmpsim.agents.values import behaviour_values, varying_behaviours
from atmpsim.kernels.agents import rows as r
from atmpsim.kernels.agents.lines import LANES

EXCHANGED = (r.SECRETION, r.UPTAKE, r.EXPORT)  # what death changes in a cell, whatever the rules say


def make_types(model: AgentModel) -> r.Types:
    """Return the tables of the cell types."""
    base = np.nan_to_num(behaviour_values(model), nan=0.0)
    kinds = np.array([b.kind for b in model.behaviours], dtype=np.int64)
    phases = max(len(t.cycle.model.phases) for t in model.cell_types)
    affinity = model.per_type("mechanics.affinities")
    return r.Types(
        base=np.ascontiguousarray(base),
        first=_first_of_each(kinds),
        slot=_slots(model, base, kinds),
        number=np.array([_numbers(t) for t in model.cell_types]),
        death=np.array([[_death(t.apoptosis), _death(t.necrosis)] for t in model.cell_types]),
        fixed=_by_phase([t.cycle.fixed for t in model.cell_types], phases),
        doubles=_by_phase([[p.doubles_on_entry for p in t.cycle.model.phases] for t in model.cell_types], phases),
        divides=_by_phase([[p.divides_on_exit for p in t.cycle.model.phases] for t in model.cell_types], phases),
        affinity=np.ascontiguousarray(np.sqrt(np.maximum(affinity * affinity.T, 0.0))),
    )


def _first_of_each(kinds: np.ndarray) -> np.ndarray:
    first = np.zeros(r.DAMAGE_REPAIR + 1, dtype=np.int64)
    for kind in range(first.size):
        places = np.flatnonzero(kinds == kind)
        first[kind] = places[0] if places.size else 0
    return first


def _slots(model: AgentModel, base: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return the row of each behaviour that may differ between cells of a type, -1 for the others."""
    varying = set(varying_behaviours(model))
    varying |= {b for b in range(kinds.size) if kinds[b] in EXCHANGED and base[:, b].any()}
    conserved = [c.id for c in model.custom if c.conserved]
    varying |= {b.id for b in model.behaviours if b.kind == r.CUSTOM and b.index in conserved}
    slot = np.full(kinds.size, -1, dtype=np.int64)
    slot[sorted(varying)] = np.arange(len(varying))
    return slot


def _numbers(kind: CellType) -> list[float]:
    v, m = kind.volume, kind.motility
    nuclear_solid = (1.0 - v.fluid_fraction) * v.nuclear
    return [
        v.fluid_rate, v.nuclear_rate, v.cytoplasmic_rate, v.calcification_rate, v.fluid_fraction, nuclear_solid,
        (v.total - v.nuclear) / v.nuclear if v.nuclear else 0.0, v.relative_rupture_volume, m.enabled,
        m.two_dimensional, m.chemotaxis, m.chemotaxis_substrate, m.chemotaxis_direction, m.advanced,
        m.normalise_gradients, len(kind.cycle.model.phases), kind.cycle.asymmetric, kind.mechanics.movable,
    ]  # fmt: skip


def _death(death: Death) -> list[float]:
    return [
        death.phase_rates[0], death.phase_rates[-1], death.phase_fixed[0], death.phase_fixed[-1],
        death.unlysed_fluid_rate, death.lysed_fluid_rate, death.cytoplasmic_rate, death.nuclear_rate,
        death.calcification_rate, death.relative_rupture_volume,
    ]  # fmt: skip


def _by_phase(flags: list, phases: int) -> np.ndarray:
    table = np.zeros((len(flags), phases), dtype=np.uint8)
    for row, values in zip(table, flags, strict=True):
        row[: len(values)] = values
    return table


def make_layout(model: AgentModel) -> r.Layout:
    """Return which rows this model's cells have beyond those of every model."""
    substrates = len(model.substrates)
    signals = {model.signals[rule.signal].kind for rule in model.rules}
    row = r.REAL_ROWS + 3 * substrates
    therapy = not model.extension.empty
    tracks = model.options.track_internalised or r.S_INTRACELLULAR in signals or therapy
    inside = row if tracks and substrates else -1
    row += substrates if inside >= 0 else 0
    contact = row if any(r.S_CONTACT <= k <= r.S_CONTACT_OTHER_DEAD for k in signals) else -1
    row += layout_contacts(len(model.cell_types)) if contact >= 0 else 0
    return r.Layout(
        loss=r.REAL_ROWS, gain=r.REAL_ROWS + substrates, gift=r.REAL_ROWS + 2 * substrates, inside=inside,
        contact=contact, clock=row if therapy else -1, seen=row + 1 if therapy else -1,
        types=len(model.cell_types), substrates=substrates,
        custom_conserved=np.array([c.conserved for c in model.custom], dtype=np.uint8),
    )  # fmt: skip


def layout_contacts(types: int) -> int:
    """Return how many counts of neighbours there are: by type, live, dead, apoptotic, necrotic, other dead."""
    return types + 5


def count_rows(layout: r.Layout) -> int:
    """Return the number of rows of `Cells.real`."""
    rows = r.REAL_ROWS + 3 * layout.substrates
    if layout.inside >= 0:
        rows += layout.substrates
    if layout.contact >= 0:
        rows += layout_contacts(layout.types)
    return rows + (1 + layout.substrates if layout.clock >= 0 else 0)


def make_quirks(model: AgentModel) -> r.Quirks:
    """Return the artefacts that the model's compatibility asks for: all or none."""
    on = model.compatibility == PHYSICELL
    return r.Quirks(*([on] * len(r.Quirks._fields)))


def make_box(model: AgentModel) -> r.Box:
    """Return the domain, its voxels and its time steps."""
    domain, steps = model.domain, model.steps
    stride = domain.shape[0] + -domain.shape[0] % LANES
    (x_min, y_min, z_min), (x_max, y_max, z_max) = domain.lower, domain.upper
    (dx, dy, dz), (nx, ny, nz) = domain.voxel, domain.shape
    return r.Box(
        x_min=float(x_min), y_min=float(y_min), z_min=float(z_min), x_max=float(x_max), y_max=float(y_max),
        z_max=float(z_max), dx=float(dx), dy=float(dy), dz=float(dz), nx=nx, ny=ny, nz=nz, stride=stride,
        planar=domain.two_dimensional, wall=model.options.virtual_wall, dt_mechanics=float(steps.mechanics),
        dt_phenotype=float(steps.phenotype),
    )  # fmt: skip
