"""Who never gets to infusion and who leaves later: competing hazards, failed batches, drop-out, missed visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

FATES = ("treated", "not eligible", "progression before infusion", "death before infusion", "manufacturing failure")
TREATED, INELIGIBLE, PROGRESSED, DIED, FAILED = range(5)
INFORMATIVE = 2.0
"""Drop-out of who has no gain, over that of the others (assumption)."""


def growth_time(times: FloatArray, diameters: FloatArray) -> FloatArray:
    """Return when untreated lesions have grown by 20 % and 5 mm, linear between samples; infinity where they do not.

    Parameters
    ----------
    times
        From recruitment on.
    diameters
        Sum of diameters in mm over (…, time).

    Examples
    --------
    >>> growth_time(np.array([0.0, 7.0, 14.0]), np.array([[50.0, 56.0, 62.0], [50.0, 50.0, 50.0]]))
    array([11.66666667,         inf])
    """
    limit = np.maximum(1.2 * diameters[..., :1], diameters[..., :1] + 5.0)
    grown = diameters >= limit
    right = np.maximum(grown.argmax(axis=-1), 1)
    before, after = (np.take_along_axis(diameters, k[..., None], axis=-1)[..., 0] for k in (right - 1, right))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (limit[..., 0] - before) / (after - before)
    when = times[right - 1] + share * (times[right] - times[right - 1])
    return np.where(grown.any(axis=-1), when, np.inf)


def before_infusion(
    wait: FloatArray, *, growth: FloatArray | None, hazards: Mapping[str, float], failure: float,
    rng: np.random.Generator,
) -> IntArray:  # fmt: skip
    """Return the fate of each patient in the time between recruitment and infusion: whatever comes first.

    Parameters
    ----------
    wait
        Time from recruitment to infusion.
    growth
        When each patient's untreated disease progresses, if that is followed.
    hazards
        Of `progression`, `symptoms` (which count as progression) and `death`.
    failure
        Probability that the batch is not released, known at the end of the wait.
    """
    shape = wait.shape

    def first(name: str) -> FloatArray:
        draw = rng.exponential(size=shape)
        hazard = hazards.get(name, 0.0)
        return draw / hazard if hazard > 0 else np.full(shape, np.inf)

    progression = np.minimum(first("progression"), first("symptoms"))
    if growth is not None:
        progression = np.minimum(progression, growth)
    death = first("death")
    fate = np.where(rng.random(shape) < failure, FAILED, TREATED)
    fate = np.where((progression < wait) & (progression <= death), PROGRESSED, fate)
    return np.where((death < wait) & (death < progression), DIED, fate)


def leaving(
    visits: FloatArray, *, hazard: float, gained: BoolArray | None, rng: np.random.Generator
) -> tuple[FloatArray, BoolArray]:
    """Return when each patient leaves (infinity if never), and whether having no gain had raised the hazard.

    Parameters
    ----------
    visits
        Times of shape (…, visit) after infusion.
    gained
        At each visit, whether the patient has gained since the baseline; None for leaving at random.
    """
    shape = visits.shape[:-1]
    left = rng.exponential(size=shape)
    if hazard <= 0:
        return np.full(shape, np.inf), np.zeros(shape, dtype=bool)
    if gained is None:
        return left / hazard, np.zeros(shape, dtype=bool)
    when, raised = np.full(shape, np.inf), np.zeros(shape, dtype=bool)
    for k in range(visits.shape[-1]):
        factor = np.where(gained[..., k], 1.0, INFORMATIVE) if k else np.ones(shape)
        length = visits[..., k + 1] - visits[..., k] if k + 1 < visits.shape[-1] else np.full(shape, np.inf)
        used = hazard * factor * length
        here = np.isinf(when) & (left < used)
        when = np.where(here, visits[..., k] + left / (hazard * factor), when)
        raised |= here & (factor > 1.0)
        left = np.where(np.isinf(when), left - used, left)
    return when, raised


def flow(fate: IntArray, arm: IntArray, evaluable: BoolArray, arms: Sequence[str]) -> FloatArray:
    """Return the flow chart: over (replicate, stage, arm) how many were recruited, met each fate, are evaluable."""
    stages = [np.ones_like(evaluable), *(fate == k for k in range(1, len(FATES))), fate == TREATED, evaluable]
    made = [[(stage & (arm == a)).sum(axis=1) for a in range(len(arms))] for stage in stages]
    return np.moveaxis(np.array(made, dtype=np.float64), 2, 0)


STAGES = ("recruited", *FATES[1:], "treated", "evaluable")
"""The stages of `flow`; evaluable is who has a value of the primary endpoint."""
