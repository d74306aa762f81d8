"""An XML document as a tree that remembers its lines, read after the border has passed it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from atmpsim.agents.elements import Leaf
from atmpsim.errors import ModelError
from atmpsim.model.border import check_xml

NAMESPACE = "urn:atmpsim:agents:1"

_TRUE, _FALSE = ("1", "true", "yes", "t", "y"), ("0", "false", "no", "f", "n")


@dataclass
class Node:
    """An element: its name, attributes, own text, children, and the place to name in messages."""

    tag: str
    attributes: dict[str, str]
    line: int
    file: str
    text: str = ""
    children: list[Node] = field(default_factory=list)
    leaf: Leaf | None = None  # what it may hold, once the elements have been checked

    @property
    def where(self) -> str:
        """Return the place: file, line and element."""
        return f"{self.file} line {self.line} <{self.tag}>"

    def child(self, *path: str) -> Node | None:
        """Return the descendant that a path of names leads to, or None."""
        here: Node | None = self
        for tag in path:
            here = next((c for c in here.children if c.tag == tag), None) if here else None
        return here

    def all(self, *path: str) -> list[Node]:
        """Return every child of the last name of a path; the names before it lead there."""
        here = self.child(*path[:-1]) if len(path) > 1 else self
        return [c for c in here.children if c.tag == path[-1]] if here else []

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def refuse(self, found: str, expected: str, remedy: str = "") -> ModelError:
        """Return the error that names this place."""
        return ModelError(where=self.where, found=found, expected=expected, remedy=remedy)

    def number(self, *path: str, default: float) -> float:
        """Return the number of a descendant, `default` where there is none.

        Raises
        ------
        ModelError
            If it is no finite number, out of its range, or in other units.
        """
        node = self.child(*path)
        return default if node is None else node.as_number()

    def flag(self, *path: str, default: bool = False) -> bool:
        """Return the truth of a descendant, `default` where there is none."""
        node = self.child(*path)
        return default if node is None else node.as_flag(node.text, "text")

    def word(self, *path: str, default: str = "") -> str:
        """Return the text of a descendant, `default` where there is none."""
        node = self.child(*path)
        return default if node is None else node.text

    def attribute(self, name: str) -> str:
        """Return an attribute that must be there and not be empty."""
        if not self.attributes.get(name):
            raise self.refuse(f"no attribute '{name}'", f'{name}="…"')
        return self.attributes[name]

    def switched_on(self, *, default: bool = False) -> bool:
        """Return the truth of the attribute `enabled`."""
        given = self.attributes.get("enabled")
        return default if given is None else self.as_flag(given, "enabled")

    def as_number(self) -> float:
        """Return this element's number, checked against its range and unit."""
        leaf = self.leaf or Leaf()
        value = self.as_finite()
        if leaf.whole and value != round(value):
            raise self.refuse(f"'{self.text}'", "a whole number")
        if not leaf.lower <= value <= leaf.upper or (leaf.above and value == leaf.lower):
            raise self.refuse(f"{value:g}", leaf.range_text)
        if (problem := leaf.unit_problem(self.attributes.get("units", ""))) is not None:
            raise self.refuse(*problem)
        return value

    def as_finite(self) -> float:
        """Return this element's number, of any range and unit."""
        try:
            value = float(self.text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in self.text:
            raise self.refuse(f"'{self.text[:40]}'" if self.text else "nothing", "a finite number")
        return value

    def index(self, name: str, count: int) -> int:
        """Return an attribute that counts one of `count` things from 0."""
        text = self.attribute(name)
        if not text.isdecimal() or int(text) >= count:
            raise self.refuse(f"{name}='{text}'", f"a whole number from 0 to {count - 1}")
        return int(text)

    def as_flag(self, text: str, what: str) -> bool:
        """Return whether a text says yes; `what` names it in messages."""
        lower = text.strip().lower()
        if lower in _TRUE or lower in _FALSE:
            return lower in _TRUE
        raise self.refuse(f"{what} '{text}'", "true or false")


def read_tree(text: str, *, where: str) -> Node:
    """Return the tree of an XML document.

    Names in our own namespace read `atmpsim:name`; other namespaces are kept as `uri name`.

    Raises
    ------
    ModelError
        If the text is not safe, well-formed XML.
    """
    check_xml(text, where=where)
    return _Builder(where).build(text)


class _Builder:
    """Collects what expat reports."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.root: Node | None = None
        self.open: list[Node] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def build(self, text: str) -> Node:
        try:
            self.parser.Parse(text.encode(), True)
        except expat.ExpatError as problem:  # prefixes without a namespace; the border does not look at these
            raise ModelError(
                where=f"{self.where} line {problem.lineno}", found=expat.ErrorString(problem.code),
                expected="well-formed XML", remedy="Declare the prefix with xmlns, or remove it.",
            ) from None  # fmt: skip
        assert self.root is not None  # well-formed
        return self.root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        tag = f"atmpsim:{local}" if space == NAMESPACE else name
        node = Node(tag, attributes, self.parser.CurrentLineNumber, self.where)
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        self.open.append(node)

    def _end(self, _: str) -> None:
        node = self.open.pop()
        node.text = node.text.strip()

    def _text(self, text: str) -> None:
        self.open[-1].text += text
