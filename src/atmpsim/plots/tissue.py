"""Pictures of a tissue: cells over a field at the snapshots, in two dimensions, or slices and projections of three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from atmpsim.errors import ResultError, did_you_mean, one_of
from atmpsim.plots import style

_WHERE = "figure"
MOST_COLUMNS, MOST_ROWS = 5, 4
PROJECTION = "projection"

TYPE_COLOURS = (
    "#9fb3c8", "#E69F00", "#D55E00", "#7a1f00", "#d9cfc1", "#5b6b7a", "#009E73", "#fff04d", "#0072B2", "#003a5c",
    "#88CCEE", "#999933",
)  # fmt: skip
"""Muted for what there is most of, and apart in lightness as well as in hue."""

FIELD_COLOURS = LinearSegmentedColormap.from_list("field", ["#ffffff", "#e9e4f4", "#bfb0de", "#8467b8", "#432372"])
_DEAD = "#3c3c3c"
_PANEL, _SIDE = 2.15, 1.75  # inches
_CORE = 0.74  # of a cell's radius is filled, so that the field shows between cells
_DECADES = 3.0  # of a field, that a logarithmic scale shows below its largest value


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Cells and one field of a run at one snapshot: places, radii (µm), types, who is dead, and the field as (y, x)."""

    title: str
    time: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    radius: NDArray[np.float64]
    kind: NDArray[np.int64]
    dead: NDArray[np.bool_]
    field: NDArray[np.float64] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Tissue:
    """All scenes of a picture, by run and then by time, and what they share."""

    scenes: tuple[tuple[Scene, ...], ...]
    types: tuple[str, ...]
    extent: tuple[float, float, float, float]
    field_label: str
    norm: Normalize | None
    head: str
    note: str


def read_tissue(
    tree: xr.DataTree, *, field: str | None = None, at: Sequence[float] | None = None,
    runs: Sequence[int] | None = None, depth: float | str | None = None,
) -> Tissue:  # fmt: skip
    """Return what a picture of a result shows.

    Parameters
    ----------
    field
        The substrate to show; the first by default, none with an empty text.
    at
        Times of snapshots, in the result's unit; all by default.
    runs
        Numbers of runs; by default the first of each arm and point of a sweep, or of the first arm where they are many.
    depth
        Of three dimensions: the height (µm) of a slice, by default the middle; or "projection" for all of it.

    Raises
    ------
    ResultError
        If the result has no snapshots, or not the wanted field, times or runs.
    """
    if "cells" not in tree.children:
        raise ResultError(where=_WHERE, found="a result without snapshots", expected="cells at chosen times",
                          remedy='Write snapshots = ["0 d", "7 d"] under [agents], and run again.')  # fmt: skip
    cells = tree["cells"].to_dataset()
    fields = tree["fields"].to_dataset() if "fields" in tree.children else xr.Dataset()
    shown = _field(fields, field)
    times = np.asarray(fields["snapshot_time"].values) if "snapshot_time" in fields else _times_of(cells)
    chosen = _chosen(times, at)
    labels = _labels(tree)
    picked = _default_runs(tree) if runs is None else list(runs)
    for run in picked:
        if not 0 <= run < len(labels):
            raise ResultError(where=f"{_WHERE} runs", found=str(run), expected=f"numbers from 0 to {len(labels) - 1}")
    box = np.asarray(cells.attrs["domain"], dtype=np.float64)
    flat = fields.sizes.get("z", 1) == 1
    height = None if flat or depth == PROJECTION else 0.5 * (box[2] + box[5]) if depth is None else float(depth)
    unit = str(cells["time"].attrs.get("units", ""))
    stacks = _stack(fields, shown, height, flat)
    scenes = tuple(
        tuple(_scene(cells, stacks, run, k, f"{times[k]:g} {unit}", labels[run], height) for k in chosen)
        for run in picked
    )
    said = "" if flat else "projection along z" if height is None else f"slice at z = {height:g} µm"
    return Tissue(
        scenes=scenes, types=tuple(str(cells["type"].attrs["flag_meanings"]).split()),
        extent=(float(box[0]), float(box[3]), float(box[1]), float(box[4])),
        field_label=_field_label(fields, shown), norm=_norm(scenes), head=str(tree.attrs.get("title", "")),
        note=" · ".join(filter(None, [said, str(tree.attrs.get("caution", ""))])),
    )  # fmt: skip


