"""Populations: sampled moments against formulas, common random numbers, nested uncertainty, changes over time."""

from __future__ import annotations

import re

import numpy as np
import pytest

from atmpsim.errors import InputError
from atmpsim.scenario.distributions import parse
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.rows import rows
from atmpsim.scenario.table import expand_runs
from atmpsim.study.compute import compute
from atmpsim.study.labels import label

N = 4000


def table(scenario, **overrides):
    """Return the table of the scenario with one arm and one point, changed by paths (`__` for a dot)."""
    text = scenario.read_text()
    text = text[: text.index("[[arm]]")] + text[text.index("[population]") : text.index("[sweep]")]
    scenario.write_text(text)
    return expand_runs(load_inputs(scenario, overrides={"population.size": N, **overrides}))


def sample(made):
    """Return every varied value of the first group of all runs."""
    (group,) = rows(made, 0, made.size)
    return group.given


def assert_moments(values, mean, variance, kurtosis=3.0):
    """Mean and variance lie within three standard errors; the variance's follows from the fourth moment."""
    assert abs(values.mean() - mean) < 3 * np.sqrt(variance / values.size)
    error = variance * np.sqrt((kurtosis - 1) / values.size)
    assert abs(values.var(ddof=1) - variance) < 3 * error


def truncated(mean, sd, low, high):
    from scipy.stats import truncnorm

    return truncnorm((low - mean) / sd, (high - mean) / sd, loc=mean, scale=sd)


def test_what_the_model_declares(scenario):
    given = sample(table(scenario))
    assert_moments(np.log(given["death_rate"]), np.log(0.5), 0.3**2)
    share = given["alive_share"]
    assert_moments(np.log(share / (1 - share)), np.log(9), 0.25)
    law = truncated(10, 2, 1, 30)
    assert_moments(given["shedding_rate"], law.mean(), law.var())


LISTED = {
    "normal(10, 2) 1": (10.0, 4.0, 3.0),
    "lognormal(ln(10), 0.5) 1": (10 * np.exp(0.125), 100 * np.exp(0.25) * (np.exp(0.25) - 1), 9.0),
    "uniform(2, 6) 1": (4.0, 16 / 12, 1.8),
    "exp(uniform(ln(1), ln(10))) 1": (9 / np.log(10), 99 / (2 * np.log(10)) - (9 / np.log(10)) ** 2, 3.0),
    "piecewise(normal(0, 1), bernoulli(0.25) > 0, normal(8, 1)) 1": (6.0, 1 + 64 * 0.25 * 0.75, 2.4),
}


@pytest.mark.parametrize("text", LISTED)
def test_what_a_scenario_declares(scenario, text):
    unit = "vp/cell/d"
    made = table(
        scenario, **{"population.vary": "listed", "population.distribution": {"shedding_rate": text[:-1] + unit}}
    )
    mean, variance, kurtosis = LISTED[text]
    assert_moments(sample(made)["shedding_rate"], mean, variance, kurtosis)


def test_bounds_hold():
    values = parse("normal(0, 1, -0.5, 2)", where="x").values([np.linspace(1e-12, 1 - 1e-12, 1001)])
    assert values.min() >= -0.5
    assert values.max() <= 2


def test_an_empirical_table(scenario):
    (scenario.parent / "seen.csv").write_text("x,y\n1,10\n2,20\n4,40\n")
    how = {"table": "seen.csv", "unit": "1/d"}
    wanted = {"clearance_rate": {**how, "column": "x"}, "death_rate": {**how, "column": "y"}}
    given = sample(table(scenario, **{"population.vary": "listed", "population.distribution": wanted}))
    np.testing.assert_array_equal(given["death_rate"], 10 * given["clearance_rate"])
    shares = [np.mean(given["clearance_rate"] == v) for v in (1, 2, 4)]
    np.testing.assert_allclose(shares, 1 / 3, atol=3 * np.sqrt(2 / 9 / N))


def group(**matrix):
    return {"population.correlation": [{"between": ["death_rate", "alive_share"], **matrix}]}


