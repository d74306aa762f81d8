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
from atmpsim.scenario.complaint import scenario_error, toml_text
from atmpsim.scenario.overrides import apply_overrides
from atmpsim.scenario.schema import ENGINES, NOT_BUILT, ScenarioFile

Raw = dict[str, Any]
MAX_PATH = 4096
UNCERTAINTY = "uncertainty.csv"
"""The file beside a model that says what is not known of its parameters."""
_START = "`atmpsim new` writes a scenario to start from."


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
    tables
        Texts of the other files that the scenario refers to, by the name it gives them.
    """

    name: str
    raw: Raw
    model_file: str
    model_text: str = field(repr=False)
    table_file: str = ""
    table_text: str = field(default="", repr=False)
    seed: int = 0
    tables: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def sha256(self) -> str:
        """Return the digest of all of it."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()

    def as_json(self) -> str:
        """Return the text that `from_json` reads back."""
        # what is empty is left out: a result of an older version keeps its checksum
        return json.dumps({k: v for k, v in self.__dict__.items() if k != "tables" or v},
                          sort_keys=True, ensure_ascii=False)  # fmt: skip

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
    _check_path(str(name), "scenario")
    path = Path(name)
    if path.exists() or path.suffix == ".toml" or len(path.parts) > 1:
        return path
    raise ScenarioError(
        where=f"scenario '{name}'",
        found="no shipped scenario of that name",
        expected=f"a path, or {one_of(shipped)}",
        remedy=did_you_mean(str(name), shipped),
    )


def copy_scenario(like: str, name: str) -> Path:
    """Write a copy of a scenario, with comments and all, to start from; return the new file.

    Raises
    ------
    ScenarioError
        If there is no scenario to copy, or the new file exists or cannot be written.
    """
    target = Path(name if name.endswith(".toml") else f"{name}.toml")
    where = f"new scenario '{name}'"
    if target.name == ".toml":
        raise ScenarioError(where=where, found="an empty name", expected="a name for the scenario's file")
    text = read_text(find_scenario(like), error=ScenarioError)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ScenarioError(where=where, found=f"a file {target}", expected="a free name",
                            remedy="Choose another; nothing was changed.") from None  # fmt: skip
    except OSError as error:
        raise ScenarioError(where=where, found=f"a place that cannot be written ({error.strerror})",
                            expected="a folder that exists and that you may write to") from None  # fmt: skip
    return target


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
    scenario = check_schema(raw, where=path.name)
    if overrides:
        raw = apply_overrides(raw, overrides, where=f"{path.name} --set")
        scenario = check_schema(raw, where=f"{path.name} --set")
    _check_path(scenario.model, f"{path.name} model")
    model = find_model(scenario.model, beside=path.parent)
    table_text, table_file = "", ""
    if scenario.dosing is not None:
        _check_path(scenario.dosing.table, f"{path.name} [dosing] table")
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
        tables=_other_tables(scenario, model, beside=path.parent, where=path.name),
    )


def _other_tables(scenario: ScenarioFile, model: Path, *, beside: Path, where: str) -> dict[str, str]:
    """Return the texts of the files that a sweep, courses and a population refer to, by name."""
    named = {"[sweep] table": (scenario.sweep or {}).get("table")}
    named |= {f"[varying] {key} table": given.table for key, given in scenario.varying.items()}
    population = scenario.population
    if population is not None:
        named["[population] covariates table"] = population.covariates.table if population.covariates else None
        for key, given in population.distribution.items():
            named[f"[population] distribution {key}"] = given.get("table") if isinstance(given, dict) else None
    texts = {}
    for place, name in named.items():
        if name is not None:
            _check_path(str(name), f"{where} {place}")
            texts[str(name)] = read_text(beside / str(name), error=ScenarioError)
    if population is not None and population.uncertainty is not None and population.uncertainty.vary == "model":
        texts[UNCERTAINTY] = read_text(model.with_name(UNCERTAINTY), error=ScenarioError)
    return texts


def _check_path(name: str, where: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > MAX_PATH:
        found = "an empty name" if not name.strip() else "a name that no file can have"
        raise ScenarioError(where=where, found=found, expected="a shipped id or the path of a file")


def _parse(text: str, *, where: str) -> Raw:
    text = text.removeprefix("\ufeff")  # some editors of other systems start every file with a byte order mark
    if not text.strip():
        raise ScenarioError(where=where, found="an empty file", expected="a scenario", remedy=_START)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(str(error), where) from None
    except RecursionError:
        raise ScenarioError(where=where, found="tables nested too deep", expected="a scenario", remedy=_START) from None


def _not_toml(message: str, where: str) -> ScenarioError:
    """Return the parser's message with its line and column as the place."""
    said, _, place = message.rstrip(")").rpartition(" (at ")
    place = f"{where} {place.replace(',', '')}" if place.startswith("line") else f"{where} at its end"
    if "overwrite" in said or "twice" in said:
        return ScenarioError(where=place, found="a key or table that stands there a second time",
                             expected="each key and table once", remedy="Remove one of the two.")  # fmt: skip
    said = said[:1].lower() + said[1:]
    return ScenarioError(where=place, found=f"text that is not TOML ({said})", expected="a TOML file",
                         remedy=f"Texts and quantities stand in quotes. {_START}")  # fmt: skip


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
        raise scenario_error(error, raw, where=where) from None
    names = [dose_name(d.name, k) for k, d in enumerate(scenario.dose, 1)]
    _check_names(names, f"{where} [[dose]]", "dose")
    _check_names([a.name for a in scenario.arm], f"{where} [[arm]]", "arm")
    return scenario


def dose_name(name: str | None, number: int) -> str:
    """Return what results call a dose: its own name, or its position (from 1) where it has none."""
    return f"dose_{number}" if name is None else name


def _refuse_other_schemas(raw: Raw, where: str) -> None:
    version = raw.get("schema")
    if type(version) is int and version == 1:
        return
    found = "no schema version" if version is None else f"schema = {toml_text(version)}"
    newer = isinstance(version, int) and version > 1
    remedy = "This version of atmpsim reads schema 1 only." if newer else "Write schema = 1 as the first line."
    raise ScenarioError(where=f"{where} schema", found=found, expected="schema = 1", remedy=remedy)


def _check_names(names: Sequence[str], where: str, what: str) -> None:
    for name in names:
        if not name.strip() or not name.isprintable():
            found = "a name with control characters" if name.strip() else "an empty name"
            raise ScenarioError(where=where, found=found, expected=f"a name for the {what}",
                                remedy='Write name = "…".')  # fmt: skip
        if names.count(name) > 1:
            raise ScenarioError(where=where, found=f"two {what}s called '{name}'", expected="names that differ",
                                remedy="Rename one of them.")  # fmt: skip
