"""What is refused, fails, breaks or is interrupted ends with its own exit code, and leaves nothing half written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from atmpsim.results.digest import digest
from atmpsim.results.store import open_results

FAILING = ("--set", "solver.max_steps=5", "--no-plot")


def names(folder: Path) -> set[str]:
    """Return the names of everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


REFUSED = {
    "no-equals": (("run", "tiny.toml", "--set", "time.end"), "--set: found 'time.end', expected path=value."),
    "set-section": (("run", "tiny.toml", "--set", "tim.end=3 d"),
                    "tiny.toml --set 'tim.end': found the path 'tim.end', expected one of agents.…"),
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
    "out-ending": (("run", "tiny.toml", "-o", "x.csv"),
                   "output 'x.csv': found the ending '.csv', expected a name that"),
    "out-folder": (("run", "tiny.toml", "-o", "no/x.nc"),
                   "output 'no/x.nc': found no folder 'no', expected an existing"),
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


@pytest.mark.parametrize("place", ["atmpsim.study.ode_runs.solve", "atmpsim.results.store.os.rename"])
@pytest.mark.parametrize("old", [False, True], ids=["new", "replacing"])
def test_interrupt(folder, command, monkeypatch, request, place, old):
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
    text = (folder / "tiny.toml").read_text(encoding="utf-8").replace("Cells in", "Células in")
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    done = process("run", "tiny.toml", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"C?lulas in blood shed virus")
    assert b"\x1b" not in done.stdout, "no colours in a file"
    assert done.stdout.endswith(b"Result: tiny.zarr   Figure: tiny.png\n")
    assert open_results("tiny.zarr").attrs["title"] == "Células in blood shed virus"


def test_a_reader_that_closes_early_is_no_error(folder):
    script = f"{sys.executable} -m atmpsim models show celyvir; echo code $? >&2"
    done = subprocess.run(["sh", "-c", f"({script}) | head -n 1"], capture_output=True, timeout=120, check=True)
    assert done.stdout.startswith(b"celyvir: ")
    assert done.stderr == b"code 0\n"
