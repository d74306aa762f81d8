"""Results: what the digest sees, what storing keeps, and what a damaged store says."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from atmpsim.errors import ResultError
from atmpsim.results.dataset import statuses, trajectories
from atmpsim.results.digest import digest
from atmpsim.results.store import check_target, on_grid, open_results, write
from atmpsim.results.summary import summarise
from atmpsim.results.variables import Variable

TIMES = np.array([0.0, 1.0, 3.0, 4.0])
ROWS = [("low", "ann"), ("low", "bob"), ("high", "ann"), ("high", "bob")]
CELLS = np.array([[0.0, 4.0, 4.0, 0.0], [1.0, 2.0, 3.0, 4.0], [5.0, np.nan, np.nan, np.nan], [-0.0, 0.0, 0.0, 9.0]])
ENDINGS = pytest.mark.parametrize("name", ["result.zarr", "result.nc"])


def result(*, rows=ROWS, cells=CELLS, doses=2, title="A résumé") -> xr.DataTree:
    """Return a result of several runs, as a study makes it: over the dimension `run`."""
    cells = np.array(cells)
    described = {
        "cells": Variable(name="cells", units="cell", long_name="cells, µ", limit_of_detection="cells_lod"),
        "[virus]": Variable(name="[virus]", units="vp/mL", long_name="virus"),
    }
    curves = trajectories(
        {"cells": cells, "[virus]": 2 * cells}, times=TIMES, time_units="d", variables=described,
        detection={"cells": 2.0},
    )  # fmt: skip
    labels = {
        "arm": ("run", [arm for arm, _ in rows]),
        "subject": ("run", [subject for _, subject in rows]),
        "replicate": ("run", np.zeros(len(rows), dtype=np.int64)),
    }
    failed = np.isnan(cells).any(axis=1)
    status = statuses(2 * failed.astype(int), ["stopped — at 1 d" if bad else "" for bad in failed])
    status["seed"] = ("run", np.full(len(rows), 7, dtype=np.int64))
    status["steps"] = ("run", np.arange(len(rows)))
    given = {
        "name": ("dose", np.array(["product"] * doses, dtype=object)),
        "amount": ("dose", np.arange(doses, dtype=float), {"units": "cell"}),
    }
    return xr.DataTree.from_dict({
        "/": xr.Dataset(attrs={"title": title, "history": "2026-01-01: simulated", "notes": ""}),
        "/trajectories": curves.assign_coords(labels),
        "/doses": xr.Dataset(given),
        "/summary": summarise(curves, [("[virus]", "peak"), ("cells", "auc")]).assign_coords(labels),
        "/status": status.assign_coords(labels),
        "/provenance": xr.Dataset(attrs={"inputs": "{}", "inputs_sha256": "abc", "versions": "atmpsim 1"}),
    })  # fmt: skip


# ---- digest


def one_bit_more(values: np.ndarray) -> None:
    values[1, 2] = np.nextafter(values[1, 2], 9.0)


def other_sign_of_zero(values: np.ndarray) -> None:
    values[0, 0] = -0.0


def other_nan_position(values: np.ndarray) -> None:
    values[2, 1] = 0.0


@pytest.mark.parametrize("change", [one_bit_more, other_sign_of_zero, other_nan_position])
def test_digest_sees_a_value(change):
    cells = CELLS.copy()
    change(cells)
    curves = result()
    changed = result()
    changed["trajectories"]["cells"].values[:] = cells
    assert digest(changed) != digest(curves)


def curves(change):
    """Return a change of a result: of its trajectories as a dataset."""

    def apply(tree):
        tree["trajectories"] = change(tree["trajectories"].to_dataset())

    return apply


def entry(group, name, value):
    """Return a change of a result: the last value of a variable."""

    def apply(tree):
        tree[group][name].values[-1] = value

    return apply


SEEN = {
    "attribute": lambda tree: tree["trajectories"]["cells"].attrs.update(units="vp"),
    "new attribute": lambda tree: tree["trajectories"]["cells"].attrs.update(comment=""),
    "limit": lambda tree: tree["trajectories"]["cells"].attrs.update(limit_of_detection=2.5),
    "name": curves(lambda data: data.rename(cells="carriers")),
    "names swapped": curves(lambda data: data.rename({"cells": "[virus]", "[virus]": "cells"})),
    "variable lost": curves(lambda data: data.drop_vars("cells")),
    "type": curves(lambda data: data.astype(np.float32)),
    "dimension": curves(lambda data: data.rename(time="moment")),
    "order of dimensions": curves(lambda data: data.transpose("time", "run")),
    "times": curves(lambda data: data.assign_coords(time=TIMES + 1)),
    "arm": curves(lambda data: data.assign_coords(arm=("run", ["a", "b", "c", "d"]))),
    "status": entry("status", "status", 3),
    "seed": entry("status", "seed", 8),
    "dose": entry("doses", "amount", 5.0),
    "name of a dose": entry("doses", "name", "other"),
    "metric": entry("summary", "cells.auc", 5.0),
}
NOT_SEEN = {
    "history": lambda tree: tree.attrs.update(history="yesterday", title="another", source="atmpsim 0"),
    "versions": lambda tree: tree["provenance"].attrs.update(versions="atmpsim 2"),
    "message": entry("status", "message", "in other words"),
    "steps": entry("status", "steps", 99),
    "order of variables": curves(lambda data: data[["[virus]", "cells"]]),
}


@pytest.mark.parametrize("change", SEEN.values(), ids=SEEN.keys())
def test_digest_sees(change):
    tree = result()
    change(tree)
    assert digest(tree) != digest(result())


@pytest.mark.parametrize("change", NOT_SEEN.values(), ids=NOT_SEEN.keys())
def test_digest_does_not_see(change):
    tree = result()
    change(tree)
    assert digest(tree) == digest(result())


def test_digest_does_not_see_chunks(tmp_path):
    digests = set()
    for chunks in ((4, 4), (1, 2), (2, 3)):
        tree = on_grid(result())
        encoding = {"/trajectories": {"cells": {"chunks": (*chunks, 1, 1)}}}
        tree["trajectories"] = tree["trajectories"].to_dataset().transpose("arm", "time", "subject", "replicate")
        with pytest.warns(match="Zarr V3 specification"):
            tree.to_zarr(tmp_path / f"{chunks}.zarr", encoding=encoding, consolidated=False)
        stored = xr.open_datatree(tmp_path / f"{chunks}.zarr", engine="zarr", consolidated=False)
        digests |= {digest(stored), digest(tree)}
    assert len(digests) == 1


# ---- storing


@ENDINGS
@pytest.mark.parametrize("doses", [0, 2])
def test_what_is_stored_comes_back(tmp_path, name, doses):
    tree = result(doses=doses)
    write(tree, tmp_path / name)
    stored = open_results(tmp_path / name)
    assert digest(stored) == digest(on_grid(tree))
    assert list(stored["trajectories"].data_vars) == ["cells", "[virus]"], "in the order given"
    assert list(stored["summary"].data_vars) == ["[virus].peak", "cells.auc"]
    assert stored["doses"]["name"].values.tolist() == ["product"] * doses
    assert stored["status"]["message"].sel(arm="high", subject="ann").values.tolist() == ["stopped — at 1 d"]
    assert stored["status"]["status"].attrs["flag_meanings"].split()[0] == "ok"
    assert stored.attrs == tree.attrs
    assert stored["provenance"].attrs["inputs_sha256"] == "abc"
    assert os.listdir(tmp_path) == [name]


def test_both_forms_hold_the_same(tmp_path):
    for name in ("a.zarr", "a.nc"):
        write(result(), tmp_path / name)
    one, two = open_results(tmp_path / "a.zarr"), open_results(tmp_path / "a.nc")
    for group in ("trajectories", "doses", "summary", "status"):
        xr.testing.assert_equal(one[group].to_dataset(), two[group].to_dataset())


@ENDINGS
@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_the_old_result(tmp_path, monkeypatch, name, problem):
    write(result(), tmp_path / name)
    before = digest(open_results(tmp_path / name))
    method = "to_zarr" if name.endswith("zarr") else "to_netcdf"
    whole = getattr(xr.DataTree, method)

    def half(tree, path, **options):
        whole(tree, path, **options)
        raise problem

    monkeypatch.setattr(xr.DataTree, method, half)
    with pytest.raises(ResultError if isinstance(problem, OSError) else KeyboardInterrupt) as raised:
        write(result(cells=CELLS + 1), tmp_path / name)
    if isinstance(problem, OSError):
        assert "found a place that cannot be written (No space left on device), expected" in str(raised.value)
    assert os.listdir(tmp_path) == [name]
    assert digest(open_results(tmp_path / name)) == before


@pytest.mark.parametrize("failing", [1, 2], ids=["first rename", "second rename"])
def test_a_crash_while_replacing_a_folder_leaves_the_old_result(tmp_path, monkeypatch, failing):
    write(result(), tmp_path / "a.zarr")
    before = digest(open_results(tmp_path / "a.zarr"))
    calls, rename_whole = itertools.count(1), os.rename

    def rename_or_stop(old, new):
        if next(calls) == failing:
            raise KeyboardInterrupt
        rename_whole(old, new)

    monkeypatch.setattr(os, "rename", rename_or_stop)
    with pytest.raises(KeyboardInterrupt):
        write(result(cells=CELLS + 1), tmp_path / "a.zarr")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a.zarr"]
    assert digest(open_results(tmp_path / "a.zarr")) == before


# ---- targets


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x.csv", "found the ending '.csv', expected a name that ends in .zarr or .nc"),
        ("x", "found the ending '', expected a name that ends in .zarr or .nc. For example x.zarr."),
        ("no/x.zarr", "expected an existing folder. Create it first."),
        ("note.txt/x.zarr", "expected an existing folder"),
        ("note.nc", "found something that is not a result of atmpsim, expected a free name"),
        ("empty.zarr", "found something that is not a result of atmpsim, expected a free name"),
        ("foreign.zarr", "found something that is not a result of atmpsim, expected a free name"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_target_that_is_refused(tmp_path, name, says, overwrite):
    for note in ("note.txt", "note.nc"):
        (tmp_path / note).write_text("mine")
    (tmp_path / "empty.zarr").mkdir()
    xr.Dataset({"mine": ("x", [1.0])}).to_zarr(tmp_path / "foreign.zarr", group="provenance", consolidated=False)
    with pytest.raises(ResultError) as raised:
        check_target(tmp_path / name, inputs_sha256="abc", overwrite=overwrite)
    assert says in str(raised.value)


@ENDINGS
def test_a_target_of_the_same_or_of_other_input(tmp_path, name):
    target = tmp_path / name
    check_target(target, inputs_sha256="abc", overwrite=False)
    write(result(), target)
    check_target(target, inputs_sha256="abc", overwrite=False)
    with pytest.raises(ResultError, match=r"found a result made from other input.*Give --overwrite"):
        check_target(target, inputs_sha256="xyz", overwrite=False)
    check_target(target, inputs_sha256="xyz", overwrite=True)


# ---- damage


def refusal(path: Path) -> str:
    """Return what opening says of a file that is no whole result."""
    with pytest.raises(ResultError) as raised:
        open_results(path)
    text = str(raised.value)
    assert text.startswith(f"result '{path}': found ")
    assert ", expected " in text
    return text


def test_a_missing_result_is_guessed(tmp_path):
    write(result(), tmp_path / "celyvir.zarr")
    assert "found no such file" in refusal(tmp_path / "celivir.zarr")
    assert refusal(tmp_path / "celivir.zarr").endswith("Did you mean 'celyvir.zarr'?")
    assert "found no such file" in refusal(tmp_path / "no" / "folder.zarr")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path, share):
    write(result(), tmp_path / "a.nc")
    content = (tmp_path / "a.nc").read_bytes()
    (tmp_path / "a.nc").write_bytes(content[: int(share * len(content))])
    assert "found a file that cannot be read" in refusal(tmp_path / "a.nc")


@pytest.mark.parametrize("name", ["a.zarr", "a.nc", "a.txt"])
def test_a_file_or_folder_of_something_else(tmp_path, name):
    (tmp_path / name).write_text("hello")
    assert "found a file that cannot be read" in refusal(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert "found a folder that cannot be read" in refusal(tmp_path / name)


@ENDINGS
def test_a_dataset_of_another_program(tmp_path, name):
    other = xr.Dataset({"temperature": ("x", [1.0])})
    _ = other.to_zarr(tmp_path / name, consolidated=False) if "zarr" in name else other.to_netcdf(tmp_path / name)
    assert "found no group 'trajectories', expected a result of atmpsim" in refusal(tmp_path / name)


@pytest.mark.parametrize("group", ["trajectories", "status", "provenance"])
def test_a_lost_group(tmp_path, group):
    write(result(), tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr" / group)
    assert f"found no group '{group}'" in refusal(tmp_path / "a.zarr")


@pytest.mark.parametrize("lost", ["trajectories/cells", "status/status", "doses/amount", "summary/cells.auc"])
def test_lost_chunks_are_not_read_as_zeros(tmp_path, lost):
    write(result(), tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr" / lost / "c")
    assert "found values that do not match their checksum" in refusal(tmp_path / "a.zarr")


@pytest.mark.parametrize("lost", ["trajectories/cells", "status/seed", "doses", "summary"])
def test_lost_variables_and_groups(tmp_path, lost):
    write(result(), tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr" / lost)
    assert "found values that do not match their checksum" in refusal(tmp_path / "a.zarr")


def test_a_changed_attribute(tmp_path):
    write(result(), tmp_path / "a.zarr")
    file = tmp_path / "a.zarr" / "trajectories" / "cells" / "zarr.json"
    described = json.loads(file.read_text())
    described["attributes"]["units"] = "vp"
    file.write_text(json.dumps(described))
    assert "found values that do not match their checksum" in refusal(tmp_path / "a.zarr")


def test_a_changed_byte(tmp_path):
    write(result(), tmp_path / "a.zarr")
    chunk = next(p for p in (tmp_path / "a.zarr" / "trajectories" / "cells" / "c").rglob("*") if p.is_file())
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.write_bytes(bytes(content))
    assert "cannot be read" in (said := refusal(tmp_path / "a.zarr")) or "checksum" in said


# ---- grid


def test_runs_become_a_grid_whatever_their_order():
    for order in ([0, 1, 2, 3], [3, 0, 2, 1]):
        tree = on_grid(result(rows=[ROWS[k] for k in order], cells=CELLS[order]))
        curves = tree["trajectories"].to_dataset()
        assert curves["cells"].dims == ("arm", "subject", "replicate", "time")
        for (arm, subject), row in zip(ROWS, CELLS, strict=True):
            np.testing.assert_array_equal(curves["cells"].sel(arm=arm, subject=subject, replicate=0), row)
        assert curves["cells"].attrs["units"] == "cell"
        assert tree["status"]["status"].sel(arm="high", subject="ann").values.tolist() == [2]
        assert tree["doses"].sizes == {"dose": 2}


@pytest.mark.parametrize("rows", [ROWS[:3], [*ROWS[:3], ROWS[0]]], ids=["a hole", "twice the same"])
def test_what_is_no_full_grid_stays_a_list_of_runs(rows):
    tree = on_grid(result(rows=rows, cells=CELLS[: len(rows)]))
    assert tree["trajectories"]["cells"].dims == ("run", "time")
    assert list(zip(tree["summary"]["arm"].values, tree["summary"]["subject"].values, strict=True)) == rows
