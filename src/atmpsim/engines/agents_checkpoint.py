"""Write the state of an agent run to a file, whole or not at all, and take it up again."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import fields as fields_of
from pathlib import Path

import numpy as np

from atmpsim.engines.agents_record import Record, Snapshot
from atmpsim.engines.agents_world import World
from atmpsim.errors import ModelError
from atmpsim.kernels.agents import advance as a

FORMAT = 3
_CELLS = ("real", "whole", "identity", "vary")


def fingerprint(world: World, times: np.ndarray, wanted: np.ndarray) -> str:
    """Return a digest of all that decides the course of a run."""
    model = world.model
    parts = [str(FORMAT), model.digest, world.scheme, str(world.seed), str(world.w.fields.every.tolist())]
    parts += [repr(part) for part in (model.domain, model.steps, model.options, model.substrates, model.cell_types)]
    parts += [repr(part) for part in (model.custom, model.rules, model.extension, sorted(world.tally.state()))]
    digest = hashlib.sha256("\0".join(parts).encode())
    for array in (times, wanted, model.cells.positions, model.cells.types, model.cells.volumes, model.cells.values):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_checkpoint(path: Path, world: World, record: Record) -> None:
    """Write cells, fields, clocks and the samples so far; the file is replaced at once."""
    w, n = world.w, world.count
    state = {name: getattr(w.cells, name)[:, :n] for name in _CELLS}
    state |= {"links": w.cells.links[:n], "memory": w.memory, "density": w.fields.density, "slopes": w.fields.slopes}
    state |= {"ledger": w.fields.ledger, "counts": record.counts, "volumes": record.volumes, "totals": record.totals}
    state |= {"sampled_events": record.events, "balance": record.balance, **world.tally.state()}
    for k, shot in enumerate(record.snapshots):
        state |= {f"snapshot_{k}_{f.name}": np.asarray(getattr(shot, f.name)) for f in fields_of(shot)}
    state |= {"clock": np.array([n, world.next_id, record.done]), "skin": np.array(world.skin)}
    state["fingerprint"] = np.array(fingerprint(world, record.times, record.wanted))
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as stream:
        np.savez(stream, **state)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def read_checkpoint(path: Path, world: World, record: Record) -> None:
    """Bring a new world, and its samples, to where a checkpoint of the same run stopped.

    Raises
    ------
    ModelError
        If the file is not a checkpoint, or is one of another run.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {name: stored[name] for name in stored.files}
        same = str(state["fingerprint"]) == fingerprint(world, record.times, record.wanted)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        raise ModelError(where=str(path), found="no checkpoint", expected="a file that a run has written",
                         remedy="Remove it to start anew.") from None  # fmt: skip
    if not same:
        raise ModelError(where=str(path), found="the checkpoint of another run", expected="one of this model and seed",
                         remedy="Remove it to start anew, or name another file.")  # fmt: skip
    n, world.next_id, record.done = (int(v) for v in state["clock"])
    world.make_room(n)
    world.count, world.skin = n, float(state["skin"])
    for name in _CELLS:
        getattr(world.w.cells, name)[:, :n] = state[name]
    world.w.cells.links[:n] = state["links"]
    fields = world.w.fields
    for target, name in ((fields.density, "density"), (fields.slopes, "slopes"), (fields.ledger, "ledger"),
                         (world.w.memory, "memory"), (record.counts, "counts"), (record.volumes, "volumes"),
                         (record.totals, "totals"), (record.events, "sampled_events"),
                         (record.balance, "balance")):  # fmt: skip
        target[...] = state[name]
    world.tally.restore(state)
    for k in range(np.count_nonzero(record.wanted[: record.done])):
        shot = {f.name: state[f"snapshot_{k}_{f.name}"] for f in fields_of(Snapshot)}
        record.snapshots.append(Snapshot(**{**shot, "time": float(shot["time"])}))
    world.w.memory[a.REORDERED] = 1
