"""Dosing against closed forms: one and two compartments, every kind of dose, by superposition of unit responses.

A linear model's answer to a regimen is the sum of its answers to single boluses and infusions. Each regimen below
therefore stands twice: as the doses that a user writes, and as the boluses and infusions that must enter the body,
worked out by hand after the meanings of NONMEM (Users Guide VI, chapter V). Unit responses are exponentials for one
compartment and a matrix exponential for two; nothing of the package computes what is expected.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from scipy.linalg import expm

from atmpsim.engines.ensemble import gather
from atmpsim.engines.program import prepare
from atmpsim.engines.solve import METHODS, observe, solve
from atmpsim.engines.start import initial_leaves
from atmpsim.model.antimony import read_antimony
from atmpsim.scenario.dosing import Dose, expand
from atmpsim.study.run import run
from atmpsim.study.simulate import simulate, tolerances

RTOL = 1e-10
CLOSE = 1e-6  # of the largest value of each state

K, KA = 0.35, 1.7  # per day
K10, K12, K21 = 0.5, 0.9, 0.3

UNITS = """
  unit time_unit = 86400 second;  unit substance = item;  unit extent = item;  unit volume = litre;
  unit cell = item;  unit d = 86400 second;  unit per_d = 1 / (86400 second);  unit L = litre;
  compartment body = 1;  body has L;
"""
ONE = f"""
model one_compartment
  {UNITS}
  substanceOnly species depot in body, central in body;
  depot = 0;  depot has cell;  central = 0;  central has cell;
  ka = {KA};  ka has per_d;  k = {K};  k has per_d;
  absorption: depot => central; ka*depot;
  elimination: central =>; k*central;
end
"""
TWO = f"""
model two_compartments
  {UNITS}
  substanceOnly species depot in body, central in body, peripheral in body;
  depot = 0;  depot has cell;  central = 0;  central has cell;  peripheral = 0;  peripheral has cell;
  ka = {KA};  ka has per_d;
  k10 = {K10};  k10 has per_d;  k12 = {K12};  k12 has per_d;  k21 = {K21};  k21 has per_d;
  absorption: depot => central; ka*depot;
  elimination: central =>; k10*central;
  out: central => peripheral; k12*central;
  back: peripheral => central; k21*peripheral;
end
"""
STILL = f"""
model still
  {UNITS}
  substanceOnly species A in body, B in body;
  A = 0;  A has cell;  B = 0;  B has cell;  k = 0;  k has per_d;
  loss_of_A: A =>; k*A;
  loss_of_B: B =>; k*B;
end
"""


# ---- closed forms: what one unit, given at 0, makes of each state


def decay(a, t, length=0.0):
    """Return the answer of y' = -a*y to a bolus of 1, or to a rate of 1 over a length."""
    if not length:
        return np.exp(-a * t)
    inside = np.minimum(t, length)
    return -np.expm1(-a * inside) / a * np.exp(-a * (t - inside))


def one_compartment(into, t, length=0.0):
    fast, slow = decay(KA, t, length), decay(K, t, length)
    if into == "central":
        return {"depot": 0 * t, "central": slow}
    return {"depot": fast, "central": KA / (KA - K) * (slow - fast)}  # Bateman


MATRIX = np.array([[-KA, 0.0, 0.0], [KA, -K10 - K12, K21], [0.0, K12, -K21]])
LAMBDA, VECTORS = np.linalg.eig(MATRIX)


def two_compartments(into, t, length=0.0):
    """Matrix exponential by eigenvectors: every mode decays for itself."""
    names = ("depot", "central", "peripheral")
    modes = np.linalg.solve(VECTORS, np.eye(3)[names.index(into)])
    answer = VECTORS @ np.array([m * decay(-rate, t, length) for m, rate in zip(modes, LAMBDA, strict=True)])
    return dict(zip(names, answer, strict=True))


def test_the_matrix_exponential_is_scipys():
    got = two_compartments("central", np.array([0.0, 0.3, 4.0]))
    want = np.array([expm(MATRIX * t) @ [0, 1, 0] for t in (0.0, 0.3, 4.0)])
    np.testing.assert_allclose(np.stack(list(got.values())).T, want, atol=1e-14)


MODELS = {"one": (ONE, one_compartment), "two": (TWO, two_compartments)}


