"""The trial's methods against other programs, formulas and published values."""

from itertools import product as combinations

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm
from scipy.optimize import minimize

from atmpsim.scenario.trial_schema import AssayTable
from atmpsim.trial.assays import Sampling, digital_pcr, flow_cytometry, gamma_camera, grades, quantitative_pcr, yes_no
from atmpsim.trial.chain import STEPS, nearest_step, paths, rated
from atmpsim.trial.compare import ancova, fisher, negative_binomial, permutation, rate_ratio, welch
from atmpsim.trial.counts import best_shape, log_likelihood, log_ratio
from atmpsim.trial.escalation import (
    boin,
    boin_boundaries,
    eliminated,
    isotonic,
    simulate_three_plus_three,
    three_plus_three,
)  # fmt: skip
from atmpsim.trial.events import event_times
from atmpsim.trial.responses import disability_progression, recist
from atmpsim.trial.survival import hazard_ratio

RNG = np.random.default_rng(11)
A = np.where(RNG.random((6, 14)) < 0.15, np.nan, RNG.normal(1.0, 2.0, (6, 14)))
B = np.where(RNG.random((6, 11)) < 0.15, np.nan, RNG.normal(0.2, 1.0, (6, 11)))


def known(row):
    return row[~np.isnan(row)]


def test_welch_is_that_of_scipy():
    made = welch(A, B)
    for k in range(6):
        want = stats.ttest_ind(known(A[k]), known(B[k]), equal_var=False)
        interval = want.confidence_interval()
        np.testing.assert_allclose((made.p[k], made.low[k], made.high[k]), (want.pvalue, *interval), rtol=1e-10)


def test_ancova_is_least_squares():
    bases = (RNG.normal(0, 1, A.shape), RNG.normal(0, 1, B.shape))
    made = ancova(A, B, bases)
    for k in range(6):
        y = np.concatenate([known(A[k]), known(B[k])])
        arm = np.repeat([1.0, 0.0], [known(A[k]).size, known(B[k]).size])
        base = np.concatenate([bases[0][k][~np.isnan(A[k])], bases[1][k][~np.isnan(B[k])]])
        x = np.column_stack([np.ones_like(y), arm, base])
        beta, rest, *_ = np.linalg.lstsq(x, y, rcond=None)
        error = np.sqrt(rest[0] / (y.size - 3) * np.linalg.inv(x.T @ x)[1, 1])
        p = 2 * stats.t.sf(abs(beta[1] / error), y.size - 3)
        np.testing.assert_allclose((made.estimate[k], made.p[k]), (beta[1], p), rtol=1e-9)


def test_permutation_is_near_that_of_scipy():
    made = permutation(A, B, rng=np.random.default_rng(1))
    for k in range(3):
        want = stats.permutation_test((known(A[k]), known(B[k])), lambda a, b, axis: a.mean(axis) - b.mean(axis),
                                      n_resamples=20_000, rng=np.random.default_rng(2), vectorized=True)  # fmt: skip
        assert made.p[k] == pytest.approx(want.pvalue, abs=4 * np.sqrt(want.pvalue / 2000))


def test_permutation_keeps_the_level_in_tiny_samples():
    rng = np.random.default_rng(3)
    values = rng.exponential(size=(2500, 20))
    p = permutation(values[:, :10], values[:, 10:], rng=rng).p
    hits = int((p <= 0.05).sum())
    low, high = stats.binomtest(hits, 2500).proportion_ci(0.99, "exact")
    print(f"permutation test, exponential values, 10 against 10: {hits / 2500:.4f}, {low:.4f} to {high:.4f}")
    assert low < 0.05 < high


