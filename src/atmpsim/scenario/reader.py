"""Read a scenario file with everything it refers to, and check it against the schema."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.model.border import read_text
from atmpsim.model.library import find_model
from atmpsim.resources import shipped_scenarios
from atmpsim.scenario.overrides import apply_overrides
from atmpsim.scenario.schema import ENGINES, NOT_BUILT, TABLES, ScenarioFile

Raw = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything that determines a result: enough to make it again without the original files.

    Attributes
    ----------
    name
        The scenario's file name without its ending.
    raw
        The scenario as tables, overrides of the command line applied.
    model_file, model_text
        The model's file name and text.
    table_file, table_text
        The dosing table's, empty if there is none.
    seed
        The root seed.
    """

    name: str
    raw: Raw
    model_file: str
    model_text: str = field(repr=False)
    table_file: str = ""
    table_text: str = field(default="", repr=False)
    seed: int = 0

    @property
    def sha256(self) -> str:
        """Return the digest of all of it."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()

    def as_json(self) -> str:
        """Return the text that `from_json` reads back."""
        return json.dumps(self.__dict__, sort_keys=True, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> Inputs:
        """Return the inputs that `as_json` wrote."""
        return Inputs(**json.loads(text))


def find_scenario(name: str | os.PathLike[str]) -> Path:
    """Return the file of a scenario: a path, or a shipped scenario's id.

    Raises
    ------
    ScenarioError
        If there is no such scenario; the message names the nearest shipped id.
    """
    shipped = shipped_scenarios()
    if str(name) in shipped:
        return shipped[str(name)]
    path = Path(name)
    if path.exists() or path.suffix == ".toml" or len(path.parts) > 1:
        return path
    raise ScenarioError(
        where=f"scenario '{name}'",
        found="no shipped scenario of that name",
        expected=f"a path, or {one_of(shipped)}",
        remedy=did_you_mean(str(name), shipped),
    )


def load_inputs(name: str | os.PathLike[str], *, overrides: Mapping[str, Any] | None = None, seed: int = 0) -> Inputs:
    """Return a scenario's inputs: its tables with overrides applied, the model's text and the dosing table's.

    Parameters
    ----------
    name
        A path, or a shipped scenario's id.
    overrides
        Values by path (`dose.NAME.key`, `parameters.ID`, …), as `--set` gives them.

    Raises
    ------
    ScenarioError, ModelError
        If a file cannot be read, or the scenario does not fit the schema.
    """
    path = find_scenario(name)
    raw = _parse(read_text(path, error=ScenarioError), where=path.name)
    raw = apply_overrides(raw, overrides or {}, where=f"{path.name} --set")
    scenario = check_schema(raw, where=path.name)
    model = find_model(scenario.model, beside=path.parent)
    table_text, table_file = "", ""
    if scenario.dosing is not None:
        table = path.parent / scenario.dosing.table
        table_text, table_file = read_text(table, error=ScenarioError), table.name
    return Inputs(
        name=path.stem,
        raw=raw,
        model_file=model.name,
        model_text=read_text(model),
        table_file=table_file,
        table_text=table_text,
        seed=seed,
    )


def _parse(text: str, *, where: str) -> Raw:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(
            where=where,
            found=f"text that is not TOML ({error})",
            expected="a TOML file",
            remedy="Texts and quantities stand in quotes; `atmpsim new` writes a file to start from.",
        ) from None
    except RecursionError:
        raise ScenarioError(where=where, found="tables nested too deep", expected="a scenario file") from None


def check_schema(raw: Raw, *, where: str) -> ScenarioFile:
    """Return the scenario of raw tables.

    Raises
    ------
    ScenarioError
        For the first thing that does not fit, naming table and key.
    """
    _refuse_other_schemas(raw, where)
    for section in raw:
        if section in NOT_BUILT:
            raise ScenarioError(
                where=f"{where} [{section}]",
                found=f"the section '{section}'",
                expected="a section built so far",
                remedy=f"This version does not do {NOT_BUILT[section]} yet; remove the section.",
            )
    engine = raw.get("engine", "ode")
    if engine in ENGINES and engine != "ode":
        raise ScenarioError(where=f"{where} engine", found=f"'{engine}'", expected="'ode'",
                            remedy=f"This version does not have the {engine} engine yet.")  # fmt: skip
    try:
        scenario = ScenarioFile.model_validate(raw)
    except pydantic.ValidationError as error:
        raise _first(error, raw, where) from None
    _check_names([d.name for d in scenario.dose if d.name], f"{where} [[dose]]", "dose")
    _check_names([a.name for a in scenario.arm], f"{where} [[arm]]", "arm")
    return scenario


def _refuse_other_schemas(raw: Raw, where: str) -> None:
    version = raw.get("schema")
    if version != 1 or isinstance(version, bool):
        found = "no schema version" if version is None else f"schema = {version!r}"
        raise ScenarioError(where=f"{where} schema", found=found, expected="schema = 1",
                            remedy="Write schema = 1 as the first line.")  # fmt: skip


def _check_names(names: Sequence[str], where: str, what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(where=where, found=f"two {what}s called '{name}'", expected="names that differ")
        if not name.strip():
            raise ScenarioError(where=where, found="an empty name", expected=f"a name for the {what}")


def _first(error: pydantic.ValidationError, raw: Raw, where: str) -> ScenarioError:
    """Translate pydantic's first complaint; an unknown key comes first, since it explains a missing one."""
    complaints = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    complaint = complaints[0]
    location = [part for part in complaint["loc"] if part not in ("str", "float", "list[str]")]
    place, key = _place(location, raw, where), str(location[-1])
    kind = complaint["type"]
    if kind == "extra_forbidden":
        allowed = _allowed_keys(location)
        return ScenarioError(where=place, found=f"'{key}'", expected=one_of(allowed), remedy=did_you_mean(key, allowed))
    if kind == "missing":
        return ScenarioError(where=place, found=f"no '{key}'", expected=f"'{key}'",
                             remedy=f"Add {key} = … there.")  # fmt: skip
    found = repr(complaint["input"])[:60]
    if kind == "string_type" and isinstance(complaint["input"], int | float):
        return ScenarioError(where=f"{place} {key}", found=f"{found} without quotes and unit",
                             expected="a text with a unit", remedy=f'Write {key} = "{found} d", for example.')  # fmt: skip
    expected = _plain(complaint)
    return ScenarioError(where=f"{place} {key}", found=found, expected=expected)


def _plain(complaint: Any) -> str:
    message = str(complaint["msg"])
    message = message.removeprefix("Input should be ").removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _allowed_keys(location: Sequence[Any]) -> list[str]:
    table = TABLES.get(str(location[0])) if len(location) > 1 else ScenarioFile
    fields = table.model_fields if table is not None else {}
    return [f.alias or name for name, f in fields.items()]


def _place(location: Sequence[Any], raw: Raw, where: str) -> str:
    if len(location) <= 1:
        return where
    section = str(location[0])
    if isinstance(location[1], int):
        return f"{where} [[{section}]] {location[1] + 1}"
    return f"{where} [{'.'.join(str(p) for p in location[:-1])}]"
