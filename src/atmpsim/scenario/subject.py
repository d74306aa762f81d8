"""Who is treated: a subject, and the physiology (weight, blood, organ masses and flows) that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cache
from numbers import Real

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario import physiology
from atmpsim.scenario.physiology import Body

SPECIES = ("human", "mouse", "rat")
SEXES = ("male", "female")
CONDITIONS = ("cirrhosis",)

# Plausible ranges (assumption): a value outside is a typing error or a wrong unit, not a subject.
_WEIGHTS = {"human": (0.5, 400.0), "mouse": (0.001, 0.15), "rat": (0.004, 1.5)}
_OLDEST = {"human": 125.0, "mouse": 5.0, "rat": 7.0}
_GROSS = 2.0
_ABOVE_ZERO = math.ulp(0.0)

_ORGANS = (*physiology.PARALLEL[:1], "spleen", "gut", "stomach_pancreas", *physiology.PARALLEL[1:])
_FLOW_ORGANS = (*_ORGANS, "hepatic_artery")
_IDS = {
    "Q": ("lung", *_FLOW_ORGANS, "rest"),
    "V": ("lung", *_ORGANS, "rest", "venous", "arterial"),
    "m": ("lung", *(organ for organ in _ORGANS if organ != "stomach_pancreas"), "rest", "marrow"),
}
_UNITS = {"Q": "L/min", "V": "L", "m": "g"}
_CLOSED = {
    "Q_lung": "It always equals CO: set CO instead.",
    "Q_rest": "It takes what the other flows leave of CO: set those instead.",
}


@dataclass(frozen=True)
class Subject:
    """One human or animal, as a scenario describes it.

    Parameters
    ----------
    species
        `human`, `mouse` or `rat`.
    age_years
        Age, years.
    weight_kg
        Body weight, kg.
    sex
        `male` or `female`; matters in humans above 10 years.
    condition
        None or `cirrhosis`.
    """

    species: str
    age_years: float | None = None
    _: KW_ONLY
    weight_kg: float | None = None
    sex: str | None = None
    condition: str | None = None


@dataclass(frozen=True)
class Physiology:
    """The numbers that fill a model's `Q_<organ>`, `V_<organ>`, `m_<organ>`, `CO`, `V_blood` and `weight`.

    Parameters
    ----------
    values
        Id -> (number, unit). Q: blood flow; V: blood in the organ's vessels or in a pool; m: mass of the organ.
    notes
        What was interpolated, extrapolated, assumed or overridden.
    model_factors
        What the subject's condition does to a model's own parameters: name -> (`set` or `times`, number).
    """

    values: Mapping[str, tuple[float, str]]
    notes: tuple[str, ...] = ()
    model_factors: Mapping[str, tuple[str, float]] = field(default_factory=dict)


def resolve(subject: Subject, *, where: str, overrides: Mapping[str, float] | None = None) -> Physiology:
    """Return the physiology of a subject.

    Parameters
    ----------
    subject
        Species with age, weight or both; mouse and rat default to 25 g and 250 g.
    where
        File and table, for messages.
    overrides
        Flows in L/min that replace the table's: `CO` (every flow follows in proportion), `Q_liver` (its four
        inflows follow in proportion) or another `Q_<organ>`. What this adds or takes away, `Q_rest` balances.

    Raises
    ------
    ScenarioError
        If the subject is impossible, or if the flows exceed cardiac output.

    Examples
    --------
    >>> child = resolve(Subject("human", 6.0, weight_kg=20.0), where="here")
    >>> number, unit = child.values["CO"]
    >>> round(number, 2), unit
    (3.53, 'L/min')
    """
    _check(subject, where=where)
    body = _human(subject, where=where) if subject.species == "human" else _rodent(subject)
    factors: dict[str, tuple[str, float]] = {}
    if subject.condition == "cirrhosis":
        body, factors = _with_cirrhosis(body, subject.species, where=where)
    body = _with_overrides(body, overrides or {}, where=where)
    note = "blood in organs and pools: fractions of the adult man, ICRP 89 (from memory, check; assumption elsewhere)"
    return Physiology(_values(body), (*body.notes, note), factors)


@cache
def identifiers() -> tuple[str, ...]:
    """Return every id that `resolve` gives, the same for every species.

    Examples
    --------
    >>> "Q_kidney" in identifiers(), "m_stomach_pancreas" in identifiers()
    (True, False)
    """
    return ("weight", "CO", "V_blood", *(f"{kind}_{organ}" for kind, organs in _IDS.items() for organ in organs))


def missing_organ_message(identifier: str, species: str) -> str:
    """Return what to tell a user whose model asks for an id that the physiology tables do not have.

    Examples
    --------
    >>> missing_organ_message("Q_tumour", "mouse")
    "The physiology of the mouse has no 'Q_tumour'. Set parameters.Q_tumour in the scenario."
    """
    known = identifiers()
    text = f"The physiology of the {species} has no '{identifier}'."
    if identifier == "m_stomach_pancreas":
        text += " Stomach and pancreas are weighed inside m_rest."
    text += f" Set parameters.{identifier} in the scenario."
    guess = did_you_mean(identifier, known) if identifier.partition("_")[2] not in _FLOW_ORGANS else ""
    return f"{text} {guess}".strip()


def _values(body: Body) -> dict[str, tuple[float, str]]:
    numbers: dict[str, Mapping[str, float]] = {
        "Q": {**body.flows, "lung": body.flows["CO"]},
        "V": physiology.vascular_volumes(body.blood_volume),
        "m": body.masses,
    }
    whole = {"weight": (body.weight, "kg"), "CO": (body.flows["CO"], "L/min"), "V_blood": (body.blood_volume, "L")}
    organs = {
        f"{kind}_{organ}": (numbers[kind][organ], _UNITS[kind]) for kind, names in _IDS.items() for organ in names
    }
    return whole | organs


def _human(subject: Subject, *, where: str) -> Body:
    age, weight, sex = subject.age_years, subject.weight_kg, subject.sex or "male"
    notes = []
    if subject.sex is None and physiology.sex_matters(weight=weight, age=age):
        notes.append("sex not given: male (assumption)")
    if weight is not None:
        notes += _age_notes(age, weight, sex=sex)
    elif age is not None:
        weight = physiology.median_weight(age, sex)
        notes.append(f"weight {weight:.4g} kg: ICRP 89 at {age:g} yr, linear in age between classes (assumption)")
    else:
        raise ScenarioError(
            where=where, found="a human with neither age nor weight", expected="age, weight or both",
            remedy='Add, for example, age = "6 yr" or weight = "20 kg".',
        )  # fmt: skip
    body = physiology.human_body(weight, sex)
    return replace(body, notes=(*notes, *body.notes))


def _age_notes(age: float | None, weight: float, *, sex: str) -> list[str]:
    if age is None:
        return []
    notes = [f"masses and flows follow the weight ({weight:.4g} kg); the age ({age:g} yr) does not change them"]
    median = physiology.median_weight(age, sex)
    if not 1 / _GROSS <= weight / median <= _GROSS:
        notes.append(
            f"weight and age disagree: {weight:.4g} kg is {weight / median:.2g} times the median of "
            f"{median:.4g} kg at {age:g} yr; check both"
        )
    return notes


def _rodent(subject: Subject) -> Body:
    weight, notes = subject.weight_kg, []
    if weight is None:
        weight = physiology.REFERENCE_WEIGHT[subject.species]
        notes.append(f"weight not given: {subject.species} of {1000 * weight:g} g (assumption)")
    if subject.age_years is not None or subject.sex is not None:
        notes.append(f"age and sex do not change the physiology of a {subject.species}: its table has neither")
    body = physiology.rodent_body(subject.species, weight)
    return replace(body, notes=(*notes, *body.notes))


def _with_cirrhosis(body: Body, species: str, *, where: str) -> tuple[Body, dict[str, tuple[str, float]]]:
    """Return the body with cirrhosis and the factors for the model's own parameters."""
    rows = physiology.read_table("cirrhosis.csv")
    flows, masses = dict(body.flows), dict(body.masses)
    for row in rows:
        kind, _, organ = row["id"].partition("_")
        if row["part"] == "physiology" and kind == "Q":
            flows[organ] *= float(row["value"])
        elif row["part"] == "physiology":
            gain = masses[organ] * (float(row["value"]) - 1)
            masses[organ] += gain
            masses["rest"] -= gain
    factors = {row["id"]: (row["action"], float(row["value"])) for row in rows if row["part"] == "model"}
    changes = ", ".join(f"{row['id']} x {float(row['value']):g}" for row in rows if row["part"] == "physiology")
    notes = [f"cirrhosis: {changes} (assumption); Q_rest and m_rest take the differences, blood volumes stay"]
    if species != "human":
        notes.append(f"cirrhosis: factors meant for man, used in a {species} (assumption)")
    closed = physiology.balanced(flows, where=f"{where} condition")
    return replace(body, flows=closed, masses=masses, notes=(*body.notes, *notes)), factors


