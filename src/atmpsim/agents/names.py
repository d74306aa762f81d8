"""The names of a settings file, and what is said when one of them is missing, doubled or misspelt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atmpsim.agents.tree import Node
from atmpsim.errors import did_you_mean, one_of

MAX_TYPES = 200  # the tables of pairs of types grow with the square


@dataclass(frozen=True)
class Names:
    """The substrates and cell types of a file, by position."""

    substrates: tuple[str, ...]
    types: tuple[str, ...]

    def substrate(self, node: Node, name: str) -> int:
        """Return the position of a substrate that `node` speaks of."""
        return position_of(node, name, self.substrates, "substrate")

    def cell_type(self, node: Node, name: str) -> int:
        """Return the position of a cell type that `node` speaks of."""
        return position_of(node, name, self.types, "cell type")


def position_of(node: Node, name: str, known: Sequence[str], what: str) -> int:
    """Return the position of a name among the known ones; `what` is a word for them."""
    if name not in known:
        raise node.refuse(f"the {what} '{name}'", one_of(known), did_you_mean(name, known))
    return known.index(name)


def read_names(root: Node) -> Names:
    """Return the names of a settings file.

    Raises
    ------
    ModelError
        If there are none, two are alike, or types are not numbered 0, 1, 2, … in the order of the file.
    """
    substrates = root.all("microenvironment_setup", "variable")
    types = root.all("cell_definitions", "cell_definition")
    if not substrates:
        raise root.refuse("no substrate", "<microenvironment_setup> with at least one <variable>")
    if not types:
        raise root.refuse("no cell type", "<cell_definitions> with at least one <cell_definition>")
    if len(types) > MAX_TYPES:
        raise types[MAX_TYPES].refuse(f"{len(types)} cell types", f"at most {MAX_TYPES}")
    for position, node in enumerate(types):
        number = node.attribute("ID")
        if number != str(position):
            raise node.refuse(f"ID='{number}'", f"ID='{position}'", "Number the cell definitions 0, 1, 2, … in order.")
    return Names(_unique(substrates), _unique(types))


def _unique(nodes: Sequence[Node]) -> tuple[str, ...]:
    seen: dict[str, Node] = {}
    for node in nodes:
        name = node.attribute("name")
        if name in seen:
            raise node.refuse(f"a second <{node.tag}> '{name}'", "different names",
                              f"The first is in line {seen[name].line}.")  # fmt: skip
        if name != name.strip() or "," in name:
            raise node.refuse(f"the name '{name}'", "a name without comma and without blanks at its ends",
                              "Rules and cells are comma-separated files.")  # fmt: skip
        seen[name] = node
    return tuple(seen)
