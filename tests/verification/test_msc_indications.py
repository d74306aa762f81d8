"""Stem cell indications: calibrations of T06 to T08, natural courses in closed form, dose arithmetic, conservation.

No outcome data exist for Perthes disease and Rasmussen encephalitis: there only natural course, arithmetic and
conservation can be checked. Populations and virtual arms are drawn here from the spread that the models declare.
"""

from functools import cache

import numpy as np
import pytest
from scipy.linalg import expm

from atmpsim.model.library import load_model
from atmpsim.resources import shipped_models
from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

YEAR = 365.25


# ---- T08: four states of multiple sclerosis

RATES = {(0, 1): 0.64410, (1, 0): 0.08906, (1, 2): 0.15334, (2, 1): 0.26854, (2, 3): 0.12949, (3, 2): 0.26718}
STAY, FORWARD = (54.24, 82.02, 69.86, 77.83), (42.31, 11.38, 9.41)


def generator():
    q = np.zeros((4, 4))
    for (a, b), rate in RATES.items():
        q[a, b] += rate
        q[a, a] -= rate
    return q


def four_states(time, **parameters):
    names = [f"share_{n}" for n in ("none", "mild", "moderate", "severe")]
    made = simulate("msc_multiple_sclerosis", times=[time], select=names, rtol=1e-9,
                    parameters={"start_state": [0.0, 1.0, 2.0, 3.0]} | parameters)  # fmt: skip
    return np.array([made[n].values[:, 0] for n in names]).T


def test_t08_calibration_one_year_transition_matrix(tell):
    matrix = 100 * four_states(YEAR)
    tell("T08 stay", np.diag(matrix), STAY, "0.5 points")
    tell("T08 forward", np.diag(matrix, 1), FORWARD, "0.5 points")
    np.testing.assert_allclose(np.diag(matrix), STAY, atol=0.5)
    np.testing.assert_allclose(np.diag(matrix, 1), FORWARD, atol=0.5)
    np.testing.assert_allclose(matrix / 100, expm(generator()), atol=1e-8)


def test_t08_simulated_patients_agree_with_the_model(tell):
    """5000 patients from each state, one jump after another; each share within four standard errors."""
    rng, q, size = np.random.default_rng(8), generator(), 20_000
    start = np.arange(size) % 4
    state, clock = start.copy(), np.zeros(size)
    while (running := clock < 1).any():
        clock[running] += rng.exponential(1 / -q[state[running], state[running]])
        jumps = np.nonzero(running & (clock < 1))[0]
        up = np.array([q[s, s + 1] / -q[s, s] if s < 3 else 0.0 for s in state[jumps]])
        state[jumps] += np.where(rng.random(jumps.size) < up, 1, -1)
    seen = np.array([[np.mean(state[start == a] == b) for b in range(4)] for a in range(4)])
    want = four_states(YEAR)
    error = np.sqrt(want * (1 - want) / (size / 4)) + 1e-9
    tell("T08 simulated patients, largest deviation in standard errors", np.abs((seen - want) / error).max(), 0, 4)
    assert (np.abs(seen - want) < 4 * error).all()


def test_secondary_progressive_disease_multiplies_forward_rates():
    q = generator()
    for a in range(3):
        q[a, a] -= 1.509 * q[a, a + 1]
        q[a, a + 1] *= 2.509
    np.testing.assert_allclose(four_states(YEAR, progressive=1.0), expm(q), atol=1e-8)


# ---- multiple sclerosis: the half-step chain and the effect

BASELINES = np.arange(5.5, 8.1, 0.5)


def trial(times, *, dose=0.0, **parameters):
    """Return the half-step chain of the trial's patients, over (run, time); baselines 5.5 to 8.0 equally probable."""
    return simulate("msc_multiple_sclerosis", times=times, parameters={"baseline_edss": BASELINES} | parameters,
                    doses=[Dose(into="body_msc_viable", amount=dose)] if dose else [])  # fmt: skip


