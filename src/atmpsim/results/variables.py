"""What a result says about each of its variables: unit, display name, kind and limit of detection."""

from __future__ import annotations

from dataclasses import dataclass

from atmpsim.model.spec import Model

UNKNOWN_UNIT = "model unit"


@dataclass(frozen=True, kw_only=True)
class Variable:
    """The description of one output variable."""

    name: str
    units: str
    long_name: str
    kind: str = "observable"
    limit_of_detection: str = ""

    def attributes(self, lod: float | None = None) -> dict[str, object]:
        """Return the attributes of the labelled array."""
        made: dict[str, object] = {"units": self.units, "long_name": self.long_name, "kind": self.kind}
        return made | ({"limit_of_detection": lod} if lod is not None else {})


def describe(model: Model, name: str) -> Variable:
    """Return the description of an id, or of a species' concentration `[id]`.

    The limit of detection of an output `x` is the model's parameter `x_lod`, where it has one.
    """
    identifier = name.strip("[]")
    lod = f"{name}_lod" if f"{name}_lod" in model.parameters else ""
    quantity = model.quantity(identifier)
    if quantity is None:
        reaction = model.reactions[identifier]
        return Variable(name=name, units=UNKNOWN_UNIT, long_name=reaction.name or identifier, kind="rate")
    units = quantity.unit or UNKNOWN_UNIT
    if name != identifier:
        volume = model.compartments[model.species[identifier].compartment]
        units = f"{units}/{volume.unit}" if quantity.unit and volume.unit else UNKNOWN_UNIT
        return Variable(name=name, units=units, long_name=f"concentration of {quantity.label}", kind="state")
    kind = "state" if quantity.kind == "species" else "observable"
    return Variable(name=name, units=units, long_name=quantity.label, kind=kind, limit_of_detection=lod)
