"""A tiny model with a scenario in a folder of its own, and the command line called in this process."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from atmpsim import cli

MODEL = """\
// Cells in blood die and shed virus, which is cleared.
model tiny
  unit time_unit = 86400 second;
  unit substance = item;
  unit extent = item;
  unit volume = litre;
  unit cell = item;
  unit vp = item;
  unit L = litre;
  unit kg = kilogram;
  unit per_d = 1 / (86400 second);
  unit vp_per_cell_per_d = item / (item * 86400 second);
  compartment body = 1;  body has L;
  weight = 70;  weight has kg;
  death_rate = 0.5;  death_rate has per_d;
  shedding_rate = 10;  shedding_rate has vp_per_cell_per_d;
  clearance_rate = 2;  clearance_rate has per_d;
  blood_virus_lod = 1e6;  blood_virus_lod has vp;
  substanceOnly species blood_cells in body;  blood_cells = 0;  blood_cells has cell;
  blood_cells is "cells in blood";
  blood_cells notes ```output: cells```;
  substanceOnly species blood_virus in body;  blood_virus = 0;  blood_virus has vp;
  blood_virus notes ```output: virus```;
  loss := death_rate + clearance_rate;  loss has per_d;
  die: blood_cells => ; death_rate * blood_cells;
  shed: => blood_virus; shedding_rate * blood_cells;
  clear: blood_virus => ; clearance_rate * blood_virus;
end
"""

SCENARIO = """\
schema = 1
title = "Cells in blood shed virus"
model = "tiny.ant"

[time]
end = "10 d"
every = "1 d"

[subject]
species = "human"
weight = "20 kg"

[[dose]]
name = "product"
into = "blood_cells"
amount = "2e6 cell/kg"
every = "2 d"
count = 3

[output]
summary = ["blood_virus.peak", "blood_virus.time_above_lod", "blood_cells.end"]
"""


class Outcome(NamedTuple):
    """What a command returned and printed."""

    code: int
    out: str
    err: str


class Complaint(NamedTuple):
    """The parts of an error message `WHERE: found X, expected Y. What to do.`"""

    where: str
    found: str
    expected: str
    remedy: str


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Return the content of the model and of the scenario, by file name."""
    return {"tiny.ant": MODEL, "tiny.toml": SCENARIO}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: dict[str, str]) -> Path:
    """Return the working folder, which holds `tiny.ant` and `tiny.toml`."""
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Return a function that runs a command line in the working folder."""

    def call(*arguments: str) -> Outcome:
        capfd.readouterr()
        code = cli.main(arguments)
        return Outcome(code, *capfd.readouterr())

    return call


@pytest.fixture
def complaint(command: Callable[..., Outcome]) -> Callable[..., Complaint]:
    """Return a function that runs a command line which must be refused, and returns the parts of its message."""

    def call(*arguments: str) -> Complaint:
        code, out, err = command(*arguments)
        assert (code, out) == (2, ""), f"exit code {code}, printed {out!r} and {err!r}"
        assert "Traceback" not in err
        parts = re.fullmatch(r"(.+?): found (.+), expected (.+?)\.(?: (.+[.?:]))?\n", err)
        assert parts, f"not of the form 'WHERE: found X, expected Y. What to do.': {err!r}"
        return Complaint(*(part or "" for part in parts.groups()))

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> Path:
    """Return a folder with a stored result and its figure, made once."""
    place = tmp_path_factory.mktemp("made")
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert cli.main(["run", "tiny.toml", "--quiet"]) == 0
    return place


@pytest.fixture
def stored(folder: Path, made: Path) -> Path:
    """Return the stored result, copied into the working folder."""
    return Path(shutil.copytree(made / "tiny.zarr", folder / "tiny.zarr"))