def test_half_step_chain_calibration_to_the_meta_analysis(tell):
    made = trial([0.0, YEAR / 2, YEAR])
    slope = float((made["edss_mean"][:, 2] - made["edss_mean"][:, 0]).mean())
    half, full = (float(v) for v in made["worse_by_half_step"][:, 1:].mean("run"))
    threshold = float(made["progressed"][:, 2].mean())
    got = (slope, full, threshold, half)
    tell(
        "half steps: slope, worse at 12 months, beyond the threshold, worse at 6 months",
        got,
        (0.23, 0.41, 0.36, 0.25),
        0.03,
    )
    np.testing.assert_allclose(got, (0.23, 0.41, 0.36, 0.25), atol=0.03)
    assert 0.27 < threshold < 0.46  # progression at one year in the meta-analysis


def test_half_step_chain_is_its_matrix_exponential():
    steps = np.array([0.0, *np.arange(1, 10.1, 0.5)])
    q = np.zeros((20, 20))
    for k in range(19):
        up, down = 0.70 * (0.7 if steps[k] >= 7 else 1.0), 0.15
        q[k, k + 1], q[k + 1, k] = up, down
    q -= np.diag(q.sum(axis=1))
    made = trial([YEAR], baseline_edss=np.array([0.0, 1.0, 6.0, 8.0]))["edss_mean"].values[:, 0]
    want = expm(q)[[list(steps).index(b) for b in (0.0, 1.0, 6.0, 8.0)]] @ steps
    np.testing.assert_allclose(made, want, rtol=1e-6)


@pytest.mark.parametrize("name", ["msc_multiple_sclerosis", "msc_gvhd"])
def test_living_cells_are_those_of_the_whole_body_model(name):
    """One state for all living cells against 63 of circulation, arrest and death: 1 % from an hour on."""
    times = [1 / 24, 0.5, 1.0, 3.0]
    body = simulate(
        "msc_biodistribution", times=times, doses=[Dose(into="venous_msc_free", amount=7e7)], select=["viable_total"]
    )
    one = simulate(name, times=times, doses=[Dose(into="body_msc_viable", amount=7e7)], select=["body_msc_viable"])
    np.testing.assert_allclose(one["body_msc_viable"].values, body["viable_total"].values, rtol=0.01)


def test_dose_signal_closed_form_and_both_exposures():
    times, fading = np.array([0.5, 2.0, 14.0, 60.0]), np.log(2) / 14
    doses = [Dose(into="body_msc_viable", amount=70 * 1e6)]
    made = simulate("msc_multiple_sclerosis", times=times, doses=doses, rtol=1e-9,
                    parameters={"exposure_viable": [0.0, 1.0]}, select=["dying_signal", "signal_effect"])  # fmt: skip
    signal = 0.693 * (np.exp(-fading * times) - np.exp(-0.693 * times)) / (0.693 - fading)
    np.testing.assert_allclose(made["dying_signal"].values[0], signal, rtol=1e-5)
    living = np.exp(-0.693 * times)
    np.testing.assert_allclose(
        made["signal_effect"].values, [signal / (signal + 0.5), living / (living + 0.5)], rtol=1e-5, atol=1e-9
    )


def test_null_effect_is_no_effect():
    untreated, treated = trial([YEAR]), trial([YEAR], dose=2.8e8)
    np.testing.assert_allclose(treated["edss_mean"], untreated["edss_mean"], rtol=1e-6)
    np.testing.assert_allclose(treated["lesion_rate_ratio"], 1.0)


def test_dose_arms_of_the_small_trial_barely_differ():
    """1 and 4 million cells per kg saturate the signal: the arms differ by less than the prior's own spread."""
    arms = [trial([YEAR], dose=d * 7e7, effect_disability=0.4)["progressed"].mean() for d in (0, 1, 4)]
    none, low, high = (float(a) for a in arms)
    print(
        f"beyond the threshold at 12 months: {none:.4f}, {low:.4f}, {high:.4f} at theta_E = 0.4, its standard deviation"
    )
    assert high < low < none
    assert none - high < 0.05  # one infusion fades in weeks: 30 patients cannot show it


def test_lesions_over_three_scans_after_one_infusion():
    """Weeks 4, 12 and 24: the rate ratio of the sum is the mean of the ratios at the scans."""
    times = np.array([4.0, 12.0, 24.0]) * 7
    made = trial(times, dose=7e7, effect_lesions=1.0)["lesion_rate_ratio"].values[0]
    signal = 0.693 * (np.exp(-np.log(2) / 14 * times) - np.exp(-0.693 * times)) / (0.693 - np.log(2) / 14)
    np.testing.assert_allclose(made, np.exp(-signal / (signal + 0.5)), rtol=1e-4)
    assert made.mean() == pytest.approx(np.exp(-signal / (signal + 0.5)).mean(), rel=1e-4)


