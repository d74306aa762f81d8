"""Figures of a sweep's metrics: a heat map over two axes, and a tornado of a sweep of one axis at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from atmpsim.errors import ResultError, did_you_mean, one_of
from atmpsim.plots import style

_INNER = ("subject", "replicate", "draw")
_WHERE = "figure"
_LOG_FROM = 30.0  # times that the largest value is the smallest one


def plot_map(tree: xr.DataTree, metric: str, *, over: Sequence[str] | None = None) -> Figure:
    """Return a heat map of the median of a metric over two swept axes, one panel for each arm.

    Parameters
    ----------
    metric
        A variable of `/summary`, such as `tumour_volume.end`.
    over
        The two axes, horizontal first; the first two of the sweep by default.

    Raises
    ------
    ResultError
        If there is no such metric, or not two such axes.
    """
    values = chosen_metric(tree, metric)
    axes_found = [str(d) for d in values.dims if d not in (*_INNER, "arm")]
    wanted = list(over) if over is not None else axes_found[:2]
    if len(wanted) != 2 or not {*wanted} <= {*axes_found}:
        raise ResultError(where=_WHERE, found=f"the axes {', '.join(wanted) or 'none'}", expected="two swept axes: "
                          + one_of(axes_found), remedy="A heat map needs a grid of two axes.")  # fmt: skip
    across, up = wanted
    reduced = values.median([d for d in values.dims if d not in (*wanted, "arm")]).transpose("arm", up, across)
    arms = reduced["arm"].values
    figure = Figure(figsize=(1.2 + 3.0 * len(arms), 3.3), dpi=150, facecolor="white", layout="constrained")
    norm = _norm(reduced.values)
    for k, arm in enumerate(arms):
        panel = figure.add_subplot(1, len(arms), k + 1)
        image = panel.pcolormesh(
            reduced.sel(arm=arm).values, cmap="cividis", norm=norm, edgecolors="white", linewidth=0.4
        )
        _label_cells(panel, reduced, across, up, first=k == 0)
        if len(arms) > 1:
            panel.set_title(str(arm), fontsize=style.LABEL, fontfamily=style.FONT)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.9)
    said = style.axis_label(f"median of {values.attrs['long_name']}", str(values.attrs["units"]))
    bar.set_label(said, fontsize=style.LABEL, fontfamily=style.FONT)
    bar.ax.tick_params(labelsize=style.TICK)
    figure.suptitle(str(tree.attrs.get("title", "")), fontsize=style.QUESTION, fontfamily=style.FONT)
    return figure


def _norm(values: np.ndarray) -> Normalize:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return LogNorm(low, high) if low > 0 and high / low > _LOG_FROM else Normalize(low, high)


def _label_cells(panel: Axes, values: xr.DataArray, across: str, up: str, *, first: bool) -> None:
    for name, axis in ((across, panel.xaxis), (up, panel.yaxis)):
        given, power = values[name].values, _power(values[name].values)
        labels = [style.number_label(round(v / 10.0**power, 4)) if power is not None else str(v) for v in given]
        axis.set_ticks(np.arange(len(labels)) + 0.5, labels)
        axis.set_tick_params(labelsize=style.TICK, length=0)
    panel.set_xlabel(_axis_name(values, across), fontsize=style.LABEL, fontfamily=style.FONT)
    if first:
        panel.set_ylabel(_axis_name(values, up), fontsize=style.LABEL, fontfamily=style.FONT)


def _power(values: np.ndarray) -> int | None:
    """Return the power of ten by which an axis of numbers is divided; None for texts."""
    if values.dtype.kind not in "fi":
        return None
    largest = float(np.nanmax(np.abs(values)))
    return 3 * math.floor(math.log10(largest) / 3) if largest >= 1e4 or 0 < largest < 1e-2 else 0


def _axis_name(values: xr.DataArray, name: str, *, plain: bool = False) -> str:
    power = 0 if plain else _power(values[name].values) or 0
    words = name.removeprefix("parameters.").removeprefix("dose.")
    return style.axis_label(words, str(values[name].attrs.get("units", "")), exponent=power)


def plot_tornado(tree: xr.DataTree, metric: str, *, arm: str | None = None) -> Figure:
    """Return a tornado: how far each axis of a sweep of one at a time moves the median of a metric.

    Raises
    ------
    ResultError
        If there is no such metric or arm, or the sweep has another design.
    """
    values = chosen_metric(tree, metric)
    arms = [str(a) for a in values["arm"].values]
    if arm is not None and arm not in arms:
        raise ResultError(where=_WHERE, found=f"the arm '{arm}'", expected=one_of(arms), remedy=did_you_mean(arm, arms))
    names = [str(k) for k, c in values.coords.items() if c.dims == ("point",) and k != "point"]
    chosen = values.sel(arm=arm or arms[0])
    medians = chosen.median([d for d in chosen.dims if d != "point"])
    swept = np.stack([_given(values[name]) for name in names]) if names else np.zeros((0, 0), dtype=bool)
    if not names or swept[:, 0].any() or (swept.sum(axis=0) > 1).any():
        raise ResultError(where=_WHERE, found="a sweep of another design", expected='design = "one_at_a_time"')
    return _tornado(tree, values, medians.values, names, swept)


def _given(coordinate: xr.DataArray) -> np.ndarray:
    """Return at which points an axis has a value of its own."""
    values = coordinate.values
    return np.isfinite(values) if values.dtype.kind == "f" else np.array([bool(str(v)) for v in values])


def _tornado(
    tree: xr.DataTree, values: xr.DataArray, medians: np.ndarray, names: Sequence[str], swept: np.ndarray
) -> Figure:
    base = float(medians[0])
    spans = {name: medians[own] for name, own in zip(names, swept, strict=True)}
    order = sorted(names, key=lambda name: float(np.ptp(spans[name])))
    figure = Figure(figsize=(6.0, 1.1 + 0.28 * len(names)), dpi=150, facecolor="white", layout="constrained")
    panel = figure.add_subplot()
    for row, name in enumerate(order):
        points = values[name].values[swept[names.index(name)]]
        for label, value in zip(points, spans[name], strict=True):
            colour = style.VARIABLE_COLOURS[0 if value >= base else 1]
            panel.barh(row, value - base, left=base, color=colour, height=0.6, alpha=0.75)
            text = f"{label:.3g}" if isinstance(label, float) else str(label)
            side = "left" if value >= base else "right"
            panel.annotate(text, (value, row), ha=side, va="center", fontsize=style.SMALL, color=style.INK,
                           xytext=(2 if value >= base else -2, 0), textcoords="offset points")  # fmt: skip
    panel.axvline(base, color=style.INK, linewidth=0.8)
    panel.set_yticks(range(len(order)), [_axis_name(values, name, plain=True) for name in order], fontsize=style.TICK)
    panel.margins(x=0.12)
    panel.tick_params(axis="x", labelsize=style.TICK)
    said = style.axis_label(f"median of {values.attrs['long_name']}", str(values.attrs["units"]))
    panel.set_xlabel(said, fontsize=style.LABEL, fontfamily=style.FONT)
    panel.set_title(str(tree.attrs.get("title", "")), fontsize=style.QUESTION, fontfamily=style.FONT)
    return figure


def chosen_metric(tree: xr.DataTree, metric: str) -> xr.DataArray:
    """Return a metric of a result.

    Raises
    ------
    ResultError
        If there is none of that name.
    """
    summary = tree["summary"].to_dataset() if "summary" in tree.children else xr.Dataset()
    if metric not in summary:
        names = list(map(str, summary.data_vars))
        raise ResultError(where=f"{_WHERE} metric", found=f"'{metric}'", expected=one_of(names),
                          remedy=did_you_mean(metric, names))  # fmt: skip
    return summary[metric]
