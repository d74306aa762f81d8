"""Doses as the user writes them, and the schedule of events that an engine carries out.

Meanings are those of NONMEM's PREDPP (NONMEM Users Guide VI, chapter V, and Guide VIII, "Dose event record"):
a bolus adds `bioavailability * amount` at `time + lag`; an infusion given by its duration keeps the duration, and
bioavailability scales the rate; an infusion given by its rate keeps the rate, and bioavailability scales the
duration. A repeat is given at `time + k * every`, and lag and bioavailability apply to every repeat.

At one instant an engine does, in this order: the sample `SAMPLE_BEFORE`; resets; the end of infusions; boluses and
the start of infusions; the sample `SAMPLE_AFTER`. A sample at the time of a dose shows the state after it, as in tables
that list doses before observations, unless the user asks for the other side (a trough sample).
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from atmpsim.errors import ScenarioError

SAMPLE_BEFORE = "before"
SAMPLE_AFTER = "after"

# Assumption: no regimen has more doses than this; it stops a slip such as `every = 1e-9` before memory runs out.
MAX_DOSES = 1_000_000

# Times closer than this many roundings are one time; three operations build a time, each errs by at most half of one.
_ROUNDINGS = 4

Value: TypeAlias = Any  # a number in the model's units, or a text with unit or pint quantity still to be converted


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where in space a dose enters: beside live cells of a type, or in a ball (µm) around a place.

    `poisson` says that the amount is the mean of a Poisson number of cells.
    """

    beside: str = ""
    place: tuple[float, float, float] | None = None
    radius: float = 0.0
    poisson: bool = False


@dataclass(frozen=True, kw_only=True)
class Dose:
    """One dose, or a series of equal doses, into one state.

    Parameters
    ----------
    into, amount
        The state, and the amount of each dose before bioavailability.
    time
        Time of the first dose, before lag.
    duration, rate
        Make it an infusion: its length, or its rate. At most one of them; neither is a bolus.
    every, count
        Interval between doses, and their number. `every` is needed exactly when `count` is above 1.
    lag, bioavailability
        Delay until a dose enters, and the fraction of it that enters (above 1 is allowed, as in NONMEM).
    name
        Name of the product or dose, for the dose log.
    site
        Where it enters, for models in space.

    Examples
    --------
    >>> weekly = Dose(into="blood", amount=100.0, every=7.0, count=6)
    """

    into: str
    amount: Value
    time: Value = 0.0
    duration: Value | None = None
    rate: Value | None = None
    every: Value | None = None
    count: int = 1
    lag: Value = 0.0
    bioavailability: Value = 1.0
    name: str = ""
    site: Site | None = None


class GivenDose(NamedTuple):
    """One entry of the dose log: `time` is nominal and `start` after lag; `amount` is before bioavailability.

    `duration` is that of the infusion as planned (0 for a bolus), also where a reset or the end cuts it short.
    """

    name: str
    into: str
    time: float
    start: float
    amount: float
    duration: float
    bioavailability: float
    site: Site | None = None


@dataclass(frozen=True)
class Schedule:
    """What an engine carries out from `start` to `end`, times and amounts in the model's own units.

    Boluses are `(time, into, amount)` and infusions `(start, stop, into, rate)`, both sorted. Doses into one state at
    one time are added up; rates of overlapping infusions add; `stop` may lie after `end`. At each time in `resets`
    every state returns to its initial value. `log` names every dose given, in order of `start`. `after_end` counts
    the doses left out because they would enter after `end`, `cancelled` those that a reset kept from entering.
    """

    boluses: tuple[tuple[float, str, float], ...]
    infusions: tuple[tuple[float, float, str, float], ...]
    resets: tuple[float, ...]
    log: tuple[GivenDose, ...]
    start: float
    end: float
    after_end: int = 0
    cancelled: int = 0


class _Entry(NamedTuple):
    """A dose that enters: its log entry, where its infusion stops (`start` for a bolus) and at what rate."""

    given: GivenDose
    stop: float
    rate: float


def check(dose: Dose, *, where: str) -> None:
    """Check that a dose, already in the model's own units, makes sense.

    Raises
    ------
    ScenarioError
        If a value is not a finite number, has the wrong sign, or contradicts another one.

    Examples
    --------
    >>> check(Dose(into="blood", amount=-1.0), where="dose 1")
    Traceback (most recent call last):
    atmpsim.errors.ScenarioError: dose 1 amount: found -1.0, expected a number of at least 0.
    """
    if not isinstance(dose.into, str) or not dose.into:
        raise wrong(f"{where} into", repr(dose.into), expected="the name of a state")
    finite_number(dose.time, where=f"{where} time")
    for key in ("amount", "lag", "bioavailability"):
        finite_number(getattr(dose, key), where=f"{where} {key}", least=0.0)
    for key in ("duration", "rate", "every"):
        if getattr(dose, key) is not None:
            finite_number(getattr(dose, key), where=f"{where} {key}", above=0.0)
    if dose.duration is not None and dose.rate is not None:
        remedy = "Bioavailability then scales the rate of the one, the duration of the other."
        raise wrong(where, "both duration and rate", expected="one of them", remedy=remedy)
    _check_repeats(dose, where=where)


