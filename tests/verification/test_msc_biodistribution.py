"""MSC kinetics against an independent solution: the equations typed again as concentrations, by matrix exponential.

The model writes every transfer as one flux between amounts. Here the same physiology stands as balances of
concentrations in each vessel (arrest, release and death per organ, after Wang 2016 Sci Rep 6:22293 as to structure),
so a flux that is missing, doubled or divided by the wrong volume shows. Only the parameter values are the model's.
"""

from functools import cache

import numpy as np
import pytest
from scipy.linalg import expm

from atmpsim.model.library import load_model
from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

SINGLE = ("kidney", "heart", "brain", "muscle", "bone", "skin", "adipose", "rest", "tumour")
PORTAL = ("spleen", "gut", "stomach_pancreas")
ORGANS = ("lung", "liver", *PORTAL, *SINGLE)
TIMES = np.array([1 / 1440, 1 / 144, 1 / 24, 1.0, 10.0])

SETTINGS = {
    "man": {},
    "release-shedding-death-tumour": {
        "release_rate": 0.2, "debris_retained": 0.6, "circulating_death_rate": 5.0, "tumour_volume": 300.0,
        "lung_extraction": 0.3, "liver_extraction": 0.5, "spleen_debris_release": 0.05, "gut_debris_release": 0.2,
    },
}  # fmt: skip


@cache
def model():
    return load_model("msc_biodistribution")


def flows_and_volumes(p):
    """Return flow (L/d) and vascular volume (L) of each organ; what is left of cardiac output feeds rest and tumour."""
    flow = {o: p[f"Q_{o}"] for o in (*PORTAL, *SINGLE[:-2])} | {"lung": p["CO"]}
    flow["liver"] = p["Q_hepatic_artery"] + sum(flow[o] for o in PORTAL)
    left = p["CO"] - flow["liver"] - sum(flow[o] for o in SINGLE[:-2])
    flow["tumour"] = min(p["tumour_perfusion"] * p["tumour_volume"] / 1000, p["tumour_flow_limit"] * left)
    flow["rest"] = left - flow["tumour"]
    volume = {o: p[f"V_{o}"] for o in ORGANS if o != "tumour"}
    volume["tumour"] = 1e-9 + p["tumour_blood_share"] * p["tumour_volume"] / 1000
    return {o: 1440 * q for o, q in flow.items()}, volume


def slopes(p):
    """Return the matrix of y' = M*y and the places of: C of each vessel, A and B of each organ, X, excreted."""
    q, v = flows_and_volumes(p)
    co, artery = 1440 * p["CO"], 1440 * p["Q_hepatic_artery"]
    places = ["C_venous", "C_arterial", *(f"{kind}_{o}" for o in ORGANS for kind in "CAB"), "X", "excreted"]
    at = {name: k for k, name in enumerate(places)}
    m, kr, kd, phi, kdc = np.zeros((len(at), len(at))), *(
        p[k] for k in ("release_rate", "death_rate", "debris_retained", "circulating_death_rate")
    )  # fmt: skip

    def plus(row, **terms):
        for name, factor in terms.items():
            m[at[row], at[name]] += factor

    into = {"lung": {"C_venous": co}, "liver": {"C_arterial": artery} | {f"C_{o}": q[o] for o in PORTAL}}
    for o in ORGANS:
        arrest = q[o] / v[o] * p[f"{o}_extraction"] / (1 - p[f"{o}_extraction"])
        arriving = into.get(o, {"C_arterial": q[o]})
        plus(f"C_{o}", **{name: flow / v[o] for name, flow in arriving.items()})
        plus(f"C_{o}", **{f"C_{o}": -q[o] / v[o] - arrest - kdc, f"A_{o}": kr / v[o]})
        plus(f"A_{o}", **{f"C_{o}": arrest * v[o], f"A_{o}": -kr - kd})
        release, uptake = p[f"{o}_debris_release"], p.get(f"{o}_debris_uptake", 0.0)
        plus(f"B_{o}", **{f"A_{o}": phi * kd, f"B_{o}": -release, "X": uptake})
        plus("X", **{f"A_{o}": (1 - phi) * kd, f"B_{o}": release, f"C_{o}": kdc * v[o], "X": -uptake})
        if o in ("liver", *SINGLE):
            plus("C_venous", **{f"C_{o}": q[o] / p["V_venous"]})
    plus("C_venous", C_venous=-co / p["V_venous"] - kdc)
    plus("C_arterial", C_lung=co / p["V_arterial"], C_arterial=-co / p["V_arterial"] - kdc)
    plus("X", C_venous=kdc * p["V_venous"], C_arterial=kdc * p["V_arterial"], X=-p["label_excretion"])
    plus("excreted", X=p["label_excretion"])
    return m, at, v | {"venous": p["V_venous"], "arterial": p["V_arterial"]}


@pytest.mark.parametrize("route", ["venous", "arterial", "muscle", "gut", "liver"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_organ_equals_the_independent_solution(setting, route):
    p = {k: q.value for k, q in model().parameters.items()} | SETTINGS[setting]
    m, at, volume = slopes(p)
    start = np.zeros(len(at))
    start[at[f"C_{route}"]] = 1e8 / volume[route]
    want = np.array([expm(m * t) @ start for t in TIMES])
    parts = {f"{o}_msc_{kind}": (f"{letter}_{o}", volume[o] if letter == "C" else 1.0)
             for o in ORGANS for kind, letter in (("free", "C"), ("viable", "A"), ("debris", "B"))}  # fmt: skip
    parts |= {f"{o}_msc_free": (f"C_{o}", volume[o]) for o in ("venous", "arterial")}
    parts |= {"blood_debris": ("X", 1.0), "excreted_debris": ("excreted", 1.0)}
    got = simulate(
        model(), times=TIMES, doses=[Dose(into=f"{route}_msc_free", amount=1e8)], parameters=SETTINGS[setting],
        rtol=1e-10, atol=1e-4, select=list(parts),
    )  # fmt: skip
    worst = max(np.abs(got[k] - want[:, at[name]] * scale).max() for k, (name, scale) in parts.items()) / 1e8
    print(f"{setting}, dose into {route}: off by {float(worst):.1e} of the dose at most, tolerance 1e-7")
    assert worst < 1e-7
