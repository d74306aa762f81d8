"""Read a PhysiCell model: the settings file, and the rules and cells that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from atmpsim.agents.behaviours import behaviours_of
from atmpsim.agents.cells import read_cells
from atmpsim.agents.checks import check_elements
from atmpsim.agents.definitions import read_definitions
from atmpsim.agents.distributions import read_distributions
from atmpsim.agents.names import read_names
from atmpsim.agents.phenotype import Reading
from atmpsim.agents.rule_file import grammar_of, read_rules, rule_notes
from atmpsim.agents.settings import (
    random_cells,
    read_domain,
    read_options,
    read_steps,
    read_substrates,
    read_user_parameters,
    unused_parameters,
)  # fmt: skip
from atmpsim.agents.signals import signals_of
from atmpsim.agents.spec import PHYSICELL, AgentModel
from atmpsim.agents.therapy import read_extension
from atmpsim.agents.tree import read_tree
from atmpsim.errors import ModelError
from atmpsim.model.border import read_text
from atmpsim.resources import shipped_agent_models

COMPATIBILITIES = ("", PHYSICELL)


def load_agents(path: str | os.PathLike[str], *, compatibility: str = "") -> AgentModel:
    """Return the agent model of a PhysiCell settings file (.xml), with its rules and cells.

    Parameters
    ----------
    path
        The file, or the id of a shipped agent model.
    compatibility
        Empty for the model as written, or "physicell-1.14" for that program's artefacts on top.

    Raises
    ------
    ModelError
        If any of the files is missing, hostile, or says what cannot be; the message names file and line.

    Examples
    --------
    >>> model = load_agents("virus_plaque")
    >>> [t.name for t in model.cell_types], len(model.cells.types)
    (['cell', 'infected cell'], 7837)
    """
    if compatibility not in COMPATIBILITIES:
        raise ModelError(where="compatibility", found=f"'{compatibility}'", expected=f"'' or '{PHYSICELL}'")
    file = shipped_agent_models().get(str(path), Path(path))
    return read_agents(read_text(file), file, compatibility=compatibility)


def read_agents(
    text: str, file: Path, *, compatibility: str = "", companions: Mapping[str, str] | None = None
) -> AgentModel:
    """Return the agent model of a settings text.

    Parameters
    ----------
    file
        Says where its rules and cells are looked for.
    companions
        Their texts by name; then no file is read.
    """
    folder = file.parent if companions is None else None
    root = read_tree(text, where=file.name)
    check_elements(root)
    names = read_names(root)
    parameters = read_user_parameters(root)
    domain = read_domain(root, substrates=len(names.substrates))
    reading = Reading(names, compatibility, domain.two_dimensional)
    substrates = read_substrates(root, domain, compatibility=compatibility, notes=reading.notes)
    types, custom = read_definitions(root, reading)
    words = names.substrates, names.types, [c.name for c in custom]
    behaviours = behaviours_of(*words)
    types = read_distributions(root, types, behaviours)
    grammar = grammar_of(names, signals_of(*words), behaviours, types, where=file.name)
    texts = {file.name: text, **(companions or {})}
    rules = read_rules(root, folder, grammar, texts)
    cells = read_cells(
        root, folder, grammar, domain, texts,
        random_per_type=random_cells(root, parameters), exact=reading.exact, notes=reading.notes,
    )  # fmt: skip
    notes = [*reading.notes, *rule_notes(rules, grammar, exact=reading.exact), *unused_parameters(parameters)]
    return AgentModel(
        name=file.parent.name if file.stem == "PhysiCell_settings" else file.stem,
        path=str(file),
        text=texts,
        compatibility=compatibility,
        domain=domain,
        steps=read_steps(root),
        options=read_options(root, seed=parameters.get("random_seed")),
        substrates=substrates,
        cell_types=types,
        custom=custom,
        cells=cells,
        rules=rules,
        extension=read_extension(root, names),
        user_parameters=parameters,
        notes=tuple(notes),
    )
