"""Endpoints of each patient, made of what was recorded and of nothing else: they can be made again from a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atmpsim.scenario.trial_schema import EndpointTable
from atmpsim.trial.design import Design
from atmpsim.trial.keys import new_lesion
from atmpsim.trial.responses import Lesions, disability_progression, recist

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What is on file of every patient, over (replicate, patient), and at visits: no latent truth is in it.

    Attributes
    ----------
    left
        When a patient left, infinity if never; `stopped` when a rule ended treatment.
    wait
        From recruitment to infusion.
    """

    arm: NDArray[np.int64]
    fate: NDArray[np.int64]
    treated: BoolArray
    randomised: BoolArray
    wait: FloatArray
    left: FloatArray
    stopped: FloatArray
    when: FloatArray
    measured: Mapping[str, FloatArray]
    events: Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """An endpoint of each patient: a value (NaN if not evaluable), or a time with whether the event was seen.

    `entry` is when a patient comes under observation, above 0 where time counts from recruitment.
    """

    value: FloatArray
    baseline: FloatArray
    duration: FloatArray
    seen: BoolArray
    entry: FloatArray
    analysed: BoolArray


def outcome(endpoint: EndpointTable, design: Design, record: Record) -> Outcome:
    """Return an endpoint of every patient."""
    analysed = record.treated if endpoint.population == "treated" else record.randomised
    if endpoint.kind in ("progression_free", "time_to", "confirmed_progression"):
        return _timed(endpoint, design, record, analysed)
    values, when = _visits(endpoint, record)
    last = design.visit(endpoint.at or endpoint.until, endpoint.name)
    made = _value(endpoint, design, record, values, when, last)
    if endpoint.missing == "failure":
        made = np.where(np.isnan(made), 0.0, made)
    # who left early has no count of the whole period
    made = np.where(analysed, made, np.nan)
    none = np.full(made.shape, np.nan)
    return Outcome(value=made, baseline=values[..., 0], duration=none, seen=np.zeros(made.shape, dtype=bool),
                   entry=np.zeros(made.shape), analysed=analysed)  # fmt: skip


def _visits(endpoint: EndpointTable, record: Record) -> tuple[FloatArray, FloatArray]:
    """Return readings and times; while on treatment, none after treatment ended; missed ones as declared."""
    values = record.measured[endpoint.assay]
    if endpoint.estimand == "while on treatment":
        values = np.where(record.when > record.stopped[..., None], np.nan, values)
    if endpoint.missing == "carried forward":
        known = np.where(np.isnan(values), -1, np.arange(values.shape[-1]))
        last = np.maximum.accumulate(known, axis=-1)
        values = np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), axis=-1), np.nan)
    return values, record.when


def _lesions(endpoint: EndpointTable, design: Design, record: Record, values: FloatArray, when: FloatArray) -> Lesions:
    """Return response and progression; a new lesion counts once it is seen."""
    new = record.events.get(new_lesion(endpoint.assay), np.full(values.shape[:-1], np.inf))
    return recist(values, when, new=new, confirm=design.time(endpoint.confirm, "confirm", 0.0))


def _value(
    endpoint: EndpointTable, design: Design, record: Record, values: FloatArray, when: FloatArray, last: int
) -> FloatArray:
    kind, there = endpoint.kind, values[..., last]
    span = values[..., 1 : last + 1]
    if kind == "change":
        return there - values[..., 0]
    if kind == "value":
        return there
    if kind == "maximum":
        return np.asarray(np.fmax.reduce(span, axis=-1))
    if kind == "total":
        return span.sum(axis=-1)
    if kind == "rate":
        return span.sum(axis=-1) / ((when[..., last] - when[..., 0]) / design.year)
    if kind == "response":
        made = _lesions(endpoint, design, record, values[..., : last + 1], when[..., : last + 1])
        return np.where(np.isnan(values[..., 0]), np.nan, made.responded.astype(np.float64))
    if kind == "positive":
        limit = endpoint.threshold if endpoint.threshold is not None else design.assays[endpoint.assay].lloq or 0.0
        seen = np.fmax.reduce(span, axis=-1)
        return np.where(np.isnan(seen), np.nan, (seen >= limit).astype(np.float64))
    threshold = endpoint.threshold if endpoint.threshold is not None else np.nan
    met = there > threshold if kind == "above" else there < threshold
    return np.where(np.isnan(there), np.nan, met.astype(np.float64))


def _timed(endpoint: EndpointTable, design: Design, record: Record, analysed: BoolArray) -> Outcome:
    """Return times to an event, censored at the last visit, at drop-out, or at the end of follow-up."""
    assay = design.assays[endpoint.assay]
    shape = record.treated.shape
    baseline, values = np.full(shape, np.nan), np.empty((*shape, 0))
    end = np.minimum(record.left, design.horizon)
    if assay.kind == "event":
        event = record.events[endpoint.assay]
    else:
        values, when = _visits(endpoint, record)
        baseline = values[..., 0]
        if assay.kind == "edss":
            delay = design.time(endpoint.confirm, "confirm", 0.0)
            event = disability_progression(values, when, confirm=delay)
        else:
            event = _lesions(endpoint, design, record, values, when).progressed
        # after the last visit nobody knows
        seen = np.where(np.isnan(values), -np.inf, when).max(axis=-1)
        end = np.minimum(end, np.maximum(seen, 0.0))
    if endpoint.death is not None:
        died = record.events[endpoint.death]
        end = np.where(died < np.minimum(record.left, design.horizon), np.maximum(end, died), end)
        if endpoint.kind == "progression_free":
            event = np.minimum(event, died)
        elif event is not record.events[endpoint.death]:
            end = np.minimum(end, died)
    duration, happened = np.minimum(event, end), event <= end
    shift = record.wait if endpoint.origin == "recruitment" else np.zeros(shape)
    analysed = analysed & record.treated
    known = analysed & ~np.isnan(duration)
    last = design.visit(endpoint.at, endpoint.name)
    limit = design.visits[last]
    # a share at a time needs everybody to have been followed until then, or to have had the event
    followed = end >= limit * (1 - 1e-9) if assay.kind == "event" else ~np.isnan(values[..., last])
    value = np.where(happened & (duration <= limit), 1.0, np.where(followed, 0.0, np.nan))
    if endpoint.missing == "failure":
        value = np.where(np.isnan(value), 0.0, value)
    return Outcome(value=np.where(known, value, np.nan), baseline=baseline,
                   duration=np.where(known, duration + shift, np.nan), seen=happened & known,
                   entry=np.where(known, shift, 0.0), analysed=analysed)  # fmt: skip
