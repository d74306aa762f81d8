"""Write cells as an AnnData file (.h5ad), which single-cell software reads: places, types and numbers of every cell.

Format: anndata's on-disk specification: `anndata` and `dict` 0.1.0, `dataframe`, `categorical` and arrays 0.2.0.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from atmpsim.errors import ResultError

_PLACE = ("x", "y", "z")
_TEXT = h5py.string_dtype("utf-8")


def write_anndata(cells: xr.Dataset, target: Path) -> None:
    """Write a table of cells: numbers into `X`, places into `obsm/spatial`, names and whole numbers into `obs`.

    Raises
    ------
    ResultError
        If the table has no places, or the file cannot be written.
    """
    if not set(_PLACE) <= set(cells.data_vars):
        raise ResultError(where=f"output '{target}'", found="a table without places of cells",
                          expected="the group cells", remedy="Give --group cells.")  # fmt: skip
    numbers = [str(k) for k, v in cells.data_vars.items() if v.dtype.kind == "f" and k not in (*_PLACE, "time")]
    others = [str(k) for k in cells.data_vars if k not in (*_PLACE, *numbers)]
    sibling = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        with h5py.File(sibling, "w") as file:
            _mark(file, "anndata", "0.1.0")
            _array(file, "X", np.stack([cells[k].values for k in numbers], axis=1).astype(np.float32))
            _frame(file, "obs", {k: cells[k].values for k in others}, cells.sizes["cell"])
            units = [str(cells[k].attrs.get("units", "1")) for k in numbers]
            _frame(file, "var", {"units": np.array(units, dtype=object)}, len(numbers), index=numbers)
            for name in ("layers", "obsp", "varm", "varp", "uns", "obsm"):
                _mark(file.create_group(name), "dict", "0.1.0")
            _array(file["obsm"], "spatial", np.stack([cells[k].values for k in _PLACE], axis=1).astype(np.float32))
        os.replace(sibling, target)
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror or error})"
        raise ResultError(where=f"output '{target}'", found=found,
                          expected="a folder with space that you may write to") from None  # fmt: skip
    finally:
        sibling.unlink(missing_ok=True)


def _mark(thing: Any, kind: str, version: str) -> None:
    thing.attrs["encoding-type"], thing.attrs["encoding-version"] = kind, version


def _array(group: Any, name: str, values: np.ndarray[Any, Any]) -> None:
    text = values.dtype.kind in "OUT"
    data = group.create_dataset(name, data=values.astype(object) if text else values, dtype=_TEXT if text else None)
    _mark(data, "string-array" if text else "array", "0.2.0")


def _frame(
    file: Any, name: str, columns: dict[str, np.ndarray[Any, Any]], rows: int, *, index: list[str] | None = None
) -> None:
    group = file.create_group(name)
    _mark(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", data=np.array(list(columns), dtype=object), dtype=_TEXT)
    _array(group, "_index", np.array(index if index is not None else [str(k) for k in range(rows)], dtype=object))
    for key, values in columns.items():
        if values.dtype.kind not in "OUT" or not rows:
            _array(group, key, values)
            continue
        categories, codes = np.unique(values.astype(str), return_inverse=True)
        column = group.create_group(key)
        _mark(column, "categorical", "0.2.0")
        column.attrs["ordered"] = False
        _array(column, "codes", codes.astype(np.int32))
        _array(column, "categories", categories.astype(object))
