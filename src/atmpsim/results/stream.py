"""A store that is written in parts: one chunk of runs at a time, in any order, by any number of processes.

The arrays stand there from the beginning. A chunk is written array by array, then its checksums, and its status
last: a chunk without status does not exist. Zarr puts each file in place by one rename, so nothing is ever torn.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from atmpsim.errors import ResultError
from atmpsim.results.digest import BLOCK, blocks, content, counts, head, of_blocks, total

VERSION = 2
MISSING = -1
STATUS = ("status", "message", "seed", "steps")
ROWS = ("trajectories", "summary", "parameters", "fields", "status")
"""Groups with a row for each run."""
_TABLES = "tables"
_HASH = 32
_VERSION, _CHUNK, _SIZE, _BLOCK = "store_version", "chunk_runs", "runs", "runs_per_block"
ORDER, DIGEST = "variable_order", "digest"
_LONGEST_COORDINATE = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Stream:
    """An open store: where it is, its arrays by (group, name), its size and the runs in a chunk."""

    address: str
    root: zarr.Group = field(repr=False)
    arrays: Mapping[tuple[str, str], zarr.Array] = field(repr=False)
    size: int
    chunk: int
    block: int = BLOCK

    @property
    def chunks(self) -> int:
        """Return the number of chunks."""
        return math.ceil(self.size / self.chunk)

    def span(self, index: int) -> tuple[int, int]:
        """Return the first run of a chunk, and the first after it."""
        return index * self.chunk, min((index + 1) * self.chunk, self.size)

    def missing(self) -> list[int]:
        """Return the chunks that do not exist yet."""
        status = np.asarray(self.arrays["status", "status"][:])
        spans = [self.span(k) for k in range(self.chunks)]
        return [k for k, (begin, end) in enumerate(spans) if (status[begin:end] == MISSING).any()]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Zarr's warnings that its text type may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def create(
    address: str | Path, sample: Mapping[str, xr.Dataset], rest: Mapping[str, xr.Dataset], *, rows: xr.Dataset,
    size: int, chunk: int, block: int = BLOCK,
) -> Stream:  # fmt: skip
    """Return a new store without any chunk.

    Parameters
    ----------
    sample
        The groups with one row a run, of a few runs: shapes, types and attributes of the arrays.
    rest
        The groups that are known beforehand; `grid` among them.
    rows
        The coordinates of every run, for readers that do not know of the grid.
    size, chunk
        Number of runs, and of runs in a chunk (a whole number of blocks).
    block
        Runs that are hashed together.
    """
    with quiet():
        root = zarr.open_group(str(address), mode="w")
        for name, dataset in rest.items():
            _store(str(address), name, dataset)
        for name, dataset in sample.items():
            _create_group(root, name, dataset, size, chunk)
        rows.to_zarr(str(address), group="status", mode="a", consolidated=False)
        _create_checksums(root, sample, size, chunk, block)
        root.require_group("provenance").attrs.update({_VERSION: VERSION, _CHUNK: chunk, _SIZE: size, _BLOCK: block})
    return open_stream(address)


def store_group(stream: Stream, name: str, dataset: xr.Dataset) -> None:
    """Write a group that is known as a whole."""
    _store(stream.address, name, dataset)


def _store(address: str, name: str, dataset: xr.Dataset) -> None:
    empty = {k: v.astype(str) for k, v in dataset.variables.items() if v.dtype == object and v.size == 0}
    kept = dataset.assign({k: v for k, v in empty.items() if k in dataset.data_vars})
    kept = kept.assign_coords({k: v for k, v in empty.items() if k in dataset.coords})
    kept.attrs = {**dataset.attrs, ORDER: " ".join(map(str, dataset.data_vars))}
    kept.to_zarr(address, group=None if name == "/" else name, mode="a", consolidated=False)


def _create_group(root: zarr.Group, name: str, dataset: xr.Dataset, size: int, chunk: int) -> None:
    inner = [k for k, v in dataset.variables.items() if "run" not in v.dims]
    dataset[inner].drop_attrs(deep=False).to_zarr(root.store, group=name, mode="a", consolidated=False)
    group = root.require_group(name)
    group.attrs[ORDER] = " ".join(map(str, dataset.data_vars))
    for key, variable in dataset.data_vars.items():
        if "run" in variable.dims:
            _create_array(group, str(key), variable.variable, size, chunk)


def _create_array(group: zarr.Group, name: str, variable: xr.Variable, size: int, chunk: int) -> None:
    text = variable.dtype.kind in "OUT"
    empty: Any = "" if text else np.nan if variable.dtype.kind == "f" else 0
    group.create_array(
        name, shape=(size, *variable.shape[1:]), chunks=(min(chunk, size), *variable.shape[1:]),
        dtype="string" if text else variable.dtype, fill_value=MISSING if name == "status" else empty,
        dimension_names=[str(d) for d in variable.dims], attributes=plain(variable.attrs),
    )  # fmt: skip


def plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes as JSON can hold them."""
    return {str(k): v.tolist() if isinstance(v, np.ndarray | np.generic) else v for k, v in attributes.items()}


