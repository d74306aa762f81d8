"""Which keys an assay of each kind may have: what a scale knows, a gamma camera does not."""

from __future__ import annotations

from collections.abc import Mapping

from atmpsim.errors import ScenarioError, one_of
from atmpsim.scenario.trial_schema import AssayTable
from atmpsim.units import magnitude, parse_quantity

_ALL = ("name", "kind", "of")
_LIMITS = ("lloq", "below", "window", "error")
_REPORTED = ("low", "high", "better", "placebo", "placebo_half_time", "expectation", "error", "window")

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "qpcr": (*_LIMITS, "leucocytes", "leucocytes_low", "recovery_half_time", "volume", "ratio"),
    "dpcr": (*_LIMITS, "sample", "partitions", "volume", "ratio"),
    "flow": (*_LIMITS, "leucocytes", "leucocytes_low", "recovery_half_time", "volume", "events", "ratio"),
    "gamma_camera": (*_LIMITS, "isotope_half_life", "counts", "attenuation"),
    "bioluminescence": (*_LIMITS, "attenuation", "per_cell"),
    "factor_one_stage": (*_LIMITS, "ratio", "better"), "factor_chromogenic": (*_LIMITS, "ratio", "better"),
    "concentration": (*_LIMITS, "ratio", "better"), "diameter": ("error", "better", "window", "new_lesions"),
    "edss": ("error", "better", "expectation", "window"),
    "lesion_count": ("dispersion", "better", "window"), "diary": ("dispersion", "better", "per"), "scale": _REPORTED,
    "blot": (*_LIMITS, "ratio", "better"), "grade": ("cutoffs", "slope", "window", "better"),
    "yes_no": ("better",), "event": ("curve", "like"),
}  # fmt: skip
NEEDED: Mapping[str, tuple[str, ...]] = {
    "qpcr": ("leucocytes",), "flow": ("leucocytes", "events"), "dpcr": ("sample", "partitions"),
    "gamma_camera": ("isotope_half_life", "counts"), "bioluminescence": ("per_cell",), "grade": ("cutoffs",),
    "lesion_count": ("dispersion",), "diary": ("dispersion",),
}  # fmt: skip
REPORTED = ("scale", "edss")
"""Scales that a patient or a rater reports: knowing the treatment shifts them, and nothing else."""
_UNITS = {
    "leucocytes": "1/L", "leucocytes_low": "1/L", "recovery_half_time": "d", "volume": "L", "sample": "mL",
    "isotope_half_life": "d", "placebo_half_time": "d", "per": "d", "new_lesions": "1/d",
}  # fmt: skip


def new_lesion(assay: str) -> str:
    """Return the name of the event that a new lesion beside those of an assay of diameters is."""
    return f"new lesion, {assay}"


def check_assay(assay: AssayTable, *, where: str) -> None:
    """Raise unless an assay has the keys of its kind, and no other.

    Raises
    ------
    ScenarioError, UnitError
        Naming the key.
    """
    allowed = (*_ALL, *ALLOWED[assay.kind])
    for key in sorted(assay.model_fields_set):
        if key not in allowed:
            raise ScenarioError(where=where, found=f"'{key}' of an assay of kind '{assay.kind}'",
                                expected=one_of(allowed))  # fmt: skip
    for key in NEEDED.get(assay.kind, ()):
        if getattr(assay, key) is None:
            raise ScenarioError(where=where, found=f"no '{key}'", expected=f"the key '{key}' of an assay of kind "
                                f"'{assay.kind}'", remedy=f"Add {key} = … there.")  # fmt: skip
    if isinstance(assay.of, list) and assay.kind != "diameter":
        raise ScenarioError(where=f"{where} of", found="a list", expected="one output; lesions only are a list")
    if assay.low is not None and assay.high is not None and not assay.low < assay.high:
        raise ScenarioError(where=f"{where} high", found=f"{assay.high:g}", expected=f"a value above {assay.low:g}")
    for key in _UNITS:
        if (number(assay, key, where=where) or 0.0) < 0:
            raise ScenarioError(where=f"{where} {key}", found=f"'{getattr(assay, key)}'", expected="at least 0")


def number(assay: AssayTable, key: str, *, where: str = "assay", unit: str | None = None) -> float | None:
    """Return a quantity of an assay as a number: in /L, d, L, mL as `_UNITS` says, or in another unit."""
    text = getattr(assay, key)
    if text is None:
        return None
    return magnitude(parse_quantity(text, where=f"{where} {key}"), unit or _UNITS[key], where=f"{where} {key}")
