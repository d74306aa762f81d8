"""The units of an SBML document: ids that spell a type (`vp_per_cell`), and what they stand for in SBML."""

from __future__ import annotations

import functools
import math
from typing import Any

import libsbml

from atmpsim.errors import ModelError
from atmpsim.units import parse_unit, parse_unit_id, registry

# SBML base units that are also names of ours; `item` is any of our counted things
_SBML_BASE = {
    "second": "s", "litre": "L", "liter": "L", "metre": "m", "meter": "m", "gram": "g", "kilogram": "kg",
    "mole": "mol", "becquerel": "Bq", "gray": "Gy", "dimensionless": "1",
}  # fmt: skip
_COUNTED_KINDS = (
    "[cell]",
    "[virus_particle]",
    "[plaque_forming_unit]",
    "[infectious_or_international_unit]",
    "[vector_genome]",
    "[copy]",
    "[transducing_unit]",
)
_TIME_NAMES = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d", 604800.0: "wk", 31557600.0: "yr"}


class UnitTable:
    """Unit texts of one SBML model by unit id.

    `text(id)` gives the unit's text and whether it is typed: the id spells a type, and the SBML definition has
    the same powers and size. `time_unit` is the text of the model's unit of time, empty where it has none.
    """

    def __init__(self, model: libsbml.Model, *, where: str) -> None:
        self.where = where
        self.definitions = {d.getId(): d for d in model.getListOfUnitDefinitions()}
        self.level = model.getLevel()
        self.default_substance = model.getSubstanceUnits() if self.level >= 3 else "substance"
        self._volumes = {3: model.getVolumeUnits(), 2: model.getAreaUnits(), 1: model.getLengthUnits()}
        self.time_unit = self._time(model.getTimeUnits() if self.level >= 3 else "time")

    def default_volume(self, dimensions: int) -> str:
        """Return the unit id of a compartment that names none."""
        if self.level >= 3:
            return self._volumes.get(dimensions, "")
        return {3: "volume", 2: "area", 1: "length"}.get(dimensions, "")

    def text(self, unit_id: str) -> tuple[str, bool]:
        """Return the text of a unit and whether its id spells a type.

        Raises
        ------
        ModelError
            If an id spells a type that its SBML definition contradicts.
        """
        if not unit_id:
            return "", False
        if unit_id in _SBML_BASE:
            return _SBML_BASE[unit_id], unit_id == "dimensionless"
        definition = self.definitions.get(unit_id)
        if definition is None:
            return unit_id, False
        readings = _readings(unit_id)
        if not readings:
            return _printed(definition), False
        for spelt in readings:
            if _agree(spelt, definition):
                return spelt, True
        raise ModelError(
            where=f"{self.where} unit {unit_id}",
            found=f"the definition {_printed(definition)}",
            expected=f"one that means {readings[0]}",
            remedy="The id of a unit spells its type; make the two agree.",
        )

    def _time(self, unit_id: str) -> str:
        if unit_id in ("second", "dimensionless", ""):
            return {"second": "s", "dimensionless": "1"}.get(unit_id, "")
        definition = self.definitions.get(unit_id)
        if definition is None:
            return "s" if unit_id == "time" else ""
        factor, powers = _definition(definition)
        return _TIME_NAMES.get(round(factor, 6), _printed(definition)) if powers == {"[time]": 1.0} else ""


def _readings(unit_id: str) -> list[str]:
    """Return what a unit id may spell: libantimony makes `cell_per_mL_L` of a species that `has cell_per_mL`."""
    head, _, volume = unit_id.rpartition("_")
    first, parts = parse_unit_id(unit_id), (parse_unit_id(head), parse_unit_id(volume))
    return [first, *([f"{parts[0]}*{parts[1]}"] if all(parts) else [])] if first else []


def _agree(spelt: str, definition: libsbml.UnitDefinition) -> bool:
    wanted_factor, wanted = _canonical(spelt)
    factor, powers = _definition(definition)
    return powers == wanted and math.isclose(factor, wanted_factor, rel_tol=1e-9)


@functools.cache
def _canonical(spelt: str) -> tuple[float, dict[str, float]]:
    quantity = registry().Quantity(1.0, parse_unit(spelt, where="unit id")).to_base_units()
    powers: dict[str, float] = {}
    for kind, power in dict[Any, Any](quantity.dimensionality).items():
        name = "[item]" if kind in _COUNTED_KINDS else str(kind)
        powers[name] = powers.get(name, 0.0) + float(power)
    return float(quantity.magnitude), {k: p for k, p in powers.items() if p}


def _definition(definition: libsbml.UnitDefinition) -> tuple[float, dict[str, float]]:
    factor, powers = 1.0, dict[str, float]()
    for unit in definition.getListOfUnits():
        kind = libsbml.UnitKind_toString(unit.getKind())
        exponent = unit.getExponentAsDouble()
        size, base = (1.0, {"[item]": 1.0}) if kind == "item" else _canonical(_SBML_BASE.get(kind, "1"))
        if kind not in _SBML_BASE and kind != "item":
            base = {kind: 1.0}
        factor *= (unit.getMultiplier() * 10.0 ** unit.getScale() * size) ** exponent
        for name, power in base.items():
            powers[name] = powers.get(name, 0.0) + power * exponent
    return factor, {k: p for k, p in powers.items() if p}


def _printed(definition: libsbml.UnitDefinition) -> str:
    return str(libsbml.UnitDefinition.printUnits(definition, True)) or definition.getId()