def plot_tissue(tree: xr.DataTree, **how: object) -> Figure:
    """Return a picture of cells over a field: a row for each run, a column for each time.

    Parameters are those of `read_tissue`. With more times than fit, some evenly between are shown.

    Raises
    ------
    ResultError
        If the result has no snapshots, or not what is wanted of them.
    """
    tissue = read_tissue(tree, **how)  # type: ignore[arg-type]
    rows = [_fewer(row, MOST_COLUMNS) for row in tissue.scenes[:MOST_ROWS]]
    columns = len(rows[0])
    aspect = (tissue.extent[3] - tissue.extent[2]) / (tissue.extent[1] - tissue.extent[0])
    size = columns * _PANEL + _SIDE, len(rows) * (_PANEL * aspect + 0.08) + 0.62
    figure = Figure(figsize=size, dpi=150, facecolor="white", layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(h_pad=0.02, w_pad=0.02, hspace=0.01, wspace=0.01)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for number, (panels, row) in enumerate(zip(grid, rows, strict=True)):
        for k, (axes, scene) in enumerate(zip(panels, row, strict=True)):
            draw_scene(axes, tissue, scene, title=scene.time if number == 0 else "", bar=number == 0 and k == 0)
        if len(tissue.scenes) > 1:
            panels[0].set_ylabel(row[0].title, fontsize=style.LABEL, fontfamily=style.FONT, parse_math=False)
    _dress(figure, tissue, rows)
    return figure


def _dress(figure: Figure, tissue: Tissue, rows: Sequence[Sequence[Scene]]) -> None:
    """Add title, key and colour bar."""
    colour_bar(figure, tissue, figure.axes)
    figure.legend(
        handles=key_entries(tissue, [scene for row in rows for scene in row]), loc="outside right upper", frameon=False,
        fontsize=style.SMALL, handletextpad=0.2, prop={"family": style.FONT, "size": style.SMALL},
    )  # fmt: skip
    figure.suptitle(
        tissue.head, fontsize=style.QUESTION + 1, fontfamily=style.FONT, fontweight="bold", parse_math=False
    )
    if tissue.note:
        figure.supxlabel(tissue.note, fontsize=style.SMALL, fontfamily=style.FONT, color=style.GREY, parse_math=False)


def colour_bar(figure: Figure, tissue: Tissue, beside: Sequence[Axes]) -> None:
    """Add the scale of the field, if one is shown."""
    if tissue.norm is None:
        return
    bar = figure.colorbar(ScalarMappable(tissue.norm, FIELD_COLOURS), ax=list(beside), shrink=0.7, aspect=24, pad=0.01)
    bar.set_label(tissue.field_label, fontsize=style.LABEL, fontfamily=style.FONT)
    bar.ax.tick_params(labelsize=style.TICK)
    bar.ax.set_frame_on(False)


def key_entries(tissue: Tissue, scenes: Sequence[Scene]) -> list[Line2D]:
    """Return the key: every type that is there in some scene, and the dead."""
    there = sorted({int(kind) for scene in scenes for kind in np.unique(scene.kind[~scene.dead])})
    made = [_mark(tissue.types[k].replace("_", " "), type_colour(k), "#555555") for k in there]
    if any(scene.dead.any() for scene in scenes):
        made.append(_mark("dead", _DEAD, _DEAD))
    return made


def _mark(label: str, colour: str, edge: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker="o", markersize=5, markerfacecolor=colour, markeredgecolor=edge,
                  markeredgewidth=0.4, label=label)  # fmt: skip


def type_colour(kind: int) -> str:
    """Return the colour of a cell type."""
    return TYPE_COLOURS[kind % len(TYPE_COLOURS)]


def draw_scene(axes: Axes, tissue: Tissue, scene: Scene, *, title: str, bar: bool) -> None:
    """Draw one scene: the field, the cells as circles at their size, and a scale bar where asked."""
    left, right, bottom, top = tissue.extent
    if scene.field is not None and tissue.norm is not None:
        least = tissue.norm.vmin if isinstance(tissue.norm, LogNorm) else None
        shown = scene.field if least is None else np.maximum(scene.field, least)
        axes.imshow(
            shown, origin="lower", extent=tissue.extent, cmap=FIELD_COLOURS, norm=tissue.norm, interpolation="bilinear"
        )
    colours = np.array([type_colour(k) for k in scene.kind], dtype=object)
    colours[scene.dead] = _DEAD
    size = 2 * scene.radius
    for part, face, edge in ((1.0, "none", "#77777788"), (_CORE, [str(c) for c in colours], "#555555")):
        axes.add_collection(EllipseCollection(
            part * size, part * size, np.zeros_like(size), units="xy", offsets=np.column_stack([scene.x, scene.y]),
            offset_transform=axes.transData, facecolors=face, edgecolors=edge, linewidths=0.15,
        ))  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(style.GREY)
        spine.set_linewidth(0.6)
    if title:
        axes.set_title(title, fontsize=style.LABEL, fontfamily=style.FONT, parse_math=False, pad=3)
    if bar:
        _scale_bar(axes, tissue.extent)


def _scale_bar(axes: Axes, extent: tuple[float, float, float, float]) -> None:
    width, height = extent[1] - extent[0], extent[3] - extent[2]
    length = max(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if n <= max(0.3 * width, 1))
    x, y = extent[0] + 0.05 * width, extent[2] + 0.05 * height
    axes.plot([x, x + length], [y, y], color="black", linewidth=2.0, solid_capstyle="butt")
    box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.8}
    axes.text(x, y + 0.025 * height, f"{length} µm", fontsize=style.SMALL, fontfamily=style.FONT, va="bottom", bbox=box)


def _fewer(row: Sequence[Scene], most: int) -> list[Scene]:
    which = np.unique(np.linspace(0, len(row) - 1, min(len(row), most)).round().astype(int))
    return [row[k] for k in which]


