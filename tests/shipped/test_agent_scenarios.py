"""Every shipped scenario of an agent model: it is valid, its beginning runs, and its arms do what they say."""

from functools import cache

import numpy as np
import pytest

from atmpsim.resources import shipped_agent_models, shipped_scenarios
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.rows import rows
from atmpsim.scenario.table import expand_runs
from atmpsim.study.run import execute

SCENARIOS = sorted(k for k, p in shipped_scenarios().items() if 'engine = "agents"' in p.read_text(encoding="utf-8"))


@cache
def table(name):
    return expand_runs(load_inputs(name))


def test_there_are_some():
    assert len(SCENARIOS) >= 5
    assert {table(name).scenario.model for name in SCENARIOS} == {m for m in shipped_agent_models() if m[-3:] != "_3d"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_valid_and_says_what_it_is_for(name):
    made = table(name)
    assert made.scenario.title
    assert made.scenario.question.endswith("?")
    assert made.scenario.context_of_use
    assert made.scenario.output.summary
    assert made.scenario.agents.snapshots
    assert all(run.schedule.after_end == 0 for run in made.runs)


@pytest.mark.parametrize("name", SCENARIOS)
def test_its_first_hour_runs(name):
    first = {"time.end": "1 h", "time.every": "30 min", "agents.snapshots": ["0 h", "1 h"], "population.replicates": 1,
             "output.keep": "all"}  # fmt: skip
    said = load_inputs(name)
    first |= {f"sweep.{k}": v[-1:] for k, v in said.raw.get("sweep", {}).items() if isinstance(v, list)}
    first |= {f"dose.{d['name']}.count": 1 for d in said.raw.get("dose", [])}
    inputs = load_inputs(name, overrides=first)
    tree = execute(expand_runs(inputs), inputs)
    assert not tree["status"]["status"].values.any(), tree["status"]["message"].values
    for key, values in tree["trajectories"].data_vars.items():
        assert "_infections_per_" in key or np.isfinite(values.values).all(), key
    assert tree["cells"].sizes["cell"] > 100
    assert all(np.isfinite(field.values).all() for field in tree["fields"].data_vars.values())


def test_shares_of_stroma_are_what_the_sweep_says():
    made = table("celyvir-tumour-stroma")
    given = [dict(group.given) for k in range(3) for group in rows(made, k, k + 1)]
    stroma, tumour = (np.array([float(np.ravel(g[name])[0]) for g in given]) for name in ("stroma", "tumour"))
    np.testing.assert_allclose(stroma / (stroma + tumour), [0.0, 0.2, 0.4], atol=1e-3)
    start = made.model.species
    np.testing.assert_array_equal(stroma + tumour, start["stroma"].value + start["tumour"].value)
