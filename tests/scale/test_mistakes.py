"""What is wrong with a sweep, a population or a store is said in one line, and nothing is lost or overwritten."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import zarr

import atmpsim
from atmpsim import cli
from atmpsim.errors import InputError
from atmpsim.results.digest import digest
from atmpsim.results.store import open_results
from atmpsim.results.stream import open_stream
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.table import expand_runs
from atmpsim.study import tasks
from atmpsim.study.doctor import check_result
from atmpsim.study.inspect import read_status
from atmpsim.study.streaming import run_stream

FORM = re.compile(r".+: found .+, expected .+\..*", re.DOTALL)


def refusal(scenario, **overrides):
    """Return what reading the scenario says, changed by paths (`__` for a dot)."""
    with pytest.raises(InputError) as raised:
        expand_runs(load_inputs(scenario, overrides={k.replace("__", "."): v for k, v in overrides.items()}))
    assert FORM.fullmatch(str(raised.value))
    return str(raised.value)


TWO = {"between": ["death_rate", "alive_share"]}


def together(**matrix):
    return {"population__correlation": [{**TWO, **matrix}]}


BAD = {
    "found a matrix with the eigenvalue": together(correlation=[[1.0, 1.2], [1.2, 1.0]]),
    "found a matrix that is not symmetric": together(correlation=[[1.0, 0.2], [0.1, 1.0]]),
    "expected variances above 0": together(covariance=[[0.0, 0.0], [0.0, 1.0]]),
    "found 3e+12 runs, expected at most": {
        "sweep__parameters.death_rate": {"from": "0.1 1/d", "to": "1 1/d", "count": 10**6},
        "sweep__parameters.shedding_rate": {"from": "1 vp/cell/d", "to": "9 vp/cell/d", "count": 10**6},
    },
    "'parameters.death_rate': found nan, expected": {"sweep__parameters.death_rate": [0.1, float("nan")]},
    "0.1 without a unit, expected a quantity in 1/d": {"sweep__parameters.death_rate": [0.1, 0.2]},
    "Did you mean 'death_rate'": {"sweep__parameters.deth_rate": ["0.1 1/d"]},
    "Did you mean 'product'": {"sweep__dose.prodct.amount": ["1 cell"]},
    "found another time": {"sweep__time.end": ["1 d", "2 d"]},
    "expected equally many values": {"sweep__design": "zip", "sweep__parameters.death_rate": ["1 1/d"]},
    "found 'gird', expected one of": {"sweep__design": "gird"},
    "the function 'lognorm'": {"population__distribution": {"death_rate": "lognorm(0, 1) 1/d"}},
    "without a unit, expected a distribution": {"population__distribution": {"death_rate": "normal(1, 1)"}},
    "found '1/d', expected": {"population__distribution": {"death_rate": 3}},
    "found the unit 'dd'": {"population__distribution": {"death_rate": "normal(1, 0.1) 1/dd"}},
    "expected at least size = 350": {"population__covariates": {"table": "few.csv"}},
    "subject 2 weight kg": {"population__size": 2, "population__covariates": {"table": "hole.csv"}},
    "expected an age": {"population__covariates": {"weight": "from age", "weight_spread": 0.1}},
    "found 0, expected a number above 0": {"population__size": 0},
}  # fmt: skip


@pytest.mark.parametrize("says", BAD)
def test_bad_input(scenario, says):
    (scenario.parent / "few.csv").write_text("age yr,weight kg\n6,20\n")
    (scenario.parent / "hole.csv").write_text("subject,weight kg\n1,20\n2,\n")
    said = refusal(scenario, **BAD[says])
    wanted = {"found '1/d', expected": "found 3, expected a distribution",
              "subject 2 weight kg": "subject 2 weight: found an empty cell"}.get(says, says)  # fmt: skip
    assert wanted in said


def test_a_table_of_points_with_a_hole(scenario):
    text = scenario.read_text()
    scenario.write_text(
        text.replace('"parameters.clearance_rate" = ["1 1/d", "2 1/d", "4 1/d"]', 'table = "points.csv"')
    )
    (scenario.parent / "points.csv").write_text("parameters.clearance_rate | 1/d,dose.product.count\n1,2\nnan,2\n")
    assert "row 3: found 'nan', expected a finite number" in refusal(scenario)
    (scenario.parent / "points.csv").write_text("parameters.clearance_rate | 1/d,dose.product.count\n1,2\n2,\n")
    assert "table row 3: found" in refusal(scenario)


# ---- stores


def stream(scenario, name="a.zarr", **how):
    inputs = load_inputs(scenario, overrides=how.pop("overrides", None))
    run_stream(expand_runs(inputs), inputs, name, chunk=256, **how)


def interrupted(scenario, name="a.zarr", after=3):
    """Leave an unfinished store behind."""

    def stop(done, total, failed):
        if done >= 256 * after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        stream(scenario, name, threads=1, progress=stop)
    return str(raised.value)


def refused(scenario, **how):
    with pytest.raises(InputError) as raised:
        stream(scenario, **how)
    assert FORM.fullmatch(str(raised.value))
    return str(raised.value)


def test_an_interrupted_run_says_how_to_go_on_and_its_store_is_kept(scenario):
    said = interrupted(scenario)
    assert re.search(r"Interrupted; \d+ of 2100 runs are kept in a.zarr.partial. Finish with --resume.", said)
    found = read_status("a.zarr")
    assert not found.finished
    assert 768 <= found.done < 2100
    assert "Give --resume to finish it, or --overwrite" in refused(scenario)
    with pytest.raises(InputError, match=r"found an unfinished result.*--resume"):
        open_results("a.zarr")
    assert read_status("a.zarr").done == found.done
    stream(scenario, resume=True)
    assert read_status("a.zarr").finished
    assert read_status("a.zarr").done == 2100


def test_a_store_of_other_input_is_refused_by_name(scenario):
    interrupted(scenario)
    other = {"population.seed": 5}
    said = refused(scenario, overrides=other, resume=True)
    assert "found an unfinished result of other input (" in said
    assert load_inputs(scenario).sha256[:12] in said
    assert read_status("a.zarr").done
    stream(scenario, overrides=other, overwrite=True)
    assert open_results("a.zarr")["provenance"].attrs["inputs_sha256"] != load_inputs(scenario).sha256


def test_a_store_of_another_version_is_refused(scenario):
    interrupted(scenario)
    zarr.open_group("a.zarr.partial", mode="r+")["provenance"].attrs["store_version"] = 99
    assert "found a store of version 99, expected version 2" in refused(scenario, resume=True)


@pytest.mark.parametrize("lost", ["trajectories/blood_virus", "status/status", "checksums", "provenance"])
def test_a_store_half_deleted_is_refused(scenario, lost):
    interrupted(scenario)
    shutil.rmtree(Path("a.zarr.partial", lost))
    assert "--overwrite to begin anew" in refused(scenario, resume=True)


def test_lost_chunks_of_values_are_found_by_doctor_and_by_reading(scenario):
    stream(scenario)
    assert all(ok for _, ok, _ in check_result("a.zarr"))
    chunk = next(Path("a.zarr/trajectories/blood_virus/c").rglob("2/0"), None) or next(
        p for p in Path("a.zarr/trajectories/blood_virus/c").rglob("*") if p.is_file()
    )
    chunk.unlink()
    bad = [(name, text) for name, ok, text in check_result("a.zarr") if not ok]
    assert len(bad) == 1
    assert bad[0][0].startswith("trajectories/blood_virus runs ")
    with pytest.raises(InputError, match="do not match their checksum"):
        open_results("a.zarr")


def test_a_disk_that_fills_loses_nothing(scenario, monkeypatch):
    written, write = [], tasks.write_chunk

    def fill(*arguments):
        if len(written) >= 3:
            raise OSError(28, "No space left on device")
        written.append(arguments)
        write(*arguments)

    with monkeypatch.context() as full:
        full.setattr(tasks, "write_chunk", fill)
        said = refused(scenario, threads=1)
    assert "No space left on device" in said
    assert "finish with --resume" in said
    assert len(open_stream("a.zarr.partial").missing()) == 6
    stream(scenario, resume=True)
    assert digest(open_results("a.zarr")) == open_results("a.zarr")["provenance"].attrs["digest"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(scenario):
    folder = scenario.parent / "closed"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(InputError, match="cannot be written"):
        atmpsim.run(scenario, out=folder / "a.zarr", workers=1)


def test_a_failed_run_leaves_its_neighbours_alone(scenario):
    text = scenario.read_text()
    scenario.write_text(text[: text.index("[population]")])
    steps = {"sweep.parameters.clearance_rate": ["1 1/d", "-1e4 1/d"], "solver.max_steps": 2000}
    stream(scenario, overrides=steps)
    found = read_status("a.zarr")
    assert [k for k, _ in found.messages] == [1, 3]
    assert "run 1 (subject 1, arm one, parameters.clearance_rate -10000.0 1/d) at " in found.messages[0][1]
    tree = open_results("a.zarr")
    curves = tree["trajectories"]["blood_virus"]
    assert np.isfinite(curves.isel({"parameters.clearance_rate": 0}).values).all()
    assert np.isnan(curves.isel({"parameters.clearance_rate": 1}).values[..., -1]).all()
    assert cli.main(["status", "a.zarr"]) == 1
    before = tree["provenance"].attrs["digest"]
    inputs = load_inputs(scenario, overrides=steps)
    atmpsim.run(inputs, out="a.zarr", retry_failed=True)
    assert open_results("a.zarr")["provenance"].attrs["digest"] == before


def test_command_line(scenario, capsys):
    assert cli.main(["run", str(scenario), "--dry-run"]) == 0
    assert "2100 runs: 2 arm x 3 parameters.clearance_rate x 350 subject" in capsys.readouterr().out
    over = ["--over", "parameters.death_rate=0.4 1/d, 0.8 1/d", "--set", "population.size=4", "-q"]
    assert cli.main(["sweep", str(scenario), *over, "-o", "b.zarr"]) == 0
    assert cli.main(["status", "b.zarr"]) == 0
    assert "finished, 0 of 48 runs failed" in capsys.readouterr().out
    assert cli.main(["summary", "b.zarr"]) == 0
    assert cli.main(["plot", "b.zarr", "--map", "blood_virus.peak"]) == 0
    assert cli.main(["doctor", "b.zarr"]) == 0
    for name in ("b.nc", "b.csv", "b.parquet"):
        assert cli.main(["convert", "b.zarr", name]) == 0
    assert cli.main(["convert", "b.zarr", "b.csv"]) == 2
    import pandas as pd

    one, two = pd.read_csv("b.csv"), pd.read_parquet("b.parquet")
    assert len(one) == len(two) == 48 * 11
    assert "blood_virus [vp]" in one.columns
    assert digest(open_results("b.nc")) == digest(open_results("b.zarr"))


def test_ctrl_c_on_the_command_line_says_how_to_go_on(scenario, capsys, monkeypatch):
    from atmpsim.study import streaming

    drive = streaming._drive

    def stop(done, stream, missing, progress):
        def interrupt(*state):
            raise KeyboardInterrupt

        return drive(done, stream, missing, interrupt)

    monkeypatch.setattr(streaming, "_drive", stop)
    assert cli.main(["run", str(scenario), "-o", "a.zarr", "-q"]) == 130
    assert re.search(r"Interrupted; \d+ of 2100 runs are kept in .*a.zarr.partial. Finish with --resume.",
                     capsys.readouterr().err)  # fmt: skip
