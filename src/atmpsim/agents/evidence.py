"""Check what an agent model's files and the README beside them say about their numbers: units, sources, assumptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from atmpsim.agents.checks import check_elements
from atmpsim.agents.face import is_typed
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.settable import amount_unit, density_unit
from atmpsim.agents.spec import AgentModel
from atmpsim.agents.tree import Node, read_tree
from atmpsim.model.border import read_text
from atmpsim.model.evidence import Fault, find_readme_faults

TAGS = ("published", "derived", "assumption", "from memory, check", "fixed", "as `")
"""What a row of the table of parameters rests on: one of these words."""

_PLAIN = ("", "1")  # units of what is counted or a share
_NUMBER = re.compile(r"\d")


def check_agents(path: Path) -> list[Fault]:
    """Return every fault of a settings file, and of the README beside it.

    Raises
    ------
    ModelError
        If the model cannot be read at all.

    Examples
    --------
    >>> from atmpsim.resources import shipped_agent_models
    >>> check_agents(shipped_agent_models()["virus_plaque"])
    []
    """
    model, readme = load_agents(path), path.with_name("README.md")
    root = read_tree(read_text(path), where=path.name)
    check_elements(root)
    faults = [*_unitless(root), *_unknown_units(model), *find_readme_faults(readme)]
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        faults += [*_unnamed(model, text), *find_table_faults(text)]
    return faults


def _unitless(root: Node) -> Iterator[Fault]:
    """Return which numbers with a unit do not give it, nor the element around them; lengths of the domain need none."""
    pending = [(root, False)]
    while pending:
        node, given = pending.pop()
        given = given or bool(node.attributes.get("units")) or node.tag == "domain"
        pending += [(child, given) for child in reversed(node.children)]
        leaf = node.leaf
        if leaf is not None and leaf.number and leaf.unit not in _PLAIN and not given and node.as_finite() != 0.0:
            yield Fault(where=node.where, found="no units", expected=leaf.unit)


def _unknown_units(model: AgentModel) -> Iterator[Fault]:
    for substrate in model.substrates:
        unit = density_unit(substrate)
        if not is_typed(unit) or not is_typed(amount_unit(substrate)):
            yield Fault(where=f"substrate {substrate.name}", found=f"the units '{substrate.unit}'",
                        expected="a unit whose words are known, for example vp/micron^3")  # fmt: skip


def _unnamed(model: AgentModel, text: str) -> Iterator[Fault]:
    """Return which cell types and substrates the README does not speak of."""
    lower = text.lower()
    for what, things in (("cell type", model.cell_types), ("substrate", model.substrates)):
        for thing in things:
            if thing.name.lower() not in lower:
                yield Fault(where="README.md", found=f"nothing about the {what} '{thing.name}'", expected="what it is")


def find_table_faults(text: str) -> Iterator[Fault]:
    """Return which rows of the table of parameters rest on nothing, or on an assumption without a range."""
    section = re.search(r"^## parameters\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE | re.IGNORECASE)
    lines = section.group(1).splitlines() if section else []
    table = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if line.startswith("|")]
    if len(table) < 3 or table[0][-1].lower() != "rests on":
        yield Fault(where="README.md parameters", found="no table whose last column is 'rests on'", expected="one")
        return
    ranged = table[0].index("range") if "range" in table[0] else None
    for row in table[2:]:
        where, said = f"README.md parameters, {row[0]}", row[-1]
        if not any(tag in said for tag in TAGS):
            yield Fault(where=where, found=f"'{said}'" if said else "no source", expected=f"one of {', '.join(TAGS)}")
        given = said.partition("assumption")[2] + (row[ranged] if ranged is not None and len(row) > ranged else "")
        if said.startswith("assumption") and not _NUMBER.search(given) and "as `" not in given:
            yield Fault(where=where, found="an assumption without a range", expected="a range")
