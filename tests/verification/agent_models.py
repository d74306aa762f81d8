"""Small agent models for tests: cells that do nothing unless told to, in a square."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from atmpsim.agents.cycles import LIVE
from atmpsim.agents.extension import Extension
from atmpsim.agents.spec import (
    AgentModel,
    CellType,
    Cycle,
    Death,
    Domain,
    InitialCells,
    Interactions,
    Mechanics,
    Motility,
    Options,
    Secretion,
    Steps,
    Substrate,
)
from atmpsim.engines.agents import simulate_agents

NEVER = Death(
    rate=0.0, phase_rates=(1 / 60,), phase_fixed=(True,), unlysed_fluid_rate=0.05, lysed_fluid_rate=0.0,
    cytoplasmic_rate=0.01, nuclear_rate=0.01,
)  # fmt: skip


def cell_type(number: int = 0, of: int = 1, substrates: int = 1, **changes) -> CellType:
    """Return a type that does nothing unless told to."""
    none, zero = (0.0,) * substrates, (0.0,) * of
    kind = CellType(
        id=number, name=f"type {number}", apoptosis=NEVER, necrosis=NEVER,
        cycle=Cycle(model=LIVE, rates=(0.0,), fixed=(False,), asymmetric_division=zero),
        mechanics=Mechanics(adhesion=0.0, repulsion=0.0, affinities=(1.0,) * of),
        motility=Motility(sensitivities=none),
        secretion=Secretion(rates=none, targets=(1.0,) * substrates, uptake=none, export=none),
        interactions=Interactions(phagocytose_live=zero, attack=zero, fuse=zero, immunogenicity=(1.0,) * of),
        transformations=zero,
    )  # fmt: skip
    return replace(kind, **changes)


def model_of(types, places, kinds=None, *, substrates=None, half=200.0, options=None, extension=None, **steps):
    """Return a model in a square of 2 `half` um."""
    places = np.asarray(places, dtype=np.float64).reshape(-1, 3)
    return AgentModel(
        name="test", domain=Domain(lower=(-half, -half, -10.0), upper=(half, half, 10.0), two_dimensional=True),
        steps=Steps(end=600.0, **steps), options=options or Options(),
        substrates=substrates or (Substrate(id=0, name="a"),), cell_types=tuple(types),
        cells=InitialCells(
            positions=places, types=np.zeros(len(places), np.int64) if kinds is None else np.asarray(kinds),
            volumes=np.full(len(places), np.nan), values=np.zeros((len(places), 0)),
        ),
        extension=extension or Extension(),
    )  # fmt: skip


def run(model, *times, **options):
    return simulate_agents(model, times=np.array(times, dtype=float), snapshots=True, **{"seed": 1, **options})
