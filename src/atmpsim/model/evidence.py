"""Check what a model file and the README beside it say about their numbers: units, names, sources, assumptions."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atmpsim.model.balance import find_imbalances
from atmpsim.model.border import read_text
from atmpsim.model.library import find_model, parse_model
from atmpsim.model.spec import Model, Quantity
from atmpsim.units import known_units

RESTING = ("published", "derived", "assumption", "memory", "fixed", "internal")
"""What a number may rest on."""

COMPUTED = ("internal", "output", "ledger")
"""What follows from other quantities."""

SECTIONS = ("context of use", "equations", "assumptions", "deviations", "checked against")
"""What the headings of a README must name."""

_SOURCE = re.compile(
    r"https://identifiers\.org/(doi/10\.\d{4,}/\S+|pubmed/\d+|biomodels\.db/BIOMD\d{10})|https://\S+/\S+"
)
_SPREAD = re.compile(r"\b(normal|lognormal|uniform)\(")
_LAYERS = ("between_subject", "uncertainty")
_MOST_OUTPUTS = 30


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One complaint about a model: where it is, what stands there, what should."""

    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, expected {self.expected}."


def check_model(name: str) -> list[Fault]:
    """Return every fault of a shipped model, or of the model in a file and of README.md and uncertainty.csv beside it.

    Raises
    ------
    ModelError
        If the model cannot be found or read at all.

    Examples
    --------
    >>> check_model("celyvir")
    []
    """
    path = find_model(name)
    model = parse_model(read_text(path), where=path.name, path=str(path), suffix=path.suffix.lower())
    beside = (
        find_readme_faults(path.with_name("README.md")),
        find_spread_faults(model, path.with_name("uncertainty.csv")),
    )
    return [*find_faults(model), *(fault for faults in beside for fault in faults)]


def find_faults(model: Model) -> Iterator[Fault]:
    """Return what is wrong with the quantities and equations of a model."""
    moving = {*model.assignment_rules, *model.rate_rules, *model.initial_assignments}
    for key, quantity in model.quantities.items():
        yield from _described(key, quantity)
        if key not in moving and key not in model.species:
            yield from _sourced(key, quantity)
        if key.endswith("_lod") and key.removesuffix("_lod") not in model.outputs:
            yield Fault(where=key, found="a limit of detection without an output", expected="an output of that name")
    for place, found, expected in find_imbalances(model):
        yield Fault(where=place, found=found, expected=expected)
    if len(model.outputs) > _MOST_OUTPUTS:
        yield Fault(where=model.id, found=f"{len(model.outputs)} outputs", expected=f"at most {_MOST_OUTPUTS}")


def _described(key: str, quantity: Quantity) -> Iterator[Fault]:
    """Return what is missing of unit, name and note."""
    if not quantity.unit:
        yield Fault(where=key, found="no unit", expected="a unit whose id spells its type")
    elif not quantity.typed or not _is_known(quantity.unit):
        yield Fault(where=key, found=f"the unit '{quantity.unit}'", expected="a unit whose id spells its type")
    if len(quantity.name) < 3:
        yield Fault(where=key, found=f"the name '{quantity.name}'", expected="words that say what it is")
    if quantity.evidence.tag not in (*RESTING, *COMPUTED) or not quantity.evidence.text:
        found = f"the evidence '{quantity.evidence.tag}'" if quantity.evidence.tag else "no evidence"
        yield Fault(
            where=key, found=found, expected=f"a note that begins with one of {', '.join((*RESTING, *COMPUTED))}"
        )


def _sourced(key: str, quantity: Quantity) -> Iterator[Fault]:
    """Return what is wrong with the evidence of a number that stands in the file."""
    evidence = quantity.evidence
    if quantity.value is None:
        yield Fault(where=key, found="no value", expected="a number")
    if evidence.tag in COMPUTED and evidence.tag != "internal" and quantity.constant:
        yield Fault(where=key, found=f"a number called '{evidence.tag}'", expected=f"one of {', '.join(RESTING)}")
    if evidence.tag in ("published", "derived") and not _SOURCE.fullmatch(evidence.source):
        found = f"the source '{evidence.source}'" if evidence.source else f"'{evidence.tag}' without a source"
        yield Fault(where=key, found=found, expected="the address of a paper, a BioModels file or a repository")
    if evidence.tag == "assumption" and not re.search(r"\d|; as ", evidence.text):
        yield Fault(where=key, found="an assumption without a range", expected="a range, or '; as ...' another one")
    if evidence.tag == "memory" and "check" not in evidence.text:
        yield Fault(where=key, found="a number from memory", expected="the word 'check' in its note")
    if quantity.distribution and evidence.tag not in RESTING[:4]:
        yield Fault(
            where=key, found=f"a spread of a '{evidence.tag}' number", expected=f"one of {', '.join(RESTING[:4])}"
        )


def _is_known(unit: str) -> bool:
    return unit == "1" or all(word in known_units() for word in re.findall(r"[A-Za-z%]\w*", unit))


def find_spread_faults(model: Model, table: Path) -> Iterator[Fault]:
    """Return which rows of the table of ignorance name no parameter, no distribution, no layer or no source."""
    if not table.is_file():
        return
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows, 2):
        where = f"{table.name} line {number}"
        if row.get("parameter") not in model.parameters:
            yield Fault(where=where, found=f"'{row.get('parameter')}'", expected="a parameter of the model")
        if not _SPREAD.search(row.get("distribution") or ""):
            yield Fault(where=where, found=f"'{row.get('distribution')}'", expected="normal, lognormal or uniform")
        if row.get("layer") not in _LAYERS:
            yield Fault(where=where, found=f"the layer '{row.get('layer')}'", expected=" or ".join(_LAYERS))
        if not (row.get("source") or "").strip():
            yield Fault(where=where, found="no source", expected="a source or 'assumption: ...'")


def find_readme_faults(readme: Path) -> Iterator[Fault]:
    """Return which sections a README lacks, and whether it says what the model is not for."""
    if not readme.is_file():
        yield Fault(where="README.md", found="no such file", expected="one beside the model")
        return
    text = readme.read_text(encoding="utf-8").lower()
    headings = " | ".join(line for line in text.splitlines() if line.startswith("##"))
    for section in SECTIONS:
        if section not in headings:
            yield Fault(where="README.md", found=f"no heading with '{section}'", expected="one")
    use = text.partition("## context of use")[2].partition("\n## ")[0]
    if use and not re.search(r"\bnot\b", use):
        yield Fault(where="README.md context of use", found="no 'not'", expected="what the model is not for")
