"""The driver's machine code stands on its own, and reads its arguments in the order in which they are laid out."""

from __future__ import annotations

import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest

from atmpsim.compile import driver
from atmpsim.kernels.arguments import flatten

SCRIPT = """
import sys
from atmpsim import simulate
print(float(simulate("celyvir", times=[1.0])["tumour_volume"][0]) > 0, "numba" in sys.modules)
"""


def test_code_needs_nothing_of_the_compiler() -> None:
    module = llvm.parse_assembly(driver._text())
    native = module.get_function("advance_trajectories")
    assert not native.is_declaration
    compiled = driver.compile_object(str(module), level=2)
    for foreign in (b"PyErr", b"PyTuple", b"NRT_", b"numba_gil"):
        assert foreign not in compiled


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
