"""A small model with a population and a sweep, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

MODEL = """\
model small
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
    death_rate.distribution = lognormal(ln(0.5), 0.3);
  shedding_rate = 10;  shedding_rate has vp_per_cell_per_d;
    shedding_rate.distribution = normal(10, 2, 1, 30);
  alive_share = 0.9;  alive_share has dimensionless;
    alive_share.distribution = 1/(1 + exp(-normal(ln(0.9/0.1), 0.5)));
  clearance_rate = 2;  clearance_rate has per_d;
  blood_virus_lod = 1e6;  blood_virus_lod has vp;
  substanceOnly species blood_cells in body;  blood_cells = 0;  blood_cells has cell;
  blood_cells is "cells in blood";
  blood_cells notes ```output: cells```;
  substanceOnly species blood_virus in body;  blood_virus = 0;  blood_virus has vp;
  blood_virus is "virus in blood";
  blood_virus notes ```output: virus```;
  die: blood_cells => ; death_rate * blood_cells;
  shed: => blood_virus; shedding_rate * alive_share * blood_cells;
  clear: blood_virus => ; clearance_rate * blood_virus;
end
"""

SCENARIO = """\
schema = 1
title = "Cells in blood shed virus"
model = "small.ant"

[time]
end = "10 d"
every = "1 d"

[subject]
species = "human"
weight = "20 kg"

[[dose]]
name = "product"
into = "blood_cells"
amount = "1e6 cell/kg"
every = "3 d"
count = 2

[[arm]]
name = "one"

[[arm]]
name = "half"
set = { "dose.product.amount" = "0.5e6 cell/kg" }

[population]
size = 350

[sweep]
"parameters.clearance_rate" = ["1 1/d", "2 1/d", "4 1/d"]

[output]
summary = ["blood_virus.peak", "blood_virus.auc", "blood_cells.end", "blood_virus.time_above_lod"]
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the scenario's file, alone with its model in the current folder: 2 arms x 3 points x 350 subjects."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.ant").write_text(MODEL)
    file = tmp_path / "many.toml"
    file.write_text(SCENARIO)
    return file
