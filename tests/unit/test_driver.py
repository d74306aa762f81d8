"""The driver's machine code stands on its own, and reads its arguments in the order in which they are laid out."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
import xarray as xr

from atmpsim import simulate
from atmpsim.compile import driver
from atmpsim.kernels.arguments import flatten

SCRIPT = """
import sys
from atmpsim import simulate
print(float(simulate("celyvir", times=[1.0])["tumour_volume"][0]) > 0, "numba" in sys.modules)
"""


def test_code_needs_nothing_of_the_compiler() -> None:
    text = driver._shipped() or driver._text()
    native = llvm.parse_assembly(text).get_function("advance_trajectories")
    assert not native.is_declaration
    compiled = driver.compile_object(text)
    for foreign in (b"PyErr", b"PyTuple", b"NRT_", b"numba_gil"):
        assert foreign not in compiled


@pytest.mark.skipif(not driver._place().exists(), reason="no code comes with the package for this platform")
def test_shipped_code_is_of_these_kernels_and_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert driver._shipped(), "run `python -m atmpsim.compile.driver` and commit what it writes"
    found = []
    for text in (driver._shipped, driver._text):
        monkeypatch.setattr(driver, "_shipped", text)
        monkeypatch.setattr(driver.cache, "load", lambda *_: None)
        monkeypatch.setattr(driver.cache, "store", lambda *_: None)
        driver.load_driver.cache_clear()
        found.append(simulate("celyvir", times=np.linspace(0, 60, 61)))
    driver.load_driver.cache_clear()
    xr.testing.assert_identical(*found)


@pytest.mark.parametrize("content", [b"", b"no archive", lzma.compress(b"; another stamp\n"), lzma.compress(b"; x\n?")])
def test_damaged_or_other_code_is_not_used(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").write_bytes(content)
    monkeypatch.setattr(driver, "_place", lambda: tmp_path / "code")
    assert driver._shipped() is None


def test_warm_process_does_not_load_the_compiler() -> None:
    run = [sys.executable, "-c", SCRIPT]
    subprocess.run(run, check=True)
    again = subprocess.run(run, check=True, capture_output=True, text=True)
    assert again.stdout.split() == ["True", "False"]


def test_arguments_are_laid_out_in_order() -> None:
    table = np.zeros((2, 3))
    found = flatten((4, (1.5, True)), table)
    assert found.tolist() == [4, int(np.float64(1.5).view(np.int64)), 1, table.ctypes.data, 2, 3]


@pytest.mark.parametrize("array", [np.zeros((4, 4))[:, ::2], np.zeros(3, dtype=np.float32)])
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        flatten(array)
