"""The frozen description of a model, independent of the language it was written in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from atmpsim.model.graph import Graph


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a quantity rests on: `tag` (published, derived, assumption, …), the reasoning, and its address."""

    tag: str = ""
    text: str = field(default="", repr=False)
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A named quantity of a model: compartment, species, parameter or stoichiometry.

    `unit` is the text of its unit; `typed` says that the unit's id spelt a type (cell, vp, …), so that
    equations can be balanced. `value` is the number that stands in the file, if one does.
    """

    id: str
    kind: str
    name: str = ""
    unit: str = ""
    typed: bool = False
    value: float | None = None
    constant: bool = True
    evidence: Evidence = field(default_factory=Evidence)
    distribution: str = ""

    @property
    def label(self) -> str:
        """Return the display name, or the id where there is none."""
        return self.name or self.id


@dataclass(frozen=True, kw_only=True)
class Species(Quantity):
    """A species; `value` is an amount unless `value_is_concentration`.

    `conversion` is the parameter that turns a reaction's extent into this species' substance, if there is one.
    """

    compartment: str = ""
    substance_only: bool = False
    boundary: bool = False
    value_is_concentration: bool = False
    conversion: str = ""


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """A reaction: the node of each species' signed stoichiometry, and the node of its rate (extent per time).

    A `fast` reaction is in equilibrium at all times: its rate is zero there.
    """

    id: str
    name: str = ""
    changes: tuple[tuple[str, int], ...]
    rate: int
    fast: bool = False


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event as SBML has it: what it does, some `delay` after its trigger turns true.

    `early` says that the values are those of the time when the trigger turned true; an event that is not
    `persistent` is called off when the trigger turns false before it is carried out.
    """

    id: str
    trigger: int
    assignments: tuple[tuple[str, int], ...]
    initially_true: bool = True
    persistent: bool = True
    early: bool = True
    delay: int | None = None
    priority: int | None = None


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """What a model says must hold, and its own words for when it does not."""

    condition: int
    message: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A model as data: what `atmpsim.load_model` returns.

    `text` is the file as read, `sbml` the SBML document it stands for; `graph` holds every formula. Rules and
    initial assignments map an id to the node of its formula. `caution` is the line that every result must carry.
    Models are equal when their digests are.
    """

    id: str
    name: str = ""
    caution: str = ""
    path: str = ""
    text: str = field(default="", repr=False)
    sbml: str = field(default="", repr=False)
    graph: Graph = field(repr=False)
    time_unit: str = ""
    compartments: Mapping[str, Quantity] = field(repr=False)
    species: Mapping[str, Species] = field(repr=False)
    parameters: Mapping[str, Quantity] = field(repr=False)
    reactions: Mapping[str, Reaction] = field(repr=False)
    assignment_rules: Mapping[str, int] = field(repr=False)
    rate_rules: Mapping[str, int] = field(repr=False)
    initial_assignments: Mapping[str, int] = field(repr=False)
    events: Mapping[str, Event] = field(repr=False)
    algebraic_rules: tuple[int, ...] = field(default=(), repr=False)
    constraints: tuple[Constraint, ...] = field(default=(), repr=False)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the SBML document."""
        return hashlib.sha256(self.sbml.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def quantity(self, identifier: str) -> Quantity | None:
        """Return the compartment, species or parameter of an id, or None."""
        for group in (self.species, self.parameters, self.compartments):
            if identifier in group:
                return group[identifier]
        return None

    @property
    def quantities(self) -> dict[str, Quantity]:
        """Return every compartment, species and parameter by id."""
        return {**self.compartments, **self.species, **self.parameters}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the ids that the model declares as outputs; where it declares none, its species and rate rules."""
        declared = tuple(k for k, q in self.quantities.items() if q.evidence.tag == "output")
        return declared or tuple(dict.fromkeys((*self.species, *self.rate_rules)))
