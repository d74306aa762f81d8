"""Write results to Zarr or NetCDF in one stroke, and open them again."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from atmpsim.errors import ResultError, did_you_mean

GRID = ("arm", "subject", "replicate")
_NETCDF = (".nc", ".nc4", ".netcdf", ".h5")
_ZARR = (".zarr",)


def check_target(path: Path, *, inputs_sha256: str, overwrite: bool) -> None:
    """Raise if a result of other input, or anything that is no result, stands at the target.

    Raises
    ------
    ResultError
        Naming what stands there.
    """
    if path.suffix not in (*_ZARR, *_NETCDF):
        raise ResultError(
            where=f"output '{path}'", found=f"the ending '{path.suffix}'", expected="a name that ends in .zarr or .nc"
        )
    if not path.parent.is_dir():
        raise ResultError(
            where=f"output '{path}'",
            found=f"no folder '{path.parent}'",
            expected="an existing folder",
            remedy="Create it first.",
        )
    if not path.exists():
        return
    try:
        made_from = open_results(path)["provenance"].attrs.get("inputs_sha256")
    except (ResultError, KeyError):
        raise ResultError(
            where=f"output '{path}'",
            found="something that is not a result of atmpsim",
            expected="a free name",
            remedy="Choose another name with -o; nothing was changed.",
        ) from None
    if made_from != inputs_sha256 and not overwrite:
        raise ResultError(
            where=f"output '{path}'",
            found="a result made from other input",
            expected="the same input or a free name",
            remedy="Give --overwrite to replace it, or another name with -o.",
        )


def write(tree: xr.DataTree, path: Path) -> None:
    """Write a result beside its target, then put it in place: the target is never half written."""
    sibling = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    _remove(sibling)
    try:
        if path.suffix in _NETCDF:
            tree.to_netcdf(sibling, engine="h5netcdf")
        else:
            with warnings.catch_warnings():
                # Zarr 3 warns that its variable-length text type may change
                warnings.simplefilter("ignore")
                tree.to_zarr(sibling, consolidated=False)
        _replace(sibling, path)
    finally:
        _remove(sibling)


def _replace(new: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(new, path)
        return
    old = path.with_name(f".{path.stem}.{os.getpid()}.old{path.suffix}")
    os.rename(path, old)
    os.rename(new, path)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def open_results(path: str | os.PathLike[str]) -> xr.DataTree:
    """Return a stored result: groups `trajectories`, `doses`, `status`, `parameters`, `summary`, `provenance`.

    Trajectories, summary, status and parameters have the dimensions `arm`, `subject` and `replicate`. The data
    are read into memory.

    Raises
    ------
    ResultError
        If there is no result at the path, or it is damaged.
    """
    file = Path(path)
    if not file.exists():
        siblings = (
            [p.name for p in file.parent.glob("*") if p.suffix in (*_ZARR, *_NETCDF)] if file.parent.is_dir() else []
        )
        raise ResultError(
            where=f"result '{path}'",
            found="no such file",
            expected="a result (.zarr or .nc)",
            remedy=did_you_mean(file.name, siblings),
        )
    engine = "h5netcdf" if file.suffix in _NETCDF else "zarr"
    options = {} if engine == "h5netcdf" else {"consolidated": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with xr.open_datatree(file, engine=engine, decode_times=False, **options) as stored:
                tree = stored.load()
        return on_grid(tree)
    except ResultError:
        raise
    except Exception as error:  # storage layers raise whatever they like on damaged files
        first = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ResultError(where=f"result '{path}'", found=f"content that cannot be read ({first})",
                          expected="a result of atmpsim", remedy="Run the scenario again.") from error  # fmt: skip


def on_grid(tree: xr.DataTree) -> xr.DataTree:
    """Return a result with arm, subject and replicate as dimensions where the runs form a full grid."""
    return xr.DataTree.from_dict({path: _gridded(node.to_dataset()) for path, node in tree.subtree_with_keys})


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