def _field(fields: xr.Dataset, wanted: str | None) -> str:
    names = [str(name) for name in fields.data_vars]
    if wanted is None:
        return names[0] if names else ""
    if wanted and wanted not in names:
        raise ResultError(where=f"{_WHERE} field", found=f"'{wanted}'", expected=one_of(names),
                          remedy=did_you_mean(wanted, names))  # fmt: skip
    return wanted


def _times_of(cells: xr.Dataset) -> NDArray[np.float64]:
    number, first = np.unique(cells["snapshot"].values, return_index=True)
    times = np.full(int(number.max(initial=-1)) + 1, np.nan)
    times[number] = cells["time"].values[first]
    return times


def _chosen(times: NDArray[np.float64], at: Sequence[float] | None) -> list[int]:
    if at is None:
        return list(range(times.size))
    found = []
    for time in at:
        near = np.flatnonzero(np.isclose(times, time, rtol=1e-6))
        if not near.size:
            said = ", ".join(f"{t:g}" for t in times)
            raise ResultError(where=f"{_WHERE} at", found=f"{time:g}", expected=f"the time of a snapshot: {said}")
        found.append(int(near[0]))
    return found


def _labels(tree: xr.DataTree) -> list[str]:
    """Return how each run is called, in table order: its arm and place in the sweep."""
    status = tree["status"].to_dataset()["status"]
    if "run" in status.dims:
        return [f"run {k}" for k in range(status.sizes["run"])]
    dims = [str(d) for d in status.dims]
    made = []
    for place in np.ndindex(*status.shape):
        said = []
        for dim, k in zip(dims, place, strict=True):
            if status.sizes[dim] > 1 and dim in status.coords:
                name = next((str(n) for n, c in status.coords.items() if c.dims == (dim,) and n != dim), dim)
                value = status[name].values[k]
                text = f"{value:g}" if isinstance(value, float) else str(value)
                said.append(text if dim == "arm" else f"{name.rpartition('.')[2]} {text}")
        made.append(", ".join(said))
    return made


def _default_runs(tree: xr.DataTree) -> list[int]:
    status = tree["status"].to_dataset()["status"]
    if "arm" not in status.dims:
        return [0]
    numbers = np.arange(status.size).reshape(status.shape)
    inner = [d for d in status.dims if d in ("subject", "replicate", "draw")]
    kept = status.copy(data=numbers).isel(dict.fromkeys(inner, 0))
    if kept.size > MOST_ROWS and kept.sizes["arm"] < kept.size:
        kept = kept.isel(arm=0)
    return [int(k) for k in kept.values.ravel()]


def _stack(fields: xr.Dataset, name: str, height: float | None, flat: bool) -> NDArray[np.float64] | None:
    """Return the field of every run and snapshot as (run, snapshot, y, x): its slice, or the largest value along z."""
    if not name:
        return None
    values = fields[name].transpose(..., "snapshot", "z", "y", "x")
    if flat:
        values = values.isel(z=0)
    elif height is None:
        values = values.max("z", skipna=False)
    else:
        values = values.sel(z=height, method="nearest")
    array = np.asarray(values.values, dtype=np.float64)
    return array.reshape(-1, *array.shape[-3:])


def _scene(
    cells: xr.Dataset, stack: NDArray[np.float64] | None, run: int, snapshot: int, time: str, title: str,
    height: float | None,
) -> Scene:  # fmt: skip
    here = (cells["run"].values == run) & (cells["snapshot"].values == snapshot)
    x, y, z, radius = (np.asarray(cells[k].values[here], dtype=np.float64) for k in ("x", "y", "z", "radius"))
    kind, state = np.asarray(cells["type"].values[here], dtype=np.int64), cells["state"].values[here]
    order = np.argsort(z, kind="stable")
    if height is not None:
        cut = radius**2 - (z - height) ** 2
        radius = np.sqrt(np.maximum(cut, 0.0))
        order = order[cut[order] > 0]
    return Scene(
        title=title, time=time, x=x[order], y=y[order], radius=radius[order], kind=kind[order], dead=state[order] > 0,
        field=None if stack is None else stack[run, snapshot],
    )  # fmt: skip


def _field_label(fields: xr.Dataset, name: str) -> str:
    if not name:
        return ""
    return style.axis_label(str(fields[name].attrs["long_name"]), str(fields[name].attrs["units"]))


def _norm(scenes: Sequence[Sequence[Scene]]) -> Normalize | None:
    """Return one scale for all scenes: logarithmic where values span decades and none is negative."""
    values = [s.field[np.isfinite(s.field)] for row in scenes for s in row if s.field is not None]
    known = np.concatenate(values) if values else np.zeros(0)
    if not known.size:
        return None
    low, high = float(known.min()), float(known.max())
    if low >= 0.0 and high > 0.0 and np.count_nonzero(known < 0.03 * high) > 0.1 * known.size:
        return LogNorm(high * 10.0**-_DECADES, high)
    return Normalize(low, high if high > low else low + 1.0)
