"""The agent engine against closed forms: fields, pair forces, crawling, growth; and that nothing depends on threads."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from agent_models import NEVER, cell_type, model_of, run

from atmpsim.agents.behaviours import BehaviourKind
from atmpsim.agents.cycles import LIVE
from atmpsim.agents.extension import Arrival, Burst, Clock, Extension, Infection
from atmpsim.agents.signals import SignalKind
from atmpsim.agents.spec import (
    AgentModel,
    Cycle,
    Interactions,
    Mechanics,
    Motility,
    Options,
    Secretion,
    Substrate,
)
from atmpsim.engines.agents import simulate_agents
from atmpsim.errors import ModelError
from atmpsim.kernels.agents import rows


def test_kernels_and_language_number_behaviours_and_signals_alike():
    for kind in BehaviourKind:
        name = {"MOVABLE": "MOVABLE_BEHAVIOUR"}.get(kind.name, kind.name)
        assert getattr(rows, name) == kind
    for signal in SignalKind:
        assert getattr(rows, "S_" + signal.name.replace("DAMAGE_DELIVERED", "DELIVERED")) == signal


@pytest.mark.parametrize("fields", ["implicit", "physicell"])
def test_decay_follows_its_exponential(fields):
    substrate = Substrate(id=0, name="a", diffusion=1000.0, decay=0.02, initial=5.0)
    found = run(model_of([cell_type()], [[0, 0, 0]], substrates=(substrate,)), 0, 60, fields=fields,
                **({"field_steps": {"a": 0.1}} if fields == "implicit" else {}))  # fmt: skip
    density = found.snapshots[1].density[0]
    np.testing.assert_allclose(density, 5.0 * np.exp(-1.2), rtol=2e-3)
    np.testing.assert_allclose(density, density[0, 0, 0], rtol=1e-4)  # solves of 1e-6 add up


@pytest.mark.parametrize("export", [1e-155, 1e-160])
def test_next_to_nothing_is_a_number(export):
    """Squares of such densities are 0, or have lost their digits."""
    kind = cell_type(secretion=Secretion(rates=(0.0,), targets=(1.0,), uptake=(0.0,), export=(export,)))
    substrate = Substrate(id=0, name="a", diffusion=1e4, decay=1.0)
    found = run(model_of([kind], [[10, 10, 0]], substrates=(substrate,)), 0, 12)
    assert np.isfinite(found.snapshots[1].density).all()


def test_implicit_steady_profile_falls_by_the_lattice_ratio():
    """Between a held face and nothing, the steady state of D p'' = lambda p on a lattice is geometric."""
    diffusion, decay, size = 1000.0, 0.5, 20.0
    held = Substrate(id=0, name="a", diffusion=diffusion, decay=decay, boundary=(10.0, *(None,) * 5))
    found = run(model_of([cell_type()], [[150, 0, 0]], substrates=(held,)), 0, 300)
    line = found.snapshots[1].density[0, 0, 7]
    b = 2.0 + decay * size**2 / diffusion
    ratio = (b - np.sqrt(b * b - 4.0)) / 2.0
    np.testing.assert_allclose(line[1:12] / line[:11], ratio, rtol=2e-3)
    assert line[0] == 10.0


def test_uptake_balances_supply_at_the_steady_state():
    """One voxel's loss U (V/W) p equals what flows in: at the steady state the ledger's two entries cancel."""
    kind = cell_type(secretion=Secretion(rates=(0.0,), targets=(1.0,), uptake=(10.0,), export=(0.0,)))
    oxygen = Substrate(id=0, name="a", diffusion=1e5, decay=0.1, initial=38.0, boundary=(38.0,) * 6)
    places = [[x, y, 0.0] for x in range(-100, 101, 16) for y in range(-100, 101, 16)]
    model = model_of([kind], places, substrates=(oxygen,))
    found = run(model, 0, 120, 180)
    change, decayed, cells, border = found.balance[-1, 0, :4]
    assert abs(change + decayed - cells - border) < 1e-10 * border
    p = found.snapshots[2].density[0]
    uptake = -10.0 * sum(p.ravel()[v] for v in found.snapshots[2].voxel) * 2494.0
    later = run(model, 0, 180, 240)
    rate = (later.balance[-1, 0] - found.balance[-1, 0]) / 60.0
    assert rate[2] == pytest.approx(uptake, rel=1e-5)
    assert rate[2] + rate[3] == pytest.approx(rate[1], rel=1e-3)


@pytest.mark.parametrize("fields", ["implicit", "physicell"])
def test_what_leaves_the_field_is_inside_the_cells(fields):
    """Check C-5: without decay and replication, virus outside and inside cells keeps its sum to 1e-10."""
    takers = Secretion(rates=(0.0,), targets=(1.0,), uptake=(0.5,), export=(0.0,))
    kinds = [
        cell_type(0, 2, secretion=takers),
        cell_type(1, 2, secretion=replace(takers, uptake=(0.0,), export=(20.0,))),
    ]
    virus = Substrate(id=0, name="a", diffusion=300.0, initial=2.0)
    rng = np.random.default_rng(3)
    places = np.column_stack([rng.uniform(-190, 190, (60, 2)), np.zeros(60)])
    model = model_of(
        kinds, places, np.arange(60) % 2, substrates=(virus,), options=Options(track_internalised=True)
    )  # fmt: skip
    found = run(model, 0, 60, 300, fields=fields)
    sums = [s.density[0].sum() * model.domain.voxel_volume + s.internalised.sum() for s in found.snapshots]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-10)
    inside = found.snapshots[2].internalised[:, 0]
    kind = found.snapshots[2].cell_type
    assert inside[kind == 0].min() > 0.0
    np.testing.assert_allclose(inside[kind == 1], -20.0 * 300.0, rtol=1e-9)


LENGTH, ENTERING = 320.0, 100.0  # µm, µm²/min


def strip(dx, dt, *, end=160.0):
    """Return a field that enters from both ends of a strip: held voxels are points of its border."""
    held = Substrate(id=0, name="a", diffusion=ENTERING, boundary=(1.0, 1.0, None, None, None, None))
    model = model_of([cell_type()], [[0, 0, 0]], substrates=(held,), half=(LENGTH + dx) / 2, phenotype=8.0)
    model = replace(model, domain=replace(model.domain, voxel=(dx, dx, 20.0)))
    field = run(model, 0, end, field_steps={"a": dt}).snapshots[1].density[0, 0]
    return field[field.shape[0] // 2]


def test_c9_order_of_the_implicit_fields(tell):
    """Check C-9. In time against half the step; in space extrapolated to steps of 0, against Fourier's series.

    Each solve leaves 1e-6, which adds up over steps: steps are long, so that it stays below the errors looked for.
    """
    fields = [strip(20.0, dt) for dt in (8.0, 4.0, 2.0, 1.0)]
    by_time = [np.abs(a - b).max() for a, b in pairwise(fields)]
    n, by_space = np.arange(1, 400, 2), []
    modes = 4 / (n * np.pi) * np.exp(-ENTERING * (n * np.pi / LENGTH) ** 2 * 160.0)
    for dx in (40.0, 20.0, 10.0):
        field = (8 * strip(dx, 1.0) - 6 * strip(dx, 2.0) + strip(dx, 4.0)) / 3
        exact = 1 - modes @ np.sin(np.pi * np.outer(n, np.linspace(0, 1, field.size)))
        by_space.append(np.abs(field - exact)[field.size // 2])
    orders = [np.log2(np.array(e[:-1]) / e[1:]) for e in (by_time, by_space)]
    tell("C-9 order of the implicit fields in time", orders[0], (1, 1), 0.1)
    tell("C-9 order of the implicit fields in space", orders[1], (2, 2), 0.1)
    np.testing.assert_allclose(orders[0], 1.0, atol=0.1)
    np.testing.assert_allclose(orders[1], 2.0, atol=0.1)


def test_split_and_implicit_fields_have_one_limit():
    kind = cell_type(secretion=Secretion(rates=(1.0,), targets=(10.0,), uptake=(0.0,), export=(5.0,)))
    slow = Substrate(id=0, name="a", diffusion=200.0, decay=0.05, initial=0.0)
    model = model_of([kind], [[10, 10, 0], [-50, 33, 0]], substrates=(slow,))
    ours = run(model, 0, 60, field_steps={"a": 0.1}).snapshots[1].density
    split = run(model, 0, 60, fields="physicell").snapshots[1].density
    np.testing.assert_allclose(ours, split, rtol=0.01, atol=1e-3 * split.max())


def test_two_overlapping_cells_part_as_the_closed_form_says():
    """With u = 1 - r / (2 R): u' = -(repulsion / R) u^2, so u = u0 / (1 + u0 repulsion t / R)."""
    kind = cell_type(mechanics=Mechanics(adhesion=0.0, repulsion=10.0, affinities=(1.0,)))
    radius = kind.volume.radius
    for way in ([1.0, 0.0, 0.0], [0.6, -0.8, 0.0]):
        start = 0.5 * radius * np.array(way)
        found = run(model_of([kind], [start, -start]), 0, 1, 6, 60)
        for time, snapshot in zip((1.0, 6.0, 60.0), found.snapshots[1:], strict=True):
            distance = np.linalg.norm(np.subtract(*snapshot.by_id().position))
            u = 0.5 / (1.0 + 0.5 * 10.0 * (time + 0.05) / radius)  # a new cell's first step is one and a half long
            assert 1.0 - distance / (2 * radius) == pytest.approx(u, rel=5e-3)
            np.testing.assert_allclose(snapshot.position.sum(axis=0), 0.0, atol=1e-12)


