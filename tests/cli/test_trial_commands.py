"""The commands of trials: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TRIAL = """
[[arm]]
name = "control"
drop = ["product"]

[[arm]]
name = "cells"

[[assay]]
name = "virus"
kind = "concentration"
of = "blood_virus"
error = 0.2
better = "higher"

[[endpoint]]
name = "virus on day 4"
kind = "value"
assay = "virus"
compare = "t"

[trial]
patients = 12
replicates = 20
visits = ["0 d", "4 d"]

[population]
size = 20
vary = "listed"
distribution = { death_rate = "lognormal(ln(0.5), 0.2) 1/d" }
"""


@pytest.fixture
def trial(folder: Path, texts: dict[str, str]) -> Path:
    """Return a small trial beside its model."""
    (folder / "small.toml").write_text(texts["tiny.toml"] + TRIAL, encoding="utf-8")
    return folder / "small.toml"


def test_trial_reports_stores_and_draws(trial, command, folder):
    code, out, err = command("trial", "small.toml")
    assert (code, err) == (0, "")
    assert "recruited" in out
    assert "virus on day 4" in out
    assert (folder / "small-trial.zarr").is_dir()
    assert (folder / "small-trial.png").stat().st_size > 10_000


def test_trial_as_json(trial, command):
    code, out, _ = command("trial", "small.toml", "--json", "--replicates", "5", "--no-plot")
    told = json.loads(out)
    assert code == 0
    assert told["replicates"] == 5
    assert told["comparisons"][0]["significant"] == 1.0
    assert told["attrition"]["recruited"] == {"control": 6.0, "cells": 6.0}


def test_a_stored_trial_is_analysed_again_rerun_and_plotted(trial, command, folder):
    command("trial", "small.toml", "-o", "t.zarr", "--no-plot")
    code, out, _ = command("trial", "t.zarr")
    assert code == 0
    assert "gives the same" in out
    code, out, _ = command("rerun", "t.zarr", "--check")
    assert (code, "Same, bit for bit" in out) == (0, True)
    assert command("plot", "t.zarr", "-o", "t.svg").code == 0
    assert (folder / "t.svg").exists()


def test_another_trial_is_not_overwritten(trial, command):
    command("trial", "small.toml", "-o", "t.zarr", "--no-plot")
    code, _, err = command("trial", "small.toml", "-o", "t.zarr", "--seed", "3", "--no-plot")
    assert code == 2
    assert "--overwrite" in err


def test_trial_without_trial(folder, complaint):
    told = complaint("trial", "tiny.toml")
    assert told.found == "no [trial]"


def test_null_without_null(trial, complaint):
    assert "nothing" in complaint("trial", "small.toml", "--null").found


def test_validate_looks_at_the_trial(trial, command, complaint, folder):
    assert command("validate", "small.toml").code == 0
    text = (folder / "small.toml").read_text(encoding="utf-8")
    (folder / "small.toml").write_text(text.replace('of = "blood_virus"', 'of = "blood_virs"'), encoding="utf-8")
    assert "lacks" in complaint("validate", "small.toml").found


def test_escalate_prints_closed_form_and_simulation(command):
    code, out, _ = command("escalate", "0.05,0.1,0.2,0.35", "--trials", "2000")
    assert code == 0
    assert "recommended, exact" in out
    told = json.loads(command("escalate", "0.05,0.1,0.2,0.35", "--trials", "2000", "--json").out)
    assert sum(told["exact"]) == pytest.approx(1.0)
    assert told["recommended"] == pytest.approx(told["exact"], abs=0.05)


def test_escalate_on_patients_says_that_it_describes_a_prior(command):
    code, out, _ = command("escalate", "celyvir-dose-escalation", "--design", "boin", "--trials", "500")
    assert code == 0
    assert "CAUTION: operating characteristics of a prior" in out


@pytest.mark.parametrize(
    ("arguments", "found"),
    [(("0.1,1.2",), "[0.1, 1.2]"), (("0.1", "--design", "crm"), "'crm'"),
     (("0.1", "--design", "boin", "--target", "0.9"), "0.9")],
)  # fmt: skip
def test_escalate_refuses(command, complaint, arguments, found):
    assert found in complaint("escalate", *arguments).found
