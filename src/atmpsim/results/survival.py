"""Kaplan-Meier curves, by lifelines (Davidson-Pilon 2019, doi:10.21105/joss.01317), which is imported on first use."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
_LEAST = 1e-9


def kaplan_meier(
    duration: Sequence[float] | FloatArray, seen: BoolArray, entry: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return times, share without the event, and its 95 % band.

    Examples
    --------
    >>> times, share, _, _ = kaplan_meier([1.0, 2.0, 3.0, 4.0], np.array([True, False, True, False]))
    >>> [round(float(s), 4) for s in share]
    [1.0, 0.75, 0.75, 0.375, 0.375]
    """
    from lifelines import KaplanMeierFitter

    made = KaplanMeierFitter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        late = entry is not None and bool((entry > 0).any())
        made.fit(np.maximum(duration, _LEAST), seen, entry=entry if late else None)
    band = made.confidence_interval_.to_numpy()
    return made.timeline, made.survival_function_.to_numpy()[:, 0], band[:, 0], band[:, 1]
