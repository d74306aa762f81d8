"""Doses into a tissue: where they enter, and what an agent model is given on a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from atmpsim.agents.composition import with_start
from atmpsim.agents.extension import Arrival, Injection
from atmpsim.agents.settable import with_values, words
from atmpsim.agents.spec import AgentModel
from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario.convert import in_model_units
from atmpsim.scenario.dosing import GivenDose, Schedule, Site
from atmpsim.scenario.schema import DoseTable

_KEYS = ("beside", "place", "radius", "number")


def dose_site(table: DoseTable, model: AgentModel | None, *, where: str) -> Site | None:
    """Return where a dose enters, None for a model without space.

    Raises
    ------
    ScenarioError, UnitError
        If the model has no space, the place lies outside it, or the keys contradict one another.
    """
    given = [key for key in _KEYS if getattr(table, key) is not None]
    if model is None:
        if given:
            raise ScenarioError(where=f"{where} {given[0]}", found=f"the key '{given[0]}'",
                                expected='it with engine = "agents" only')  # fmt: skip
        return None
    types, substrates = words(model)
    if table.into in substrates and (table.place is None or {"beside", "number"} & {*given}):
        raise ScenarioError(where=where, found=f"a dose of the substrate '{table.into}' with {one_of(given)}",
                            expected="its place, and no beside or number",
                            remedy='For example place = ["0 um", "0 um"], radius = "50 um".')  # fmt: skip
    if table.beside is not None and (table.place is not None or table.beside not in types):
        raise ScenarioError(where=f"{where} beside", found=f"'{table.beside}'",
                            expected=f"a cell type ({one_of(types)}), and no place beside it",
                            remedy=did_you_mean(table.beside, types))  # fmt: skip
    if table.radius is not None and table.place is None:
        raise ScenarioError(where=f"{where} radius", found="a radius without a place", expected="both, or neither")
    radius = 0.0 if table.radius is None else float(in_model_units(table.radius, unit="um", where=f"{where} radius"))
    if radius < 0:
        raise ScenarioError(where=f"{where} radius", found=f"'{table.radius}'", expected="a length of at least 0")
    return Site(beside=table.beside or "", place=_place(table, model, where), radius=radius,
                poisson=table.number == "poisson")  # fmt: skip


def _place(table: DoseTable, model: AgentModel, where: str) -> tuple[float, float, float] | None:
    if table.place is None:
        return None
    at = [float(in_model_units(text, unit="um", where=f"{where} place")) for text in table.place]
    at += [0.0] * (3 - len(at))
    domain = model.domain
    if any(not low <= x <= high for x, low, high in zip(at, domain.lower, domain.upper, strict=True)):
        raise ScenarioError(where=f"{where} place", found=", ".join(table.place),
                            expected=f"a place between {domain.lower} and {domain.upper} um")  # fmt: skip
    return at[0], at[1], at[2]


def set_up(
    model: AgentModel, given: Mapping[str, float], schedule: Schedule, *, minutes: float, seed: int, where: str
) -> AgentModel:
    """Return the model that one run simulates: with its values, its start and its doses.

    Raises
    ------
    InputError
        If one of them does not suit the model.
    """
    return with_doses(set_values(model, given, seed=seed, where=where), schedule, minutes=minutes, where=where)


def set_values(model: AgentModel, given: Mapping[str, float], *, seed: int, where: str) -> AgentModel:
    """Return a model with other numbers, and other first cells and amounts.

    Raises
    ------
    ModelError
        If a value cannot be.
    """
    states = {*chain(*words(model))}
    numbers = {k: v for k, v in given.items() if k not in states}
    start = {k: v for k, v in given.items() if k in states}
    changed = with_values(model, numbers, where=f"{where} [parameters]")
    return with_start(changed, start, seed=seed, where=f"{where} [initial]") if start else changed


def with_doses(model: AgentModel, schedule: Schedule, *, minutes: float, where: str) -> AgentModel:
    """Return a model that is given the doses of a schedule, and nothing else on a schedule.

    Parameters
    ----------
    minutes
        Minutes in the schedule's unit of time.

    Raises
    ------
    ScenarioError
        If a number of cells is not whole, though it is to be exact.
    """
    types, substrates = words(model)
    arrivals = tuple(_arrival(model, types.index(d.into), d, minutes, where) for d in schedule.log if d.into in types)
    injections = tuple(
        Injection(substrate=substrates.index(d.into), times=(d.start * minutes,), amount=d.amount * d.bioavailability,
                  duration=d.duration * minutes, place=d.site.place, radius=d.site.radius)
        for d in schedule.log if d.into in substrates and d.site is not None and d.site.place is not None
    )  # fmt: skip
    return replace(model, extension=replace(model.extension, arrivals=arrivals, injections=injections))


def _arrival(model: AgentModel, kind: int, dose: GivenDose, minutes: float, where: str) -> Arrival:
    """Return the arrival that a dose of cells is; source and age are those of the model's own arrival of that type."""
    site = dose.site or Site()
    own = next((a for a in model.extension.arrivals if a.cell_type == kind), None)
    source = words(model)[0].index(site.beside) if site.beside else own.source if own is not None else -1
    number = dose.amount * dose.bioavailability
    if not site.poisson and number != round(number):
        raise ScenarioError(where=f"{where} dose '{dose.name}' amount", found=f"{number:g} cells that enter",
                            expected="a whole number", remedy='Or number = "poisson", for a mean.')  # fmt: skip
    return Arrival(
        cell_type=kind, times=(dose.start * minutes,), number=number, duration=dose.duration * minutes, source=source,
        age=0.0 if own is None else own.age, exact=not site.poisson, place=site.place, radius=site.radius,
    )  # fmt: skip
