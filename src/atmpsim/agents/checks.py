"""Compare a settings file with what it may hold: unknown, repeated and refused elements and attributes, by line."""

from __future__ import annotations

from atmpsim.agents.elements import EACH_NAME, MANY, REFUSED, SETTINGS, Leaf, Schema, attributes_of
from atmpsim.agents.tree import Node
from atmpsim.errors import ModelError, did_you_mean, one_of


def check_elements(root: Node) -> None:
    """Give every element of a settings file its meaning (`Node.leaf`).

    Raises
    ------
    ModelError
        Naming the first element or attribute that is unknown, repeated, misplaced or not supported.
    """
    if root.tag != "PhysiCell_settings":
        raise root.refuse(f"<{root.tag}>", "<PhysiCell_settings>", "Name the PhysiCell settings file.")
    pending: list[tuple[Node, Schema]] = [(root, SETTINGS)]
    _check_attributes(root, free=False)
    while pending:
        parent, schema = pending.pop()
        _check_repeats(parent, schema)
        for node in parent.children:
            meaning, free = _meaning(node, parent, schema)
            if meaning is None:
                continue
            _check_attributes(node, free=free)
            if isinstance(meaning, Leaf):
                _check_leaf(node, meaning, free=free)
            else:
                pending.append((node, meaning))


def _meaning(node: Node, parent: Node, schema: Schema) -> tuple[Leaf | Schema | None, bool]:
    """Return what an element holds, and whether its name is free."""
    for key in (node.tag, node.tag + MANY):
        if key in schema:
            return schema[key], False
    if EACH_NAME in schema:
        return schema[EACH_NAME], True
    if node.tag in REFUSED:
        raise node.refuse(REFUSED[node.tag], "a model that needs none", "atmpsim does not run it: remove the element.")
    known = sorted(key.removesuffix(MANY) for key in schema)
    raise ModelError(
        where=f"{node.file} line {node.line} in <{parent.tag}>", found=f"<{node.tag}>", expected=one_of(known),
        remedy=did_you_mean(node.tag, known) or "Remove it; custom modules of PhysiCell do not run here.",
    )  # fmt: skip


def _check_repeats(parent: Node, schema: Schema) -> None:
    seen: set[str] = set()
    for node in parent.children:
        if node.tag in seen and node.tag + MANY not in schema:
            raise node.refuse(f"a second <{node.tag}> in <{parent.tag}>", "one", "Remove one of the two.")
        seen.add(node.tag)


def _check_attributes(node: Node, *, free: bool) -> None:
    known = attributes_of(node.tag, free=free)
    for name in node.attributes:
        if name not in known and " " not in name:  # other namespaces are not ours to judge
            raise node.refuse(f"the attribute '{name}'", one_of(known), did_you_mean(name, known))


def _check_leaf(node: Node, leaf: Leaf, *, free: bool) -> None:
    if node.children:
        inner = node.children[0]
        raise inner.refuse(f"<{inner.tag}> inside <{node.tag}>", "a number" if leaf.number else "a text")
    node.leaf = leaf
