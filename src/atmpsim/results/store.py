"""Write results to Zarr or NetCDF in one stroke, and open them again."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from atmpsim.errors import ResultError, did_you_mean
from atmpsim.results.digest import digest

GRID = ("arm", "subject", "replicate")
_NETCDF = (".nc", ".nc4", ".netcdf", ".h5")
_ZARR = (".zarr",)
_REQUIRED = ("status", "provenance")
_HIDDEN = ("checksums", "/checksums", "partial", "/partial")
MOST_BYTES = 2_000_000_000
"""Size of trajectories up to which a result is read into memory as a whole."""

_ORDER, _DIGEST = "variable_order", "digest"


def check_target(path: Path, *, inputs_sha256: str, overwrite: bool) -> None:
    """Raise unless a result can be written at the target, in place of at most a result of the same input.

    Raises
    ------
    ResultError
        If the place cannot be written, or a result of other input (unless `overwrite`) or anything else stands there.
    """
    where = f"output '{path}'"
    if path.suffix not in (*_ZARR, *_NETCDF):
        raise ResultError(where=where, found=f"the ending '{path.suffix}'", expected="a name that ends in .zarr or .nc",
                          remedy=f"For example {path.name or 'result'}.zarr.")  # fmt: skip
    if not path.parent.is_dir():
        raise ResultError(where=where, found=f"no folder '{path.parent}'", expected="an existing folder",
                          remedy="Create it first.")  # fmt: skip
    _check_writable(path.parent, where)
    if not path.exists():
        return
    made_from = stored_sha256(path)
    if made_from is None:
        raise ResultError(where=where, found="something that is not a result of atmpsim", expected="a free name",
                          remedy="Choose another name with -o; nothing was changed.")  # fmt: skip
    if made_from != inputs_sha256 and not overwrite:
        raise ResultError(where=where, found="a result made from other input", expected="the same input or a free name",
                          remedy="Give --overwrite to replace it, or another name with -o.")  # fmt: skip


def _check_writable(folder: Path, where: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):  # permissions alone do not tell what a file system accepts
            pass
    except OSError as error:
        raise _unwritable(where, error) from None


def _unwritable(where: str, error: OSError) -> ResultError:
    return ResultError(
        where=where, found=f"a place that cannot be written ({error.strerror or error})",
        expected="a folder with space that you may write to",
        remedy="Choose another with -o; what stood there is unchanged.",
    )  # fmt: skip


def stored_sha256(path: str | Path) -> str | None:
    """Return the checksum of the inputs of a stored result, finished or not; None for anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with xr.open_dataset(path, engine=_engine(Path(path)), group="provenance") as stored:
                return stored.attrs.get("inputs_sha256")
    except Exception:  # storage layers raise whatever they like on what they cannot read
        return None


