"""Results at addresses of other file systems: kept in memory here, `s3://` and its like elsewhere."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = "memory://bucket/tiny.zarr"


def test_a_result_at_an_address(folder, command):
    code, out, err = command("run", "tiny.toml", "-o", HERE, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["result"] == HERE
    assert Path("tiny.png").exists()  # a figure cannot be drawn there: it goes to the working folder
    assert "finished" in command("status", HERE).out
    assert command("doctor", HERE).code == 0
    assert command("summary", HERE).code == 0
    assert command("plot", HERE, "-o", "again.png").code == 0
    assert command("rerun", HERE, "--check").code == 0
    assert command("rerun", HERE, "-o", "memory://bucket/again.zarr").code == 0
    assert command("status", "memory://bucket/again.zarr").code == 0
    assert command("convert", HERE, "tiny.csv").code == 0
    assert command("run", "tiny.toml", "-o", HERE, "--resume", "--no-plot").code == 0


def test_a_file_address_is_a_path(folder, command):
    assert command("run", "tiny.toml", "-o", f"file://{Path('a.zarr').absolute()}", "--no-plot").code == 0
    assert Path("a.zarr").is_dir()


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="the library that is missing elsewhere is installed")
def test_an_address_whose_library_is_missing(command):
    assert "Install s3fs" in command("status", "s3://bucket/a.zarr").err


@pytest.mark.parametrize(("address", "words"), [("foo://b/a.zarr", "'foo://'"), ("memory://b/a.zarr", "no result")])
def test_addresses_that_lead_nowhere(folder, command, address, words):
    code, out, err = command("status", address)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
