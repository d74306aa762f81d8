"""Semantic cases of the SBML Test Suite pass with their own tolerances."""

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "sbml-suite" / "semantic"
CASES = sorted(p for p in FOLDER.iterdir() if p.is_dir()) if FOLDER.is_dir() else []
ABSENT = pytest.mark.skipif(not CASES, reason=f"no cases of the SBML Test Suite in {FOLDER}")
SPREAD = CASES[::30]  # cases are numbered by what they are about

script = runpy.run_path(str(Path(__file__).with_name("sbml_suite.py")))


@ABSENT
@pytest.mark.parametrize("case", SPREAD, ids=lambda p: p.name)
def test_case_of_a_spread(case):
    outcome = script["run_case"](case)
    assert outcome.verdict != "fail", str(outcome)


@ABSENT
@pytest.mark.campaign
def test_every_case(capsys):
    assert script["main"]([str(FOLDER)]) == 0, capsys.readouterr().out


MODEL = """<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model id="m">
<listOfParameters><parameter id="x" value="1" constant="false"/></listOfParameters><listOfRules><rateRule variable="x">
<math xmlns="http://www.w3.org/1998/Math/MathML"><cn> 2 </cn></math></rateRule></listOfRules></model></sbml>"""
SETTINGS = "start: 0\nduration: 1\nsteps: 2\nvariables: x\nabsolute: 0.01\nrelative: 0.1\namount:\nconcentration:\n"


def case(folder, name, results, settings=SETTINGS):
    (folder / name).mkdir()
    (folder / name / "model.xml").write_text(MODEL)
    (folder / name / "settings.txt").write_text(settings)
    (folder / name / "results.csv").write_text(results)


def test_verdicts_exit_code_and_last_line(tmp_path, capsys):
    case(tmp_path, "00001", "time,x\n0,1\n0.5,2\n1,3.3\n")  # off by 0.3, allowed 0.34
    case(tmp_path, "00002", "x\n1.0\n", SETTINGS.replace("duration: 1", "duration:"))
    assert script["main"]([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "passed 1 of 1"
    assert lines[-2].startswith("1 cases without a time course")
    assert any(line.split() == ["RateRule", "1", "of", "1"] for line in lines)
    case(tmp_path, "00003", "time,x\n0,1\n0.5,2\n1,3.4\n")  # off by 0.4, allowed 0.35
    assert script["main"]([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("00003  fail")
    assert lines[-1] == "passed 1 of 2"


def test_what_is_not_a_number_agrees_with_itself_only(tmp_path):
    case(tmp_path, "00001", "time,x\n0,1\n0.5,NaN\n1,3\n")
    assert script["run_case"](tmp_path / "00001").excess == np.inf
