"""The design of a trial as a scenario declares it, checked against its model and in the model's units of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.model.spec import Model
from atmpsim.scenario.convert import in_model_units
from atmpsim.scenario.product import Product, read_product
from atmpsim.scenario.schema import ScenarioFile, TrialTable
from atmpsim.scenario.trial_schema import AssayTable, EndpointTable, RuleTable
from atmpsim.trial.keys import check_assay

FloatArray = NDArray[np.float64]
EDSS_PARAMETERS = ("baseline_edss", "step_up_rate", "step_down_rate", "late_factor")
"""What the half-step chain of disability takes from the model, besides the ratio of its upward rates."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """A trial, all times in the model's unit.

    Attributes
    ----------
    ratio
        Patients of each arm in a smallest whole, in the order of the arms.
    visits
        Times after infusion; the first is the baseline.
    year
        Length of a year in the model's unit of time.
    """

    table: TrialTable
    arms: tuple[str, ...]
    ratio: tuple[float, ...]
    whole: bool
    control: int
    visits: FloatArray
    assays: Mapping[str, AssayTable]
    endpoints: tuple[EndpointTable, ...]
    rules: tuple[RuleTable, ...]
    product: Product | None
    time_unit: str
    year: float
    caution: str = ""
    hazards: Mapping[str, float] = field(default_factory=dict)

    @property
    def horizon(self) -> float:
        """Return the time of the last visit."""
        return float(self.visits[-1])

    def time(self, text: str | None, where: str, default: float = math.nan) -> float:
        """Return a time in the model's unit."""
        return default if text is None else _time(text, self.time_unit, where)

    def rate(self, unit: str) -> float:
        """Return one of a unit such as 1/yr as a rate in the model's unit of time.

        Raises
        ------
        UnitError
            If it is no rate.
        """
        return float(in_model_units(f"1 {unit}", unit=f"1/{self.time_unit}", where=f"a rate in {unit}"))

    def visit(self, text: str | None, where: str) -> int:
        """Return the number of the visit at a time, the last one if none is given.

        Raises
        ------
        ScenarioError
            If there is no visit at that time.
        """
        if text is None:
            return self.visits.size - 1
        wanted = self.time(text, where)
        near = int(np.abs(self.visits - wanted).argmin())
        if not math.isclose(self.visits[near], wanted, rel_tol=1e-6, abs_tol=1e-9):
            raise ScenarioError(where=where, found=f"'{text}', when there is no visit",
                                expected=f"one of {', '.join(self.table.visits)}")  # fmt: skip
        return near

    def outputs(self) -> tuple[str, ...]:
        """Return the outputs of the model that the assays measure."""
        return tuple(dict.fromkeys(name for assay in self.assays.values() for name in outputs_of(assay)))


def outputs_of(assay: AssayTable) -> tuple[str, ...]:
    """Return the outputs of the model that an assay measures."""
    return (assay.of,) if isinstance(assay.of, str) else tuple(assay.of)