# ---- T06 and T07: knee, virtual arms of ten patients

TRIALS, PATIENTS = 200, 10


@cache
def knees():
    """Return pain at 12 months with and without 1e8 cells, and WOMAC at 0, 3, 6, 12 months of controls, per trial."""
    rng, size = np.random.default_rng(6), TRIALS * PATIENTS
    shape = (TRIALS, PATIENTS)

    def cut(mean, deviation, low, high):
        return np.clip(rng.normal(mean, deviation, size), low, high)

    given = {
        "fast_share": rng.uniform(0.4, 0.95, size), "fast_loss_rate": 0.5 * np.exp(rng.normal(0, 0.7, size)),
        "slow_loss_rate": 0.0462098 * np.exp(rng.normal(0, 0.6, size)),
        "effect_on_rate": 0.05 * np.exp(rng.normal(0, 0.5, size)),
        "effect_off_rate": 0.00189903 * np.exp(rng.normal(0, 0.7, size)),
        "joint_half_number": 1e6 * np.exp(rng.normal(0, 1.2, size)), "pain_effect": cut(0.7, 0.25, -0.2, 1),
        "control_factor": np.exp(rng.normal(0, 0.5, size)), "pain_at_injection": cut(5.5, 1.8, 0, 10),
        "womac_at_injection": 96 / (1 + np.exp(-rng.normal(np.log(29 / 67), 0.62, size))),
    }  # fmt: skip
    times = [0.0, YEAR / 4, YEAR / 2, YEAR]
    made = simulate(
        "msc_knee_osteoarthritis",
        times=times,
        parameters=given,
        doses=[Dose(into="joint_msc_injected", amount=1e8)],
        select=["pain", "pain_without_cells", "womac"],
    )
    read = {k: made[k].values + rng.normal(0, 5 if k == "womac" else 1.2, made[k].shape) for k in made.data_vars
            if k not in ("status", "message")}  # fmt: skip
    return {k: v.reshape(*shape, len(times)) for k, v in read.items()}


def test_t06_calibration_knee_pain_at_12_months(tell):
    medians = {k: np.median(np.median(v[..., 3], axis=1)) for k, v in knees().items()}
    control, treated = medians["pain_without_cells"], medians["pain"]
    tell("T06 median pain at 12 months, control and 1e8 cells", (control, treated), (4, 2), 1)
    assert control == pytest.approx(4, abs=1)
    assert treated == pytest.approx(2, abs=1)


def test_t07_calibration_knee_womac_of_controls(tell):
    """The default effect on WOMAC is 0, so the treated patients of the model are controls in this score."""
    medians = np.median(np.median(knees()["womac"], axis=1), axis=0)
    tell("T07 median WOMAC at 0, 3, 6, 12 months", medians, (29, 12, 10, 13.5), "5 at 12 months")
    assert medians[3] == pytest.approx(13.5, abs=5)
    assert medians[0] == pytest.approx(29, abs=5)


def test_knee_control_course_of_the_median_patient():
    made = simulate("msc_knee_osteoarthritis", times=[0.0, 91.3, 182.6, YEAR])["womac"].values
    np.testing.assert_allclose(made, (29, 12.4, 11.7, 13.5), atol=0.1)


def test_knee_depot_closed_form_and_flat_dose_response(tell):
    times = np.array([1.0, 7.0, 30.0, YEAR])
    amounts = (1e7, 1e8)
    doses = [Dose(into="joint_msc_injected", amount=amount) for amount in amounts]
    made = [simulate("msc_knee_osteoarthritis", times=times, doses=[dose], rtol=1e-8) for dose in doses]
    want = 1e8 * (0.7 * np.exp(-0.5 * times) + 0.3 * np.exp(-0.0462098 * times))
    np.testing.assert_allclose(made[1]["joint_msc"].values, want, rtol=5e-4)  # spreading takes a minute
    effects = [float(m["effect_state"][-1]) for m in made]
    tell("effect a year after 1e7 and 1e8 cells", effects, (0.43, 0.57), 0.01)
    np.testing.assert_allclose(effects, (0.43, 0.57), atol=0.01)


