"""Whole trials against closed forms: power, attrition, survival, drop-out, blinding, strata, looks, rules, storage."""

import numpy as np
import pytest
from scipy import stats

from atmpsim.results.store import open_results
from atmpsim.study.trial import reanalyse, run_trial
from atmpsim.trial.analyse import exact_interval
from atmpsim.trial.attrition import FATES
from atmpsim.trial.looks import levels

TREATED = FATES.index("treated")
BATCH = '\n[product]\nkind = "msc"\nfailure = "{}"\nvein_to_vein = "{}"\n'


def significant(tree, k=0):
    found = tree["estimates"].to_dataset()["significant"].values[k]
    return int(found.sum()), found.size


def power_of_t(effect, sd, n):
    """Return the power of a two-sided t test of n patients in each of two arms."""
    freedom, shift = 2 * n - 2, effect / (sd * np.sqrt(2 / n))
    limit = stats.t.isf(0.025, freedom)
    return stats.nct.sf(limit, freedom, shift) + stats.nct.cdf(-limit, freedom, shift)


def test_power_is_that_of_the_noncentral_t(plain):
    tree = run_trial(plain, overrides={"parameters.effect": "1.5 1", "trial.replicates": 1000})
    hits, total = significant(tree)
    low, high = exact_interval(hits, total, level=0.99)
    want = power_of_t(1.5, np.hypot(2.0, 1.0), 20)
    print(f"power: {hits / total:.3f}, closed form {want:.3f}, exact 99 % interval {low:.3f} to {high:.3f}")
    assert low < want < high
    estimate = tree["estimates"].to_dataset()["estimate"].values[0]
    assert estimate.mean() == pytest.approx(-1.5, abs=4 * estimate.std() / np.sqrt(total))


def test_type_one_error_of_10000_null_trials(plain):
    tree = run_trial(plain, overrides={"trial.replicates": 10_000, "population.size": 4000}, null=True)
    hits, total = significant(tree)
    low, high = exact_interval(hits, total, level=0.99)
    print(f"type I error (t test): {hits / total:.4f}, exact 99 % interval {low:.4f} to {high:.4f}, nominal 0.05")
    assert low < 0.05 < high


def test_interim_looks_keep_the_level(edited):
    path = edited(("visits =", "looks = [0.5]\nvisits ="))
    tree = run_trial(
        path, overrides={"trial.replicates": 4000, "trial.patients": 100, "population.size": 1000}, null=True
    )
    hits, total = significant(tree)
    low, high = exact_interval(hits, total, level=0.99)
    assert low < 0.05 < high
    early = (tree["estimates"].to_dataset()["stopped_at_look"].values[0] == 0).mean()
    low, high = exact_interval(int(early * total), total, level=0.999)
    assert low < levels([0.5], 0.05)[0] < high


def test_two_looks_against_the_published_boundary():
    """O'Brien-Fleming spending, information 0.5 and 1: 2.963 and 1.969 (Jennison & Turnbull 2000, table 7.2, 0.05)."""
    np.testing.assert_allclose(stats.norm.isf(levels([0.5], 0.05) / 2), [2.963, 1.969], atol=0.002)


def test_survival_follows_the_hazard(plain):
    tree = run_trial(plain)
    patients = tree["patients"].to_dataset()
    times = patients["event.death"].values.ravel()
    died = np.isfinite(times)
    assert died.mean() == pytest.approx(1 - np.exp(-0.9), abs=0.015)
    cut = stats.kstest(times[died], lambda t: (1 - np.exp(-0.01 * t)) / (1 - np.exp(-0.9)))
    assert cut.pvalue > 1e-3
    found = tree["endpoints"].to_dataset()
    assert (found["survival.time"].values[found["survival.seen"].values] <= 90).all()