def test_fisher_and_newcombe():
    a, b = np.repeat([[1.0, 0.0]], [56, 14], axis=1), np.repeat([[1.0, 0.0]], [48, 32], axis=1)
    made = fisher(a, b)
    assert made.p[0] == pytest.approx(stats.fisher_exact([[56, 14], [48, 32]])[1])
    rng = np.random.default_rng(13)
    for _ in range(50):
        n, m = rng.integers(1, 40, 2)
        x, y = rng.integers(0, n + 1), rng.integers(0, m + 1)
        rows = [np.repeat([[1.0, 0.0]], [hits, size - hits], axis=1) for hits, size in ((x, n), (y, m))]
        assert fisher(*rows).p[0] == pytest.approx(stats.fisher_exact([[x, n - x], [y, m - y]])[1], rel=1e-9)
    # Newcombe 1998, table II, 56/70 - 48/80, method 10: 0.0524 to 0.3339
    np.testing.assert_allclose((made.low[0], made.high[0]), (0.0524, 0.3339), atol=1e-4)


def test_negative_binomial_is_maximum_likelihood():
    rng = np.random.default_rng(4)
    a, b = (rng.poisson(m * rng.gamma(1.3, 1 / 1.3, (3, n))).astype(float) for m, n in ((3.0, 30), (5.0, 40)))
    made = negative_binomial(a, b, rng=rng)
    means = np.concatenate([np.full((3, n), c.mean(axis=1)[:, None]) for c, n in ((a, 30), (b, 40))], axis=1)
    shapes = best_shape(np.concatenate([a, b], axis=1), means)
    for k in range(3):
        y, arm = np.concatenate([a[k], b[k]]), np.repeat([1.0, 0.0], [30, 40])

        def loss(x, y=y, arm=arm):
            return -stats.nbinom.logpmf(
                y, np.exp(x[2]), np.exp(x[2]) / (np.exp(x[2]) + np.exp(x[0] + x[1] * arm))
            ).sum()

        best = minimize(
            loss, [1.0, 0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 5000}
        )
        assert np.log(made.estimate[k]) == pytest.approx(best.x[1], abs=1e-5)
        assert shapes[k] == pytest.approx(np.exp(best.x[2]), rel=1e-4)
        fitted = np.exp(best.x[0] + best.x[1] * arm)
        assert float(log_likelihood(y, fitted, np.exp(best.x[2]))) == pytest.approx(-best.fun, rel=1e-9)
        _, error = log_ratio(a[k].sum(), y.sum(), 30, 70, shapes[k])
        curve = np.linalg.inv(hessian(loss, best.x))
        print(f"error of the log ratio: {error:.4f}, from the likelihood's curvature {np.sqrt(curve[1, 1]):.4f}")
        assert error == pytest.approx(np.sqrt(curve[1, 1]), rel=0.01)


def hessian(f, x, step=1e-3):
    moves = step * np.eye(len(x))
    return np.array([
        [(f(x + p + q) - f(x + p - q) - f(x - p + q) + f(x - p - q)) / (4 * step**2) for q in moves] for p in moves
    ])  # fmt: skip


SPREADS = {
    # three scans with gamma variation (shape 2) of a patient's own mean of 2, as lesions have it
    "log-normal": lambda rng, shape: 2 * np.exp(np.sqrt(np.log(3)) * rng.standard_normal(shape) - np.log(3) / 2),
    "gamma": lambda rng, shape: 2 * rng.standard_normal(shape) ** 2,
}


