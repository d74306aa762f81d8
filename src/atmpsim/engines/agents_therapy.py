"""Cells that come from outside, and the tables of what viruses do in cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.extension import Arrival, Injection, Recruitment
from atmpsim.agents.spec import AgentModel
from atmpsim.engines.agents_cells import generator
from atmpsim.engines.agents_ledger import add_dose
from atmpsim.kernels.agents import rows as r
from atmpsim.kernels.agents.advance import Fields
from atmpsim.kernels.agents.therapy import EXPONENTIAL, FIXED, GEOMETRIC, INTERNALISED, LINEAR, POISSON, Therapy

_LAWS = {"linear": LINEAR, "exponential": EXPONENTIAL}
_SIZES = {"fixed": FIXED, "poisson": POISSON, "geometric": GEOMETRIC, "internalised": INTERNALISED}

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def make_therapy(model: AgentModel) -> Therapy:
    """Return the tables of a model's extension."""
    e = model.extension
    return Therapy(
        infection=_table(
            [(i.cell_type, i.substrate, i.becomes, i.probability, i.inhibitor, i.inhibitor_half) for i in e.infections],
            6,
        ),
        clock=_table([(c.cell_type, c.stages, c.mean, c.becomes) for c in e.clocks], 4),
        replication=_table([(p.cell_type, p.substrate, _LAWS[p.law], p.rate, p.capacity) for p in e.replications], 5),
        burst=_table([(b.cell_type, b.substrate, b.amount, _SIZES[b.size]) for b in e.bursts], 4),
    )


def _table(rows: list, columns: int) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(-1, columns)


@dataclass(frozen=True, kw_only=True, eq=False)
class Timetable:
    """Every arrival of a run, by time: min, number of the `Arrival`."""

    time: Floats
    arrival: Integers


def make_timetable(model: AgentModel, seed: int) -> Timetable:
    """Return when cells arrive: drawn at the start, so that the way of the run does not matter."""
    times, which = [np.zeros(0)], [np.zeros(0, np.int64)]
    for k, arrival in enumerate(model.extension.arrivals):
        draw = generator(seed, r.D_ARRIVE, k)
        for begin in arrival.times:
            number = round(arrival.number) if arrival.exact else int(draw.poisson(arrival.number))
            times.append(begin + arrival.duration * draw.random(number))
            which.append(np.full(number, k, dtype=np.int64))
    time, arrival_of = np.concatenate(times), np.concatenate(which)
    order = np.argsort(time, kind="stable")
    return Timetable(time=time[order], arrival=arrival_of[order])


@dataclass(frozen=True, kw_only=True, eq=False)
class Newcomers:
    """Cells to add: type, place (um) and how far their clock has run."""

    kind: Integers
    place: Floats
    clock: Floats


def newcomers(
    model: AgentModel, timetable: Timetable, cells: r.Cells, count: int, density: Floats, *, step: int, seed: int
) -> Newcomers:
    """Return the cells that enter in the phenotype step that begins at a mechanics step.

    An arrival beside a type of which no cell lives, and without a place, comes to a random point instead.
    """
    draw = generator(seed, r.D_RECRUIT, step)
    now, dt = step * model.steps.mechanics, model.steps.phenotype
    first = np.searchsorted(timetable.time, now - dt, side="right") if step else 0
    due = timetable.arrival[first : np.searchsorted(timetable.time, now, side="right")]
    kinds, places, clocks = [], [], []
    for k in due:
        arrival = model.extension.arrivals[k]
        sources = _living(cells, count, arrival.source) if arrival.source >= 0 else np.zeros(0, np.int64)
        if arrival.place is not None:
            places.append(_around(model, arrival.place, arrival.radius, draw))
        elif sources.size:
            source = int(sources[draw.integers(sources.size)])
            places.append(_beside(model, cells, source, arrival.cell_type, draw))
        else:
            places.append(_anywhere(model, draw))
        kinds.append(arrival.cell_type)
        clocks.append(_clock(model, arrival, draw))
    for rule in model.extension.recruitments:
        for source in _recruited(model, rule, cells, count, kinds, density, draw):
            places.append(_beside(model, cells, int(source), rule.cell_type, draw))
            kinds.append(rule.cell_type)
            clocks.append(0.0)
    return Newcomers(
        kind=np.array(kinds, dtype=np.int64), place=np.array(places).reshape(-1, 3), clock=np.array(clocks)
    )


def _living(cells: r.Cells, count: int, kind: int) -> Integers:
    whole = cells.whole[:, :count]
    alive = (whole[r.STATE] == r.LIVE) & (whole[r.FATE] != r.REMOVED) & (whole[r.OUTSIDE] == 0)
    return np.flatnonzero(alive & (whole[r.TYPE] == kind))


