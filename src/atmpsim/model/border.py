"""The border for text files from strangers: what is opened, how much of it, and what no library may see."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from atmpsim.errors import InputError, ModelError, did_you_mean

MAX_BYTES = 50_000_000
MAX_DEPTH = 200  # libSBML and libantimony crash the process on formulas nested some thousand deep
MAX_OPERATORS = 1000  # libantimony turns a chain of these into a tree as deep as the chain, and crashes at 5000
MAX_QUOTES = 10_000  # kept pieces between comments, strings and notes; 30,000 comments crash libantimony
MAX_CALL_CHAIN = 30  # of functions; libantimony took 9 s for a chain of 60, libSBML did not end for 100
MAX_STATEMENT = 200_000  # characters; libantimony's time grows with the square of some statements

_OPENS_ANTIMONY_QUOTE = re.compile(r"```|\"|/\*|//|#")
_CLOSES_QUOTE = {"```": "```", '"': '"', "/*": "*/", "//": "\n", "#": "\n"}
_FUNCTION = re.compile(r"\bfunction\s+(?P<name>[A-Za-z_]\w*)\s*\([^)]*\)(?P<body>.*?)\bend\b", re.DOTALL)
_NESTING_OPERATORS = re.compile(r"[-/^!%&|<>=]")


@dataclass(frozen=True)
class XmlHead:
    """The name of an XML document's root element, and the namespaces declared on it."""

    root: str
    namespaces: tuple[str, ...]


