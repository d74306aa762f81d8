"""The shipped trials: attrition (T05), type I error, power, speed, and that each runs from product to report."""

import time
import tomllib
from functools import cache

import numpy as np
import pytest

from atmpsim.resources import shipped_scenarios
from atmpsim.scenario.reader import load_inputs
from atmpsim.study.trial import design_of, reanalyse, run_trial
from atmpsim.trial.analyse import exact_interval
from atmpsim.trial.attrition import FATES

TRIALS = sorted(
    name for name, path in shipped_scenarios().items() if "trial" in tomllib.loads(path.read_text(encoding="utf-8"))
)
SMALL = {"trial.replicates": 12}


@cache
def result(name, null=False):
    said = load_inputs(name)
    own = said.raw["trial"].get("population")
    fewer = dict(SMALL)
    if own is not None and "uncertainty" in own:
        fewer["trial.population"] = {**own, "uncertainty": {"draws": 4}}
    if "population" in said.raw:
        fewer["population.size"] = 60
    return run_trial(name, overrides=fewer, null=null)


def rejections(tree, endpoint):
    found = tree["estimates"].to_dataset()
    rows = found["endpoint"].values == endpoint
    return int(found["significant"].values[rows].sum()), int(found["significant"].values[rows].size)


def test_every_indication_has_a_trial():
    models = {tomllib.loads(shipped_scenarios()[name].read_text(encoding="utf-8"))["model"] for name in TRIALS}
    assert {"celyvir", "cart_stein2019", "aav_factor_viii", "aav_factor_ix", "aav_microdystrophin"} <= models
    assert {f"msc_{k}" for k in ("multiple_sclerosis", "knee_osteoarthritis", "femoral_head", "perthes", "rasmussen",
                                 "cerebral_palsy", "gvhd")} <= models  # fmt: skip


@pytest.mark.parametrize("name", TRIALS)
def test_it_runs_from_product_to_report(name):
    tree = result(name)
    design = design_of(load_inputs(name))
    assert (tree["status"]["status"] == 0).all()
    flow = tree["attrition"].to_dataset()["patients"]
    assert (flow.sel(stage="recruited").sum("trial_arm") == design.table.patients).all()
    assert float(flow.sel(stage="evaluable").sum()) > 0
    compared = [e for e in design.endpoints if e.compare != "none"]
    arms = sum(1 for k, r in enumerate(design.ratio) if r > 0 and k != design.control)
    assert tree["operating"].to_dataset().sizes.get("comparison", 0) == len(compared) * arms
    for endpoint in design.endpoints:
        assert np.isfinite(tree["endpoints"][endpoint.name].values).any(), endpoint.name


@pytest.mark.parametrize("name", TRIALS)
def test_its_endpoints_follow_from_what_is_on_file(name):
    tree = result(name)
    made = reanalyse(tree)
    for group in ("endpoints", "estimates", "operating"):
        for key, values in made[group].data_vars.items():
            np.testing.assert_array_equal(values.values, tree[group].to_dataset()[key].values)


@cache
def celyvir():
    return run_trial("celyvir-trial", overrides={"trial.replicates": 30, "population.size": 200})


def test_t05_calibration_share_lost_before_infusion_in_the_celyvir_trial():
    """1,020 virtual children; the median doubling time of 50 d was chosen to meet the published 18 of 34."""
    tree = celyvir()
    fate = tree["patients"].to_dataset()["fate"].values
    lost = 1 - (fate == FATES.index("treated")).mean()
    low, high = exact_interval(18, 34)
    print(
        f"T05: {lost:.3f} of {fate.size} lost, target {18 / 34:.3f}, tolerance 0.35-0.70; h*T = {-np.log(16 / 34):.3f}"
    )
    assert fate.size >= 1000
    assert low < lost < high
    assert -np.log(1 - 18 / 34) == pytest.approx(0.754, abs=5e-4)


