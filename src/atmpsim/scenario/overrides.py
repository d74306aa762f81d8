"""Change a scenario by paths: `dose.NAME.key`, `parameters.ID`, `subject.key`, as arms and `--set` do."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario.schema import TABLES

Raw = dict[str, Any]
_FREE_TABLES = ("parameters", "initial")
_TOP_KEYS = ("title", "question", "model")
_SECTIONS = ("dose", "time", "subject", "solver", "output", *_FREE_TABLES)


def apply_overrides(raw: Raw, overrides: Mapping[str, Any], *, where: str) -> Raw:
    """Return raw tables with values replaced by path; the given tables stay as they are.

    Raises
    ------
    ScenarioError
        If a path leads nowhere.

    Examples
    --------
    >>> apply_overrides({"parameters": {}}, {"parameters.death_rate": "0.5 1/d"}, where="here")
    {'parameters': {'death_rate': '0.5 1/d'}}
    """
    changed = copy.deepcopy(raw)
    for path, value in overrides.items():
        _apply(changed, path, value, f"{where} '{path}'")
    return changed


def drop_doses(raw: Raw, names: Sequence[str], *, where: str) -> Raw:
    """Return raw tables without the named doses.

    Raises
    ------
    ScenarioError
        If there is no dose of a name.
    """
    doses = raw.get("dose", [])
    known = [d.get("name") for d in doses if d.get("name")]
    for name in names:
        if name not in known:
            raise ScenarioError(where=f"{where} drop", found=f"'{name}'", expected=f"the name of a dose: {one_of(known)}",
                                remedy=did_you_mean(name, known))  # fmt: skip
    return {**raw, "dose": [d for d in doses if d.get("name") not in names]}


def parse_assignment(text: str, *, where: str) -> tuple[str, Any]:
    """Return path and value of a `path=value` from the command line; a value that is not TOML is a text.

    Examples
    --------
    >>> parse_assignment("dose.celyvir.count=12", where="here"), parse_assignment("time.end=20 d", where="here")
    (('dose.celyvir.count', 12), ('time.end', '20 d'))
    """
    path, equals, value = text.partition("=")
    if not equals or not path.strip() or not value.strip():
        raise ScenarioError(where=where, found=f"'{text}'", expected="path=value",
                            remedy="For example --set dose.celyvir.count=12.")  # fmt: skip
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = value.strip()
    return path.strip(), parsed


def _apply(raw: Raw, path: str, value: Any, where: str) -> None:
    section, _, rest = path.partition(".")
    if section in _TOP_KEYS and not rest:
        raw[section] = value
    elif section not in _SECTIONS or not rest:
        allowed = [*(f"{s}.…" for s in _SECTIONS), *_TOP_KEYS]
        raise ScenarioError(where=where, found=f"the path '{path}'", expected=one_of(allowed),
                            remedy=did_you_mean(section, _SECTIONS))  # fmt: skip
    elif section == "dose":
        name, _, key = rest.rpartition(".")
        _set_key(_dose(raw, name, where), "dose", key, value, where)
    elif section in _FREE_TABLES:
        raw.setdefault(section, {})[rest] = value
    elif section == "subject" and rest.startswith("flows."):
        raw.setdefault("subject", {}).setdefault("flows", {})[rest.removeprefix("flows.")] = value
    else:
        _set_key(raw.setdefault(section, {}), section, rest, value, where)


def _dose(raw: Raw, name: str, where: str) -> Raw:
    known = {d.get("name"): d for d in raw.get("dose", []) if isinstance(d, dict) and d.get("name")}
    if name not in known:
        raise ScenarioError(where=where, found=f"the dose '{name}'", expected=f"the name of a dose: {one_of(known)}",
                            remedy=did_you_mean(name, known) or "Write the path as dose.NAME.key.")  # fmt: skip
    return known[name]


def _set_key(table: Raw, section: str, key: str, value: Any, where: str) -> None:
    allowed = TABLES[section].model_fields
    if key not in allowed:
        raise ScenarioError(where=where, found=f"the key '{key}'", expected=one_of(allowed),
                            remedy=did_you_mean(key, allowed))  # fmt: skip
    table[key] = value
