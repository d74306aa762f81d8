"""No rounding and no order of sums is left to the compiler: its choice depends on what it compiled before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import atmpsim
from atmpsim.kernels.agents.gradients import apply_deep, apply_flat, product
from atmpsim.kernels.compiling import njit

SOURCES = sorted(p for part in ("kernels", "compile") for p in (Path(atmpsim.__file__).parent / part).rglob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_no_flags_for_fast_arithmetic(source):
    text = source.read_text()
    assert "fastmath" not in text
    assert "flags=" not in text


def _halves(values):
    while values.size > 1:
        values = values[: values.size // 2] + values[values.size // 2 :]
    return values[0]


def test_a_sum_is_of_columns_then_of_halves():
    @njit
    def call(x, y):
        return product(x.ctypes.data, y.ctypes.data, x.size // 8)

    x = np.exp(np.random.default_rng(1).normal(size=24, scale=20))
    assert call(x, np.ones(24)) == _halves(x[:8] + x[8:16] + x[16:])


@pytest.mark.parametrize("deep", [True, False])
def test_the_operator_on_a_row(deep):
    @njit
    def call_flat(a, out, d, low, high, cx, cy):
        return apply_flat(a.ctypes.data, out.ctypes.data, d.ctypes.data, a.size // 8, low.ctypes.data, high.ctypes.data,
                          cx, cy)  # fmt: skip

    @njit
    def call_deep(a, out, d, low, high, front, back, cx, cy, cz):
        return apply_deep(a.ctypes.data, out.ctypes.data, d.ctypes.data, a.size // 8, low.ctypes.data, high.ctypes.data,
                          front.ctypes.data, back.ctypes.data, cx, cy, cz)  # fmt: skip

    a, d, low, high, front, back = np.random.default_rng(2).normal(size=(6, 24))
    out = np.empty(24)
    beside = np.r_[0.0, a[:-1]] + np.r_[a[1:], 0.0]
    wanted = d * a - 0.3 * beside - 0.4 * (low + high)
    if deep:
        wanted -= 0.5 * (front + back)
        found = call_deep(a, out, d, low, high, front, back, 0.3, 0.4, 0.5)
    else:
        found = call_flat(a, out, d, low, high, 0.3, 0.4)
    np.testing.assert_allclose(out, wanted, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(found, wanted @ a, rtol=1e-13)
