"""A film of a tissue: the snapshots of one or a few runs, one frame each, as a GIF or an MP4."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib import rcParams
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from atmpsim.errors import ResultError, one_of
from atmpsim.plots import style
from atmpsim.plots.tissue import Tissue, colour_bar, draw_scene, key_entries, read_tissue

FILMS = (".gif", ".mp4")
MOST_SIDE_BY_SIDE = 3
_DPI, _PANEL, _SIDE = 110, 3.4, 1.6


def save_film(tree: xr.DataTree, path: str | os.PathLike[str], *, frames_per_second: float = 4.0, **how: Any) -> None:
    """Write a film of a result's snapshots beside its target, then put it in place.

    Parameters
    ----------
    path
        A name that ends in `.gif`, or in `.mp4` where ffmpeg is installed, or the extra `film`.
    how
        What is shown; see `read_tissue`. At most three runs, side by side.

    Raises
    ------
    ResultError
        If the ending is another one, ffmpeg is missing, or the result has no such snapshots.
    """
    target = Path(path)
    writer = _writer(target, frames_per_second)
    tissue = read_tissue(tree, **how)
    sibling = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    figure = Figure(facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    rows = tissue.scenes[:MOST_SIDE_BY_SIDE]
    aspect = (tissue.extent[3] - tissue.extent[2]) / (tissue.extent[1] - tissue.extent[0])
    # whole pixels, an even number of them: video codecs need that
    width, height = _PANEL * len(rows) + _SIDE, _PANEL * aspect + 0.75
    figure.set_size_inches(2 * round(_DPI * width / 2) / _DPI, 2 * round(_DPI * height / 2) / _DPI)
    try:
        with writer.saving(figure, str(sibling), _DPI):
            for k in range(len(rows[0])):
                _draw(figure, tissue, [row[k] for row in rows])
                writer.grab_frame()
        os.replace(sibling, target)
    except OSError as error:
        raise ResultError(where=f"film '{path}'", found=f"a place that cannot be written ({error.strerror or error})",
                          expected="a folder with space that you may write to") from None  # fmt: skip
    finally:
        sibling.unlink(missing_ok=True)


def _writer(target: Path, rate: float) -> AbstractMovieWriter:
    where, ending = f"film '{target}'", target.suffix.lower()
    if ending not in FILMS:
        raise ResultError(where=where, found=f"the ending '{target.suffix}'", expected=one_of(FILMS))
    if not target.parent.is_dir():
        raise ResultError(where=where, found=f"no folder '{target.parent}'", expected="an existing folder",
                          remedy="Create it first.")  # fmt: skip
    if ending == ".gif":
        return PillowWriter(fps=rate)  # type: ignore[arg-type]
    if not _finds_ffmpeg():
        raise ResultError(where=where, found="no ffmpeg", expected="it for .mp4",
                          remedy="Write .gif, or pip install 'atmpsim[film]'.")  # fmt: skip
    return FFMpegWriter(fps=rate)  # type: ignore[arg-type]


def _finds_ffmpeg() -> bool:
    """Return whether there is a program that writes MP4: the system's, else that of the package imageio-ffmpeg."""
    if not FFMpegWriter.isAvailable():
        try:
            import imageio_ffmpeg
        except ImportError:
            return False
        rcParams["animation.ffmpeg_path"] = imageio_ffmpeg.get_ffmpeg_exe()
    return bool(FFMpegWriter.isAvailable())


def _draw(figure: Figure, tissue: Tissue, scenes: Sequence[Any]) -> None:
    """Draw one frame."""
    figure.clear()
    panels = figure.subplots(1, len(scenes), squeeze=False)[0]
    for k, (axes, scene) in enumerate(zip(panels, scenes, strict=True)):
        draw_scene(axes, tissue, scene, title=scene.title, bar=k == 0)
    colour_bar(figure, tissue, list(panels))
    everything = [scene for row in tissue.scenes[:MOST_SIDE_BY_SIDE] for scene in row]  # the key must not jump
    figure.legend(handles=key_entries(tissue, everything), loc="outside right upper", frameon=False,
                  handletextpad=0.2, prop={"family": style.FONT, "size": style.SMALL})  # fmt: skip
    figure.suptitle(f"{tissue.head}: {scenes[0].time}", fontsize=style.QUESTION, fontfamily=style.FONT,
                    parse_math=False)  # fmt: skip