def read_design(scenario: ScenarioFile, model: Model, *, where: str) -> Design:
    """Return the design of a scenario's trial.

    Raises
    ------
    ScenarioError, UnitError
        If there is no trial, or something in it does not fit: each fault has its own message.
    """
    table = scenario.trial
    if table is None:
        raise ScenarioError(where=where, found="no [trial]", expected="a table [trial]",
                            remedy="`atmpsim run` runs a scenario without a trial.")  # fmt: skip
    if not scenario.endpoint:
        raise ScenarioError(where=where, found="no [[endpoint]]", expected="at least one")
    place = f"{where} [trial]"
    arms = tuple(arm.name for arm in scenario.arm) or ("default",)
    ratio, whole = _ratio(table, arms, place)
    if table.control is not None and table.control not in arms:
        raise ScenarioError(where=f"{place} control", found=f"'{table.control}'", expected=f"an arm: {one_of(arms)}",
                            remedy=did_you_mean(table.control, arms))  # fmt: skip
    control = arms.index(table.control) if table.control is not None else 0
    if ratio[control] == 0:
        raise ScenarioError(where=f"{place} control", found=f"'{arms[control]}', which is not in the trial",
                            expected="an arm with patients")  # fmt: skip
    design = Design(
        table=table, arms=arms, ratio=ratio, whole=whole,
        control=control,
        visits=_visits(table, model, place), assays=_assays(scenario, model, where),
        endpoints=tuple(scenario.endpoint), rules=tuple(scenario.rule),
        product=read_product(scenario, model, where=where),
        time_unit=model.time_unit, year=_time("1 yr", model.time_unit, place), caution=model.caution,
        hazards=_hazards(table, model, place),
    )  # fmt: skip
    _check_trial(design, model, place)
    for endpoint in design.endpoints:
        check_endpoint(endpoint, design, where=f"{where} endpoint '{endpoint.name}'")
    return design


def _time(text: str, unit: str, where: str) -> float:
    value = float(in_model_units(text, unit=unit, where=where))
    if not value >= 0:
        raise ScenarioError(where=where, found=f"'{text}'", expected="a time of at least 0")
    return value


def _visits(table: TrialTable, model: Model, where: str) -> FloatArray:
    times = np.array([_time(text, model.time_unit, f"{where} visits") for text in table.visits])
    if (np.diff(times) <= 0).any():
        raise ScenarioError(where=f"{where} visits", found=", ".join(table.visits), expected="times that increase")
    return times


def _ratio(table: TrialTable, arms: Sequence[str], where: str) -> tuple[tuple[float, ...], bool]:
    """Return the ratio in the order of the arms, and whether it is made of whole numbers."""
    given = table.ratio or dict.fromkeys(arms, 1.0)
    for name in given:
        if name not in arms:
            raise ScenarioError(where=f"{where} ratio", found=f"'{name}'", expected=f"an arm: {one_of(arms)}",
                                remedy=did_you_mean(name, arms))  # fmt: skip
    missing = [arm for arm in arms if arm not in given]
    if missing or min(given.values()) < 0 or sum(given.values()) == 0:
        found = f"nothing for '{missing[0]}'" if missing else ", ".join(f"{v:g}" for v in given.values())
        raise ScenarioError(where=f"{where} ratio", found=found, expected="a number for each arm, 0 for one "
                            "that is not in the trial")  # fmt: skip
    values = tuple(float(given[arm]) for arm in arms)
    total, whole = sum(values), all(v.is_integer() for v in values)
    if not whole and not math.isclose(total, 1.0, abs_tol=1e-9):
        raise ScenarioError(where=f"{where} ratio", found=f"shares that sum to {total:g}", expected="shares of 1, or "
                            "whole numbers", remedy="Write for example 0.5 and 0.5, or 1 and 1.")  # fmt: skip
    if table.scheme != "simple" and not whole:
        raise ScenarioError(where=f"{where} ratio", found=f"shares in a scheme of '{table.scheme}'",
                            expected="whole numbers",
                            remedy='Blocks are made of patients; or scheme = "simple".')  # fmt: skip
    if whole and table.block is not None and table.block % total:
        raise ScenarioError(where=f"{where} block", expected=f"a multiple of {total:g}",
                            found=f"a block of {table.block} for a ratio that sums to {total:g}")  # fmt: skip
    return values, whole