def test_attrition_is_its_competing_risks(edited):
    """Constant hazards and a wait of 20 d: who is lost before it, and a batch that fails with 0.2."""
    path = edited(("visits =", 'before = { progression = "0.02 1/d", death = "0.01 1/d" }\nvisits ='),
                  ('"100 d"', '"111 d"'),
                  add=BATCH.format("0.2 1", "uniform(19.999, 20.001) d"))  # fmt: skip
    fate = run_trial(path)["patients"].to_dataset()["fate"].values.ravel()
    kept = np.exp(-0.03 * 20)
    want = {"treated": 0.8 * kept, "progression before infusion": (1 - kept) * 2 / 3,
            "death before infusion": (1 - kept) / 3, "manufacturing failure": 0.2 * kept}  # fmt: skip
    for name, share in want.items():
        seen = (fate == FATES.index(name)).mean()
        assert seen == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / fate.size)), name


def test_flow_chart_adds_up(edited):
    path = edited(("visits =", 'before = { death = "0.01 1/d" }\nvisits ='),
                  add='\n[product]\nkind = "msc"\nfailure = "0.2 1"\nvein_to_vein = "uniform(5, 9) d"\n')  # fmt: skip
    flow = run_trial(path)["attrition"].to_dataset()["patients"]
    lost = flow.sel(stage=[f for f in FATES if f != "treated"]).sum("stage")
    assert (flow.sel(stage="recruited") == lost + flow.sel(stage="treated")).all()
    assert (flow.sel(stage="recruited").sum("trial_arm") == 40).all()
    assert (flow.sel(stage="evaluable") <= flow.sel(stage="treated")).all()


def test_delivered_dose_is_the_label_times_viability(edited):
    path = edited(add='\n[product]\nkind = "msc"\nviability = "1/(1 + exp(-normal(2.2, 0.5)))"\nrecovery = "0.8"\n')
    tree = run_trial(path, overrides={"parameters.effect": "1 1"})
    delivered = tree["patients"].to_dataset()["delivered"].values
    assert np.median(delivered) == pytest.approx(0.8 / (1 + np.exp(-2.2)), rel=0.01)
    assert delivered.std() > 0.02
    visits, arm = tree["visits"].to_dataset(), tree["patients"].to_dataset()["arm_index"].values
    drawn = tree["parameters"].to_dataset()["value"].sel(parameter="start_score").values.ravel()[:400]
    subject = tree["patients"].to_dataset()["subject_index"].values
    truth = visits["truth.score"].values[..., 1]
    want = drawn[subject] - delivered * (arm == 1)
    np.testing.assert_allclose(truth, want, atol=1e-6)


def test_what_changes_by_itself_still_does_with_a_product(edited):
    course = '\n[varying.growth]\nat = ["0 d", "30 d"]\nvalues = ["0.02 1/d", "0 1/d"]\ninterpolation = "locf"\n'
    path = edited(add='\n[product]\nkind = "msc"\nviability = "1/(1 + exp(-normal(2.2, 0.5)))"\n' + course)
    tree = run_trial(path, overrides={"population.vary": "listed", "population.size": 40})
    truth = tree["visits"].to_dataset()["truth.lesion"].values
    known = ~np.isnan(truth).any(axis=2)
    want = np.cbrt(np.exp([0.0, 0.6, 0.6, 0.6]))
    np.testing.assert_allclose(truth[known] / truth[known][:, :1], np.tile(want, (int(known.sum()), 1)), rtol=1e-5)


def test_blocks_hold_the_ratio_and_replicates_differ(edited):
    path = edited(("visits =", "ratio = { control = 1, cells = 3 }\nvisits ="))
    arm = run_trial(path)["patients"].to_dataset()["arm_index"].values
    blocks = arm.reshape(len(arm), -1, 4)
    assert (blocks.sum(axis=2) == 3).all()
    assert len({tuple(row) for row in arm.tolist()}) > 300


def test_strata_are_balanced(edited):
    path = edited(("visits =", 'scheme = "stratified"\nstrata = { by = "start_score", at = [20.0] }\nvisits ='))
    tree = run_trial(path)
    patients = tree["patients"].to_dataset()
    drawn = tree["parameters"].to_dataset()["value"].sel(parameter="start_score").values.ravel()[:400]
    high = drawn[patients["subject_index"].values] > 20
    arm = patients["arm_index"].values
    for stratum in (high, ~high):
        assert np.abs((stratum & (arm == 1)).sum(axis=1) - (stratum & (arm == 0)).sum(axis=1)).max() <= 1


