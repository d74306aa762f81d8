"""Reduce runs while they come: moments and quantiles of every output over the runs of each arm and point.

Each task keeps what its runs add: moments of its blocks of runs, merged as far as one tree over all blocks allows, and
counts on fixed bins. At the end the rest of the tree is merged: nothing depends on who computed what, or when.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from atmpsim.results import bins
from atmpsim.results.dataset import time_coordinate
from atmpsim.results.moments import COUNT, HIGHEST, LOWEST, MEAN, PARTS, SQUARES, Piece, append, moments, total
from atmpsim.results.stream import Stream
from atmpsim.results.variables import UNKNOWN_UNIT
from atmpsim.scenario.table import RunTable
from atmpsim.study.compute import Computed
from atmpsim.study.labels import Labels

FloatArray = NDArray[np.float64]
QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
_PARTIAL = "partial"
_FAST = BloscCodec(cname="lz4", shuffle="shuffle")
_INSIDE = ("draw", "subject", "replicate")
"""Dimensions over which runs are reduced."""


def cell_dims(table: RunTable) -> tuple[str, ...]:
    """Return the dimensions that statistics keep: arm and swept axes."""
    return tuple(name for name in table.shape if name not in _INSIDE)


def runs_per_cell(table: RunTable) -> int:
    """Return the number of runs that are reduced to one statistic."""
    return math.prod(size for name, size in table.shape.items() if name in _INSIDE)


def prepare_partials(stream: Stream) -> None:
    """Make the group for what the chunks add, before any of them: two that made it at once would collide."""
    stream.root.require_group(_PARTIAL)


def write_partial(stream: Stream, table: RunTable, computed: Computed, index: int) -> None:
    """Write what the runs of one chunk add to the statistics."""
    begin, end = computed.begin, computed.begin + computed.size
    per_cell = runs_per_cell(table)
    curves = list(computed.curves.values())
    pieces = _pieces(curves, begin, end, per_cell, stream.block)
    group = stream.root.create_group(f"{_PARTIAL}/{index}", overwrite=True)
    for name, values in {
        "nodes": np.array([(cell, piece.first, piece.blocks) for cell, piece in pieces]),
        "moments": np.stack([piece.moments for _, piece in pieces]),
        "counts": _counts(curves, begin, end, per_cell),
    }.items():
        group.create_array(name, data=values, chunks=values.shape, compressors=_FAST)


def _pieces(curves: list[FloatArray], begin: int, end: int, per_cell: int, block: int) -> list[tuple[int, Piece]]:
    """Return the moments of the runs of a chunk: for each of its cells the largest nodes of the tree over blocks."""
    edges = sorted({begin, end, *range(_up(begin, block), end, block), *range(_up(begin, per_cell), end, per_cell)})
    cells: dict[int, list[Piece]] = {}
    for a, b in pairwise(edges):
        made = np.stack([moments(curve[a - begin : b - begin]) for curve in curves], axis=1)
        append(cells.setdefault(a // per_cell, []), Piece(first=a // block, blocks=1, moments=made))
    return [(cell, piece) for cell, pieces in cells.items() for piece in pieces]


def _up(number: int, step: int) -> int:
    return math.ceil(number / step) * step


def _counts(curves: list[FloatArray], begin: int, end: int, per_cell: int) -> np.ndarray:
    """Return the places (as steps, from the first cell of a chunk) whose counts are not zero, and the counts."""
    width = curves[0].shape[1] * bins.BINS
    first = begin // per_cell
    places, counts = [], []
    for cell in range(first, (end - 1) // per_cell + 1):
        rows = slice(max(cell * per_cell, begin) - begin, min((cell + 1) * per_cell, end) - begin)
        for number, curve in enumerate(curves):
            where, found = bins.count(curve[rows])
            places.append(where + ((cell - first) * len(curves) + number) * width)
            counts.append(found)
    # steps from one place to the next are small numbers: half the bytes, and they compress well
    steps = np.diff(np.concatenate(places), prepend=0)
    kind = np.uint32 if steps.max(initial=0) < 2**32 else np.uint64
    return np.stack([steps, np.concatenate(counts)]).astype(kind)


def finish_statistics(stream: Stream, table: RunTable, labels: Labels) -> xr.Dataset:
    """Return the statistics of a table whose chunks are all there."""
    shape = tuple(table.shape[name] for name in cell_dims(table))
    names, samples = list(table.curves), table.times.size
    cells = math.prod(shape)
    found = np.empty((cells, PARTS, len(names), samples))
    levels = np.empty((cells, len(names), QUANTILES.size, samples))
    for cell, parts, counts in _cells(stream, len(names), samples):
        found[cell] = parts
        for number in range(len(names)):
            levels[cell, number] = bins.quantiles(counts[number], QUANTILES)
    values = np.moveaxis(found.reshape(*shape, PARTS, len(names), samples), (-3, -2), (0, 1))
    quantile = np.moveaxis(levels.reshape(*shape, len(names), QUANTILES.size, samples), -3, 0)
    return _labelled(values, quantile, table, labels)


def _labelled(values: FloatArray, quantile: FloatArray, table: RunTable, labels: Labels) -> xr.Dataset:
    """Return statistics over (variable, arm, swept axes, time): an array each of a variable would be too many files."""
    dims = ("variable", *cell_dims(table), "time")
    described = [labels.variables[name] for name in table.curves]
    coords = {
        **labels.grid.drop_dims([d for d in labels.grid.dims if d not in dims]).coords,
        "time": time_coordinate(table.times, units=table.model.time_unit or UNKNOWN_UNIT),
        "quantile": ("quantile", QUANTILES, {"long_name": "share of the runs at or below", "units": "1"}),
        "variable": np.array(table.curves, dtype=object),
        "units": ("variable", np.array([v.units for v in described], dtype=object)),
        "long_name": ("variable", np.array([v.long_name for v in described], dtype=object)),
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(values[SQUARES] / np.where(values[COUNT] > 1, values[COUNT] - 1, np.nan))
        error = sd / np.sqrt(values[COUNT])
    arrays = {
        "count": (values[COUNT], "runs that count"), "mean": (values[MEAN], "mean"), "sd": (sd, "standard deviation"),
        "minimum": (values[LOWEST], "minimum"), "maximum": (values[HIGHEST], "maximum"),
    }  # fmt: skip
    if (
        "draw" not in table.shape and table.shape["replicate"] == 1
    ):  # else runs that share a subject are not independent
        arrays["mean_error"] = (error, "Monte-Carlo standard error of the mean")
    made: dict[str, tuple] = {
        kind: (dims, array, {"long_name": words, "units": "1" if kind == "count" else "see units"})
        for kind, (array, words) in arrays.items()
    }
    attributes = {"long_name": "quantile", "units": "see units", "relative_error": bins.RELATIVE_ERROR}
    made["quantile_value"] = ((*dims[:-1], "quantile", "time"), quantile, attributes)
    return xr.Dataset(made, coords=coords)


def _cells(stream: Stream, variables: int, samples: int) -> Iterator[tuple[int, FloatArray, np.ndarray]]:
    """Yield number, moments and counts of every cell, merged in the order of the table."""
    width = variables * samples * bins.BINS
    cell, counts = 0, np.zeros(width, dtype=np.uint32)
    pieces: list[Piece] = []
    for index in range(stream.chunks):
        group = stream.root[f"{_PARTIAL}/{index}"]
        assert isinstance(group, zarr.Group)
        nodes, own, (steps, found) = (_read(group, name) for name in ("nodes", "moments", "counts"))
        numbers, where = nodes[:, 0], np.cumsum(steps, dtype=np.int64)
        first = int(numbers[0])
        for number in range(first, int(numbers[-1]) + 1):
            if number != cell:
                yield cell, total(pieces), counts.reshape(variables, samples, bins.BINS)
                cell, pieces = number, []
                counts[:] = 0
            for k in np.flatnonzero(numbers == number):
                append(pieces, Piece(first=int(nodes[k, 1]), blocks=int(nodes[k, 2]), moments=own[k]))
            low, high = np.searchsorted(where, [(number - first) * width, (number - first + 1) * width])
            counts[where[low:high] - (number - first) * width] += found[low:high]
    yield cell, total(pieces), counts.reshape(variables, samples, bins.BINS)


def _read(group: zarr.Group, name: str) -> np.ndarray:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


def drop_partials(stream: Stream) -> None:
    """Delete what the chunks added, once the statistics are stored."""
    if _PARTIAL in stream.root:
        del stream.root[_PARTIAL]
