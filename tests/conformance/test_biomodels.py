"""Every curated SBML file gives the numbers of libRoadRunner, or of published arms where that one is not reliable."""

import runpy
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("roadrunner", reason="libroadrunner is not installed (extra 'test')")

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "biomodels"
FILES = sorted(FOLDER.glob("*.xml"))
NOTHING = pytest.param(None, marks=pytest.mark.skip(reason=f"no BioModels files in {FOLDER}"))

script = runpy.run_path(str(Path(__file__).with_name("biomodels.py")))


@pytest.mark.parametrize("path", FILES or [NOTHING], ids=lambda path: path.stem if path else "none")
def test_file_agrees(path):
    comparison = script["compare"](path)
    assert comparison.verdict == "agree", str(comparison)


def document():
    """Return a model of one species that stays where it is."""
    return """<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model id="m">
<listOfCompartments><compartment id="C" size="1" spatialDimensions="3" constant="true"/></listOfCompartments>
<listOfSpecies><species id="S" compartment="C" initialAmount="1" hasOnlySubstanceUnits="true"
  boundaryCondition="false" constant="false"/></listOfSpecies>
<listOfParameters><parameter id="k" value="1" constant="true"/></listOfParameters>
</model></sbml>"""


def test_exit_code_and_last_line_count_what_was_printed(tmp_path, capsys):
    (tmp_path / "fine.xml").write_text(document())
    assert script["main"]([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "agree 1 of 1, refused 0"
    package = 'xmlns:fbc="http://www.sbml.org/sbml/level3/version1/fbc/version2" fbc:required="false"'
    (tmp_path / "refused.xml").write_text(document().replace("<sbml ", f"<sbml {package} "))
    assert script["main"]([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "fbc" in lines[1]
    assert lines[-1] == "agree 1 of 2, refused 1"


def test_a_difference_of_twice_the_tolerance_is_seen():
    theirs = np.array([1.0, 0.5, 100.0])
    found = script["relative_difference"](theirs + np.array([0.0, 2e-3, 0.0]), theirs)
    assert found == pytest.approx(2e-5)
    assert found > script["TOLERANCE"]
    assert np.isnan(script["relative_difference"](theirs * np.nan, theirs))
