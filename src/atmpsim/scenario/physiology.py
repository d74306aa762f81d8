"""Organ masses and blood flows of man, mouse and rat at any body weight, from the shipped tables.

Sources stand in the head of each table. In man, ages between the ICRP classes are interpolated and the flows
of children are derived by a recipe (`derive_flows`), because ICRP gives none.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

from atmpsim.errors import ScenarioError

BLOOD_DENSITY = 1.06  # g/mL; from memory, check
TISSUE_DENSITY = 1.0  # g/mL; assumption
FLOW_EXPONENT = 0.75  # flows go with weight**0.75 beyond a table's end (assumption; Brown 1997 for cardiac output)

PARALLEL = ("liver", "kidney", "brain", "heart", "muscle", "bone", "skin", "adipose")
"""Vascular beds that lie side by side between artery and vein; `rest` closes the balance."""
LIVER_INFLOWS = ("hepatic_artery", "gut", "spleen", "stomach_pancreas")
TISSUES = ("lung", "liver", "spleen", "gut", "kidney", "heart", "brain", "muscle", "bone", "skin", "adipose")
"""Tissues that add up, with blood and `rest`, to body weight; `marrow` is inside `bone`."""
REFERENCE_WEIGHT = {"mouse": 0.025, "rat": 0.25}
"""Weight of the tabulated animal, kg."""

_YOUNG = ("newborn", "1y", "5y", "10y")
_LADDERS = {"male": (*_YOUNG, "15y_male", "adult_male"), "female": (*_YOUNG, "15y_female", "adult_female")}
_SEX_FROM = "10y"
_RODENT_FILES = {"mouse": "mouse_25g.csv", "rat": "rat_250g.csv"}


@dataclass(frozen=True)
class Body:
    """Masses and flows of one body.

    Parameters
    ----------
    weight
        Body weight, kg.
    masses
        Mass by organ, g; with `blood`, `marrow` (inside `bone`) and `rest`.
    flows
        Blood flow by organ, L/min; with `CO`, `liver` (total) and its four inflows, and `rest`.
    notes
        What was interpolated, extrapolated or assumed.
    """

    weight: float
    masses: Mapping[str, float]
    flows: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def blood_volume(self) -> float:
        """Blood volume, L."""
        return self.masses["blood"] / BLOOD_DENSITY / 1000


@cache
def read_table(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of a shipped table, without its comment lines."""
    text = (files("atmpsim.scenario") / "tables" / name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


@cache
def human_class(name: str) -> Mapping[str, float]:
    """Return the tabulated values of one ICRP class, masses in g, `rest` derived.

    Examples
    --------
    >>> human_class("adult_male")["liver"], human_class("adult_male")["rest"]
    (1800.0, 4840.0)
    """
    values = {row["id"]: float(row[name]) for row in read_table("human_masses.csv")}
    return values | {"rest": _rest_mass(values["weight"], values)}


@cache
def adult_flows(name: str) -> Mapping[str, float]:
    """Return the flows of `adult_male` or `adult_female`, L/min (ICRP 89; stomach + pancreas and rest derived)."""
    percent: dict[str, float] = {}
    column = f"{name.removeprefix('adult_')}_percent"
    for row in read_table("human_flows.csv"):
        if row["organ"] != "inside":
            percent[row["organ"]] = percent.get(row["organ"], 0.0) + float(row[column])
    percent["stomach_pancreas"] = percent["liver"] - percent["gut"] - percent["spleen"] - percent["hepatic_artery"]
    percent["rest"] = 100 - math.fsum(percent[organ] for organ in PARALLEL)
    output = human_class(name)["CO"]
    return {organ: output * share / 100 for organ, share in percent.items()}


@cache
def flows_per_gram(name: str) -> Mapping[str, float]:
    """Return the flow per gram, L/min/g, with which the recipe starts in one ICRP class.

    The hepatic artery and stomach + pancreas are per gram of liver. The brain's is measured at each age (Chiron
    1992); every other one is that of the class's reference adult.
    """
    row = next(row for row in read_table("human_flow_recipe.csv") if row["class"] == name)
    masses, flows = human_class(row["reference"]), adult_flows(row["reference"])
    carrier = {"hepatic_artery": "liver", "stomach_pancreas": "liver"}
    specific = {organ: flow / masses[carrier.get(organ, organ)] for organ, flow in flows.items()}
    if row["brain_flow"]:
        specific["brain"] = float(row["brain_flow"]) / 1000 / 100
    return specific


def derive_flows(masses: Mapping[str, float], per_gram: Mapping[str, float], *, output: float) -> dict[str, float]:
    """Return every flow from organ masses, L/min: the recipe for ages at which no flows are published.

    Kidney and brain have their flow per gram; all other beds share what is left of cardiac output in proportion
    to adult flow per gram times mass; the four inflows of the liver are scaled in the same way to its total.

    Parameters
    ----------
    masses
        Organ masses, g.
    per_gram
        Flow per gram, L/min/g (`flows_per_gram`).
    output
        Cardiac output, L/min.
    """
    raw = {organ: per_gram[organ] * masses[organ] for organ in (*PARALLEL, "rest")}
    shared = [organ for organ in raw if organ not in ("kidney", "brain")]
    factor = (output - raw["kidney"] - raw["brain"]) / math.fsum(raw[organ] for organ in shared)
    flows = {"CO": output} | raw | {organ: raw[organ] * factor for organ in shared}
    inside = {
        organ: per_gram[organ] * masses[organ if organ in ("gut", "spleen") else "liver"] for organ in LIVER_INFLOWS
    }
    return flows | _scaled(inside, flows["liver"] / math.fsum(inside.values()))


def balanced(flows: Mapping[str, float], *, where: str) -> dict[str, float]:
    """Return flows whose liver total is the sum of its inflows and whose rest closes cardiac output.

    Raises
    ------
    ScenarioError
        If nothing would be left for the rest of the body.
    """
    closed = dict(flows)
    closed["liver"] = math.fsum(flows[organ] for organ in LIVER_INFLOWS)
    used = math.fsum(closed[organ] for organ in PARALLEL)
    closed["rest"] = flows["CO"] - used
    if closed["rest"] < 0:
        raise ScenarioError(
            where=where,
            found=f"organ flows of {used:.4g} L/min in all",
            expected=f"at most the cardiac output of {flows['CO']:.4g} L/min",
            remedy="Lower an organ flow or raise CO: Q_rest takes the difference and cannot be negative.",
        )
    return closed


def sex_matters(*, weight: float | None, age: float | None) -> bool:
    """Return whether the human tables differ by sex: above the 10-year class by weight in kg, else by age in years."""
    fork = human_class(_SEX_FROM)
    return weight > fork["weight"] if weight is not None else age is not None and age > fork["age"]


def median_weight(age: float, sex: str) -> float:
    """Return the weight in kg at an age in years: ICRP classes, linear in age (assumption), constant from 20 years.

    Examples
    --------
    >>> median_weight(6, "female"), median_weight(40, "female")
    (21.6, 60.0)
    """
    rungs = [human_class(name) for name in _LADDERS[sex]]
    for lower, upper in pairwise(rungs):
        if age <= upper["age"]:
            share = (age - lower["age"]) / (upper["age"] - lower["age"])
            return lower["weight"] + share * (upper["weight"] - lower["weight"])
    return rungs[-1]["weight"]


def human_body(weight: float, sex: str) -> Body:
    """Return the body of a human of a weight in kg.

    At the ICRP classes these are the tabulated masses. Between two, the logarithms of masses, cardiac output and
    flow per gram are linear in the logarithm of weight (assumption) and `rest` closes body weight. Beyond the
    newborn and the adult, masses go with weight and flows with weight**0.75 (assumption).

    Examples
    --------
    >>> body = human_body(20, "male")
    >>> round(body.flows["CO"], 2), round(body.blood_volume, 2)
    (3.53, 1.39)
    """
    ladder = _LADDERS[sex]
    for end, beyond in ((ladder[0], float.__le__), (ladder[-1], float.__ge__)):
        if beyond(float(weight), human_class(end)["weight"]):
            return scaled_body(_class_body(end), weight)
    lower, upper = next(pair for pair in pairwise(ladder) if weight <= human_class(pair[1])["weight"])
    return _between(lower, upper, weight=weight)


def rodent_body(species: str, weight: float) -> Body:
    """Return the body of a mouse or a rat of a weight in kg.

    What its table lacks is split from the table's remainder in the proportions of the adult man (assumption).

    Examples
    --------
    >>> mouse = rodent_body("mouse", 0.025)
    >>> round(1000 * mouse.flows["liver"], 3), round(1000 * mouse.flows["skin"], 3)
    (2.251, 1.522)
    """
    return scaled_body(_tabulated_rodent(species), weight)


def scaled_body(body: Body, weight: float) -> Body:
    """Return a body at another weight in kg: masses in proportion, flows with weight**0.75, and a note that says so."""
    ratio = weight / body.weight
    if math.isclose(ratio, 1, rel_tol=1e-12):
        return body
    note = (
        f"extrapolated from {body.weight:.4g} kg to {weight:.4g} kg: masses in proportion to weight, "
        f"flows to weight^{FLOW_EXPONENT} (assumption)"
    )
    return Body(weight, _scaled(body.masses, ratio), _scaled(body.flows, ratio**FLOW_EXPONENT), (*body.notes, note))


def vascular_volumes(blood: float) -> dict[str, float]:
    """Return the blood in each organ and in the venous and arterial pools, in the unit of `blood`.

    Fractions of the adult man (ICRP 89; from memory, check); `rest` is what remains.

    Examples
    --------
    >>> volumes = vascular_volumes(100.0)
    >>> volumes["venous"], volumes["arterial"], round(volumes["rest"], 6)
    (22.5, 10.5, 4.3)
    """
    volumes = {organ: blood * share / 100 for organ, share in _blood_percent().items()}
    return volumes | {"rest": blood - math.fsum(volumes.values())}


@cache
def _blood_percent() -> Mapping[str, float]:
    shares: dict[str, float] = {}
    for row in read_table("blood_fractions.csv"):
        if row["organ"] != "rest":
            shares[row["organ"]] = shares.get(row["organ"], 0.0) + float(row["percent"])
    return shares


@cache
def _class_body(name: str) -> Body:
    values = human_class(name)
    flows = derive_flows(values, flows_per_gram(name), output=values["CO"])
    return Body(values["weight"], _only_masses(values), flows, (f"masses of the ICRP 89 class {name}", *_how(name)))


def _between(lower: str, upper: str, *, weight: float) -> Body:
    low, high = human_class(lower), human_class(upper)
    share = math.log(weight / low["weight"]) / math.log(high["weight"] / low["weight"])
    if min(share, 1 - share) < 1e-12:
        return _class_body(lower if share < 0.5 else upper)
    values = _blend(low, high, share=share, names=(*TISSUES, "blood", "marrow", "CO"))
    values["rest"] = _rest_mass(weight, values)
    specific = _blend(flows_per_gram(lower), flows_per_gram(upper), share=share, names=flows_per_gram(lower))
    note = (
        f"masses and cardiac output interpolated between the ICRP 89 classes {lower} ({low['weight']:g} kg) and "
        f"{upper} ({high['weight']:g} kg), log-log in body weight (assumption); rest closes body weight"
    )
    flows = derive_flows(values, specific, output=values["CO"])
    return Body(weight, _only_masses(values), flows, (note, *_how(lower)))


def _how(name: str) -> tuple[str, ...]:
    """Return the notes on where flows come from, between this class and the next."""
    if name.startswith("adult"):
        return ("organ flows as shares of cardiac output from ICRP 89",)
    notes = [
        "organ flows derived by recipe from masses and adult flow per gram: ICRP gives none for this age (derived)"
    ]
    if name in ("newborn", "1y"):
        notes.append("cardiac output below 5 years rests on Alverson 1987")
    if name == "newborn":
        notes.append("foetal shunts and the closing ductus venosus are ignored: flows near birth are a bound")
    return tuple(notes)


def _blend(
    low: Mapping[str, float], high: Mapping[str, float], *, share: float, names: Iterable[str]
) -> dict[str, float]:
    return {name: low[name] ** (1 - share) * high[name] ** share for name in names}


def _scaled(values: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: factor * value for name, value in values.items()}


def _rest_mass(weight: float, masses: Mapping[str, float]) -> float:
    return 1000 * weight - math.fsum(masses[name] for name in (*TISSUES, "blood"))


def _only_masses(values: Mapping[str, float]) -> dict[str, float]:
    return {name: values[name] for name in (*TISSUES, "blood", "marrow", "rest")}


@cache
def _tabulated_rodent(species: str) -> Body:
    rows = read_table(_RODENT_FILES[species])
    flows = {row["id"]: float(row["flow_mL_per_min"]) / 1000 for row in rows if row["flow_mL_per_min"]}
    masses = {row["id"]: float(row["volume_mL"]) * TISSUE_DENSITY for row in rows if row["volume_mL"]}
    masses["blood"] *= BLOOD_DENSITY / TISSUE_DENSITY
    weight, man = REFERENCE_WEIGHT[species], human_class("adult_male")
    flows, inflow_note = _fill_inflows(flows)
    flows, flow_note = _fill(flows, adult_flows("adult_male"), total=flows["CO"], names=PARALLEL)
    masses, mass_note = _fill(masses, man, total=1000 * weight, names=TISSUES, also="blood")
    masses["marrow"] = masses["bone"] * man["marrow"] / man["bone"]
    notes = (
        f"{species} of {1000 * weight:g} g from {_RODENT_FILES[species]}",
        f"flows of {flow_note} split from the table's remainder as in the adult man (assumption)",
        inflow_note,
        f"masses of {mass_note} split from the table's remainder as in the adult man, "
        f"marrow as its share of bone in man (assumption); tissue density {TISSUE_DENSITY} g/mL (assumption)",
    )
    return Body(weight, masses, flows, notes)


def _fill_inflows(flows: Mapping[str, float]) -> tuple[dict[str, float], str]:
    """Split what gut and spleen leave of the liver's flow; stomach and pancreas drain there too, not into rest."""
    man = adult_flows("adult_male")
    left = flows["liver"] - flows["gut"] - flows["spleen"]
    artery = left * man["hepatic_artery"] / (man["hepatic_artery"] + man["stomach_pancreas"])
    note = (
        "liver flow beyond gut and spleen split between hepatic artery and stomach + pancreas "
        "as in the adult man (assumption)"
    )
    return {**flows, "hepatic_artery": artery, "stomach_pancreas": left - artery}, note


def _fill(
    known: Mapping[str, float], man: Mapping[str, float], *, total: float, names: tuple[str, ...], also: str = ""
) -> tuple[dict[str, float], str]:
    """Split the remainder of `total` over the missing organs and rest; return all and the names that were split."""
    missing = [*(name for name in names if name not in known), "rest"]
    left = total - math.fsum(known[name] for name in (*names, also) if name in known)
    whole = math.fsum(man[name] for name in missing)
    return {**known, **{name: left * man[name] / whole for name in missing}}, ", ".join(missing)