def test_simple_allotment_follows_shares(edited):
    path = edited(("visits =", 'scheme = "simple"\nratio = { control = 0.3, cells = 0.7 }\nvisits ='))
    arm = run_trial(path)["patients"].to_dataset()["arm_index"].values
    assert arm.mean() == pytest.approx(0.7, abs=0.015)
    assert arm.sum(axis=1).std() > 2


def test_only_eligible_patients_are_allotted(edited):
    path = edited(("visits =", "eligibility = { start_score = [18.0, 22.0] }\nvisits ="))
    tree = run_trial(path)
    patients = tree["patients"].to_dataset()
    fate = patients["fate"].values
    share = (fate == FATES.index("not eligible")).mean()
    assert share == pytest.approx(2 * stats.norm.sf(1), abs=0.05)
    arm = patients["arm_index"].values
    for row_fate, row_arm in zip(fate, arm, strict=True):
        own = row_arm[row_fate == TREATED]
        assert abs((own == 1).sum() - (own == 0).sum()) <= 1


def test_drop_out_at_random_is_exponential_and_missed_visits_are_missed(edited):
    path = edited(("visits =", 'dropout = "0.005 1/d"\nmissing = 0.1\nvisits ='))
    tree = run_trial(path)
    left = tree["patients"].to_dataset()["left"].values
    assert (left < 90).mean() == pytest.approx(1 - np.exp(-0.45), abs=0.015)
    seen = ~np.isnan(tree["visits"].to_dataset()["measured.score"].values)
    assert seen[..., 0].all()
    assert seen[..., 3].mean() == pytest.approx(0.9 * np.exp(-0.45), abs=0.015)


def test_informative_drop_out_doubles_the_hazard_of_who_has_no_gain(edited):
    path = edited(("visits =", 'dropout = "0.004 1/d"\ninformative = "score"\nvisits ='))
    tree = run_trial(path)
    patients, values = tree["patients"].to_dataset(), tree["visits"].to_dataset()["measured.score"].values
    left, raised = patients["left"].values, patients["left_for_no_gain"].values
    gone = (left > 30) & (left <= 60)
    there = left > 30
    gained = values[..., 1] < values[..., 0]
    rates = [-np.log(1 - (gone & there & g).sum() / (there & g).sum()) / 30 for g in (gained, ~gained)]
    print(f"hazard of leaving after a gain {rates[0]:.5f}, without {rates[1]:.5f}; 0.004 and 0.008")
    assert rates[1] / rates[0] == pytest.approx(2.0, rel=0.15)
    assert raised[gone & ~gained].all()


def test_loss_of_blinding_shifts_reported_scales_of_the_treated_only(edited):
    path = edited(("error = 1.0", "error = 1.0\nexpectation = -3.0"),
                  ("visits =", "unblinded = { cells = 0.5, control = 0.5 }\nvisits ="))  # fmt: skip
    tree = run_trial(path)
    patients, visits = tree["patients"].to_dataset(), tree["visits"].to_dataset()
    noise = visits["measured.score"].values - visits["truth.score"].values
    known, arm = patients["unblinded"].values, patients["arm_index"].values
    for a, k, want in ((1, True, -3.0), (1, False, 0.0), (0, True, 0.0)):
        own = (arm == a) & (known == k)
        np.testing.assert_allclose(np.nanmean(noise[own][:, 1:]), want, atol=0.05)
    np.testing.assert_allclose(np.nanmean(noise[..., 0]), 0.0, atol=0.05)  # nobody expects anything at the baseline
    plain_lesion = visits["measured.lesion"].values / visits["truth.lesion"].values
    assert abs(np.log(plain_lesion[(arm == 1) & known]).mean()) < 0.002


def test_placebo_acts_on_every_arm_alike(edited):
    path = edited(("error = 1.0", 'error = 1.0\nplacebo = 0.2\nplacebo_half_time = "10 d"'))
    tree = run_trial(path)
    truth, arm = tree["visits"].to_dataset()["truth.score"].values, tree["patients"].to_dataset()["arm_index"].values
    response = 1 - truth[..., 1] / truth[..., 0]
    np.testing.assert_allclose(response, 0.2 * (1 - 0.5**3), rtol=1e-9)
    assert {0, 1} == set(arm.ravel().tolist())


