"""`atmpsim models check` complains about every gap in the evidence; a model's caution goes with every result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atmpsim.results.store import open_results

README = """\
# tiny

## Context of use
Tests. Not for anything else.

## Equations
## Assumptions and deviations
## Checked against
"""

SOUND = """\
model sound
  unit time_unit = 86400 second;
  unit substance = item;
  unit extent = item;
  unit volume = litre;
  unit cell = item;
  unit L = litre;
  unit per_d = 1 / (86400 second);
  compartment body = 1;  body has L;  body is "place of all states";  body notes ```internal: SBML needs one```;
  death_rate = 0.5;  death_rate has per_d;  death_rate is "death of cells";
    death_rate notes ```assumption: 0.5; 0.1-1```;
  substanceOnly species blood_cells in body;  blood_cells = 0;  blood_cells has cell;  blood_cells is "cells in blood";
    blood_cells notes ```output: cells```;
  die: blood_cells => ; death_rate * blood_cells;
end
"""

FAULTS = {
    "no unit": ("  death_rate = 0.5;  death_rate has per_d;", "  death_rate = 0.5;", "death_rate: found no unit"),
    "no name": ('  death_rate is "death of cells";', "", "death_rate: found the name ''"),
    "no note": ("    death_rate notes ```assumption: 0.5; 0.1-1```;\n", "", "death_rate: found no evidence"),
    "no range": ("assumption: 0.5; 0.1-1", "assumption: a guess", "death_rate: found an assumption without a range"),
    "no source": ("assumption: 0.5; 0.1-1", "published: 0.5", "death_rate: found 'published' without a source"),
    "unknown tag": ("assumption: 0.5; 0.1-1", "hearsay: 0.5", "death_rate: found the evidence 'hearsay'"),
    "memory": ("assumption: 0.5; 0.1-1", "memory: 0.5", "death_rate: found a number from memory"),
    "units": ("death_rate * blood_cells", "death_rate", "reaction 'die': found a formula in"),
}


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a model file without a fault, its README beside it; the folder is the current one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sound.ant"
    path.write_text(SOUND, encoding="utf-8")
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    return path


def test_a_sound_model_passes(command, sound):
    assert command("models", "check", "sound.ant") == (0, "ok    sound.ant\n", "")
    assert json.loads(command("models", "check", "sound.ant", "celyvir", "--json").out) == {
        "sound.ant": [],
        "celyvir": [],
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(command, sound, fault):
    old, new, message = FAULTS[fault]
    assert old in SOUND
    sound.write_text(SOUND.replace(old, new), encoding="utf-8")
    code, out, err = command("models", "check", "sound.ant")
    assert (code, err) == (2, "")
    assert out.startswith("FAIL  sound.ant\n")
    assert message in out
    assert "expected" in out


@pytest.mark.parametrize("section", ["Context of use", "Equations", "Assumptions", "deviations", "Checked against"])
def test_a_readme_without_a_section(command, sound, section):
    sound.with_name("README.md").write_text(README.replace(section, "Else"), encoding="utf-8")
    code, out, _ = command("models", "check", "sound.ant")
    assert code == 2
    assert f"README.md: found no heading with '{section.lower()}'" in out


def test_no_readme_or_one_that_says_not_what_the_model_is_not_for(command, sound):
    sound.with_name("README.md").write_text(README.replace("Not for anything else.", ""), encoding="utf-8")
    assert "README.md context of use: found no 'not'" in command("models", "check", "sound.ant").out
    sound.with_name("README.md").unlink()
    assert "README.md: found no such file" in command("models", "check", "sound.ant").out


def test_rows_of_uncertainty(command, sound):
    table = sound.with_name("uncertainty.csv")
    row = 'death_rate,"uniform(0.1, 1)",uncertainty,assumption: range'
    table.write_text(f"parameter,distribution,layer,source\n{row}\n", encoding="utf-8")
    assert command("models", "check", "sound.ant").code == 0
    table.write_text(f"parameter,distribution,layer,source\n{row}\nlife,cauchy(1),other,\n", encoding="utf-8")
    code, out, _ = command("models", "check", "sound.ant")
    assert code == 2
    assert "uncertainty.csv line 3: found 'life', expected a parameter of the model." in out
    assert "found 'cauchy(1)', expected normal, lognormal or uniform" in out
    assert "found the layer 'other'" in out
    assert "found no source" in out


def test_a_limit_of_detection_needs_its_output(command, sound):
    lod = '  it_lod = 1;  it_lod has cell;  it_lod is "limit of it";  it_lod notes ```fixed: a limit```;\nend'
    sound.write_text(SOUND.replace("end", lod), encoding="utf-8")
    assert "it_lod: found a limit of detection without an output" in command("models", "check", "sound.ant").out


def test_the_caution_of_a_model_goes_with_every_result(command, folder):
    text = (folder / "tiny.ant").read_text(encoding="utf-8")
    caution = "  model notes ```caution: nothing here is evidence```;\n"
    (folder / "tiny.ant").write_text(text.replace("  compartment", caution + "  compartment", 1), encoding="utf-8")
    code, out, err = command("run", "tiny.toml", "--no-plot")
    assert (code, err) == (0, "")
    assert "CAUTION: nothing here is evidence" in out.splitlines()
    assert open_results("tiny.zarr").attrs["caution"] == "nothing here is evidence"
    report = json.loads(command("run", "tiny.toml", "--no-plot", "--json").out)
    assert report["caution"] == "nothing here is evidence"
    assert "CAUTION: nothing here is evidence" in command("models", "show", "tiny.ant").out


AGENT_README = (
    README
    + """