@pytest.mark.parametrize("sizes", [(69, 75), (10, 11)], ids=str)
@pytest.mark.parametrize("spread", SPREADS)
def test_negative_binomial_keeps_the_level_whatever_the_spread_of_patients(spread, sizes):
    rng = np.random.default_rng(5)
    mean = SPREADS[spread](rng, (1500, sum(sizes)))
    counts = sum(rng.poisson(mean * rng.gamma(2.0, 0.5, mean.shape)) for _ in range(3)).astype(float)
    a, b = counts[:, : sizes[0]], counts[:, sizes[0] :]
    made = negative_binomial(a, b, rng=rng)
    hits = int((made.p <= 0.05).sum())
    low, high = stats.binomtest(hits, 1500).proportion_ci(0.99, "exact")
    means = np.repeat(np.stack([a.mean(axis=1), b.mean(axis=1)], axis=1), sizes, axis=1)
    log, error = log_ratio(a.sum(axis=1), counts.sum(axis=1), sizes[0], sum(sizes), best_shape(counts, means))
    wald = (np.abs(log / error) > 1.959964).mean()  # as packages do it
    covered = ((made.low <= 1) & (made.high >= 1)).mean()
    robust = rate_ratio(a, b, rng=rng)
    missed = ((robust.low > 1) | (robust.high < 1)).mean()
    print(f"negative binomial, {spread}, {sizes}: {hits / 1500:.4f}, 99 % {low:.4f} to {high:.4f}, nominal 0.05; "
          f"normal instead of shuffles {wald:.4f}; robust error with Student's t {missed:.4f}")  # fmt: skip
    assert low < 0.05 < high
    assert covered == pytest.approx(1 - hits / 1500, abs=0.005)  # the interval says what the p-value says
    assert wald > (0.10 if spread == "log-normal" else 0.06)  # why shuffles are used


def test_negative_binomial_without_events_in_an_arm_is_not_analysed():
    made = negative_binomial(np.zeros((1, 5)), np.array([[1.0, 0, 2, 0, 4]]), rng=np.random.default_rng(8))
    assert np.isnan([made.estimate, made.low, made.high, made.p]).all()


def test_hazard_ratio_of_two_exponentials():
    rng = np.random.default_rng(6)
    treated = np.arange(4000) < 2000
    times = rng.exponential(np.where(treated, 2.0, 1.0))
    seen = times < 1.5
    made = hazard_ratio(np.minimum(times, 1.5), seen, np.zeros(4000), treated, level=0.95, logrank=True)
    assert made[1] < 0.5 < made[2]
    assert made[3] < 1e-10


def test_late_entry_does_not_bias_the_hazard_ratio():
    """Patients are under observation from a random time on, and only if they lived until then."""
    rng = np.random.default_rng(7)
    treated = np.arange(8000) < 4000
    times, entry = rng.exponential(np.where(treated, 2.0, 1.0)), rng.uniform(0, 2, 8000)
    kept = times > entry
    made = hazard_ratio(times[kept], np.ones(kept.sum(), bool), entry[kept], treated[kept], level=0.99, logrank=False)
    assert made[1] < 0.5 < made[2]


def test_paths_of_disability_are_their_matrix_exponential():
    size, up, down, late = 40_000, 1.4, 0.5, 0.7
    q = np.zeros((20, 20))
    for k in range(19):
        q[k, k + 1], q[k + 1, k] = up * (late if STEPS[k] >= 7 else 1.0), down
    q -= np.diag(q.sum(axis=1))
    start = nearest_step(np.full(size, 6.0))
    each = np.ones(size)
    grid = np.array([0.0, 3.0])
    made = paths(start, np.tile([0.0, 1.0, 2.5], (size, 1)), up=up * each, down=down * each, late=late * each,
                 grid=grid, ratio=np.ones((size, 2)), rng=np.random.default_rng(8))  # fmt: skip
    assert (made[:, 0] == start).all()
    for column, time in ((1, 1.0), (2, 2.5)):
        want = expm(q * time)[start[0]]
        seen = np.bincount(made[:, column], minlength=20) / size
        assert (np.abs(seen - want) < 4.5 * np.sqrt(want * (1 - want) / size) + 1e-9).all()


def test_a_changing_ratio_is_integrated():
    """Upward steps only, ratio falling from 1 to 0 in a year: their number is Poisson with mean up/2."""
    size = 40_000
    each = np.ones(size)
    year = np.array([0.0, 1.0])
    made = paths(np.zeros(size, dtype=int), np.tile(year, (size, 1)), up=1.2 * each, down=0 * each, late=each,
                 grid=year, ratio=np.tile([1.0, 0.0], (size, 1)), rng=np.random.default_rng(9))  # fmt: skip
    seen = np.bincount(made[:, 1], minlength=8)[:8] / size
    np.testing.assert_allclose(seen, stats.poisson.pmf(np.arange(8), 0.6), atol=0.01)


