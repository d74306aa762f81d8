"""A model whose trial is known in closed form: a normal score, an effect in proportion to cells, a constant hazard."""

from __future__ import annotations

from pathlib import Path

import pytest

MODEL = """\
// A score that cells lower, a constant hazard of death, cells that stay, and virus.
model plain
  unit time_unit = 86400 second;
  unit substance = item;
  unit extent = item;
  unit volume = litre;
  unit cell = item;
  unit vp = item;
  unit vg = item;
  unit L = litre;
  unit per_d = 1 / (86400 second);
  unit mL = 1e-3 litre;
  unit cell_per_uL = item / (1e-6 litre);
  compartment body = 1;  body has L;
  start_score = 20;  start_score has dimensionless;
  start_score.distribution = normal(20, 2);
  effect = 0;  effect has dimensionless;
  death_rate = 0.01;  death_rate has per_d;
  growth = 0.02;  growth has per_d;
  growth.distribution = lognormal(ln(0.02), 0.3);
  substanceOnly species given_cells in body;  given_cells = 0;  given_cells has cell;
  given_cells notes ```output: cells given```;
  substanceOnly species blood_virus in body;  blood_virus = 0;  blood_virus has vp;
  shed: given_cells => given_cells; 0*given_cells;
  substanceOnly species genomes in body;  genomes = 0;  genomes has vg;
  lose: genomes => ; death_rate*genomes;
  clear: blood_virus => ; death_rate*blood_virus;
  survival' = -death_rate*survival;  survival = 1;  survival has dimensionless;
  survival notes ```output: share alive```;
  one_cell = 1;  one_cell has cell;
  score := start_score - effect*given_cells/one_cell/1000000;  score has dimensionless;
  score notes ```output: score```;
  one_mL = 1;  one_mL has mL;
  size' = growth*size;  size = 20;  size has mL;
  size notes ```output: volume of a lesion```;
  level = 10;  level has cell_per_uL;
  level notes ```output: cells in blood```;
end
"""

SCENARIO = """\
schema = 1
title = "A score and a death rate"
model = "plain.ant"

[time]
end = "100 d"
every = "1 d"

[[dose]]
name = "cells"
into = "given_cells"
amount = "1e6 cell"

[[arm]]
name = "control"
drop = ["cells"]

[[arm]]
name = "cells"

[[assay]]
name = "score"
kind = "scale"
of = "score"
error = 1.0

[[assay]]
name = "death"
kind = "event"
of = "survival"

[[assay]]
name = "lesion"
kind = "diameter"
of = "size"
error = 0.05

[[endpoint]]
name = "score at the end"
kind = "value"
assay = "score"
compare = "t"
primary = true

[[endpoint]]
name = "survival"
kind = "time_to"
assay = "death"

[trial]
patients = 40
replicates = 400
visits = ["0 d", "30 d", "60 d", "90 d"]
null = { effect = "0 1" }

[population]
size = 400
"""


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the scenario, beside its model."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "plain.ant").write_text(MODEL, encoding="utf-8")
    (folder / "plain.toml").write_text(SCENARIO, encoding="utf-8")
    return folder / "plain.toml"


@pytest.fixture
def edited(plain: Path, tmp_path: Path):
    """Return a function that writes the scenario with texts replaced or added, and returns its path."""

    def write(*changes: tuple[str, str], add: str = "") -> Path:
        text = SCENARIO
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        (tmp_path / "plain.ant").write_text(MODEL, encoding="utf-8")
        (tmp_path / "plain.toml").write_text(text + add, encoding="utf-8")
        return tmp_path / "plain.toml"

    return write
