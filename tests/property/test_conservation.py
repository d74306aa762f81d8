"""Nothing is lost and nothing is made: cells and virus add up for every route and any parameters (target C-1).

Parameters are drawn inside the central 90 % of the spread that each model declares, and inside the stated range where
it declares a range. Only sums that the model must keep are checked, so the test needs no solution to compare with.
"""

import csv
import math
from functools import cache
from statistics import NormalDist

import libsbml
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from atmpsim.model.library import find_model, load_model
from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

TIMES = np.array([0.0, 1e-4, 0.01, 0.3, 1.0, 3.0, 3.5, 8.0, 20.0])
GIVEN_SO_FAR = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 2.0])  # doses, each at 1 and 3.5 d
TIGHT, DEFAULT = (1e-10, 1e-8), (1e-6, 1e-6)  # relative tolerance of the solver, error allowed


def examples(count):
    """Return settings for a few examples, the same ones in every run; a failure is shown as it is found."""
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )  # fmt: skip


probabilities = st.floats(0.05, 0.95)


# ---- parameters inside their ranges


def quantile(formula, p):
    """Return the p-quantile of a distribution as the models write it."""
    return _value(libsbml.parseL3Formula(formula), p)


def _value(node, p):
    below = [_value(node.getChild(k), p) for k in range(node.getNumChildren())]
    operations = {libsbml.AST_PLUS: math.fsum, libsbml.AST_TIMES: math.prod}
    if node.getType() in operations:
        return operations[node.getType()](below)
    if node.getType() == libsbml.AST_MINUS:
        return below[0] - below[1] if len(below) == 2 else -below[0]
    if node.getType() == libsbml.AST_DIVIDE:
        return below[0] / below[1]
    if node.getType() == libsbml.AST_FUNCTION_EXP:
        return math.exp(below[0])
    if node.getType() == libsbml.AST_FUNCTION_LN:
        return math.log(below[0])
    if node.isNumber():
        return node.getValue()
    z = NormalDist().inv_cdf(p)
    return {
        "normal": lambda m, s, low=-math.inf, high=math.inf: min(max(m + s * z, low), high),
        "lognormal": lambda m, s: math.exp(m + s * z),
        "uniform": lambda low, high: low + (high - low) * p,
    }[node.getName()](*below)


def test_quantiles():
    assert quantile("lognormal(ln(500), 0.8)", 0.5) == pytest.approx(500)
    assert quantile("1/(1 + exp(-normal(ln(0.9/0.1), 0.5)))", 0.5) == pytest.approx(0.9)
    assert quantile("exp(uniform(ln(0.01), ln(1)))", 0.5) == pytest.approx(0.1)
    assert quantile("normal(0, 0.2, -0.1, 10)", 0.05) == -0.1


RANGES = {  # stated in the models' notes, without a distribution
    "celyvir": {
        "carrier_release_from_lung": "uniform(0, 0.3)", "trapping_rate": "uniform(1000, 5000)",
        "initial_antibody": "exp(uniform(ln(0.01), ln(15)))", "antibody_effect_on_genomes": "uniform(0, 1)",
        "tumour_initial_volume": "exp(uniform(ln(2), ln(400)))",
    },
    "msc_biodistribution": {
        "release_rate": "uniform(0, 0.3)", "circulating_death_rate": "uniform(0, 10)",
        "tumour_volume": "uniform(0, 400)", "depot_mixing": "exp(uniform(ln(288), ln(14400)))",
    },
}  # fmt: skip


@cache
def spreads(name):
    """Return the distribution of every parameter that is uncertain, by id."""
    with find_model(name).with_name("uncertainty.csv").open(encoding="utf-8") as lines:
        table = {row["parameter"]: row["distribution"] for row in csv.DictReader(lines)}
    return table | RANGES[name]


def drawn(name):
    names = sorted(spreads(name))
    made = st.tuples(*[probabilities] * len(names))
    return made.map(lambda ps: {k: quantile(spreads(name)[k], p) for k, p in zip(names, ps, strict=True)})


@cache
def model(name):
    return load_model(name)


def solved(name, doses, parameters, rtol, select):
    made = simulate(
        model(name), times=TIMES, doses=doses, parameters=parameters, rtol=rtol, select=select, sample="after"
    )
    assert int(made["status"]) == 0, made["message"].values
    return {key: made[key].values for key in select}


KINDS = {"bolus": {}, "infusion": {"duration": 1 / 144}}
kinds = st.sampled_from(sorted(KINDS))


def series(into, amount, kind):
    """Return two doses, and which samples are not in the middle of one of them (an infusion's start)."""
    dose = Dose(into=into, amount=amount, time=1.0, every=2.5, count=2, **KINDS[kind])
    return [dose], ~np.isin(TIMES, (1.0, 3.5)) | (kind == "bolus")


# ---- living cells, debris and excreted cells are the cells given, by every route

ORGANS = ("venous", "arterial", "lung", "liver", "spleen", "gut", "stomach_pancreas", "kidney", "heart", "brain",
          "muscle", "bone", "skin", "adipose", "rest", "tumour")  # fmt: skip