def test_raters_err_by_half_a_step():
    steps = np.full(100_000, 12)
    moved = (rated(steps, error=0.15, rng=np.random.default_rng(10)) - STEPS[12]) * 2
    shares = [(moved == k).mean() for k in (-1, 0, 1)]
    np.testing.assert_allclose(shares, (0.15, 0.70, 0.15), atol=0.005)


def test_progression_of_disability_needs_its_confirmation():
    when = np.array([[0.0, 3.0, 6.0, 9.0, 12.0]] * 5)
    scores = np.array([
        [5.5, 6.0, 6.0, 6.0, 6.0],  # +0.5 from 5.5 is not enough
        [5.5, 6.5, 6.5, 6.0, 6.0],  # +1.0, seen again
        [6.0, 6.5, 6.0, 6.5, 6.5],  # lost once, confirmed later
        [6.0, 6.0, 6.0, 6.0, 6.5],  # nobody saw it again
        [6.0, 6.5, np.nan, 6.5, 6.0],  # the missed visit is passed over
    ])  # fmt: skip
    assert disability_progression(scores, when, confirm=3.0).tolist() == [np.inf, 3.0, 9.0, np.inf, 3.0]
    assert disability_progression(scores, when, confirm=0.0)[3] == 12.0


def test_recist_rules():
    when = np.array([[0.0, 6.0, 12.0, 18.0]])
    made = recist(np.array([[20.0, 23.9, 24.1, 24.1]]), when)  # 20 % of 20 mm are less than 5 mm
    assert made.progressed.tolist() == [np.inf]
    assert recist(np.array([[20.0, 25.0, 25.0, 25.0]]), when).progressed.tolist() == [6.0]
    # a new lesion counts at the next visit that is not missed, also in a response
    new, shrinking = np.array([1.0]), np.array([[100.0, np.nan, 60.0, 60.0]])
    made = recist(shrinking, when, new=new)
    assert (made.progressed.tolist(), made.responded.tolist()) == ([12.0], [False])
    assert recist(shrinking, when, new=new, confirm=4.0).progressed.tolist() == [12.0]
    assert recist(shrinking, when, new=np.array([17.0]), confirm=4.0).progressed.tolist() == [np.inf]  # no later visit
    assert recist(np.array([[100.0, 65.0, 78.0, 79.0]]), when).progressed.tolist() == [12.0]  # from the nadir
    assert recist(np.array([[100.0, 69.0, 90.0, 80.0]]), when, confirm=4.0).responded.tolist() == [False]
    assert recist(np.array([[100.0, 69.0, 68.0, 80.0]]), when, confirm=4.0).responded.tolist() == [True]
    pseudo = np.array([[100.0, 125.0, 80.0, 60.0]])
    assert recist(pseudo, when).progressed.tolist() == [6.0]
    assert recist(pseudo, when, confirm=4.0).progressed.tolist() == [np.inf]


def test_events_of_one_patient_keep_their_order():
    grid = np.linspace(0, 10, 101)
    draw = np.random.default_rng(12).random(5000)
    early, late = np.exp(-0.3 * grid), 1 - np.exp(-0.1 * grid)
    collapse = event_times(grid, np.tile(early, (5000, 1)), np.zeros(5000), draw, cumulative=False)
    replaced = event_times(grid, np.tile(late, (5000, 1)), np.zeros(5000), draw, cumulative=True)
    assert (collapse <= replaced).all()
    assert np.isfinite(replaced).mean() == pytest.approx(1 - np.exp(-1), abs=0.02)
    started = event_times(grid, np.tile(early, (5000, 1)), np.full(5000, 4.0), draw, cumulative=False)
    assert (started >= 4).all()
    assert np.median(started - 4) == pytest.approx(np.log(2) / 0.3, rel=0.05)


# ---- assays: one latent state, several of them

