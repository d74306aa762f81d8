"""Compare atmpsim with libRoadRunner on SBML files: `python tests/conformance/biomodels.py DIR`.

Prints one line per file: name, number of states, the largest difference of any variable relative to that variable's
peak, and the verdict. The last line is `agree N of M, refused K`; the exit code is 0 if all agree, else 1.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ModelError
from atmpsim.model.equations import write_equations
from atmpsim.model.library import load_model
from atmpsim.model.spec import Model
from atmpsim.study.simulate import simulate

FloatArray = NDArray[np.float64]

TIMES = np.linspace(0.0, 100.0, 101)
RTOL = 1e-10
ATOL = 1e-14
TOLERANCE = 1e-5  # of each variable's peak

AGREE, DIFFER, REFUSED = "agree", "differ", "refused"

# Doses by triggers that are true at one instant (time == 2), which libRoadRunner can step over. Its arms are known
# from an independent integration with explicit doses of the same equations and digits (Gevertz & Wares 2018,
# PMID 30510594; Wares 2015, doi:10.3934/mbe.2015.12.1237): uninfected + infected cells at day 10, 20 and 30, to six
# digits, by the dose sizes that make each arm.
PUBLISHED_ARMS: Mapping[str, tuple[Mapping[str, float], tuple[float, float, float]]] = {
    "alternating": ({}, (41.5905, 24.0926, 450.264)),
    "virus": ({"D0": 0.0}, (375.018, 2124.29, 14534.1)),
    "cells": ({"OV_dose": 0.0}, (806.408, 18960.5, 4.64164e5)),
    "control": ({"OV_dose": 0.0, "D0": 0.0}, (1420.55, 34780.1, 8.51539e5)),
}
ARMS_FILE = "BIOMD0000000816"
ARMS_TIMES = (10.0, 20.0, 30.0)
ARMS_SUM = ("Uninfected_Tumor_Cell_U", "Infected_Cancer_Cell_I")


class Comparison(NamedTuple):
    """What came of one file; `difference` is relative to the peak and NaN where there is nothing to compare."""

    name: str
    states: int
    difference: float
    verdict: str
    note: str

    def __str__(self) -> str:
        line = f"{self.name}  {self.states:3d} states  {self.difference:8.1e}  {self.verdict}"
        return f"{line}  {self.note}".rstrip()


def compare(path: Path) -> Comparison:
    """Return how atmpsim and libRoadRunner (or published arms) agree on one SBML file."""
    states, difference = 0, float("nan")
    try:
        model = load_model(path)
        states = len(write_equations(model).states)
        difference, note = (_against_arms if path.stem == ARMS_FILE else _against_roadrunner)(model)
        verdict = AGREE if difference <= TOLERANCE else DIFFER  # a NaN differs
    except ModelError as refusal:
        verdict, note = REFUSED, str(refusal)
    except Exception as error:  # whichever of the two programs broke: say so and go on with the other files
        verdict, note = DIFFER, f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Comparison(path.stem, states, difference, verdict, note)


def _against_arms(model: Model) -> tuple[float, str]:
    worst = 0.0
    for doses, expected in PUBLISHED_ARMS.values():
        ours = _ours(model, ARMS_SUM, times=np.array([0.0, *ARMS_TIMES]), parameters=doses)
        total = sum(ours[name] for name in ARMS_SUM)[1:]
        worst = max(worst, float(np.max(np.abs(total / np.array(expected) - 1.0))))
    arms = ", ".join(PUBLISHED_ARMS)
    return worst, f"against the published arms ({arms}): libRoadRunner can miss its `time == t` doses"


def _against_roadrunner(model: Model) -> tuple[float, str]:
    names = variables(model)
    theirs = _theirs(model, names)
    ours = _ours(model, names, times=TIMES)
    differences = {name: relative_difference(ours[name], theirs[name]) for name in names}
    worst = max(differences, key=lambda name: np.nan_to_num(differences[name], nan=np.inf))
    return differences[worst], f"{len(names)} variables, worst {worst}"


def variables(model: Model) -> tuple[str, ...]:
    """Return what is compared: each species as amount and concentration, and each quantity with an assignment rule."""
    species = [name for s in model.species for name in (s, f"[{s}]")]
    return (*species, *(k for k in model.assignment_rules if k not in model.species))


def relative_difference(ours: FloatArray, theirs: FloatArray) -> float:
    """Return the largest difference relative to the peak of both; NaN if either has no finite value somewhere."""
    peak = max(float(np.max(np.abs(ours))), float(np.max(np.abs(theirs))))
    return float(np.max(np.abs(ours - theirs))) / peak if peak else 0.0


def absolute_tolerance(model: Model) -> float:
    """Return 1e-14, or that part of the smallest start that is not 0, where the model's numbers are below 1."""
    starts = [abs(s.value) for s in model.species.values() if s.value]
    return ATOL * min([1.0, *starts])


def _ours(
    model: Model, names: Sequence[str], *, times: FloatArray, parameters: Mapping[str, float] | None = None
) -> dict[str, FloatArray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a failed run is NaN, and that is no agreement
        dataset = simulate(
            model, times=times, parameters=parameters, select=names, rtol=RTOL, atol=absolute_tolerance(model)
        )
    return {name: dataset[name].to_numpy() for name in names}


def _theirs(model: Model, names: Sequence[str]) -> dict[str, FloatArray]:
    os.environ.setdefault("SUNLOGGER_WARNING_FILENAME", os.devnull)
    import roadrunner

    roadrunner.Logger.setLevel(roadrunner.Logger.LOG_CRITICAL)
    runner = roadrunner.RoadRunner(model.sbml)
    runner.integrator.relative_tolerance = RTOL
    runner.integrator.absolute_tolerance = absolute_tolerance(model)
    runner.integrator.maximum_num_steps = 1_000_000
    runner.timeCourseSelections = list(names)
    result = np.array(runner.simulate(TIMES[0], TIMES[-1], TIMES.size))
    return {name: result[:, k] for k, name in enumerate(names)}


def main(arguments: Sequence[str]) -> int:
    """Compare every SBML file of a folder and return the exit code."""
    if len(arguments) != 1:
        print("usage: python tests/conformance/biomodels.py DIR", file=sys.stderr)
        return 2
    results = []
    for path in sorted(Path(arguments[0]).glob("*.xml")):
        results.append(compare(path))
        print(results[-1], flush=True)
    agreed = sum(r.verdict == AGREE for r in results)
    refused = sum(r.verdict == REFUSED for r in results)
    print(f"agree {agreed} of {len(results)}, refused {refused}")
    return 0 if results and agreed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