def test_crawling_cells_spread_as_a_persistent_walk():
    """Directions change at rate 1/tau: <r^2> = 2 v^2 tau (s - tau (1 - exp(-s/tau))) after s (Othmer et al. 1988).

    A cell stands until its first turn; averaged over that time, 2 v^2 tau (t - 2 tau + (t + 2 tau) exp(-t/tau)).
    """
    speed, tau, cells = 1.0, 5.0, 2000
    kind = cell_type(
        motility=Motility(enabled=True, speed=speed, persistence=tau, two_dimensional=True, sensitivities=(0.0,))
    )
    places = np.random.default_rng(0).uniform(-200, 200, (cells, 3)) * [1, 1, 0]
    found = run(model_of([kind], places, half=400.0), 0, 30, 120)
    for time, snapshot in zip((30.0, 120.0), found.snapshots[1:], strict=True):
        moved = ((snapshot.by_id().position - places) ** 2).sum(axis=1).mean()
        expected = 2 * speed**2 * tau * (time - 2 * tau + (time + 2 * tau) * np.exp(-time / tau))
        assert moved == pytest.approx(expected, rel=5 / np.sqrt(cells) + 0.01)


def test_random_division_grows_as_a_pure_birth_process():
    rate, cells = 0.004, 2000
    kind = cell_type(cycle=Cycle(model=LIVE, rates=(rate,), fixed=(False,), asymmetric_division=(0.0,)))
    places = np.random.default_rng(0).uniform(-190, 190, (cells, 3)) * [1, 1, 0]
    found = run(model_of([kind], places), 0, 300, threads=2)
    growth = (1.0 + 6.0 * rate) ** 50
    spread = np.sqrt(cells * growth * (growth - 1.0))
    assert abs(found.counts[1, 0, 0] - cells * growth) < 5 * spread
    ids = np.sort(found.snapshots[1].id)
    np.testing.assert_array_equal(ids, np.arange(ids.size))
    young = found.snapshots[1].parent >= 0
    assert young.sum() == ids.size - cells
    assert (found.snapshots[1].birth[young] <= 294.0).all()


