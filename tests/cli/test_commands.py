"""Every command does its work, says so, and ends with the right exit code."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from atmpsim import cli
from atmpsim.resources import shipped_models, shipped_scenarios
from atmpsim.results.digest import digest
from atmpsim.results.store import open_results

FAILING = ("--set", "solver.max_steps=5", "--no-plot")
# three doses of 4e7 cells at 0, 2 and 4 d that die at 0.5 per day, and the virus that they shed, cleared at 2 per day
CELLS_AT_END = 4e7 * sum(math.exp(-0.5 * (10 - dose)) for dose in (0, 2, 4))
VIRUS_AT_END = sum(
    10 * 4e7 / (2 - 0.5) * (math.exp(-0.5 * (10 - d)) - math.exp(-2 * (10 - d))) for d in (0, 2, 4)
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory, texts):
    """Return a folder with a stored result and its figure, made once."""
    place = tmp_path_factory.mktemp("made")
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert cli.main(["run", "tiny.toml", "--quiet"]) == 0
    return place


@pytest.fixture
def stored(folder, made):
    """Return the stored result, copied into the working folder."""
    return Path(shutil.copytree(made / "tiny.zarr", folder / "tiny.zarr"))


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
    assert [model["model"] for model in models] == list(shipped_models())
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


def test_rerun(folder, command, stored):
    (folder / "tiny.ant").unlink()
    (folder / "tiny.toml").unlink()
    code, out, err = command("rerun", "tiny.zarr", "--check")
    assert (code, out, err) == (0, f"Same, bit for bit: {digest(open_results(stored))}\n", "")
    code, out, err = command("rerun", "tiny.zarr", "-o", "again.nc")
    assert (code, out, err) == (0, "Result: again.nc\n", "")
    assert digest(open_results("again.nc")) == digest(open_results(stored))


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
        (("models",), ("list", "show")),
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


REFUSED = {
    "no-equals": (("run", "tiny.toml", "--set", "time.end"), "--set: found 'time.end', expected path=value."),
    "set-section": (("run", "tiny.toml", "--set", "tim.end=3 d"),
                    "tiny.toml --set 'tim.end': found the path 'tim.end', expected one of dose.…"),
    "set-unit": (("run", "tiny.toml", "--set", "time.end=3 kg"), "tiny.toml [time] end: found 3.0 kg, expected"),
    "set-value": (("run", "tiny.toml", "--set", "dose.product.count=two"),
                  "tiny.toml --set [[dose]] 1 count: found 'two', expected a whole number."),
    "set-nested": (("run", "tiny.toml", "--set", "time.end=" + "[" * 100_000),
                   "tiny.toml [time] end: found a text of 100000 characters"),
    "keep": (("run", "tiny.toml", "--keep", "blood_virs"), "tiny.toml [output] keep: found 'blood_virs', expected"),
    "no-scenario": (("run", "tinny.toml"), "tinny.toml: found no such file, expected"),
    "no-shipped-scenario": (("validate", "celyvir-weakly"), "scenario 'celyvir-weakly': found no shipped scenario of"),
    "impossible-name": (("run", "x" * 5000 + ".toml"), "scenario: found a name that no file can have, expected"),
    "a-model-instead": (("run", "tiny.ant"), "tiny.ant line 1 column 1: found text that is not TOML"),
    "out-ending": (("run", "tiny.toml", "-o", "x.csv"), "output 'x.csv': found the ending '.csv', expected a name that"),
    "out-folder": (("run", "tiny.toml", "-o", "no/x.nc"), "output 'no/x.nc': found no folder 'no', expected an existing"),
    "out-unwritable": (("run", "tiny.toml", "-o", "/proc/x.zarr"), "output '/proc/x.zarr': found a place that cannot"),
    "out-no-result": (("run", "tiny.toml", "-o", "mine.nc", "--overwrite"),
                      "output 'mine.nc': found something that is not a result of atmpsim, expected a free name."),
    "new-exists": (("new", "tiny"), "new scenario 'tiny': found a file tiny.toml, expected a free name."),
    "new-like": (("new", "x", "--like", "celyvir"), "scenario 'celyvir': found no shipped scenario of that name"),
    "new-folder": (("new", "no/x"), "new scenario 'no/x': found a place that cannot be written (No such file"),
    "new-empty": (("new", ""), "new scenario '': found an empty name, expected a name"),
    "show": (("models", "show", "celyvr"), "model 'celyvr': found no shipped model of that name, expected"),
    "plot": (("plot", "x.zarr"), "result 'x.zarr': found no such file, expected a result (.zarr or .nc)."),
    "plot-other": (("plot", "mine.nc"), "result 'mine.nc': found a file that cannot be read"),
    "rerun": (("rerun", "tiny.toml", "--check"), "result 'tiny.toml': found a file that cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "start"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(folder, complaint, command, arguments, start):
    (folder / "mine.nc").write_bytes(b"mine")
    complaint(*arguments)
    assert command(*arguments).err.startswith(start)
    assert names(folder) == {"tiny.ant", "tiny.toml", "mine.nc"}
    assert (folder / "mine.nc").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (("plot", "tiny.zarr", "--variables", "blood_virs"), "figure variable: found 'blood_virs', expected one of"),
        (("plot", "tiny.zarr", "-o", "x.gif"), "figure 'x.gif': found the ending '.gif', expected one of .pdf, .png"),
        (("plot", "tiny.zarr", "-o", "no/x.png"), "figure 'no/x.png': found no folder 'no', expected an existing"),
        (("plot", "tinny.zarr"), "result 'tinny.zarr': found no such file, expected"),
    ],
)
def test_refused_with_a_result(folder, complaint, command, stored, arguments, start):
    complaint(*arguments)
    assert command(*arguments).err.startswith(start)
    assert names(folder) == {"tiny.ant", "tiny.toml", "tiny.zarr"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Usage: atmpsim [OPTIONS] COMMAND"),
        (("rin", "tiny.toml"), "No such command 'rin'"),
        (("run",), "Missing argument"),
        (("run", "tiny.toml", "--oot", "x"), "No such option: --oot"),
        (("run", "tiny.toml", "--seed", "-1"), "'--seed'"),
        (("run", "tiny.toml", "--seed", "99999999999999999999"), "'--seed'"),
        (("run", "tiny.toml", "--seed", "x"), "'--seed'"),
        (("rerun", "tiny.zarr"), "give --check, or --out"),
    ],
)
def test_usage(folder, command, arguments, says):
    code, out, err = command(*arguments)
    assert code == 2
    assert says in out + err
    assert "Traceback" not in err
    assert names(folder) == {"tiny.ant", "tiny.toml"}


def test_a_failed_run_is_stored_and_reported(folder, command):
    code, out, err = command("run", "tiny.toml", *FAILING)
    assert code == 1
    assert err.startswith("run 0 (subject 1, arm default) at ")
    assert "found that the limit of steps was reached in state 'blood_" in err
    assert ", expected a finite solution within tolerance. Check that state's equation" in err
    assert "after dose 1 (product)" in err
    assert "nan" in out
    result = open_results("tiny.zarr")
    cells = result["trajectories"]["blood_cells"].values.ravel()
    assert cells[0] == 4e7, "what was computed before is kept"
    assert np.isnan(cells[1:]).all()
    assert result["status"]["status"].values.ravel().tolist() == [2]
    assert result["status"]["message"].values.ravel().tolist() == [err.rstrip("\n")]


def test_a_failed_run_in_json_and_in_a_figure(command):
    code, out, _ = command("run", "tiny.toml", "--set", "solver.max_steps=5", "--json")
    report = json.loads(out, parse_constant=pytest.fail)
    assert (code, report["failed"]) == (1, 1)
    assert {value for metric in report["summary"] for value in metric["values"].values()} == {None}
    assert Path("tiny.png").stat().st_size > 0


def test_an_internal_fault_writes_a_log(folder, command, monkeypatch, tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")
    monkeypatch.setattr(tempfile, "tempdir", str(logs))

    def fault(*arguments, **options):
        raise ZeroDivisionError("seventeen")

    monkeypatch.setattr("atmpsim.study.run.execute", fault)
    code, out, err = command("run", "tiny.toml", "--set", "time.end=3 d")
    (log,) = logs.iterdir()
    assert (code, out) == (3, "")
    assert err == (
        "atmpsim: found an internal error (ZeroDivisionError: seventeen), expected none. This is a fault of atmpsim, "
        f"not of your input; please report it with the log file {log}.\n"
    )
    text = log.read_text(encoding="utf-8")
    assert "atmpsim run tiny.toml --set 'time.end=3 d'" in text
    assert "Traceback (most recent call last)" in text
    assert names(folder) == {"tiny.ant", "tiny.toml"}


def interrupt(*arguments, **options):
    """Press Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("place", ["atmpsim.study.run.integrate", "atmpsim.results.store.os.rename"])
