"""One number for the content of a result: equal digests mean equal results, bit for bit."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import xarray as xr

GROUPS = ("doses", "parameters", "status", "summary", "trajectories")
_STATUS_VARIABLES = ("status", "seed")


def digest(tree: xr.DataTree) -> str:
    """Return the SHA-256 of a result's content.

    It covers name, type, shape, attributes and bytes of every variable of the trajectories, doses, parameters
    and summary, and status codes and seeds; not versions, wall time, history or chunking.
    """
    total = hashlib.sha256()
    for group in GROUPS:
        if group not in tree.children:
            continue
        dataset = tree[group].to_dataset()
        for name in sorted(map(str, dataset.variables)):
            if group == "status" and name not in _STATUS_VARIABLES:
                continue
            _add(total, group, name, dataset.variables[name])
    return total.hexdigest()


def _add(total: hashlib._Hash, group: str, name: str, variable: xr.Variable) -> None:
    values = np.asarray(variable.values)
    if values.dtype.kind in "OUT":
        content, kind = json.dumps([str(v) for v in values.ravel()]).encode(), "text"
    else:
        content, kind = np.ascontiguousarray(values).tobytes(), values.dtype.str
    attributes = {k: np.asarray(v).tolist() for k, v in variable.attrs.items()}
    head = [group, name, kind, list(values.shape), list(variable.dims), attributes]
    total.update(json.dumps(head, sort_keys=True, default=str).encode())
    total.update(content)