def _with_overrides(body: Body, overrides: Mapping[str, float], *, where: str) -> Body:
    flows, notes = dict(body.flows), []
    for name in sorted(overrides, key=lambda name: name != "CO"):  # CO first: it scales what is not overridden
        _check_override(name, overrides, where=where)
        flow, organ = float(overrides[name]), name.removeprefix("Q_")
        notes.append(f"{name} overridden: {flow:.4g} L/min instead of {body.flows[organ]:.4g} L/min; {_balance(name)}")
        follow = {"CO": tuple(flows), "Q_liver": physiology.LIVER_INFLOWS}.get(name, ())
        flows |= {other: flows[other] * flow / flows[organ] for other in follow} | {organ: flow}
    closed = physiology.balanced(flows, where=" ".join([where, *overrides]))
    return replace(body, flows=closed, notes=(*body.notes, *notes))


def _balance(name: str) -> str:
    if name == "CO":
        return "every flow follows in proportion"
    inflows = "its inflows follow in proportion, " if name == "Q_liver" else ""
    return f"{inflows}Q_rest takes the difference"


def _check_override(name: str, overrides: Mapping[str, float], *, where: str) -> None:
    allowed = ("CO", *(f"Q_{organ}" for organ in _FLOW_ORGANS))
    if name not in allowed:
        remedy = _CLOSED.get(name) or did_you_mean(name, allowed)
        raise ScenarioError(where=where, found=f"an override of '{name}'", expected=one_of(allowed), remedy=remedy)
    inflows = {f"Q_{organ}" for organ in physiology.LIVER_INFLOWS} & set(overrides)
    if name == "Q_liver" and inflows:
        raise ScenarioError(
            where=where, found=f"overrides of Q_liver and {', '.join(sorted(inflows))}",
            expected="either the liver's total or its inflows", remedy="Q_liver is the sum of its inflows: drop one.",
        )  # fmt: skip
    lowest, text = (_ABOVE_ZERO, "above 0") if name == "CO" else (0.0, "of at least 0")
    _check_number(
        overrides[name], where=f"{where} {name}", unit="L/min", between=(lowest, math.inf),
        expected=f"a flow {text} L/min", remedy="Check the unit.",
    )  # fmt: skip


