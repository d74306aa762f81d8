"""Figures of a stored trial: effects over replicates, Kaplan-Meier, waterfall, swimmers, and the flow of patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atmpsim.errors import ResultError, one_of
from atmpsim.plots import style

KINDS = ("effects", "flow", "kaplan-meier", "waterfall", "swimmer")
_WIDTH, _HEIGHT = 5.4, 3.5
_TREATED = 0
_RATIOS = ("rate ratio", "hazard ratio")


def plot_trial(tree: xr.DataTree, *, kinds: Sequence[str] | None = None, replicate: int = 0) -> Figure:
    """Return the figure of a trial's result.

    Parameters
    ----------
    kinds
        Some of `effects` (estimates of all replicates), `flow` (who reaches which stage), `kaplan-meier` (a line for
        each arm, all replicates together, and its band in one replicate), `waterfall` (each patient's change) and
        `swimmer` (each patient's time on study) of one replicate. By default all that the endpoints allow.
    replicate
        Which replicate is shown where one is.

    Raises
    ------
    ResultError
        If the result is not one of a trial, or there is no such kind, endpoint or replicate.
    """
    if "endpoints" not in tree.children:
        raise ResultError(where="figure of a trial", found="no group 'endpoints'", expected="the result of a trial",
                          remedy="`atmpsim trial` makes one.")  # fmt: skip
    size = tree["patients"].to_dataset().sizes["replicate"]
    if not 0 <= replicate < size:
        raise ResultError(where="figure of a trial", found=f"replicate {replicate}", expected=f"0 to {size - 1}")
    possible = [k for k in KINDS if _DRAW[k][0](tree)]
    for kind in kinds or ():
        if kind not in possible:
            raise ResultError(where="figure of a trial", found=f"'{kind}'", expected=one_of(possible))
    chosen = list(kinds or possible)
    columns = min(2, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows + 0.9), dpi=150, facecolor="white", layout="constrained")
    figure.suptitle(_heading(tree), fontsize=style.TITLE - 2, fontfamily=style.FONT, color=style.INK)
    for k, kind in enumerate(chosen):
        axes = figure.add_subplot(rows, columns, k + 1)
        style.dress(axes)
        _DRAW[kind][1](axes, tree, replicate)
    figure.legend(handles=_key(tree, chosen), loc="outside lower center", ncols=4, fontsize=style.LABEL, frameon=False)
    return figure


def _key(tree: xr.DataTree, chosen: Sequence[str]) -> list[Line2D]:
    """Return one key for all panels: arms, and what swimmers show."""
    made = [Line2D([], [], color=_colour(k), linewidth=3.0, label=name) for k, name in enumerate(_arms(tree))]
    if "swimmer" in chosen:
        made.append(Line2D([], [], marker=">", color=style.INK, linestyle="none", markersize=4, label="left the trial"))
        for number, name in enumerate(_events(tree)):
            made.append(Line2D([], [], marker=style.DOSE_MARKERS[number % 5], color=style.ALARM, linestyle="none",
                               markersize=4, label=name.removeprefix("event.")))  # fmt: skip
    return made


def _events(tree: xr.DataTree) -> list[str]:
    return [str(k) for k in tree["patients"].to_dataset().data_vars if str(k).startswith("event.")]


def _heading(tree: xr.DataTree) -> str:
    caution = str(tree["operating"].to_dataset().attrs.get("caution", ""))
    room = 2 * _WIDTH - 0.4
    title = style.wrapped(str(tree.attrs["title"]), inches=room, size=style.TITLE - 2, lines=2)
    return f"{title}\n{caution}" if caution else title


def _arms(tree: xr.DataTree) -> list[str]:
    return [str(a) for a in np.atleast_1d(tree["patients"].to_dataset().attrs["arms"])]


def _colour(arm: int) -> str:
    return style.ARM_COLOURS[arm % len(style.ARM_COLOURS)]


def _label(axes: Axes, title: str, across: str, up: str) -> None:
    title = style.wrapped(title, inches=_WIDTH - 1.6, size=style.QUESTION, lines=2)
    axes.set_title(title, fontsize=style.QUESTION, fontfamily=style.FONT, color=style.INK, loc="left")
    axes.set_xlabel(across, fontsize=style.LABEL, fontfamily=style.FONT, color=style.INK)
    axes.set_ylabel(up, fontsize=style.LABEL, fontfamily=style.FONT, color=style.INK)


def _effects(axes: Axes, tree: xr.DataTree, replicate: int) -> None:
    """Draw every comparison's estimates: their median, 50 and 90 % ranges, and how often they are significant."""
    found, said = tree["estimates"].to_dataset(), tree["operating"].to_dataset()
    number, arms = found.sizes["comparison"], _arms(tree)
    ratio = [str(s) in _RATIOS for s in found["scale"].values]
    labels = []
    for k in range(number):
        values = found["estimate"].values[k]
        values = values[np.isfinite(values) & ((values > 0) | (not ratio[k]))]
        if not values.size:
            continue
        values = np.log2(values) if ratio[k] else values
        spread = values.std() or 1.0
        low, q1, middle, q3, high = np.quantile(values / spread, [0.05, 0.25, 0.5, 0.75, 0.95])
        colour = _colour(arms.index(str(found["arm"].values[k])))
        axes.plot([low, high], [k, k], color=colour, linewidth=1.2)
        axes.plot([q1, q3], [k, k], color=colour, linewidth=4.0, solid_capstyle="butt")
        axes.plot([middle], [k], "o", color="white", markeredgecolor=colour, markersize=5)
        axes.text(1.02, k, f"{100 * float(said['significant'].values[k]):.1f} %", transform=axes.get_yaxis_transform(),
                  fontsize=style.SMALL, va="center", color=style.INK)  # fmt: skip
    for k in range(number):
        name = style.wrapped(str(found["endpoint"].values[k]), inches=1.9, size=style.SMALL, lines=2)
        labels.append(f"{name}\n{found['arm'].values[k]}")
    axes.axvline(0.0, color=style.GREY, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set_yticks(range(number), labels, fontsize=style.SMALL)
    axes.set_ylim(number - 0.5, -0.5)
    _label(axes, f"Estimates of {found.sizes['replicate']} replicates, and how often significant",
           "estimate over its spread (log of ratios): median, 50 %, 90 %", "")  # fmt: skip


def _flow(axes: Axes, tree: xr.DataTree, replicate: int) -> None:
    data = tree["attrition"].to_dataset()
    mean = data["patients"].mean("replicate").values
    stages = [str(s) for s in data["stage"].values]
    shown = [k for k in range(len(stages)) if mean[k].sum() > 0]
    left = np.zeros(len(shown))
    for arm in range(mean.shape[1]):
        values = mean[shown, arm]
        axes.barh(range(len(shown)), values, left=left, color=_colour(arm), height=0.7)
        left += values
    for k, total in enumerate(left):
        axes.text(total, k, f" {total:.1f}", fontsize=style.SMALL, va="center", color=style.INK)
    axes.set_yticks(range(len(shown)), [stages[k] for k in shown], fontsize=style.SMALL)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    _label(axes, "Patients, mean of all replicates", "patients", "")


def _timed(tree: xr.DataTree) -> list[str]:
    return [str(k).removesuffix(".time") for k in tree["endpoints"].to_dataset().data_vars if str(k).endswith(".time")]


def _kaplan_meier(axes: Axes, tree: xr.DataTree, replicate: int) -> None:
    from atmpsim.results.survival import kaplan_meier

    name, data, patients = _timed(tree)[0], tree["endpoints"].to_dataset(), tree["patients"].to_dataset()
    time, seen, entry = (data[f"{name}.{key}"].values for key in ("time", "seen", "entry"))
    arm = patients["arm_index"].values
    for k in range(len(_arms(tree))):
        known = ~np.isnan(time) & (arm == k)
        if not known.any():
            continue
        times, share, _, _ = kaplan_meier(time[known], seen[known], entry[known])
        axes.step(times, share, where="post", color=_colour(k), linewidth=1.6)
        own = known[replicate]
        if own.any():
            times, share, low, high = kaplan_meier(time[replicate][own], seen[replicate][own], entry[replicate][own])
            axes.fill_between(times, low, high, step="post", color=_colour(k), alpha=0.12, linewidth=0)
            axes.step(times, share, where="post", color=_colour(k), linewidth=0.8, linestyle=(0, (2, 1.5)))
    axes.set_ylim(0, 1.02)
    unit = str(data[f"{name}.time"].attrs.get("units", ""))
    _label(
        axes,
        f"{name}: all replicates (lines), one with its band (dashed)",
        style.axis_label("time", unit),
        "without the event",
    )


def _changes(tree: xr.DataTree) -> list[str]:
    return [
        str(k)
        for k, v in tree["endpoints"].to_dataset().data_vars.items()
        if v.attrs.get("kind") in ("change", "response")
    ]


def _waterfall(axes: Axes, tree: xr.DataTree, replicate: int) -> None:
    name, data = _changes(tree)[0], tree["endpoints"].to_dataset()
    arm = tree["patients"].to_dataset()["arm_index"].values[replicate]
    up = "change"
    values = data[name].values[replicate]
    if data[name].attrs["kind"] == "response":
        values, up = _best_change(tree, replicate), "best change of the sum of diameters (%)"
    order = [k for k in np.argsort(-np.nan_to_num(values, nan=-np.inf)) if np.isfinite(values[k])]
    axes.bar(range(len(order)), values[order], color=[_colour(int(arm[k])) for k in order], width=0.85)
    axes.axhline(0.0, color=style.GREY, linewidth=0.8)
    if data[name].attrs["kind"] == "response":
        axes.axhline(-30.0, color=style.GREY, linewidth=0.8, linestyle=(0, (3, 2)))
    axes.set_xticks([])
    _label(axes, f"{name}: replicate {replicate}", "patients", up)


def _best_change(tree: xr.DataTree, replicate: int) -> Any:
    """Return each patient's best change of the sum of diameters in per cent."""
    visits = tree["visits"].to_dataset()
    name = next(str(k) for k, v in visits.data_vars.items() if v.attrs.get("kind") == "diameter")
    sums = visits[name].values[replicate]
    return 100.0 * (np.fmin.reduce(sums[:, 1:], axis=1) / sums[:, 0] - 1.0)


def _swimmer(axes: Axes, tree: xr.DataTree, replicate: int) -> None:
    """Draw a bar from infusion to the last visit for each treated patient, with what happened and when."""
    patients, visits = tree["patients"].to_dataset().isel(replicate=replicate), tree["visits"].to_dataset()
    arm, treated = patients["arm_index"].values, np.flatnonzero(patients["fate"].values == _TREATED)
    when = visits["when"].values[replicate]
    names = [str(k) for k in visits.data_vars if str(k).startswith("measured.")]
    seen = np.zeros(when.shape, dtype=bool)
    for name in names:
        seen |= ~np.isnan(visits[name].values[replicate])
    last = np.where(seen, when, 0.0).max(axis=1)
    events = _events(tree)
    order = treated[np.lexsort((-last[treated], arm[treated]))]
    for row, k in enumerate(order):
        axes.barh(row, last[k], color=_colour(int(arm[k])), height=0.6, alpha=0.75)
        axes.plot(when[k][seen[k]], np.full(int(seen[k].sum()), row), "|", color="white", markersize=4)
        if np.isfinite(patients["left"].values[k]) and patients["left"].values[k] <= when[k].max():
            axes.plot(last[k], row, ">", color=style.INK, markersize=3.5)
        for number, name in enumerate(events):
            when_seen = patients[name].values[k]
            if np.isfinite(when_seen) and when_seen <= patients["left"].values[k]:  # nobody knows later ones
                axes.plot(when_seen, row, style.DOSE_MARKERS[number % 5], color=style.ALARM, markersize=4)
    axes.set_yticks([])
    axes.set_ylim(len(order) - 0.5, -0.5)
    unit = str(visits["when"].attrs.get("units", ""))
    _label(
        axes,
        f"Treated patients of replicate {replicate}, with their visits",
        style.axis_label("after infusion", unit),
        "patients",
    )


Draw = Callable[[Axes, xr.DataTree, int], None]
_DRAW: dict[str, tuple[Callable[[xr.DataTree], Any], Draw]] = {
    "effects": (lambda tree: tree["estimates"].to_dataset().sizes.get("comparison", 0), _effects),
    "flow": (lambda tree: True, _flow),
    "kaplan-meier": (_timed, _kaplan_meier),
    "waterfall": (_changes, _waterfall),
    "swimmer": (lambda tree: True, _swimmer),
}  # fmt: skip
