"""Summaries of metrics over the subjects, replicates and draws of each arm and point, with Monte-Carlo error."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import xarray as xr

REDUCED = ("subject", "replicate", "draw")


def describe_metrics(summary: xr.Dataset) -> list[dict[str, Any]]:
    """Return one row for each metric and place (arm, point of the sweep): mean, its error, and quantiles.

    `runs` counts those that did not fail. `mean_error` is the standard error of the mean: draws and subjects are
    crossed, so the variances of the means over each add up. Where the same patients are in every arm, differences
    between arms are known better than it says.
    """
    rows = []
    for name, variable in summary.data_vars.items():
        outer = [str(d) for d in variable.dims if d not in REDUCED]
        ordered = variable.transpose(*outer, ...)
        for place in itertools.product(*(range(ordered.sizes[d]) for d in outer)):
            inside = ordered[dict(zip(outer, place, strict=True))]
            values = np.asarray(inside.values, dtype=np.float64).ravel()
            rows.append({
                "metric": str(name), "meaning": str(variable.attrs.get("long_name", name)),
                "unit": str(variable.attrs.get("units", "")), "where": _place(ordered, outer, place),
                **describe_values(values), "mean_error": _error(inside),
            })  # fmt: skip
    return rows


def _error(values: xr.DataArray) -> float | None:
    """Return the standard error of the mean, None where one run cannot tell it."""
    dims = [d for d in ("draw", "subject") if values.sizes.get(d, 1) > 1] or ["replicate"]
    variance = 0.0
    for dim in dims:
        means = values.mean([d for d in values.dims if d != dim], skipna=True).values
        known = means[np.isfinite(means)]
        if known.size < 2:
            return None
        variance += float(known.var(ddof=1)) / known.size
    return math.sqrt(variance)


def _place(variable: xr.DataArray, dims: list[str], place: tuple[int, ...]) -> str:
    said = []
    for dim, position in zip(dims, place, strict=True):
        label = variable.coords[dim].values[position]
        text = f"{label:.4g}" if isinstance(label, float) else str(label)
        said.append(text if dim == "arm" else f"{dim} {text}")
    return ", ".join(said)


def describe_values(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return count, mean, standard deviation and quantiles of what is not NaN; None where there is nothing.

    Examples
    --------
    >>> describe_values(np.array([1.0, 3.0, np.nan]))["mean"]
    2.0
    """
    known = values[np.isfinite(values)]
    made: dict[str, Any] = {"runs": int(known.size)}
    if not known.size:
        return made | dict.fromkeys(("mean", "sd", "p5", "median", "p95"))
    sd = float(known.std(ddof=1)) if known.size > 1 else None
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95))
    return made | {
        "mean": float(known.mean()), "sd": sd,
        "p5": float(low), "median": float(middle), "p95": float(high),
    }  # fmt: skip