def _create_checksums(
    root: zarr.Group, sample: Mapping[str, xr.Dataset], size: int, chunk: int, block: int
) -> None:  # fmt: skip
    names = [f"{group}/{name}" for group, name in _checked(sample)]
    total_blocks = math.ceil(size / block)
    root.require_group("checksums").create_array(
        "sha256", shape=(total_blocks, len(names), _HASH), chunks=(max(chunk // block, 1), len(names), _HASH),
        dtype=np.uint8, fill_value=0, dimension_names=["block", "variable", "byte"], attributes={"variables": names},
    )  # fmt: skip


def _checked(sample: Mapping[str, xr.Dataset]) -> list[tuple[str, str]]:
    """Return the variables that count for the digest and have a row for each run."""
    return [
        (group, str(name))
        for group, dataset in sample.items()
        for name, variable in dataset.data_vars.items()
        if "run" in variable.dims and counts(group, str(name))
    ]


def is_stream(address: str | Path) -> bool:
    """Return whether a result was stored in chunks."""
    try:
        return _VERSION in zarr.open_group(str(address), mode="r")["provenance"].attrs
    except Exception:  # storage layers raise whatever they like on what they cannot read
        return False


def open_stream(address: str | Path, *, where: str = "") -> Stream:
    """Return the store at an address.

    Raises
    ------
    ResultError
        If there is none, or its parts are missing, or it is of another version.
    """
    place = where or f"result '{address}'"
    try:
        root = zarr.open_group(str(address), mode="r+")
        attributes = dict(root["provenance"].attrs)
    except Exception as error:  # storage layers raise whatever they like on what they cannot read
        found, remedy = f"a store that cannot be read ({type(error).__name__})", "It is damaged or something else: "
        raise ResultError(where=place, found=found, expected="an unfinished result of atmpsim",
                          remedy=remedy + "give --overwrite to begin anew.") from error  # fmt: skip
    version = attributes.get(_VERSION)
    if version != VERSION:
        raise ResultError(where=place, found=f"a store of version {version}", expected=f"version {VERSION}",
                          remedy="Finish it with the atmpsim that began it, or give --overwrite.")  # fmt: skip
    arrays: dict[tuple[str, str], zarr.Array] = {}
    for name in (*ROWS, "checksums"):
        if name in root:
            group = root[name]
            assert isinstance(group, zarr.Group)
            arrays |= {(name, key): array for key, array in group.arrays() if _has_rows(name, key, array, attributes)}
    lost = [f"{g}/{n}" for g, n in (("status", "status"), ("checksums", "sha256")) if (g, n) not in arrays]
    lost += [k for k in (_names(arrays["checksums", "sha256"]) if not lost else ()) if _split(k) not in arrays]
    if lost:
        raise ResultError(where=place, found=f"no array '{lost[0]}'", expected="a whole store",
                          remedy="Part of it was deleted: give --overwrite to begin anew.")  # fmt: skip
    return Stream(address=str(address), root=root, arrays=arrays, size=int(attributes[_SIZE]),  # type: ignore[arg-type]
                  chunk=int(attributes[_CHUNK]),  # type: ignore[arg-type]
                  block=int(attributes.get(_BLOCK, BLOCK)))  # type: ignore[arg-type]  # fmt: skip


def _names(checksums: zarr.Array) -> list[str]:
    """Return the variables, as group/name, in the order of their checksums."""
    names: Any = checksums.attrs["variables"]
    return [str(name) for name in names]


def _split(key: str) -> tuple[str, str]:
    group, _, name = key.partition("/")
    return group, name


def _has_rows(group: str, name: str, array: zarr.Array, attributes: Mapping[str, Any]) -> bool:
    """Return whether a chunk writes a part of an array; the coordinates of the runs are there from the beginning."""
    if group == "checksums":
        return True
    dims = array.metadata.dimension_names or ()  # type: ignore[union-attr]
    return dims[:1] == ("run",) and not (group == "status" and name not in STATUS)


def write_chunk(stream: Stream, index: int, groups: Mapping[str, xr.Dataset]) -> None:
    """Write the rows of one chunk, its status last."""
    begin, end = stream.span(index)
    hashes = []
    for (group, name), array in stream.arrays.items():
        if group == "checksums" or (group, name) == ("status", "status"):
            continue
        values = groups[group][name].values
        array[begin:end] = values.astype(object) if values.dtype.kind in "OUT" else values
    checksums = stream.arrays["checksums", "sha256"]
    for key in _names(checksums):
        group, name = _split(key)
        found = blocks(np.asarray(groups[group][name].values).reshape(end - begin, -1), stream.block)
        hashes.append(np.frombuffer(b"".join(found), dtype=np.uint8).reshape(-1, _HASH))
    first = begin // stream.block
    checksums[first : first + len(hashes[0])] = np.stack(hashes, axis=1)
    stream.arrays["status", "status"][begin:end] = groups["status"]["status"].values


def write_tables(stream: Stream, index: int, tables: Mapping[str, xr.Dataset]) -> None:
    """Write the tables of one chunk, before its status; they may be of any length."""
    for name, dataset in tables.items():
        dataset.attrs[ORDER] = " ".join(map(str, dataset.data_vars))
        dataset.to_zarr(stream.address, group=f"{_TABLES}/{index}/{name}", mode="w", consolidated=False)


def join_tables(stream: Stream) -> dict[str, xr.Dataset]:
    """Return the tables of all chunks, one below the other in the order of the runs."""
    if _TABLES not in stream.root:
        return {}
    parts = stream.root[_TABLES]
    assert isinstance(parts, zarr.Group)
    made: dict[str, list[xr.Dataset]] = {}
    for index in range(stream.chunks):
        group = parts[str(index)]
        assert isinstance(group, zarr.Group)
        for name in group.group_keys():
            with xr.open_zarr(stream.address, group=f"{_TABLES}/{index}/{name}", consolidated=False,
                              decode_times=False) as stored:  # fmt: skip
                made.setdefault(name, []).append(stored.load()[str(stored.attrs[ORDER]).split()])
    return {name: xr.concat(found, "cell", combine_attrs="override") for name, found in made.items()}


def drop_tables(stream: Stream) -> None:
    """Delete the tables of the chunks, once they are stored as a whole."""
    if _TABLES in stream.root:
        del stream.root[_TABLES]


def forget_failed(stream: Stream) -> list[int]:
    """Take the status of every chunk with a failed run away, so that it does not exist any more; return them."""
    array = stream.arrays["status", "status"]
    status = np.asarray(array[:])
    spans = {k: stream.span(k) for k in range(stream.chunks)}
    found = [k for k, (begin, end) in spans.items() if (status[begin:end] > 0).any()]
    if found and DIGEST in stream.root["provenance"].attrs:
        del stream.root["provenance"].attrs[DIGEST]
    for k in found:
        begin, end = spans[k]
        array[begin:end] = np.full(end - begin, MISSING, dtype=array.dtype)
    return found


def stored_digest(stream: Stream, rest: Mapping[str, xr.Dataset], grid: xr.Dataset, order: tuple[str, ...]) -> str:
    """Return the digest of the whole store, from the checksums of its blocks and what `rest` holds in memory."""
    shape = tuple(grid.sizes[name] for name in order)
    entries: dict[tuple[str, str], tuple[str, str]] = {}
    for group, dataset in rest.items():
        for name, variable in dataset.variables.items():
            if counts(group, str(name)):
                entries[group, str(name)] = head(group, str(name), variable), content(variable, stream.block)
    checksums = stream.arrays["checksums", "sha256"]
    hashes = np.asarray(checksums[:])
    for column, key in enumerate(_names(checksums)):
        group, name = _split(key)
        array = stream.arrays[group, name]
        inner = array.metadata.dimension_names[1:]  # type: ignore[union-attr,index]
        kind = object if array.dtype.kind in "OT" else array.dtype
        like = xr.Variable(("run", *inner), np.empty((0, *array.shape[1:]), dtype=kind), dict(array.attrs))
        described = head(group, name, like, dims=(*order, *map(str, inner)), shape=(*shape, *array.shape[1:]))
        entries[group, name] = described, of_blocks([row.tobytes() for row in hashes[:, column]])
    return total(entries)


def damaged(stream: Stream) -> Iterator[tuple[str, int, int]]:
    """Yield (variable, first run, first run after) of every block of runs that does not match its checksum."""
    checksums = stream.arrays["checksums", "sha256"]
    wanted = np.asarray(checksums[:])
    for column, key in enumerate(_names(checksums)):
        array = stream.arrays[_split(key)]
        for index in range(stream.chunks):
            begin, end = stream.span(index)
            try:
                found = blocks(np.asarray(array[begin:end]).reshape(end - begin, -1), stream.block)
            except Exception:  # whatever the storage raises, the block cannot be read
                found = []
            for k in range(math.ceil((end - begin) / stream.block)):
                first = begin + k * stream.block
                if k >= len(found) or found[k] != wanted[first // stream.block, column].tobytes():
                    yield key, first, min(first + stream.block, end)