def test_random_death_is_exponential_and_corpses_go():
    rate, cells = 0.002, 3000
    kind = cell_type(apoptosis=replace(NEVER, rate=rate))
    places = np.random.default_rng(0).uniform(-190, 190, (cells, 3)) * [1, 1, 0]
    found = run(model_of([kind], places), 0, 120, 240)
    left = (1.0 - 6.0 * rate) ** 20
    assert abs(found.counts[1, 0, 0] - cells * left) < 5 * np.sqrt(cells * left * (1 - left))
    dead = found.snapshots[2].death[found.snapshots[2].state == 1]
    assert dead.min() >= 240.0 - 66.0  # a corpse stays 60 min


def test_clones_die_out_as_branching_theory_says():
    """A cell leaves f(s) = q + (1 - q) (p s^2 + (1 - p) s) after a step; a clone is gone at step n by f^n(0)."""
    birth, death, clones, steps = 0.003, 0.002, 1500, 100
    kind = cell_type(
        cycle=Cycle(model=LIVE, rates=(birth,), fixed=(False,), asymmetric_division=(0.0,)),
        apoptosis=replace(NEVER, rate=death),
    )
    places = np.random.default_rng(0).uniform(-190, 190, (clones, 3)) * [1, 1, 0]
    found = run(model_of([kind], places), *range(0, 6 * steps + 1, 30))
    founder = np.arange(clones)
    for snapshot in (s.by_id() for s in found.snapshots):  # a corpse stays 60 min, so that none is missed
        new = snapshot.id >= founder.size
        founder = np.append(founder, np.zeros(new.sum(), np.int64))
        assert (snapshot.id[new] == np.arange(founder.size - new.sum(), founder.size)).all()
        for cell, parent in zip(snapshot.id[new], snapshot.parent[new], strict=True):
            founder[cell] = founder[parent]
    last = found.snapshots[-1]
    gone = 1.0 - np.unique(founder[last.id[last.state == 0]]).size / clones
    expected, p, q = 0.0, 6.0 * birth, 6.0 * death
    for _ in range(steps):
        expected = q + (1.0 - q) * (p * expected**2 + (1.0 - p) * expected)
    assert abs(gone - expected) < 2.58 * np.sqrt(expected * (1.0 - expected) / clones)  # 99 % of binomial numbers
    assert 0.3 < expected < 0.6


