"""Find a dose: the 3+3 design, by its closed form and by simulation, and BOIN, by its boundary formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from atmpsim.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_COHORT = 3
_CERTAIN = 0.95
_LOW, _HIGH = 0.6, 1.4
_PIECE = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Escalated:
    """What a design does over many trials.

    Attributes
    ----------
    selected
        Probability that each dose is recommended; first that none is.
    patients, toxicities
        Mean number at each dose.
    """

    selected: FloatArray
    patients: FloatArray
    toxicities: FloatArray


def checked(toxicity: Sequence[float], *, where: str) -> FloatArray:
    """Return probabilities of toxicity by dose.

    Raises
    ------
    InputError
        If they are no probabilities.
    """
    values = np.asarray(toxicity, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not ((values >= 0) & (values <= 1)).all():
        raise InputError(
            where=where, found=str(list(toxicity))[:60], expected="probabilities of 0 to 1, one for each dose"
        )
    return values


def three_plus_three(toxicity: Sequence[float]) -> FloatArray:
    """Return the exact probability that the 3+3 design recommends each dose; first that it recommends none.

    From a dose with toxicity p it goes up with probability (1-p)^3 + 3p(1-p)^2(1-p)^3: none of three, or one of three
    and none of three more. It recommends the last dose from which it went up (Storer 1989, Biometrics 45:925,
    doi:10.2307/2531693, design without de-escalation to a dose with only three patients).

    Examples
    --------
    >>> three_plus_three([0.0, 1.0]).tolist()
    [0.0, 1.0, 0.0]
    """
    p = checked(toxicity, where="toxicity")
    up = (1 - p) ** 3 + 3 * p * (1 - p) ** 2 * (1 - p) ** 3
    reached = np.concatenate([[1.0], np.cumprod(up)])
    return np.asarray(reached * np.concatenate([1 - up, [1.0]]))


def simulate_three_plus_three(toxicity: ArrayLike, *, trials: int, rng: np.random.Generator) -> Escalated:
    """Return what the 3+3 design does in simulated trials.

    Parameters
    ----------
    toxicity
        Probabilities by dose; or over (trial, dose), one row for each trial.
    """
    p = np.broadcast_to(np.asarray(toxicity, dtype=np.float64), (trials, np.shape(toxicity)[-1]))
    doses = p.shape[1]
    going, recommended = np.ones(trials, dtype=bool), np.zeros(trials, dtype=np.int64)
    patients, toxic = np.zeros((trials, doses)), np.zeros((trials, doses))
    for dose in range(doses):
        first = rng.binomial(_COHORT, p[:, dose])
        again = going & (first == 1)
        second = rng.binomial(_COHORT, p[:, dose])
        patients[:, dose] = _COHORT * (going.astype(float) + again)
        toxic[:, dose] = going * first + again * second
        going &= (first == 0) | (again & (second == 0))
        recommended += going
    return _escalated(recommended, patients, toxic)


def _escalated(recommended: IntArray, patients: FloatArray, toxic: FloatArray) -> Escalated:
    counts = np.bincount(recommended, minlength=patients.shape[1] + 1)
    return Escalated(selected=counts / recommended.size, patients=patients.mean(axis=0), toxicities=toxic.mean(axis=0))


def boin_boundaries(target: float) -> tuple[float, float]:
    """Return the observed toxicity up to which BOIN goes up, and from which it goes down.

    (Liu & Yuan 2015, J R Stat Soc C 64:507, doi:10.1111/rssc.12089, with 0.6 and 1.4 times the target as the rates that
    are too low and too high.)

    Examples
    --------
    >>> [round(b, 4) for b in boin_boundaries(0.3)]
    [0.2365, 0.3585]
    """
    if not 0 < target < 1 / _HIGH:
        raise InputError(where="target", found=f"{target:g}", expected=f"a probability between 0 and {1 / _HIGH:.2f}")
    low, high = _LOW * target, _HIGH * target
    up = math.log((1 - low) / (1 - target)) / math.log(target * (1 - low) / (low * (1 - target)))
    down = math.log((1 - target) / (1 - high)) / math.log(high * (1 - target) / (target * (1 - high)))
    return up, down


def eliminated(toxic: ArrayLike, patients: ArrayLike, target: float) -> NDArray[np.bool_]:
    """Return whether a dose is eliminated: P(p > target | data) > 0.95 under a uniform prior, from three patients on.

    Examples
    --------
    >>> eliminated([3, 2, 2], [3, 3, 6], 0.3).tolist()
    [True, False, False]
    """
    x, n = np.asarray(toxic, dtype=np.float64), np.asarray(patients, dtype=np.float64)
    return (n >= _COHORT) & (stats.beta.sf(target, x + 1, n - x + 1) > _CERTAIN)


def boin(
    toxicity: ArrayLike, *, target: float, trials: int, rng: np.random.Generator, cohorts: int = 10,
    cohort: int = _COHORT,
) -> Escalated:  # fmt: skip
    """Return what BOIN does in simulated trials, from the lowest dose.

    Parameters
    ----------
    toxicity
        As for `simulate_three_plus_three`.
    cohorts, cohort
        Number of cohorts, and patients in each.
    """
    p = np.broadcast_to(np.asarray(toxicity, dtype=np.float64), (trials, np.shape(toxicity)[-1]))
    doses, row = p.shape[1], np.arange(trials)
    up, down = boin_boundaries(target)
    here, going = np.zeros(trials, dtype=np.int64), np.ones(trials, dtype=bool)
    highest = np.full(trials, doses - 1)
    patients, toxic = np.zeros((trials, doses)), np.zeros((trials, doses))
    for _ in range(cohorts):
        found = rng.binomial(cohort, p[row, here]) * going
        patients[row, here] += cohort * going
        toxic[row, here] += found
        n, x = patients[row, here], toxic[row, here]
        gone = going & eliminated(x, n, target)
        highest = np.where(gone, here - 1, highest)
        going &= highest >= 0
        rate = x / np.maximum(n, 1)
        step = np.where(rate <= up, 1, np.where(rate >= down, -1, 0))
        here = np.clip(np.where(going, here + step, here), 0, np.maximum(highest, 0))
    recommended = np.zeros(trials, dtype=np.int64)
    recommended[going] = 1 + _selected(toxic[going], patients[going], target, highest[going])
    return _escalated(recommended, patients, toxic)


def _selected(toxic: FloatArray, patients: FloatArray, target: float, highest: IntArray) -> IntArray:
    """Return the dose whose isotonic estimate is nearest to the target, among those given and not eliminated.

    Of doses with one estimate the highest is taken below the target and the lowest above it, as published.
    """
    made = np.empty(len(toxic), dtype=np.int64)
    for k in range(len(toxic)):
        tried = np.flatnonzero((patients[k] > 0) & (np.arange(toxic.shape[1]) <= highest[k]))
        x, n = toxic[k, tried] + 0.05, patients[k, tried] + 0.1
        variance = x * (n - x) / (n**2 * (n + 1))
        rising = isotonic(x / n, 1 / variance) + 1e-10 * np.arange(tried.size)  # tells equal estimates apart
        made[k] = tried[int(np.abs(rising - target).argmin())]
    return made


def isotonic(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the nearest values that do not fall, by weighted least squares.

    Examples
    --------
    >>> isotonic(np.array([0.1, 0.4, 0.2]), np.ones(3)).round(3).tolist()
    [0.1, 0.3, 0.3]
    """
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(values, weights=weights).x)


def dose_limiting(cells_per_gram: ArrayLike, *, trials: int, rng: np.random.Generator) -> FloatArray:
    """Return probabilities of toxicity by arrested cells per gram of lung; a prior, as no such toxicity is known.

    LOGISTIC(l0 + l1*ln(cells per g/1e5)), l0 normal(-4, 1) and l1 log-normal(0.7, 0.3): drawn once for each trial
    (assumption; it describes the prior and nothing else). Within a trial the patients are independent, so that the mean
    over them is the toxicity of a dose, exactly.

    Parameters
    ----------
    cells_per_gram
        Over (patient, dose).

    Returns
    -------
    ndarray
        Over (trial, dose).
    """
    with np.errstate(divide="ignore"):
        log = np.log(np.asarray(cells_per_gram, dtype=np.float64) / 1e5)
    made = np.empty((trials, log.shape[1]))
    for begin in range(0, trials, _PIECE):
        size = min(_PIECE, trials - begin)
        level = rng.normal(-4.0, 1.0, size=(size, 1, 1))
        slope = 0.7 * np.exp(0.3 * rng.standard_normal((size, 1, 1)))
        made[begin : begin + size] = (1.0 / (1.0 + np.exp(-(level + slope * log)))).mean(axis=1)
    return made
