"""Label arrays: the one place where numbers of a run become named, dimensioned variables with units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from atmpsim.engines.trajectory import Status
from atmpsim.results.variables import Variable

FloatArray = NDArray[np.float64]


def time_coordinate(times: ArrayLike, *, units: str) -> xr.Variable:
    """Return the time coordinate; times are plain numbers in `units`.

    It is made from an index: for an array xarray imports every library that it knows kinds of arrays of.
    """
    index = pd.Index(np.asarray(times, dtype=np.float64), name="time")
    return xr.Variable("time", index, {"units": units, "long_name": "time"})


def trajectories(
    values: Mapping[str, FloatArray],
    *,
    times: FloatArray,
    time_units: str,
    variables: Mapping[str, Variable],
    detection: Mapping[str, float] | None = None,
) -> xr.Dataset:
    """Return the trajectories of several runs.

    Parameters
    ----------
    values
        Arrays of shape (run, time) by variable name.
    variables
        The description of each variable.
    detection
        Limit of detection by variable name, in the variable's unit.
    """
    limits = detection or {}
    arrays = {k: (("run", "time"), v, variables[k].attributes(limits.get(k))) for k, v in values.items()}
    return xr.Dataset(arrays, coords={"time": time_coordinate(times, units=time_units)})


def statuses(codes: Sequence[int], messages: Sequence[str]) -> xr.Dataset:
    """Return the status and message of every run."""
    flags = {
        "long_name": "how the run ended",
        "flag_values": np.array([s.value for s in Status], dtype=np.int8),
        "flag_meanings": " ".join(s.name.lower() for s in Status),
    }
    return xr.Dataset(
        {
            "status": ("run", np.asarray(codes, dtype=np.int8), flags),
            "message": ("run", np.asarray(messages, dtype=object), {"long_name": "what went wrong"}),
        }
    )
