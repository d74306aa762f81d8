"""Draw one panel: curves, limit of detection, dose marks, legend and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from atmpsim.plots import style
from atmpsim.plots.content import Content, Curve, FloatArray
from atmpsim.plots.key import Key
from atmpsim.plots.layout import Box
from atmpsim.plots.panels import Panel
from atmpsim.plots.ribbons import FROM_RUNS, draw_ribbon, quantile_rows
from atmpsim.plots.scales import Scale, choose_scale, is_nothing

MARK_ROW, ARM_ROW, PAD = 0.095, 0.19, 0.12
"""Heights in inches of what stands above the axes."""

MOST_LINES = 200
"""Runs drawn of an arm; more only make a figure heavier."""

_CROWDED = 60
_MOST_MARK_ROWS = 4
_BOLD = 1.12  # bold letters are wider by about this factor


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a line is drawn."""

    colour: str
    dashes: style.Dashes = style.SOLID


def arm_looks(content: Content) -> dict[str, Look]:
    """Return the look of every arm: the same in each figure of a result; grey for an arm without a dose."""
    if len(content.all_arms) == 1:
        return {content.all_arms[0]: Look(colour=style.VARIABLE_COLOURS[0])}
    treated = any(content.doses.values())
    made: dict[str, Look] = {}
    turn = 0
    for arm in content.all_arms:
        if treated and not content.doses[arm]:
            made[arm] = Look(colour=style.GREY)
            continue
        dashes = style.ARM_DASHES[turn % len(style.ARM_DASHES)]
        made[arm] = Look(colour=style.ARM_COLOURS[turn % len(style.ARM_COLOURS)], dashes=dashes)
        turn += 1
    return made


def variable_looks(panels: Sequence[Panel]) -> list[list[Look]]:
    """Return the looks of the curves of each panel: what bears the same name in two panels has one colour."""
    known: dict[str, str] = {}
    made = []
    for panel in panels:
        used: list[str] = []
        for name in panel.names:
            place = name.rsplit(",", 1)[-1].strip().lower()
            colour = known.get(place, "")
            if len(panel.curves) == 1 or not colour or colour in used:
                free = [c for c in style.VARIABLE_COLOURS if c not in used]
                colour = free[0]
            if len(panel.curves) > 1:
                known.setdefault(place, colour)
            used.append(colour)
        made.append([Look(colour=c) for c in used])
    return made


def header_height(panel: Panel, content: Content, *, split: bool, width: float) -> float:
    """Return the room in inches that a panel needs above its axes, which have one column for each arm or not."""
    return _above_axes(content, split=split) + _key(panel, width).height() + PAD


def draw_panel(
    figure: Figure, panel: Panel, content: Content, *, boxes: Sequence[Box], block: Box, looks: Sequence[Look],
    arms: Mapping[str, Look], lowest: Sequence[bool], letter: str,
) -> None:  # fmt: skip
    """Draw a panel into its boxes: one box for all arms or one for each."""
    split = len(boxes) > 1
    scale = choose_scale(_values(panel), units=panel.units, limit=panel.limit)
    for j, box in enumerate(boxes):
        axes = _new_axes(figure, box)
        shown = [content.arms[j]] if split else list(content.arms)
        style.dress(axes)
        style.set_value_axis(axes, scale)
        _draw_time(axes, content, box, labelled=lowest[j])
        if panel.limit is not None:
            _draw_limit(axes, panel.limit, scale, box)
        _draw_curves(axes, panel, content, shown, looks=looks, arms=arms)
        _draw_note(axes, panel, shown)
        rows = [(content.doses[shown[0]], style.GREY)] if split else _mark_rows(content, shown, arms)
        _draw_marks(axes, content, box, rows)
        if split:
            _draw_arm(axes, shown[0], box, arms[shown[0]])
            axes.tick_params(labelleft=j == 0)
    key = _key(panel, block.left + block.width - boxes[0].left, looks)
    key.draw(figure, left=boxes[0].left, top=boxes[0].top - _above_axes(content, split=split) - key.height())
    _draw_label(figure, panel, scale, box=boxes[0], block=block, letter=letter)


def _values(panel: Panel) -> FloatArray:
    return np.concatenate([c.every_row().ravel() for c in panel.curves])


def _above_axes(content: Content, *, split: bool) -> float:
    """Return the height in inches of dose marks and the arm's name."""
    marks = 1 if split else len(_mark_rows(content, content.arms))
    return 0.05 + MARK_ROW * marks + (ARM_ROW if split else 0.0)