class Enters(NamedTuple):
    """What must enter: a bolus of `amount`, or a rate of `amount` per day up to `stop`."""

    time: float
    into: str
    amount: float
    stop: float | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A regimen as the user writes it, and what must enter the body of it; `initial` returns with every reset."""

    doses: list[Dose]
    enters: list[Enters]
    start: float = 0.0
    end: float = 30.0
    resets: tuple[float, ...] = ()
    initial: dict[str, float] = field(default_factory=dict)
    models: tuple[str, ...] = ("one", "two")


def bolus(amount=100.0, into="central", **more):
    return Dose(into=into, amount=amount, **more)


CASES = {
    "bolus": Case(doses=[bolus()], enters=[Enters(0, "central", 100)]),
    "bolus-later": Case(doses=[bolus(time=4.5)], enters=[Enters(4.5, "central", 100)]),
    "bolus-half-available": Case(doses=[bolus(bioavailability=0.5)], enters=[Enters(0, "central", 50)]),
    "bolus-more-than-available": Case(doses=[bolus(bioavailability=1.5)], enters=[Enters(0, "central", 150)]),
    "bolus-lag": Case(doses=[bolus(lag=1.25)], enters=[Enters(1.25, "central", 100)]),
    "bolus-of-nothing": Case(doses=[bolus(0.0), bolus(time=1.0)], enters=[Enters(1, "central", 100)]),
    "two-boluses-at-one-time": Case(doses=[bolus(time=2), bolus(30.0, time=2)], enters=[Enters(2, "central", 130)]),
    "six-weekly-boluses": Case(
        doses=[bolus(every=7, count=6)], enters=[Enters(7 * n, "central", 100) for n in range(6)], end=50
    ),
    "repeats-with-lag-and-availability": Case(
        doses=[bolus(time=1, every=3, count=4, lag=0.5, bioavailability=0.7)],
        enters=[Enters(t, "central", 70) for t in (1.5, 4.5, 7.5, 10.5)],
    ),
    "repeats-that-end-after-the-run": Case(
        doses=[bolus(every=7, count=10)], enters=[Enters(t, "central", 100) for t in (0, 7, 14, 21, 28)]
    ),
    "loading-and-maintenance": Case(
        doses=[bolus(300.0), bolus(50.0, time=1, every=1, count=8)],
        enters=[Enters(0, "central", 300)] + [Enters(t, "central", 50) for t in range(1, 9)],
    ),
    "infusion-by-duration": Case(doses=[bolus(duration=2)], enters=[Enters(0, "central", 50, stop=2)]),
    "infusion-by-rate": Case(doses=[bolus(rate=25)], enters=[Enters(0, "central", 25, stop=4)]),
    "infusion-of-ten-minutes": Case(
        doses=[bolus(duration=1 / 144)], enters=[Enters(0, "central", 14400, stop=1 / 144)]
    ),
    "infusion-duration-availability-scales-the-rate": Case(
        doses=[bolus(duration=2, bioavailability=0.6)], enters=[Enters(0, "central", 30, stop=2)]
    ),
    "infusion-rate-availability-scales-the-duration": Case(
        doses=[bolus(rate=25, bioavailability=0.6)], enters=[Enters(0, "central", 25, stop=2.4)]
    ),
    "infusion-rate-available-twice": Case(
        doses=[bolus(rate=25, bioavailability=2)], enters=[Enters(0, "central", 25, stop=8)]
    ),
    "infusion-lag-moves-it-whole": Case(
        doses=[bolus(duration=2, lag=0.75, time=1)], enters=[Enters(1.75, "central", 50, stop=3.75)]
    ),
    "infusion-rate-lag-and-availability": Case(
        doses=[bolus(rate=50, lag=0.75, bioavailability=0.5)], enters=[Enters(0.75, "central", 50, stop=1.75)]
    ),
    "repeated-infusions": Case(
        doses=[bolus(duration=1, every=7, count=4)],
        enters=[Enters(t, "central", 100, stop=t + 1) for t in (0, 7, 14, 21)],
    ),
    "back-to-back-infusions": Case(
        doses=[bolus(duration=3, every=3, count=4)], enters=[Enters(0, "central", 100 / 3, stop=12)]
    ),
    "back-to-back-infusions-of-a-tenth": Case(
        doses=[bolus(duration=0.1, every=0.1, count=30)], enters=[Enters(0, "central", 1000, stop=3)]
    ),
    "overlapping-infusions-every-below-duration": Case(
        doses=[bolus(duration=5, every=2, count=4)],
        enters=[Enters(t, "central", 20, stop=t + 5) for t in (0, 2, 4, 6)],
    ),
    "overlapping-infusions-by-rate": Case(
        doses=[bolus(rate=20, every=2, count=4, bioavailability=1.2)],
        enters=[Enters(t, "central", 20, stop=t + 6) for t in (0, 2, 4, 6)],
    ),
    "infusion-inside-an-infusion": Case(
        doses=[bolus(duration=10), bolus(40.0, duration=1, time=3)],
        enters=[Enters(0, "central", 10, stop=10), Enters(3, "central", 40, stop=4)],
    ),
    "bolus-inside-an-infusion": Case(
        doses=[bolus(duration=10), bolus(40.0, time=3)],
        enters=[Enters(0, "central", 10, stop=10), Enters(3, "central", 40)],
    ),
    "bolus-at-the-end-of-an-infusion": Case(
        doses=[bolus(duration=3), bolus(40.0, time=3)],
        enters=[Enters(0, "central", 100 / 3, stop=3), Enters(3, "central", 40)],
    ),
    "infusion-and-bolus-start-together": Case(
        doses=[bolus(duration=3, time=1), bolus(40.0, time=1)],
        enters=[Enters(1, "central", 100 / 3, stop=4), Enters(1, "central", 40)],
    ),
    "infusion-beyond-the-end": Case(doses=[bolus(duration=60)], enters=[Enters(0, "central", 100 / 60, stop=60)]),
    "infusion-stops-at-the-end": Case(
        doses=[bolus(duration=10, time=20)], enters=[Enters(20, "central", 10, stop=30)]
    ),
    "infusion-starts-at-the-end": Case(doses=[bolus(), bolus(duration=1, time=30)], enters=[Enters(0, "central", 100)]),
    "bolus-at-the-end": Case(
        doses=[bolus(), bolus(40.0, time=30)], enters=[Enters(0, "central", 100), Enters(30, "central", 40)]
    ),
    "bolus-after-the-end": Case(doses=[bolus(), bolus(time=30.5)], enters=[Enters(0, "central", 100)]),
    "lag-beyond-the-end": Case(doses=[bolus(), bolus(time=29, lag=2)], enters=[Enters(0, "central", 100)]),
    "start-later-dose-at-start": Case(
        doses=[bolus(time=5, every=10, count=2)], enters=[Enters(t, "central", 100) for t in (5, 15)], start=5
    ),
    "start-before-zero": Case(
        doses=[bolus(time=-3.5, duration=1)], enters=[Enters(-3.5, "central", 100, stop=-2.5)], start=-4
    ),
    "initial-value-and-bolus": Case(
        doses=[bolus(time=2)], enters=[Enters(2, "central", 100)], initial={"central": 70}
    ),
    "oral": Case(doses=[bolus(into="depot")], enters=[Enters(0, "depot", 100)]),
    "oral-lag": Case(doses=[bolus(into="depot", lag=0.4)], enters=[Enters(0.4, "depot", 100)]),
    "oral-lag-availability-repeats": Case(
        doses=[bolus(into="depot", lag=0.4, bioavailability=0.35, every=0.5, count=12)],
        enters=[Enters(0.4 + 0.5 * n, "depot", 35) for n in range(12)],
    ),
    "oral-zero-order-then-first-order": Case(
        doses=[bolus(into="depot", duration=2)], enters=[Enters(0, "depot", 50, stop=2)]
    ),
    "two-products-two-states": Case(
        doses=[bolus(into="depot", every=2, count=3, name="oral"), bolus(40.0, duration=1, time=1, name="drip")],
        enters=[*(Enters(t, "depot", 100) for t in (0, 2, 4)), Enters(1, "central", 40, stop=2)],
    ),
    "two-products-at-one-time": Case(
        doses=[bolus(into="depot", time=3), bolus(40.0, time=3)],
        enters=[Enters(3, "depot", 100), Enters(3, "central", 40)],
    ),
    "three-states": Case(
        doses=[bolus(into="depot"), bolus(40.0, duration=2), bolus(7.0, into="peripheral", time=1, lag=0.5)],
        enters=[Enters(0, "depot", 100), Enters(0, "central", 20, stop=2), Enters(1.5, "peripheral", 7)],
        models=("two",),
    ),
    "units-in-words": Case(
        doses=[bolus("100 cell", time="12 h", duration="36 h", every="1 wk", count=2, lag="6 h",
                     bioavailability="80 %")],
        enters=[Enters(t, "central", 80 / 1.5, stop=t + 1.5) for t in (0.75, 7.75)],
    ),
    "units-in-words-rate": Case(
        doses=[bolus("100 cell", rate="1 cell/h")], enters=[Enters(0, "central", 24, stop=100 / 24)]
    ),
    "reset-then-nothing": Case(doses=[bolus()], enters=[Enters(0, "central", 100)], resets=(5,)),
    "reset-cuts-an-infusion": Case(
        doses=[bolus(duration=10)], enters=[Enters(0, "central", 10, stop=10)], resets=(5,)
    ),
    "reset-and-dose-together": Case(
        doses=[bolus(), bolus(40.0, time=5)], enters=[Enters(0, "central", 100), Enters(5, "central", 40)], resets=(5,)
    ),
    "reset-cancels-repeats-and-lagged-doses": Case(
        doses=[bolus(every=2, count=9), bolus(10.0, time=4.5, lag=1), bolus(40.0, time=6)],
        enters=[Enters(t, "central", 100) for t in (0, 2, 4)] + [Enters(6, "central", 40)],
        resets=(5,),
    ),
    "reset-to-the-initial-value": Case(
        doses=[bolus(time=1)], enters=[Enters(1, "central", 100)], resets=(5,),
        initial={"central": 70},
    ),
    "two-resets": Case(
        doses=[bolus(time=t) for t in (1.0, 6.0, 11.0)], enters=[Enters(t, "central", 100) for t in (1, 6, 11)],
        resets=(5, 10),
    ),
}  # fmt: skip


def expected(case, response, times, sample):
    """Return every state by superposition; a reset forgets all that entered before it and starts anew."""
    after = sample == "after"
    total = {name: np.zeros_like(times) for name in response("central", times[:1])}
    for begin, end in zip([case.start, *case.resets], [*case.resets, np.inf], strict=True):
        late = times >= begin if after or begin == case.start else times > begin
        span = late & (times < end if after else times <= end)
        for into, amount in case.initial.items():
            add(total, response, times, span, Enters(begin, into, amount))
        for dose in case.enters:
            if begin <= dose.time < end:
                add(total, response, times, span & (times >= dose.time if after else times > dose.time), dose)
    return total


def add(total, response, times, seen, dose):
    length = 0.0 if dose.stop is None else dose.stop - dose.time
    for name, answer in response(dose.into, times[seen] - dose.time, length).items():
        total[name][seen] += dose.amount * answer


@cache
def model(name):
    text = {"still": STILL}.get(name) or MODELS[name][0]
    return read_antimony(text, where=name)


def sample_times(case):
    """Return a grid with every change, and times just before and just after it."""
    changes = {case.start, *case.resets, *(t for e in case.enters for t in (e.time, e.stop) if t is not None)}
    near = [t + d for t in changes for d in (-1e-6, -1e-9, 0.0, 1e-9, 1e-6)]
    grid = np.array([*np.linspace(case.start, case.end, 61), *near])
    return np.unique(grid[(grid >= case.start) & (grid <= case.end)])


def simulated(case, name, times, sample, solver):
    """Return every state; resets are not among what `simulate` offers, so the engine is called for them."""
    if not case.resets:
        made = simulate(
            model(name), times=times, doses=case.doses, initial=case.initial, start=case.start, rtol=RTOL,
            sample=sample, solver=solver,
        )  # fmt: skip
        assert int(made["status"]) == 0
        return {k: made[k].values for k in model(name).species}
    program = prepare(model(name), fixed=case.initial)
    leaves = initial_leaves(program.equations, case.initial, start=case.start, where="")
    schedule = expand(case.doses, start=case.start, end=case.end, where="here", resets=case.resets)
    ensemble = gather(program.equations, leaves, count=1, schedules=[schedule])
    limits = tolerances(program.equations, rtol=RTOL, atol=None, where="here")
    solution = solve(program, ensemble, times=times, tolerances=limits, sample=sample, method=solver)
    assert not solution.failures
    observed = observe(program.equations, solution, times=times, select=tuple(model(name).species))
    return {name: values[0] for name, values in observed.items()}


@pytest.mark.parametrize("sample", ["before", "after"])
@pytest.mark.parametrize(
    ("name", "case"), [pytest.param(m, c, id=f"{m}-{k}") for k, c in CASES.items() for m in c.models]
)
@pytest.mark.parametrize("solver", METHODS)
def test_regimen_equals_the_closed_form(name, case, sample, solver):
    times = sample_times(case)
    got, want = simulated(case, name, times, sample, solver), expected(case, MODELS[name][1], times, sample)
    for state, values in want.items():
        peak = np.abs(values).max()
        np.testing.assert_allclose(got[state], values, rtol=0, atol=CLOSE * peak if peak else 0.0, err_msg=state)


def test_there_are_enough_regimens():
    assert len(CASES) >= 30


# ---- kinds of states: a concentration, and a parameter with a rate rule

CONCENTRATION = """
model concentration
  compartment V = 4;  species S in V;  S = 0;  k = 0.35;
  elimination: S =>; k*S*V;
