"""Runs of a table by the agent engine: one at a time, each with random numbers and checkpoints of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents import outputs as o
from atmpsim.agents.face import TIME_UNITS
from atmpsim.agents.settable import words
from atmpsim.agents.spec import AgentModel
from atmpsim.engines.agents import AgentRun, Snapshot, simulate_agents
from atmpsim.engines.agents_ledger import (
    DECAYED,
    FROM_BORDER,
    FROM_BURSTS,
    FROM_CELLS,
    FROM_DOSES,
    imbalance,
)
from atmpsim.engines.agents_tally import ENTRIES, INFECTIONS, LYSES
from atmpsim.engines.trajectory import Status
from atmpsim.errors import InputError
from atmpsim.scenario.agent_doses import set_up
from atmpsim.scenario.agent_inputs import field_scheme, field_steps, snapshot_times
from atmpsim.scenario.rows import Group, positions, rows
from atmpsim.scenario.table import RunTable
from atmpsim.study.labels import Labels, run_label
from atmpsim.study.solved import Columns, FloatArray, Saving, Solved, stacked

CELLS, LINEAGE = "cells", "lineage"
_PROBED = 20  # phenotype steps
_BOOKS = dict(zip(o.BOOKED, (DECAYED, FROM_CELLS, FROM_BORDER, FROM_BURSTS, FROM_DOSES), strict=True))


def run_agents(
    table: RunTable, labels: Labels, group: Group, *, threads: int | None, saving: Saving | None = None
) -> Solved:
    """Return some runs of an agent model; a run that cannot go on keeps what it had."""
    assert table.agents is not None
    where = f"{table.inputs.name if table.inputs else ''}.toml"
    made = [_one(table, group, k, threads or 1, saving, where) for k in range(group.members.size)]
    known = {name: table.model.quantities[name].value for name in labels.parameters}
    given = [_given(group, k) for k in range(len(made))]
    curves = {name: np.stack([run.curves[name] for run in made]) for name in table.keep}
    return Solved(
        curves=curves, parameters=np.array([[g.get(k, v) for k, v in known.items()] for g in given], dtype=np.float64),
        status=[run.status for run in made], steps=[run.steps for run in made], messages=[run.message for run in made],
        fields={name: np.stack([run.fields[name] for run in made]) for name in made[0].fields},
        tables=stacked([_of_run(run.tables, int(number)) for run, number in zip(made, group.members, strict=True)]),
    )  # fmt: skip


def _of_run(tables: Mapping[str, Columns], number: int) -> dict[str, Columns]:
    return {
        name: {**columns, "run": np.full(columns["run"].size, number, dtype=np.int64)}
        for name, columns in tables.items()
    }


def seed_of(table: RunTable, run: int) -> int:
    """Return the seed of a run: the root seed for the first subject, draw and replicate, else one hashed from all.

    Arms and points of a sweep share it, so that they begin with the same cells and draws.
    """
    where = {name: int(p[0]) for name, p in positions(table, np.array([run])).items()}
    assert table.inputs is not None
    population = table.population
    root = table.inputs.seed if population is None else population.seed
    own = [where.get("draw", 0), where["subject"], where["replicate"]]
    apart = population is not None and not population.same_in_every_arm
    if not any(own) and not apart:
        return root
    said = json.dumps([root, "agents", *own, *([table.arms[where["arm"]][0]] if apart else [])])
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "little") >> 1


def timed(table: RunTable) -> float:
    """Return how many seconds a run takes, by a first stretch of the first one; growth may make it longer."""
    group = rows(table, 0, 1)[0]
    assert table.agents is not None
    minutes = TIME_UNITS[table.model.time_unit]
    model = set_up(table.agents, _given(group, 0), group.schedules[0], minutes=minutes, seed=0, where="probe")
    end = float(table.times[-1]) * minutes
    stretch = min(_PROBED * model.steps.phenotype, end)
    options = table.scenario.agents

    def seconds(until: float) -> float:
        started = monotonic()
        simulate_agents(
            model, times=np.array([0.0, until]) if until else np.zeros(1), seed=0, fields=field_scheme(options)
        )
        return monotonic() - started

    seconds(stretch)  # the first call compiles
    return (seconds(stretch) - seconds(0.0)) * end / stretch


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    curves: Mapping[str, FloatArray]
    fields: Mapping[str, NDArray[np.float32]]
    tables: Mapping[str, Columns]
    status: int
    steps: int
    message: str


def _given(group: Group, k: int) -> dict[str, float]:
    return {name: float(np.broadcast_to(v, group.members.size)[k]) for name, v in group.given.items()}


def _one(table: RunTable, group: Group, k: int, threads: int, saving: Saving | None, where: str) -> _Run:
    """Return the run of one member of a group."""
    assert table.agents is not None
    number, options = int(group.members[k]), table.scenario.agents
    seed, minutes = seed_of(table, number), TIME_UNITS[table.model.time_unit]
    shots = snapshot_times(table.scenario, where=where)
    checkpoint = None if saving is None else saving.folder / f"run-{number}.npz"
    try:
        model = set_up(table.agents, _given(group, k), group.schedules[int(group.which[k])], minutes=minutes,
                       seed=seed, where=where)  # fmt: skip
        found = simulate_agents(
            model, times=table.times * minutes, seed=seed, threads=threads, fields=field_scheme(options),
            field_steps=field_steps(table.scenario, model, where=where), snapshots=shots * minutes,
            lineage=options.lineage, max_cells=options.max_cells, checkpoint=checkpoint,
            checkpoint_every=model.steps.phenotype, checkpoint_pause=0.0 if saving is None else saving.pause,
            halt=None if saving is None else saving.halt,
        )  # fmt: skip
    except InputError as error:
        return _failed(table, shots.size, f"{run_label(table, number)}: {error}")
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    message = ""
    if found.stop:
        message = (f"{run_label(table, number)}: found that {found.stop}, expected a run to the end. Change what "
                   "drives it there, or agents.max_cells; what came before is kept.")  # fmt: skip
    return _Run(
        curves=_curves(table, found), fields=_fields(table, found, shots.size), tables=_tables(table, found),
        status=Status.STOPPED if found.stop else Status.OK, steps=found.steps, message=message,
    )  # fmt: skip


def _curves(table: RunTable, found: AgentRun) -> dict[str, FloatArray]:
    assert table.agents is not None
    known = {one.id: one for one in o.outputs(table.agents)}
    return {name: curve(known[name], found) for name in table.keep}


def curve(output: o.Output, found: AgentRun) -> FloatArray:
    """Return an output of a run over time."""
    k = output.of
    if output.kind in _BOOKS:
        return found.balance[:, k, _BOOKS[output.kind]]
    if output.kind == o.IMBALANCE:
        return imbalance(found.balance[:, k])
    if output.kind == o.PER_LYSED:
        with np.errstate(invalid="ignore", divide="ignore"):
            lysed = found.events[:, LYSES, output.per]
            return np.where(lysed > 0, found.events[:, INFECTIONS, k] / lysed, np.nan)
    arrays = {
        o.LIVE: found.counts[:, :, 0], o.APOPTOTIC: found.counts[:, :, 1], o.NECROTIC: found.counts[:, :, 2],
        o.VOLUME: found.volumes[:, :, 0], o.DEAD_VOLUME: found.volumes[:, :, 1], o.AMOUNT: found.totals,
        o.INFECTED: found.events[:, INFECTIONS], o.LYSED: found.events[:, LYSES], o.ENTERED: found.events[:, ENTRIES],
    }  # fmt: skip
    return arrays[output.kind][:, k]


def kept_fields(table: RunTable) -> dict[str, int]:
    """Return the substrates whose fields are kept, by id."""
    assert table.agents is not None
    if not table.scenario.agents.snapshots:
        return {}
    wanted = table.scenario.agents.snapshot_fields
    return {name: k for k, name in enumerate(words(table.agents)[1]) if wanted is None or name in wanted}


def _fields(table: RunTable, found: AgentRun, shots: int) -> dict[str, NDArray[np.float32]]:
    made = no_fields(table, shots)
    for name, k in kept_fields(table).items():
        for number, shot in enumerate(found.snapshots):
            with np.errstate(over="ignore"):  # beyond 3e38 it is infinite
                made[name][number] = shot.density[k]
    return made


def no_fields(table: RunTable, shots: int) -> dict[str, NDArray[np.float32]]:
    """Return fields (snapshot, z, y, x) of which nothing is known."""
    assert table.agents is not None
    shape = (shots, *table.agents.domain.shape[::-1])
    return {name: np.full(shape, np.nan, dtype=np.float32) for name in kept_fields(table)}


def _tables(table: RunTable, found: AgentRun) -> dict[str, Columns]:
    made: dict[str, Columns] = {}
    if table.scenario.agents.snapshots:
        shots = [_cells(found.model, shot, k) for k, shot in enumerate(found.snapshots)] or [_no_cells(found.model)]
        made[CELLS] = stacked([{CELLS: shot} for shot in shots])[CELLS]
    if table.scenario.agents.lineage:
        line = found.lineage
        minutes = TIME_UNITS[table.model.time_unit]
        assert line is not None
        made[LINEAGE] = {
            "run": np.zeros(line.id.size, np.int64), "id": line.id, "parent": line.parent,
            "type": line.cell_type.astype(np.int16), "birth": line.birth / minutes, "death": line.death / minutes,
            "end": line.end / minutes,
        }  # fmt: skip
    return made


def _cells(model: AgentModel, shot: Snapshot, number: int) -> dict[str, NDArray[Any]]:
    """Return the cells of one snapshot, by id."""
    own = shot.by_id()
    small = {
        "x": own.position[:, 0], "y": own.position[:, 1], "z": own.position[:, 2], "radius": own.radius,
        "volume": own.volume, "nuclear_volume": own.nuclear_volume, "pressure": own.pressure, "damage": own.damage,
        **{f"internalised_{name}": own.internalised[:, k] for k, name in enumerate(words(model)[1])
           if model.options.track_internalised},
    }  # fmt: skip
    with np.errstate(over="ignore"):
        floats = {k: v.astype(np.float32) for k, v in small.items()}
    return {
        "run": np.zeros(own.id.size, np.int64), "snapshot": np.full(own.id.size, number, np.int32), "id": own.id,
        "parent": own.parent, "type": own.cell_type.astype(np.int16), "state": own.state.astype(np.int8),
        "phase_code": own.phase_code.astype(np.int16), **floats,
    }  # fmt: skip


def _no_cells(model: AgentModel) -> dict[str, NDArray[Any]]:
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    tracked = len(model.substrates) if model.options.track_internalised else 0
    nothing = Snapshot(
        time=0.0, id=whole, parent=whole, cell_type=whole, state=whole, phase_code=whole, voxel=whole,
        position=np.zeros((0, 3)), radius=real, volume=real, nuclear_volume=real, fluid=real, pressure=real,
        damage=real, attack_time=real, delivered=real, elapsed=real, birth=real, death=real,
        internalised=np.zeros((0, tracked)), own=np.zeros((0, 0)), density=np.zeros(0),
    )  # fmt: skip
    return _cells(model, nothing, 0)


def _failed(table: RunTable, shots: int, message: str) -> _Run:
    """Return a run that could not begin."""
    assert table.agents is not None
    nothing: dict[str, Columns] = {}
    if table.scenario.agents.snapshots:
        nothing[CELLS] = _no_cells(table.agents)
    if table.scenario.agents.lineage:
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        nothing[LINEAGE] = {"run": whole, "id": whole, "parent": whole, "type": whole.astype(np.int16), "birth": real,
                            "death": real, "end": real}  # fmt: skip
    curves = {name: np.full(table.times.size, np.nan) for name in table.keep}
    return _Run(curves=curves, fields=no_fields(table, shots), tables=nothing, status=Status.STOPPED, steps=0,
                message=message)  # fmt: skip
