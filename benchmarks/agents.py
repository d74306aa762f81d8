"""Seconds per simulated hour of agent models, against PhysiCell 1.14.2's, scaled to this machine's speed.

`python -m benchmarks agents [CASE ...]` prints one line of JSON. The packed cases are tumours of touching cells that
divide and die, with oxygen; the others are models of the reference folder beside the checkout. PhysiCell's seconds
were taken on a machine whose fused multiply-adds ran at 132 GFLOP/s and whose memory gave 34 GB/s on one thread: they
are scaled by what this machine does just before and after each case, by the mean of both factors.
On one thread all are seconds of the processor's time.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: the peak is that of one core

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from atmpsim.kernels.agents.clock import STAGES

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
SECONDS = 4.0  # that each case runs for at least
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
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
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


class TimedCrew(Crew):
    """A crew that books the seconds of each kernel that it runs."""

    def __init__(self, threads: int, clock: Callable[[], float]) -> None:
        super().__init__(threads)
        self.clock = clock
        self.seconds: dict[str, float] = {}

    def run(self, kernel: Callable[..., Any], *arguments: Any, barrier: Any = None) -> None:
        """Call the kernel in every thread."""
        started = self.clock()
        super().run(kernel, *arguments, barrier=barrier)
        name = kernel.__name__
        self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - started


def load(name: str) -> AgentModel:
    """Return the model of a case."""
    if name[1] == "d" and name[0] in "23":
        return packed(int(float(name.split()[1])), deep=name[0] == "3")
    return load_agents(REFERENCE / name / "PhysiCell_settings.xml", compatibility=PHYSICELL)


def measure(name: str, scheme: str, threads: int) -> dict[str, object]:
    """Return seconds per simulated hour, and where they go."""
    clock = time.process_time if threads == 1 else time.perf_counter  # beside other programs one thread waits
    started = time.perf_counter()
    model = load(name)
    world = World(model, seed=1, scheme=scheme, threads=threads, field_steps={})
    with TimedCrew(threads, clock) as crew:
        world.prepare(crew)
        world.forward(crew, 1)  # compiles, or loads what has been compiled
        first = time.perf_counter() - started
        world.forward(crew, world.phenotype_every)
        crew.seconds.clear()
        world.w.spent[:] = 0
        cell_steps, elapsed = 0.0, 0.0
        begin, lists, steps = world.time, int(world.w.memory[a.LISTS]), world.step
        while elapsed < SECONDS or name in WHOLE:
            if name in WHOLE and world.time >= WHOLE[name]:
                break
            t = clock()
            world.forward(crew, world.step + world.phenotype_every)
            elapsed += clock() - t
            cell_steps += world.count * world.phenotype_every
        steps = world.step - steps
        seconds = _by_stage(world, crew, elapsed)
    voxel_steps = len(model.substrates) * np.prod(model.domain.shape) * steps * max(world.w.fields.substeps, 1)
    return {
        "seconds_per_hour": elapsed / (world.time - begin) * 60.0,
        "cells": world.count,
        "ns_per_cell_step": 1e9 * (elapsed - seconds["fields"]) / cell_steps,
        "ns_per_voxel_step": 1e9 * seconds["fields"] / voxel_steps,
        "share": {k: round(v / elapsed, 4) for k, v in seconds.items() if v > 0.0},
        "lists_per_step": (int(world.w.memory[a.LISTS]) - lists) / steps,
        "first_step_s": first,
        "bytes_per_cell": world.bytes_per_cell() * world.w.cells.real.shape[1] / world.count,
        "peak_memory_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _by_stage(world: World, crew: TimedCrew, elapsed: float) -> dict[str, float]:
    """Return the seconds of each stage of the mechanics steps, of each kernel beside them, and of what is left."""
    kernels = dict(crew.seconds)
    stepping, cycles = kernels.pop("advance"), world.w.spent / world.w.spent.sum()
    found = {stage: float(part * stepping) for stage, part in zip(STAGES, cycles, strict=True)}
    found["fields"] += kernels.pop("split_steps", 0.0)
    return found | kernels | {"rest": elapsed - stepping - sum(crew.seconds.values()) + crew.seconds["advance"]}


def main(arguments: list[str]) -> None:
    """Measure the named cases, or all but the largest.

    `threads=N` runs them on N threads, `fields=SCHEME` with one scheme; `3d_1000000` names the largest case.
    """
    options = dict(x.split("=") for x in arguments if "=" in x)
    threads = int(options.get("threads", 1))
    named = [x.replace("_", " ", 1) if x[1] == "d" else x for x in arguments if "=" not in x]
    report: dict[str, object] = {"threads": threads}
    for name in named or CASES:
        for scheme in [options["fields"]] if "fields" in options else ["physicell", "implicit"]:
            before, found, after = peaks(), measure(name, scheme, threads), peaks()
            gflops, gbytes = (0.5 * (x + y) for x, y in zip(before, after, strict=True))
            found |= {"gflops": gflops, "gbytes_per_s": gbytes}
            if name in PEER:
                faster = 0.5 * (gflops / GFLOPS + gbytes / GBYTES)
                found["times_physicell"] = PEER[name] / faster / float(found["seconds_per_hour"])
            report[f"{name} {scheme}"] = {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}
    print(json.dumps(report))
