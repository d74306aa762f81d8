"""Sample times of a scenario, in the model's unit of time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError
from atmpsim.model.spec import Model
from atmpsim.scenario.convert import in_model_units
from atmpsim.scenario.schema import TimeTable

MAX_SAMPLES = 1_000_000


def sample_times(table: TimeTable, model: Model, where: str) -> NDArray[np.float64]:
    """Return the sample times of a `[time]` table.

    Raises
    ------
    ScenarioError, UnitError
        If they are no times, do not increase, or are too many.
    """
    place = f"{where} [time]"

    def convert(text: str, key: str) -> float:
        value = float(in_model_units(text, unit=model.time_unit, where=f"{place} {key}"))
        if value < 0 or (value == 0 and key != "at"):
            least = "of at least 0" if key == "at" else "above 0"
            raise ScenarioError(where=f"{place} {key}", found=f"'{text}'", expected=f"a time {least}")
        return value

    end = convert(table.end, "end")
    if (table.every is None) == (table.at is None):
        found, remedy = "neither 'every' nor 'at'", 'For example every = "6 h".'
        if table.every is not None:
            found, remedy = "both 'every' and 'at'", "Remove one of them."
        raise ScenarioError(where=place, found=found, expected="one of them", remedy=remedy)
    if table.at is not None:
        return _listed_times(table.at, [convert(t, "at") for t in table.at], end, where=f"{place} at")
    every = convert(str(table.every), "every")
    if end / every > MAX_SAMPLES:
        raise ScenarioError(where=f"{place} every", found=f"{end / every:.3g} samples",
                            expected=f"at most {MAX_SAMPLES}", remedy="Sample less often.")  # fmt: skip
    times = np.arange(math.floor(end / every * (1 + 1e-12)) + 1, dtype=np.float64) * every
    return times if math.isclose(times[-1], end, rel_tol=1e-12) else np.concatenate([times, [end]])


def _listed_times(texts: Sequence[str], times: Sequence[float], end: float, *, where: str) -> NDArray[np.float64]:
    early = [k for k in range(1, len(times)) if times[k] <= times[k - 1]]
    late = [k for k, time in enumerate(times) if time > end]
    found = "an empty list" if not times else ""
    if early:
        found = f"'{texts[early[0]]}' after '{texts[early[0] - 1]}'"
    elif late:
        found = f"'{texts[late[0]]}', which is after the end"
    if found:
        raise ScenarioError(where=where, found=found, expected="times that increase, up to the end at most",
                            remedy="Sort them, remove what stands twice, or move the end.")  # fmt: skip
    return np.array(times)
