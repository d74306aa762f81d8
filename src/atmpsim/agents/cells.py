"""Read the first cells of a model: cells.csv in both of PhysiCell's layouts.

Version 1 has no header: x, y, z, number of the type. Version 2 begins with x,y,z,type and may have further columns:
`volume`, or any behaviour of the grammar; an entry that is empty or begins with s ("skip") leaves the type's value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.behaviours import MAY_BE_NEGATIVE, behaviour_ids
from atmpsim.agents.rule_file import Grammar, read_companion
from atmpsim.agents.spec import Domain, InitialCells
from atmpsim.agents.tree import Node
from atmpsim.errors import ModelError, did_you_mean, one_of

MAX_CELLS = 2_000_000

_VOLUME, _NOTHING = -1, -2  # what a column sets, besides the ids of behaviours


def no_cells(random_per_type: int) -> InitialCells:
    """Return initial cells without a list: only those at random places."""
    return InitialCells(
        positions=np.zeros((0, 3)), types=np.zeros(0, np.int64), volumes=np.zeros(0), values=np.zeros((0, 0)),
        random_per_type=random_per_type,
    )  # fmt: skip


def read_cells(
    root: Node, folder: Path | None, grammar: Grammar, domain: Domain, texts: dict[str, str], *,
    random_per_type: int, exact: bool, notes: list[str],
) -> InitialCells:  # fmt: skip
    """Return the first cells; the file's text goes to `texts`.

    Raises
    ------
    ModelError
        Naming file, line and what is wrong: no number, an unknown type, a place outside the domain, two cells at
        one point.
    """
    node = root.child("initial_conditions", "cell_positions")
    if node is None or not node.switched_on():
        return no_cells(random_per_type)
    if node.attributes.get("type", "csv").lower() != "csv":
        raise node.refuse(f"type='{node.attributes['type']}'", "type='csv'")
    name = read_companion(node, folder, texts)
    cells = _read_table(texts[name], name, grammar, random_per_type, exact=exact, notes=notes)
    _check_places(cells, domain, texts[name], name, exact=exact, notes=notes)
    return cells


def _read_table(
    text: str, name: str, grammar: Grammar, random_per_type: int, *, exact: bool, notes: list[str]
) -> InitialCells:
    lines = [(n, line.split(",")) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > MAX_CELLS:
        raise ModelError(where=name, found=f"{len(lines)} lines", expected=f"at most {MAX_CELLS} cells")
    columns: list[int] = []
    types = {text: i for i in range(len(grammar.names.types)) for text in (str(i), f"{i}.0")}
    if lines and lines[0][1][0].strip().lower().startswith("x"):
        labels = [label.strip() for label in lines.pop(0)[1]]
        given = _given_columns(lines)
        columns = _header(labels, given, name, grammar, exact=exact, notes=notes)
        types = {kind: i for i, kind in enumerate(grammar.names.types)}
    numbers = np.array([_row(fields, f"{name} line {n}", types, columns) for n, fields in lines], dtype=np.float64)
    numbers = numbers.reshape(-1, 4 + len(columns))
    _check_signs(numbers[:, 4:], columns, [n for n, _ in lines], name, grammar)
    volumes = numbers[:, [4 + k for k, b in enumerate(columns) if b == _VOLUME]]
    return InitialCells(
        positions=np.ascontiguousarray(numbers[:, :3]),
        types=numbers[:, 3].astype(np.int64),
        volumes=volumes[:, 0].copy() if volumes.size else np.full(len(numbers), np.nan),
        behaviours=tuple(b for b in columns if b >= 0),
        values=np.ascontiguousarray(numbers[:, [4 + k for k, b in enumerate(columns) if b >= 0]]),
        random_per_type=random_per_type,
    )


def _given_columns(lines: Sequence[tuple[int, list[str]]]) -> set[int]:
    """Return which further columns hold a value in some row."""
    return {k for _, fields in lines for k, field in enumerate(fields[4:]) if not _left_out(field.strip())}


def _header(
    labels: Sequence[str], given: set[int], name: str, grammar: Grammar, *, exact: bool, notes: list[str]
) -> list[int]:
    """Return what each further column sets: a behaviour's id, the volume, or nothing."""
    place = f"{name} line 1"
    if [label.lower() for label in labels[:4]] != ["x", "y", "z", "type"]:
        raise ModelError(where=place, found=",".join(labels[:4]), expected="x,y,z,type",
                         remedy="The header begins with these four names.")  # fmt: skip
    known = {"volume": _VOLUME, **behaviour_ids(grammar.behaviours)}
    found: list[int] = []
    for k, label in enumerate(labels[4:]):
        if label not in known and k in given and not exact:
            raise ModelError(where=place, found=f"the column '{label}'", expected="volume or a behaviour",
                             remedy=did_you_mean(label, known))  # fmt: skip
        if label not in known:
            notes.append(f"{place}: the column '{label}' names no behaviour and is passed over")
        elif known[label] in found:
            raise ModelError(where=place, found=f"a second column '{label}'", expected="one")
        found.append(known.get(label, _NOTHING))
    return found