BODY_ROUTES = (*(f"{organ}_msc_free" for organ in ORGANS), "joint_msc_injected", "bone_depot_injected",
               "intrathecal_msc", "tumour_depot")  # fmt: skip
CELLS = ("viable_total", "debris_total", "excreted_debris", "cells_accounted", "free_label_accounted")


def test_no_route_is_left_out():
    takes_doses = {k for k, s in model("msc_biodistribution").species.items() if s.evidence.text.startswith("takes ")}
    assert takes_doses <= {*BODY_ROUTES}
    assert {s for s in model("msc_biodistribution").species if s.endswith(("_free", "_injected"))} <= {*BODY_ROUTES}
    assert {s for s in model("celyvir").species if s.endswith(("_loaded", "_injected"))} <= {*ROUTES.values()}


def check_body(route, kind, parameters, tolerance):
    (rtol, allowed), (doses, settled) = tolerance, series(route, 1e8, kind)
    got = solved("msc_biodistribution", doses, parameters, rtol, CELLS)
    parts = got["viable_total"] + got["debris_total"] + got["excreted_debris"]
    assert np.abs(parts - 1e8 * GIVEN_SO_FAR)[settled].max() <= allowed * 2e8
    assert np.abs(got["cells_accounted"] - parts).max() <= 1e-9 * 2e8
    assert got["debris_total"][-1] > 1e6  # the sum is not kept by doing nothing
    # free label beside the cells: the declared share of all cells given
    assert got["free_label_accounted"][-1] == pytest.approx(parameters["free_label"] * 2e8, rel=1e-6, abs=1.0)


@pytest.mark.parametrize("route", BODY_ROUTES)
@examples(2)
@given(parameters=drawn("msc_biodistribution"), kind=kinds)
def test_c1_every_cell_is_alive_or_debris_or_excreted(route, parameters, kind):
    check_body(route, kind, parameters, TIGHT)


@examples(6)
@given(route=st.sampled_from(BODY_ROUTES), parameters=drawn("msc_biodistribution"), kind=kinds)
def test_c1_every_cell_at_default_tolerances(route, parameters, kind):
    check_body(route, kind, parameters, DEFAULT)


# ---- Celyvir: cells, and virus against its ledgers, by every route

ROUTES = {
    "vein": "venous_msc_loaded",
    "artery": "tumour_artery_msc_loaded",
    "lesion": "tumour_msc_injected",
    "naked-virus": "venous_virus",
}
POOLS = ("lung_virus", "liver_virus", "spleen_virus", "rest_virus", "blood_virus", "tumour_virus")
SINKS = ("virus_captured_locally", "virus_cleared_from_blood", "virus_trapped_in_bursts", "virus_captured_by_tumour",
         "virus_decayed_in_tumour")  # fmt: skip
LEDGERS = ("virus_produced", "free_virus_given", "virus_accounted", "cells_given", "cells_settled", "cells_accounted")
PLACES = ("venous_msc_loaded", "tumour_artery_msc_loaded", "tumour_msc_injected", "blood_debris", "excreted_debris",
          *(f"{s}_msc_{k}" for s in ("lung", "liver", "spleen", "rest", "tumour")
            for k in ("alive", "debris")))  # fmt: skip


def check_celyvir(route, kind, parameters, tolerance):
    naked = route == "naked-virus"
    (rtol, allowed), (doses, settled) = tolerance, series(ROUTES[route], 8e11 if naked else 4e7, kind)
    got = solved("celyvir", doses, parameters, rtol, (*POOLS, *SINKS, *LEDGERS, *PLACES))
    check_cells(got, (0.0 if naked else 4e7) * GIVEN_SO_FAR, settled, allowed)
    check_virus(got, allowed)
    per_dose = 8e11 if naked else parameters["free_virus_share"] * 2e4 * parameters["viability"] * 4e7
    assert got["free_virus_given"][-1] == pytest.approx(2 * per_dose, rel=allowed)


@pytest.mark.parametrize("route", ROUTES)
@examples(3)
@given(parameters=drawn("celyvir"), kind=kinds)
def test_c1_celyvir_keeps_cells_and_virus(route, parameters, kind):
    check_celyvir(route, kind, parameters, TIGHT)


@examples(5)
@given(route=st.sampled_from(sorted(ROUTES)), parameters=drawn("celyvir"), kind=kinds)
def test_c1_celyvir_at_default_tolerances(route, parameters, kind):
    check_celyvir(route, kind, parameters, DEFAULT)


def check_cells(got, whole, settled, allowed):
    cells, scale = sum(got[key] for key in PLACES), max(whole.max(), 1.0)
    assert np.abs(cells - whole)[settled].max() <= allowed * scale
    assert np.abs(got["cells_accounted"] - cells).max() <= 1e-9 * scale
    assert np.abs(got["cells_settled"] - got["cells_given"]).max() <= allowed * scale


def check_virus(got, allowed):
    virus = sum(got[key] for key in (*POOLS, *SINKS))  # naked virus counts from its entry into blood on
    source = got["virus_produced"] + got["free_virus_given"]
    assert np.abs(virus - source).max() <= allowed * source.max()
    assert np.abs(got["virus_accounted"] - virus).max() <= 1e-9 * source.max()
    assert got["virus_produced"].max() > 0
