"""Every shipped scenario: it is valid, it runs, its numbers are sound, and they do not depend on the tolerance."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from atmpsim.resources import shipped_models, shipped_scenarios
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.table import expand_runs
from atmpsim.study.run import execute

SCENARIOS = sorted(k for k, p in shipped_scenarios().items() if 'engine = "agents"' not in p.read_text())
COUNTED = {"cell", "vp", "copy", "vg"}
SIGNED = {"net_growth", "score_course", "score_course_untreated"}  # a logarithm, and scores before they are cut


@cache
def inputs(name):
    """Return what the scenario says, with every state and rule kept, and few subjects, draws and points."""
    said = load_inputs(name)
    fewer = {"output.keep": "all"}
    if "population" in said.raw:
        fewer["population.size"] = 3
        if "uncertainty" in said.raw["population"]:
            fewer["population.uncertainty"] = {**said.raw["population"]["uncertainty"], "draws": 3}
    for path, values in said.raw.get("sweep", {}).items():
        fewer[f"sweep.{path}"] = {**values, "count": 2} if isinstance(values, dict) else [values[0], values[-1]]
    return load_inputs(name, overrides=fewer)


@cache
def table(name):
    return expand_runs(inputs(name))


@cache
def result(name, factor=1.0):
    """Return the result of every run, the relative tolerance multiplied by a factor."""
    solver = table(name).scenario.solver
    solver = solver.model_copy(update={"rtol": factor * solver.rtol})
    scenario = table(name).scenario.model_copy(update={"solver": solver})
    return execute(replace(table(name), scenario=scenario), inputs(name))


def peaks(values, unit):
    """Return the largest sample of each run; one cell or particle where samples miss the minutes of the peak."""
    largest = np.abs(values).max(axis=1, keepdims=True)
    counted = any(word in COUNTED for word in unit.split("/")[0].split())
    return np.maximum(largest, 1.0 if counted else 1e-12)


def test_there_are_scenarios():
    assert len(SCENARIOS) >= 26
    assert {
        "celyvir-dose-schedule-map", "celyvir-population", "celyvir-weekly", "ms-crossover-144", "msc-indium-human",
        "msc-lung-mouse", "msc-retention-uncertainty", "nct01056471",
    } <= set(SCENARIOS)  # fmt: skip


def test_every_model_has_a_scenario():
    asked = {table(name).scenario.model for name in SCENARIOS}
    assert asked == {name for name in shipped_models() if not name.endswith("_lesions")}


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_valid_and_says_what_it_is_for(name):
    made = table(name)
    assert made.scenario.title
    assert made.scenario.question.endswith("?")
    assert made.scenario.context_of_use
    assert made.scenario.model in shipped_models()
    assert made.scenario.output.summary
    assert made.runs
    planned = {d.name for d in made.scenario.dose if d.role != "rescue"}  # which rules give
    given = {arm.name: planned - set(arm.drop) for arm in made.scenario.arm}
    assert all(bool(run.schedule.log) == bool(given.get(run.arm, made.scenario.dose)) for run in made.runs)
    assert all(run.schedule.after_end == 0 for run in made.runs)


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_runs_and_every_number_is_finite(name):
    tree = result(name)
    assert tree["status"]["status"].values.tolist() == [0] * table(name).size, tree["status"]["message"].values
    assert tree["trajectories"].sizes["time"] == table(name).times.size
    for group in ("trajectories", "summary"):
        assert tree[group].data_vars
        for key, values in tree[group].data_vars.items():
            assert np.isfinite(values.values).all(), key


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_state_falls_below_zero(name):
    """By more than a millionth of its peak: amounts and activities are never negative in these models."""
    model, curves = table(name).model, result(name)["trajectories"]
    for state in {*model.species, *model.rate_rules} - SIGNED:
        values = curves[state].values
        assert (values.min(axis=1) >= -1e-6 * peaks(values, curves[state].attrs["units"])[:, 0]).all(), state


@pytest.mark.parametrize("name", SCENARIOS)
def test_half_the_tolerance_changes_outputs_by_less_than_1e_4_of_the_peak(name):
    default, tighter = (result(name, factor)["trajectories"] for factor in (1.0, 0.5))
    changed = {}
    for key in table(name).model.outputs:
        scale = peaks(tighter[key].values, tighter[key].attrs["units"])
        changed[key] = float((np.abs(default[key].values - tighter[key].values) / scale).max())
    worst = max(changed, key=changed.get)
    print(f"{name}: half the tolerance changes {worst} by {changed[worst]:.1e} of its peak, allowed 1e-4")
    assert 0 < changed[worst] < 1e-4  # not 0: the setting reaches the solver
