"""Every command does its work and says so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from atmpsim.resources import shipped_agent_models, shipped_models, shipped_scenarios
from atmpsim.results.digest import digest
from atmpsim.results.store import open_results

# three doses of 4e7 cells at 0, 2 and 4 d that die at 0.5 per day, and the virus that they shed, cleared at 2 per day
CELLS_AT_END = 4e7 * sum(math.exp(-0.5 * (10 - dose)) for dose in (0, 2, 4))
VIRUS_AT_END = sum(
    10 * 4e7 / (2 - 0.5) * (math.exp(-0.5 * (10 - d)) - math.exp(-2 * (10 - d))) for d in (0, 2, 4)
)  # fmt: skip


def names(folder: Path) -> set[str]:
    """Return the names of everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def test_run_stores_draws_and_prints(folder, command):
    code, out, err = command("run", "tiny.toml")
    assert (code, err) == (0, "")
    lines = [line.strip() for line in out.splitlines() if line.strip()]
    assert lines[0] == "Cells in blood shed virus"
    labels = [line.partition("  ")[0] for line in lines[3:6]]
    wanted = ["blood_virus: peak", "blood_virus: time above limit of detection", "cells in blood: end"]
    assert labels == wanted, "the summary stands in the order of the scenario"
    assert lines[5].split() == ["cells", "in", "blood:", "end", "cell", f"{CELLS_AT_END:.4g}"]
    assert lines[6] == "Result: tiny.zarr   Figure: tiny.png"
    assert names(folder) == {"tiny.ant", "tiny.toml", "tiny.zarr", "tiny.png"}
    assert (folder / "tiny.png").read_bytes().startswith(b"\x89PNG")


def test_run_json(folder, command):
    code, out, err = command("run", "tiny.toml", "--json", "--no-plot", "--keep", "blood_virus, blood_cells")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert (report["result"], report["figure"], report["runs"], report["failed"]) == ("tiny.zarr", None, 1, 0)
    assert report["digest"] == digest(open_results("tiny.zarr"))
    metrics = {metric["metric"]: metric for metric in report["summary"]}
    end = metrics["blood_cells.end"]
    assert (end["meaning"], end["unit"]) == ("cells in blood: end", "cell")
    assert end["values"]["default"] == pytest.approx(CELLS_AT_END, rel=1e-5)
    assert names(folder) == {"tiny.ant", "tiny.toml", "tiny.zarr"}


def test_run_to_netcdf_gives_the_same_content(command, stored):
    assert command("run", "tiny.toml", "-o", "other.nc", "--no-plot").code == 0
    assert digest(open_results("other.nc")) == digest(open_results(stored))
    virus = open_results("other.nc")["trajectories"]["blood_virus"]
    assert virus.values[0, 0, 0, -1] == pytest.approx(VIRUS_AT_END, rel=1e-5)


def test_run_sets_and_keeps(command):
    arguments = ("--set", "dose.product.count=1", "--set", "time.end=4 d", "--set", "output.summary=[]")
    assert command("run", "tiny.toml", "--no-plot", "--keep", "all", *arguments).code == 0
    curves = open_results("tiny.zarr")["trajectories"]
    assert sorted(curves.data_vars) == ["blood_cells", "blood_virus", "loss"]
    assert curves["time"].values.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(curves["blood_cells"].values.ravel(), 4e7 * np.exp(-0.5 * np.arange(5)), rtol=1e-5)


def test_run_replaces_the_same_input_only(folder, command, stored):
    first = digest(open_results(stored))
    assert command("run", "tiny.toml", "--no-plot", "-q").code == 0, "the same input"
    code, _, err = command("run", "tiny.toml", "--no-plot", "--set", "dose.product.count=2")
    assert code == 2
    assert err.startswith("output 'tiny.zarr': found a result made from other input, expected the same input or a free")
    assert err.endswith("Give --overwrite to replace it, or another name with -o.\n")
    assert digest(open_results(stored)) == first
    assert command("run", "tiny.toml", "--no-plot", "--set", "dose.product.count=2", "--overwrite").code == 0
    assert digest(open_results(stored)) != first
    assert names(folder) == {"tiny.ant", "tiny.toml", "tiny.zarr"}


def test_quiet_prints_nothing(command):
    assert command("run", "tiny.toml", "--quiet", "--no-plot") == (0, "", "")


def test_notes_are_printed_on_demand_and_lost_doses_always(command):
    _, brief, _ = command("run", "tiny.toml", "--no-plot", "--set", "time.end=3 d")
    _, verbose, _ = command("run", "tiny.toml", "--no-plot", "--set", "time.end=3 d", "--verbose")
    lost = "note: doses: 1 in arm 'default' would enter after the end and were not given\n"
    assert lost in brief
    assert lost in verbose
    assert "ICRP 89" not in brief
    assert "note: masses and cardiac output interpolated between the ICRP 89 classes" in verbose


def test_brackets_in_names_are_no_markup(folder, command):
    arms = '[[arm]]\nname = "[red]high[/]"\n[[arm]]\nname = "unit"\ndrop = ["product"]\n'
    text = (folder / "tiny.toml").read_text(encoding="utf-8").replace("Cells in", "[bold]Cells[/x] in") + arms
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    code, out, err = command("run", "tiny.toml", "--no-plot")
    assert (code, err) == (0, "")
    assert "[bold]Cells[/x] in blood" in out
    assert "[red]high[/]" in out
    values = json.loads(command("run", "tiny.toml", "--no-plot", "--json").out)["summary"][0]["values"]
    assert list(values) == ["[red]high[/]", "unit"]
    assert values["unit"] == 0


