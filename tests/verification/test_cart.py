"""CAR T models against closed forms, published half-lives and a BioModels file (T13)."""

from pathlib import Path

import numpy as np
import pytest

from atmpsim.study.simulate import simulate

BIOMODELS = Path(__file__).parents[3] / "shared" / "biomodels"
FOLD, PEAK_TIME, PEAK, ALPHA, SHARE, BETA = 3900.0, 9.3, 24000.0, 0.16, 0.0079, 0.0032


def closed(times):
    """Return Stein's concentration (copies/ug) of the typical patient, from its formula."""
    since = np.maximum(times - PEAK_TIME, 0.0)
    later = PEAK * ((1 - SHARE) * np.exp(-ALPHA * since) + SHARE * np.exp(-BETA * since))
    return np.where(times < PEAK_TIME, PEAK / FOLD * FOLD ** (times / PEAK_TIME), later)


# ---- T13: Stein 2019


def test_t13_prediction_stein_typical_patient(tell):
    times = np.array([0.0, 2.0, 4.0, 5.0, 14.0, 28.0, 90.0, 180.0, 365.0, 3000.0, 3100.0])
    made = simulate("cart_stein2019", times=times, rtol=1e-10, atol=1e-14, select=["car_transgene"])
    c = dict(zip(times.tolist(), made["car_transgene"].values, strict=True))
    doubling = 2 * np.log(2) / np.log(c[4.0] / c[2.0])
    late = 100 * np.log(2) / np.log(c[3000.0] / c[3100.0])
    early = np.log(2) / ALPHA
    tell("T13 doubling, two half-lives (d), copies per ug on day 28", (doubling, early, late, c[28.0]),
         (0.78, 4.3, 217, 1373.6), "0.5 % of the digits printed")  # fmt: skip
    assert doubling == pytest.approx(0.7796, rel=5e-3)
    assert late == pytest.approx(217, rel=5e-3)
    assert c[28.0] == pytest.approx(1373.6, rel=5e-3)
    for day, number in ((5, 524.60), (14, 11411.5), (28, 1373.56), (90, 146.51), (180, 109.80), (365, 60.745)):
        assert c[float(day)] == pytest.approx(number, rel=5e-5)


def test_t13_early_half_life_after_the_peak():
    times = np.array([10.0, 12.0])
    made = simulate("cart_stein2019", times=times, rtol=1e-10, atol=1e-12, select=["effector_transgene"])
    e = made["effector_transgene"].values
    assert 2 * np.log(2) / np.log(e[0] / e[1]) == pytest.approx(4.332, rel=1e-3)


def test_t13_closed_form_and_ode_agree_to_1e_8(tell):
    times = np.concatenate([np.linspace(0, 40, 401), np.linspace(41, 365, 325)])
    made = simulate("cart_stein2019", times=times, rtol=1e-11, atol=1e-14, select=["car_transgene"])
    off = np.abs(made["car_transgene"].values / closed(times) - 1).max()
    tell("T13 closed form against equations, largest relative difference", off, 0, 1e-8)
    assert off < 1e-8


def test_stein_area_to_day_28():
    times = np.linspace(0, 28, 28001)
    made = simulate("cart_stein2019", times=times, select=["car_transgene"])
    assert np.trapezoid(made["car_transgene"].values, times) == pytest.approx(171774, rel=1e-4)


def test_stein_spread_of_patients_is_the_published_one():
    """Peaks drawn with the published variance: the log of C at the peak spreads by sqrt(0.65), whatever the rest."""
    rng = np.random.default_rng(1)
    size = 2000
    drawn = {
        "peak_concentration": PEAK * np.exp(rng.normal(0, np.sqrt(0.65), size)),
        "expansion_fold": FOLD * np.exp(rng.normal(0, np.sqrt(2.4), size)),
        "time_of_peak": PEAK_TIME * np.exp(rng.normal(0, np.sqrt(0.38), size)),
    }
    made = simulate("cart_stein2019", times=np.linspace(0, 90, 91), parameters=drawn, select=["car_transgene"])
    peaks = made["car_transgene"].values.max(axis=1)
    reached = drawn["time_of_peak"] < 89
    assert np.log(peaks[reached] / PEAK).std() == pytest.approx(np.sqrt(0.65), rel=0.1)


def test_same_cells_fewer_copies_as_leucocytes_return():
    made = simulate("cart_stein2019", times=[0.0, 28.0, 200.0]).isel(time=slice(0, 3))
    copies, cells, others = (made[k].values for k in ("car_transgene", "car_t_cells", "leucocytes"))
    np.testing.assert_allclose(1e6 * cells / ((cells + others) * 6.6), copies, rtol=1e-9)
    assert others[0] == pytest.approx(100)
    assert others[2] == pytest.approx(5000, rel=1e-3)


