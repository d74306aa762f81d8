"""Doses, their checks, and the schedule they expand to, against values worked out by hand."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from atmpsim.errors import ScenarioError, UnitError
from atmpsim.scenario import dosing
from atmpsim.scenario.amounts import parse_amount
from atmpsim.scenario.dosing import Dose, GivenDose, breakpoints, check, expand
from atmpsim.units import parse_unit


def made(*doses, start=0.0, end=100.0, resets=()):
    return expand(doses, start=start, end=end, where="here", resets=resets)


def rate_at(schedule, time, into="A"):
    return sum(rate for start, stop, state, rate in schedule.infusions if state == into and start <= time < stop)


# -- checks ---------------------------------------------------------------------------------------------------------

GOOD = Dose(into="A", amount=10.0)

BAD = [
    ({"amount": -1.0}, "dose 1 amount: found -1.0, expected a number of at least 0."),
    ({"amount": math.nan}, "dose 1 amount: found nan, expected a finite number."),
    ({"amount": math.inf}, "dose 1 amount: found inf, expected a finite number."),
    ({"amount": "2e6 cell/kg"}, "dose 1 amount: found '2e6 cell/kg', expected a number in the model's own units."),
    ({"amount": True}, "dose 1 amount: found True, expected a number in the model's own units."),
    ({"amount": 10**400}, "expected a finite number."),
    ({"time": -math.inf}, "dose 1 time: found -inf, expected a finite number."),
    ({"duration": 0.0}, "dose 1 duration: found 0.0, expected a number above 0."),
    ({"rate": -2.0}, "dose 1 rate: found -2.0, expected a number above 0."),
    ({"rate": 1.0, "duration": 1.0}, "dose 1: found both duration and rate, expected one of them."),
    ({"lag": -0.5}, "dose 1 lag: found -0.5, expected a number of at least 0."),
    ({"bioavailability": -0.1}, "dose 1 bioavailability: found -0.1, expected a number of at least 0."),
    ({"count": 0}, "dose 1 count: found 0, expected a number of at least 1."),
    ({"count": 2.5, "every": 1.0}, "dose 1 count: found 2.5, expected a whole number of at least 1."),
    ({"count": 3}, "dose 1: found count = 3 without every, expected the interval between doses."),
    ({"every": 7.0}, "dose 1: found every = 7.0 with count = 1, expected a count above 1."),
    ({"every": 0.0, "count": 2}, "dose 1 every: found 0.0, expected a number above 0."),
    ({"into": ""}, "dose 1 into: found '', expected the name of a state."),
    ({"into": 3}, "dose 1 into: found 3, expected the name of a state."),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[str(change) for change, _ in BAD])
def test_bad_doses_are_refused_with_key_value_and_expectation(change, message):
    with pytest.raises(ScenarioError) as caught:
        check(replace(GOOD, **change), where="dose 1")
    assert message in str(caught.value)


def test_bioavailability_above_one_is_allowed():
    check(replace(GOOD, bioavailability=2.23), where="dose 1")


def test_numpy_numbers_are_numbers():
    check(Dose(into="A", amount=np.float64(1.0), time=np.int64(0), count=np.int64(2), every=np.float32(1.0)), where="d")


def test_a_dose_keeps_what_it_is_given():
    assert Dose(into="A", amount="2e6 cell/kg", every="7 d", count=2).amount == "2e6 cell/kg"


def test_a_dose_takes_keywords_only_and_is_frozen():
    with pytest.raises(TypeError):
        Dose("A", 1.0)
    with pytest.raises(AttributeError):
        GOOD.amount = 2.0


# -- boluses --------------------------------------------------------------------------------------------------------


def test_bolus_enters_after_its_lag_reduced_by_bioavailability():
    schedule = made(Dose(into="A", amount=10.0, time=1.0, lag=0.5, bioavailability=0.25, name="x"))
    assert schedule.boluses == ((1.5, "A", 2.5),)
    assert schedule.log == (GivenDose("x", "A", 1.0, 1.5, 10.0, 0.0, 0.25),)


def test_repeats_are_not_accumulated():
    schedule = made(Dose(into="A", amount=1.0, every=0.1, count=501), end=60.0)
    assert [time for time, _, _ in schedule.boluses] == [k * 0.1 for k in range(501)]


def test_equal_times_into_one_state_add_up_and_other_states_stay_apart():
    schedule = made(*[Dose(into=into, amount=0.1, time=2.0) for into in "AABA"])
    assert schedule.boluses == ((2.0, "A", math.fsum([0.1, 0.1, 0.1])), (2.0, "B", 0.1))
    assert len(schedule.log) == 4


def test_the_sum_of_equal_times_does_not_depend_on_their_order():
    small, large = Dose(into="A", amount=1.0), Dose(into="A", amount=1e16)
    assert made(small, small, large).boluses == made(large, small, small).boluses == ((0.0, "A", 1e16 + 2.0),)


def test_times_equal_but_for_rounding_are_one_time():
    schedule = made(Dose(into="A", amount=1.0, every=0.1, count=4), Dose(into="A", amount=1.0, time=0.3), end=1.0)
    assert 3 * 0.1 != 0.3
    assert [amount for _, _, amount in schedule.boluses] == [1.0, 1.0, 1.0, 2.0]
    assert len(breakpoints(schedule)) == 4


def test_a_dose_of_nothing_is_logged_but_is_no_event():
    schedule = made(Dose(into="A", amount=0.0), Dose(into="A", amount=5.0, bioavailability=0.0, rate=2.0))
    assert (schedule.boluses, schedule.infusions, breakpoints(schedule)) == ((), (), ())
    assert len(schedule.log) == 2


# -- infusions ------------------------------------------------------------------------------------------------------


def test_infusion_by_duration_keeps_the_duration_and_scales_the_rate():
    schedule = made(Dose(into="A", amount=10.0, time=1.0, duration=4.0, lag=2.0, bioavailability=0.5))
    assert schedule.infusions == ((3.0, 7.0, "A", 1.25),)
    assert schedule.log[0].duration == 4.0


def test_infusion_by_rate_keeps_the_rate_and_scales_the_duration():
    schedule = made(Dose(into="A", amount=10.0, time=1.0, rate=2.0, lag=2.0, bioavailability=0.5))
    assert schedule.infusions == ((3.0, 5.5, "A", 2.0),)
    assert schedule.log[0].duration == 2.5


def test_infusions_overlap_with_themselves_and_rates_add():
    schedule = made(Dose(into="A", amount=6.0, duration=3.0, every=1.0, count=4))
    assert [rate_at(schedule, t) for t in (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5)] == [2, 4, 6, 6, 4, 2, 0]
    assert breakpoints(schedule) == (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)


def test_back_to_back_infusions_leave_no_gap():
    schedule = made(Dose(into="A", amount=0.1, duration=0.1, every=0.1, count=100), end=20.0)
    times = breakpoints(schedule)
    assert len(times) == 101
    assert min(np.diff(times)) > 0.05
    assert all(first[1] == second[0] for first, second in pairwise(schedule.infusions))


def test_an_infusion_too_short_to_resolve_is_refused_not_lost():
    with pytest.raises(ScenarioError, match=r"here dose 'x': found an infusion of duration 1e-15.*give it as a bolus"):
        made(Dose(into="A", amount=1.0, time=99.0, duration=1e-15, name="x"))


def test_an_infusion_may_outlast_the_end():
    schedule = made(Dose(into="A", amount=8.0, time=6.0, duration=8.0), end=10.0)
    assert schedule.infusions == ((6.0, 14.0, "A", 1.0),)
    assert breakpoints(schedule) == (6.0,)


# -- start and end --------------------------------------------------------------------------------------------------


def test_a_dose_at_the_end_is_given_and_later_ones_are_counted():
    schedule = made(Dose(into="A", amount=1.0, every=7.0, count=10), end=21.0)
    assert [time for time, _, _ in schedule.boluses] == [0.0, 7.0, 14.0, 21.0]
    assert (len(schedule.log), schedule.after_end) == (4, 6)


def test_rounding_does_not_drop_the_dose_at_the_end():
    schedule = made(Dose(into="A", amount=1.0, every=0.1, count=4), end=0.3)
    assert schedule.boluses[-1] == (0.3, "A", 1.0)
    assert schedule.after_end == 0


def test_a_dose_that_lag_carries_past_the_end_is_not_given():
    schedule = made(Dose(into="A", amount=1.0, time=9.0, lag=2.0), end=10.0)
    assert (schedule.boluses, schedule.log, schedule.after_end) == ((), (), 1)


def test_a_dose_before_the_start_is_refused():
    with pytest.raises(ScenarioError, match=r"here dose 2 time: found 1.0, expected a time from the start \(2\) on"):
        made(Dose(into="A", amount=1.0, time=2.0), Dose(into="A", amount=1.0, time=1.0), start=2.0)
    assert made(Dose(into="A", amount=1.0, time=-3.0), start=-3.0).boluses == ((-3.0, "A", 1.0),)


def test_an_end_before_the_start_is_refused():
    with pytest.raises(ScenarioError, match=r"here end: found 1\.0, expected a number of at least 2"):
        made(GOOD, start=2.0, end=1.0)


def test_repeats_far_beyond_the_end_cost_nothing():
    assert made(Dose(into="A", amount=1.0, every=1.0, count=10**15), end=2.0).after_end == 10**15 - 3


def test_a_slip_in_the_interval_is_refused_before_memory_runs_out():
    with pytest.raises(ScenarioError, match="found more than 1000000 doses"):
        made(Dose(into="A", amount=1.0, every=1e-9, count=10**9))


def test_many_series_together_are_bounded_too(monkeypatch):
    monkeypatch.setattr(dosing, "MAX_DOSES", 5)
    with pytest.raises(ScenarioError, match="found more than 5 doses"):
        made(*[Dose(into="A", amount=1.0, every=1.0, count=3)] * 2)


def test_overflow_is_refused():
    with pytest.raises(ScenarioError, match="a dose beyond the largest number"):
        made(Dose(into="A", amount=1e308, bioavailability=10.0))


# -- resets ---------------------------------------------------------------------------------------------------------


def test_a_reset_cancels_repeats_lagged_doses_and_running_infusions_of_earlier_records():
    schedule = made(
        Dose(into="A", amount=1.0, every=2.0, count=5),  # at 0 2 4 | 6 8
        Dose(into="B", amount=10.0, time=4.0, duration=10.0),  # until 5
        Dose(into="B", amount=1.0, time=4.0, lag=3.0),  # would enter at 7
        Dose(into="A", amount=7.0, time=5.0, every=3.0, count=2),  # given with and after the reset
        resets=[5.0],
    )
    assert schedule.boluses == ((0.0, "A", 1.0), (2.0, "A", 1.0), (4.0, "A", 1.0), (5.0, "A", 7.0), (8.0, "A", 7.0))
    assert schedule.infusions == ((4.0, 5.0, "B", 1.0),)
    assert (schedule.cancelled, schedule.resets) == (3, (5.0,))


def test_a_repeat_that_falls_on_a_reset_is_cancelled_whichever_way_it_rounds():
    assert 3 * 0.29 < 0.87
    assert 3 * 0.1 > 0.3
    for every, count, reset in ((0.29, 4, 0.87), (0.1, 4, 0.3), (5.0, 2, 5.0)):
        schedule = made(Dose(into="A", amount=1.0, every=every, count=count), resets=[reset])
        assert (len(schedule.boluses), schedule.cancelled) == (count - 1, 1)


def test_resets_after_the_end_do_nothing_and_before_the_start_are_refused():
    assert made(GOOD, end=3.0, resets=[4.0, 1.0, 1.0]).resets == (1.0,)
    with pytest.raises(ScenarioError, match=r"here reset: found -1\.0"):
        made(GOOD, resets=[-1.0])


def test_resets_are_breakpoints():
    assert breakpoints(made(resets=[3.0])) == (3.0,)


# -- amounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "weight", "unit", "amount"),
    [
        ("4e7 cell", None, "cell", 4e7),
        ("1e12 vp", 70.0, "vp", 1e12),
        ("2e6 cell/kg", 20.0, "cell", 4e7),
        ("2e6 cell/kg, max 2e8 cell", 99.0, "cell", 1.98e8),
        ("2e6 cell/kg, max 2e8 cell", 120.0, "cell", 2e8),
        ("2e6 cell/kg,max  2e8 cell", 120.0, "cell", 2e8),
        ("5 mg/kg", 10.0, "g", 0.05),
        ("2 mg", None, "ug", 2000.0),
        ("3 cell/g", 2.0, "cell", 6000.0),
        ("0 cell", None, "cell", 0.0),
    ],
)
def test_amounts_and_caps(text, weight, unit, amount):
    assert parse_amount(text, weight_kg=weight, target_unit=unit, where="here") == pytest.approx(amount, rel=1e-14)
    target = parse_unit(unit, where="here")
    assert parse_amount(text, weight_kg=weight, target_unit=target, where="here") == pytest.approx(amount, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "weight", "kind", "message"),
    [
        ("2e6 cell/kg", None, ScenarioError, "for a subject without a weight, expected a body weight"),
        ("2e6 cell/kg", 0.0, ScenarioError, r"here weight \(kg\): found 0.0"),
        ("2e6 cell/kg", math.nan, ScenarioError, "expected a finite number"),
        ("2e6 cell/m2", 20.0, ScenarioError, "a dose per body surface"),
        ("2e6 cell/m^2", 20.0, ScenarioError, "a dose per body surface"),
        ("2e6 cell/m²", 20.0, ScenarioError, "a dose per body surface"),
        ("1e12 vp", 20.0, UnitError, "never convert into one another"),
        ("1e12 vp/kg", 20.0, UnitError, "never convert into one another"),
        ("2e6 cell/mL", 20.0, UnitError, "expected a quantity in cell"),
        ("2e6 cell/kg, max 2e8 cell/kg", 20.0, UnitError, "here max: found"),
        ("2e6 cell/kg, max 2e8 vp", 20.0, UnitError, "here max: found"),
        ("2e6 cell/kg, max 2e8", 20.0, UnitError, "here max: found '2e8' without a unit"),
        ("2e6 cell/kg, max 0 cell", 20.0, ScenarioError, "here max: found 0.0, expected a number above 0"),
        ("2e6 cell/kg, min 2e8 cell", 20.0, ScenarioError, "at most one cap"),
        ("2e6 cell/kg, max 2e8 cell, max 1e8 cell", 20.0, ScenarioError, "at most one cap"),
        ("2,5e6 cell/kg", 20.0, ScenarioError, "at most one cap"),
        ("-2e6 cell", 20.0, ScenarioError, "expected a number of at least 0"),
        ("1e308 cell/kg", 20.0, ScenarioError, "expected a finite number"),
        ("", 20.0, UnitError, "expected a number with its unit"),
        (2e6, 20.0, UnitError, "without a unit"),
    ],
)
def test_bad_amounts_are_refused(text, weight, kind, message):
    with pytest.raises(kind, match=message):
        parse_amount(text, weight_kg=weight, target_unit="cell", where="here")


def test_sample_sides_have_names():
    assert (dosing.SAMPLE_BEFORE, dosing.SAMPLE_AFTER) == ("before", "after")