def test_correlations(scenario):
    given = sample(table(scenario, **group(correlation=[[1.0, -0.7], [-0.7, 1.0]])))
    x, y = np.log(given["death_rate"]), np.log(given["alive_share"] / (1 - given["alive_share"]))
    found = np.corrcoef(x, y)[0, 1]
    assert abs(found + 0.7) < 3 * (1 - 0.7**2) / np.sqrt(N)
    assert_moments(x, np.log(0.5), 0.3**2)
    assert abs(np.corrcoef(x, given["shedding_rate"])[0, 1]) < 3 / np.sqrt(N)


def test_covariances_replace_the_spreads(scenario):
    given = sample(table(scenario, **group(covariance=[[0.04, 0.03], [0.03, 0.09]])))
    x, y = np.log(given["death_rate"]), np.log(given["alive_share"] / (1 - given["alive_share"]))
    assert_moments(x, np.log(0.5), 0.04)
    assert_moments(y, np.log(9), 0.09)
    assert abs(np.cov(x, y)[0, 1] - 0.03) < 3 * np.sqrt((0.04 * 0.09 + 0.03**2) / N)


def test_more_subjects_arms_points_and_parameters_change_no_other_value(scenario):
    whole = scenario.read_text()
    few = sample(table(scenario, **{"population.size": 50}))
    scenario.write_text(whole)
    made = expand_runs(load_inputs(scenario))
    for part in rows(made, 0, made.size):
        subject = part.members % 350
        first = subject < 50
        np.testing.assert_array_equal(part.given["death_rate"][first], few["death_rate"][subject[first]])
    other = expand_runs(load_inputs(scenario, overrides={"population.same_in_every_arm": False}))
    one, half = rows(other, 0, other.size)
    assert np.abs(np.corrcoef(one.given["death_rate"][:350], half.given["death_rate"][:350])[0, 1]) < 0.2


def test_another_seed_is_another_population(scenario):
    made = expand_runs(load_inputs(scenario, seed=1)), expand_runs(load_inputs(scenario, seed=2))
    one, two = (rows(m, 0, 350)[0].given["death_rate"] for m in made)
    assert (one != two).all()


def test_uncertainty_is_nested_over_subjects(scenario):
    draws, subjects = 40, 100
    unknown = {"draws": draws, "vary": "listed", "distribution": {"death_rate": "lognormal(ln(0.5), 0.8) 1/d"}}
    made = table(scenario, **{"population.size": subjects, "population.uncertainty": unknown})
    assert made.shape == {"arm": 1, "draw": draws, "subject": subjects, "replicate": 1}
    values = np.log(sample(made)["death_rate"]).reshape(draws, subjects)
    # the same deviations in every draw, around another typical value
    np.testing.assert_allclose(values - values[:1], (values - values[:1])[:, :1] * np.ones(subjects), atol=1e-12)
    typical = (values - values.mean(axis=1, keepdims=True)[:1])[:, 0]
    assert 0.8 * (1 - 3 / np.sqrt(2 * draws)) < typical.std(ddof=1) < 0.8 * (1 + 3 / np.sqrt(2 * draws))


def test_occasions_vary_within_a_subject_and_are_not_transposed(scenario):
    occasions = {"every": "2 d", "spread": {"clearance_rate": 0.4}}
    made = table(scenario, **{"population.occasions": occasions, "output.keep": ["clearance_rate"],
                              "output.summary": [], "time.every": "0.5 d"})  # fmt: skip
    found = compute(made, label(made), 0, made.size).curves["clearance_rate"]
    log = np.log(found / 2.0)
    levels = log[:, [0, 4, 8, 12, 16]]
    for k in range(5):
        assert_moments(levels[:, k], 0.0, 0.16)
        np.testing.assert_allclose(log[:, 4 * k : 4 * k + 4], levels[:, [k] * 4], atol=1e-9)
    off = np.corrcoef(levels.T)[~np.eye(5, dtype=bool)]
    assert np.abs(off).max() < 4 / np.sqrt(N)


def test_the_error_of_an_assay(scenario):
    made = table(scenario, **{"population.residual": {"blood_virus": "proportional(0.2)"}, "population.replicates": 2})
    found = compute(made, label(made), 0, 2000)
    ratio = found.curves["blood_virus.observed"][:, 1:] / found.curves["blood_virus"][:, 1:] - 1
    assert_moments(ratio.ravel(), 0.0, 0.04)
    one, two = ratio[0::2].ravel(), ratio[1::2].ravel()
    assert abs(np.corrcoef(one, two)[0, 1]) < 4 / np.sqrt(one.size)