## Parameters
| parameter | value | range | rests on |
|---|---|---|---|
| uptake by cells | 0.02 /min | 0.01 to 0.1 | assumption |
| burst of virus | 500 vp | | published (somebody 2020) |
"""
)

AGENTS = """\
<PhysiCell_settings>
  <domain><x_min>-100</x_min><x_max>100</x_max><y_min>-100</y_min><y_max>100</y_max><use_2D>true</use_2D></domain>
  <overall><max_time units="min">180</max_time></overall>
  <microenvironment_setup>
    <variable name="virus" units="vp/micron^3">
      <physical_parameter_set><decay_rate units="1/min">0.01</decay_rate></physical_parameter_set>
    </variable>
  </microenvironment_setup>
  <cell_definitions>
    <cell_definition name="cell" ID="0">
      <phenotype>
        <secretion><substrate name="virus"><uptake_rate units="1/min">0.02</uptake_rate></substrate></secretion>
      </phenotype>
    </cell_definition>
  </cell_definitions>
</PhysiCell_settings>
"""

AGENT_FAULTS = {
    "no unit": ("xml", ' units="1/min">0.02', ">0.02", "agents.xml line 12 <uptake_rate>: found no units"),
    "no time": ("xml", ' units="min">180', ">180", "<max_time>: found no units, expected min"),
    "unknown unit": ("xml", "vp/micron^3", "blob/micron^3", "substrate virus: found the units 'blob/micron^3'"),
    "untold": ("md", "burst of virus", "burst", "README.md: found nothing about the substrate 'virus'"),
    "no range": ("md", "0.01 to 0.1", "", "README.md parameters, uptake by cells: found an assumption without a range"),
    "no source": ("md", "published (somebody 2020)", "", "README.md parameters, burst of virus: found no source"),
    "hearsay": ("md", "published (somebody 2020)", "hearsay", "burst of virus: found 'hearsay', expected one of"),
    "no table": ("md", "rests on", "source", "README.md parameters: found no table whose last column is 'rests on'"),
    "no section": ("md", "## Equations", "## Else", "README.md: found no heading with 'equations'"),
}


@pytest.fixture
def agents(tmp_path, monkeypatch):
    """Return the files of an agent model without a fault, by ending."""
    monkeypatch.chdir(tmp_path)
    files = {"xml": tmp_path / "agents.xml", "md": tmp_path / "README.md"}
    files["xml"].write_text(AGENTS, encoding="utf-8")
    files["md"].write_text(AGENT_README, encoding="utf-8")
    return files


def test_a_sound_agent_model_passes(command, agents):
    assert command("models", "check", "agents.xml") == (0, "ok    agents.xml\n", "")


@pytest.mark.parametrize("fault", AGENT_FAULTS)
def test_a_fault_of_an_agent_model_is_named(command, agents, fault):
    ending, old, new, message = AGENT_FAULTS[fault]
    text = agents[ending].read_text(encoding="utf-8")
    assert old in text
    agents[ending].write_text(text.replace(old, new), encoding="utf-8")
    code, out, err = command("models", "check", "agents.xml")
    assert (code, err) == (2, "")
    assert message in out