def _check_repeats(dose: Dose, *, where: str) -> None:
    finite_number(dose.count, where=f"{where} count", least=1.0)
    if dose.count != int(dose.count):
        raise wrong(f"{where} count", repr(dose.count), expected="a whole number of at least 1")
    if dose.count > 1 and dose.every is None:
        remedy = 'Give every, for example every = "7 d".'
        raise wrong(where, f"count = {dose.count} without every", expected="the interval between doses", remedy=remedy)
    if dose.count == 1 and dose.every is not None:
        remedy = "Give count, the number of doses, or leave every out."
        raise wrong(where, f"every = {dose.every} with count = 1", expected="a count above 1", remedy=remedy)


def wrong(where: str, found: str, *, expected: str, remedy: str = "") -> ScenarioError:
    """Return the complaint about a dose."""
    return ScenarioError(where=where, found=found, expected=expected, remedy=remedy)


def finite_number(value: object, *, where: str, least: float = -math.inf, above: float = -math.inf) -> float:
    """Return a finite number of at least `least` and above `above`.

    Raises
    ------
    ScenarioError
        If it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise wrong(where, repr(value), expected="a number in the model's own units")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        finite = False
    if not finite:
        raise wrong(where, repr(value), expected="a finite number")
    if value < least:
        raise wrong(where, repr(value), expected=f"a number of at least {least:g}")
    if value <= above:
        raise wrong(where, repr(value), expected=f"a number above {above:g}")
    return float(value)


def expand(doses: Iterable[Dose], *, start: float, end: float, where: str, resets: Sequence[float] = ()) -> Schedule:
    """Return the schedule of doses between `start` and `end`, repeats written out.

    A dose that enters exactly at `end` is given (only a sample after it shows it); later ones are left out and
    counted. A reset cancels what earlier dose records still had to give: running infusions, repeats, lagged doses
    (Guide VI, section V.K); a dose whose own `time` is that of the reset is given after it. Times that differ only
    by rounding become one time, so that back-to-back infusions leave no gap of 1e-17 for an integrator to cross.

    Parameters
    ----------
    doses
        Doses in the model's own units.
    start, end
        Span of the simulation.
    resets
        Times of resets (NONMEM's EVID 3 and 4).

    Raises
    ------
    ScenarioError
        If a dose is invalid, is given before `start`, is an infusion too short to resolve, or there are too many.

    Examples
    --------
    >>> made = expand([Dose(into="A", amount=10.0, every=1.0, count=5)], start=0.0, end=2.0, where="here")
    >>> made.boluses, made.after_end
    (((0.0, 'A', 10.0), (1.0, 'A', 10.0), (2.0, 'A', 10.0)), 2)
    """
    start = finite_number(start, where=f"{where} start")
    end = finite_number(end, where=f"{where} end", least=start)
    cuts = sorted({finite_number(time, where=f"{where} reset", least=start) for time in resets})
    entries: list[_Entry] = []
    after_end = cancelled = 0
    for number, dose in enumerate(doses, 1):
        label = f"{where} dose {dose.name!r}" if dose.name else f"{where} dose {number}"
        check(dose, where=label)
        found, late = _repeats(dose, start=start, end=end, where=label)
        kept = _cut(found, cuts=cuts, given=float(dose.time), resolution=_resolution(start, end))
        after_end, cancelled = after_end + late, cancelled + len(found) - len(kept)
        entries += kept
        _check_total(len(entries), where=where)
    inside = [time for time in cuts if time <= end]
    return _schedule(entries, inside, start=start, end=end, after_end=after_end, cancelled=cancelled)


def breakpoints(schedule: Schedule) -> tuple[float, ...]:
    """Return the sorted times between start and end, both included, at which an integrator must stop.

    Examples
    --------
    >>> made = expand([Dose(into="A", amount=6.0, time=1.0, duration=2.0)], start=0.0, end=9.0, where="here")
    >>> breakpoints(made)
    (1.0, 3.0)
    """
    times = {time for time, _, _ in schedule.boluses}.union(schedule.resets)
    for begin, stop, _, _ in schedule.infusions:
        times.update((begin, stop))
    return tuple(sorted(time for time in times if schedule.start <= time <= schedule.end))


def _check_total(total: int, *, where: str) -> None:
    if total > MAX_DOSES:
        remedy = "Check every and count, or give one long infusion instead."
        raise wrong(where, f"more than {MAX_DOSES} doses", expected="fewer", remedy=remedy)


def _resolution(start: float, end: float) -> float:
    return _ROUNDINGS * sys.float_info.epsilon * max(abs(start), abs(end))


def _repeats(dose: Dose, *, start: float, end: float, where: str) -> tuple[list[_Entry], int]:
    """Return the entries of one dose up to `end`, and the number of its repeats after `end`."""
    if dose.time < start:
        remedy = "Start the simulation earlier, or move the dose."
        raise wrong(f"{where} time", repr(dose.time), expected=f"a time from the start ({start:g}) on", remedy=remedy)
    limit, count = end + _resolution(start, end), int(dose.count)
    first, every = float(dose.time) + float(dose.lag), float(dose.every or 0.0)
    if first > limit:
        return [], count
    # One more than the division says, because it may round down; the loop drops what is really too late.
    inside = count if count == 1 else int(min(count, (limit - first) / every + 2))
    _check_total(inside, where=where)
    duration, rate = _infusion(dose, resolution=_resolution(start, end), where=where)
    entries = [_entry(dose, time=float(dose.time) + k * every, duration=duration, rate=rate) for k in range(inside)]
    entries = [entry for entry in entries if entry.given.start <= limit]
    return entries, count - len(entries)


def _infusion(dose: Dose, *, resolution: float, where: str) -> tuple[float, float]:
    """Return the duration and rate of a dose's infusion, both 0 for a bolus."""
    entering = float(dose.bioavailability) * float(dose.amount)
    if dose.duration is not None:
        duration, rate = float(dose.duration), entering / float(dose.duration)
    elif dose.rate is not None:
        duration, rate = entering / float(dose.rate), float(dose.rate)
    else:
        duration, rate = 0.0, 0.0
    if not (math.isfinite(entering) and math.isfinite(duration) and math.isfinite(rate)):
        raise wrong(where, "a dose beyond the largest number", expected="a finite dose and rate")
    if rate > 0.0 and entering > 0.0 and duration <= resolution:
        remedy = "It is too short to tell from 0; give it as a bolus."
        raise wrong(
            where, f"an infusion of duration {duration:g}", expected=f"one longer than {resolution:.0e}", remedy=remedy
        )
    return duration, rate


def _entry(dose: Dose, *, time: float, duration: float, rate: float) -> _Entry:
    begin = time + float(dose.lag)
    given = GivenDose(dose.name, dose.into, time, begin, float(dose.amount), duration,
                      float(dose.bioavailability), dose.site)  # fmt: skip
    return _Entry(given, begin + duration, rate)


def _cut(entries: list[_Entry], *, cuts: list[float], given: float, resolution: float) -> list[_Entry]:
    """Return what the first reset after `given` leaves: no later entries, and infusions that stop at it."""
    cut = next((time for time in cuts if time > given), math.inf)
    kept = (entry for entry in entries if entry.given.start < cut - resolution)
    return [entry._replace(stop=min(entry.stop, cut)) for entry in kept]


def _schedule(
    entries: list[_Entry], resets: list[float], *, start: float, end: float, after_end: int, cancelled: int
) -> Schedule:
    entries = sorted(entries, key=lambda entry: entry.given.start)
    times = {entry.given.start for entry in entries} | {entry.stop for entry in entries} | set(resets)
    one = _one_time(times, start=start, end=end)
    # A dose of nothing stays in the log, but an integrator need not stop for it.
    real = [entry for entry in entries if entry.given.amount * entry.given.bioavailability > 0.0]
    boluses: dict[tuple[float, str], list[float]] = {}
    for given in (entry.given for entry in real if entry.given.duration == 0.0):
        boluses.setdefault((one[given.start], given.into), []).append(given.amount * given.bioavailability)
    spans = [(one[e.given.start], one[e.stop], e.given.into, e.rate) for e in real if e.given.duration > 0.0]
    return Schedule(
        boluses=tuple(sorted((time, into, math.fsum(parts)) for (time, into), parts in boluses.items())),
        infusions=tuple(sorted(span for span in spans if span[1] > span[0])),
        resets=tuple(sorted({one[time] for time in resets})),
        log=tuple(entry.given for entry in entries),
        start=start,
        end=end,
        after_end=after_end,
        cancelled=cancelled,
    )


def _one_time(times: set[float], *, start: float, end: float) -> dict[float, float]:
    """Return each time's representative: the first of those that differ from it only by rounding."""
    resolution, last, one = _resolution(start, end), start, {}
    for time in sorted(times):
        if time - last > resolution:
            last = end if abs(time - end) <= resolution else time
        one[time] = last
    return one