SINCE = np.tile([0.0, 6.0, 12.0, 60.0], (20_000, 1))
CELLS = [np.full(SINCE.shape, 50.0)]
HOW = Sampling(since=SINCE, units={"c": "cell/uL", "share": "percent"}, copies=2.0)
BLOOD = {"leucocytes": "5e9 1/L", "leucocytes_low": "0.1e9 1/L", "recovery_half_time": "6 d"}


def test_copies_per_ug_fall_as_leucocytes_return_while_cells_stay():
    assay = AssayTable(name="q", kind="qpcr", of="c", error=0.3, lloq=50.0, **BLOOD)
    truth, read = quantitative_pcr(CELLS, assay, HOW, np.random.default_rng(1))
    others = 5000 - 4900 * 0.5 ** (SINCE[0] / 6)
    np.testing.assert_allclose(truth[0], 1e6 * 2 * 50 / ((50 + others) * 6.6), rtol=1e-12)
    assert truth[0, 0] > 30 * truth[0, 3]
    np.testing.assert_allclose(np.median(read, axis=0), truth[0], rtol=0.02)
    assert np.log(read / truth).std() == pytest.approx(0.3, rel=0.02)


def test_digital_pcr_counts_copies_per_ml_whatever_the_leucocytes():
    assay = AssayTable(name="d", kind="dpcr", of="c", sample="0.01 mL", partitions=20_000)
    truth, read = digital_pcr(CELLS, assay, HOW, np.random.default_rng(2))
    np.testing.assert_allclose(truth, 1e5)
    np.testing.assert_allclose(read.mean(axis=0), 1e5, rtol=0.005)
    filled = 1 - np.exp(-1e5 * 0.01 / 20_000)
    spread = np.sqrt(filled / (1 - filled) / 20_000) * 20_000 / 0.01
    assert read.std() == pytest.approx(spread, rel=0.03)


def test_flow_cytometry_counts_events_and_reports_half_its_limit():
    assay = AssayTable(name="f", kind="flow", of="c", events=5000, lloq=1.2, **BLOOD)
    truth, read = flow_cytometry(CELLS, assay, HOW, np.random.default_rng(3))
    np.testing.assert_allclose(truth[0, 0], 100 * 50 / 150)
    assert read[:, 0].std() == pytest.approx(100 * np.sqrt(1 / 3 * 2 / 3 / 5000), rel=0.03)
    share = 50 / 5048.0
    below = stats.binom.cdf(59, 5000, share)
    assert (read[:, 3] == 0.6).mean() == pytest.approx(below, abs=0.02)


def test_gamma_camera_loses_counts_to_decay_and_corrects_only_for_that():
    assay = AssayTable(
        name="g", kind="gamma_camera", of="share", isotope_half_life="2.8 d", counts=1e5, attenuation=0.8
    )
    truth, read = gamma_camera([np.full(SINCE.shape, 30.0)], assay, HOW, np.random.default_rng(4))
    np.testing.assert_allclose(truth, 30.0)
    np.testing.assert_allclose(read[:, :3].mean(axis=0), 24.0, rtol=0.01)
    left = 0.5 ** (12 / 2.8)
    assert read[:, 2].std() == pytest.approx(100 * np.sqrt(0.24 * 1e5 * left) / (1e5 * left), rel=0.03)


def test_grades_follow_ordered_logits_and_never_fall():
    assay = AssayTable(name="crs", kind="grade", of="c", cutoffs=[10.3088, 11.6261], slope=0.9)
    values = np.tile([1.0, 24_000.0, 24_000.0, 10.0], (40_000, 1))
    _, made = grades([values], assay, HOW, np.random.default_rng(5))
    assert (np.diff(made, axis=1) >= 0).all()
    assert (made[:, 1] >= 1).mean() == pytest.approx(0.45, abs=0.01)
    assert (made[:, 1] >= 2).mean() == pytest.approx(0.20, abs=0.01)