def test_knee_default_patient_with_baseline_6():
    given = {"pain_at_injection": 6.0, "pain_effect": [0.7, 1.0]}
    made = simulate(
        "msc_knee_osteoarthritis", times=[YEAR], parameters=given, doses=[Dose(into="joint_msc_injected", amount=1e8)]
    )
    np.testing.assert_allclose(made["pain"].values[:, 0], (2.9, 2.1), atol=0.06)


# ---- femoral head


def test_femoral_head_calibration_failure_and_replacement_in_4_28_years(tell):
    made = simulate("msc_femoral_head", times=[4.28], rtol=1e-8, parameters={"start_precollapse": [1.0, 0.0]})
    collapsed = 1 - float(made["share_precollapse"][0, 0])
    replaced = float(made["share_replaced"][1, 0])
    tell(
        "collapse of hips before it, replacement of collapsed hips, 4.28 years",
        (collapsed, replaced),
        (0.50, 0.49),
        0.01,
    )
    assert collapsed == pytest.approx(0.5, abs=1e-3)
    assert replaced == pytest.approx(0.49, abs=0.01)  # two phases instead of a Weibull stay


def test_femoral_head_collapse_closed_form_with_covariates():
    times = np.array([0.5, 2.0, 5.0, 10.0])
    given = {"necrotic_share": 0.4, "steroids_continue": 1.0, "log_ratio_collapse": np.log(0.32)}
    made = simulate(
        "msc_femoral_head", times=times, parameters=given, doses=[Dose(into="bone_msc_injected", amount=1e8)], rtol=1e-8
    )
    ratio = np.exp(np.log(0.32) * 5e7 / 5.1e7 + 3 * 0.1) * 1.5
    want = np.exp(-ratio * (times / 5.67395) ** 1.3)
    np.testing.assert_allclose(made["share_precollapse"].values, want, rtol=2e-3)


def test_femoral_head_against_simulated_hips_with_weibull_stays(tell):
    """The semi-Markov course with Weibull stays in both stages, hip by hip: shares within 0.012."""
    rng, size = np.random.default_rng(3), 100_000
    collapse = 5.67395 * rng.weibull(1.3, size)
    replaced = collapse + 5.80188 * rng.weibull(1.3, size)
    times = np.array([2.0, 4.28, 8.0, 15.0])
    made = simulate("msc_femoral_head", times=times)
    seen = np.array([[(replaced < t).mean(), ((collapse < t) & (replaced >= t)).mean()] for t in times])
    got = np.array([made["share_replaced"].values, made["share_collapsed"].values]).T
    tell("hips replaced and collapsed", got.ravel(), np.round(seen.ravel(), 3), 0.012)
    np.testing.assert_allclose(got, seen, atol=0.012)


def test_replacement_hazard_ratio_is_that_of_a_weibull_stay():
    """A hazard ratio h multiplies time by h^(-1/shape): both phases run h^(1/shape) times as fast."""
    times = np.array([2.0, 5.0])
    given = {
        "start_precollapse": 0.0,
        "log_ratio_replacement": np.log(0.5),
        "washout_share": 0.0,
        "retained_half_number": 1e-3,
    }
    treated = simulate(
        "msc_femoral_head", times=times, parameters=given, doses=[Dose(into="bone_msc_injected", amount=1e8)]
    )
    slower = simulate("msc_femoral_head", times=times * 0.5 ** (1 / 1.3), parameters={"start_precollapse": 0.0})
    np.testing.assert_allclose(treated["share_replaced"].values, slower["share_replaced"].values, rtol=1e-3)


# ---- Perthes disease: natural course only


def test_perthes_natural_course_is_a_sum_of_gamma_times(tell):
    rng, size = np.random.default_rng(5), 100_000
    ends = np.cumsum([rng.gamma(6, mean / 6, size) for mean in (243.5, 365.25, 913.125)], axis=0)
    times = np.array([200.0, 500.0, 1000.0, 1600.0, 2500.0])
    made = simulate("msc_perthes", times=times)
    seen = np.array([(ends[2] < t).mean() for t in times])
    tell("healed hips against 100,000 simulated ones", made["share_healed"].values, seen, 0.006)
    np.testing.assert_allclose(made["share_healed"].values, seen, atol=0.006)
    fragmenting = np.array([((ends[0] < t) & (ends[1] >= t)).mean() for t in times])
    np.testing.assert_allclose(made["share_fragmentation"].values, fragmenting, atol=0.006)


