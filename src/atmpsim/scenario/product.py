"""The product that a dose is made of: what is delivered of what its label says, and between which units it converts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, UnitError, did_you_mean, one_of
from atmpsim.model.spec import Model
from atmpsim.scenario.distributions import Distribution, parse, split_unit
from atmpsim.scenario.reader import dose_name
from atmpsim.scenario.schema import DoseTable, ScenarioFile
from atmpsim.scenario.streams import uniforms
from atmpsim.scenario.trial_schema import ProductTable
from atmpsim.units import COUNTED, magnitude, parse_quantity

if TYPE_CHECKING:
    import pint

FloatArray = NDArray[np.float64]

_CELLS = ("viability", "recovery", "passage")
_VIRUS = ("titre", "titre_error", "conversion")
KEYS: Mapping[str, tuple[str, ...]] = {
    "msc": _CELLS,
    "oncolytic_virus": _VIRUS,
    "virus_in_msc": (*_CELLS, "vp_per_cell"),
    "car_t": (*_CELLS, "transduced_fraction", "vector_copies", "cd4_cd8"),
    "aav": (*_VIRUS, "empty_capsids"),
}
"""What may be said of each kind, besides dose, lot, failure and vein_to_vein."""
_OF_ALL = ("kind", "dose", "lot", "failure", "vein_to_vein")
UNITS = {
    "msc": ("cell",), "virus_in_msc": ("cell",), "car_t": ("cell", "copy"), "oncolytic_virus": ("vp", "PFU", "IU"),
    "aav": ("vg", "vp"),
}  # fmt: skip
"""What each kind is counted in."""
_QUANTITIES = {"vp_per_cell": "vp/cell", "vector_copies": "copy/cell", "cd4_cd8": "1"}
_SHARES = ("viability", "recovery", "transduced_fraction")


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """A product, ready to say what is delivered.

    Attributes
    ----------
    shares
        Distributions that the stated amount is multiplied by: shares of cells, the error of a titre.
    conversion
        Distribution of the factor between two counted units, and its unit such as `vp/PFU`.
    empty_capsids
        Distribution of the share of capsids without a genome: what is left converts particles into genomes.
    titre
        What a volume of the product holds; a dose may be given as a volume.
    """

    kind: str
    doses: tuple[str, ...]
    shares: Mapping[str, Distribution] = field(default_factory=dict)
    conversion: tuple[Distribution, str] | None = None
    empty_capsids: Distribution | None = None
    titre: str = ""
    failure: float = 0.0
    vein_to_vein: tuple[Distribution, str] | None = None
    vp_per_cell: float = 0.0
    vector_copies: float = 1.0

    def typical(self) -> float:
        """Return the share that a typical product delivers: each distribution at its median."""
        return float(np.prod([_at_median(d) for d in self.shares.values()]))

    def delivered(self, subjects: NDArray[np.int64], *, seed: int, converted: bool) -> FloatArray:
        """Return what each subject's product delivers over what the typical one does.

        Parameters
        ----------
        converted
            Whether the amount is converted between units, whose factor is uncertain too.
        """
        factor = np.ones(subjects.size)
        used = dict(self.shares)
        if converted and self.conversion is not None:
            used["conversion"] = self.conversion[0]
        if converted and self.conversion is None and self.empty_capsids is not None:
            empty = drawn(self.empty_capsids, subjects, seed=seed, purpose="product empty_capsids")
            factor *= (1 - empty) / (1 - _at_median(self.empty_capsids))
        for name, distribution in used.items():
            factor *= drawn(distribution, subjects, seed=seed, purpose=f"product {name}") / _at_median(distribution)
        return factor


def drawn(distribution: Distribution, indices: NDArray[np.int64], *, seed: int, purpose: str) -> FloatArray:
    """Return a value of a distribution for each index."""
    numbers = [uniforms(indices, seed=seed, purpose=f"{purpose} {k}") for k in range(distribution.calls)]
    return np.broadcast_to(distribution.values(numbers), indices.shape).astype(np.float64)


def _at_median(distribution: Distribution) -> float:
    return float(np.asarray(distribution.values([np.array([0.5])] * distribution.calls)).ravel()[0])


def read_product(scenario: ScenarioFile, model: Model, *, where: str) -> Product | None:
    """Return the product of a scenario, None if it has none.

    Raises
    ------
    ScenarioError, UnitError
        If a key does not belong to its kind, a share is none, or a dose is counted in what the product is not.
    """
    table = scenario.product
    if table is None:
        return None
    place = f"{where} [product]"
    _check_keys(table, place)
    names = [dose_name(d.name, k) for k, d in enumerate(scenario.dose, 1) if d.role == "product"]
    if table.dose is not None and table.dose not in names:
        raise ScenarioError(where=f"{place} dose", found=f"'{table.dose}'", expected=f"a dose: {one_of(names)}",
                            remedy=did_you_mean(table.dose, names))  # fmt: skip
    for name in _SHARES:
        if getattr(table, name) is not None and name in model.parameters:
            raise ScenarioError(where=f"{place} {name}", found=f"a model that has its own '{name}'", expected="one of "
                                "them", remedy=f"Give it as parameters.{name}, or leave it to the model.")  # fmt: skip
    _check_quantities(table, place)
    return Product(
        kind=table.kind, doses=(table.dose,) if table.dose is not None else tuple(names), shares=_shares(table, place),
        conversion=_conversion(table, place),
        empty_capsids=None if table.empty_capsids is None else _share(table.empty_capsids, f"{place} empty_capsids"),
        titre=table.titre or "", failure=_probability(table.failure, f"{place} failure"),
        vein_to_vein=_with_unit(table.vein_to_vein, "wk", f"{place} vein_to_vein"),
        vp_per_cell=_number(table.vp_per_cell, "vp/cell", f"{place} vp_per_cell", 0.0),
        vector_copies=_number(table.vector_copies, "copy/cell", f"{place} vector_copies", 1.0),
    )  # fmt: skip


def _check_keys(table: ProductTable, where: str) -> None:
    allowed = (*_OF_ALL, *KEYS[table.kind])
    for key in table.model_fields_set:
        if key not in allowed:
            raise ScenarioError(where=where, found=f"'{key}' of a product of kind '{table.kind}'",
                                expected=one_of(allowed), remedy="It belongs to another kind of product.")  # fmt: skip


def _check_quantities(table: ProductTable, where: str) -> None:
    for key, unit in _QUANTITIES.items():
        _number(getattr(table, key), unit, f"{where} {key}", 0.0)
    if table.titre is not None:
        quantity = parse_quantity(table.titre, where=f"{where} titre")
        if not any(quantity.check(f"{_dimension(unit)} / [length]**3") for unit in UNITS[table.kind]):
            wanted = " or ".join(f"{u}/mL" for u in UNITS[table.kind])
            raise UnitError(where=f"{where} titre", found=f"'{table.titre}'", expected=f"a titre in {wanted}")


def _dimension(unit: str) -> str:
    return str(next(iter(parse_quantity(f"1 {unit}", where=unit).dimensionality)))


def _shares(table: ProductTable, where: str) -> dict[str, Distribution]:
    made = {k: _share(text, f"{where} {k}") for k in _SHARES if (text := getattr(table, k)) is not None}
    if table.titre_error is not None:
        made["titre_error"] = parse(table.titre_error, where=f"{where} titre_error")
    return made


def _share(text: str, where: str) -> Distribution:
    made = parse(text, where=where)
    seen = np.asarray(made.values([np.array([0.001, 0.5, 0.999])] * made.calls))
    if (seen < 0).any() or (seen > 1).any():
        raise ScenarioError(where=where, found=f"values from {seen.min():g} to {seen.max():g}",
                            expected="a share of 0 to 1",
                            remedy="A logit-normal share is 1/(1 + exp(-normal(m, s))).")  # fmt: skip
    return made


def _conversion(table: ProductTable, where: str) -> tuple[Distribution, str] | None:
    made = _with_unit(table.conversion, None, f"{where} conversion")
    if made is not None and not _is_ratio(made[1], f"{where} conversion"):
        raise UnitError(where=f"{where} conversion", found=f"the unit '{made[1]}'",
                        expected="one counted unit over another, such as vp/PFU")  # fmt: skip
    return made


def _is_ratio(unit: str, where: str) -> bool:
    powers = dict(parse_quantity(f"1 {unit}", where=where).dimensionality)
    return (
        {1, -1} == {*powers.values()}
        and len(powers) == 2
        and all(any(dim == _dimension(unit) for unit in COUNTED) for dim in map(str, powers))
    )


def _with_unit(text: str | None, unit: str | None, where: str) -> tuple[Distribution, str] | None:
    if text is None:
        return None
    formula, own = split_unit(text, where=where)
    if unit is not None:
        magnitude(parse_quantity(f"1 {own}", where=where), unit, where=where)
    return parse(formula, where=where), own


def _probability(text: str | None, where: str) -> float:
    value = _number(text, "1", where, 0.0)
    if not 0 <= value <= 1:
        raise ScenarioError(where=where, found=f"'{text}'", expected="a probability of 0 to 1")
    return value


def _number(text: str | None, unit: str, where: str, default: float) -> float:
    return default if text is None else magnitude(parse_quantity(text, where=where), unit, where=where)


def product_dose(table: DoseTable, number: int, product: Product, unit: str, where: str) -> tuple[DoseTable, bool]:
    """Return a dose in the unit of its state if the product converts into it, and whether it was converted.

    Raises
    ------
    UnitError
        If the state is counted in what this kind of product is not, or two units meet without a declared conversion.
    """
    name = dose_name(table.name, number)
    if name not in product.doses or not isinstance(table.amount, str):
        return table, False
    place = f"{where} dose '{name}' amount"
    parts = [p.strip() for p in table.amount.split(",")]
    quantities = [parse_quantity(p.removeprefix("max").strip(), where=place) for p in parts]
    if product.titre and any(quantities[0].check(f"[length]**3 {per}") for per in ("", "/ [mass]")):
        quantities = [q * parse_quantity(product.titre, where=place) for q in quantities]
        table = table.model_copy(update={"amount": ", max ".join(_text(q) for q in quantities)})
    stated, wanted = _counted_in(quantities[0]), _counted_in(parse_quantity(f"1 {unit}", where=place))
    if not wanted or not stated:
        return table, False
    allowed = UNITS[product.kind]
    if stated[0] not in allowed or (wanted[0] not in allowed and wanted != stated):
        raise UnitError(
            where=place, found=f"{stated[0]} of a product of kind '{product.kind}' into a state of {wanted[0]}",
            expected=f"amounts and states in {' or '.join(allowed)}",
            remedy=f"A product of kind '{product.kind}' is counted in {' or '.join(allowed)}; give another state.",
        )  # fmt: skip
    if stated == wanted:
        return table, False
    factor = _factor(product, stated[0], wanted[0], place)
    texts = [_text(q * factor) for q in quantities]
    return table.model_copy(update={"amount": ", max ".join(texts)}), True


def _counted_in(quantity: pint.Quantity) -> Sequence[str]:
    return [u for u in COUNTED if dict(quantity.dimensionality).get(_dimension(u)) == 1]


def _text(quantity: pint.Quantity) -> str:
    """Return an amount as the scenario would write it, the volume of a titre cancelled."""
    made = quantity.to_reduced_units()
    return f"{made.magnitude!r} {made.units:~C}"


def _factor(product: Product, stated: str, wanted: str, where: str) -> pint.Quantity:
    if product.conversion is not None:
        distribution, unit = product.conversion
        factor = parse_quantity(f"{_at_median(distribution)!r} {unit}", where=where)
        for made in (factor, 1 / factor):
            if made.check(f"{_dimension(wanted)} / {_dimension(stated)}"):
                return made
    elif product.empty_capsids is not None and (stated, wanted) == ("vp", "vg"):
        return parse_quantity(f"{1 - _at_median(product.empty_capsids)!r} vg/vp", where=where)
    raise UnitError(
        where=where, found=f"{stated} into a state of {wanted}, without a conversion",
        expected=f"{wanted}, or a declared conversion",
        remedy=f"Write conversion = \"lognormal(ln(…), …) {wanted}/{stated}\" under [product]: it is uncertain.",
    )  # fmt: skip