end
"""
RATE_RULE = """
model rate_rule
  x = 3;  k = 0.35;  x' = -k*x;
end
"""


def test_a_dose_is_an_amount_where_the_state_is_a_concentration():
    times = np.linspace(0, 12, 25)
    doses = [bolus(into="S", time=1), bolus(into="S", duration=2, time=4)]
    made = simulate(read_antimony(CONCENTRATION, where=""), times=times, doses=doses, rtol=RTOL, select=["S", "[S]"])
    want = 100 * np.where(times >= 1, decay(K, times - 1), 0) + 50 * np.where(times >= 4, decay(K, times - 4, 2), 0)
    np.testing.assert_allclose(made["S"], want, rtol=0, atol=CLOSE * want.max())
    np.testing.assert_allclose(made["[S]"], want / 4, rtol=0, atol=CLOSE * want.max() / 4)


def test_a_dose_into_a_rate_rule():
    times = np.linspace(0, 12, 25)
    made = simulate(
        read_antimony(RATE_RULE, where=""), times=times, doses=[bolus(into="x", time=2, duration=3)], rtol=RTOL,
        select=["x"],
    )  # fmt: skip
    want = 3 * decay(K, times) + 100 / 3 * np.where(times >= 2, decay(K, times - 2, 3), 0)
    np.testing.assert_allclose(made["x"], want, rtol=0, atol=CLOSE * want.max())


def test_a_batch_gives_every_run_its_own_answer():
    times, rates = np.linspace(0, 12, 25), np.array([0.1, 0.35, 2.0])
    made = simulate(
        model("one"), times=times, parameters={"k": rates}, doses=[bolus(duration=2, every=5, count=2)], rtol=RTOL
    )
    for k, rate in enumerate(rates):
        want = 50 * decay(rate, times, 2) + 50 * np.where(times >= 5, decay(rate, times - 5, 2), 0)
        np.testing.assert_allclose(made["central"].isel(run=k), want, rtol=0, atol=CLOSE * want.max())


# ---- C-4: no dose is missed or doubled, exactly. Dose k weighs 2^k, so a sum says which doses were given


def powers(times):
    return [Dose(into="A", amount=2.0**k, time=float(t)) for k, t in enumerate(times)]


def given(doses, time, sample):
    return sum(d.amount for d in doses if (d.time <= time if sample == "after" else d.time < time))


@pytest.mark.parametrize("sample", ["before", "after"])
@pytest.mark.parametrize("offset", [0.0, 1e-12, -1e-12, 1e-9, -1e-9, 1e-6, -1e-6, 1e-3, -1e-3], ids="offset{:g}".format)
@pytest.mark.parametrize("every", [1.0, 0.25, 0.3, 1 / 3], ids="every{:.3g}".format)
def test_c4_no_dose_missed_or_doubled_by_samples_on_before_or_after_it(every, offset, sample):
    doses = powers(1 + every * np.arange(12))
    times = np.array([0.0, *(d.time + offset for d in doses), 14.0])
    made = simulate(model("still"), times=times, doses=doses, sample=sample)
    assert made["A"].values.tolist() == [given(doses, t, sample) for t in times]


@pytest.mark.parametrize(("sample", "first"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(("every", "step"), [(0.3, 0.1), (0.7, 0.1), (7.0, 0.7), (3.5, 0.25), (1 / 3, 1 / 12)])
def test_c4_times_that_are_equal_but_for_rounding_are_one_time(every, step, sample, first):
    """Samples at multiples of a step that divides the interval: 0.1*3 is not 0.3 in binary numbers, yet means it."""
    per = round(every / step)
    made = simulate(
        model("still"), times=np.arange(20 * per + 1) * step, sample=sample,
        doses=[Dose(into="A", amount=1.0, every=every, count=21)],
    )  # fmt: skip
    n = np.arange(20 * per + 1)
    assert made["A"].values.tolist() == ((n - 1) // per + 1 if first == 0 else n // per + 1).tolist()


@pytest.mark.parametrize("sample", ["before", "after"])
def test_c4_samples_do_not_change_what_is_given(sample):
    """The end of a run is the same however it is sampled, doses on both ends included."""
    doses = powers([0.0, 1.0, 2.5, 5.0])
    for times in ([5.0], [0.0, 5.0], np.linspace(0, 5, 11), np.linspace(0, 5, 1001), [1.0, 1.0, 2.5, 5.0, 5.0]):
        made = simulate(model("still"), times=times, doses=doses, sample=sample)
        assert float(made["A"][-1]) == (15.0 if sample == "after" else 7.0)
        assert float(made["B"][-1]) == 0.0


def test_c4_infusions_give_all_of_it():
    doses = [
        Dose(into="A", amount=0.1, duration=0.1, every=0.1, count=100),
        Dose(into="B", amount=7.0, rate=0.3, time=1),
    ]
    made = simulate(model("still"), times=[0.0, 10.0, 60.0], doses=doses)
    np.testing.assert_allclose(made["A"], [0, 10, 10], rtol=1e-12)
    np.testing.assert_allclose(made["B"], [0, 2.7, 7], rtol=1e-12)


# ---- the same through a scenario and a NONMEM table, resets (EVID 3 and 4) included

SCENARIO = """
schema = 1
title = "a table of doses"
model = "one.ant"
[time]
end = "30 d"
at = [{times}]
sample_at_dose = "{sample}"
[solver]
rtol = 1e-10
[output]
keep = ["depot", "central"]
summary = []
[dosing]
table = "doses.csv"
time_unit = "h"
amount_unit = "cell"
"""
TABLE = """ID,TIME,AMT,RATE,DUR,CMT,EVID,ADDL,II
1,0,100,0,0,central,1,3,48
1,36,60,2.5,0,central,1,0,0
1,264,0,0,0,central,3,0,0
1,288,40,0,12,central,1,0,0
2,0,100,0,0,central,1,9,48
2,120,70,0,0,depot,4,1,72
"""
IN_TABLE = {
    "1": Case(
        doses=[], resets=(11,),
        enters=[*(Enters(t, "central", 100) for t in (0, 2, 4, 6)), Enters(1.5, "central", 60, stop=2.5),
                Enters(12, "central", 80, stop=12.5)],
    ),
    "2": Case(
        doses=[], resets=(5,),
        enters=[*(Enters(t, "central", 100) for t in (0, 2, 4)), Enters(5, "depot", 70), Enters(8, "depot", 70)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("sample", ["before", "after"])
def test_a_nonmem_table_in_a_scenario_equals_the_closed_form(tmp_path, sample):
    times = np.array([0, 0.5, 1.5, 2, 2.5, 3, 4, 5, 5.5, 6, 8, 9, 10.5, 11, 11.5, 12, 12.25, 12.5, 13, 20, 30])
    (tmp_path / "one.ant").write_text(ONE, encoding="utf-8")
    (tmp_path / "doses.csv").write_text(TABLE, encoding="utf-8")
    text = SCENARIO.format(sample=sample, times=", ".join(f'"{t:g} d"' for t in times))
    (tmp_path / "table.toml").write_text(text, encoding="utf-8")
    curves = run(tmp_path / "table.toml")["trajectories"].to_dataset()
    for subject, case in IN_TABLE.items():
        want = expected(case, one_compartment, times, sample)
        for state, values in want.items():
            got = curves[state].sel(subject=subject).values.ravel()
            np.testing.assert_allclose(got, values, rtol=0, atol=CLOSE * values.max(), err_msg=f"{subject} {state}")