def _key(panel: Panel, width: float, looks: Sequence[Look] = ()) -> Key:
    """Return the key of a panel with several curves; without looks only its height has a meaning."""
    colours = [look.colour for look in looks] or [style.INK] * len(panel.names)
    names = panel.names if len(panel.curves) > 1 else ()
    lines = {name: Line2D([], [], color=c, linewidth=1.6) for name, c in zip(names, colours, strict=False)}
    return Key(entries=lines, inches=width, size=style.TICK, handle=0.12)


def _new_axes(figure: Figure, box: Box) -> Axes:
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (box.left / width, 1 - (box.top + box.height) / height, box.width / width, box.height / height)
    )


def _draw_time(axes: Axes, content: Content, box: Box, *, labelled: bool) -> None:
    name, units = content.time_label
    low, high = float(np.nanmin(content.times)), float(np.nanmax(content.times))
    style.set_time_axis(axes, low=low, high=high, units=units, ticks=max(3, round(box.width * 4.5)))
    if labelled:
        axes.set_xlabel(
            style.axis_label(name, units), fontsize=style.LABEL, fontfamily=style.FONT, color=style.INK, labelpad=2,
            parse_math=False,
        )  # fmt: skip


def _draw_curves(
    axes: Axes, panel: Panel, content: Content, shown: Sequence[str], *, looks: Sequence[Look],
    arms: Mapping[str, Look],
) -> None:  # fmt: skip
    overlaid = len(content.all_arms) > 1 and len(panel.curves) == 1
    # the first stands on top
    for curve, look in reversed(list(zip(panel.curves, looks, strict=True))):
        for arm in shown:
            _draw_runs(axes, content, curve, arm, look=arms[arm] if overlaid else look)


def _draw_runs(axes: Axes, content: Content, curve: Curve, arm: str, *, look: Look) -> None:
    """Draw the runs of an arm; what an assay cannot see is drawn paler, on its limit."""
    rows = curve.rows[arm]
    if content.ribbons and (curve.reduced or len(rows) >= FROM_RUNS):
        levels = rows if curve.reduced else quantile_rows(rows)
        shown = levels if curve.limit is None else np.fmax(levels, curve.limit)
        draw_ribbon(axes, content.times, shown, colour=look.colour, dashes=look.dashes)
        return
    times = content.times
    if len(rows) > MOST_LINES:
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_LINES).round().astype(int))]
    single = len(rows) == 1
    strength = 1.0 if single else float(np.clip(4 / len(rows), 0.15, 0.6))
    options = {
        "color": look.colour, "linestyle": look.dashes if single else style.SOLID, "linewidth": 1.4 if single else 0.7,
        "solid_capstyle": "round", "marker": "o" if len(times) == 1 else "", "markersize": 3,
    }  # fmt: skip
    if curve.limit is not None:
        drawn, seen = _censored(rows, curve.limit)
        axes.plot(times, drawn.T, alpha=0.35 * strength, **(options | {"linestyle": style.SOLID}))  # type: ignore[arg-type]
        rows = np.where(seen, drawn, np.nan)
    axes.plot(times, rows.T, alpha=strength, **options)  # type: ignore[arg-type]