def read_text(
    path: str | os.PathLike[str],
    *,
    where: str | None = None,
    error: type[InputError] = ModelError,
    max_bytes: int = MAX_BYTES,
    may_be_empty: bool = False,
) -> str:
    """Return the text of a UTF-8 file; a byte order mark is stripped.

    Parameters
    ----------
    where
        What messages call the file; its name by default.
    error
        The class of error to raise.

    Raises
    ------
    InputError
        If it is missing, no regular file, empty, too large, unreadable, or not text in UTF-8.
    """
    file = Path(path)
    name = where or file.name or str(path)

    def refuse(found: str, expected: str, remedy: str = "", place: str = name) -> InputError:
        return error(where=place, found=found, expected=expected, remedy=remedy)

    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            raise refuse("a directory", "a text file", "Name the file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise refuse("a device or pipe", "a regular text file")
        if status.st_size > max_bytes:
            raise refuse(f"{status.st_size} bytes", f"at most {max_bytes}", "Split it, or take out annotations.")
        with file.open("rb") as stream:
            raw = stream.read(max_bytes + 1)  # the file may have grown
    except FileNotFoundError:
        raise refuse("no such file", f"a file at {file}", _near(file)) from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise refuse(f"a file that cannot be read ({reason})", "a readable file") from None
    if not raw and not may_be_empty:
        raise refuse("an empty file (0 bytes)", "some text")
    if len(raw) > max_bytes:
        raise refuse(f"more than {max_bytes} bytes", f"at most {max_bytes}")
    return _decode(raw, name, error)


def _near(file: Path) -> str:
    try:
        return did_you_mean(file.name, [p.name for p in file.parent.iterdir()])
    except OSError:
        return f"There is no folder '{file.parent}' either."


def _decode(raw: bytes, name: str, error: type[InputError]) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise error(where=name, found="text in UTF-16", expected="text in UTF-8", remedy="Save it as UTF-8.")
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise error(where=f"{name} line {line}", found="a NUL byte, as in a binary file", expected="text in UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise error(
            where=f"{name} line {line}",
            found=f"bytes that are not UTF-8 (at byte {problem.start})",
            expected="text in UTF-8",
            remedy="Save it as UTF-8.",
        ) from None


def check_xml(text: str, *, where: str) -> XmlHead:
    """Return the head of an XML document that is safe to hand to libSBML.

    It has no DOCTYPE and no entities of its own, is well formed, is in UTF-8 and nests at most 200 deep.

    Raises
    ------
    ModelError
        Naming the line and what stands there.
    """
    scan = _XmlScan(where)
    try:
        scan.parser.Parse(text.encode(), True)
    except expat.ExpatError as problem:
        raise ModelError(
            where=f"{where} line {problem.lineno}",
            found=f"XML that is not well formed ({expat.ErrorString(problem.code)})",
            expected="well-formed XML",
            remedy=f"Look at column {problem.offset + 1}.",
        ) from None
    except RecursionError:  # expat's own guard against content models
        raise ModelError(where=where, found="XML nested too deep", expected=f"at most {MAX_DEPTH} levels") from None
    return XmlHead(scan.root, scan.namespaces)


class _XmlScan:
    """Watches a document go by, keeping nothing but the depth and the root."""

    def __init__(self, where: str) -> None:
        self.where, self.depth, self.root = where, 0, ""
        self.namespaces: tuple[str, ...] = ()
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._entity
        self.parser.XmlDeclHandler = self._declaration

    def _refuse(self, found: str, expected: str, remedy: str = "") -> ModelError:
        line = self.parser.CurrentLineNumber
        return ModelError(where=f"{self.where} line {line}", found=found, expected=expected, remedy=remedy)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._refuse(
                f"elements nested deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels",
                "Break a long formula into assignment rules.",
            )  # fmt: skip
        if not self.root:
            self.root = name.rpartition(":")[2]
            self.namespaces = tuple(v for k, v in attributes.items() if k.startswith("xmlns"))

    def _end(self, name: str) -> None:
        self.depth -= 1

    def _doctype(self, *_: object) -> None:
        raise self._refuse("a DOCTYPE", "XML without DOCTYPE and entities", "Remove it; SBML needs none.")

    def _entity(self, *_: object) -> None:
        raise self._refuse("an entity declaration", "XML without DOCTYPE and entities", "Remove it; SBML needs none.")

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
            raise self._refuse(f"the encoding '{encoding}'", "UTF-8", "Save the file as UTF-8 and say so in line 1.")


def check_antimony(text: str, *, where: str) -> None:
    """Raise where an Antimony text would crash libantimony, or make it open other files.

    Raises
    ------
    ModelError
        Naming the line and what stands there.
    """
    if text.lstrip("\ufeff \t\r\n").startswith("<"):  # libantimony reads such a text as SBML, past `check_xml`
        raise _at(text, 0, where, "a text that begins with '<'", "Antimony", "Name an SBML file .xml.")
    if "\0" in text:  # libantimony drops what follows
        raise _at(text, text.index("\0"), where, "a NUL byte", "text")
    plain = _without_quotes(text, where)
    found = re.search(r"\bimport\b", plain)
    if found:
        raise _at(plain, found.start(), where, "an import of another file", "a file that stands alone",
                  "Copy what it needs into this file.")  # fmt: skip
    _check_brackets(plain, where)
    _check_call_chain(plain, where)
    start = 0
    for statement in re.split(r"[;\n]", plain):
        _check_statement(statement, plain, start, where)
        start += len(statement) + 1


def _at(text: str, position: int, where: str, found: str, expected: str, remedy: str = "") -> ModelError:
    line = text.count("\n", 0, position) + 1
    return ModelError(where=f"{where} line {line}", found=found, expected=expected, remedy=remedy)


def _without_quotes(text: str, where: str) -> str:
    """Return the text with comments, strings and notes blanked out, line breaks kept."""
    kept: list[str] = []
    position = 0
    while opening := _OPENS_ANTIMONY_QUOTE.search(text, position):
        if len(kept) > MAX_QUOTES:
            raise _at(text, opening.start(), where, f"more than {MAX_QUOTES} comments and texts", "fewer")
        kept.append(text[position : opening.start()])
        closing = _CLOSES_QUOTE[opening.group()]
        end = text.find(closing, opening.end())
        if end < 0 and closing == "\n":
            end = len(text)
        if end < 0:
            raise _at(text, opening.start(), where, f"{opening.group()} without its end", f"a closing {closing}")
        position = end if closing == "\n" else end + len(closing)
        kept.append("\n" * text.count("\n", opening.start(), position))
    return "".join([*kept, text[position:]])


def _check_brackets(text: str, where: str) -> None:
    depth = 0
    for bracket in re.finditer(r"[()\[\]{}]", text):
        depth = max(0, depth + (1 if bracket.group() in "([{" else -1))
        if depth > MAX_DEPTH:
            raise _at(text, bracket.start(), where, f"brackets nested deeper than {MAX_DEPTH}",
                      f"at most {MAX_DEPTH} levels", "Break the formula into assignment rules.")  # fmt: skip


def _check_call_chain(text: str, where: str) -> None:
    """Refuse long chains of functions that call one another, and circles of them."""
    bodies = {m["name"]: m["body"] for m in _FUNCTION.finditer(text)}
    calls = {name: bodies.keys() & set(re.findall(r"[A-Za-z_]\w*", body)) for name, body in bodies.items()}
    for _ in range(MAX_CALL_CHAIN + 1):
        if not calls:
            return
        ready = {name for name, called in calls.items() if not called & calls.keys()}
        if not ready:
            raise ModelError(
                where=f"{where} function {min(calls)}", found="functions that call one another in a circle",
                expected="functions that can be written out", remedy="Break the circle.",
            )  # fmt: skip
        calls = {name: called for name, called in calls.items() if name not in ready}
    raise ModelError(
        where=f"{where} function {min(calls)}",
        found=f"a chain of over {MAX_CALL_CHAIN} functions that call one another",
        expected=f"at most {MAX_CALL_CHAIN}", remedy="Write some of them out.",
    )  # fmt: skip


def _check_statement(statement: str, text: str, start: int, where: str) -> None:
    if len(statement) > MAX_STATEMENT:
        raise _at(text, start, where, f"a statement of {len(statement)} characters", f"at most {MAX_STATEMENT}",
                  "Break it into several.")  # fmt: skip
    count = len(_NESTING_OPERATORS.findall(statement))
    if count > MAX_OPERATORS:
        raise _at(text, start, where, f"a statement with {count} operators that nest",
                  f"at most {MAX_OPERATORS}", "Break the formula into assignment rules.")  # fmt: skip
