"""An agent model as the rest of a study sees a model: quantities with units that doses, arms and sweeps speak of.

Live cells of each type and the amount of each substrate are its states (doses go into them, `[initial]` sets them),
settable numbers its parameters, curves its outputs. What the states do is the agent engine's, so no formula is here.
"""

from __future__ import annotations

import re

import numpy as np

from atmpsim.agents.outputs import AMOUNT, LIVE, Output, outputs
from atmpsim.agents.settable import settables, stock_value, words
from atmpsim.agents.spec import AgentModel
from atmpsim.model.graph import Graph
from atmpsim.model.spec import Evidence, Model, Quantity, Species
from atmpsim.units import known_units

TISSUE = "tissue"
TIME_UNITS = {"min": 1.0, "h": 60.0, "d": 1440.0, "wk": 10080.0}
"""Units in which a scenario may count time, and their minutes."""


def face(model: AgentModel, *, time_unit: str = "min") -> Model:
    """Return an agent model's quantities.

    Examples
    --------
    >>> from atmpsim.agents.physicell import load_agents
    >>> face(load_agents("virus_plaque")).parameters["virus.diffusion"].unit
    'um^2/min'
    """
    graph = Graph()
    said = outputs(model)
    states = [o for o in said if o.kind in (LIVE, AMOUNT)]
    rest = [o for o in said if o.kind not in (LIVE, AMOUNT)]
    numbers = {
        s.id: Quantity(id=s.id, kind="parameter", name=s.meaning, unit=s.unit, typed=is_typed(s.unit), value=s.value)
        for s in settables(model).values()
    }
    counted = {
        o.id: Quantity(
            id=o.id, kind="parameter", name=o.meaning, unit=o.unit, typed=True, constant=False, evidence=_tag(o)
        )
        for o in rest
    }  # fmt: skip
    volume = float(np.prod(model.domain.shape)) * model.domain.voxel_volume
    start = dict(zip(words(model)[0], first_counts(model).tolist(), strict=True))
    start |= {name: s.initial * volume for name, s in zip(words(model)[1], model.substrates, strict=True)}
    return Model(
        id=model.name, path=model.path, text=next(iter(model.text.values()), ""), graph=graph, time_unit=time_unit,
        sbml=f"{model.digest} in {time_unit}",
        compartments={TISSUE: Quantity(id=TISSUE, kind="compartment", unit="um^3", typed=True, value=volume)},
        species={o.id: _species(o, start[o.id]) for o in states}, parameters={**numbers, **counted},
        reactions={}, assignment_rules=dict.fromkeys(counted, graph.const(0.0)),
        rate_rules=dict.fromkeys((o.id for o in states), graph.const(0.0)),
        initial_assignments={}, events={}, name=_comment(model, r"(.*?\.)\s.*?"),
        caution=_comment(model, r"CAUTION:\s*(.*?)"),
        stock=frozenset(k for k, s in settables(model).items() if s.value == stock_value(s.id)),
    )  # fmt: skip


def _comment(model: AgentModel, pattern: str) -> str:
    """Return what a comment of the settings file says, in one line: its first sentence, or what follows CAUTION."""
    found = re.search(rf"<!--\s*{pattern}\s*-->", next(iter(model.text.values()), ""), re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""


def first_counts(model: AgentModel) -> np.ndarray:
    """Return the number of cells of each type at the start."""
    kinds = len(model.cell_types)
    return np.bincount(model.cells.types, minlength=kinds).astype(np.float64) + model.cells.random_per_type


def is_typed(unit: str) -> bool:
    """Return whether a unit is made of those that atmpsim knows."""
    return unit == "1" or (bool(unit) and all(w in known_units() for w in re.findall(r"[A-Za-z%]\w*", unit)))


def _species(output: Output, start: float) -> Species:
    return Species(
        id=output.id, kind="species", name=output.meaning, unit=output.unit, typed=is_typed(output.unit), value=start,
        constant=False, compartment=TISSUE, substance_only=True, evidence=_tag(output),
    )  # fmt: skip


def _tag(output: Output) -> Evidence:
    return Evidence(tag="output" if output.main else "")
