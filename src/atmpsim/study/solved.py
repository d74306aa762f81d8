"""What an engine returns of some runs of a table, whatever engine it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Solved:
    """Some runs, a row each in the order in which they were asked for.

    Attributes
    ----------
    curves
        (run, time), by the id that is kept; NaN from a failure on.
    parameters
        (run, parameter), in the order of the labels.
    status, steps, messages
        One a run; the status is a `Status`.
    fields
        (run, snapshot, z, y, x), by substrate; of engines with space.
    tables
        Tables of any length by name, columns by name; `run` is the number of a row's run in the table.
    """

    curves: Mapping[str, FloatArray]
    parameters: FloatArray
    status: Sequence[int]
    steps: Sequence[int]
    messages: Sequence[str]
    fields: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    tables: Mapping[str, Columns] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Where runs that take long save their state, the least seconds between two times, and whether they are to end."""

    folder: Path
    pause: float = 60.0
    halt: Callable[[], bool] | None = None


def stacked(tables: Sequence[Mapping[str, Columns]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Return tables of the same names and columns, one below the other."""
    if not tables:
        return {}
    return {
        name: {column: np.concatenate([t[name][column] for t in tables]) for column in tables[0][name]}
        for name in tables[0]
    }
