"""Seconds per simulated hour of agent models, against PhysiCell 1.14.2's, scaled to this machine's speed.

`python -m benchmarks agents [CASE ...]` prints one line of JSON. The packed cases are tumours of touching cells that
divide and die, with oxygen; the others are models of the reference folder beside the checkout. PhysiCell's seconds
were taken on a machine whose fused multiply-adds ran at 132 GFLOP/s and whose memory gave 34 GB/s on one thread: they
are scaled by what this machine does in the same run, by the mean of both factors.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: the peak is that of one core

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atmpsim.agents.cycles import FLOW_SEPARATED
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.spec import (
    PHYSICELL,
    AgentModel,
    CellType,
    Cycle,
    Domain,
    InitialCells,
    Interactions,
    Mechanics,
    Motility,
    Options,
    Rule,
    Secretion,
    Steps,
    Substrate,
)
from atmpsim.engines.agents_crew import Crew
from atmpsim.engines.agents_world import World
from atmpsim.kernels.agents import advance as a

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "physicell-reference"
GFLOPS, GBYTES = 132.0, 34.0  # of the machine that PhysiCell's seconds were taken on
SPACING = 0.95 * 2.0 * 8.4127  # um, between cells in a packed tumour, as PhysiCell's samples place them
MARGIN = 150.0  # um, between tumour and border
# seconds per simulated hour of PhysiCell on one thread
PEER = {
    "2d 10000": 20.4, "2d 100000": 268.0, "3d 10000": 29.0, "3d 100000": 426.0, "b1_motile_immune": 27.1,
    "g3_growth": 113.2 / 120, "g4_rules_sample": 91.0 / 48,
}  # fmt: skip
CASES = ("2d 10000", "2d 100000", "3d 10000", "3d 100000", "b1_motile_immune", "g3_growth", "g4_rules_sample")
WHOLE = {"g3_growth": 7200.0, "g4_rules_sample": 2880.0}  # min; run from begin to end, as populations grow


def peaks() -> tuple[float, float]:
    """Return what one core does: GFLOP/s of fused multiply-adds, and GB/s of a = b + s c."""
    m = np.ones((768, 768))
    flops = _best(lambda: m @ m, 6)
    b, c, out = (np.ones(8_000_000) for _ in range(3))

    def triad() -> None:
        np.multiply(c, 3.0, out=out)
        np.add(out, b, out=out)

    return 2 * 768**3 / flops / 1e9, 5 * b.nbytes / _best(triad, 6) / 1e9


def _best(work: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def packed(cells: int, *, deep: bool) -> AgentModel:
    """Return a round tumour of so many touching cells that divide, starve and die, with oxygen from the border."""
    places = _ball(cells) if deep else _disc(cells)
    edge = 20.0 * np.ceil((np.abs(places).max() + MARGIN) / 20.0)
    lower = (-edge, -edge, -edge if deep else -10.0)
    kind = CellType(
        id=0, name="tumour",
        cycle=Cycle(model=FLOW_SEPARATED, rates=(0.0, 0.00208, 0.00417, 0.0167), fixed=(False, True, True, True),
                    asymmetric_division=(0.0,)),
        mechanics=Mechanics(affinities=(1.0,)), motility=Motility(sensitivities=(0.0,)),
        secretion=Secretion(rates=(0.0,), targets=(1.0,), uptake=(10.0,), export=(0.0,)),
        interactions=Interactions(phagocytose_live=(0.0,), attack=(0.0,), fuse=(0.0,), immunogenicity=(1.0,)),
        transformations=(0.0,),
    )  # fmt: skip
    empty = AgentModel(
        name="packed", domain=Domain(lower=lower, upper=tuple(-x for x in lower), two_dimensional=not deep),
        steps=Steps(end=60.0), options=Options(virtual_wall=True),
        substrates=(Substrate(id=0, name="oxygen", diffusion=1e5, decay=0.1, initial=38.0, boundary=(38.0,) * 6),),
        cell_types=(kind,), compatibility=PHYSICELL,
        cells=InitialCells(positions=places, types=np.zeros(cells, np.int64), volumes=np.full(cells, np.nan),
                           values=np.zeros((cells, 0))),
    )  # fmt: skip
    signal = {s.name: s.id for s in empty.signals}
    behaviour = {b.name: b.id for b in empty.behaviours}
    rows = (("oxygen", True, "cycle entry", 0.003333, 21.5, 4.0), ("pressure", False, "cycle entry", 0.0, 1.0, 4.0))
    rules = tuple(
        Rule(
            cell_type=0, signal=signal[s], increases=up, behaviour=behaviour[b], saturation=m, half_max=h, hill_power=p
        )
        for s, up, b, m, h, p in rows
    )
    return AgentModel(**{k: getattr(empty, k) for k in empty.__dataclass_fields__} | {"rules": rules})


def _nearest(places: np.ndarray, cells: int) -> np.ndarray:
    return np.ascontiguousarray(places[np.argsort((places**2).sum(axis=1), kind="stable")[:cells]])


def _disc(cells: int) -> np.ndarray:
    n = int(1.3 * np.sqrt(cells)) + 4
    i, j = (g.ravel() for g in np.meshgrid(np.arange(-n, n + 1), np.arange(-n, n + 1)))
    x = SPACING * (i + 0.5 * (j % 2))
    return _nearest(np.column_stack([x, SPACING * np.sqrt(0.75) * j, np.zeros(x.size)]), cells)


def _ball(cells: int) -> np.ndarray:
    n = int(np.cbrt(cells)) + 4
    i, j, k = (g.ravel() for g in np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"))
    x = SPACING * (i + 0.5 * ((j + k) % 2))
    y = SPACING * np.sqrt(0.75) * (j + (k % 2) / 3.0)
    z = SPACING * np.sqrt(2.0 / 3.0) * k
    keep = x**2 + y**2 + z**2 < (SPACING * 0.75 * np.cbrt(cells)) ** 2 + 9 * SPACING**2
    return _nearest(np.column_stack([x, y, z])[keep], cells)


def measure(name: str, scheme: str, threads: int) -> dict[str, float]:
    """Return seconds per simulated hour, and where they go."""
    started = time.perf_counter()
    if name[1] == "d" and name[0] in "23":
        model = packed(int(name.split()[1]), deep=name[0] == "3")
    else:
        model = load_agents(REFERENCE / name / "PhysiCell_settings.xml", compatibility=PHYSICELL)
    world = World(model, seed=1, scheme=scheme, threads=threads, field_steps={})
    with Crew(threads) as crew:
        world.prepare(crew)
        world.forward(crew, 1)  # compiles, or loads what has been compiled
        first = time.perf_counter() - started
        world.forward(crew, world.phenotype_every)
        cell_steps, elapsed = 0.0, 0.0
        begin = world.time
        while elapsed < 6.0 or name in WHOLE:
            if name in WHOLE and world.time >= WHOLE[name]:
                break
            t = time.perf_counter()
            world.forward(crew, world.step + world.phenotype_every)
            elapsed += time.perf_counter() - t
            cell_steps += world.count * world.phenotype_every
        hours = (world.time - begin) / 60.0
        in_fields = _fields_alone(world, crew)
    steps = hours * 60.0 / model.steps.mechanics
    voxels = len(model.substrates) * np.prod(model.domain.shape)
    return {
        "seconds_per_hour": elapsed / hours,
        "cells": world.count,
        "ns_per_cell_step": 1e9 * (elapsed - in_fields * steps) / cell_steps,
        "ns_per_voxel_step": 1e9 * in_fields / voxels / max(world.w.fields.substeps, 1),
        "share_of_fields": in_fields * steps / elapsed,
        "lists_per_step": float(world.w.memory[a.LISTS]) / world.step,
        "first_step_s": first,
        "peak_memory_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _fields_alone(world: World, crew: Crew) -> float:
    """Return the seconds that the split steps of one mechanics step take; 0 for implicit ones, which are not apart."""
    w, steps = world.w, 200
    if not w.fields.split:
        return 0.0
    kept = w.fields.density.copy()
    t = time.perf_counter()
    crew.run(
        a.split_steps, w.cells, world.layout, w.tenants, w.fields, w.sweeps, steps,
        w.box.dt_mechanics / w.fields.substeps, barrier=w.barrier,
    )  # fmt: skip
    elapsed = time.perf_counter() - t
    w.fields.density[...] = kept
    return elapsed / steps * w.fields.substeps


def main(arguments: list[str]) -> None:
    """Measure the named cases, or all but the largest; `threads=N` runs them on N threads."""
    threads = next((int(x.split("=")[1]) for x in arguments if x.startswith("threads=")), 1)
    named = [x.replace("_", " ", 1) if x[1] == "d" else x for x in arguments if "=" not in x]
    gflops, gbytes = peaks()
    faster = 0.5 * (gflops / GFLOPS + gbytes / GBYTES)
    report: dict[str, object] = {"gflops": gflops, "gbytes_per_s": gbytes, "threads": threads}
    for name in named or CASES:
        for scheme in ("physicell", "implicit"):
            found = measure(name, scheme, threads)
            if name in PEER:
                found["times_physicell"] = PEER[name] / faster / found["seconds_per_hour"]
            report[f"{name} {scheme}"] = {k: round(v, 4) for k, v in found.items()}
    print(json.dumps(report))