def test_who_is_treated_grows_more_slowly_than_who_is_recruited():
    """The same children, waits and volumes, with lesions that grow exponentially and no other loss, as comparison.

    The derivation gives 1.4 to 1.6: that is its own simulation at medians of 50 and 40 d. The trial has 50 d.
    """
    tree = celyvir()
    patients = tree["patients"].to_dataset()
    drawn = tree["parameters"].to_dataset()["value"].isel(arm=0)
    doubling, volume = (drawn.sel(parameter=k).values.ravel()[patients["subject_index"].values]
                        for k in ("doubling_time", "tumour_initial_volume"))  # fmt: skip
    start = 10 * np.cbrt(6 / np.pi * volume)
    grown = 3 * doubling * np.log2(np.maximum(1.2, 1 + 5 / start))
    kept = grown >= patients["wait"].values
    treated = patients["fate"].values == FATES.index("treated")
    ratio, want = (np.median(doubling[k]) / np.median(doubling) for k in (treated, kept))
    print(f"median doubling time, treated over recruited: {ratio:.3f}; exponential growth of the same {want:.3f}; "
          f"of any such children {exponential_lesions(50.0):.3f}, at a median of 40 d {exponential_lesions(40.0):.3f}; "
          "derived 1.4-1.6")  # fmt: skip
    assert ratio == pytest.approx(want, rel=0.05)
    assert exponential_lesions(50.0) == pytest.approx(1.4, abs=0.03)
    assert exponential_lesions(40.0) == pytest.approx(1.6, abs=0.03)


def exponential_lesions(median, n=200_000):
    """Return that ratio for lesions that grow exponentially, drawn without the program: +20 % and 5 mm in the wait."""
    rng = np.random.default_rng(14)
    doubling = median * np.exp(0.6 * rng.standard_normal(n))
    start = 10 * np.cbrt(6 / np.pi * np.clip(50 * np.exp(rng.standard_normal(n)), 2, 400))
    grown = 3 * doubling * np.log2(np.maximum(1.2, 1 + 5 / start))
    kept = grown >= 35 * np.exp(0.2 * rng.standard_normal(n))
    return np.median(doubling[kept]) / np.median(doubling)


def test_karyotype_failure_of_nct01056471():
    tree = run_trial("nct01056471", overrides={"trial.population": {"size": 60}})
    fate = tree["patients"].to_dataset()["fate"].values
    failed = (fate == FATES.index("manufacturing failure")).mean()
    print(f"not infused: {failed:.4f}, published 4/34 = {4 / 34:.4f}")
    assert failed == pytest.approx(4 / 34, abs=0.006)
    arms = tree["patients"].to_dataset()["arm_index"].values
    assert [int((row == k).sum()) for row in arms[:1] for k in range(3)] == pytest.approx([12, 11, 10], abs=2)


def test_1000_replicates_of_nct01056471_take_less_than_a_minute():
    begin = time.perf_counter()
    tree = run_trial("nct01056471")
    took = time.perf_counter() - begin
    print(f"1,000 replicates of the whole trial: {took:.1f} s, at most 60 s")
    assert tree["estimates"].sizes["replicate"] == 1000
    assert took < 60


def test_type_one_error_of_nct01056471_over_10000_null_trials():
    """t test of EDSS changes in about ten patients an arm; Fisher's exact test may only fall short of the level."""
    tree = run_trial("nct01056471", null=True,
                     overrides={"trial.replicates": 10_000, "trial.population": {"size": 400}})  # fmt: skip
    arms = tree["estimates"].to_dataset()
    for k in np.flatnonzero(arms["endpoint"].values == "EDSS change at 12 months"):
        hits, total = int(arms["significant"].values[k].sum()), arms.sizes["replicate"]
        low, high = exact_interval(hits, total, level=0.99)
        print(f"type I error, t test, {arms['arm'].values[k]}: {hits / total:.4f}, 99 % {low:.4f} to {high:.4f}")
        assert low < 0.05 < high
    hits, total = rejections(tree, "progression confirmed after 3 months")
    print(f"type I error, Fisher's exact test: {hits / total:.4f}, at most 0.05")
    assert hits / total < 0.05