def _check(subject: Subject, *, where: str) -> None:
    _check_word(subject.species, SPECIES, f"{where} species")
    if subject.sex is not None:
        _check_word(subject.sex, SEXES, f"{where} sex")
    if subject.condition is not None:
        _check_word(subject.condition, CONDITIONS, f"{where} condition")
    if subject.weight_kg is not None:
        low, high = _WEIGHTS[subject.species]
        _check_number(
            subject.weight_kg, where=f"{where} weight", unit="kg", between=(low, high),
            expected=f"the weight of a {subject.species}, {low:g} to {high:g} kg", remedy="Check the unit.",
        )  # fmt: skip
    if subject.age_years is not None:
        oldest = _OLDEST[subject.species]
        _check_number(
            subject.age_years, where=f"{where} age", unit="yr", between=(_ABOVE_ZERO, oldest),
            expected=f"the age of a {subject.species}, above 0 and at most {oldest:g} yr",
            remedy="Check the unit; on the day of birth write 1 d.",
        )  # fmt: skip


def _check_word(word: object, allowed: tuple[str, ...], where: str) -> None:
    if word not in allowed:
        raise ScenarioError(
            where=where, found=repr(word), expected=one_of(allowed), remedy=did_you_mean(str(word), allowed)
        )


def _check_number(
    value: object, *, where: str, unit: str, between: tuple[float, float], expected: str, remedy: str
) -> None:
    number = _as_number(value)
    if math.isfinite(number) and between[0] <= number <= between[1]:
        return
    found = f"{number:g} {unit}" if math.isfinite(number) else repr(value)
    raise ScenarioError(where=where, found=found, expected=expected, remedy=remedy)


def _as_number(value: object) -> float:
    """Return a real number as float and anything else as NaN."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # an integer beyond the largest float
        return math.inf
