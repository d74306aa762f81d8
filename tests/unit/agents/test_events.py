"""What the engine counts between samples, what is injected, and that a checkpoint keeps all of it."""

from dataclasses import replace

import numpy as np
import pytest

from atmpsim.agents.composition import windowed
from atmpsim.agents.extension import Arrival, Injection
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.settable import with_values
from atmpsim.engines import agents as engine
from atmpsim.engines.agents import simulate_agents
from atmpsim.engines.agents_tally import ENTRIES, INFECTIONS, LYSES

CELL, INFECTED = 0, 1


def plaque(**values):
    """Return a small plaque whose cells lyse after half an hour."""
    model = windowed(load_agents("virus_plaque"), [200.0, 200.0], where="here")
    return with_values(
        model, {"infected_cell.clock_mean": 30.0, "infected_cell.virus_burst": 3000.0, **values}, where=""
    )


def with_extension(model, **blocks):
    return replace(model, extension=replace(model.extension, **blocks))


@pytest.fixture(scope="module")
def course():
    times = np.arange(0.0, 361.0, 60.0)
    return simulate_agents(plaque(), times=times, seed=5, snapshots=True, lineage=True)


def test_every_cell_is_healthy_infected_or_lysed(course):
    live, events = course.counts[:, :, 0], course.events
    assert events[-1, INFECTIONS, CELL] > 10
    assert events[-1, LYSES, INFECTED] > 5
    np.testing.assert_array_equal(live[:, CELL], live[0, CELL] - events[:, INFECTIONS, CELL])
    np.testing.assert_array_equal(live[:, INFECTED], 1 + events[:, INFECTIONS, CELL] - events[:, LYSES, INFECTED])


def test_the_lineage_holds_every_cell_and_says_when_it_went(course):
    line = course.lineage
    np.testing.assert_array_equal(line.id, np.arange(line.id.size))
    assert np.isnan(line.end).sum() == course.counts[-1, :, 0].sum()
    for time, shot in zip(course.times, course.snapshots, strict=True):
        there = (line.birth <= time) & ~(line.end < time)
        np.testing.assert_array_equal(line.id[there], np.sort(shot.id))


def test_daughters_follow_their_mothers():
    model = windowed(load_agents("immune_attack"), [200.0, 200.0], where="here")
    found = simulate_agents(with_values(model, {"tumour.cycle_entry": 0.005}, where=""), times=np.array([0.0, 360.0]),
                            seed=1, lineage=True)  # fmt: skip
    line = found.lineage
    born = np.flatnonzero(line.parent >= 0)
    assert born.size > 20
    assert (line.birth[born] >= line.birth[line.parent[born]]).all()
    left = line.end[line.parent[born]]
    assert (np.isnan(left) | (left >= line.birth[born])).all()


@pytest.mark.parametrize(("duration", "shares"), [(0.0, [0, 1, 1]), (120.0, [0, 0.5, 1])])
def test_an_injection_gives_its_amount_where_and_when_it_says(duration, shares):
    model = plaque(**{"virus.diffusion": 0.0, "cell.virus_uptake": 0.0, "infected_cell.virus_uptake": 0.0,
                      "infected_cell.clock_mean": 1e6})  # fmt: skip
    given = Injection(
        substrate=0, times=(60.0,), amount=5000.0, place=(50.0, -30.0, 0.0), radius=25.0, duration=duration
    )
    times = np.array([54.0, 126.0, 186.0])
    found = simulate_agents(with_extension(model, injections=(given,)), times=times, seed=1, snapshots=True)
    np.testing.assert_allclose(
        found.totals[:, 0], 5000.0 * np.array(shares), rtol=0.06 if duration else 1e-12, atol=1e-9
    )
    assert found.totals[-1, 0] == pytest.approx(5000.0, rel=1e-12)
    _z, y, x = np.nonzero(found.snapshots[-1].density[0])
    middle = np.stack([-90.0 + 20 * x, -90.0 + 20 * y])
    assert x.size > 1
    assert (np.hypot(*(middle - np.array([[50.0], [-30.0]]))) <= 25.0).all()


def test_cells_arrive_around_a_place_and_are_counted():
    given = Arrival(cell_type=INFECTED, times=(60.0,), number=7.0, exact=True, place=(40.0, 40.0, 0.0), radius=30.0)
    model = with_extension(plaque(**{"infected_cell.clock_mean": 1e6}), arrivals=(given,))
    found = simulate_agents(model, times=np.array([0.0, 66.0]), seed=1, snapshots=True)
    assert found.events[:, ENTRIES, INFECTED].tolist() == [0, 7]
    shot = found.snapshots[1]
    new = shot.position[shot.birth >= 60.0]
    assert len(new) == 7
    assert (np.hypot(new[:, 0] - 40, new[:, 1] - 40) < 30.0 + 10.0).all()


def test_a_checkpoint_keeps_events_snapshots_and_lineage(tmp_path, monkeypatch):
    model, times = plaque(), np.arange(0.0, 241.0, 60.0)
    whole = simulate_agents(model, times=times, seed=5, snapshots=times[1:3], lineage=True)
    file, written = tmp_path / "state.npz", engine.write_checkpoint

    def stop_after(path, world, record):
        written(path, world, record)
        if world.time >= 150:
            raise KeyboardInterrupt

    monkeypatch.setattr(engine, "write_checkpoint", stop_after)
    with pytest.raises(KeyboardInterrupt):
        simulate_agents(model, times=times, seed=5, snapshots=times[1:3], lineage=True, checkpoint=file,
                        checkpoint_every=30.0)  # fmt: skip
    monkeypatch.setattr(engine, "write_checkpoint", written)
    again = simulate_agents(model, times=times, seed=5, snapshots=times[1:3], lineage=True, checkpoint=file)
    for name in ("counts", "volumes", "totals", "events"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    for a, b in zip(again.snapshots, whole.snapshots, strict=True):
        for name in ("id", "position", "cell_type", "volume", "density", "internalised"):
            np.testing.assert_array_equal(getattr(a.by_id(), name), getattr(b.by_id(), name))
    for name in ("id", "parent", "cell_type", "birth", "end"):
        np.testing.assert_array_equal(getattr(again.lineage, name), getattr(whole.lineage, name))


def test_checkpoints_keep_their_distance_on_the_clock(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(engine, "write_checkpoint", lambda path, world, record: written.append(world.time))
    simulate_agents(plaque(), times=np.array([0.0, 60.0]), seed=1, checkpoint=tmp_path / "s.npz", checkpoint_every=6.0,
                    checkpoint_pause=1e6)  # fmt: skip
    assert written == []


def test_a_snapshot_between_samples_is_refused():
    with pytest.raises(engine.ModelError, match="snapshots: found 30 min, expected one of the sample times"):
        simulate_agents(plaque(), times=np.array([0.0, 60.0]), snapshots=np.array([30.0]))


def test_a_field_without_sources_decays_to_nothing():
    """Squares of densities below 1e-162 are 0, which the solver would divide by."""
    model = windowed(load_agents("celyvir_tumour"), [100.0, 100.0], where="here")
    model = with_values(with_extension(model, arrivals=(), recruitments=()),
                        {"interferon.initial": 1.0, "interferon.decay": 1000.0}, where="")  # fmt: skip
    found = simulate_agents(model, times=np.arange(0.0, 301.0, 60.0), seed=1)
    assert found.stop == ""
    assert found.totals[0, 1] > 0
    assert (found.totals[1:, 1] == 0).all()
