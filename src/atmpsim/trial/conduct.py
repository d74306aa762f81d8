"""Conduct replicates of a trial: recruit, allot, treat, see, lose; all patients of all replicates at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.scenario.streams import generator
from atmpsim.scenario.trial_schema import AssayTable
from atmpsim.trial import attrition
from atmpsim.trial.assays import AT_VISITS, Sampling, count, diameters
from atmpsim.trial.chain import STEPS, nearest_step, paths, rated
from atmpsim.trial.design import Design, outputs_of
from atmpsim.trial.events import event_times
from atmpsim.trial.keys import REPORTED, new_lesion, number
from atmpsim.trial.pool import Pool, Who, interpolated, pick
from atmpsim.trial.randomise import blocks, simple, stratified

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Rng = np.random.Generator
BLOCK = 500
"""Replicates that share their random streams: what a replicate gives does not depend on how many there are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Conducted:
    """What was recorded of each patient, over (replicate, patient), and at each visit.

    `truth` and `measured` are over (replicate, patient, visit); NaN where nobody was seen. `events` are times after
    infusion, infinite if the event did not come within the follow-up.
    """

    who: Who
    fate: NDArray[np.int64]
    wait: FloatArray
    entered: FloatArray
    left: FloatArray
    informative: BoolArray
    unblinded: BoolArray
    delivered: FloatArray
    weight: FloatArray
    stopped: FloatArray
    when: FloatArray
    truth: Mapping[str, FloatArray]
    measured: Mapping[str, FloatArray]
    events: Mapping[str, FloatArray]


class _Streams:
    """One generator for each purpose in a block of replicates."""

    def __init__(self, seed: int, block: int) -> None:
        self.seed, self.block = seed, block

    def __call__(self, purpose: str) -> np.random.Generator:
        return generator(seed=self.seed, purpose=f"trial {purpose} block {self.block}")