def test_30_patients_could_not_have_shown_the_largest_effect_of_the_prior():
    """Worsening at two prior deviations below: with a signal that fades in weeks the power stays near the level."""
    tree = run_trial("nct01056471", overrides={
        "parameters.effect_disability": "0.8 1", "trial.free": ["baseline_edss"], "trial.population": {"size": 200},
    })  # fmt: skip
    hits, total = rejections(tree, "EDSS change at 12 months")
    print(f"power against theta_E = 0.8: {hits / total:.3f}")
    assert hits / total < 0.10


@cache
def crossover():
    return run_trial("ms-crossover-144", null=True,
                     overrides={"trial.replicates": 10_000, "trial.population": {"size": 1440, "distribution": {
                         "lesions_per_scan": "2*(normal(0, 1)^2) 1"}}})  # fmt: skip


def test_type_one_error_of_the_crossover_of_144_robust():
    hits, total = rejections(crossover(), "lesions, robust")
    low, high = exact_interval(hits, total, level=0.99)
    print(f"type I error, ratio of means, 69 against 75: {hits / total:.4f}, 99 % {low:.4f} to {high:.4f}")
    assert low < 0.05 < high


def test_type_one_error_of_the_crossover_of_144_negative_binomial():
    hits, total = rejections(crossover(), "lesions of weeks 4, 12 and 24")
    low, high = exact_interval(hits, total, level=0.99)
    print(f"type I error, negative binomial, 69 against 75: {hits / total:.4f}, 99 % {low:.4f} to {high:.4f}")
    assert low < 0.05 < high


def test_t06_t07_calibration_knee_trial_through_the_assays():
    """Medians of 200 trials of ten patients an arm: pain 4 and 2 at 12 months (+-1), WOMAC of controls 13.5 (+-5)."""
    tree = run_trial("knee-osteoarthritis-arms", overrides={"trial.replicates": 200})
    visits, arm = tree["visits"].to_dataset(), tree["patients"].to_dataset()["arm_index"].values
    medians = {}
    for k, name in enumerate(("control", "10e6", "100e6")):
        for assay in ("pain", "WOMAC"):
            own = np.where(arm == k, visits[f"measured.{assay}"].values[..., -1], np.nan)
            medians[name, assay] = np.median(np.nanmedian(own, axis=1))
    print({f"{a} {b}": round(float(v), 2) for (a, b), v in medians.items()}, "targets: pain 4 and 2, WOMAC 13.5")
    assert medians["control", "pain"] == pytest.approx(4, abs=1)
    assert medians["100e6", "pain"] == pytest.approx(2, abs=1)
    assert medians["control", "WOMAC"] == pytest.approx(13.5, abs=5)


def test_sham_gain_of_cerebral_palsy_is_in_both_arms():
    tree = run_trial("cerebral-palsy-sham", null=True, overrides={"trial.replicates": 200})
    means = tree["estimates"].to_dataset()["mean.gain at 12 months"].mean("replicate").values
    print(f"gain at 12 months without effect: sham {means[0]:.2f}, cells {means[1]:.2f}; published sham 2.58")
    np.testing.assert_allclose(means[:2], 2.58, atol=0.3)


def test_change_of_a_child_with_cerebral_palsy_spreads_as_derived():
    tree = result("cerebral-palsy-sham")
    change = tree["endpoints"]["gain at 12 months"].values
    arm = tree["patients"].to_dataset()["arm_index"].values
    spread = np.nanstd(change[arm == 0])
    assert spread == pytest.approx(8.8, rel=0.1)


def test_two_assays_of_factor_viii_differ_by_their_ratio():
    visits = result("aav-factor-viii-durability")["visits"].to_dataset()
    truth = {k: visits[f"truth.{k}"].values for k in ("chromogenic", "one-stage")}
    high = truth["chromogenic"] > 3
    np.testing.assert_allclose(truth["one-stage"][high] / truth["chromogenic"][high], 1.6, rtol=1e-9)
    read = visits["measured.chromogenic"].values
    assert set(np.unique(read[read < 3])) == {1.5}


