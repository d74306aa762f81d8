"""One number for the content of a result: equal digests mean equal results, bit for bit.

Rows of runs are hashed in blocks of fixed size, whose hashes are hashed again: a result that is written in parts
gets the same digest without being read again, and a damaged block is found alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

GROUPS = (
    "attrition", "cells", "doses", "endpoints", "estimates", "fields", "lineage", "operating", "parameters", "patients",
    "rules", "statistics", "status", "summary", "trajectories", "visits",
)  # fmt: skip
BLOCK = 256
"""Runs in a block, unless the result's `runs_per_block` says otherwise; stored chunks are whole blocks."""

_STATUS_VARIABLES = ("status", "seed")
_INNER = ("time", "parameter", "variable", "dose", "quantile", "snapshot", "cell")


def digest(tree: xr.DataTree) -> str:
    """Return the SHA-256 of a result's content.

    It covers name, type, shape, attributes and bytes of every variable of the trajectories, doses, parameters,
    summary, statistics, cells, fields and lineage, and status codes and seeds; not versions, wall time, history or
    chunking.
    """
    entries = {}
    block = int(tree.attrs.get("runs_per_block", BLOCK))
    for group in GROUPS:
        if group in tree.children:
            dataset = tree[group].to_dataset()
            for name in map(str, dataset.variables):
                if counts(group, name):
                    variable = dataset.variables[name]
                    entries[group, name] = head(group, name, variable), content(variable, block)
    return total(entries)


def counts(group: str, name: str) -> bool:
    """Return whether a variable counts: of the status, only codes and seeds do."""
    return group in GROUPS and (group != "status" or name in _STATUS_VARIABLES)


def total(entries: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    """Return the digest of a whole from the head and the content of each variable."""
    made = hashlib.sha256()
    for key in sorted(entries):
        made.update("".join(entries[key]).encode())
    return made.hexdigest()


def head(group: str, name: str, variable: xr.Variable, *, dims: Sequence[str] = (), shape: Sequence[int] = ()) -> str:
    """Return what a digest says of a variable besides its values; dims and shape may be those of a larger whole."""
    kind = "text" if variable.dtype.kind in "OUT" else variable.dtype.str
    attributes = {k: np.asarray(v).tolist() for k, v in variable.attrs.items()}
    said = [group, name, kind, list(shape or variable.shape), list(dims or variable.dims), attributes]
    return json.dumps(said, sort_keys=True, default=str)


def content(variable: xr.Variable, block: int = BLOCK) -> str:
    """Return the digest of a variable's values: the hash of the hashes of its blocks of rows."""
    rows = 1
    for dim, size in zip(variable.dims, variable.shape, strict=True):
        if dim in _INNER:
            break
        rows *= size
    values = np.asarray(variable.values)
    return of_blocks(blocks(values.reshape(rows, -1) if values.size else values.reshape(rows, 0), block))


def blocks(values: np.ndarray[Any, Any], block: int = BLOCK) -> list[bytes]:
    """Return the SHA-256 of each block of rows."""
    made = []
    for begin in range(0, max(len(values), 1), block):
        part = values[begin : begin + block]
        if part.dtype.kind in "OUT":
            data = json.dumps([str(v) for v in part.ravel()]).encode()
        else:
            data = np.ascontiguousarray(part).tobytes()
        made.append(hashlib.sha256(data).digest())
    return made


def of_blocks(hashes: Sequence[bytes]) -> str:
    """Return the digest of values from the hashes of their blocks."""
    return hashlib.sha256(b"".join(hashes)).hexdigest()