def test_a_population_too_large_stops_the_run_and_says_so():
    kind = cell_type(cycle=Cycle(model=LIVE, rates=(1.0,), fixed=(False,), asymmetric_division=(0.0,)))
    found = run(model_of([kind], [[0, 0, 0]]), 0, 30, 60, 600, max_cells=100)
    assert "100 cells" in found.stop
    assert np.isnan(found.counts[-1]).all()
    assert found.counts[1, 0, 0] == 32


def crowd() -> AgentModel:
    """Return a model with all that may depend on the order of work: motion, attack, meals, births, deaths, fields."""
    exchange = Secretion(rates=(0.1,), targets=(1.0,), uptake=(0.5,), export=(0.0,))
    eats = Interactions(
        phagocytose_apoptotic=0.05, phagocytose_live=(0.001, 0.0), attack=(0.02, 0.0), fuse=(0.0, 0.002),
        immunogenicity=(1.0, 1.0), attack_duration=5.0,
    )  # fmt: skip
    grow = Cycle(model=LIVE, rates=(0.002,), fixed=(False,), asymmetric_division=(0.0, 0.0))
    tumour = cell_type(0, 2, mechanics=Mechanics(affinities=(1.0, 0.5)), cycle=grow, secretion=exchange,
                       apoptosis=replace(NEVER, rate=0.002))  # fmt: skip
    killer = cell_type(
        1, 2, mechanics=Mechanics(affinities=(0.5, 1.0)), interactions=eats, secretion=exchange,
        motility=Motility(enabled=True, bias=0.5, chemotaxis=True, two_dimensional=True, sensitivities=(0.0,)),
    )  # fmt: skip
    draw = np.random.default_rng(3)
    places = draw.uniform(-150, 150, (400, 3)) * [1, 1, 0]
    food = Substrate(id=0, name="a", diffusion=1000.0, decay=0.05, initial=1.0, boundary=(1.0, *(None,) * 5))
    return model_of([tumour, killer], places, draw.integers(0, 2, 400), substrates=(food,),
                    options=Options(virtual_wall=True))  # fmt: skip


@pytest.mark.campaign  # threads that wait for one another take minutes on a machine that has other work
@pytest.mark.parametrize("fields", ["implicit", "physicell"])
def test_threads_never_change_a_digit(fields, monkeypatch):
    monkeypatch.setattr("atmpsim.engines.agents.CELLS_PER_THREAD", 1)
    one, two, three = (run(crowd(), 0, 6, 18, fields=fields, threads=n) for n in (1, 2, 3))
    assert (one.counts[2, :, 0] != one.counts[0, :, 0]).any()
    for other in (two, three):
        for mine, theirs in zip(one.snapshots, other.snapshots, strict=True):
            for name in ("id", "position", "volume", "pressure", "damage", "density", "internalised"):
                np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)


def test_another_seed_is_another_run():
    first, second = (run(crowd(), 0, 60, seed=s).snapshots[1] for s in (1, 2))
    assert first.position.shape != second.position.shape or not np.array_equal(first.position, second.position)


