"""Run an agent model: cells off the lattice with the grammar's behaviours, in fields that they feed and feel."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.spec import AgentModel
from atmpsim.engines.agents_checkpoint import read_checkpoint, write_checkpoint
from atmpsim.engines.agents_crew import Crew
from atmpsim.engines.agents_fields import SCHEMES
from atmpsim.engines.agents_record import AgentRun, Record, Snapshot
from atmpsim.engines.agents_world import World
from atmpsim.errors import AtmpsimError, ModelError, one_of

__all__ = ["AgentRun", "Halted", "Snapshot", "simulate_agents"]

CELLS_PER_THREAD = 2000  # at the start; with fewer, threads wait for one another longer than they work
MEMORY_SHARE = 0.5  # of the machine's, beyond which a growing population stops the run


class Halted(AtmpsimError):
    """A run ended because it was told to."""


def simulate_agents(
    model: AgentModel,
    *,
    times: NDArray[np.float64] | None = None,
    seed: int | None = None,
    threads: int = 1,
    fields: str = SCHEMES[0],
    field_steps: Mapping[str, float] | None = None,
    snapshots: bool | NDArray[np.float64] = False,
    lineage: bool = False,
    max_cells: int | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: float = 360.0,
    checkpoint_pause: float = 0.0,
    halt: Callable[[], bool] | None = None,
) -> AgentRun:
    """Return what becomes of an agent model.

    Parameters
    ----------
    times
        Sample times, min, sorted, multiples of the mechanics step; by default those of the model. A sample at time t
        is the state before the step that begins at t.
    seed
        0 to 2^64 - 1; by default the model's own, else 0. The result is a function of model, seed, times and fields.
    threads
        At most so many, one for each CELLS_PER_THREAD first cells. Never changes the result.
    fields
        `implicit`: one unsplit implicit step of `field_steps` (min, by substrate; 1 by default), without splitting
        error; `physicell`: PhysiCell's split scheme with the model's diffusion step.
    snapshots
        Whether to keep every cell and field at each sample time, or at which of them.
    lineage
        Whether to keep birth and end of every cell that was ever there.
    max_cells
        The population at which the run stops and says so; by default what fits half of the machine's memory.
    checkpoint
        A file that the state goes to every `checkpoint_every` min, a multiple of the phenotype step; if it is there,
        the run goes on from it. Neither changes the result.
    checkpoint_pause
        The least seconds (of the clock on the wall) between two writings of it.
    halt
        Asked at every phenotype step: where it is true the run writes its checkpoint, if it has one, and ends.

    Raises
    ------
    ModelError
        If times, seed, steps or the checkpoint do not fit.
    Halted
        If `halt` said so.
    """
    if fields not in SCHEMES:
        raise ModelError(where="fields", found=f"'{fields}'", expected=one_of(SCHEMES))
    unknown = set(field_steps or {}) - {s.name for s in model.substrates}
    if unknown:
        raise ModelError(where="field_steps", found=f"'{min(unknown)}'",
                         expected=one_of(s.name for s in model.substrates))  # fmt: skip
    seed = _seed(model, seed)
    times = _times(model) if times is None else np.asarray(times, dtype=np.float64)
    first = len(model.cells.types) + model.cells.random_per_type * len(model.cell_types)
    threads = min(threads, max(1, first // CELLS_PER_THREAD))
    world = World(model, seed=seed, scheme=fields, threads=threads, field_steps=field_steps or {}, lineage=lineage)
    world.max_cells = max_cells or _memory() // world.bytes_per_cell()
    record = Record(model, times, snapshots=_wanted(times, snapshots))
    stops = _steps(model, times)
    with Crew(threads) as crew:
        if checkpoint is not None and checkpoint.exists():
            read_checkpoint(checkpoint, world, record)
        world.prepare(crew)
        save_every = _save_every(world, checkpoint_every) if checkpoint is not None else 0
        _go(world, record, stops, crew, checkpoint, save_every, checkpoint_pause, halt)
    return record.finish(world)


def _go(
    world: World, record: Record, stops: NDArray[np.int64], crew: Crew, checkpoint: Path | None, save_every: int,
    pause: float, halt: Callable[[], bool] | None,
) -> None:  # fmt: skip
    """Advance from sample to sample, never beyond a phenotype step at once, and save on the way."""
    every, saved = world.phenotype_every, monotonic()
    while record.done < stops.size and not world.stop:
        while record.done < stops.size and stops[record.done] == world.step:
            record.take(world)
        if record.done == stops.size:
            return
        world.forward(crew, min(int(stops[record.done]), (world.step // every + 1) * every))
        if halt is not None and world.step % every == 0 and halt():
            if checkpoint is not None and not world.stop:
                write_checkpoint(checkpoint, world, record)
            raise Halted
        due = checkpoint is not None and world.step % save_every == 0 and monotonic() - saved >= pause
        if due and checkpoint is not None and not world.stop:
            write_checkpoint(checkpoint, world, record)
            saved = monotonic()


def _times(model: AgentModel) -> NDArray[np.float64]:
    steps = model.steps
    return np.arange(int(steps.end / steps.save_every + 1e-9) + 1, dtype=np.float64) * steps.save_every


def _steps(model: AgentModel, times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the mechanics step before which each sample is taken."""
    dt = model.steps.mechanics
    steps = np.rint(times / dt).astype(np.int64)
    wrong = np.flatnonzero((np.abs(steps * dt - times) > 1e-9 * np.maximum(times, 1.0)) | (times < 0))
    if wrong.size or np.any(np.diff(steps) <= 0):
        found = f"{times[wrong[0]]:g} min" if wrong.size else "times that do not rise"
        raise ModelError(where="times", found=found, expected=f"rising multiples of the mechanics step, {dt:g} min")
    return steps


def _wanted(times: NDArray[np.float64], snapshots: bool | NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return at which samples a snapshot is taken."""
    if isinstance(snapshots, bool):
        return np.full(times.size, snapshots)
    found = np.isclose(times, np.asarray(snapshots)[:, None], rtol=1e-9, atol=1e-9)
    if not found.any(axis=1).all():
        missing = np.asarray(snapshots)[~found.any(axis=1)][0]
        raise ModelError(where="snapshots", found=f"{missing:g} min", expected="one of the sample times")
    return np.asarray(found.any(axis=0))


def _seed(model: AgentModel, seed: int | None) -> int:
    chosen = model.options.seed if seed is None else seed
    if chosen is None:
        return 0
    if not 0 <= chosen < 2**64:
        raise ModelError(where="seed", found=str(chosen), expected="a number from 0 to 2^64 - 1")
    return chosen


def _save_every(world: World, minutes: float) -> int:
    steps = world.model.steps
    count = round(minutes / steps.phenotype)
    if count < 1 or abs(count * steps.phenotype - minutes) > 1e-9 * minutes:
        raise ModelError(where="checkpoint_every", found=f"{minutes:g} min",
                         expected=f"a multiple of the phenotype step, {steps.phenotype:g} min")  # fmt: skip
    return count * world.phenotype_every


def _memory() -> int:
    return int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