def _recruited(
    model: AgentModel, rule: Recruitment, cells: r.Cells, count: int, kinds: list, density: Floats,
    draw: np.random.Generator,
) -> Integers:  # fmt: skip
    """Return the source cell of each cell that one rule recruits, within its limit."""
    sources = _living(cells, count, rule.source)
    rate = np.full(sources.size, rule.base_rate)
    if rule.substrate >= 0:
        voxel = cells.whole[r.VOXEL, sources]
        c = np.where(voxel >= 0, np.maximum(density[rule.substrate, np.maximum(voxel, 0)], 0.0), 0.0)
        term = (c / rule.half_max) ** rule.hill_power
        rate += (rule.max_rate - rule.base_rate) * term / (1.0 + term)
    entered = np.repeat(sources, draw.poisson(rate * model.steps.phenotype))
    if rule.limit >= 0:
        room = rule.limit - _living(cells, count, rule.cell_type).size - kinds.count(rule.cell_type)
        if entered.size > room:
            entered = draw.permutation(entered)[: max(room, 0)]
    return entered


def _beside(model: AgentModel, cells: r.Cells, source: int, kind: int, draw: np.random.Generator) -> Floats:
    """Return a point at which a cell of a type touches a cell, in a random direction, inside the domain."""
    way = draw.normal(size=3)
    if model.domain.two_dimensional:
        way[2] = 0.0
    far = cells.real[r.RADIUS, source] + model.cell_types[kind].volume.radius
    place = cells.real[r.X : r.Z + 1, source] + far * way / np.linalg.norm(way)
    return np.clip(place, model.domain.lower, model.domain.upper)


def _around(model: AgentModel, middle: tuple[float, float, float], radius: float, draw: np.random.Generator) -> Floats:
    """Return a random point of a ball (of a disc in two dimensions), inside the domain."""
    flat = model.domain.two_dimensional
    way = draw.normal(size=3)
    way[2] *= not flat
    far = radius * draw.random() ** (1 / 2 if flat else 1 / 3)
    return np.clip(np.array(middle) + far * way / np.linalg.norm(way), model.domain.lower, model.domain.upper)


def inject(model: AgentModel, fields: Fields, *, step: int) -> None:
    """Add to the fields what injections give in the phenotype step that begins at a mechanics step.

    A course goes evenly into the voxels whose centres lie in its ball, at least into the one around its middle.
    """
    now, dt = step * model.steps.mechanics, model.steps.phenotype
    last = now - dt if step else -np.inf  # what is due at the start is given in the first step
    for one in model.extension.injections:
        given = sum(_share(time, one.duration, last, now) for time in one.times)
        if given > 0.0:
            add_dose(fields, one.substrate, _voxels(model, one), given * one.amount)


def _share(begin: float, duration: float, last: float, now: float) -> float:
    """Return the share of a course that falls into the time after `last` until `now`."""
    if duration == 0.0:
        return float(last < begin <= now)
    return max(min(now, begin + duration) - max(last, begin), 0.0) / duration


def _voxels(model: AgentModel, one: Injection) -> tuple[Integers, Integers, Integers]:
    domain = model.domain
    centres = [
        low + step * (np.arange(n) + 0.5) - middle
        for low, step, n, middle in zip(domain.lower, domain.voxel, domain.shape, one.place, strict=True)
    ]
    if domain.two_dimensional:
        centres[2] = np.zeros(1)
    x, y, z = centres
    far = x**2 + y[:, None] ** 2 + z[:, None, None] ** 2
    inside = np.argwhere(far <= max(one.radius**2, far.min()))
    return inside[:, 0], inside[:, 1], inside[:, 2]


def _anywhere(model: AgentModel, draw: np.random.Generator) -> Floats:
    place = draw.uniform(model.domain.lower, model.domain.upper)
    if model.domain.two_dimensional:
        place[2] = 0.0
    return place


def _clock(model: AgentModel, arrival: Arrival, draw: np.random.Generator) -> float:
    """Return how far the clock of an arriving cell has run: minutes, or stages, fewer than all."""
    clock = next((c for c in model.extension.clocks if c.cell_type == arrival.cell_type), None)
    if clock is None or arrival.age == 0.0:
        return 0.0
    if clock.stages == 0:
        return arrival.age
    mean = arrival.age * clock.stages / clock.mean
    weights = np.cumprod([1.0, *(mean / k for k in range(1, clock.stages))])  # Poisson, on fewer than all stages
    return float(draw.choice(clock.stages, p=weights / weights.sum()))