@pytest.mark.parametrize("how", ["locf", "nocb", "linear"])
@pytest.mark.parametrize("method", ["rosenbrock", "lsoda"])
def test_a_quantity_that_changes_over_time(scenario, how, method):
    """Cells die at a rate that changes: their number is exp(-integral of the rate)."""
    text = scenario.read_text()
    scenario.write_text(text[: text.index("[[arm]]")])
    course = {"at": ["0 d", "4 d", "8 d"], "values": ["0.1 1/d", "0.9 1/d", "0.3 1/d"], "interpolation": how}
    changes = {"dose.product.count": 1, "solver.rtol": 1e-8, "solver.method": method, "output.keep": ["blood_cells"]}
    made = expand_runs(load_inputs(scenario, overrides={"varying.death_rate": course, **changes}))
    found = compute(made, label(made), 0, 1).curves["blood_cells"][0]
    t = np.linspace(0, 10, 100001)
    knots, values = np.array([0.0, 4.0, 8.0]), np.array([0.1, 0.9, 0.3])
    if how == "linear":
        rate = np.interp(t, knots, values)
    elif how == "locf":
        rate = values[np.searchsorted(knots, t, side="right") - 1]
    else:
        rate = values[np.minimum(np.searchsorted(knots, t, side="left"), 2)]
    integral = np.concatenate([[0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(t))])
    np.testing.assert_allclose(found, 2e7 * np.exp(-np.interp(made.times, t, integral)), rtol=1e-4)


COURSES = "subject,time h,value 1/d\n1,0,0.1\n1,96,0.9\n2,0,0.4\n3,0,0.2\n3,48,0.6\n3,144,0.3\n"


def by_subject(scenario, text, **changes):
    scenario.with_name("death.csv").write_text(text)
    course = {"table": "death.csv", "interpolation": "locf"}
    kept = {"dose.product.count": 1, "solver.rtol": 1e-8, "output.keep": ["blood_cells"]}
    return expand_runs(load_inputs(scenario, overrides={"varying.death_rate": course, **kept, **changes}))


def test_a_quantity_that_changes_in_each_subject_in_its_own_way(scenario):
    text = scenario.read_text()
    scenario.write_text(text[: text.index("[[arm]]")] + '[population]\nsize = 3\nvary = "listed"\n')
    made = by_subject(scenario, COURSES)
    found = compute(made, label(made), 0, 3).curves["blood_cells"]
    t = made.times
    integrals = [
        0.1 * np.minimum(t, 4) + 0.9 * np.maximum(t - 4, 0),
        0.4 * t,
        0.2 * np.minimum(t, 2) + 0.6 * np.clip(t - 2, 0, 4) + 0.3 * np.maximum(t - 6, 0),
    ]
    np.testing.assert_allclose(found / found[:, :1], np.exp(-np.array(integrals)), rtol=1e-5)
    # the same subject alone, in a chunk of its own
    alone = compute(made, label(made), 2, 3).curves["blood_cells"]
    assert (alone[0] == found[2]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (COURSES.replace("2,0,0.4\n", ""), "death_rate table: found no row of subject 2, expected rows of every"),
        (COURSES.replace("value 1/d", "value"), "line 2 death_rate: found 0.1 without a unit"),
        (COURSES.replace("value 1/d", "value kg"), "kg"),
        (COURSES.replace("3,48,0.6", "3,48,none"), "line 6 value: found 'none', expected a finite number"),
        (COURSES.replace("3,144", "3,24"), "subject 3: found the times 0, 2, 1, expected times that increase"),
        (COURSES.replace("subject,", "patient,"), "found the columns patient, time h, value 1/d"),
        ("", "found an empty file (0 bytes)"),
        (COURSES.replace("2,0,0.4", ",0,0.4"), "line 4: found no subject"),
    ],
)
def test_mistakes_in_courses_by_subject(scenario, text, message):
    made = scenario.read_text()
    scenario.write_text(made[: made.index("[[arm]]")] + '[population]\nsize = 3\nvary = "listed"\n')
    with pytest.raises(InputError, match=re.escape(message)):
        by_subject(scenario, text)
