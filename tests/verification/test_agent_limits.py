"""The agent engine where space does not matter: extinction of one infected cell, and courses of many.

Each voxel without diffusion is a well-mixed vessel, so that one run holds thousands of independent repeats.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from agent_models import cell_type, model_of, run
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from atmpsim.agents.extension import Burst, Clock, Extension, Infection
from atmpsim.agents.spec import Secretion, Substrate, Volume

STEP, ACROSS, SUSCEPTIBLE = 6.0, 10, 99  # min; cells along a voxel's side; cells beside the first infected one
CHANCE = 0.01  # of one particle
HAZARD = -math.log1p(-CHANCE)
SMALL = Volume(total=1.0, nuclear=0.2)  # um^3: cells of a voxel do not touch


def vessels(side, *, burst=None, life=None, export=0.0, diffusion=0.0):
    """Return a model of `side`² voxels, in each of them one infected cell among susceptible ones."""
    taking = Secretion(rates=(0.0,), targets=(1.0,), uptake=(1e9,), export=(0.0,))
    giving = Secretion(rates=(0.0,), targets=(1.0,), uptake=(0.0,), export=(export,))
    kinds = [cell_type(0, 2, secretion=taking, volume=SMALL), cell_type(1, 2, secretion=giving, volume=SMALL)]
    line = (np.arange(side * ACROSS) + 0.5) * 20.0 / ACROSS - 10.0 * side
    places = np.column_stack([*(axis.ravel() for axis in np.meshgrid(line, line)), np.zeros((side * ACROSS) ** 2)])
    first = np.zeros((side * ACROSS,) * 2, dtype=np.int64)
    first[::ACROSS, ::ACROSS] = 1
    extension = Extension(
        infections=(Infection(cell_type=0, substrate=0, becomes=1, probability=CHANCE),),
        clocks=(life or Clock(cell_type=1, stages=0, mean=STEP),), bursts=() if burst is None else (burst,),
    )  # fmt: skip
    virus = Substrate(id=0, name="virus", diffusion=diffusion)
    return model_of(kinds, places, first.ravel(), substrates=(virus,), half=10.0 * side, extension=extension,
                    mechanics=STEP)  # fmt: skip


def extinct(model, side, end, seeds):
    """Return in how many voxels the infection died out, at most half of the cells infected, and of how many."""
    gone = 0
    for seed in seeds:
        last = run(model, end, seed=seed).snapshots[0]
        healthy = np.bincount(last.voxel[last.cell_type == 0], minlength=side**2)
        infected = np.bincount(last.voxel[last.cell_type == 1], minlength=side**2)
        gone += int(np.count_nonzero((healthy > SUSCEPTIBLE / 2) & (infected == 0)))
    return gone, len(seeds) * side**2


def within(found, total, expected):
    """Return whether a binomial number lies within the interval of 99 %."""
    return abs(found - total * expected) < 2.576 * math.sqrt(total * expected * (1.0 - expected))


def amount_for(mean_infected):
    """Return the particles of which the susceptible cells take up each its share, so that so many are infected."""
    return -SUSCEPTIBLE * math.log1p(-mean_infected / SUSCEPTIBLE) / HAZARD


def test_extinction_by_bursts():
    """Check C-8: Poisson offspring, mean 2: q = exp(-2(1 - q)); of 99 cells binomial: q = (1 - (2/99)(1 - q))^99."""
    burst = Burst(cell_type=1, substrate=0, amount=amount_for(2.0))
    found, total = extinct(vessels(50, burst=burst), 50, 14 * STEP, (1, 2, 3, 4))
    assert total == 10_000
    poisson = brentq(lambda q: math.exp(-2.0 * (1.0 - q)) - q, 0.0, 0.9)
    finite = brentq(lambda q: (1.0 - 2.0 / SUSCEPTIBLE * (1.0 - q)) ** SUSCEPTIBLE - q, 0.0, 0.9)
    assert within(found, total, finite)
    assert within(found, total, poisson)


def test_extinction_by_continuous_production():
    """Check C-8: what an exponential life produces is geometric, of mean 2, and an infection dies out by 1/2."""
    burst = Burst(cell_type=1, substrate=0, amount=2.0 / HAZARD, size="geometric")
    found, total = extinct(vessels(50, burst=burst), 50, 18 * STEP, (1, 2, 3, 4))
    assert total == 10_000
    assert within(found, total, 0.5)


def test_export_over_an_exponential_life_makes_geometric_offspring():
    """What is infected turns into a type that does nothing: the numbers infected by each first cell are its offspring.

    A life of J steps has P(J = j) = (1 - e) e^j, e = exp(-dt/life), and J steps of hazard a infect a Poisson number.
    """
    side, life, mean = 20, 36.0, 2.0
    stay = math.exp(-STEP / life)
    hazard = mean * (1.0 - stay) / stay  # of a step: a life has stay / (1 - stay) steps
    model = vessels(side, life=Clock(cell_type=1, stages=1, mean=life), export=hazard / HAZARD / STEP)
    bystander = replace(model.cell_types[1], id=2, name="bystander", secretion=replace(model.cell_types[1].secretion,
                        export=(0.0,)))  # fmt: skip
    kinds = tuple(widened(kind) for kind in (*model.cell_types, bystander))
    turned = replace(model.extension.infections[0], becomes=2)
    model = replace(model, cell_types=kinds, extension=replace(model.extension, infections=(turned,)))
    last = run(model, 8 * life).snapshots[0]
    offspring = np.bincount(last.voxel[last.cell_type == 2], minlength=side**2)
    none = (1.0 - stay) / (1.0 - stay * math.exp(-hazard))
    assert within(np.count_nonzero(offspring == 0), side**2, none)
    assert none == pytest.approx(1.0 / (1.0 + mean), abs=0.05)  # geometric, but for the length of a step
    spread = math.sqrt(mean * (1.0 + mean) / side**2)
    assert abs(offspring.mean() - mean) < 2.576 * spread + mean**2 / SUSCEPTIBLE  # fewer are left for the later ones


def widened(kind):
    """Return a type of a model with three types."""
    none = (0.0,) * 3
    return replace(
        kind, transformations=none, cycle=replace(kind.cycle, asymmetric_division=none),
        mechanics=replace(kind.mechanics, affinities=(1.0,) * 3),
        interactions=replace(kind.interactions, phagocytose_live=none, attack=none, fuse=none,
                             immunogenicity=(1.0,) * 3),
    )  # fmt: skip


def test_a_well_mixed_infection_follows_its_equations():
    """U' = -h k V U; I in three stages; V' = burst * lyses - k (U + I) V - c V: thousands of cells in one voxel."""
    along, size, life, burst, decay = 64, 400.0, 240.0, 1000.0, 0.002
    total, uptake = along**2, 0.05 / along**2  # 1/min of all the virus, by one cell
    takes = Secretion(rates=(0.0,), targets=(1.0,), uptake=(uptake * size**2 * 20.0,), export=(0.0,))
    kinds = [cell_type(k, 2, secretion=takes, volume=SMALL) for k in range(2)]
    line = (np.arange(along) + 0.5) * size / along - size / 2
    places = np.column_stack([*(axis.ravel() for axis in np.meshgrid(line, line)), np.zeros(total)])
    first = (np.arange(total) % 10 == 0).astype(np.int64)
    extension = Extension(
        infections=(Infection(cell_type=0, substrate=0, becomes=1, probability=CHANCE),),
        clocks=(Clock(cell_type=1, stages=3, mean=life),), bursts=(Burst(cell_type=1, substrate=0, amount=burst),),
    )  # fmt: skip
    virus = Substrate(id=0, name="virus", decay=decay)
    model = model_of(kinds, places, first, substrates=(virus,), half=size / 2, extension=extension, mechanics=1.0,
                     phenotype=1.0)  # fmt: skip
    model = replace(model, domain=replace(model.domain, voxel=(size, size, 20.0)))

    def rates(_time, y):
        healthy, *stages, free = y
        infected, rate = HAZARD * uptake * free * healthy, 3.0 / life
        flows = [rate * stage for stage in stages]
        lost = uptake * (healthy + sum(stages)) * free + decay * free
        return [-infected, infected - flows[0], flows[0] - flows[1], flows[1] - flows[2], burst * flows[2] - lost]

    times = np.arange(0.0, 601.0, 60.0)
    start = [total - first.sum(), first.sum(), 0.0, 0.0, 0.0]
    expected = solve_ivp(rates, (0.0, 600.0), start, t_eval=times, rtol=1e-8, atol=1e-6).y
    found = np.mean([run(model, *times, seed=seed).counts[:, :, 0] for seed in (1, 2)], axis=0)
    assert expected[0, -1] < 0.05 * total < expected[1:4].sum(axis=0).max()
    np.testing.assert_allclose(found[:, 0], expected[0], atol=0.02 * total)
    np.testing.assert_allclose(found[:, 1], expected[1:4].sum(axis=0), atol=0.02 * total)
