"""Assays as observation models: from the latent truth to what a laboratory, a camera or a rater reports.

Each kind returns the truth in the assay's own unit, and the reading with its error and limit of quantification. One
state of the model may have several assays: they differ in what they count and in what they miss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atmpsim.scenario.trial_schema import AssayTable
from atmpsim.trial.keys import number
from atmpsim.units import magnitude, parse_quantity, parse_unit

FloatArray = NDArray[np.float64]
DNA_PER_CELL = 6.6
"""pg of DNA in a diploid human cell (general knowledge, from memory: 6.5 to 7)."""
BLOOD = 5.0
"""L of blood of an adult (ICRP 89: 5.3 in men, 3.9 in women); where the model counts cells and no volume is given."""
UNITS = {
    "qpcr": "copy/ug", "dpcr": "copy/mL", "flow": "percent", "gamma_camera": "percent", "bioluminescence": "photon/s",
    "diameter": "mm", "edss": "1", "lesion_count": "1", "diary": "1", "grade": "1", "yes_no": "1",
}  # fmt: skip
"""What each kind reports in; the others in the unit of their output."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampling:
    """When each patient is sampled, and what an assay must know besides its output.

    Attributes
    ----------
    since
        Time after infusion, in days, of shape (…, visit).
    units
        Unit of each output of the model.
    copies
        Vector copies in a transduced cell.
    """

    since: FloatArray
    units: Mapping[str, str]
    copies: float = 1.0


Latent = Sequence[FloatArray]
Rng = np.random.Generator


def quantified(values: FloatArray, assay: AssayTable) -> FloatArray:
    """Return readings with what is below the limit of quantification replaced as the assay says.

    Examples
    --------
    >>> quantified(np.array([10.0, 80.0]), AssayTable(name="x", kind="qpcr", of="c", lloq=50.0))
    array([25., 80.])
    """
    if assay.lloq is None:
        return values
    shown = {"half": assay.lloq / 2, "zero": 0.0, "limit": assay.lloq}[assay.below]
    return np.where(values < assay.lloq, shown, values)


def noisy(values: FloatArray, error: float, rng: Rng) -> FloatArray:
    """Return values times a log-normal error of median 1."""
    return values * np.exp(error * rng.standard_normal(values.shape))


def leucocytes(since: FloatArray, assay: AssayTable) -> FloatArray:
    """Return leucocytes per uL: from their nadir at infusion back to normal with a half-time."""
    normal = 1e-6 * (number(assay, "leucocytes") or 0.0)
    low = number(assay, "leucocytes_low")
    half = number(assay, "recovery_half_time")
    if low is None or half is None:
        return np.full_like(since, normal)
    return normal - (normal - 1e-6 * low) * 2.0 ** (-np.maximum(since, 0.0) / half)


def cells_per_ul(values: FloatArray, unit: str, assay: AssayTable) -> FloatArray:
    """Return CAR T cells per uL of blood from a concentration, or from cells in the blood volume."""
    if dict(parse_unit(unit, where="assay").dimensionality) == {"[cell]": 1}:
        return values / (1e6 * (number(assay, "volume") or BLOOD))
    return values * magnitude(parse_quantity(f"1 {unit}", where="assay"), "cell/uL", where=f"assay '{assay.name}'")


def _is(unit: str, other: str) -> bool:
    return parse_unit(unit, where="assay").is_compatible_with(parse_unit(other, where="assay"))


