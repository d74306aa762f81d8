"""Change a scenario by paths: `dose.NAME.key`, `parameters.ID`, `subject.key`, as arms and `--set` do."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario.schema import TABLES

Raw = dict[str, Any]
_FREE_TABLES = ("parameters", "initial")
_TOP_KEYS = ("title", "question", "model")
_SECTIONS = ("dose", "time", "subject", "solver", "agents", "output", "sweep", "population", "varying", "product",
             "trial", *_FREE_TABLES)  # fmt: skip
ARM_SECTIONS = ("dose", "subject", *_FREE_TABLES)


def apply_overrides(raw: Raw, overrides: Mapping[str, Any], *, where: str) -> Raw:
    """Return raw tables, checked before, with values replaced by path; the given tables stay as they are.

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


def check_arm_paths(paths: Iterable[str], *, where: str) -> None:
    """Raise if an arm changes what is the same in every arm of a scenario: model, time, output, solver.

    Raises
    ------
    ScenarioError
        Naming the path.
    """
    shared = (*_TOP_KEYS, *(s for s in _SECTIONS if s not in ARM_SECTIONS))
    for path in paths:
        section = path.partition(".")[0]
        if section in shared:
            raise ScenarioError(
                where=f"{where} '{path}'",
                found=f"another {section}" + (": arms of different length" if section == "time" else ""),
                expected=_paths(ARM_SECTIONS),
                remedy=f"The {section} is the same in every arm: write a second scenario for it.",
            )


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
            raise ScenarioError(
                where=f"{where} drop", found=f"'{name}'", expected=f"the name of a dose: {one_of(known)}",
                remedy=did_you_mean(name, known),
            )  # fmt: skip
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
        tables = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return path.strip(), value.strip()
    return path.strip(), tables["value"] if len(tables) == 1 else value.strip()


def parse_axis(text: str, *, where: str) -> tuple[str, Any]:
    """Return path and values of a `path=values` from the command line: TOML, or values with commas between.

    Examples
    --------
    >>> parse_axis("dose.celyvir.amount=1e6 cell/kg, 2e6 cell/kg", where="here")
    ('dose.celyvir.amount', ['1e6 cell/kg', '2e6 cell/kg'])
    """
    path, value = parse_assignment(text, where=where)
    if not isinstance(value, str):
        return path, value if isinstance(value, list | dict) else [value]
    words = [word.strip() for word in value.split(",")]
    try:
        return path, [float(word) if not word.lstrip("+-").isdigit() else int(word) for word in words]
    except ValueError:
        return path, words


def _paths(sections: Sequence[str], *others: str) -> str:
    return one_of([*(f"{s}.…" for s in sections), *others])


def _apply(raw: Raw, path: str, value: Any, where: str) -> None:
    section, _, rest = path.partition(".")
    if section in _TOP_KEYS and not rest:
        raw[section] = value
    elif section not in _SECTIONS:
        raise ScenarioError(where=where, found=f"the path '{path}'", expected=_paths(_SECTIONS, *_TOP_KEYS),
                            remedy=did_you_mean(section, (*_SECTIONS, *_TOP_KEYS)))  # fmt: skip
    elif not rest or (section == "dose" and "." not in rest):
        whole = "dose.NAME.key" if section == "dose" else f"{section}.key"
        raise ScenarioError(where=where, found=f"the path '{path}' without a key", expected=whole,
                            remedy=f'Write the whole path in quotes: "{whole}" = value.')  # fmt: skip
    elif section == "dose":
        name, _, key = rest.rpartition(".")
        _set_key(_dose(raw, name, where), "dose", key, value, where)
    elif section in (*_FREE_TABLES, "sweep", "varying"):
        raw.setdefault(section, {})[rest] = value
    elif section == "subject" and rest.startswith("flows."):
        raw.setdefault("subject", {}).setdefault("flows", {})[rest.removeprefix("flows.")] = value
    else:
        _set_key(raw.setdefault(section, {}), section, rest, value, where)


def _dose(raw: Raw, name: str, where: str) -> Raw:
    known = {d["name"]: d for d in raw.get("dose", []) if "name" in d}
    if name not in known:
        remedy = did_you_mean(name, known) or ("" if known else 'Give the dose a name: name = "…".')
        raise ScenarioError(where=where, found=f"the dose '{name}'", expected=f"the name of a dose: {one_of(known)}",
                            remedy=remedy)  # fmt: skip
    return known[name]


def _set_key(table: Raw, section: str, key: str, value: Any, where: str) -> None:
    allowed = TABLES[section].model_fields
    if key not in allowed:
        raise ScenarioError(where=where, found=f"the key '{key}'", expected=one_of(allowed),
                            remedy=did_you_mean(key, allowed))  # fmt: skip
    table[key] = value
