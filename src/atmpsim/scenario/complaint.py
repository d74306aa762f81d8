"""Say in the scenario's own words what pydantic found wrong with it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario.schema import TABLES, UNITS, ScenarioFile

_EXPECTED = {
    "int_type": "a whole number", "int_from_float": "a whole number", "float_type": "a number",
    "finite_number": "a finite number", "string_too_short": "a text that is not empty",
}  # fmt: skip
_TABLE_TYPES = ("model_type", "model_attributes_type", "dict_type")
_LISTED = ("dose", "arm", "assay", "rule", "endpoint")
_TEXT, _QUANTITY = "a text in quotes", "a number with its unit, in quotes"
_KEEP = "'outputs', 'all' or a list of ids"

# beyond it, repeating a number in an example helps nobody
_SENSIBLE = 1e100

Part = str | int


def scenario_error(error: pydantic.ValidationError, raw: Mapping[str, Any], *, where: str) -> ScenarioError:
    """Return pydantic's first complaint as our error; an unknown key comes first, since it explains a missing one."""
    complaint = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    kind, value = complaint["type"], complaint["input"]
    path = _path(complaint["loc"], raw, kind)
    if kind == "extra_forbidden":
        allowed = _allowed_keys(path)
        return ScenarioError(where=_place(path[:-1], where), found=f"'{path[-1]}'", expected=one_of(allowed),
                             remedy=did_you_mean(str(path[-1]), allowed))  # fmt: skip
    if kind == "missing":
        return _missing(path, where)
    expected, remedy = _judge(kind, value, path, complaint.get("ctx", {}), str(complaint["msg"]))
    return ScenarioError(where=_place(path, where), found=_found(value), expected=expected, remedy=remedy)


def toml_text(value: Any) -> str:
    """Return a value as a scenario file would show it.

    Examples
    --------
    >>> toml_text(True), toml_text("six"), toml_text(1.5)
    ('true', "'six'", '1.5')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else repr(value)


def _found(value: Any) -> str:
    if isinstance(value, dict):
        return f"a table with {', '.join(map(str, value)) or 'nothing'}"[:60]
    return toml_text(value)[:60]


def _path(location: Sequence[Part], raw: Mapping[str, Any], kind: str) -> list[Part]:
    """Return the keys and positions that lead to a complaint; pydantic also names branches of unions, no keys."""
    path: list[Part] = []
    here: Any = raw
    for part in location:
        inside = part in here if isinstance(here, dict) else isinstance(here, list) and isinstance(part, int)
        if inside:
            path.append(part)
            here = here[part]
    return [*path, location[-1]] if kind == "missing" else path


def _place(path: Sequence[Part], where: str) -> str:
    """Return a place such as `file [[dose]] 1 amount` or `file [time] at 2`; positions count from 1."""
    if not path:
        return where
    section, rest = path[0], list(path[1:])
    if not rest:
        return f"{where} [{section}]" if section in TABLES else f"{where} {section}"
    if section in _LISTED and isinstance(rest[0], int):
        places = [f"[[{section}]] {rest.pop(0) + 1}"]  # type: ignore[operator]
    else:
        places = [f"[{section}]"]
    return " ".join([where, *places, *(str(p + 1) if isinstance(p, int) else p for p in rest)])


def _allowed_keys(path: Sequence[Part]) -> list[str]:
    table = TABLES.get(str(path[0])) if len(path) > 1 else ScenarioFile
    fields = table.model_fields if table is not None else {}
    return [f.alias or name for name, f in fields.items()]


def _missing(path: Sequence[Part], where: str) -> ScenarioError:
    key = str(path[-1])
    if len(path) == 1 and key in TABLES:
        expected, remedy = f"a table [{key}]", "Add it; `atmpsim new` writes a file to start from."
    else:
        expected, remedy = f"the key '{key}'", f"Add {key} = … there."
    return ScenarioError(where=_place(path[:-1], where), found=f"no '{key}'", expected=expected, remedy=remedy)


def _judge(kind: str, value: Any, path: Sequence[Part], context: Mapping[str, Any], said: str) -> tuple[str, str]:
    """Return what is expected at a place, and what to do."""
    key = next((p for p in reversed(path) if isinstance(p, str)), "")
    if key == "keep":
        return _KEEP, 'For example keep = ["blood_virus"].'
    if kind in _TABLE_TYPES and key not in _LISTED:
        name = ".".join(str(part) for part in path)
        return f"a table [{name}]", f"Write [{name}] on a line of its own, and its keys below."
    if kind == "list_type" or kind in _TABLE_TYPES:
        return _list_wanted(key, value)
    if kind == "string_type":
        return _text_wanted(key, value, path)
    if kind in ("greater_than", "less_than"):
        limit = context.get("gt", context.get("lt"))
        return f"a number {'above' if kind == 'greater_than' else 'below'} {limit:g}", ""
    if kind == "literal_error":
        allowed = re.findall(r"'([^']+)'", str(context.get("expected", "")))
        return one_of(allowed) if len(allowed) > 1 else f"'{allowed[0]}'", did_you_mean(str(value), allowed)
    unquoted = isinstance(value, str) and kind in ("int_type", "float_type")
    return _EXPECTED.get(kind, said[:1].lower() + said[1:]), "Write it without quotes and unit." if unquoted else ""


def _list_wanted(key: str, value: Any) -> tuple[str, str]:
    if key in _LISTED:
        return f"tables [[{key}]]", f"Write [[{key}]] with double brackets above each {key}."
    return "a list", f"Write {key} = [{toml_text(value)}]." if isinstance(value, str) else ""


def _text_wanted(key: str, value: Any, path: Sequence[Part]) -> tuple[str, str]:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _SENSIBLE
    unit = UNITS.get(str(path[1]) if len(path) > 2 and path[1] == "flows" else key)
    if unit is None and path[0] not in ("parameters", "initial"):
        return _TEXT, f'Write {key} = "{value}".' if number else ""
    example = f'"{value} {unit or "…"}"' if number else '"6 h"' if unit in ("d", "h") else f'"1 {unit or "…"}"'
    return _QUANTITY, f"Write {key} = [{example}, …]." if key == "at" else f"Write {key} = {example}, for example."