def _assays(scenario: ScenarioFile, model: Model, where: str) -> dict[str, AssayTable]:
    made = {assay.name: assay for assay in scenario.assay}
    for assay in made.values():
        place = f"{where} assay '{assay.name}'"
        check_assay(assay, where=place)
        for name in outputs_of(assay):
            if model.quantity(name) is None:
                raise ScenarioError(where=f"{place} of", found=f"'{name}', which model '{model.id}' lacks",
                                    expected="a quantity of the model",
                                    remedy=did_you_mean(name, model.quantities)
                                    or "`atmpsim models show` lists them.")  # fmt: skip
        if assay.kind == "gamma_camera" and model.quantities[str(assay.of)].unit not in ("percent", "%"):
            raise ScenarioError(where=f"{place} of", found=f"an output in {model.quantities[str(assay.of)].unit}",
                                expected="the share of the label in per cent", remedy="Models of biodistribution "
                                "give it.")  # fmt: skip
        if assay.kind == "diary" and (assay.per is None) == (model.quantities[str(assay.of)].unit == "1"):
            raise ScenarioError(where=f"{place} per", found="no 'per'" if assay.per is None else f"'{assay.per}'",
                                expected="the time that a number of events belongs to, where the output is no rate",
                                remedy='For example per = "28 d".')  # fmt: skip
        lacking = [p for p in EDSS_PARAMETERS if assay.kind == "edss" and model.quantity(p) is None]
        if lacking:
            raise ScenarioError(where=place, found=f"a model without '{lacking[0]}'",
                                expected="a chain of half steps of EDSS",
                                remedy="msc_multiple_sclerosis has one.")  # fmt: skip
        if assay.like is not None and (assay.like not in made or made[assay.like].kind != "event"):
            raise ScenarioError(where=f"{place} like", found=f"'{assay.like}'", expected="an assay of kind 'event'")
    return made


def _hazards(table: TrialTable, model: Model, where: str) -> dict[str, float]:
    before = table.before
    texts = {"dropout": table.dropout, "enrolment": table.enrolment}
    if before is not None:
        texts |= {"progression": before.progression, "symptoms": before.symptoms, "death": before.death}
    unit = f"1/{model.time_unit}"
    made = {k: float(in_model_units(t, unit=unit, where=f"{where} {k}")) for k, t in texts.items() if t is not None}
    for name, value in made.items():
        if value < 0 or (name == "enrolment" and value == 0):
            raise ScenarioError(where=f"{where} {name}", found=f"'{texts[name]}'", expected="a rate above 0")
    return made


def _check_trial(design: Design, model: Model, where: str) -> None:
    table = design.table
    named = {"informative": table.informative, "before growth": table.before.growth if table.before else None}
    for key, name in named.items():
        if name is not None and name not in design.assays:
            raise ScenarioError(where=f"{where} {key}", found=f"'{name}'",
                                expected=f"an assay: {one_of(design.assays)}",
                                remedy=did_you_mean(name, design.assays))  # fmt: skip
    growth = design.assays.get(named["before growth"] or "")
    if growth is not None and growth.kind != "diameter":
        raise ScenarioError(where=f"{where} before growth", found=f"an assay of kind '{growth.kind}'",
                            expected="an assay of kind 'diameter'")  # fmt: skip
    for name, share in table.unblinded.items():
        if name not in design.arms or not 0 <= share <= 1:
            raise ScenarioError(where=f"{where} unblinded", found=f"'{name}' = {share:g}",
                                expected=f"a probability by arm: {one_of(design.arms)}")  # fmt: skip
    for name, limits in table.eligibility.items():
        if name not in model.parameters or len(limits) != 2 or not limits[0] <= limits[1]:
            raise ScenarioError(where=f"{where} eligibility {name}", found=repr(limits),
                                expected="lowest and highest value of a parameter of the model")  # fmt: skip
    if table.scheme == "stratified" and (table.strata is None or table.strata.by not in model.parameters):
        raise ScenarioError(where=f"{where} strata", found=repr(table.strata.by) if table.strata else "nothing",
                            expected='strata = { by = "a parameter of the model", at = [limits] }')  # fmt: skip
    looks = table.looks
    if looks and not all(0 < a < b for a, b in zip(looks, [*looks[1:], 1.0], strict=True)):
        raise ScenarioError(where=f"{where} looks", found=repr(looks), expected="shares that increase, between 0 and 1")