def test_yes_or_no_is_one_answer_of_a_patient():
    assay = AssayTable(name="r", kind="yes_no", of="c")
    _, made = yes_no([np.full(SINCE.shape, 0.3)], assay, HOW, np.random.default_rng(6))
    assert (np.ptp(made, axis=1) == 0).all()
    assert made.mean() == pytest.approx(0.3, abs=0.01)


# ---- escalation

TOXICITY = [0.05, 0.10, 0.20, 0.35, 0.50]


def test_three_plus_three_closed_form_against_every_outcome():
    """All outcomes of two cohorts at each of two doses, one by one."""
    p = [0.2, 0.4]
    want = np.zeros(3)
    for outcome in combinations(range(4), repeat=4):
        chance, level, going = 1.0, 0, True
        for dose in range(2):
            first, second = outcome[2 * dose : 2 * dose + 2]
            chance *= stats.binom.pmf(first, 3, p[dose]) * stats.binom.pmf(second, 3, p[dose])
            going = going and (first == 0 or (first == 1 and second == 0))
            level += going
        want[level] += chance
    np.testing.assert_allclose(three_plus_three(p), want, atol=1e-12)


def test_three_plus_three_simulated_equals_its_closed_form():
    made = simulate_three_plus_three(TOXICITY, trials=40_000, rng=np.random.default_rng(1))
    want = three_plus_three(TOXICITY)
    error = np.sqrt(want * (1 - want) / 40_000)
    print("3+3, largest deviation in standard errors:", np.abs((made.selected - want) / error).max().round(2))
    assert (np.abs(made.selected - want) < 4 * error).all()
    assert want.sum() == pytest.approx(1.0)
    # patients at the first dose: three, and three more after one toxicity
    assert made.patients[0] == pytest.approx(3 + 3 * stats.binom.pmf(1, 3, 0.05), abs=0.03)


@pytest.mark.parametrize(
    ("target", "up", "down"), [(0.15, 0.118, 0.179), (0.20, 0.157, 0.238), (0.25, 0.197, 0.298), (0.30, 0.236, 0.358),
                               (0.35, 0.276, 0.419), (0.40, 0.316, 0.479)],
)  # fmt: skip
def test_boin_boundaries_are_the_published_ones(target, up, down):
    """Liu & Yuan 2015, table 1."""
    np.testing.assert_allclose(boin_boundaries(target), (up, down), atol=1e-3)


def test_boin_elimination_by_its_beta_posterior():
    for n, least in ((3, 3), (6, 4), (9, 5), (12, 7)):
        row = eliminated(np.arange(n + 1), np.full(n + 1, n), 0.3)
        assert int(row.argmax()) == least
        assert not row[:least].any()


def test_boin_moves_as_its_boundaries_say():
    """Two cohorts: the second is at dose 2 after 0 of 3, at dose 1 after 1 of 3 (0.333 lies between) or 2 of 3."""
    p = np.array([0.25, 0.4, 0.5])
    made = boin(p, target=0.3, trials=40_000, rng=np.random.default_rng(2), cohorts=2)
    none, all_three = 0.75**3, 0.25**3
    assert made.patients[1] == pytest.approx(3 * none, abs=0.03)
    assert made.patients[0] == pytest.approx(3 + 3 * (1 - none - all_three), abs=0.03)
    gone = all_three + 3 * 0.25**2 * 0.75 * (1 - 0.75**3 - 3 * 0.25 * 0.75**2) + 3 * 0.25 * 0.75**2 * 0.25**3
    assert made.selected[0] == pytest.approx(gone, abs=0.005)  # three of three, or four of six, at the lowest dose


def test_boin_finds_the_target_in_long_trials():
    """Not always: at each of 60 looks the right dose may be eliminated for good."""
    made = boin([0.05, 0.15, 0.30, 0.55], target=0.3, trials=1000, rng=np.random.default_rng(3), cohorts=60)
    assert made.selected.argmax() == 3
    assert made.selected[4] < 0.02


def test_isotonic_pools_by_weight():
    np.testing.assert_allclose(isotonic(np.array([0.2, 0.1]), np.array([1.0, 3.0])), [0.125, 0.125])
