"""Metrics of each run, computed from the stored trajectories alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_WORDS = {
    "time_of_peak": "time of peak",
    "auc": "area under the curve",
    "time_above_lod": "time above limit of detection",
    "last_above_lod": "last time above limit of detection",
    "half_life": "terminal half-life",
    "time_to_half": "time to half of the start",
    "change": "end over start, minus 1",
}
_TIMES = ("time_of_peak", "time_above_lod", "last_above_lod", "half_life", "time_to_half")
_TERMINAL = 3  # samples at least in the terminal phase


def summarise(trajectories: xr.Dataset, metrics: Sequence[tuple[str, str]]) -> xr.Dataset:
    """Return one variable `<id>.<metric>` per wanted metric over the dimension `run`; NaN for failed runs.

    Metrics
    -------
    peak, minimum, end
        Largest, smallest and last sample.
    time_of_peak
        Time of the largest sample.
    auc
        Area under the samples by trapezoids.
    time_above_lod
        Time spent above the variable's limit of detection, crossings interpolated between samples.
    last_above_lod
        The last time above it: persistence; 0 where it never was.
    half_life
        Of the last third of the samples after the peak (at least three), by least squares on logarithms; NaN where
        the variable does not fall there, or is not positive.
    change
        Last sample over the first, minus 1.
    time_to_half
        First time at or below half of the first sample, interpolated; NaN where it never is.
    """
    names = dict.fromkeys(name for name, _ in metrics)
    values = metric_values(
        {name: np.asarray(trajectories[name].values, dtype=np.float64) for name in names}, metrics,
        np.asarray(trajectories["time"].values, dtype=np.float64),
        {name: limit for name in names if (limit := trajectories[name].attrs.get("limit_of_detection")) is not None},
    )  # fmt: skip
    unit = str(trajectories["time"].attrs["units"])
    described = {
        name: (str(trajectories[name].attrs["units"]), str(trajectories[name].attrs["long_name"])) for name in names
    }
    return label_metrics(values, metrics, described, unit_of_time=unit)


def metric_values(
    curves: Mapping[str, FloatArray], metrics: Sequence[tuple[str, str]], times: FloatArray, limits: Mapping[str, float]
) -> dict[str, FloatArray]:
    """Return the value of each metric, by `<id>.<metric>`, of curves of shape (run, time)."""
    return {
        f"{name}.{metric}": _METRICS[metric](curves[name], times, np.asarray(limits.get(name, np.nan)))
        for name, metric in metrics
    }


def label_metrics(
    values: Mapping[str, FloatArray], metrics: Sequence[tuple[str, str]], described: Mapping[str, tuple[str, str]],
    *, unit_of_time: str,
) -> xr.Dataset:  # fmt: skip
    """Return metrics as variables over `run`; `described` gives unit and display name of each curve."""
    made = {}
    for name, metric in metrics:
        units, long_name = described[name]
        attributes = {
            "units": _units(units, unit_of_time, metric), "long_name": f"{long_name}: {_WORDS.get(metric, metric)}"
        }  # fmt: skip
        made[f"{name}.{metric}"] = ("run", values[f"{name}.{metric}"], attributes)
    return xr.Dataset(made)


def _units(units: str, unit_of_time: str, metric: str) -> str:
    if metric in _TIMES:
        return unit_of_time
    if metric == "change":
        return "1"
    return f"{units}*{unit_of_time}" if metric == "auc" else units


def _peak(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    return _over_known(np.fmax, values)


def _minimum(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    return _over_known(np.fmin, values)


def _over_known(function: np.ufunc, values: FloatArray) -> FloatArray:
    """Reduce what is known of each curve: ratios begin as 0/0; what is unknown at the end belongs to a failed run."""
    return np.where(np.isnan(values[:, -1]), np.nan, function.reduce(values, axis=1))


def _end(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    return values[:, -1]


def _time_of_peak(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    known = np.where(np.isnan(values), -np.inf, values)
    return np.where(np.isnan(values[:, -1]), np.nan, times[np.argmax(known, axis=1)])


def _auc(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    return np.asarray(np.trapezoid(values, times, axis=1))


def _time_above_lod(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    above = values - (limit[:, None] if limit.ndim else limit)
    left, right = above[:, :-1], above[:, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = np.clip(np.maximum(left, right) / np.abs(right - left), 0.0, 1.0)
    share = np.where((left > 0) & (right > 0), 1.0, np.where((left > 0) | (right > 0), crossing, 0.0))
    failed = np.isnan(values).any(axis=1)
    return np.where(failed, np.nan, (share * np.diff(times)).sum(axis=1))


def _last_above_lod(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    above = values - limit
    made = np.zeros(len(values))
    for k in range(1, times.size):  # the crossings of later samples replace those of earlier ones
        left, right = above[:, k - 1], above[:, k]
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = times[k - 1] + (times[k] - times[k - 1]) * left / (left - right)
        made = np.where(right > 0, times[k], np.where(left > 0, crossing, made))
    return np.where(np.isnan(values).any(axis=1), np.nan, made)


def _half_life(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    made = np.full(len(values), np.nan)
    for row, curve in enumerate(values):
        if np.isnan(curve).any():
            continue
        after = times.size - int(curve.argmax())
        own = slice(times.size - max(_TERMINAL, after // 3), None)
        if after < _TERMINAL or (curve[own] <= 0).any():
            continue
        slope = np.polyfit(times[own], np.log(curve[own]), 1)[0]
        made[row] = -np.log(2) / slope if slope < 0 else np.nan
    return made


def _change(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(values[:, -1] / values[:, 0] - 1.0)


def _time_to_half(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    half = 0.5 * values[:, :1]
    below = values <= half
    first = below.argmax(axis=1)
    rows, before = np.arange(len(values)), np.maximum(first - 1, 0)
    left, right = values[rows, before] - half[:, 0], values[rows, first] - half[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(first > 0, left / (left - right), 0.0)
    found = times[before] + share * (times[first] - times[before])
    return np.where(below.any(axis=1) & ~np.isnan(values).any(axis=1), found, np.nan)


_METRICS: dict[str, Callable[[FloatArray, FloatArray, FloatArray], FloatArray]] = {
    "peak": _peak,
    "minimum": _minimum,
    "end": _end,
    "time_of_peak": _time_of_peak,
    "auc": _auc,
    "time_above_lod": _time_above_lod,
    "last_above_lod": _last_above_lod,
    "half_life": _half_life,
    "time_to_half": _time_to_half,
    "change": _change,
}