def test_perthes_good_outcome_of_untreated_children():
    made = simulate("msc_perthes", times=[0.0], parameters={"age_at_onset": [7.0, 9.0]})["good_outcome"].values[:, 0]
    np.testing.assert_allclose(made, [0.15 * 0.95 + 0.55 * b + 0.30 * 0.15 for b in (0.65, 0.40)], rtol=1e-12)


def test_perthes_odds_ratio():
    given = {"odds_effect": 0.5, "share_pillar_a": 0.0, "share_pillar_b": 1.0, "share_pillar_c": 0.0}
    made = simulate("msc_perthes", times=[1.0], parameters=given, doses=[Dose(into="bone_msc", amount=1e7)])[
        "good_outcome"
    ].values
    assert np.log(made / (1 - made)) == pytest.approx(np.log(0.65 / 0.35) + 0.5, abs=1e-5)


# ---- Rasmussen encephalitis: dose arithmetic, natural course, conservation


def test_rasmussen_dose_arithmetic(tell):
    """Four doses of 30 million: 0.92 stay in 600 g, that is 46 000 cells per gram after each."""
    doses = [Dose(into="artery_msc", amount=3e7, every=61.0, count=4)]
    times = np.array([k * 61.0 + 10 / 1440 for k in range(4)])
    made = simulate("msc_rasmussen", times=times, doses=doses, rtol=1e-8)
    got = made["hemisphere_arrested_per_g"].values
    tell("arrested cells per gram ten minutes after each dose", got, np.full(4, 0.92 * 3e7 / 600), "1 %")
    np.testing.assert_allclose(got, 0.92 * 3e7 / 600, rtol=0.01)
    assert float(made["lung_msc_viable"][0]) == pytest.approx(0.08 * 3e7, rel=0.01)


def test_rasmussen_natural_course_closed_form():
    times, acute = np.array([100.0, 243.5, 400.0, 900.0]), 243.5
    made = simulate("msc_rasmussen", times=times, rtol=1e-9)
    late = np.maximum(times - acute, 0.0)
    inflammation = np.where(times <= acute, 1.0, 0.2 + 0.8 * np.exp(-late / 60))
    integral = np.minimum(times, acute) + 0.2 * late + 0.8 * 60 * (1 - np.exp(-late / 60))
    np.testing.assert_allclose(made["inflammation"].values, inflammation, rtol=1e-6)
    np.testing.assert_allclose(made["volume_ratio"].values, 0.6 + 0.35 * np.exp(-integral / 300), rtol=1e-6)
    np.testing.assert_allclose(made["seizures"].values, 60 * (0.2 + 0.8 * inflammation), rtol=1e-6)


# ---- cerebral palsy


def test_cerebral_palsy_posterior_of_the_effect():
    """Normal prior and likelihood: precision-weighted mean; the standard error comes from the printed interval."""
    error = (14.52 - 1.62) / (2 * 1.96)
    weight = error**-2 / (error**-2 + 5**-2)
    assert error == pytest.approx(3.29, abs=0.005)
    effect = load_model("msc_cerebral_palsy").parameters["effect"]
    assert effect.value == pytest.approx(8.07 * weight, abs=0.01)
    beside = shipped_models()["msc_cerebral_palsy"].with_name("uncertainty.csv").read_text(encoding="utf-8")
    assert f"normal({effect.value:g}, {(error**-2 + 5**-2) ** -0.5:.2f})" in beside


def test_cerebral_palsy_effect_and_sham_closed_form(tell):
    times = np.array([30.0, 90.0, 180.0, YEAR])
    doses = [Dose(into="csf_msc", amount=2e7)]
    made = simulate("msc_cerebral_palsy", times=times, doses=doses, rtol=1e-8)
    np.testing.assert_allclose(made["effect_gain"].values, 5.63 * (1 - np.exp(-times / 120)), rtol=1e-5)
    curve = 54.3 * (1 - np.exp(-np.log(10) * (6 + times / YEAR) / 3.7))
    growth = curve - 54.3 * (1 - np.exp(-np.log(10) * 6 / 3.7))
    sham = np.maximum(2.58 * (1 - np.exp(-times / 90)) - growth, 0)
    np.testing.assert_allclose(made["gmfm66_sham"].values, curve + sham, rtol=1e-9)
    gain = float(made["gmfm66_sham"][3]) - 54.3 * (1 - np.exp(-np.log(10) * 6 / 3.7))
    tell("gain of the sham arm in 12 months", gain, 2.58, 0.1)
    assert gain == pytest.approx(2.58, abs=0.1)


