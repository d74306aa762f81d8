"""What holds for every set of doses: amounts, order, repeats, span."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from atmpsim.scenario.dosing import Dose, breakpoints, expand

END = 50.0
ROUNDING = 1e-12  # far above the few roundings in a time, far below any interval drawn here

quick = settings(max_examples=60, deadline=None)
amounts = st.floats(1e-3, 1e12)
times = st.floats(0.0, 40.0)
intervals = st.floats(0.01, 20.0)
fractions = st.floats(0.05, 2.0)


@st.composite
def doses(draw):
    count = draw(st.integers(1, 6))
    kind = draw(st.sampled_from(["bolus", "duration", "rate"]))
    amount = draw(amounts)
    infusion = {"bolus": {}, "duration": {"duration": draw(intervals)}, "rate": {"rate": amount / draw(intervals)}}[
        kind
    ]
    return Dose(
        into=draw(st.sampled_from(["A", "B"])),
        amount=amount,
        time=draw(times),
        every=draw(intervals) if count > 1 else None,
        count=count,
        lag=draw(st.sampled_from([0.0, 0.3, 2.0])),
        bioavailability=draw(fractions),
        **infusion,
    )


plans = st.lists(doses(), max_size=5)
resets = st.lists(times, max_size=3)


def made(plan, *, end=END, resets=()):
    return expand(plan, start=0.0, end=end, where="here", resets=resets)


def entered(schedule, into):
    """Return the amount that a schedule puts into a state, infusions to their own stop."""
    boluses = [amount for _, state, amount in schedule.boluses if state == into]
    infusions = [rate * (stop - start) for start, stop, state, rate in schedule.infusions if state == into]
    return math.fsum(boluses + infusions)


@quick
@given(plans)
def test_all_that_is_given_enters(plan):
    schedule = made(plan, end=1000.0)  # beyond every repeat drawn
    for into in "AB":
        given_in = math.fsum(d.bioavailability * d.amount * d.count for d in plan if d.into == into)
        assert entered(schedule, into) == pytest.approx(given_in, rel=1e-8)
    assert (schedule.after_end, schedule.cancelled) == (0, 0)


@quick
@given(plans, resets)
def test_every_dose_is_given_late_or_cancelled(plan, resets):
    schedule = made(plan, resets=resets)
    assert len(schedule.log) + schedule.after_end + schedule.cancelled == sum(d.count for d in plan)


@quick
@given(plans, resets, st.randoms(use_true_random=False))
def test_the_order_of_doses_and_resets_does_not_matter(plan, resets, random):
    first = made(plan, resets=resets)
    random.shuffle(plan)
    random.shuffle(resets)
    second = made(plan, resets=resets)
    assert (first.boluses, first.infusions, first.resets) == (second.boluses, second.infusions, second.resets)
    assert sorted(first.log) == sorted(second.log)


@quick
@given(plans)
def test_a_series_is_the_same_as_its_doses_one_by_one(plan):
    single = [
        replace(dose, time=dose.time + k * (dose.every or 0.0), every=None, count=1)
        for dose in plan
        for k in range(dose.count)
    ]
    first, second = made(plan), made(single)
    assert (first.boluses, first.infusions, first.after_end) == (second.boluses, second.infusions, second.after_end)
    assert sorted(first.log) == sorted(second.log)


@quick
@given(plans, resets)
def test_events_are_sorted_inside_the_span_and_at_breakpoints(plan, resets):
    schedule = made(plan, resets=resets)
    for events in (schedule.boluses, schedule.infusions, schedule.resets):
        assert list(events) == sorted(events)
    starts = [start for start, *_ in schedule.boluses + schedule.infusions]
    assert all(0.0 <= time <= END for time in starts)
    assert all(rate > 0 and stop > start for start, stop, _, rate in schedule.infusions)
    stops = {stop for _, stop, _, _ in schedule.infusions if stop <= END}
    assert set(breakpoints(schedule)) == {*starts, *stops, *schedule.resets}


@quick
@given(plans, resets)
def test_no_two_breakpoints_differ_by_rounding_only(plan, resets):
    points = breakpoints(made(plan, resets=resets))
    assert all(later - earlier > 4e-14 for earlier, later in pairwise(points))


@quick
@given(plans, resets)
def test_nothing_given_before_a_reset_acts_after_it(plan, resets):
    schedule = made(plan, resets=resets)
    for reset in resets:
        late = made([dose for dose in plan if dose.time >= reset], resets=resets)
        assert [b for b in schedule.boluses if b[0] >= reset + ROUNDING] == [
            b for b in late.boluses if b[0] >= reset + ROUNDING
        ]
        assert all(stop <= reset + ROUNDING for start, stop, _, _ in schedule.infusions if start < reset - ROUNDING)


@quick
@given(plans, st.floats(0.0, END))
def test_a_shorter_simulation_sees_the_beginning_of_a_longer_one(plan, end):
    short, long = made([dose for dose in plan if dose.time <= end], end=end), made(plan)
    assume(not any(0 < abs(entry.start - end) < 1e-9 for entry in long.log))
    assert len(short.log) == len([entry for entry in long.log if entry.start <= end + ROUNDING])
    early = [(time, into) for time, into, _ in long.boluses if time < end - ROUNDING]
    found = [(time, into) for time, into, _ in short.boluses if time < end - ROUNDING]
    assert found == [(pytest.approx(time, abs=ROUNDING), into) for time, into in early]


@quick
@given(doses(), st.floats(0.1, 10.0))
def test_amounts_scale_with_the_dose(dose, factor):
    scaled = replace(dose, amount=dose.amount * factor, rate=dose.rate * factor if dose.rate else None)
    assert entered(made([scaled]), dose.into) == pytest.approx(factor * entered(made([dose]), dose.into), rel=1e-9)
