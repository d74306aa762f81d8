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
}


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
    """
    names = dict.fromkeys(name for name, _ in metrics)
    values = metric_values(
        {name: np.asarray(trajectories[name].values, dtype=np.float64) for name in names}, metrics,
        np.asarray(trajectories["time"].values, dtype=np.float64),
        {name: limit for name in names if (limit := trajectories[name].attrs.get("limit_of_detection")) is not None},
    )  # fmt: skip
    unit = str(trajectories["time"].attrs["units"])
    described = {name: (str(trajectories[name].attrs["units"]), str(trajectories[name].attrs["long_name"])) for name in names}
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
    if metric in ("time_of_peak", "time_above_lod"):
        return unit_of_time
    return f"{units}*{unit_of_time}" if metric == "auc" else units


def _peak(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    return values.max(axis=1)


def _minimum(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    return values.min(axis=1)


def _end(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    return values[:, -1]


def _time_of_peak(values: FloatArray, times: FloatArray, limit: FloatArray) -> FloatArray:
    failed = np.isnan(values).any(axis=1)
    return np.where(failed, np.nan, times[np.argmax(values, axis=1)])


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


_METRICS: dict[str, Callable[[FloatArray, FloatArray, FloatArray], FloatArray]] = {
    "peak": _peak,
    "minimum": _minimum,
    "end": _end,
    "time_of_peak": _time_of_peak,
    "auc": _auc,
    "time_above_lod": _time_above_lod,
}