def test_tocilizumab_is_given_after_two_days_of_grade_2_and_changes_no_kinetics():
    tree = result("cart-tocilizumab-rescue")
    visits = tree["visits"].to_dataset()
    grades, given = visits["measured.cytokine release"].values, visits["measured.tocilizumab"].values
    twice = np.cumsum(grades >= 1, axis=-1) >= 2  # a grade never falls
    np.testing.assert_array_equal(given, twice.astype(float))
    assert 0.2 < given[..., -1].mean() < 0.6
    curves = tree["trajectories"].to_dataset()["car_transgene"]
    peak = tree["parameters"].to_dataset()["value"].sel(parameter="peak_concentration").values.ravel()
    np.testing.assert_allclose(curves.max("time").values.ravel(), peak, rtol=0.2)


def hope_b(endpoint):
    tree = result("aav-factor-ix-plateau")
    means = tree["estimates"].to_dataset()[f"mean.{endpoint}"].mean("replicate").values
    return dict(zip(tree["attrition"].to_dataset()["trial_arm"].values, means, strict=True))


@pytest.mark.parametrize(("visit", "low", "high"), [("6 months", 31.4, 41.0), ("18 months", 29.5, 39.1)])
def test_factor_ix_of_the_trial_lies_in_the_intervals_of_hope_b(visit, low, high):
    """Six months are the calibration of the model, through the trial's assay; eighteen a prediction."""
    got = hope_b(f"activity at {visit}")["95 % lasts"]
    print(f"factor IX at {visit}: {got:.1f} IU/dL, published interval {low} to {high}")
    assert low < got < high


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="the assumed curve of bleeds over activity is too steep: README of the model",
)
@pytest.mark.parametrize(("arm", "published"), [("prophylaxis", 4.19), ("95 % lasts", 1.51)])
def test_factor_ix_prediction_bleeds_of_hope_b(arm, published, tell):
    got = hope_b("bleeds of months 7 to 18")[arm]
    tell(f"bleeds a year in HOPE-B, {arm}", got, published, "a factor of 1.5")
    assert 1 / 1.5 < got / published < 1.5


def test_protein_is_found_and_function_is_not():
    """The surrogate separates the arms in every trial, the score in few: the prior of the effect is one trial's."""
    tree = result("aav-duchenne-surrogate")
    hits, total = rejections(tree, "protein at week 12")
    assert hits == total
    motor, total = rejections(tree, "NSAA at week 52, change")
    assert motor < total


def test_hips_collapse_before_they_are_replaced():
    patients = result("femoral-head-steroids")["patients"].to_dataset()
    assert (patients["event.collapse"].values <= patients["event.replacement"].values).all()


def test_seizures_of_two_children_spread_over_orders_of_magnitude():
    values = run_trial("rasmussen-safety", overrides={"trial.replicates": 200})["endpoints"]["seizures a year"].values
    low, high = np.nanquantile(values, [0.05, 0.95])
    print(f"seizures a year, 5 to 95 %: {low:.0f} to {high:.0f}")
    assert high / low > 10


def test_response_of_graft_versus_host_disease_without_effect_is_the_null_rate():
    tree = run_trial("gvhd-steroid-refractory", null=True,
                     overrides={"trial.replicates": 40, "trial.population": {"size": 400}})  # fmt: skip
    means = tree["estimates"].to_dataset()["mean.response at day 28"].mean("replicate").values[:2]
    want = 1 / (1 + np.exp(-(np.log(0.45 / 0.55) - 0.3)))  # grade C, as the model's default
    print(f"response at day 28 without effect: {means.round(3)}, {want:.3f}")
    np.testing.assert_allclose(means, want, atol=0.04)


def test_products_of_the_shipped_trials_deliver_what_they_say():
    product = design_of(load_inputs("celyvir-trial")).product
    assert product.vp_per_cell == 2e4
    assert product.kind == "virus_in_msc"
    # T04: 2e6 cells per kg of 20 kg are 4e7 cells and 8e11 vp
    assert 2e6 * 20 * product.vp_per_cell == 8e11
    assert product.failure == 0.06