def quantitative_pcr(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return copies per ug of DNA: they fall as other leucocytes return, also where the cells do not.

    Copies are 1e6 * copies per cell * CAR T cells / (all leucocytes * 6.6 pg).
    """
    unit = how.units[str(assay.of)]
    if _is(unit, "copy/ug"):
        truth = latent[0] * magnitude(
            parse_quantity(f"1 {unit}", where="assay"), "copy/ug", where=f"assay '{assay.name}'"
        )
    else:
        cells = cells_per_ul(latent[0], unit, assay)
        truth = 1e6 * how.copies * cells / ((cells + leucocytes(how.since, assay)) * DNA_PER_CELL)
    truth = assay.ratio * truth
    return truth, quantified(noisy(truth, assay.error, rng), assay)


def digital_pcr(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return copies per mL from the share of partitions that hold none: -ln(share) partitions per sample volume."""
    unit = how.units[str(assay.of)]
    if _is(unit, "copy/mL"):
        truth = latent[0] * magnitude(
            parse_quantity(f"1 {unit}", where="assay"), "copy/mL", where=f"assay '{assay.name}'"
        )
    else:
        truth = 1e3 * how.copies * cells_per_ul(latent[0], unit, assay)
    truth = assay.ratio * truth
    partitions, sample = assay.partitions or 1, number(assay, "sample") or 1.0
    share = -np.expm1(-np.maximum(noisy(truth, assay.error, rng), 0.0) * sample / partitions)
    filled = rng.binomial(partitions, np.clip(np.nan_to_num(share), 0.0, 1.0))
    empty = np.maximum(partitions - filled, 0.5)  # a full plate has no upper end: half a partition
    shown = -np.log(empty / partitions) * partitions / sample
    return truth, quantified(np.where(np.isnan(truth), np.nan, shown), assay)


def flow_cytometry(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return CAR T cells in per cent of the gated cells (give their number as `leucocytes`), from counted events."""
    cells = cells_per_ul(latent[0], how.units[str(assay.of)], assay)
    share = assay.ratio * cells / (cells + leucocytes(how.since, assay))
    events = assay.events or 1
    chance = np.clip(np.nan_to_num(noisy(share, assay.error, rng)), 0.0, 1.0)
    shown = 100.0 * rng.binomial(events, chance) / events
    return 100.0 * share, quantified(np.where(np.isnan(share), np.nan, shown), assay)


def gamma_camera(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return per cent of the dose from counted photons, corrected for decay but not for attenuation."""
    share = latent[0] / 100.0
    left = 0.5 ** (np.maximum(how.since, 0.0) / (number(assay, "isotope_half_life") or 1.0))
    mean = (
        np.maximum(np.nan_to_num(noisy(share, assay.error, rng)), 0.0)
        * (assay.counts or 1.0)
        * left
        * assay.attenuation
    )
    shown = 100.0 * rng.poisson(mean) / ((assay.counts or 1.0) * left)
    return 100.0 * share, quantified(np.where(np.isnan(share), np.nan, shown), assay)


def bioluminescence(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return photons per second: living cells only, times the light of a cell that leaves the body."""
    truth = latent[0] * (assay.per_cell or 1.0)
    return truth, quantified(noisy(truth * assay.attenuation, assay.error, rng), assay)


def concentration(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return a concentration, an activity or a share of protein, times what this assay shows over the truth."""
    truth = assay.ratio * latent[0]
    return truth, quantified(noisy(truth, assay.error, rng), assay)


def diameters(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return the sum of the diameters of spheres of the lesions' volumes, mm, each read with its own error."""
    each = [
        values * magnitude(parse_quantity(f"1 {u}", where="assay"), "mm", where=f"assay '{assay.name}'")
        if _is(u := how.units[name], "mm")
        else 10.0 * np.cbrt(6.0 / np.pi * values * magnitude(parse_quantity(f"1 {u}", where="assay"), "mL",
                                                              where=f"assay '{assay.name}'"))
        for name, values in zip([assay.of] if isinstance(assay.of, str) else assay.of, latent, strict=True)
    ]  # fmt: skip
    return sum(each), sum(noisy(d, assay.error, rng) for d in each)  # type: ignore[return-value]


def count(mean: FloatArray, dispersion: float, rng: Rng) -> FloatArray:
    """Return negative binomial counts: Poisson with a gamma mean of shape `dispersion`."""
    known = np.nan_to_num(mean)
    made = rng.poisson(known * rng.gamma(dispersion, 1.0 / dispersion, size=known.shape)).astype(np.float64)
    return np.where(np.isnan(mean), np.nan, made)


def lesions(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return the lesions counted in each scan."""
    return latent[0], count(latent[0], assay.dispersion or 1.0, rng)


def grades(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return a grade from 0 up by ordered logits: one draw for each patient, so that a grade rises with its cause."""
    with np.errstate(divide="ignore"):
        log = np.log(np.maximum.accumulate(latent[0], axis=-1))
    draw = rng.random((*latent[0].shape[:-1], 1))
    made = np.zeros_like(log)
    for cut in assay.cutoffs or ():
        made += draw < 1.0 / (1.0 + np.exp(-assay.slope * (log - cut)))
    return latent[0], made


def yes_no(latent: Latent, assay: AssayTable, how: Sampling, rng: Rng) -> tuple[FloatArray, FloatArray]:
    """Return 1 or 0 with the probability that the model gives: one draw for each patient, at all visits."""
    draw = rng.random((*latent[0].shape[:-1], 1))
    return latent[0], np.where(np.isnan(latent[0]), np.nan, (draw < latent[0]).astype(np.float64))


Observe = Callable[[Latent, AssayTable, Sampling, Rng], tuple[FloatArray, FloatArray]]
AT_VISITS: Mapping[str, Observe] = {
    "qpcr": quantitative_pcr, "dpcr": digital_pcr, "flow": flow_cytometry, "gamma_camera": gamma_camera,
    "bioluminescence": bioluminescence, "factor_one_stage": concentration, "factor_chromogenic": concentration,
    "concentration": concentration, "blot": concentration, "diameter": diameters, "lesion_count": lesions,
    "grade": grades,
    "yes_no": yes_no,
}  # fmt: skip
"""The kinds that look at the patient at one moment."""
