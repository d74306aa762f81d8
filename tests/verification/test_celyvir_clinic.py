"""Who is lost before the first infusion of Celyvir (T05): untreated growth, new symptoms, death, release failure.

Virtual children are drawn here; their tumours grow untreated in the shipped model. The median doubling time of 50 d
that meets the published share was chosen to meet it: a calibration. The kinetic default of 40 d stays as it is.
"""

from functools import cache

import numpy as np
import pytest

from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

SIZE = 1000
PUBLISHED = 18 / 34
WEEK = 7.0


@cache
def recruited():
    """Return what does not depend on growth: one draw of everything else for each recruited child."""
    rng = np.random.default_rng(5)
    return {
        "spread": rng.normal(0, 0.6, SIZE),
        "volume": np.clip(50 * np.exp(rng.normal(0, 1, SIZE)), 2, 400),
        "manufacture": 5 * WEEK * np.exp(rng.normal(0, 0.2, SIZE)),
        "symptom": rng.exponential(WEEK / 0.02, SIZE),
        "death": rng.exponential(WEEK / 0.01, SIZE),
        "release_failure": rng.random(SIZE) < 0.06,
    }


@cache
def lost(median_doubling):
    """Return who of the recruited never gets an infusion, and everybody's doubling time (d)."""
    drawn = recruited()
    doubling = median_doubling * np.exp(-drawn["spread"])
    times = np.arange(0, 15 * WEEK + 0.1, 1.0)
    made = simulate("celyvir", times=times, select=["tumour_volume"],
                    parameters={"doubling_time": doubling, "tumour_initial_volume": drawn["volume"]})  # fmt: skip
    diameter = 10 * (6 * made["tumour_volume"].values / np.pi) ** (1 / 3)  # mm
    grown = (diameter >= 1.2 * diameter[:, :1]) & (diameter - diameter[:, :1] >= 5)
    progression = np.where(grown.any(axis=1), times[grown.argmax(axis=1)], np.inf)
    first = np.minimum(np.minimum(progression, drawn["symptom"]), drawn["death"])
    return (first < drawn["manufacture"]) | drawn["release_failure"], doubling


def test_t05_calibration_share_lost_before_the_first_infusion(tell):
    share = lost(50.0)[0].mean()
    hazard_times_time = -np.log(1 - PUBLISHED)
    tell("T05 lost before the first infusion", share, PUBLISHED, "0.35-0.70")
    tell("T05 h*T", hazard_times_time, 0.754, "its digits")
    assert 0.35 < share < 0.70
    assert share == pytest.approx(PUBLISHED, abs=0.05)
    assert hazard_times_time == pytest.approx(0.754, abs=5e-4)


def test_t05_share_lost_with_the_growth_prior_of_the_model():
    share = lost(40.0)[0].mean()
    print(f"T05 with the kinetic prior: {share:.3f}, expected about 0.64, tolerance 0.35-0.70")
    assert share == pytest.approx(0.64, abs=0.05)


def test_treated_children_have_slower_tumours_than_recruited_ones():
    """The bias of any comparison with untreated recruits: doubling times 1.4 to 1.6 times longer, about."""
    gone, doubling = lost(50.0)
    ratio = np.median(doubling[~gone]) / np.median(doubling)
    print(f"median doubling time, treated over recruited: {ratio:.2f}, expected 1.4-1.6")
    assert 1.3 < ratio < 1.7


def test_diameters_survival_and_toxicity_are_their_formulas():
    """Sphere of the volume; exp(-integral of h0*(sum of diameters/100 mm)^2), h0 0.05 a month; a logistic curve."""
    times = np.arange(0, 100.01, 0.05)
    made = simulate("celyvir", times=times, rtol=1e-8,
                    doses=[Dose(into="venous_msc_loaded", amount=4e7, every=7.0, count=6)])  # fmt: skip
    diameter = 10 * np.cbrt(6 * made["tumour_volume"].values / np.pi)
    np.testing.assert_allclose(made["all_lesions_diameter"].values, diameter, rtol=1e-12)
    hazard = 0.05 / (365.25 / 12) * (diameter / 100) ** 2
    integral = np.concatenate([[0], np.cumsum((hazard[1:] + hazard[:-1]) / 2 * 0.05)])
    np.testing.assert_allclose(made["survival"].values, np.exp(-integral), rtol=1e-5)
    loaded = made["lung_msc_per_g"].values > 1
    odds = np.exp(-4) * (made["lung_msc_per_g"].values[loaded] / 1e5) ** 0.7
    np.testing.assert_allclose(made["toxicity_probability"].values[loaded], odds / (1 + odds), rtol=1e-4)