KINDS: Mapping[str, tuple[str, ...]] = {
    "confirmed_progression": ("edss",), "response": ("diameter",), "progression_free": ("diameter",),
    "time_to": ("event",), "positive": ("qpcr", "dpcr", "flow", "concentration", "bioluminescence", "grade"),
}  # fmt: skip
"""Which assays an endpoint of a kind can be made of; the others are made of any that is read at visits."""

COUNTED = ("lesion_count", "diary")
"""Assays that count: only of these has an endpoint a negative binomial likelihood."""
TESTS: Mapping[str, tuple[str, ...]] = {
    "change": ("t", "ancova", "permutation"),
    "value": ("t", "ancova", "permutation", "negative_binomial", "rate_ratio"),
    "maximum": ("t", "permutation"), "rate": ("t", "permutation", "rate_ratio"),
    "total": ("t", "permutation", "negative_binomial", "rate_ratio"), "above": ("fisher",), "below": ("fisher",),
    "positive": ("fisher",), "response": ("fisher",), "confirmed_progression": ("fisher", "logrank", "cox"),
    "progression_free": ("logrank", "cox", "fisher"), "time_to": ("logrank", "cox", "fisher"),
}  # fmt: skip
_REFUSED = {
    "INRC": "primary site, MIBG-avid sites and bone marrow (the model has diameters only)",
    "RAPNO": "T2/FLAIR extent, steroids and neurological state (the model has diameters only)",
}


def check_endpoint(endpoint: EndpointTable, design: Design, *, where: str) -> None:
    """Raise unless an endpoint can be made of its assay, and compared by its test.

    Raises
    ------
    ScenarioError
        Naming what does not fit.
    """
    assay = design.assays.get(endpoint.assay)
    if assay is None:
        raise ScenarioError(where=f"{where} assay", found=f"'{endpoint.assay}'",
                            expected=f"an assay: {one_of(design.assays)}",
                            remedy=did_you_mean(endpoint.assay, design.assays))  # fmt: skip
    allowed: Any = KINDS.get(endpoint.kind) or [a.kind for a in design.assays.values() if a.kind != "event"]
    if assay.kind not in allowed:
        raise ScenarioError(where=where, found=f"'{endpoint.kind}' of an assay of kind '{assay.kind}'",
                            expected=f"an assay of kind {one_of(set(allowed))}")  # fmt: skip
    if endpoint.compare != "none" and endpoint.compare not in TESTS[endpoint.kind]:
        raise ScenarioError(where=f"{where} compare", found=f"'{endpoint.compare}' of a '{endpoint.kind}'",
                            expected=one_of((*TESTS[endpoint.kind], "none")))  # fmt: skip
    if endpoint.compare == "negative_binomial" and assay.kind not in COUNTED:
        raise ScenarioError(where=f"{where} compare", found=f"'negative_binomial' of an assay of kind '{assay.kind}'",
                            expected=f"a kind that counts: {one_of(COUNTED)}",
                            remedy="'rate_ratio' compares means of anything.")  # fmt: skip
    if endpoint.criteria in _REFUSED:
        raise ScenarioError(where=f"{where} criteria", found=f"'{endpoint.criteria}'", expected="'RECIST 1.1'",
                            remedy=f"It also needs {_REFUSED[endpoint.criteria]}.")  # fmt: skip
    if endpoint.kind in ("above", "below") and endpoint.threshold is None:
        raise ScenarioError(where=where, found="no 'threshold'", expected="the value that counts as a response")
    death = endpoint.death
    if death is not None and (death not in design.assays or design.assays[death].kind != "event"):
        raise ScenarioError(where=f"{where} death", found=f"'{death}'", expected="an assay of kind 'event'")
    for key in ("at", "until"):
        design.visit(getattr(endpoint, key), f"{where} {key}")
    design.time(endpoint.confirm, f"{where} confirm")