def test_checkpoints_change_nothing_and_resume_exactly(tmp_path):
    times, file = np.array([0.0, 15.0, 60.0, 120.0]), tmp_path / "state.npz"
    plain = simulate_agents(crowd(), times=times, seed=1)
    watched = simulate_agents(crowd(), times=times, seed=1, checkpoint=file, checkpoint_every=48.0)
    resumed = simulate_agents(crowd(), times=times, seed=1, checkpoint=file, checkpoint_every=48.0)  # from 96 min on
    for other in (watched, resumed):
        for name in ("counts", "volumes", "totals", "balance"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(other, name), err_msg=name)
    with pytest.raises(ModelError, match="another run"):
        simulate_agents(crowd(), times=times, seed=2, checkpoint=file, checkpoint_every=48.0)
    file.write_bytes(b"PK nothing")
    with pytest.raises(ModelError, match="no checkpoint"):
        simulate_agents(crowd(), times=times, seed=1, checkpoint=file, checkpoint_every=48.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": np.array([0.05])}, "multiples of the mechanics step"),
        ({"fields": "explicit"}, "implicit"),
        ({"field_steps": {"b": 1.0}}, "field_steps"),
        ({"field_steps": {"a": 4.0}}, "phenotype step"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_requests_are_named(options, message):
    with pytest.raises(ModelError, match=message):
        simulate_agents(model_of([cell_type()], [[0, 0, 0]]), **{"times": np.array([0.0]), **options})


def test_waiting_times_of_a_clock_are_erlang():
    cells, stages, mean = 3000, 4, 120.0
    kinds = [cell_type(0, 2), cell_type(1, 2)]
    extension = Extension(clocks=(Clock(cell_type=0, stages=stages, mean=mean, becomes=1),))
    places = np.random.default_rng(0).uniform(-190, 190, (cells, 3)) * [1, 1, 0]
    found = run(model_of(kinds, places, extension=extension), 0, 60, 120, 240)
    for time, counts in zip((60, 120, 240), found.counts[1:], strict=True):
        x = stages * time / mean  # still waiting: fewer than four events of a Poisson process
        left = np.exp(-x) * (1 + x + x**2 / 2 + x**3 / 6)
        assert abs(counts[0, 0] - cells * left) < 5 * np.sqrt(cells * left * (1 - left))


def test_infection_by_dose_is_independent_hits():
    """A cell that takes up n particles escapes with (1 - p)^n; those inside a cell are what the field lost."""
    take = Secretion(rates=(0.0,), targets=(1.0,), uptake=(0.02,), export=(0.0,))
    kinds = [cell_type(0, 2, secretion=take), cell_type(1, 2, secretion=take)]
    virus = Substrate(id=0, name="virus", diffusion=0.0, initial=0.004)
    extension = Extension(infections=(Infection(cell_type=0, substrate=0, becomes=1, probability=0.02),))
    places = [[x, y, 0.0] for x in range(-390, 391, 20) for y in range(-390, 391, 20)]  # one cell in each voxel
    found = run(model_of(kinds, places, substrates=(virus,), half=400.0, extension=extension), 0, 30, 120)
    tracked = Options(track_internalised=True)
    alone = run(model_of(kinds, places[:1], substrates=(virus,), half=400.0, options=tracked), 0, 24, 114)
    for k, counts in enumerate(found.counts[1:], 1):
        taken = found.snapshots[k].internalised[:, 0].sum()
        assert taken + found.totals[k, 0] == pytest.approx(found.totals[0, 0], rel=1e-6)
        left = (1.0 - 0.02) ** alone.snapshots[k].internalised[0, 0]  # the last step's uptake acts in the next
        assert abs(counts[0, 0] - len(places) * left) < 5 * np.sqrt(len(places) * left * (1 - left))


def test_lysis_gives_the_burst_to_the_voxel_once():
    kinds = [cell_type(0, 1)]
    virus = Substrate(id=0, name="virus", diffusion=100.0)
    extension = Extension(
        clocks=(Clock(cell_type=0, stages=0, mean=60.0),),
        bursts=(Burst(cell_type=0, substrate=0, amount=1000.0),),
    )
    found = run(model_of(kinds, [[0, 0, 0], [55, 5, 0]], substrates=(virus,), extension=extension), 0, 54, 66)
    np.testing.assert_allclose(found.totals[:, 0], [0.0, 0.0, 2000.0], rtol=1e-5)
    assert found.counts[:, 0, 0].tolist() == [2, 2, 0]


def test_carriers_arrive_on_schedule_beside_their_source():
    kinds = [cell_type(0, 2), cell_type(1, 2)]
    extension = Extension(
        arrivals=(Arrival(cell_type=1, times=(12.0, 60.0), number=20, duration=24.0, source=0, exact=True),)
    )
    found = run(model_of(kinds, [[0, 0, 0]], extension=extension), 0, 12, 48, 96)
    assert found.counts[:, 1, 0].tolist() == [0, 0, 20, 40]
    new = found.snapshots[3].by_id().position[1:]
    np.testing.assert_allclose(np.linalg.norm(new, axis=1), 2 * kinds[0].volume.radius, rtol=1e-12)