def conduct(design: Design, pool: Pool, *, replicates: int, seed: int) -> Conducted:
    """Return what is recorded in so many replicates of a trial.

    Parameters
    ----------
    seed
        Each number depends on it, on its purpose, replicate and patient, and on nothing else.
    """
    parts = []
    for block in range(-(-replicates // BLOCK)):
        size = min(BLOCK, replicates - block * BLOCK)
        parts.append(_cut(_conduct(design, pool, first=block * BLOCK, streams=_Streams(seed, block)), size))
    return parts[0] if len(parts) == 1 else _joined(parts)


def _conduct(design: Design, pool: Pool, *, first: int, streams: _Streams) -> Conducted:
    table, shape = design.table, (BLOCK, design.table.patients)
    draw, subject = pick(pool, replicates=BLOCK, patients=shape[1], first=first, rng=streams("patients"))
    nobody = Who(arm=np.zeros(shape, dtype=np.int64), draw=draw, subject=subject)
    fate, wait = _fates(design, pool, nobody, streams)
    arm = _allotted(design, pool, nobody, fate, streams)
    who = Who(arm=arm, draw=draw, subject=subject)
    when = _sampled(design, shape, streams("windows"))
    unblinded = streams("blinding").random(shape) < np.array([table.unblinded.get(a, 0.0) for a in design.arms])[arm]
    events = _events(design, pool, who, wait, streams)
    truth, measured = _readings(design, pool, who, wait, when, unblinded, streams)
    left, informative = _left(design, when, measured, streams)
    died = np.minimum.reduce([events[e.death] for e in design.endpoints if e.death] or [np.full(shape, np.inf)])
    # the dead have no new lesion
    events = {k: v if k in design.assays else np.where(v < died, v, np.inf) for k, v in events.items()}
    seen = (fate == attrition.TREATED)[..., None] & (when < np.minimum(left, died)[..., None])
    missed = streams("visits").random(when.shape) < table.missing
    missed[..., 0] = False
    there = seen & ~missed
    rate = design.hazards.get("enrolment", 0.0)
    gaps = streams("enrolment").exponential(size=shape) / rate if rate > 0 else np.zeros(shape)
    stopped = np.full(shape, np.inf) if pool.stopped is None else pool.stopped[arm, draw, subject]
    return Conducted(
        who=who, fate=fate, wait=wait, entered=np.cumsum(gaps, axis=1), left=left, informative=informative,
        unblinded=unblinded, delivered=pool.delivered[subject], weight=pool.weight[subject], stopped=stopped, when=when,
        truth={k: np.where(seen, v, np.nan) for k, v in truth.items()},
        measured={k: np.where(there, v, np.nan) for k, v in measured.items()}, events=events,
    )  # fmt: skip


def _fates(design: Design, pool: Pool, who: Who, streams: _Streams) -> tuple[NDArray[np.int64], FloatArray]:
    """Return what becomes of each patient before infusion, and the time until then."""
    table, wait = design.table, pool.start[who.subject]
    growth = None
    if table.before is not None and table.before.growth is not None:
        assay = design.assays[table.before.growth]
        sampling = Sampling(since=pool.times, units=pool.units)
        rows = [who.rows(pool, name) for name in outputs_of(assay)]
        growth = attrition.growth_time(pool.times, diameters(rows, assay, sampling, streams("growth"))[0])
    fate = attrition.before_infusion(
        wait, growth=growth, hazards=design.hazards, failure=design.product.failure if design.product else 0.0,
        rng=streams("before infusion"),
    )  # fmt: skip
    for name, (low, high) in table.eligibility.items():
        value = who.parameter(pool, name)
        fate = np.where((value < low) | (value > high), attrition.INELIGIBLE, fate)
    return np.where(pool.ok[who.draw, who.subject], fate, attrition.INELIGIBLE), wait


def _allotted(design: Design, pool: Pool, who: Who, fate: NDArray[np.int64], streams: _Streams) -> NDArray[np.int64]:
    """Return the arm of each patient; who is not eligible takes no place, nor who is not treated, if so declared."""
    table, rng = design.table, streams("allocation")
    if table.scheme == "simple":
        return simple(design.ratio, fate.shape, rng=rng)
    at_infusion = table.randomise == "at infusion"
    takes = fate == attrition.TREATED if at_infusion else fate != attrition.INELIGIBLE
    if table.scheme == "stratified" and table.strata is not None:
        strata = np.searchsorted(np.array(table.strata.at), who.parameter(pool, table.strata.by), side="right")
        kinds = len(table.strata.at) + 1
        return stratified(design.ratio, np.where(takes, strata, kinds), block=table.block, rng=rng)
    listed = blocks(design.ratio, fate.shape, block=table.block, rng=rng)
    place = np.where(
        takes, np.cumsum(takes, axis=1) - 1, takes.sum(axis=1, keepdims=True) + np.cumsum(~takes, axis=1) - 1
    )
    return np.take_along_axis(listed, np.clip(place, 0, listed.shape[1] - 1), axis=1)


def _sampled(design: Design, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Return when each visit takes place: within the widest window of its assays, the baseline at its own time."""
    windows = [design.time(a.window, f"assay '{a.name}' window", 0.0) for a in design.assays.values()]
    width = max(windows, default=0.0)
    moved = design.visits + width * (2.0 * rng.random((*shape, design.visits.size)) - 1.0)
    moved[..., 0] = design.visits[0]
    return np.maximum.accumulate(np.clip(moved, design.visits[0], design.horizon), axis=-1)


def _events(design: Design, pool: Pool, who: Who, wait: FloatArray, streams: _Streams) -> dict[str, FloatArray]:
    made: dict[str, FloatArray] = {}
    for name, assay in design.assays.items():
        if assay.new_lesions is not None:
            hazard = (number(assay, "new_lesions") or 0.0) * design.rate("1/d")
            draw = streams(f"new lesions {name}").exponential(size=wait.shape)
            times = draw / hazard if hazard > 0 else np.full(wait.shape, np.inf)
            made[new_lesion(name)] = np.where(times <= design.horizon, times, np.inf)
        if assay.kind != "event":
            continue
        draw = streams(f"event {assay.like or name}").random(wait.shape)
        times = event_times(
            pool.times, who.rows(pool, str(assay.of)), wait, draw, cumulative=assay.curve == "cumulative"
        )
        made[name] = np.where(times - wait <= design.horizon, times - wait, np.inf)
    return made


def _readings(
    design: Design, pool: Pool, who: Who, wait: FloatArray, when: FloatArray, unblinded: BoolArray, streams: _Streams
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return truth and reading of every assay at every visit, as if nobody were ever absent."""
    truth: dict[str, FloatArray] = {}
    measured: dict[str, FloatArray] = {}
    for name, assay in design.assays.items():
        if assay.kind == "event":
            continue
        rng = streams(f"assay {name}")
        if assay.kind == "edss":
            true, read = _disability(design, pool, who, assay, when, wait, rng)
        elif assay.kind == "diary":
            true, read = _diary(design, pool, who, assay, when, wait, rng)
        else:
            latent = [who.at(pool, output, wait[..., None] + when) for output in outputs_of(assay)]
            true, read = observe(assay, latent, when, design, pool.units, rng)
        if name in pool.readings:  # what the rules acted on is what is on file
            read = pool.readings[name][who.arm, who.draw, who.subject]
        if assay.kind in REPORTED and assay.expectation:
            shifted = read + assay.expectation * (unblinded & (who.arm != design.control))[..., None]
            read = np.concatenate([read[..., :1], _within(shifted, assay)[..., 1:]], axis=-1)
        truth[name], measured[name] = true, read
    return truth, measured


def observe(
    assay: AssayTable, latent: list[FloatArray], when: FloatArray, design: Design, units: Mapping[str, str],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Return truth and reading of an assay that looks at a moment, from its outputs at the visits."""
    if assay.kind == "scale":
        return _scale(assay, latent[0], when, design, rng)
    days = when * (design.time("1 d", "a day") ** -1)
    copies = design.product.vector_copies if design.product is not None else 1.0
    return AT_VISITS[assay.kind](latent, assay, Sampling(since=days, units=units, copies=copies), rng)


def _within(values: FloatArray, assay: AssayTable) -> FloatArray:
    low, high = 0.0 if assay.kind == "edss" else assay.low, 10.0 if assay.kind == "edss" else assay.high
    return np.clip(values, -np.inf if low is None else low, np.inf if high is None else high)


def _scale(
    assay: AssayTable, values: FloatArray, when: FloatArray, design: Design, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return a reported scale: the truth, less the placebo response of all arms, with noise, within its ends."""
    half = number(assay, "placebo_half_time")
    since = when * (design.time("1 d", "a day") ** -1)
    came = 1.0 - 2.0 ** (-since / half) if half else np.where(since > 0, 1.0, 0.0)
    gain = assay.placebo * values[..., :1] * came
    truth = values - gain if assay.better == "lower" else values + gain
    return truth, _within(truth + assay.error * rng.standard_normal(truth.shape), assay)


def _disability(
    design: Design, pool: Pool, who: Who, assay: AssayTable, when: FloatArray, wait: FloatArray, rng: Rng
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    flat = who.arm.size
    rates = {k: who.parameter(pool, k).ravel() for k in ("step_up_rate", "step_down_rate")}
    rates = {k: v * design.rate(pool.units[k]) for k, v in rates.items()}
    since = wait.ravel()[:, None]
    grid = pool.times[None, :] - since
    ratio = who.rows(pool, str(assay.of)).reshape(flat, -1)
    if np.ptp(wait) > 0:  # each patient's course from its own infusion on, on one grid
        common = np.linspace(0.0, design.horizon, pool.times.size)
        shifted = np.broadcast_to(common, (flat, common.size)) + since
        right = np.array([np.interp(t, pool.times, r) for t, r in zip(shifted, ratio, strict=True)])
        axis, ratio = common, right
    else:
        axis = grid[0]
    start = nearest_step(who.parameter(pool, "baseline_edss").ravel())
    steps = paths(
        start, when.reshape(flat, -1), up=rates["step_up_rate"], down=rates["step_down_rate"],
        late=who.parameter(pool, "late_factor").ravel(), grid=axis, ratio=ratio, rng=rng,
    ).reshape(when.shape)  # fmt: skip
    return STEPS[steps], rated(steps, error=assay.error, rng=rng)


def _diary(
    design: Design, pool: Pool, who: Who, assay: AssayTable, when: FloatArray, wait: FloatArray, rng: Rng
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Return events counted since the visit before: the integral of a rate; at the first visit none are counted."""
    rate = design.rate(pool.units[str(assay.of)]) if assay.per is None else 1.0 / design.time(assay.per, "per")
    rows = who.rows(pool, str(assay.of)) * rate
    steps = np.diff(pool.times) * (rows[..., 1:] + rows[..., :-1]) / 2
    total = np.concatenate([np.zeros((*rows.shape[:-1], 1)), np.cumsum(steps, axis=-1)], axis=-1)
    so_far = interpolated(pool.times, total, wait[..., None] + when)
    mean = np.diff(so_far, axis=-1, prepend=so_far[..., :1])
    return mean, count(mean, assay.dispersion or 1.0, rng)


def _left(
    design: Design, when: FloatArray, measured: Mapping[str, FloatArray], streams: _Streams
) -> tuple[FloatArray, BoolArray]:
    gained = None
    if design.table.informative is not None:
        values, better = measured[design.table.informative], design.assays[design.table.informative].better
        change = values - values[..., :1]
        gained = change < 0 if better == "lower" else change > 0
    return attrition.leaving(when, hazard=design.hazards.get("dropout", 0.0), gained=gained, rng=streams("drop-out"))


def _cut(made: Conducted, size: int) -> Conducted:
    return _joined([made], size)


def _joined(parts: list[Conducted], size: int | None = None) -> Conducted:
    """Return blocks of replicates as one, or the first replicates of a block."""

    def both(values: list[Any]) -> Any:
        return np.concatenate([v[:size] for v in values])

    made: dict[str, Any] = {}
    for name in Conducted.__dataclass_fields__:
        values = [getattr(p, name) for p in parts]
        if isinstance(values[0], Mapping):
            made[name] = {k: both([v[k] for v in values]) for k in values[0]}
        elif name != "who":
            made[name] = both(values)
    who = {k: both([getattr(p.who, k) for p in parts]) for k in ("arm", "draw", "subject")}
    return Conducted(who=Who(**who), **made)