def test_subjects_of_a_dosing_table_have_a_column_each(folder, command):
    text = (folder / "tiny.toml").read_text(encoding="utf-8")
    head, rest = text.split("[[dose]]")
    dosing = '[dosing]\ntable = "d.csv"\ntime_unit = "h"\namount_unit = "cell"\n'
    (folder / "tiny.toml").write_text(head + dosing + rest[rest.index("[output]") :], encoding="utf-8")
    (folder / "d.csv").write_text("ID,TIME,AMT,CMT\nann,0,1e6,1\nbob,24,1e6,1\n", encoding="utf-8")
    report = json.loads(command("run", "tiny.toml", "--no-plot", "--json").out)
    ends = {m["metric"]: m["values"] for m in report["summary"]}["blood_cells.end"]
    assert ends["default / bob"] == pytest.approx(1e6 * math.exp(-0.5 * 9), rel=1e-5)
    assert ends["default / ann"] == pytest.approx(1e6 * math.exp(-0.5 * 10), rel=1e-5)


def test_validate(folder, command):
    code, out, err = command("validate", "tiny.toml", "--set", "dose.product.count=2")
    assert (code, err) == (0, "")
    first, *notes = out.splitlines()
    assert first == "tiny.toml is valid: model tiny, 1 run, 2 doses, 11 samples, 2 outputs."
    assert any("ICRP 89" in note for note in notes)
    facts = json.loads(command("validate", "tiny.toml", "--json").out)
    assert (facts["model"], facts["doses"], facts["outputs"]) == ("tiny", 3, ["blood_cells", "blood_virus"])
    assert names(folder) == {"tiny.ant", "tiny.toml"}


def test_new_copies_a_shipped_scenario(folder, command):
    code, out, err = command("new", "mine", "--like", "msc-lung-mouse")
    assert (code, out, err) == (0, "Wrote mine.toml. Edit it, then: atmpsim run mine.toml\n", "")
    assert (folder / "mine.toml").read_text() == shipped_scenarios()["msc-lung-mouse"].read_text()
    assert command("validate", "mine.toml").code == 0


def test_lists(command):
    models = json.loads(command("models", "list", "--json").out)
    assert [model["model"] for model in models] == [*shipped_models(), *shipped_agent_models()]
    assert all(model["title"] and model["parameters"] for model in models)
    scenarios = json.loads(command("scenarios", "--json").out)
    assert [scenario["scenario"] for scenario in scenarios] == list(shipped_scenarios())
    table = command("scenarios").out
    assert all(f"  {scenario['scenario']}  " in table for scenario in scenarios)


def test_show_a_model(command):
    code, out, _ = command("models", "show", "tiny.ant")
    assert code == 0
    assert out.startswith("tiny: Cells in blood die and shed virus, which is cleared.")
    assert any(line.split()[:4] == ["death_rate", "parameter", "0.5", "1/d"] for line in out.splitlines())
    rows = {row["id"]: row for row in json.loads(command("models", "show", "tiny.ant", "--json").out)}
    assert rows["blood_cells"]["meaning"] == "cells in blood"
    assert (rows["blood_virus"]["evidence"], rows["blood_virus"]["unit"]) == ("output", "vp")


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_plot(folder, command, stored, ending, start):
    options = () if ending == "png" else ("-o", f"tiny.{ending}", "--variables", "blood_virus")
    code, out, err = command("plot", "tiny.zarr", *options)
    assert (code, out, err) == (0, f"Figure: tiny.{ending}\n", "")
    assert (folder / f"tiny.{ending}").read_bytes().startswith(start)


def test_doctor(command):
    code, out, err = command("doctor")
    assert (code, err) == (0, "")
    assert all(line.startswith("ok  ") for line in out.splitlines())
    assert "shipped scenario: msc-lung-mouse ran" in out


def test_doctor_finds_a_fault(command, monkeypatch):
    found = [("compiler", True, "right"), ("scipy", False, "unknown")]
    monkeypatch.setattr("atmpsim.study.doctor.check_installation", lambda: iter(found))
    assert command("doctor") == (1, "ok    compiler: right\nFAIL  scipy: unknown\n", "")


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        ((), ("run", "validate", "new", "models", "scenarios", "plot", "rerun", "doctor")),
        (("run",), ("--out", "--set", "--seed", "--keep", "--overwrite", "--json", "--quiet", "{scenario}")),
        (("validate",), ("--set", "--json", "{scenario}")),
        (("new",), ("--like", "{name}")),
        (("models",), ("list", "show", "check")),
        (("models", "check"), ("--json", "NAME")),
        (("models", "show"), ("--json", "{name}")),
        (("plot",), ("--out", "--variables", "{result}")),
        (("rerun",), ("--check", "--out", "--tolerance", "{result}")),
        (("doctor",), ("installation",)),
    ],
)
def test_help(command, arguments, mentions):
    code, out, err = command(*arguments, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(" ".join(("Usage: atmpsim", *arguments)))
    assert [word for word in mentions if word not in out] == []
    assert "..." not in out.partition("Commands:")[2], "a description was cut short"
