"""Run semantic cases of the SBML Test Suite: `python tests/conformance/sbml_suite.py DIR`.

Each folder of DIR is a case: SBML files (or one `model.xml`), settings and results. A number x agrees with the case's
number r if |x - r| <= absolute + relative |r|, with the case's own tolerances. Prints every case that does not pass,
a table by component of the models, and as the last line `passed N of M`; the exit code is 0 if all pass that can, else
1. Cases that ask for no time course (flux balance) are counted apart.
"""

from __future__ import annotations

import csv
import re
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import AtmpsimError
from atmpsim.model.library import load_model
from atmpsim.study.simulate import simulate

FloatArray = NDArray[np.float64]

RTOL, ATOL_PART = 1e-9, 1e-6  # relative, and as a part of the case's own absolute tolerance

PASS, FAIL, CANNOT, NO_COURSE = "pass", "fail", "cannot pass", "no time course"

# Cases that cannot pass, and why not.
REASONS: Mapping[str, str] = {
    "01821": "asks for a quantity called 'time', a name that the dataset of a run itself uses",
}

# What a model has, where the case says nothing of its components itself.
ELEMENTS: Mapping[str, str] = {
    "AlgebraicRule": r"<algebraicRule", "AssignmentRule": r"<assignmentRule", "RateRule": r"<rateRule",
    "InitialAssignment": r"<initialAssignment", "FunctionDefinition": r"<functionDefinition",
    "EventNoDelay": r"<event\b(?:(?!</event>)(?!<delay)[\s\S])*</event>",
    "EventWithDelay": r"<event\b(?:(?!</event>)[\s\S])*<delay", "EventPriority": r"<priority",
    "EventIsNotPersistent": r"persistent=\"false\"", "CSymbolTime": r"symbols/time", "CSymbolDelay": r"symbols/delay",
    "CSymbolRateOf": r"symbols/rateOf", "CSymbolAvogadro": r"symbols/avogadro", "FastReaction": r"fast=\"true\"",
    "StoichiometryMath": r"<stoichiometryMath", "ConversionFactors": r"conversionFactor=",
    "NamedStoichiometry": r"<speciesReference[^>]*\sid=", "Piecewise": r"<piecewise", "comp": r"comp:required",
    "LocalParameters": r"<localParameter|<kineticLaw>(?:(?!</kineticLaw>)[\s\S])*<parameter",
    "NonConstantCompartment": r"<compartment\b[^>]*constant=\"false\"",
    "NonUnityCompartment": r"<compartment\b[^>]*\ssize=\"(?!1\.?0*\")",
    "HasOnlySubstanceUnits": r"hasOnlySubstanceUnits=\"true\"", "BoundaryCondition": r"boundaryCondition=\"true\"",
    "Reaction": r"<reaction\b",
}  # fmt: skip


class Settings(NamedTuple):
    """What a case asks for: sample times, columns, those that are amounts and concentrations, and tolerances."""

    times: FloatArray | None
    variables: tuple[str, ...]
    amounts: frozenset[str]
    concentrations: frozenset[str]
    absolute: float
    relative: float


class Outcome(NamedTuple):
    """What came of one case; `excess` is the largest difference as a part of what is allowed."""

    name: str
    verdict: str
    excess: float
    note: str
    tags: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}  {self.verdict}  {self.excess:8.1e}  {self.note}".rstrip()


def read_settings(text: str) -> Settings:
    """Return a case's settings; `times` is None where it has no duration."""
    entries = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}

    def names(key: str) -> tuple[str, ...]:
        return tuple(filter(None, (n.strip() for n in entries.get(key, "").split(","))))

    times = None
    if entries.get("duration") and entries.get("steps"):
        start, duration = float(entries["start"] or 0), float(entries["duration"])
        times = np.linspace(start, start + duration, int(entries["steps"]) + 1)
    return Settings(
        times, names("variables"), frozenset(names("amount")), frozenset(names("concentration")),
        float(entries["absolute"]), float(entries["relative"]),
    )  # fmt: skip