def _censored(rows: FloatArray, limit: float) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the values not below the limit, and where a curve is seen: above it and at the feet of its flanks."""
    above = rows >= limit
    beside = np.pad(above, ((0, 0), (1, 1)))
    return np.where(rows < limit, limit, rows), above | beside[:, :-2] | beside[:, 2:]


def _draw_limit(axes: Axes, limit: float, scale: Scale, box: Box) -> None:
    axes.axhspan(scale.low, limit, facecolor=style.PALE, edgecolor="none", zorder=0.5)
    axes.axhline(limit, color=style.GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1.5)
    ends = np.log([scale.low, limit, scale.high]) if scale.log else np.array([scale.low, limit, scale.high])
    if box.height * (ends[1] - ends[0]) / (ends[2] - ends[0]) > 0.14:
        axes.annotate(
            "below limit of detection", (1, limit), xycoords=("axes fraction", "data"), xytext=(-2, -2),
            textcoords="offset points", ha="right", va="top", fontsize=style.SMALL, fontfamily=style.FONT,
            color=style.GREY,
        )  # fmt: skip


def _draw_note(axes: Axes, panel: Panel, shown: Sequence[str]) -> None:
    """Say why there is no curve."""
    values = np.concatenate([c.rows[arm].ravel() for c in panel.curves for arm in shown])
    if not np.isfinite(values).any():
        text = "no finite values"
    elif is_nothing(values, panel.units):
        text = "zero throughout"
    else:
        return
    axes.text(
        0.5, 0.55, text, transform=axes.transAxes, ha="center", va="center", fontsize=style.TICK, color=style.GREY,
        fontfamily=style.FONT, fontstyle="italic",
    )  # fmt: skip


def _mark_rows(content: Content, arms: Sequence[str], looks: Mapping[str, Look] | None = None) -> list[tuple]:
    """Return the rows of dose marks (spans by name, colour), one for each arm that is dosed.

    Where all arms are dosed alike there is one row in grey, and where there would be more than four as well: it
    shows every time at which some arm is dosed.
    """
    dosed = [arm for arm in arms if content.doses[arm]]
    if not dosed:
        return []
    if len(dosed) > _MOST_MARK_ROWS:
        every = {n: tuple(s for arm in dosed for s in content.doses[arm].get(n, ())) for n in dose_names(content)}
        return [(every, style.GREY)]
    if all(content.doses[arm] == content.doses[dosed[0]] for arm in dosed) and len(dosed) == len(arms):
        return [(content.doses[dosed[0]], style.GREY)]
    return [(content.doses[arm], looks[arm].colour if looks else style.GREY) for arm in dosed]


def _draw_marks(axes: Axes, content: Content, box: Box, rows: Sequence[tuple]) -> None:
    low, high = float(np.nanmin(content.times)), float(np.nanmax(content.times))
    names = dose_names(content)
    for j, (spans_by_name, colour) in enumerate(reversed(rows)):
        height = 1 + (0.055 + MARK_ROW * j) / box.height
        for name, spans in spans_by_name.items():
            inside = [(b, e) for b, e in spans if low <= b <= high]
            marker = style.DOSE_MARKERS[names.index(name) % len(style.DOSE_MARKERS)]
            axes.plot(
                [b for b, _ in inside], [height] * len(inside), transform=axes.get_xaxis_transform(), clip_on=False,
                linestyle="none", marker="|" if len(inside) > _CROWDED else marker, markersize=4.2, color=colour,
                markeredgewidth=0.6, label="dose",
            )  # fmt: skip
            for begin, end in inside:
                if end - begin > 0.01 * (high - low):
                    axes.plot(
                        [begin, min(end, high)], [height] * 2, transform=axes.get_xaxis_transform(), clip_on=False,
                        color=colour, linewidth=1.6, solid_capstyle="butt", label="infusion",
                    )  # fmt: skip


def dose_names(content: Content) -> list[str]:
    """Return the names of all doses of the result, in order of appearance."""
    return list(dict.fromkeys(name for spans in content.doses.values() for name in spans))


def _draw_arm(axes: Axes, arm: str, box: Box, look: Look) -> None:
    axes.text(
        0, 1 + (MARK_ROW + 0.05) / box.height, style.wrapped(arm, inches=box.width, size=style.LABEL * _BOLD),
        transform=axes.transAxes, ha="left", va="bottom", fontsize=style.LABEL, fontfamily=style.FONT,
        fontweight="bold", color=look.colour, parse_math=False,
    )  # fmt: skip


def _draw_label(figure: Figure, panel: Panel, scale: Scale, *, box: Box, block: Box, letter: str) -> None:
    """Write the label of the vertical axis in the column left of it, so that labels of a column align."""
    width, height = figure.get_size_inches()
    text = style.axis_label(panel.label, panel.units, exponent=scale.exponent)
    figure.text(
        (block.left + 0.24) / width, 1 - (box.top + box.height / 2) / height,
        style.wrapped(text, inches=box.height + 0.12, size=style.LABEL, lines=3), rotation=90, ha="center",
        va="center", fontsize=style.LABEL, fontfamily=style.FONT, color=style.INK, linespacing=1.1,
        multialignment="center", parse_math=False,
    )  # fmt: skip
    figure.text(
        (block.left + 0.10) / width, 1 - (box.top - 0.08) / height, letter, fontsize=style.QUESTION,
        fontweight="bold", fontfamily=style.FONT, color=style.INK, ha="left", va="bottom",
    )  # fmt: skip