def is_whole(path: str | Path) -> bool:
    """Return whether a stored result was finished."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with xr.open_dataset(path, engine=_engine(Path(path)), group="provenance") as stored:
                return _DIGEST in stored.attrs
    except Exception:  # storage layers raise whatever they like on what they cannot read
        return False


def write(tree: xr.DataTree, path: Path) -> None:
    """Write a result beside its target, then put it in place: the target is never half written.

    A process that is killed outright can leave a hidden `.NAME.PID.partial` beside the target. Between two renames
    of a Zarr folder, for microseconds, the old result is called `.NAME.PID.old`.

    Raises
    ------
    ResultError
        If there is no space or permission; what stood at the target is unchanged.
    """
    partial = _sibling(path, "partial")
    _remove(partial)
    try:
        _store(_sealed(tree), partial)
        replace_with(partial, path)
    except OSError as error:
        raise _unwritable(f"output '{path}'", error) from error
    finally:
        _remove(partial)


def _store(tree: xr.DataTree, path: Path) -> None:
    if path.suffix in _NETCDF:
        tree.to_netcdf(path, engine="h5netcdf")
        return
    with warnings.catch_warnings():
        # Zarr 3 warns that its variable-length text type may change
        warnings.simplefilter("ignore")
        tree.to_zarr(path, consolidated=False)


def _sealed(tree: xr.DataTree) -> xr.DataTree:
    """Return a result with what the storage does not keep: the order of variables, and a checksum of the content."""
    groups = {k: _typed(node.to_dataset()) for k, node in tree.subtree_with_keys}
    for dataset in groups.values():
        dataset.attrs[_ORDER] = " ".join(map(str, dataset.data_vars))
    sealed = xr.DataTree.from_dict(groups)
    sealed["provenance"].attrs[_DIGEST] = digest(on_grid(tree))
    return sealed


def _typed(dataset: xr.Dataset) -> xr.Dataset:
    """Return a copy whose empty texts say that they are texts; the storage would take them for numbers."""
    empty = {k: v.astype(str) for k, v in dataset.variables.items() if v.dtype == object and v.size == 0}
    return _replaced(dataset.copy(), empty)


def _replaced(dataset: xr.Dataset, variables: Mapping[Hashable, xr.Variable]) -> xr.Dataset:
    changed = dataset.assign({k: v for k, v in variables.items() if k in dataset.data_vars})
    return changed.assign_coords({k: v for k, v in variables.items() if k in dataset.coords})


def _sibling(path: Path, role: str) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}.{role}{path.suffix}")


def replace_with(new: Path, path: Path) -> None:
    """Put a new file or folder in the place of another."""
    if not path.is_dir():
        os.replace(new, path)
        return
    old = _sibling(path, "old")
    try:
        os.rename(path, old)
        os.rename(new, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.rename(old, path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def open_results(path: str | os.PathLike[str]) -> xr.DataTree:
    """Return a stored result: groups `trajectories`, `doses`, `status`, `parameters`, `summary`, `provenance`.

    Trajectories, summary, status and parameters have the dimensions `arm`, the swept axes, `draw`, `subject` and
    `replicate`. The data are read into memory and compared with their checksum, so that a lost chunk is never read
    as zeros. A result of more than `MOST_BYTES` is read on demand instead, over the dimension `run`; `atmpsim doctor
    RESULT` verifies it piece by piece.

    Parameters
    ----------
    path
        A file, a folder, or any fsspec address of a Zarr store.

    Raises
    ------
    ResultError
        If there is no result at the path, or it is damaged or unfinished.
    """
    where = f"result '{path}'"
    if "://" not in str(path):
        _check_there(Path(path), where)
    tree = _load(path, where)
    missing = [group for group in _REQUIRED if group not in tree.children]
    curves = {"trajectories", "statistics"} & {*tree.children}
    if missing or not curves:
        lost = missing[0] if curves else "trajectories"
        raise ResultError(where=where, found=f"no group '{lost}'", expected="a result of atmpsim",
                          remedy="Another program wrote that file, or it is incomplete.")  # fmt: skip
    if _DIGEST not in tree["provenance"].attrs and "checksums" in tree.children:
        raise ResultError(where=where, found="an unfinished result", expected="a finished one",
                          remedy="Finish it with --resume.")  # fmt: skip
    restored = {k: _restored(node.to_dataset()) for k, node in tree.subtree_with_keys if k not in _HIDDEN}
    if _is_large(tree):
        return _over_runs(restored)
    gridded = on_grid(xr.DataTree.from_dict(restored))
    if gridded["provenance"].attrs.get(_DIGEST) != digest(gridded):
        raise ResultError(where=where, found="values that do not match their checksum",
                          expected="the result as it was written",
                          remedy="It was damaged or changed since; run the scenario again.")  # fmt: skip
    return gridded


def _check_there(file: Path, where: str) -> None:
    if file.exists():
        return
    partial = file.with_name(f"{file.name}.partial")
    siblings = [p.name for p in file.parent.glob("*") if p.suffix in (*_ZARR, *_NETCDF)] if file.parent.is_dir() else []
    found, remedy = "no such file", did_you_mean(file.name, siblings)
    if partial.exists():
        found, remedy = "an unfinished result", "Finish it with --resume."
    raise ResultError(where=where, found=found, expected="a result (.zarr or .nc)", remedy=remedy)


def _is_large(tree: xr.DataTree) -> bool:
    return "trajectories" in tree.children and tree["trajectories"].to_dataset().nbytes > MOST_BYTES


def _over_runs(groups: dict[str, xr.Dataset]) -> xr.DataTree:
    """Return the groups of a large result over `run`, each with the coordinates of the runs."""
    rows = {k: v for k, v in groups["status"].coords.items() if "run" in v.dims}
    made = {k: d.assign_coords(rows) if "run" in d.dims else d for k, d in groups.items() if k not in ("grid", "/grid")}
    return xr.DataTree.from_dict(made)


def _load(path: str | os.PathLike[str], where: str) -> xr.DataTree:
    name = path if "://" in str(path) else Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = xr.open_datatree(name, engine=_engine(Path(path)), decode_times=False)
            if _is_large(stored):
                return stored
            with stored:
                return stored.load()
    except Exception as error:  # storage layers raise whatever they like on damaged files
        if "://" in str(path) and isinstance(error, FileNotFoundError):
            raise ResultError(where=where, found="no result there", expected="a result of atmpsim",
                              remedy="Check the address, and that you may read it.") from error  # fmt: skip
        kind = "a folder" if Path(path).is_dir() else "a file"
        raise ResultError(where=where, found=f"{kind} that cannot be read ({type(error).__name__})",
                          expected="a result of atmpsim (.zarr or .nc)",
                          remedy="It is damaged or something else; run the scenario again.") from error  # fmt: skip


def _engine(path: Path) -> Literal["h5netcdf", "zarr"]:
    return "h5netcdf" if path.suffix in _NETCDF else "zarr"


def _restored(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset with its variables in the order in which they were written, and texts as plain objects."""
    order = str(dataset.attrs.get(_ORDER, "")).split()
    made = dataset[order] if order and set(order) == set(map(str, dataset.data_vars)) else dataset
    # Zarr gives NumPy's new text type, which much software cannot handle yet; NetCDF gives objects
    texts = {k: v.astype(object) for k, v in made.variables.items() if v.dtype.kind == "T"}
    made = _replaced(made, texts)
    made.attrs = {k: v for k, v in dataset.attrs.items() if k != _ORDER}
    return made


