"""Every shipped model: evidence for each number, units that balance, documents beside it, and SBML others can run."""

import csv
import importlib.util
import re
from functools import cache

import numpy as np
import pytest

from atmpsim.engines.program import prepare
from atmpsim.model.balance import find_imbalances
from atmpsim.model.equations import write_equations
from atmpsim.model.library import load_model
from atmpsim.resources import folder, shipped_models
from atmpsim.scenario.convert import is_known_unit
from atmpsim.study.simulate import simulate

MODELS = sorted(shipped_models())
EVIDENCE = {"published", "derived", "assumption", "memory", "fixed", "internal"}  # what a number may rest on
COMPUTED = {"internal", "output", "ledger"}  # what follows from others
SECTIONS = ("context of use", "equations", "assumptions", "deviations", "checked against")
INTO = dict.fromkeys(MODELS, "venous_msc_loaded") | {"msc_biodistribution": "venous_msc_free"}
WRITTEN = [name for name in MODELS if not name.endswith("_lesions")]  # the others are made from celyvir.ant


@cache
def model(name):
    return load_model(name)


def numbers(name):
    """Return the quantities that stand as a number in the file and stay what they are."""
    made = model(name)
    moving = {*made.assignment_rules, *made.rate_rules, *made.initial_assignments}
    return {k: q for k, q in {**made.parameters, **made.compartments}.items() if k not in moving}


def test_there_are_models():
    assert {"celyvir", "celyvir_2_lesions", "celyvir_3_lesions", "msc_biodistribution"} <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_everything_has_a_unit_a_name_and_evidence(name):
    for key, quantity in model(name).quantities.items():
        assert is_known_unit(quantity.unit), f"{key}: unit '{quantity.unit}'"
        assert quantity.typed, f"{key}: unit '{quantity.unit}' is not typed"
        assert quantity.name, f"{key}: no name"
        assert len(quantity.name) > 2, f"{key}: name '{quantity.name}'"
        assert quantity.evidence.tag in EVIDENCE | COMPUTED, f"{key}: evidence '{quantity.evidence.tag}'"
        assert quantity.evidence.text, f"{key}: no note"


@pytest.mark.parametrize("name", MODELS)
def test_every_number_says_what_it_rests_on(name):
    for key, quantity in numbers(name).items():
        evidence = quantity.evidence
        assert quantity.value is not None, key
        # a ledger or an output that starts at 0 is a state, not a number of the model's
        assert evidence.tag in EVIDENCE or (evidence.tag in COMPUTED and not quantity.constant), f"{key}: {evidence}"
        if evidence.tag in ("published", "derived"):
            assert re.fullmatch(r"https://identifiers\.org/doi/10\.\d{4,}/\S+", evidence.source), f"{key}: no source"
        if evidence.tag == "assumption":
            assert re.search(r"\d|; as ", evidence.text), f"{key}: neither a range nor what it is taken from"
        if evidence.tag == "memory":
            assert "check" in evidence.text, f"{key}: from memory, and does not say that it must be checked"
        if quantity.distribution:
            assert evidence.tag in ("published", "derived", "assumption", "memory"), f"{key}: a spread of what?"


@pytest.mark.parametrize("name", MODELS)
def test_units_balance_in_every_equation(name):
    assert list(find_imbalances(model(name))) == []


@pytest.mark.parametrize("name", MODELS)
def test_outputs(name):
    made = model(name)
    assert 1 <= len(made.outputs) <= 30
    assert len(set(made.outputs)) == len(made.outputs)
    assert set(made.outputs) <= write_equations(made).values.keys()


@pytest.mark.parametrize("name", WRITTEN)
def test_outputs_are_finite_before_the_first_dose(name):
    observed = simulate(model(name), times=[0.0, 1.0])
    assert set(observed.data_vars) >= set(model(name).outputs)
    assert all(np.isfinite(observed[k].values).all() for k in model(name).outputs)


@pytest.mark.parametrize("name", MODELS)
def test_limits_of_detection_belong_to_an_output(name):
    for key in model(name).parameters:
        if key.endswith("_lod"):
            assert key.removesuffix("_lod") in model(name).outputs


# ---- documents beside the model


