"""Every shipped model: evidence for each number, units that balance, documents beside it, and SBML others can run."""

import csv
import importlib.util
import re
from functools import cache

import numpy as np
import pytest

from atmpsim.engines.program import prepare
from atmpsim.model.equations import write_equations
from atmpsim.model.evidence import check_model
from atmpsim.model.library import load_model
from atmpsim.resources import folder, shipped_models
from atmpsim.study.simulate import simulate

MODELS = sorted(shipped_models())
# where and how much to give, so that the comparison with another program moves every state
GIVEN = {key: {"body_msc_viable": 40000000.0} for key in MODELS} | {
    "aav_factor_ix": {"blood_vector": 1.4e15},
    "aav_factor_viii": {"blood_vector": 4.2e15},
    "aav_microdystrophin": {"blood_vector": 2.66e15},
    "bajzer2008": {"virus": 2e6},
    "cart_kimmel2021": {},
    "cart_leon_triana2020": {"progenitors": 1e7},
    "cart_stein2019": {},
    "celyvir": {"venous_msc_loaded": 4e7},
    "celyvir_2_lesions": {"venous_msc_loaded": 4e7},
    "celyvir_3_lesions": {"venous_msc_loaded": 4e7},
    "conte2025": {"virus": 0.002, "car_t_cells": 0.06},
    "gevertz2018": {"virus": 2.5e9, "dendritic_cells": 1e6},
    "jenner2018": {"virus": 1e9, "infection_rate": 1.0, "infected_death_rate": 1.0, "burst_size": 3.0,
                   "virus_decay_rate": 2.0},
    "jenner2019": {},
    "kuznetsov1994": {},
    "msc_biodistribution": {"venous_msc_free": 4e7},
    "msc_cerebral_palsy": {"csf_msc": 2e7, "body_msc_viable": 4e7},
    "msc_femoral_head": {"bone_msc_injected": 4e7},
    "msc_knee_osteoarthritis": {"joint_msc_injected": 1e8},
    "msc_perthes": {"bone_msc": 4e7, "odds_effect": 0.5, "speed_effect": 0.2},
    "msc_rasmussen": {"artery_msc": 3e7, "effect": 0.2},
    "wodarz2001": {"ctl_killing_rate": 0.1, "ctl_growth_rate": 0.1, "ctl_death_rate": 0.1, "virus_specific_ctl": 0.1},
}  # fmt: skip
WRITTEN = [name for name in MODELS if not name.endswith("_lesions")]  # the others are made from celyvir.ant
SPREAD = [name for name in WRITTEN if shipped_models()[name].with_name("uncertainty.csv").exists()]


@cache
def model(name):
    return load_model(name)


def numbers(name):
    """Return the quantities that stand as a number in the file and stay what they are."""
    made = model(name)
    moving = {*made.assignment_rules, *made.rate_rules, *made.initial_assignments}
    return {k: q for k, q in {**made.parameters, **made.compartments}.items() if k not in moving}


def test_there_are_models():
    assert set(GIVEN) == set(MODELS)
    assert len(MODELS) >= 24


@pytest.mark.parametrize("name", MODELS)
def test_evidence_units_and_readme(name):
    assert check_model(name) == []


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


# ---- documents beside the model


def uncertainty(name):
    with shipped_models()[name].with_name("uncertainty.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("name", SPREAD)
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
    spreads = [(row["parameter"], row["distribution"]) for row in uncertainty(name)] if name in SPREAD else []
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
    assert checked > (40 if name in ("celyvir", "msc_biodistribution") else -1)


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
    """One dose given as an initial amount, twenty units of time, every state to 1e-6 of its peak.

    CVODE does not stop where a condition on time changes, as our solvers do: there it gets short steps, and 1e-4.
    """
    roadrunner = pytest.importorskip("roadrunner")
    equations = prepare(model(name)).equations
    other = roadrunner.RoadRunner(model(name).sbml)
    other.integrator.setValue("relative_tolerance", 1e-11)
    other.integrator.setValue("absolute_tolerance", 1e-9)
    other.integrator.setValue("maximum_time_step", 0.01 if equations.switches else 0.0)
    tolerance = 1e-4 if equations.switches else 1e-6
    for key, amount in GIVEN[name].items():
        other[key] = amount
    theirs = np.asarray(other.simulate(times=GRID.tolist(), selections=["time", *equations.states]))
    floors = np.array([1e-12 if model(name).quantity(s).unit == "1" else 1e-4 for s in equations.states])
    ours = simulate(
        model(name), times=GRID, rtol=1e-9, atol=floors, select=equations.states,
        initial={k: v for k, v in GIVEN[name].items() if k in equations.states},
        parameters={k: v for k, v in GIVEN[name].items() if k not in equations.states},
    )  # fmt: skip
    np.testing.assert_allclose(theirs[:, 0], GRID, atol=1e-12)
    # a state that no dose reaches is 0 here and 1e-30 there: its scale is one cell or particle, not its peak
    peaks = np.maximum(np.abs(theirs[:, 1:]).max(axis=0), np.where(floors == 1e-12, 1e-6, 1.0))
    off = {s: np.abs(ours[s].values - theirs[:, k]).max() for k, s in enumerate(equations.states, 1)}
    worst = {s: o / peak for (s, o), peak in zip(off.items(), peaks, strict=True)}
    state = max(worst, key=worst.get)
    print(f"{name}: ours against CVODE {worst[state]:.1e} of the peak in {state}, tolerance {tolerance:g}")
    assert worst[state] < tolerance
