"""Gene therapy models against their formulas, the bins of trials and the arithmetic of the dose.

What set a parameter is a calibration and says so. Populations are drawn here from the spread that the models declare.
"""

from functools import cache

import numpy as np
import pytest

from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

VIII = Dose(into="blood_vector", amount=6e13 * 70)
IX = Dose(into="blood_vector", amount=2e13 * 70)
BOYS = Dose(into="blood_vector", amount=1.33e14 * 20)
SIZE = 1500


# ---- factor VIII


@cache
def haemophilia_a(*, short_share):
    """Return the chromogenic activity in weeks 52, 104 and 156; a share of patients has the short half-life."""
    rng = np.random.default_rng(8)
    responders = 33 * np.exp(rng.normal(0, 1.04, SIZE))
    others = 1.5 * 2 ** (-26 / 123) * np.exp(rng.normal(0, 0.5, SIZE))
    activity = np.where(rng.random(SIZE) < 0.08, others, responders)
    given = {"activity_at_one_year": activity, "half_life": np.where(rng.random(SIZE) < short_share, 42.2, 123.0)}
    made = simulate(
        "aav_factor_viii", times=[52.0, 104.0, 156.0], doses=[VIII], parameters=given, select=["factor_viii"]
    )
    return made["factor_viii"].values.T


def test_factor_viii_is_its_formula():
    times = np.array([10.0, 20.0, 26.0, 52.0, 104.0, 156.0, 300.0])
    made = simulate("aav_factor_viii", times=times, doses=[VIII], rtol=1e-9)["factor_viii"].values
    peak = 33 * 2 ** (26 / 123)
    want = peak * (1 - np.exp(-(times - 4) / 5)) * 2 ** (-np.maximum(times - 26, 0) / 123)
    np.testing.assert_allclose(made, want, rtol=1e-6)


def test_factor_viii_half_life_of_production():
    made = simulate("aav_factor_viii", times=[100.0, 223.0], doses=[VIII])["factor_viii"].values
    assert made[1] / made[0] == pytest.approx(0.5, rel=1e-4)


def test_factor_viii_calibration_bins_of_week_52(tell):
    activity = haemophilia_a(short_share=0.493)[0]
    below = np.array([(activity < limit).mean() for limit in (3, 5, 15)])
    tell("factor VIII, weeks 49-52, share below 3, 5, 15 IU/dL", below, (0.093, 0.116, 0.291), 0.02)
    np.testing.assert_allclose(below, (0.093, 0.116, 0.291), atol=0.02)


@pytest.mark.xfail(strict=True, reason="no log-normal has both the bins and this mean, which is from memory")
def test_factor_viii_prediction_mean_of_week_52(tell):
    mean = haemophilia_a(short_share=0.493)[0].mean()
    tell("factor VIII, weeks 49-52, mean in IU/dL (from memory)", mean, 42.9, "10 %")
    assert mean == pytest.approx(42.9, rel=0.1)


def test_factor_viii_calibration_bins_of_years_2_and_3(tell):
    """Two half-lives, fitted to these bins: better than one, not perfect."""
    two = haemophilia_a(short_share=0.493)[1:]
    got = [(two[0] < 5).mean(), (two[0] >= 40).mean(), *((two[1] < x).mean() for x in (3, 5)), (two[1] >= 40).mean()]
    wanted = (0.136, 0.265, 0.242, 0.333, 0.106)
    tell("factor VIII, year 2 < 5, >= 40; year 3 < 3, < 5, >= 40", got, wanted, 0.065)
    np.testing.assert_allclose(got, wanted, atol=0.065)


def test_one_half_life_for_all_under_predicts_loss(tell):
    third = haemophilia_a(short_share=0.0)[2]
    low, high = (third < 3).mean(), (third >= 40).mean()
    tell("factor VIII, year 3, one half-life: < 3, >= 40", (low, high), (0.12, 0.21), 0.02)
    assert low == pytest.approx(0.12, abs=0.02)
    assert high == pytest.approx(0.21, abs=0.02)
    assert low < 0.242 < 2.5 * low  # 24 % and 11 % were seen
    assert high > 1.5 * 0.106