def _row(fields: Sequence[str], where: str, types: dict[str, int], columns: Sequence[int]) -> list[float]:
    # rows may stop early: what is missing keeps the type's value, as in PhysiCell
    if not 4 <= len(fields) <= 4 + len(columns):
        expected = "4" if not columns else f"4 to {4 + len(columns)}"
        raise ModelError(where=where, found=f"{len(fields)} fields", expected=f"{expected}: x, y, z, type, …")
    kind = fields[3].strip()
    if kind not in types:
        raise ModelError(where=where, found=f"the cell type '{kind}'", expected=one_of(types),
                         remedy=did_you_mean(kind, types) or "Is the header x,y,z,type missing?")  # fmt: skip
    extra = [_extra(text.strip(), behaviour, where) for text, behaviour in zip(fields[4:], columns, strict=False)]
    missing = [math.nan] * (len(columns) - len(extra))
    return [*(_number(f.strip(), where) for f in fields[:3]), types[kind], *extra, *missing]


def _check_signs(
    values: NDArray[np.float64], columns: Sequence[int], lines: Sequence[int], name: str, grammar: Grammar
) -> None:
    for column, behaviour in enumerate(columns):
        if behaviour >= 0 and grammar.behaviours[behaviour].kind not in MAY_BE_NEGATIVE:
            wrong = values[:, column] < 0
            if wrong.any():
                raise ModelError(
                    where=f"{name} line {lines[int(np.argmax(wrong))]}",
                    found=f"{values[np.argmax(wrong), column]:g} for '{grammar.behaviours[behaviour].name}'",
                    expected="at least 0",
                )  # fmt: skip


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise ModelError(where=where, found=f"'{text[:40]}'", expected="a finite number")
    return value


def _left_out(text: str) -> bool:
    return not text or text[0] in "sS"


def _extra(text: str, behaviour: int, where: str) -> float:
    if _left_out(text) or behaviour == _NOTHING:
        return math.nan
    value = _number(text, where)
    if behaviour == _VOLUME and value <= 0:
        raise ModelError(where=where, found=f"a volume of {value:g}", expected="a number above 0 µm³")
    return value


def _check_places(
    cells: InitialCells, domain: Domain, text: str, name: str, *, exact: bool, notes: list[str]
) -> None:  # fmt: skip
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.strip()][-len(cells.positions) or None :]
    outside = np.any((cells.positions < domain.lower) | (cells.positions > domain.upper), axis=1)
    if outside.any():
        first = int(np.argmax(outside))
        place = ", ".join(f"{x:g}" for x in cells.positions[first])
        if not exact:
            raise ModelError(
                where=f"{name} line {lines[first]}", found=f"a cell at {place}",
                expected=f"a place between {domain.lower} and {domain.upper}",
                remedy="Move it, or make the domain larger.",
            )  # fmt: skip
        notes.append(f"{name}: {int(outside.sum())} cells outside the domain stay frozen there")
    _check_overlap(cells, lines, name, exact=exact, notes=notes)


def _check_overlap(cells: InitialCells, lines: Sequence[int], name: str, *, exact: bool, notes: list[str]) -> None:
    """Two cells at the same point push each other in no direction: they would never separate."""
    _, first, inverse = np.unique(cells.positions, axis=0, return_index=True, return_inverse=True)
    doubled = first[inverse.reshape(-1)] != np.arange(len(cells.positions))
    if not doubled.any():
        return
    cell = int(np.argmax(doubled))
    if not exact:
        raise ModelError(
            where=f"{name} line {lines[cell]}",
            found=f"a cell at the same point as line {lines[first[inverse.reshape(-1)[cell]]]}",
            expected="different points", remedy="No force acts between them: move one by a micron.",
        )  # fmt: skip
    notes.append(f"{name}: {int(doubled.sum())} cells stand at the same point as another; no force separates them")
