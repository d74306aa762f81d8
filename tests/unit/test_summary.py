"""Metrics of the summary against values computed by hand, and against a fine grid."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from atmpsim.results.dataset import trajectories
from atmpsim.results.summary import summarise
from atmpsim.results.variables import Variable

TIMES = np.array([0.0, 1.0, 3.0, 4.0])
LIMIT = 2.0


def metric(name: str, cells: object) -> xr.DataArray:
    """Return a metric of runs sampled at 0, 1, 3 and 4 d."""
    described = {"cells": Variable(name="cells", units="cell", long_name="cells")}
    curves = trajectories(
        {"cells": np.atleast_2d(np.array(cells, dtype=float))}, times=TIMES, time_units="d", variables=described,
        detection={"cells": LIMIT},
    )  # fmt: skip
    return summarise(curves, [("cells", name)])[f"cells.{name}"]


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        ([0, 4, 4, 0], 0.5 + 2 + 0.5),
        ([4, 0, 0, 4], 0.5 + 0.5),
        ([3, 3, 3, 3], 4),
        ([1, 1, 1, 1], 0),
        ([2, 2, 2, 2], 0),
        ([0, 2, 2, 0], 0),
        ([2, 4, 2, 0], 1 + 2),
        ([0, 8, 0, 0], 0.75 + 1.5),
        ([0, 0, 0, 3], 1 / 3),
        ([0, 4, np.nan, np.nan], np.nan),
    ],
)
def test_time_above_the_limit_by_hand(cells, days):
    np.testing.assert_allclose(metric("time_above_lod", cells), [days], rtol=1e-14)


@pytest.mark.parametrize(("name", "wanted"), [("peak", 4.0), ("minimum", 1.0), ("time_of_peak", 3.0)])
def test_a_ratio_counts_from_where_it_is_known(name, wanted):
    """Infections per lysis are 0/0 before the first lysis."""
    assert metric(name, [np.nan, 1, 4, 2]).item() == wanted


def test_time_above_the_limit_against_a_fine_grid():
    cells = np.random.default_rng(1).uniform(0, 4, size=(20, 4))
    fine = np.linspace(0, 4, 400_001)
    counted = [4 * np.mean(np.interp(fine, TIMES, row) > 2) for row in cells]
    np.testing.assert_allclose(metric("time_above_lod", cells), counted, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "wanted", "unit"),
    [
        ("peak", [4, 4, np.nan, 9], "cell"),
        ("minimum", [0, 1, np.nan, 0], "cell"),
        ("end", [0, 4, np.nan, 9], "cell"),
        ("time_of_peak", [1, 4, np.nan, 4], "d"),
        ("auc", [2 + 8 + 2, 1.5 + 5 + 3.5, np.nan, 4.5], "cell*d"),
        ("time_above_lod", [3, 3, np.nan, 7 / 9], "d"),
    ],
)
def test_metrics_by_hand(name, wanted, unit):
    nan = np.nan
    made = metric(name, [[0, 4, 4, 0], [1, 2, 3, 4], [5, nan, nan, nan], [0, 0, 0, 9]])
    np.testing.assert_allclose(made.values, wanted, rtol=1e-14)
    assert made.dims == ("run",)
    assert made.attrs["units"] == unit
    words = name.replace("_", " ").replace("lod", "limit of detection").replace("auc", "area under the curve")
    assert made.attrs["long_name"] == f"cells: {words}"
