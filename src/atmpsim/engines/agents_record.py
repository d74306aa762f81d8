"""What an agent run leaves behind: counts, volumes and field totals over time, and every cell where asked."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.spec import AgentModel
from atmpsim.engines.agents_ledger import LEDGER, balance, totals
from atmpsim.engines.agents_tally import Lineage
from atmpsim.engines.agents_world import World
from atmpsim.kernels.agents import rows as r

STATES = ("live", "apoptotic", "necrotic")
_DEAD_CODES = {r.APOPTOTIC: 100, r.NECROTIC: 101, r.LYSED: 102}

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """Every cell at one time (in the order of memory, see `by_id`), and every field.

    `state` is 0 live, 1 apoptotic, 2 necrotic and swelling, 3 necrotic and lysed; `phase_code` is PhysiCell's.
    `death` is NaN for the living. `own` holds the behaviours that differ between cells, (cells, slots).
    """

    time: float
    id: Integers
    parent: Integers
    cell_type: Integers
    state: Integers
    phase_code: Integers
    voxel: Integers  # -1 outside the domain
    position: Floats  # (cells, 3), um
    radius: Floats
    volume: Floats
    nuclear_volume: Floats
    fluid: Floats
    pressure: Floats
    damage: Floats
    attack_time: Floats
    delivered: Floats
    elapsed: Floats
    birth: Floats
    death: Floats
    internalised: Floats  # (cells, substrates); no column where it is not tracked
    own: Floats
    density: Floats  # (substrate, z, y, x)

    def by_id(self) -> Snapshot:
        """Return the same with the cells sorted by id."""
        order = np.argsort(self.id)
        cells = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("time", "density")}
        return Snapshot(time=self.time, density=self.density, **{k: v[order] for k, v in cells.items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class AgentRun:
    """The result of a run.

    `counts` is (time, type, STATES), `volumes` (time, type, live or dead) in um^3, `totals` (time, substrate) the
    amounts in the domain, `events` (time, infections, lyses or entries so far, type), `balance` (time, substrate,
    LEDGER) the books since the start as amounts: change, decay, from cells, from the border, from bursts, from doses;
    NaN after a stop. `stop` says why the run ended early.
    """

    model: AgentModel
    times: Floats
    counts: Floats
    volumes: Floats
    totals: Floats
    events: Floats
    balance: Floats
    stop: str
    steps: int
    lineage: Lineage | None
    snapshots: tuple[Snapshot, ...]
    base: Floats
    slots: Integers

    def behaviour(self, snapshot: Snapshot, name: str) -> Floats:
        """Return a behaviour of every cell of a snapshot, by its name in the grammar."""
        b = next(b.id for b in self.model.behaviours if name in (b.name, *b.synonyms))
        if self.slots[b] >= 0:
            return snapshot.own[:, self.slots[b]]
        return self.base[snapshot.cell_type, b]


class Record:
    """Arrays that fill while a run goes on."""

    def __init__(self, model: AgentModel, times: Floats, *, snapshots: NDArray[np.bool_]) -> None:
        types, substrates = len(model.cell_types), len(model.substrates)
        self.model, self.times = model, times
        self.counts = np.full((times.size, types, len(STATES)), np.nan)
        self.volumes = np.full((times.size, types, 2), np.nan)
        self.totals = np.full((times.size, substrates), np.nan)
        self.balance = np.full((times.size, substrates, LEDGER), np.nan)
        self.done = 0
        self.events = np.full((times.size, 3, types), np.nan)
        self.wanted = snapshots
        self.snapshots: list[Snapshot] = []

    def take(self, world: World) -> None:
        """Write the present state as the next sample."""
        cells, count, k = world.w.cells, world.count, self.done
        whole = cells.whole[:, :count]
        here = whole[r.STATE] != r.GONE
        kind, state = whole[r.TYPE][here], np.minimum(whole[r.STATE][here], 2)
        types = len(self.model.cell_types)
        volume = cells.real[r.TOTAL, :count][here]
        self.counts[k] = np.bincount(kind * 3 + state, minlength=types * 3).reshape(types, 3)
        self.volumes[k] = np.bincount(kind * 2 + (state > 0), volume, minlength=types * 2).reshape(types, 2)
        fields = world.w.fields
        self.totals[k] = totals(fields, world.w.box.nx)
        self.balance[k] = balance(fields, self.totals[k], world.first_totals)
        self.events[k] = world.tally.events
        if self.wanted[k]:
            self.snapshots.append(snapshot(world))
        self.done += 1

    def finish(self, world: World) -> AgentRun:
        """Return the result."""
        return AgentRun(
            model=self.model, times=self.times, counts=self.counts, volumes=self.volumes, totals=self.totals,
            events=self.events, balance=self.balance, stop=world.stop, steps=world.step,
            snapshots=tuple(self.snapshots), lineage=world.tally.lineage(world.w.cells, world.count),
            base=world.types.base, slots=world.types.slot,
        )  # fmt: skip


def snapshot(world: World) -> Snapshot:
    """Return a copy of every cell and field."""
    cells, count, layout = world.w.cells, world.count, world.layout
    here = np.flatnonzero(cells.whole[r.STATE, :count] != r.GONE)
    real, whole, identity = cells.real[:, here], cells.whole[:, here].astype(np.int64), cells.identity[:, here]
    codes = np.zeros((layout.types, 6), dtype=np.int64)
    for kind in world.model.cell_types:
        codes[kind.id, : len(kind.cycle.model.phases)] = [p.code for p in kind.cycle.model.phases]
    state = whole[r.STATE]
    phase = codes[whole[r.TYPE], np.minimum(whole[r.PHASE], 5)]
    for dead, code in _DEAD_CODES.items():
        phase[state == dead] = code
    density = world.w.fields.density
    stride, nx = density.shape[-1], world.w.box.nx
    voxel = np.where(whole[r.VOXEL] >= 0, whole[r.VOXEL] // stride * nx + whole[r.VOXEL] % stride, -1)
    inside = np.zeros((here.size, 0))
    if layout.inside >= 0:
        inside = real[layout.inside : layout.inside + layout.substrates].T
    return Snapshot(
        time=world.time, id=identity[r.ID], parent=identity[r.PARENT], cell_type=whole[r.TYPE], state=state,
        phase_code=phase, voxel=voxel, position=real[r.X : r.Z + 1].T.copy(), radius=real[r.RADIUS],
        volume=real[r.TOTAL], nuclear_volume=real[r.NUCLEAR], fluid=real[r.FLUID], pressure=real[r.PRESSURE],
        damage=real[r.DAMAGE], attack_time=real[r.ATTACK_TIME], delivered=real[r.DELIVERED], elapsed=real[r.ELAPSED],
        birth=real[r.BIRTH], death=real[r.DEATH], internalised=inside, own=cells.vary[:, here].T.copy(),
        density=density[..., :nx].copy(),
    )  # fmt: skip