def test_survival_from_recruitment_enters_late(edited):
    path = edited(('kind = "time_to"\nassay = "death"', 'kind = "time_to"\nassay = "death"\norigin = "recruitment"'),
                  ('"100 d"', '"110 d"'), add=BATCH.format("0 1", "uniform(5, 15) d"))  # fmt: skip
    tree = run_trial(path)
    found, wait = tree["endpoints"].to_dataset(), tree["patients"].to_dataset()["wait"].values
    np.testing.assert_allclose(found["survival.entry"].values, wait)
    from atmpsim.results.survival import kaplan_meier

    time, seen, entry = (found[f"survival.{k}"].values.ravel() for k in ("time", "seen", "entry"))
    times, share, _, _ = kaplan_meier(time, seen, entry)
    at = share[np.searchsorted(times, 60.0) - 1] / share[np.searchsorted(times, 20.0) - 1]
    assert at == pytest.approx(np.exp(-0.4), abs=0.01)


def test_replicates_do_not_depend_on_their_number_and_seeds_differ(plain):
    few, many = (run_trial(plain, overrides={"trial.replicates": n})["estimates"].to_dataset() for n in (20, 600))
    np.testing.assert_array_equal(few["estimate"].values, many["estimate"].values[:, :20])
    other = run_trial(plain, overrides={"trial.replicates": 20}, seed=5)["estimates"].to_dataset()
    assert not np.array_equal(few["estimate"].values, other["estimate"].values)


def test_no_patient_is_twice_in_one_trial(plain):
    subject = run_trial(plain)["patients"].to_dataset()["subject_index"].values
    assert all(len(set(row)) == 40 for row in subject.tolist())


def test_endpoints_are_made_again_from_the_stored_result(plain, tmp_path):
    run_trial(plain, out=tmp_path / "t.zarr", overrides={"trial.replicates": 30})
    tree = open_results(tmp_path / "t.zarr")
    made = reanalyse(tree)
    for group in ("endpoints", "estimates", "attrition", "operating"):
        for name, values in made[group].data_vars.items():
            np.testing.assert_array_equal(values.values, tree[group][str(name)].values)
    # and they do follow what is on file: other readings, other endpoints
    changed = tree.copy(deep=True)
    changed["visits"]["measured.score"].values[:] += 1.0
    again = reanalyse(changed)["endpoints"]["score at the end"].values
    np.testing.assert_allclose(again, tree["endpoints"]["score at the end"].values + 1.0)


RULE = '\n[[rule]]\nname = "r"\nwhen = "lesion / baseline >= 1.1"\nvisits = {visits}\nthen = "{then}"\n{more}\n'
WEEKLY = ('amount = "1e6 cell"', 'amount = "1e6 cell"\nevery = "20 d"\ncount = 5')


def test_a_rescue_dose_comes_when_a_rule_asks(edited):
    rescue = '\n[[dose]]\nname = "help"\nrole = "rescue"\ninto = "given_cells"\namount = "3e6 cell"\n'
    path = edited(("error = 0.05", "error = 0.0"),
                  add=RULE.format(then="rescue", more='dose = "help"', visits=1) + rescue)  # fmt: skip
    tree = run_trial(
        path, overrides={"parameters.growth": "0.02 1/d", "parameters.effect": "1 1", "population.size": 40}
    )
    truth, arm = tree["visits"].to_dataset()["truth.score"].values, tree["patients"].to_dataset()["arm_index"].values
    fall = truth[..., 0] - truth[..., 2]
    np.testing.assert_allclose(fall[~np.isnan(fall)], 3.0, atol=1e-6)  # once, at day 30, in either arm
    assert {0, 1} == set(arm.ravel().tolist())