def test_bleeds_at_four_activities():
    """From the shape of the curve: 20, 4.6, 1.3, 0.6 a year at 1, 5, 15, 40 IU/dL."""
    activity = np.array([1.0, 5.0, 15.0, 40.0])
    given = {"activity_at_one_year": activity}
    made = simulate("aav_factor_viii", times=[52.0], doses=[VIII], parameters=given)
    np.testing.assert_allclose(made["factor_viii"].values[:, 0], activity, rtol=1e-3)
    np.testing.assert_allclose(made["annual_bleeds"].values[:, 0], (20, 4.6, 1.3, 0.6), rtol=0.05)


@pytest.mark.parametrize(("model", "dose"), [("aav_factor_viii", VIII), ("aav_factor_ix", IX)])
def test_immune_loss_takes_its_share_and_steroids_halve_it(model, dose):
    given = {"immune_loss": [0.0, 0.6, 0.6], "steroid_factor": [0.5, 0.5, 1.0]}
    made = simulate(model, times=[20.0], doses=[dose], parameters=given, rtol=1e-9)["liver_genomes"].values[:, 0]
    np.testing.assert_allclose(made[1:] / made[0], np.exp([-0.3, -0.6]), rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "dose", "output"), [("aav_factor_viii", VIII, "factor_viii"), ("aav_factor_ix", IX, "factor_ix")]
)
def test_activity_follows_dose_antibody_and_growth(model, dose, output):
    doses = [Dose(into="blood_vector", amount=dose.amount / 2)]
    given = {"neutralising_antibody": [0.0, 1.0, 0.0], "liver_growth_rate": [0.0, 0.0, np.log(2) / 20]}
    half = simulate(model, times=[25.0], doses=doses, parameters=given, rtol=1e-9)[output].values[:, 0]
    full = float(simulate(model, times=[25.0], doses=[dose], rtol=1e-9)[output][0])
    assert half[0] == pytest.approx(full / 2, rel=1e-6)  # linear in the dose
    assert half[1] == pytest.approx(half[0] / 2, rel=1e-6)  # the titre that halves
    assert half[2] == pytest.approx(half[0] * 2 ** (-25 / 20), rel=0.02)  # taken up in the first days, then diluted


@pytest.mark.parametrize(("model", "dose"), [("aav_factor_viii", VIII), ("aav_factor_ix", IX)])
def test_encapsidated_vector_is_gone_by_week_12(model, dose):
    made = simulate(model, times=[0.0, 12.0], doses=[dose])
    assert made["blood_vector_encapsidated"].values[0] == pytest.approx(dose.amount / 5000)
    assert made["blood_vector_encapsidated"].values[1] < 1


# ---- factor IX


WEEKS = (26.0, 78.0, 104.0, 260.0)


@cache
def haemophilia_b():
    """Return the activity of patients with the declared spread, one row for each of WEEKS."""
    rng = np.random.default_rng(9)
    odds = np.exp(rng.normal(np.log(19), 1, SIZE))
    given = {
        "activity_at_six_months": 33 * np.exp(rng.normal(0, 0.5, SIZE)), "plateau_share": odds / (1 + odds),
        "decline_rate": 0.5 * np.exp(rng.normal(0, 0.7, SIZE)),
    }  # fmt: skip
    return simulate("aav_factor_ix", times=WEEKS, doses=[IX], parameters=given, select=["factor_ix"])[
        "factor_ix"
    ].values.T


def test_factor_ix_is_its_formula():
    times = np.array([26.0, 52.0, 104.0, 260.0, 1300.0])
    for share in (0.95, 0.0):  # the plateau, and the pure exponential nested in it
        made = simulate("aav_factor_ix", times=times, doses=[IX], parameters={"plateau_share": share}, rtol=1e-9)
        onset = (1 - np.exp(-(times - 4) / 5)) / (1 - np.exp(-22 / 5))
        want = 33 * onset * (share + (1 - share) * np.exp(-0.5 * (times - 26) * 7 / 365.25))
        np.testing.assert_allclose(made["factor_ix"].values, want, rtol=1e-6)