def test_cerebral_palsy_growth_reaches_90_per_cent_at_its_age():
    levels, ages = np.arange(1.0, 6.0), (4.8, 4.4, 3.7, 3.5, 2.7)
    made = simulate("msc_cerebral_palsy", times=[0.0], parameters={"level": levels, "age_at_start": ages})
    np.testing.assert_allclose(
        made["natural_course"].values[:, 0], 0.9 * np.array([87.7, 68.4, 54.3, 40.4, 22.3]), rtol=1e-9
    )


# ---- graft-versus-host disease


def test_gvhd_null_rate_and_survival_without_cells(tell):
    times = np.array([28.0, 100.0])
    made = simulate("msc_gvhd", times=times, parameters={"grade": 2.0}, rtol=1e-8)
    np.testing.assert_allclose(made["response_probability"].values, 0.45, rtol=1e-6)
    want = 0.45 * np.exp(-0.003 * times) + 0.55 * np.exp(-0.012 * times)
    tell("survival at 28 and 100 d without cells, closed form", made["survival"].values, want, 1e-6)
    np.testing.assert_allclose(made["survival"].values, want, rtol=1e-6)


def test_gvhd_eight_infusions_give_16_million_dying_cells_per_kg():
    made = simulate("msc_gvhd", times=[200.0], doses=[Dose(into="body_msc_viable", amount=4e7, every=3.5, count=8)])
    assert float(made["exposure"][0]) == pytest.approx(16, rel=1e-5)
    odds = np.log(0.45 / 0.55) - 0.3 + 0.3 * np.log(17)
    assert float(made["response_probability"][0]) == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-4)


def test_gvhd_responders_are_those_who_respond_where_nobody_dies():
    given = {"hazard_responder": 0.0, "hazard_non_responder": 0.0, "exposure_effect": [-0.2, 0.0, 0.3]}
    made = simulate("msc_gvhd", times=[10.0, 60.0], parameters=given, rtol=1e-8,
                    doses=[Dose(into="body_msc_viable", amount=4e7, every=3.5, count=8)])  # fmt: skip
    np.testing.assert_allclose(made["alive_responder"], made["response_probability"], rtol=1e-5)


# ---- conservation

CASES = {
    "msc_multiple_sclerosis": ("body_msc_viable",),
    "msc_gvhd": ("body_msc_viable",),
    "msc_knee_osteoarthritis": ("joint_msc_injected",),
    "msc_femoral_head": ("bone_msc_injected",),
    "msc_perthes": ("bone_msc",),
    "msc_rasmussen": ("artery_msc",),
    "msc_cerebral_palsy": ("csf_msc", "body_msc_viable"),
}


@pytest.mark.parametrize("name", CASES)
def test_c1_cells_are_conserved(name):
    doses = [Dose(into=state, amount=1e8, time=0.5 * k, every=2.0, count=2) for k, state in enumerate(CASES[name])]
    ledgers = [k for k in load_model(name).quantities if k == "cells_accounted" or k.startswith("probability")]
    made = simulate(name, times=[0.25, 10.0, 100.0], doses=doses, select=ledgers, rtol=1e-10, atol=1e-8)
    given = np.array([1e8, len(CASES[name]) * 2e8, len(CASES[name]) * 2e8])
    np.testing.assert_allclose(made["cells_accounted"].values, given, rtol=1e-8)
    for ledger in ledgers[1:] if ledgers[0] == "cells_accounted" else ledgers:
        if ledger.startswith("probability"):
            np.testing.assert_allclose(made[ledger].values, 1.0, rtol=1e-8)


@pytest.mark.parametrize(
    "name", ["celyvir", "msc_cerebral_palsy", "msc_gvhd", "msc_multiple_sclerosis", "msc_perthes", "msc_rasmussen"]
)
def test_models_on_thin_evidence_carry_the_caution(name):
    assert load_model(name).caution == "prior predictive: not evidence of effect"