def test_lesions_are_read_one_by_one_and_added(edited):
    path = edited(('of = "size"\nerror = 0.05', 'of = ["size", "size"]\nerror = 0.2'))
    visits = run_trial(path)["visits"].to_dataset()
    one = 10 * np.cbrt(6 * 20 / np.pi)
    np.testing.assert_allclose(visits["truth.lesion"].values[..., 0], 2 * one, rtol=1e-9)
    spread = np.log(visits["measured.lesion"].values[..., 0] / (2 * one)).std()
    assert spread == pytest.approx(0.2 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize(
    ("then", "more", "want"),
    [("stop", "", 2), ("hold", 'by = "40 d"', 2), ("reduce", "factor = 0.5", 3.25), ("give", 'dose = "cells"', 8),
     ("rescue", 'dose = "cells"', 6)],
)  # fmt: skip
def test_rules_change_the_doses_that_follow(edited, then, more, want):
    """Lesions grow by 22 % in diameter in 30 d without spread or error: the rule acts at days 30, 60 and 90.

    Doses at 0, 20, 40, 60, 80. Stop: two given. Hold by 40 d: 0, 20, then 80, which is held again at 60 to 120. Reduce:
    1, 1, 1/2, 1/2, 1/4. Give: one more at each of three visits; rescue: once.
    """
    path = edited(WEEKLY, ("error = 0.05", "error = 0.0"), add=RULE.format(then=then, more=more, visits=1))
    changes = {"parameters.growth": "0.02 1/d", "population.size": 40, "trial.replicates": 1, "trial.patients": 40}
    tree = run_trial(path, overrides={**changes, "parameters.effect": "1 1"})
    visits, patients = tree["visits"].to_dataset(), tree["patients"].to_dataset()
    arm = patients["arm_index"].values[0]
    truth = visits["truth.score"].values[0]
    received = truth[arm == 1][:, 0] + 1.0 - truth[arm == 1][:, 3]  # the first dose is in at the baseline
    known = ~np.isnan(received)
    # who dies is not seen at the last visit
    assert known.any()
    np.testing.assert_allclose(received[known], want, atol=1e-6)
    log = tree["rules"].to_dataset()
    assert set(log["then"].values) == {then}
    if then == "stop":
        np.testing.assert_array_equal(patients["stopped"].values, 30.0)
        assert log.sizes["action"] == 80


def test_a_rule_may_need_several_visits(edited):
    path = edited(WEEKLY, ("error = 0.05", "error = 0.0"), add=RULE.format(then="stop", more="", visits=2))
    tree = run_trial(path, overrides={"parameters.growth": "0.02 1/d", "population.size": 40, "trial.replicates": 1})
    np.testing.assert_array_equal(tree["patients"].to_dataset()["stopped"].values, 60.0)


def test_what_the_rule_read_is_what_is_on_file(edited):
    path = edited(WEEKLY, add=RULE.format(then="stop", more="", visits=1))
    tree = run_trial(path, overrides={"trial.replicates": 20})
    patients, visits = tree["patients"].to_dataset(), tree["visits"].to_dataset()
    read = visits["measured.lesion"].values
    with np.errstate(invalid="ignore"):
        over = read / read[..., :1] >= 1.1
    first = np.where(over.any(axis=2), np.array([0.0, 30, 60, 90])[over.argmax(axis=2)], np.inf)
    stopped = patients["stopped"].values
    there = ~np.isnan(read).any(axis=2)
    np.testing.assert_array_equal(stopped[there], first[there])


def test_new_lesions_end_progression_free_survival_at_their_hazard(edited):
    """Lesions do not grow: who has a new one by day 30, 60 or 90 has progressed then, 1 - exp(-hazard*t) of all."""
    path = edited(
        ("error = 0.05", 'error = 0.0\nnew_lesions = "0.01 1/d"'),
        add='\n[[endpoint]]\nname = "pfs"\nkind = "progression_free"\nassay = "lesion"\n',
    )
    tree = run_trial(path, overrides={"parameters.growth": "0 1/d"})
    found = tree["endpoints"].to_dataset()
    when, seen = found["pfs.time"].values, found["pfs.seen"].values
    for visit in (30.0, 60.0, 90.0):
        hits, total = int((seen & (when <= visit)).sum()), seen.size
        low, high = exact_interval(hits, total, level=0.999)
        assert low < 1 - np.exp(-0.01 * visit) < high
    assert set(np.unique(when[seen])) == {30.0, 60.0, 90.0}
    assert "event.new lesion, lesion" in tree["patients"].to_dataset()
