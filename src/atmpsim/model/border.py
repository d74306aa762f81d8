"""The border for text files from strangers: what is opened, how much of it, and what no library may see."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from atmpsim.errors import InputError, ModelError, did_you_mean

MAX_BYTES = 50_000_000
MAX_DEPTH = 200


@dataclass(frozen=True)
class XmlHead:
    """Root element's name and the namespaces declared on it."""

    root: str
    namespaces: tuple[str, ...]


def read_text(
    path: str | os.PathLike[str],
    *,
    where: str | None = None,
    error: type[InputError] = ModelError,
    max_bytes: int = MAX_BYTES,
) -> str:
    """Return the text of a file."""
    file = Path(path)
    where = where or file.name or str(path)
    try:
        status = file.stat()
    except (OSError, ValueError):
        near = did_you_mean(file.name, [p.name for p in file.parent.glob("*")]) if file.parent.is_dir() else ""
        raise error(where=where, found="no such file", expected=f"a file at {file}", remedy=near) from None
    if stat.S_ISDIR(status.st_mode):
        raise error(where=where, found="a directory", expected="a text file")
    if not stat.S_ISREG(status.st_mode):
        raise error(where=where, found="no regular file (a device or pipe)", expected="a text file")
    if status.st_size > max_bytes:
        raise error(where=where, found=f"{status.st_size} bytes", expected=f"at most {max_bytes}")
    try:
        with file.open("rb") as stream:
            raw = stream.read(max_bytes + 1)
    except OSError as problem:
        raise error(
            where=where, found=f"a file that cannot be read ({problem.strerror})", expected="a readable file"
        ) from None
    if not raw:
        raise error(where=where, found="an empty file", expected="some text")
    if b"\0" in raw:
        raise error(where=where, found="NUL bytes", expected="a text file in UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise error(
            where=f"{where} line {line}",
            found=f"bytes that are not UTF-8 (offset {problem.start})",
            expected="text in UTF-8",
            remedy="Save it as UTF-8.",
        ) from None


def check_xml(text: str, *, where: str) -> XmlHead:
    """Return the head of an XML document that is safe to hand on."""
    parser = expat.ParserCreate()
    depth, head = 0, []

    def refuse(found: str, expected: str) -> ModelError:
        return ModelError(where=f"{where} line {parser.CurrentLineNumber}", found=found, expected=expected)

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise refuse(f"elements nested deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH}")
        if not head:
            spaces = tuple(v for k, v in attributes.items() if k.startswith("xmlns"))
            head.append(XmlHead(name.rpartition(":")[2], spaces))

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def doctype(*_: object) -> None:
        raise refuse("a DOCTYPE", "XML without DOCTYPE and entities")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as problem:
        raise ModelError(
            where=f"{where} line {problem.lineno}",
            found=f"XML that is not well formed ({expat.ErrorString(problem.code)})",
            expected="well-formed XML",
        ) from None
    return head[0]


def check_antimony(text: str, *, where: str) -> None:
    """Raise where an Antimony text would crash its library."""
    depth = 0
    for line, content in enumerate(text.splitlines(), 1):
        for letter in content:
            depth += (letter in "([{") - (letter in ")]}")
            if depth > MAX_DEPTH:
                raise ModelError(
                    where=f"{where} line {line}",
                    found=f"brackets nested deeper than {MAX_DEPTH}",
                    expected=f"at most {MAX_DEPTH}",
                )
