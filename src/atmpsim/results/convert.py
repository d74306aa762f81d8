"""Write a stored result in another form: NetCDF as a whole, or one group as a Parquet or CSV table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from atmpsim.errors import ResultError, did_you_mean, one_of
from atmpsim.results.anndata_file import write_anndata
from atmpsim.results.store import open_results, write

_ANNDATA = ".h5ad"
_TABLES = (".parquet", ".csv", _ANNDATA)
_NETCDF = (".nc", ".nc4", ".netcdf", ".h5")
_MOST_ROWS = 200_000_000


def convert(path: str | os.PathLike[str], out: str | os.PathLike[str], *, group: str = "trajectories") -> None:
    """Write a stored result as `out`: `.nc`, `.zarr`, or a table `.parquet` or `.csv` of one group; cells also `.h5ad`.

    A table has one row for each run and time (or each run, or each dose), with the units in the head of its columns.
    Tables of cells say of each which run it belongs to: its arm, replicate and place in the sweep.

    Raises
    ------
    ResultError
        If there is no such group, or the ending is another one.
    """
    target, where = Path(out), f"output '{out}'"
    if target.suffix not in (*_TABLES, *_NETCDF, ".zarr"):
        raise ResultError(where=where, found=f"the ending '{target.suffix}'",
                          expected=one_of((*_TABLES, *_NETCDF, ".zarr")))  # fmt: skip
    if target.exists():
        raise ResultError(where=where, found="a file of that name", expected="a free name",
                          remedy="Choose another; nothing was changed.")  # fmt: skip
    tree = open_results(path)
    if target.suffix not in _TABLES:
        write(tree, target)
        return
    if group not in tree.children:
        raise ResultError(where=f"result '{path}'", found=f"no group '{group}'", expected=one_of(tree.children),
                          remedy=did_you_mean(group, tree.children))  # fmt: skip
    dataset = tree[group].to_dataset()
    if "cell" in dataset.dims:
        dataset = _of_cells(tree, dataset)
    if target.suffix == _ANNDATA:
        write_anndata(dataset, target)
    else:
        _write_table(_frame(dataset, where), target)


def _of_cells(tree: xr.DataTree, dataset: xr.Dataset) -> xr.Dataset:
    """Return a table of cells with the names of types and states, and the coordinates of each cell's run."""
    made = dataset.copy()
    for name, variable in dataset.data_vars.items():
        meanings = np.array(str(variable.attrs.get("flag_meanings", "")).split(), dtype=object)
        if meanings.size:
            made[name] = ("cell", meanings[variable.values.astype(np.int64)])
    status = tree["status"].to_dataset()["status"]
    places = np.unravel_index(dataset["run"].values, status.shape)
    for dim, place in zip(status.dims, places, strict=True):
        for name, coordinate in status.coords.items():
            if coordinate.dims == (dim,) and dim != "run":
                made[str(name)] = ("cell", coordinate.values[place], coordinate.attrs)
    return made


def _frame(dataset: xr.Dataset, where: str) -> Any:
    """Return a group as a data frame; its index holds the dimensions."""
    rows = int(np.prod([dataset.sizes[d] for d in dataset.dims])) if dataset.dims else 0
    if rows > _MOST_ROWS:
        raise ResultError(where=where, found=f"{rows} rows", expected=f"at most {_MOST_ROWS}",
                          remedy="Choose another --group, or keep Zarr.")  # fmt: skip
    names = {
        name: f"{name} [{variable.attrs['units']}]"
        for name, variable in dataset.variables.items()
        if str(variable.attrs.get("units", "")) not in ("", "1")
    }
    frame = dataset.to_dataframe().reset_index().rename(columns=names)
    return frame.drop(columns=[c for c in ("dose", "cell") if c in frame.columns and c in dataset.dims])


def _write_table(frame: Any, target: Path) -> None:
    sibling = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        if target.suffix == ".csv":
            frame.to_csv(sibling, index=False)
        else:
            frame.to_parquet(sibling, index=False)
        os.replace(sibling, target)
    except ImportError:
        raise ResultError(where=f"output '{target}'", found="no Parquet library", expected="pyarrow",
                          remedy="pip install 'atmpsim[tables]', or write .csv.") from None  # fmt: skip
    except OSError as error:
        raise ResultError(where=f"output '{target}'", found=f"a place that cannot be written ({error.strerror})",
                          expected="a folder with space that you may write to") from None  # fmt: skip
    finally:
        sibling.unlink(missing_ok=True)
