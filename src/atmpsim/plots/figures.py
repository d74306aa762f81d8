"""Figures of a stored result: `plot_results` draws one, `save_figure` writes it."""

from __future__ import annotations

import os
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atmpsim.errors import ResultError, one_of
from atmpsim.plots import style
from atmpsim.plots.captions import draw_foot, draw_head, foot_height, foot_text, head_lines
from atmpsim.plots.content import Content, read_content
from atmpsim.plots.drawing import MOST_LINES, Look, arm_looks, dose_names, draw_panel, header_height, variable_looks
from atmpsim.plots.key import Key
from atmpsim.plots.layout import LEFT, Layout, columns_for, place, width_of
from atmpsim.plots.panels import Panel, choose_panels

MOST_ARMS_IN_COLUMNS = 4
"""With more arms every variable has a panel of its own, in which all arms are drawn."""

DPI = 150

_MARGIN = 0.14
_FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 4}},
    ".svg": {"metadata": {"Date": None, "Creator": None}},
    ".pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
}
"""What is written; without the date and the program, so that the same figure gives the same bytes."""


def plot_results(
    tree: xr.DataTree,
    *,
    variables: Sequence[str] | None = None,
    arms: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Return the figure of a result: time courses with dose marks and limits of detection, arms side by side.

    Variables of the same unit and kind share a panel. With several arms such a panel has one column for each
    arm; a panel with one variable shows all arms. Labels and units are those of the dataset. Every run is a
    line; failed runs are counted in the figure.

    Parameters
    ----------
    tree
        A result as `run` or `open_results` returns it.
    variables
        What to show, in this order. By default what changes over time, in at most nine panels: first what the
        scenario summarises, then assays, then the rest as it stands in the result.
    arms
        Which arms to show, in this order. By default all.
    title
        Instead of the result's own title.

    Raises
    ------
    ResultError
        If the result has no trajectories, or not the wanted variables or arms.
    """
    content = read_content(tree, variables=variables, arms=arms)
    count = len(content.arms)
    apart = count > MOST_ARMS_IN_COLUMNS
    panels = choose_panels(
        content.curves, summarised=content.summarised, everything=variables is not None, apart=apart,
        arms=1 if apart else count,
    )  # fmt: skip
    sizes = [count if len(p.curves) > 1 else 1 for p in panels]
    # blocks of several axes first, else they leave holes
    order = sorted(range(len(panels)), key=lambda k: sizes[k] == 1)
    return _draw(content, [panels[k] for k in order], [sizes[k] for k in order], title or content.texts["title"])


def _draw(content: Content, panels: Sequence[Panel], sizes: Sequence[int], title: str) -> Figure:
    arms = arm_looks(content)
    columns = columns_for(max(sizes), sum(sizes))
    width = width_of(columns)
    room = width - 2 * _MARGIN
    head = head_lines(content, title=title, inches=room, most_lines=MOST_LINES)
    foot = foot_text(content, inches=room)
    key = Key(entries=_key_entries(content, panels, arms), inches=room, size=style.LABEL, handle=0.2)
    below_head = _MARGIN + sum(line.height() for line in head) + 0.02
    headers = [
        header_height(p, content, split=n > 1, width=width / columns * n - LEFT)
        for p, n in zip(panels, sizes, strict=True)
    ]
    top = below_head + key.height() + 0.02
    layout = place(sizes, headers, columns=columns, top=top, bottom=foot_height(foot))
    figure = Figure(figsize=(layout.width, layout.height), dpi=DPI, facecolor="white", edgecolor="white")
    _draw_panels(figure, content, panels, layout, arms)
    draw_head(figure, head, left=_MARGIN, top=_MARGIN)
    key.draw(figure, left=_MARGIN, top=below_head)
    draw_foot(figure, foot, left=_MARGIN)
    return figure


def _draw_panels(
    figure: Figure, content: Content, panels: Sequence[Panel], layout: Layout, arms: Mapping[str, Look]
) -> None:
    looks = variable_looks(panels)
    for k, (panel, boxes) in enumerate(zip(panels, layout.axes, strict=True)):
        lowest = [layout.is_lowest(box) for box in boxes]
        draw_panel(
            figure, panel, content, boxes=boxes, block=layout.blocks[k], looks=looks[k], arms=arms, lowest=lowest,
            letter=string.ascii_lowercase[k % 26] * (k // 26 + 1),
        )  # fmt: skip


def _key_entries(content: Content, panels: Sequence[Panel], arms: Mapping[str, Look]) -> dict[str, Line2D]:
    """Return the key of the figure: arms where they share a panel, dose marks, limit of detection."""
    made: dict[str, Line2D] = {}
    if len(content.arms) > 1 and any(len(p.curves) == 1 for p in panels):
        for arm in content.arms:
            made[arm] = Line2D([], [], color=arms[arm].colour, linestyle=arms[arm].dashes, linewidth=1.6)
    for k, name in enumerate(dose_names(content)):
        marker = style.DOSE_MARKERS[k % len(style.DOSE_MARKERS)]
        made[f"dose of {name}"] = Line2D([], [], color=style.GREY, linestyle="none", marker=marker, markersize=4.5)
    if any(p.limit is not None for p in panels):
        line = Line2D([], [], color=style.GREY, linestyle=(0, (3, 2)), linewidth=0.9)
        made["limit of detection (lower values are drawn on it, paler)"] = line
    return made


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure beside its target, then put it in place; the same figure gives the same bytes.

    Parameters
    ----------
    path
        A name that ends in `.png` (150 dots per inch), `.svg` or `.pdf`.

    Raises
    ------
    ResultError
        If the ending is another one, or the folder does not exist.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in _FORMATS:
        raise ResultError(where=f"figure '{path}'", found=f"the ending '{target.suffix}'",
                          expected=one_of(_FORMATS), remedy="Give the figure such a name.")  # fmt: skip
    if not target.parent.is_dir():
        raise ResultError(where=f"figure '{path}'", found=f"no folder '{target.parent}'",
                          expected="an existing folder", remedy="Create it first.")  # fmt: skip
    sibling = target.with_name(f".{target.stem}.{os.getpid()}.partial{ending}")
    # only while writing: these settings cannot be passed to savefig
    settings: Any = {"svg.hashsalt": "atmpsim", "svg.fonttype": "path", "pdf.fonttype": 42, "savefig.bbox": None}
    try:
        with matplotlib.rc_context(settings):
            figure.savefig(sibling, format=ending[1:], dpi=DPI, facecolor="white", **_FORMATS[ending])
        os.replace(sibling, target)
    finally:
        sibling.unlink(missing_ok=True)
