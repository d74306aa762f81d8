"""`simulate` of an agent model: the same run as a scenario's, batches, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import atmpsim
from atmpsim import Dose, InputError, simulate


def layer(**given):
    return simulate("celyvir_tumour", **{"times": [0.0, 60.0, 120.0], "initial": {"tumour": 300, "stroma": 0}, **given})


def test_a_batch_with_doses():
    doses = [Dose(into="carrier", amount=5, time="1 h")]
    found = layer(parameters={"carrier.clock_mean": [20.0, 3600.0]}, doses=doses, select=["carrier", "carrier_entries"])
    assert found.sizes == {"run": 2, "time": 3}
    np.testing.assert_array_equal(found["carrier_entries"], [[0, 0, 5], [0, 0, 5]])
    assert found["carrier"].values[0, 2] < found["carrier"].values[1, 2] == 5
    assert found["carrier"].attrs["units"] == "cell"
    assert found["time"].attrs["units"] == "min"
    assert found["carrier.clock_mean"].values.tolist() == [20.0, 3600.0]
    assert not found["status"].values.any()


def test_the_same_as_a_scenario(tmp_path):
    text = """\
schema = 1
title = "x"
model = "celyvir_tumour"
engine = "agents"
time = { end = "60 min", every = "30 min" }
initial = { tumour = "300 cell", stroma = "0 cell" }
[[dose]]
name = "carriers"
into = "carrier"
amount = "5 cell"
[output]
keep = ["tumour", "T_cell", "interferon"]
"""
    (tmp_path / "same.toml").write_text(text)
    tree = atmpsim.run(tmp_path / "same.toml", seed=7)["trajectories"].to_dataset().squeeze()
    found = layer(times=[0.0, 30.0, 60.0], doses=[Dose(into="carrier", amount=5)], seed=7)
    for name in ("tumour", "T_cell", "interferon"):
        np.testing.assert_array_equal(found[name], tree[name], err_msg=name)


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ({"rtol": 1e-3}, "the option 'rtol'", "models of equations"),
        ({"sample": "before"}, "the option 'sample'", "models of equations"),
        ({"doses": [Dose(into="virus", amount=3)]}, "substrate 'virus'", "doses of cells"),
        ({"doses": [Dose(into="carriers", amount=3)]}, "'carriers'", "Did you mean 'carrier'"),
        ({"doses": [Dose(into="carrier", amount=2.5)]}, "2.5 cells", "a whole number"),
        ({"doses": [Dose(into="carrier", amount=1e9)]}, "1000000000 cells that arrive", "at most"),
        ({"parameters": {"carrier.clock": 3.0}}, "'carrier.clock'", "Did you mean 'carrier.clock_mean'"),
        ({"parameters": {"tissue": 3.0}}, "'tissue'", "a number that the files set"),
        ({"parameters": {"virus.decay": -1.0}}, "-1 1/min", "at least 0"),
        ({"initial": {"[carrier]": 1}}, "'[carrier]'", "a cell type"),
        ({"initial": {"carrier": 1e9}}, "cells", r"at most 1e\+08"),
        ({"initial": {"carrier": "3 vp"}}, "3.0 vp", "a quantity in cell"),
        ({"select": ["carriers"]}, "'carriers'", "Did you mean 'carrier'"),
        ({"times": [0.05]}, "0.05 min", "multiples of the mechanics step"),
        ({"seed": -1}, "-1", "from 0 to"),
    ],
)
def test_refusals(given, found, expected):
    with pytest.raises(InputError, match=expected) as caught:
        layer(**given)
    assert found in str(caught.value)


def test_equations_have_no_seed():
    with pytest.raises(InputError, match="nothing in this model is drawn"):
        simulate("celyvir", times=[0.0, 1.0], seed=1)


def test_a_stopped_run_is_nan_from_there_and_warns(tmp_path, monkeypatch):
    monkeypatch.setattr("atmpsim.engines.agents_world.World.bytes_per_cell", lambda self: 2**62)
    with pytest.warns(RuntimeWarning, match="would exceed"):
        found = layer(parameters={"tumour.cycle_entry": 0.1})
    assert found["status"] == 6
    assert np.isnan(found["tumour"].values[-1])
