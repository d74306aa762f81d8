"""Models of every kind by name: equations, or cells as agents."""

from __future__ import annotations

import os
from pathlib import Path

from atmpsim.agents.evidence import check_agents
from atmpsim.agents.face import face
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.spec import AgentModel
from atmpsim.model import evidence, library
from atmpsim.model.border import check_xml, read_text
from atmpsim.model.evidence import Fault
from atmpsim.model.spec import Model

_SETTINGS = "PhysiCell_settings"


def load_model(name: str | os.PathLike[str], *, beside: Path | None = None) -> Model | AgentModel:
    """Return a model by its shipped id, or from an Antimony (.ant), SBML (.xml) or PhysiCell settings (.xml) file.

    Raises
    ------
    ModelError
        If it cannot be found or read, is hostile, uses what is not supported, or its units do not balance.

    Examples
    --------
    >>> load_model("celyvir").time_unit
    'd'
    >>> [kind.name for kind in load_model("virus_plaque").cell_types]
    ['cell', 'infected cell']
    """
    path = library.find_model(name, beside=beside)
    return load_agents(path) if _is_settings(path) else library.load_model(path)


def _is_settings(path: Path) -> bool:
    return path.suffix.lower() == ".xml" and check_xml(read_text(path), where=path.name).root == _SETTINGS


def check_model(name: str) -> list[Fault]:
    """Return every fault in the evidence of a model of either kind, and of the README beside it.

    Raises
    ------
    ModelError
        If the model cannot be found or read at all.
    """
    path = library.find_model(name)
    return check_agents(path) if _is_settings(path) else evidence.check_model(name)


def quantities_of(name: str | os.PathLike[str]) -> Model:
    """Return a model's quantities, those of an agent model as scenarios speak of them."""
    model = load_model(name)
    return face(model) if isinstance(model, AgentModel) else model