def test_factor_ix_calibration_mean_at_six_months(tell):
    activity = haemophilia_b()[0]
    tell("factor IX, six months, mean", activity.mean(), 36.2, "31.4-41.0")
    assert 31.4 < activity.mean() < 41.0


def test_factor_ix_prediction_means_at_18_months_and_5_years(tell):
    later = haemophilia_b()[[1, 3]].mean(axis=1)
    tell("factor IX, 18 months and 5 years, mean", later, (34.3, 36.1), "29.5-39.1; 10 %")
    assert 29.5 < later[0] < 39.1
    assert later[1] == pytest.approx(36.1, rel=0.1)


def test_pure_exponential_is_below_the_plateau_after_five_years():
    """Exponential decay fitted to the first two years under-predicts later ones (33.5 against 36.7 was reported)."""
    six, _, two, five = haemophilia_b().mean(axis=1)
    rate = np.log(six / two) / 78
    assert six * np.exp(-rate * 234) < five


# ---- micro-dystrophin


@cache
def boys():
    """Return week 12 and one year of boys with the declared spread."""
    rng = np.random.default_rng(13)
    given = {
        "genomes_at_reference": 2.956 * np.exp(rng.normal(0, 0.545649, SIZE)),
        "protein_factor": np.exp(rng.normal(0, 0.6, SIZE)),
        "genome_loss_rate": 0.05 * np.exp(rng.normal(0, 1, SIZE)),
    }
    return simulate("aav_microdystrophin", times=[84.0, 365.25], doses=[BOYS], parameters=given)


def test_microdystrophin_calibration_genomes_of_week_12(tell):
    genomes = boys()["muscle_genomes"].values[:, 0]
    tell("genomes per nucleus, week 12, mean and SD", (genomes.mean(), genomes.std()), (3.43, 2.02), "10 %")
    assert genomes.mean() == pytest.approx(3.43, rel=0.1)  # 12 weeks of growth and loss included
    assert genomes.std() == pytest.approx(2.02, rel=0.1)


def test_microdystrophin_calibration_protein_and_fibres_of_week_12(tell):
    """The published SD is 31.8 per cent of normal on 21 boys, so the mean is known to 6.9: two of these are allowed."""
    made = boys()
    protein = made["protein"].values[:, 0]
    tell("protein, week 12, mean", protein.mean(), 39.64, "2 standard errors = 13.9")
    assert protein.mean() == pytest.approx(39.64, abs=13.9)
    at_mean = simulate(
        "aav_microdystrophin", times=[84.0], doses=[BOYS], parameters={"genomes_at_reference": 3.43 / 0.959}
    )
    assert float(at_mean["positive_fibres"][0]) == pytest.approx(78.92, abs=1)


def test_microdystrophin_calibration_motor_gain_of_one_year(tell):
    made = boys()
    gain = (made["motor_score"] - made["motor_score_untreated"]).values[:, 1]
    tell("motor score, gain over untreated at one year, mean", gain.mean(), 0.7, 0.2)
    assert gain.mean() == pytest.approx(0.7, abs=0.2)


def test_surrogate_doubles_and_function_hardly_follows():
    single = simulate("aav_microdystrophin", times=[84.0, 365.25], doses=[BOYS])
    double = simulate(
        "aav_microdystrophin", times=[84.0, 365.25], doses=[Dose(into="blood_vector", amount=2 * BOYS.amount)]
    )
    assert float(double["protein"][0] / single["protein"][0]) == pytest.approx(2, rel=1e-6)
    assert float(double["motor_score"][1] - single["motor_score"][1]) < 0.4  # of 34; boys differ by 2 a year


def test_natural_course_of_the_motor_score_turns_at_6_3_years():
    years = np.array([0.0, 1.3, 3.3, 20.0])
    score = simulate("aav_microdystrophin", times=years * 365.25)["motor_score"].values
    np.testing.assert_allclose(score, [23, 23 + 1.5 * 1.3, 23 + 1.5 * 1.3 - 2.5 * 2, 0], atol=1e-6)