@pytest.mark.parametrize("name", MODELS)
def test_readme_has_its_sections(name):
    text = shipped_models()[name].with_name("README.md").read_text(encoding="utf-8")
    headings = " | ".join(line.lower() for line in text.splitlines() if line.startswith("##"))
    for section in SECTIONS:
        assert section in headings, f"no section on '{section}' in {headings}"
    assert re.search(r"\bnot\b", text.lower().split("## context of use")[1].split("\n## ")[0]), "what it is not for"


def uncertainty(name):
    with shipped_models()[name].with_name("uncertainty.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("name", WRITTEN)
def test_uncertainty_is_about_parameters_of_the_model(name):
    rows, known = uncertainty(name), numbers(name)
    assert rows
    for row in rows:
        assert row.keys() == {"parameter", "distribution", "layer", "source"}
        assert row["parameter"] in known, row["parameter"]
        assert row["layer"] in ("between_subject", "uncertainty")
        assert re.search(r"\b(normal|lognormal|uniform)\(", row["distribution"]), row
        assert row["source"].strip(), row
    assert len({(row["parameter"], row["layer"]) for row in rows}) == len(rows)


@pytest.mark.parametrize("name", WRITTEN)
def test_spread_is_centred_on_the_default(name):
    """The median of a log-normal or logit-normal spread is the value that stands in the file."""
    spreads = [(row["parameter"], row["distribution"]) for row in uncertainty(name)]
    spreads += [(k, q.distribution) for k, q in numbers(name).items()]
    checked = 0
    for key, text in spreads:
        compact = text.replace(" ", "")
        plain = re.fullmatch(r"lognormal\(ln\(([^()]+)\),[^()]+\)", compact)
        if plain:
            assert float(plain[1]) == pytest.approx(numbers(name)[key].value, rel=1e-12), key
            checked += 1
        odds = re.search(r"normal\(ln\(([\d.e-]+)/(?:\(1-[\d.e-]+\)|([\d.e-]+))\)", compact)
        if odds and compact.startswith("1/(1+"):
            assert float(odds[1]) == pytest.approx(numbers(name)[key].value, rel=1e-12), key
            checked += 1
    assert checked > 40


def test_models_with_more_lesions_are_made_from_the_one_with_one():
    place = folder("models") / "celyvir"
    spec = importlib.util.spec_from_file_location("lesions", place / "lesions.py")
    lesions = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lesions)
    made = lesions.derived_files((place / "celyvir.ant").read_text(encoding="utf-8"))
    assert set(made) == {"celyvir_2_lesions.ant", "celyvir_3_lesions.ant"}
    for name, text in made.items():
        assert (place / name).read_text(encoding="utf-8") == text, f"{name}: run python models/celyvir/lesions.py"


# ---- the SBML that our reader makes of the file, in libRoadRunner

GRID = np.array([0.0, 1e-4, 1e-3, 0.01, 0.1, *np.arange(0.5, 20.1, 0.5)])


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.campaign) if "lesions" in n else n for n in MODELS])
def test_libroadrunner_agrees(name):
    """One dose given as an initial amount, twenty days, every state to 1e-6 of its peak."""
    roadrunner = pytest.importorskip("roadrunner")
    equations = prepare(model(name)).equations
    other = roadrunner.RoadRunner(model(name).sbml)
    other.integrator.setValue("relative_tolerance", 1e-11)
    other.integrator.setValue("absolute_tolerance", 1e-9)
    other[INTO[name]] = 4e7
    theirs = np.asarray(other.simulate(times=GRID.tolist(), selections=["time", *equations.states]))
    floors = np.array([1e-12 if model(name).quantity(s).unit == "1" else 1e-4 for s in equations.states])
    ours = simulate(
        model(name), times=GRID, initial={INTO[name]: 4e7}, rtol=1e-9, atol=floors, select=equations.states
    )  # fmt: skip
    np.testing.assert_allclose(theirs[:, 0], GRID, atol=1e-12)
    # a state that no dose reaches is 0 here and 1e-30 there: its scale is one cell or particle, not its peak
    peaks = np.maximum(np.abs(theirs[:, 1:]).max(axis=0), np.where(floors == 1e-12, 1e-6, 1.0))
    off = {s: np.abs(ours[s].values - theirs[:, k]).max() for k, s in enumerate(equations.states, 1)}
    worst = {s: o / peak for (s, o), peak in zip(off.items(), peaks, strict=True)}
    state = max(worst, key=worst.get)
    print(f"{name}: LSODA against CVODE {worst[state]:.1e} of the peak in {state}, tolerance 1e-6")
    assert worst[state] < 1e-6
