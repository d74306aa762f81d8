"""The output grid never drives the solver: one trajectory on every grid, and the two sides of a dose or event."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atmpsim.model.antimony import read_antimony
from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

END = 30.0
RTOL = 1e-6
# target cells, infected cells and virus, stiff enough to change the step size by orders of magnitude
VIRUS = read_antimony(
    """
    species T, I, V; T = 1e6; I = 0; V = 1; beta = 2e-6; delta = 0.8; p = 40; c = 20; treated = 0;
    J1: T -> I; beta*T*V; J2: I -> ; delta*I; J3: -> V; p*(1 - treated)*I; J4: V -> ; c*V;
    J5: -> T; piecewise(1e4, time > 4 && time < 6.5, 0);
    at (time >= 0.1*30): treated = 0.6; at (time >= 12): treated = 0, V = V + 10;
    """,
    where="virus.ant",
)
DOSES = (
    Dose(into="V", amount=5.0, time=2.0, every=7.0, count=3),
    Dose(into="T", amount=1e5, time=8.0, duration=0.5),
    Dose(into="I", amount=100.0, time=END),
)
STOPS = [0.0, 2.0, 3.0, 4.0, 6.5, 8.0, 8.5, 9.0, 12.0, 16.0, END]
RANDOM = np.random.default_rng(11)

GRIDS = {
    "two points": [0.0, END],
    "one point": [END],
    "every day": np.arange(31.0),
    "every tenth": np.linspace(0, END, 301),
    "fine": np.linspace(0, END, 3001),
    "every third": np.linspace(0, END, 91),
    "logarithmic": [*np.geomspace(1e-6, END, 60)],
    "random": np.sort([*RANDOM.uniform(0, END, 200), END]),
    "crowded around the stops": np.sort(
        [t + d for t in STOPS for d in (-1e-3, -1e-9, 0, 1e-9, 1e-3) if 0 <= t + d <= END]
    ),
    "one rounding beside the stops": np.sort([x for t in STOPS[1:] for x in (np.nextafter(t, 0), t)]),
    "repeated times": np.repeat([1.0, 2.0, 2.0, 12.0, END], 3),
    "backloaded": [*np.linspace(29.9, END, 50)],
}


def run(times, **more):
    dataset = simulate(VIRUS, times=times, doses=DOSES, rtol=RTOL, select=["T", "I", "V", "treated"], **more)
    assert int(dataset["status"]) == 0
    return dataset


def same(found, expected):
    # the solver takes the same steps; only sums within its interpolant may round in another order
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14 * np.max(np.abs(expected)))


@pytest.mark.parametrize("sample", ["after", "before"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_one_trajectory_on_every_grid(grid, sample):
    grid = np.asarray(grid)
    merged = np.sort(np.concatenate([grid, np.linspace(0, END, 777)]))
    alone, together = run(grid, sample=sample), run(merged, sample=sample)
    places = np.searchsorted(merged, grid)
    for name in ("T", "I", "V", "treated"):
        same(alone[name], together[name].values[places])


def test_an_earlier_end_changes_no_more_than_the_tolerance():
    whole = run(np.linspace(0, END, 301))
    for end in (5.0, 11.0, 23.0):
        part = run(np.linspace(0, end, round(end * 10) + 1), sample="before")
        full = run(np.linspace(0, END, 301), sample="before").isel(time=slice(0, part.sizes["time"]))
        for name in ("T", "I", "V"):
            peak = float(np.abs(whole[name]).max())
            np.testing.assert_allclose(part[name], full[name], rtol=0, atol=20 * RTOL * peak, err_msg=name)


def test_the_trajectory_is_the_closed_form_on_every_grid():
    # one compartment, three boluses and an infusion: superposition is exact
    model = read_antimony("species A; A = 3; k = 0.4; J: A -> ; k*A;", where="decay.ant")
    doses = [
        Dose(into="A", amount=5.0, time=1.0, every=2.5, count=3),
        Dose(into="A", amount=8.0, time=2.0, duration=4.0),
    ]

    def exact(t, after):
        given = sum(5 * math.exp(-0.4 * (t - d)) for d in (1.0, 3.5, 6.0) if t > d or (after and t == d))
        start, stop = min(t, 2.0), min(t, 6.0)
        infused = 2 / 0.4 * (math.exp(-0.4 * (t - stop)) - math.exp(-0.4 * (t - start)))
        return 3 * math.exp(-0.4 * t) + given + infused

    for grid in GRIDS.values():
        for sample in ("after", "before"):
            found = simulate(model, times=grid, doses=doses, select=["A"], sample=sample, rtol=1e-9, atol=1e-12)["A"]
            # a time one rounding beside a dose is the time of the dose
            wanted = [exact(float(np.round(t, 12)), sample == "after") for t in grid]
            np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)


@given(st.lists(st.floats(0, END), min_size=1, max_size=20).map(sorted), st.sampled_from(["after", "before"]))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_any_grid(grid, sample):
    grid = np.array([*grid, END])
    few, many = run(grid, sample=sample), run(np.sort(np.concatenate([grid, np.arange(31.0)])), sample=sample)
    places = np.searchsorted(many["time"].values, grid)
    same(few["V"], many["V"].values[places])


SIDES = {  # what changes at the time, by how much
    "bolus": (2.0, "V", 5.0),
    "bolus at an event": (16.0, "V", 5.0),
    "event": (12.0, "V", 10.0),
    "parameter set by an event": (0.1 * 30, "treated", 0.6),
    "dose at the very end": (END, "I", 100.0),
    "start of an infusion changes no value": (8.0, "T", 0.0),
    "end of a condition in time changes no value": (6.5, "T", 0.0),
}


@pytest.mark.parametrize(("time", "name", "jump"), SIDES.values(), ids=SIDES)
def test_before_and_after(time, name, jump):
    grid = [time] if time == END else [time, END]
    after, before = (float(run(grid, sample=side)[name][0]) for side in ("after", "before"))
    assert after - before == pytest.approx(jump, abs=1e-9 * abs(before))
    close = run([np.nextafter(time, 0) - 1e-7, END], sample="after")[name]
    assert float(close[0]) == pytest.approx(before, rel=1e-4, abs=1e-9)


def test_a_dose_at_the_start_shows_after_it():
    model = read_antimony("species A; A = 1; k = 1; J: A -> ; k*A;", where="decay.ant")
    doses = [Dose(into="A", amount=2.0, time=0.0)]
    shown = {
        s: simulate(model, times=[0, 1], doses=doses, select=["A"], sample=s)["A"].values for s in ("after", "before")
    }
    assert shown["after"][0] == 3.0
    assert shown["before"][0] == 1.0
    assert shown["after"][1] == shown["before"][1] == pytest.approx(3 / math.e, rel=1e-5)


def test_a_later_start_shifts_nothing():
    model = read_antimony("species A; A = 1; k = 1; J: A -> ; k*A*(1 + sin(time));", where="decay.ant")
    found = simulate(model, times=[2.0, 3.0], start=2.0, select=["A"], rtol=1e-10, atol=1e-12)["A"].values
    assert found[0] == 1.0
    assert found[1] == pytest.approx(math.exp(-(1 - math.cos(3) + math.cos(2))), rel=1e-8)
