"""The whole state of one agent run, and how it goes through a stretch of time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from atmpsim.agents.rules import RuleTables, compile_rules
from atmpsim.agents.spec import AgentModel
from atmpsim.engines.agents_cells import fill_type, make_cells, room_for, with_room
from atmpsim.engines.agents_crew import Crew
from atmpsim.engines.agents_fields import IMPLICIT, SPLIT, in_lines, make_fields, make_solver, make_sweeps
from atmpsim.engines.agents_ledger import fold, totals
from atmpsim.engines.agents_tables import make_box, make_layout, make_quirks, make_types
from atmpsim.engines.agents_tally import Tally
from atmpsim.engines.agents_therapy import inject, make_therapy, make_timetable, newcomers
from atmpsim.errors import ModelError
from atmpsim.kernels.agents import advance as a
from atmpsim.kernels.agents import rows as r
from atmpsim.kernels.agents.barrier import BARRIER_WORDS
from atmpsim.kernels.agents.clock import STAGES
from atmpsim.kernels.agents.forces import BY_CELL, BY_TYPE, UNIFORM
from atmpsim.kernels.agents.interactions import FAR
from atmpsim.kernels.agents.lists import Neighbours
from atmpsim.kernels.agents.pairs import FORCE, RECORD
from atmpsim.kernels.agents.phenotype import live_on
from atmpsim.kernels.agents.population import divide, order_cells, refresh, reorder
from atmpsim.kernels.agents.response import measure_slopes
from atmpsim.kernels.agents.sources import Tenants
from atmpsim.kernels.agents.therapy import therapy_step
from atmpsim.kernels.agents.vectors import LANES

FIELD_STEP = 1.0  # min, of an implicit step: fields follow cells, whose rates change every phenotype step
NOTHING = 1e-100  # of a density, in any unit
FIRST_SKIN = 2.0  # um
SKINS = (0.8, 8.0)
ROOM_FOR_NEIGHBOURS = 24
ROOM_FOR_PAIRS = 4  # per cell
BINS = 1 << 21
BLOCK = 24.0  # um, the boxes by which cells are ordered in memory


def steps_in(long: float, short: float, *, where: str) -> int:
    """Return how many short steps make a long one.

    Raises
    ------
    ModelError
        If they do not divide.
    """
    count = round(long / short)
    if count < 1 or abs(count * short - long) > 1e-9 * long:
        raise ModelError(where=where, found=f"{long:g} min", expected=f"a multiple of {short:g} min")
    return count


class World:
    """Cells, fields and clocks of one run; `forward` moves it on."""

    def __init__(
        self, model: AgentModel, *, seed: int, scheme: str, threads: int, field_steps: Mapping[str, float],
        lineage: bool = False,
    ) -> None:  # fmt: skip
        self.model, self.seed, self.scheme = model, np.uint64(seed), scheme
        self.types, self.layout = make_types(model), make_layout(model)
        self.rules: RuleTables = compile_rules(model)
        self.therapy, self.timetable = make_therapy(model), make_timetable(model, seed)
        self.tally = Tally(model, lineage=lineage)
        steps = model.steps
        self.phenotype_every = steps_in(steps.phenotype, steps.mechanics, where=f"{model.name} dt_phenotype")
        if scheme == SPLIT:
            steps_in(steps.mechanics, steps.diffusion, where=f"{model.name} dt_mechanics")
        acts = self._may(r.PHAGOCYTOSE_APOPTOTIC, r.PHAGOCYTOSE_NECROTIC, r.PHAGOCYTOSE_LIVE, r.ATTACK, r.FUSE)
        crawls = bool(self.types.number[:, r.T_MOTILE].any())
        attaches = model.options.springs and self._may(r.ATTACHMENT)
        springs = model.options.springs and (attaches or self._may(r.ATTACK))
        cells, self.count = make_cells(model, self.types, self.layout, springs=springs, seed=seed)
        self.next_id = self.count
        self.skin = FIRST_SKIN
        self.max_cells = 2**31 - 1
        self.stop = ""
        self.plan = a.Plan(
            affinities=self._affinities(), crawls=crawls, acts=acts, springs=springs, attaches=attaches,
            contacts=self.layout.contact >= 0, phenotype_every=self.phenotype_every,
        )  # fmt: skip
        every = [self._field_step(s.name, field_steps) for s in model.substrates]
        fields = make_fields(model, scheme=scheme, every=np.array(every, dtype=np.int64))
        voxels = fields.slopes.shape[1]
        room = cells.real.shape[1]
        self._start = np.zeros(BINS + 2, np.int64)
        self.w = a.World(
            cells=cells, types=self.types, layout=self.layout, quirks=make_quirks(model), box=make_box(model),
            near=self._neighbours(room, ROOM_FOR_NEIGHBOURS, ROOM_FOR_PAIRS * self.count),
            tenants=self._tenants(voxels, room, threads),
            fields=fields, sweeps=make_sweeps(model, fields.fixed, threads=threads),
            solver=make_solver(model, fields.fixed if scheme == IMPLICIT else fields.fixed[:, :1, :1, :LANES]),
            plan=self.plan,
            memory=np.zeros(a.MEMORY, np.int64), stale=np.ones(threads, np.uint8),
            longest=np.zeros(threads, np.int64), spent=np.zeros(len(STAGES), np.int64),
            barrier=np.zeros(BARRIER_WORDS, np.int64),
        )  # fmt: skip
        self.first_totals = totals(fields, self.w.box.nx)
        self._density = fields.density.reshape(fields.slopes.shape)  # (substrate, voxel)

    def _may(self, *kinds: int | np.integer) -> bool:
        """Return whether a behaviour of these kinds is, or may become, more than 0 in some cell."""
        ids = [b.id for b in self.model.behaviours if b.kind in kinds]
        ruled = {rule.behaviour for rule in self.model.rules}
        return bool(self.types.base[:, ids].any()) or any(i in ruled or self.types.slot[i] >= 0 for i in ids)

    def _affinities(self) -> int:
        first = self.types.first[r.ADHESIVE_AFFINITY]
        if (self.types.slot[first : first + self.layout.types] >= 0).any():
            return BY_CELL
        return UNIFORM if (self.types.affinity == 1.0).all() else BY_TYPE

    def _field_step(self, name: str, wanted: Mapping[str, float]) -> int:
        steps = self.model.steps
        step = wanted.get(name, max(steps.mechanics, min(FIELD_STEP, steps.phenotype)))
        if self.scheme != IMPLICIT:
            return 1
        every = steps_in(step, steps.mechanics, where=f"field step of {name}")
        if self.phenotype_every % every:
            raise ModelError(where=f"field step of {name}", found=f"{step:g} min",
                             expected=f"a part of the phenotype step, {steps.phenotype:g} min")  # fmt: skip
        return every

    def _neighbours(self, room: int, width: int, pairs: int) -> Neighbours:
        pairs += -pairs % LANES
        records = in_lines((room + 1, RECORD))
        records[-1, :3] = FAR
        return Neighbours(
            who=np.zeros((room, width), np.uint32), number=np.zeros(room, np.uint32),
            mine=np.zeros(room + 1, np.int64), theirs=np.zeros(room + 1, np.int64), others=np.zeros(pairs, np.uint32),
            first=np.zeros(pairs, np.uint32), second=np.zeros(pairs, np.uint32), records=records,
            forces=in_lines((pairs, FORCE)), chance=np.zeros(room), order=np.zeros(room, np.uint32),
            bin=np.zeros(room, np.int32), sorted=np.zeros((4, room)), start=self._start,
            grid=np.zeros(4), shape=np.ones(3, np.int64),
        )  # fmt: skip

    @staticmethod
    def _tenants(voxels: int, room: int, threads: int) -> Tenants:
        return Tenants(
            head=np.zeros(voxels, np.int32), after=np.zeros(room, np.int32), moved=np.zeros(room, np.int32),
            movers=np.zeros((threads, 8), np.int64), dirty=np.zeros(voxels, np.uint8),
            changed=np.zeros(voxels, np.int64), number=np.zeros(1, np.int64),
        )  # fmt: skip

    @property
    def step(self) -> int:
        """Return the number of mechanics steps made."""
        return int(self.w.memory[a.STEP])

    @property
    def time(self) -> float:
        """Return the time, min."""
        return self.step * self.model.steps.mechanics

    def bytes_per_cell(self) -> int:
        """Return the memory that one more cell takes."""
        near = self.w.near
        arrays = (*self.w.cells, *near[: near._fields.index("start")], self.w.tenants.after, self.w.tenants.moved)
        return sum(array.nbytes for array in arrays) // self.w.cells.real.shape[1]

    def prepare(self, crew: Crew) -> None:
        """Work out what follows from the cells, before the first step of a run or of its continuation."""
        if self.step == 0:
            self._refresh(crew)
        self._settle(crew)

    def forward(self, crew: Crew, last: int) -> None:
        """Advance to the mechanics step `last`, and no further than the next phenotype step."""
        if self.scheme == SPLIT:
            self._split_step(crew)
        if self.step % self.phenotype_every == 0:
            self._phenotype(crew)
        if self.stop:
            return
        lists = self.w.memory[a.LISTS]
        first = self.step
        while self.step < last:
            crew.run(a.advance, self.w, self.count, self.skin, self.seed, last)
            if self.w.memory[a.STATUS] == a.NEEDS_ROOM:
                self._widen_lists()
        if self.scheme == SPLIT:
            fold(self.model, self.w.fields, self._dt_field)
        made = self.w.memory[a.LISTS] - lists - 1  # those of a phenotype step do not count: they come with any skin
        self._suit_skin(max(made, 0) / (last - first))

    def _split_step(self, crew: Crew) -> None:
        w = self.w
        crew.run(
            a.split_steps, w.cells, self.layout, w.tenants, w.fields, w.sweeps, 1, self._dt_field, barrier=w.barrier
        )  # fmt: skip

    def _widen_lists(self) -> None:
        """Make room for as many neighbours and pairs as were just found."""
        longest, pairs = int(self.w.memory[a.LONGEST]), int(self.w.memory[a.PAIRS])
        near = self.w.near
        width = near.who.shape[1] if longest < near.who.shape[1] else int(1.25 * longest) + 4
        pairs = near.first.size if pairs <= near.first.size else int(1.1 * pairs)
        self.w = self.w._replace(near=self._neighbours(self.w.cells.real.shape[1], width, pairs))

    def _suit_skin(self, lists_per_step: float) -> None:
        """Widen the skin where lists grow old fast, and narrow it where they last."""
        if lists_per_step > 0.15:
            self.skin = min(1.25 * self.skin, SKINS[1])
        elif lists_per_step < 0.03:
            self.skin = max(0.9 * self.skin, SKINS[0])

    def _phenotype(self, crew: Crew) -> None:
        w = self.w
        if self.step == 0:
            edges = not w.quirks.flat_edges
            crew.run(measure_slopes, w.fields.density, w.box.nx, w.box, w.fields.wanted, w.fields.slopes, edges)
        self._check_fields()
        if self.stop:
            return
        fields = self._density, w.fields.slopes
        crew.run(
            live_on, w.cells, self.count, w.types, w.layout, w.quirks, self.rules, fields, w.box, self.time, self.seed,
            self.step,
        )  # fmt: skip
        if not self.model.extension.empty:
            self._therapy()
            w = self.w
        births = int(np.count_nonzero(w.cells.whole[r.FATE, : self.count] == r.DIVIDES))
        if self.stop or not self._fits(self.count + births):
            return
        self.make_room(self.count + births)
        w = self.w
        if births:
            self.count, self.next_id = divide(
                w.cells, self.count, w.types, w.layout, w.box, w.quirks, self.time, self.seed, self.step, self.next_id
            )
        room = self.count
        keys, order, place = (np.empty(room, np.int32) for _ in range(3))
        self.count = int(order_cells(w.cells, self.count, w.box, BLOCK, keys, self._start, order, place))
        self.tally.left(w.cells, place, self.time)
        spare = [np.empty((crew.threads, self.count), kind) for kind in (np.float64, np.int32, np.int64)]
        crew.run(reorder, w.cells, self.count, order, place, *spare)
        self._refresh(crew)
        self._settle(crew)

    def _fits(self, count: int) -> bool:
        """Return whether there may be so many cells; if not, the run stops."""
        if count > self.max_cells:
            self.stop = f"at {self.time:g} min the population would exceed {self.max_cells} cells"
        return count <= self.max_cells

    def _check_fields(self) -> None:
        """Stop where a density is not finite; take one that has decayed to nothing for 0, for solvers square it."""
        density = self.w.fields.density
        for s, substrate in enumerate(self.model.substrates):
            low, high = float(density[s].min()), float(density[s].max())
            if not (np.isfinite(low) and np.isfinite(high)):
                self.stop = f"at {self.time:g} min the density of {substrate.name} is not finite"
            elif 0.0 < max(high, -low) < NOTHING:
                density[s] = 0.0

    def _therapy(self) -> None:
        """Let viruses act in cells, and cells come in."""
        w, layout = self.w, self.layout
        density, fixed = self._density, w.fields.fixed.reshape(self._density.shape)
        before = w.cells.whole[[r.TYPE, r.FATE], : self.count]
        therapy_step(
            w.cells, self.count, w.types, layout, w.quirks, self.therapy, density, fixed, w.fields.ledger,
            w.fields.voxel_volume, w.box.dt_phenotype, self.seed, self.step,
        )  # fmt: skip
        self.tally.therapy(before, w.cells, self.count)
        inject(self.model, w.fields, step=self.step)
        new = newcomers(self.model, self.timetable, w.cells, self.count, density, step=self.step, seed=int(self.seed))
        begin, end = self.count, self.count + new.kind.size
        if begin == end or not self._fits(end):
            return
        self.tally.entered(new.kind)
        self.make_room(end)
        cells = self.w.cells
        cells.real[:, begin:end], cells.whole[:, begin:end] = 0.0, 0
        cells.whole[r.TYPE, begin:end], cells.real[r.X : r.Z + 1, begin:end] = new.kind, new.place.T
        cells.real[layout.clock, begin:end], cells.real[r.BIRTH, begin:end] = new.clock, self.time
        cells.identity[r.ID, begin:end] = np.arange(self.next_id, self.next_id + new.kind.size)
        cells.identity[r.PARENT, begin:end] = -1
        fill_type(self.model, self.types, cells, begin, end)
        self.next_id += new.kind.size
        self.count = end

    def _refresh(self, crew: Crew) -> None:
        w = self.w
        crew.run(refresh, w.cells, self.count, w.types, w.layout, w.fields.voxel_volume, w.box.dt_mechanics)

    def _settle(self, crew: Crew) -> None:
        """Bring the voxels' cells and sources up to date, and let the lists of neighbours be made anew."""
        w = self.w
        if self.scheme == SPLIT:
            self._skip_idle_fields()
        w.stale[:] = 1
        w.memory[a.REORDERED] = 1
        crew.run(
            a.settle_sources, w.cells, self.count, self.layout, w.box, w.tenants, w.fields, w.memory, self._dt_field,
            barrier=w.barrier,
        )  # fmt: skip

    @property
    def _dt_field(self) -> float:
        return self.model.steps.mechanics / max(self.w.fields.substeps, 1)

    def make_room(self, needed: int) -> None:
        """Make the arrays hold at least so many cells."""
        room = self.w.cells.real.shape[1]
        if needed <= room:
            return
        room = room_for(needed)
        self.w = self.w._replace(
            cells=with_room(self.w.cells, room),
            near=self._neighbours(room, self.w.near.who.shape[1], self.w.near.first.size),
            tenants=self._tenants(self.w.tenants.head.size, room, self.w.stale.size),
        )  # fmt: skip

    def _skip_idle_fields(self) -> None:
        """Leave out of the split steps what they would not change: fields that are, and stay, zero everywhere."""
        fields, sweeps, types = self.w.fields, self.w.sweeps, self.types
        for s, substrate in enumerate(self.model.substrates):
            gives = [types.first[kind] + s for kind in (r.SECRETION, r.EXPORT)]
            slots = [types.slot[b] for b in gives if types.slot[b] >= 0]
            free = bool(np.isnan(fields.fixed[s]).all())
            idle = free and not fields.density[s].any() and not types.base[:, gives].any()
            idle = idle and not self.w.cells.vary[slots, : self.count].any()
            still = free and substrate.diffusion == 0.0 and substrate.decay == 0.0
            fields.mapped[s], sweeps.moves[s] = not idle, not (idle or still)