def on_grid(tree: xr.DataTree) -> xr.DataTree:
    """Return a result whose runs are spread over the dimensions of their grid.

    The grid is that of the group `/grid`, or arm, subject and replicate where the runs form a full grid of those.
    """
    groups = {path: node.to_dataset() for path, node in tree.subtree_with_keys}
    grid = groups.pop("/grid", groups.pop("grid", None))
    if grid is None:
        return xr.DataTree.from_dict({path: _gridded(dataset) for path, dataset in groups.items()})
    return xr.DataTree.from_dict({path: spread(dataset, grid) for path, dataset in groups.items()})


def order_of(grid: xr.Dataset) -> tuple[str, ...]:
    """Return the dimensions of a grid, slowest first."""
    return tuple(np.atleast_1d(grid.attrs["order"]).tolist())


def spread(dataset: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
    """Return a dataset over `run`, in table order, over the dimensions of a grid; the others as they are."""
    if "run" not in dataset.dims:
        return dataset
    order = order_of(grid)
    shape = tuple(grid.sizes[name] for name in order)
    arrays = {}
    for name, variable in dataset.data_vars.items():
        rest = tuple(d for d in variable.dims if d != "run")
        if len(rest) == len(variable.dims):
            arrays[name] = variable.variable
            continue
        values = variable.transpose("run", ...).values
        arrays[name] = xr.Variable((*order, *rest), values.reshape(*shape, *values.shape[1:]), variable.attrs)
    coords = {k: v for k, v in dataset.coords.items() if "run" not in v.dims}
    return xr.Dataset(arrays, coords={**coords, **grid.coords}, attrs=dataset.attrs)


def _gridded(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset over `run` with arm, subject and replicate as dimensions where they form a full grid."""
    if "run" not in dataset.dims or not set(GRID) <= set(dataset.coords):
        return dataset
    labels = [tuple(dataset[name].values.tolist()) for name in GRID]
    axes = [list(dict.fromkeys(column)) for column in labels]
    rows = list(zip(*labels, strict=True))
    if len(set(rows)) != len(rows) or len(rows) != int(np.prod([len(a) for a in axes])):
        return dataset
    flat = dataset.drop_vars(["run", *GRID], errors="ignore")
    order = sorted(range(len(rows)), key=lambda k: [axis.index(v) for axis, v in zip(axes, rows[k], strict=True)])
    shape = [len(a) for a in axes]
    arrays = {}
    for name, variable in flat.data_vars.items():
        if "run" not in variable.dims:
            arrays[name] = variable.variable
            continue
        moved = variable.isel(run=order).transpose("run", ...)
        values = moved.values.reshape(*shape, *moved.shape[1:])
        arrays[name] = xr.Variable((*GRID, *moved.dims[1:]), values, variable.attrs)
    coords = {k: v for k, v in flat.coords.items() if "run" not in v.dims}
    return xr.Dataset(arrays, coords={**coords, **dict(zip(GRID, axes, strict=True))}, attrs=dataset.attrs)
