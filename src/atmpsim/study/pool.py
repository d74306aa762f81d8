"""Compute the pool of virtual patients of a trial: each with its own product, time to infusion and doses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from atmpsim.engines.trajectory import Status
from atmpsim.errors import ScenarioError
from atmpsim.scenario.convert import in_model_units
from atmpsim.scenario.dosing import Dose, GivenDose, Schedule, expand
from atmpsim.scenario.product import Product, drawn, product_dose
from atmpsim.scenario.rows import Group, positions
from atmpsim.scenario.table import RunTable
from atmpsim.study.compute import Adjust, Computed, compute, joined
from atmpsim.study.labels import Labels
from atmpsim.trial.design import Design
from atmpsim.trial.pool import Pool

FloatArray = NDArray[np.float64]
_PIECE = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Givens:
    """What differs between the patients of a pool besides the model's parameters, by subject.

    `start` is the time from recruitment to infusion, `delivered` the dose over that of a typical product.
    """

    start: FloatArray
    delivered: FloatArray
    share: FloatArray


def givens(design: Design, table: RunTable, *, seed: int) -> Givens:
    """Return time to infusion and delivered share of each subject.

    Raises
    ------
    ScenarioError
        If the simulation ends before the last visit of the last patient.
    """
    assert table.population is not None
    subjects = np.arange(table.population.size)
    product = design.product
    start, delivered, typical = np.zeros(subjects.size), np.ones(subjects.size), 1.0
    if product is not None:
        delivered = product.delivered(subjects, seed=seed, converted=_is_converted(product, table))
        typical = product.typical()
    if product is not None and product.vein_to_vein is not None:
        distribution, unit = product.vein_to_vein
        start = drawn(distribution, subjects, seed=seed, purpose="product vein_to_vein")
        start = start * float(in_model_units(f"1 {unit}", unit=design.time_unit, where="[product] vein_to_vein"))
    needed, end = float(start.max()) + design.horizon, float(table.times[-1])
    if needed > end * (1 + 1e-9):
        raise ScenarioError(where=f"{_name(table)} [time] end", found=f"{end:g} {design.time_unit}",
                            expected=f"at least {needed:.4g} {design.time_unit}, the last visit of the last patient",
                            remedy="Move the end, shorten the visits, or bound vein_to_vein.")  # fmt: skip
    return Givens(start=start, delivered=delivered, share=delivered * typical)


def _name(table: RunTable) -> str:
    return f"{table.inputs.name}.toml" if table.inputs is not None else "scenario"


def _is_converted(product: Product, table: RunTable) -> bool:
    pairs = [(d, table.model.quantity(d.into)) for d in table.scenario.dose]
    return any(
        product_dose(d, k, product, q.unit, "dose")[1] for k, (d, q) in enumerate(pairs, 1) if q is not None and q.typed
    )


Change = Mapping[int, Sequence[Dose]]
"""Doses by run, where rules have changed them."""


def adjusted(design: Design, table: RunTable, given: Givens, changed: Change) -> Adjust | None:
    """Return what gives each run its own doses; None where all patients of an arm get the same."""
    plain = bool((given.start == 0).all() and (given.delivered == 1).all())
    if plain and not changed:
        return None
    named = design.product.doses if design.product is not None else ()
    occasions = table.population.occasions if table.population is not None else None
    moving = frozenset([c.name for c in table.courses] + [*(occasions.spread if occasions is not None else ())])

    def adjust(group: Group) -> Group:
        subjects = positions(table, group.members)["subject"]
        made = []
        for run, which, subject in zip(group.members.tolist(), group.which.tolist(), subjects.tolist(), strict=True):
            schedule = group.schedules[which]
            doses = changed[run] if run in changed else own_doses(schedule, given, subject, named)
            own = expand(doses, start=schedule.start, end=schedule.end, where=f"run {run}", resets=schedule.resets)
            made.append(with_courses(own, schedule, moving))
        return replace(group, schedules=tuple(made), which=np.arange(group.members.size))

    return adjust


def with_courses(made: Schedule, planned: Schedule, moving: frozenset[str]) -> Schedule:
    """Return a schedule with the changes that a planned one makes to quantities that move by themselves."""
    if not moving:
        return made
    return replace(
        made, boluses=tuple(sorted([*made.boluses, *(b for b in planned.boluses if b[1] in moving)])),
        infusions=tuple(sorted([*made.infusions, *(i for i in planned.infusions if i[2] in moving)])),
    )  # fmt: skip


def own_doses(schedule: Schedule, given: Givens, subject: int, named: Sequence[str]) -> list[Dose]:
    """Return every dose of a schedule one by one, after a subject's wait and with its product's share."""
    wait = float(given.start[subject])
    return [_own(dose, wait, float(given.delivered[subject]) if dose.name in named else 1.0) for dose in schedule.log]


def _own(dose: GivenDose, wait: float, factor: float) -> Dose:
    return Dose(
        into=dose.into, amount=dose.amount, time=dose.time + wait, lag=dose.start - dose.time,
        duration=dose.duration or None, bioavailability=dose.bioavailability * factor, name=dose.name,
    )  # fmt: skip


def compute_pool(table: RunTable, labels: Labels, adjust: Adjust | None) -> Computed:
    """Return every run of a pool."""
    parts = [
        compute(table, labels, begin, min(begin + _PIECE, table.size), threads=None, adjust=adjust)
        for begin in range(0, table.size, _PIECE)
    ]
    return joined(parts)


def shape_of(table: RunTable) -> tuple[int, int, int]:
    """Return the numbers of arms, draws and subjects of a pool."""
    shape = table.shape
    return shape["arm"], shape.get("draw", 1), shape["subject"]


def as_pool(table: RunTable, labels: Labels, computed: Computed, given: Givens) -> Pool:
    """Return computed runs as a pool of patients."""
    arms, draws, subjects = shape_of(table)
    shape = (arms, draws, subjects)
    values = computed.parameters.reshape(*shape, -1)[0]
    parameters = {name: values[..., k] for k, name in enumerate(labels.parameters)}
    units = {q.id: q.unit or "1" for q in table.model.quantities.values()}
    ok = (computed.status.reshape(shape) == Status.OK).all(axis=0)
    weight = parameters.get("weight")
    return Pool(
        times=table.times, curves={k: v.reshape(*shape, -1) for k, v in computed.curves.items()}, parameters=parameters,
        units=units, start=given.start, delivered=given.share, ok=ok,
        weight=weight[0] if weight is not None else np.full(subjects, np.nan),
    )  # fmt: skip
