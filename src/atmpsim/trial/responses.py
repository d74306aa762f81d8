"""Rules that make an outcome of a patient's visits: response of lesions, confirmed progression of disability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

PARTIAL, PROGRESSION, LEAST = 0.70, 1.20, 5.0
"""RECIST 1.1 (Eisenhauer 2009, Eur J Cancer 45:228, doi:10.1016/j.ejca.2008.10.026): -30 % of the baseline; +20 % and
5 mm over the smallest sum, or a new lesion. Non-target lesions are not modelled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesions:
    """What becomes of target lesions: best response, and when they progress (infinity if they do not)."""

    responded: BoolArray
    progressed: FloatArray
    best_change: FloatArray


def recist(sums: FloatArray, when: FloatArray, *, new: FloatArray | float = np.inf, confirm: float = 0.0) -> Lesions:
    """Return response and progression of sums of diameters.

    Parameters
    ----------
    sums
        mm, over (…, visit); NaN where nobody was seen. The first is the baseline.
    when
        Times of the visits, of the same shape.
    new
        When a new lesion appears, over (…): progression at the next visit at which somebody is seen.
    confirm
        A response or progression counts if it is seen again at a visit so much later, and at those between.

    Examples
    --------
    >>> made = recist(np.array([[100.0, 60.0, 65.0, 79.0]]), np.array([[0.0, 6.0, 12.0, 18.0]]), confirm=4.0)
    >>> made.responded.tolist(), made.progressed.tolist()
    ([True], [inf])
    >>> recist(np.array([[100.0, 60.0, 65.0, 79.0]]), np.array([[0.0, 6.0, 12.0, 18.0]])).progressed.tolist()
    [18.0]
    >>> recist(np.array([[100.0, 60.0, 60.0]]), np.array([[0.0, 6.0, 12.0]]), new=np.array([7.0])).progressed.tolist()
    [12.0]
    """
    first = sums[..., :1]
    nadir = _running_minimum(sums)
    before = np.concatenate([first, nadir[..., :-1]], axis=-1)
    spread = (when >= np.asarray(new)[..., None]) & ~np.isnan(sums)  # a new lesion stays
    worse = (sums >= PROGRESSION * before) & (sums - before >= LEAST) | spread
    smaller = sums <= PARTIAL * first
    worse[..., 0] = smaller[..., 0] = False
    if confirm > 0:  # each compared with the smallest sum before it was first seen
        worse = confirmed(sums, when, lambda later, k: (later >= PROGRESSION * before[..., k]) &
                          (later - before[..., k] >= LEAST) | spread[..., k], found=worse, delay=confirm)  # fmt: skip
        smaller = confirmed(sums, when, lambda later, k: later <= PARTIAL * first[..., 0], found=smaller, delay=confirm)
    progressed = np.where(
        worse.any(axis=-1), np.take_along_axis(when, worse.argmax(axis=-1)[..., None], -1)[..., 0], np.inf
    )
    responded = (smaller & (when < progressed[..., None])).any(axis=-1)
    with np.errstate(invalid="ignore"):
        best = np.fmin.reduce(sums[..., 1:], axis=-1) / first[..., 0] - 1.0
    return Lesions(responded=np.asarray(responded), progressed=progressed, best_change=best)


def _running_minimum(values: FloatArray) -> FloatArray:
    return np.asarray(np.fmin.accumulate(values, axis=-1))


def confirmed(values: FloatArray, when: FloatArray, holds, *, found: BoolArray, delay: float) -> BoolArray:
    """Return where something found at a visit is seen again at least `delay` later, and at every visit between.

    `holds(values, k)` tells whether values of shape (…) at a later visit agree with what was found at visit k. Missed
    visits are passed over; without a later visit nothing is confirmed.
    """
    made = np.zeros_like(found)
    visits = values.shape[-1]
    for k in range(visits):
        running, done = found[..., k].copy(), np.zeros(found.shape[:-1], dtype=bool)
        for j in range(k + 1, visits):
            seen = ~np.isnan(values[..., j])
            running &= ~seen | done | holds(values[..., j], k)
            done |= running & seen & (when[..., j] >= when[..., k] + delay * (1 - 1e-9))
        made[..., k] = done
    return made


def disability_progression(scores: FloatArray, when: FloatArray, *, confirm: float) -> FloatArray:
    """Return when EDSS has progressed: +1.0 from a baseline up to 5.5, else +0.5, seen again; infinity if not.

    Examples
    --------
    >>> when = np.array([[0.0, 3.0, 6.0, 9.0]])
    >>> disability_progression(np.array([[6.0, 6.5, 6.0, 6.5]]), when, confirm=3.0).tolist()
    [inf]
    >>> disability_progression(np.array([[6.0, 6.0, 6.5, 7.0]]), when, confirm=3.0).tolist()
    [6.0]
    """
    first = scores[..., :1]
    threshold = first + np.where(first <= 5.5, 1.0, 0.5)
    found = scores >= threshold
    if confirm > 0:
        found = confirmed(scores, when, lambda later, k: later >= threshold[..., 0], found=found, delay=confirm)
    return np.where(found.any(axis=-1), np.take_along_axis(when, found.argmax(axis=-1)[..., None], -1)[..., 0], np.inf)