def run_case(folder: Path) -> Outcome:
    """Return how one case went."""
    settings = read_settings(next(folder.glob("*settings.txt")).read_text())
    model = _model_file(folder)
    tags = _tags(folder, model)
    if settings.times is None:
        return Outcome(folder.name, NO_COURSE, float("nan"), "", tags)
    try:
        excess, note = _compare(folder, model, settings)
    except AtmpsimError as refusal:
        excess, note = float("inf"), str(refusal)
    except Exception as error:  # say what broke and go on with the other cases
        excess, note = float("inf"), f"{type(error).__name__}: {' '.join(str(error).split())}"
    if excess <= 1.0:
        return Outcome(folder.name, PASS, excess, "", tags)
    verdict = CANNOT if folder.name in REASONS else FAIL
    return Outcome(folder.name, verdict, excess, REASONS.get(folder.name, note), tags)


def _model_file(folder: Path) -> Path:
    """Return the SBML file of the highest level and version."""
    written = sorted(folder.glob(f"{folder.name}-sbml-l*v*.xml"))
    return written[-1] if written else folder / "model.xml"


def _tags(folder: Path, model: Path) -> tuple[str, ...]:
    for description in folder.glob("*.m"):
        found = re.search(r"componentTags:(.*)", description.read_text(errors="replace"))
        if found:
            return tuple(filter(None, (t.strip() for t in found[1].split(","))))
    text = model.read_text(encoding="utf-8")
    return tuple(tag for tag, pattern in ELEMENTS.items() if re.search(pattern, text))


def _compare(folder: Path, path: Path, settings: Settings) -> tuple[float, str]:
    with next(folder.glob("*results.csv")).open(newline="") as stream:
        head, *rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if any(row)]
    expected = np.array(rows, dtype=float)
    select = [_selected(name, settings) for name in head[1:]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = simulate(
            load_model(path), times=settings.times, select=list(dict.fromkeys(select)), rtol=RTOL,
            atol=ATOL_PART * settings.absolute,
        )  # fmt: skip
    worst, note, message = 0.0, "", str(dataset["message"].values)
    for k, name in enumerate(select, start=1):
        ours, theirs = dataset[name].to_numpy(), expected[:, k]
        allowed = settings.absolute + settings.relative * np.abs(theirs)
        with np.errstate(invalid="ignore"):
            excess = np.abs(ours - theirs) / allowed
        excess = np.where((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)), 0.0, excess)
        excess = np.where(np.isnan(excess), np.inf, excess)
        if excess.max() > worst:
            row = int(excess.argmax())
            worst = float(excess.max())
            note = message or f"{name} at {settings.times[row]:.6g}: {ours[row]:.8g} for {theirs[row]:.8g}"
    return worst, note


def _selected(name: str, settings: Settings) -> str:
    return f"[{name}]" if name in settings.concentrations else name


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the counts by component as text."""
    timed = [o for o in outcomes if o.verdict != NO_COURSE]
    all_of, passed = (
        Counter(t for o in timed for t in o.tags),
        Counter(t for o in timed for t in o.tags if o.verdict == PASS),
    )
    lines = [f"{tag:28s} {passed[tag]:5d} of {count:5d}" for tag, count in sorted(all_of.items())]
    return "\n".join([f"{'component':28s} {'passed':>13s}", *lines])


def main(arguments: Sequence[str]) -> int:
    """Run every case of a folder and return the exit code."""
    if len(arguments) != 1:
        print("usage: python tests/conformance/sbml_suite.py DIR", file=sys.stderr)
        return 2
    outcomes = []
    for folder in sorted(p for p in Path(arguments[0]).iterdir() if p.is_dir()):
        outcomes.append(run_case(folder))
        if outcomes[-1].verdict in (FAIL, CANNOT):
            print(outcomes[-1], flush=True)
    counts = Counter(o.verdict for o in outcomes)
    timed = len(outcomes) - counts[NO_COURSE]
    print(table(outcomes))
    print(f"{counts[NO_COURSE]} cases without a time course, {counts[CANNOT]} that cannot pass")
    print(f"passed {counts[PASS]} of {timed}")
    return 0 if timed and not counts[FAIL] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