def test_cytokine_release_of_the_reference_peak():
    made = simulate("cart_stein2019", times=[0.0], parameters={"peak_concentration": [24000.0, 24000.0 * np.e]})
    two, three = made["crs_grade2_probability"].values[:, 0], made["crs_grade3_probability"].values[:, 0]
    assert (two[0], three[0]) == (pytest.approx(0.45), pytest.approx(0.2))
    assert np.log(two[1] / (1 - two[1])) - np.log(0.45 / 0.55) == pytest.approx(0.9)


# ---- Leon-Triana 2020


def test_leon_triana_thresholds(tell):
    """CAR T cells turn where targets cross 1/(rho_C*tau_C); leukaemia turns where CAR T cells cross rho_L/alpha."""
    times = np.arange(0, 60, 0.001)
    made = simulate("cart_leon_triana2020", times=times, rtol=1e-9, atol=1e-3)
    c, leukaemia, b = (made[k].values for k in ("car_t_cells", "leukaemia_cells", "b_cells"))
    turns = (leukaemia + b)[c.argmax()], c[leukaemia.argmax()]
    tell("cells at which CAR T cells and leukaemia turn", turns, (1 / (0.25 * 4.5e-11 * 14), 1 / 30 / 4.5e-11), "0.5 %")
    assert (leukaemia + b)[c.argmax()] == pytest.approx(1 / (0.25 * 4.5e-11 * 14), rel=2e-3)
    assert c[leukaemia.argmax()] == pytest.approx(1 / 30 / 4.5e-11, rel=5e-3)
    assert float(made["expansion_threshold"][0]) == pytest.approx(6.349206e9, rel=1e-6)
    assert float(made["control_threshold"][0]) == pytest.approx(7.407407e8, rel=1e-6)


def test_leon_triana_with_progenitors_against_the_biomodels_file():
    """The file adds rho_C*beta*I0/(1 + C/C50) cells a day without the factor C: nothing, 1e-5 cells; its units clash.

    So it is compared without progenitors as targets; with them (the balanced form) the difference is below 0.1 %.
    """
    path = BIOMODELS / "BIOMD0000001012.xml"
    if not path.exists():
        pytest.skip("the BioModels files (../shared/biomodels) are not beside this checkout")
    times = np.array([1.0, 5.0, 10.0, 30.0, 100.0])
    names = {"CAR_T_cells": "car_t_cells", "Leukaemic_B_cells": "leukaemia_cells", "B_cells_healthy": "b_cells"}
    given = {"progenitors": 1e7, "progenitor_target_share": [0.0, 0.1]}
    ours = simulate("cart_leon_triana2020", times=times, parameters=given, rtol=1e-9, atol=1e-3)
    theirs = simulate(path, times=times, select=[f"[{k}]" for k in names], rtol=1e-9, atol=1e-3)
    for key, name in names.items():
        without, balanced = ours[name].values
        np.testing.assert_allclose(without, theirs[f"[{key}]"].values, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(balanced, without, rtol=2e-3, err_msg=name)


# ---- Kimmel 2021


def kimmel(times):
    return simulate("cart_kimmel2021", times=times, rtol=1e-10, atol=1e-14)


def test_kimmel_tumour_is_driven_by_car_t_cells_alone():
    """B = B(0)*exp(integral of r_B - g_B*C/(k_B + C)): a linear equation on a closed system of two."""
    times = np.linspace(0, 30, 30001)
    made = kimmel(times)
    c = made["car_t_cells"].values
    rate = 0.01 - 1.15 * c / (4.05 + c)
    growth = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(times))])
    np.testing.assert_allclose(made["tumour_volume"].values, 94.86 * np.exp(growth), rtol=1e-5)


def test_kimmel_extinction_against_the_formula_for_a_constant_rate(tell):
    """Kendall's birth-death process from n cells with rates b and d: (d*(e - 1)/(d*e - b))**n, e = exp((d - b)*t)."""
    birth, times, n = 0.01, np.array([5.0, 10.0, 20.0]), 1e4
    made = simulate(
        "cart_kimmel2021", times=times, rtol=1e-10, atol=1e-14,
        parameters={"normal_growth_rate": 0.0, "car_growth_rate": 0.0, "car_growth_gain": 0.0,
                    "tumour_initial_volume": 1e-5},
        initial={"car_t_cells": 20.0, "tumour_volume": 1e-5},
    )  # fmt: skip
    death = 1.15 * 20 / 24.05
    e = np.exp((death - birth) * times)
    want = (death * (e - 1) / (death * e - birth)) ** n
    got = made["extinction_probability"].values
    tell("extinction of 1e4 cells at 10 and 20 d against Kendall's formula", got[1:], want[1:], 1e-5)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-9)
    assert 0.01 < want[1] < 0.99


def test_kimmel_expected_cells_below_one_are_not_a_cure():
    made = kimmel(np.array([60.0, 90.0, 365.0]))
    cells, gone = made["expected_tumour_cells"].values, made["extinction_probability"].values
    assert cells[1] < 1e-3
    assert 0.999 < gone[1] < 1.0
    assert (np.diff(gone) >= 0).all()
