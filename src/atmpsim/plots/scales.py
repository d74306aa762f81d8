"""Which axis fits the numbers: logarithmic or linear, from where to where, and the ticks of time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atmpsim.units import COUNTED

FloatArray = NDArray[np.float64]

LOG_FROM_DECADES = 3.0
"""A logarithmic axis from this many decades on."""

DEEPEST = 1e-8
"""No logarithmic axis goes lower than this share of the peak: far tails of a decay would rule it."""

NOTHING = 1e-6
"""A millionth of one cell (particle, genome, …) is none."""

_STEPS: dict[str, tuple[float, ...]] = {
    "h": (0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 672),
    "d": (0.25, 0.5, 1, 2, 7, 14, 28, 56, 91, 182, 364, 728, 1820, 3640),
    "wk": (1, 2, 4, 8, 13, 26, 52, 104, 260, 520),
    "yr": (0.25, 0.5, 1, 2, 5, 10, 20),
    "min": (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440),
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis: its ends, whether it is logarithmic, and the power of ten that its label carries."""

    low: float
    high: float
    log: bool = False
    exponent: int = 0

    def decades(self) -> range:
        """Return the exponents of the powers of ten on a logarithmic axis."""
        return range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)


def is_counted(units: str) -> bool:
    """Return whether a unit counts things, alone or per something.

    Examples
    --------
    >>> is_counted("cell/mL"), is_counted("mL")
    (True, False)
    """
    first = re.match(r"[A-Za-z]+", units)
    return first is not None and first.group() in COUNTED


def is_nothing(values: FloatArray, units: str) -> bool:
    """Return whether finite values are all zero; less than a millionth of a counted thing is zero."""
    known = values[np.isfinite(values)]
    return bool(known.size) and float(np.abs(known).max()) <= (NOTHING if is_counted(units) else 0.0)


def is_constant(rows: FloatArray) -> bool:
    """Return whether every run stays within 1 % of itself; the first sample, before any dose acts, is not asked.

    Parameters
    ----------
    rows
        Values of shape (run, time). Runs without a finite value are not asked either.
    """
    later = rows[:, 1:] if rows.shape[1] > 1 else rows
    later = later[np.isfinite(later).any(axis=1)]
    if not later.size:
        return False
    return bool((np.nanmax(later, axis=1) - np.nanmin(later, axis=1) <= 0.01 * np.nanmax(np.abs(later), axis=1)).all())


def choose_scale(values: FloatArray, *, units: str, limit: float | None = None) -> Scale:
    """Return the axis for the values.

    It is logarithmic if the positive values (but for the lowest 5 %: an onset from zero passes through every
    decade) span more than three decades. Percentages are always linear: they are shares of a whole, and so is a
    number without dimension that stays between 0 and 1 and comes above a half.

    Parameters
    ----------
    limit
        Limit of detection, which the axis shows as well.

    Examples
    --------
    >>> choose_scale(np.array([1.0, 1e5, 1e7]), units="cell").log
    True
    >>> choose_scale(np.array([50.0, 200.0]), units="mL")
    Scale(low=0.0, high=214.0, log=False, exponent=0)
    """
    known = values[np.isfinite(values)]
    if not known.size or is_nothing(known, units):
        return _logarithmic(limit, limit, units, limit) if limit else Scale(low=0.0, high=1.0)
    positive = known[known > 0]
    peak = float(known.max())
    if not _is_share(known, units) and positive.size and float(known.min()) > -1e-3 * peak:
        lowest = min(float(np.quantile(positive, 0.05, method="lower")), limit or math.inf)
        if math.log10(peak / lowest) > LOG_FROM_DECADES:
            return _logarithmic(float(positive.min()), peak, units, limit)
    return _linear(float(known.min()), peak, units, limit)


def _is_share(known: FloatArray, units: str) -> bool:
    whole = units == "1" and known.min() > -1e-9 and 0.5 < known.max() < 1 + 1e-9
    return units == "percent" or bool(whole)


def _logarithmic(lowest: float, peak: float, units: str, limit: float | None) -> Scale:
    """Return a logarithmic axis that begins at a power of ten: one unit, or a share of the peak, or below the limit."""
    floor = max(peak * DEEPEST, 1.0 if is_counted(units) and peak > 1e3 else 0.0, lowest)
    low = 10.0 ** math.floor(math.log10(floor if limit is None else limit / 3))
    if floor < 1.2 * low and floor == lowest:
        low *= 0.6  # a curve that starts on a power of ten would hide in the axis
    return Scale(low=low, high=max(peak * 2, low * 100), log=True)


def _linear(lowest: float, peak: float, units: str, limit: float | None) -> Scale:
    top = max(peak, 1.3 * limit if limit else peak)
    from_zero = -1e-6 * top < lowest and (lowest <= 0.5 * top or limit is not None)
    low = 0.0 if from_zero else lowest
    if low == top:
        low, top = min(low, 0.0), max(top, 0.0)
    margin = 0.07 * (top - low) or 0.5 * abs(top) or 1.0
    high = top + margin if top > 0 or low < 0 else margin
    low = low if low == 0 else low - margin
    return Scale(low=low, high=high, exponent=0 if units == "percent" else _exponent(max(abs(low), abs(high))))


def _exponent(size: float) -> int:
    return 0 if 1e-2 <= size < 1e4 else 3 * math.floor(math.log10(size) / 3)


def time_step(span: float, units: str, *, at_most: int) -> float | None:
    """Return the distance of time ticks that clocks and calendars suggest, None for an unknown unit.

    Examples
    --------
    >>> time_step(100.0, "d", at_most=8), time_step(96.0, "h", at_most=6), time_step(1.0, "parsec", at_most=6)
    (14, 24, None)
    """
    return next((step for step in _STEPS.get(units, ()) if span / step <= at_most), None)