@pytest.mark.parametrize("old", [False, True], ids=["new", "replacing"])
def test_interrupt(folder, command, monkeypatch, request, place, old):
    monkeypatch.setattr(signal, "raise_signal", signal.raise_signal)
    before = digest(open_results(request.getfixturevalue("stored"))) if old else None
    if not old and place.endswith("rename"):
        place = "atmpsim.results.store.os.replace"
    files = names(folder)
    monkeypatch.setattr(place, interrupt)
    code, out, err = command("run", "tiny.toml", "--no-plot")
    monkeypatch.undo()
    assert (code, out, err.strip()) == (130, "", "Interrupted; nothing was left half written.")
    assert names(folder) == files
    if old:
        assert digest(open_results(folder / "tiny.zarr")) == before


def test_interrupt_while_writing(folder, command, monkeypatch):
    whole = xr.DataTree.to_zarr

    def half(tree, path, **options):
        whole(tree, path, **options)
        interrupt()

    monkeypatch.setattr(xr.DataTree, "to_zarr", half)
    assert command("run", "tiny.toml", "--no-plot").code == 130
    assert names(folder) == {"tiny.ant", "tiny.toml"}


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a program, without terminal and display."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "TERM", "COLUMNS", "FORCE_COLOR", "MPLBACKEND")
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    return subprocess.run(
        [sys.executable, "-m", "atmpsim", *arguments], env=kept | environment, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip


def test_without_terminal_display_and_unicode(folder):
    done = process("run", "tiny.toml", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout, "no colours in a file"
    assert b"Result: tiny.zarr   Figure: tiny.png" in done.stdout
    refused = process("run", "tiny.toml", "--set", "tim.end=3 d", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert refused.returncode == 2
    assert refused.stderr.startswith(b"tiny.toml --set 'tim.end': found the path 'tim.end', expected one of dose.")


def test_a_reader_that_closes_early_is_no_error(folder):
    script = f"{sys.executable} -m atmpsim models show celyvir; echo code $? >&2"
    done = subprocess.run(["sh", "-c", f"({script}) | head -n 1"], capture_output=True, timeout=120, check=True)
    assert done.stdout.startswith(b"celyvir: ")
    assert done.stderr == b"code 0\n"
