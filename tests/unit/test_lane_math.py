"""The vector exp, ln and pow against extended precision, and their special values."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from atmpsim.compile.lane_math import Lanes, library
from atmpsim.compile.llvm import compile_object, load_object

WIDTH = 4


@pytest.fixture(scope="module")
def functions() -> dict[str, Callable[..., np.ndarray]]:
    lanes = Lanes(WIDTH)
    text = library(lanes)
    for name, count in (("exp", 1), ("ln", 1), ("pow", 2)):
        second = f", {lanes.double} %b" if count == 2 else ""
        text += (
            f"\ndefine void @test_{name}(ptr %x, ptr %y, ptr %out) {{\n"
            f"  %a = load {lanes.double}, ptr %x, align 8\n  %b = load {lanes.double}, ptr %y, align 8\n"
            f"  %r = call {lanes.double} @lane_{name}({lanes.double} %a{second})\n"
            f"  store {lanes.double} %r, ptr %out, align 8\n  ret void\n}}"
        )
    engine = load_object(compile_object(text + "\nattributes #0 = { nounwind }"))

    def vectorised(name: str) -> Callable[..., np.ndarray]:
        call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(engine.get_function_address(f"test_{name}"))

        def run(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
            x = np.ascontiguousarray(x, dtype=float)
            y = np.zeros_like(x) if y is None else np.ascontiguousarray(y, dtype=float)
            out = np.empty_like(x)
            for k in range(0, x.size, WIDTH):
                call(*(a.ctypes.data + 8 * k for a in (x, y, out)))
            return out

        run.engine = engine  # type: ignore[attr-defined]
        return run

    return {name: vectorised(name) for name in ("exp", "ln", "pow")}


def units_in_last_place(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.max(np.abs(found - exact) / np.spacing(np.abs(exact.astype(np.float64)))))


RNG = np.random.default_rng(3)
LONG = np.longdouble
needs_extended = pytest.mark.skipif(np.finfo(LONG).eps >= np.finfo(float).eps, reason="no extended precision here")


@needs_extended
@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-700.0, 700.0)])
def test_exp_is_within_one_ulp(functions, low: float, high: float) -> None:
    x = RNG.uniform(low, high, 40_000)
    assert units_in_last_place(functions["exp"](x), np.exp(x.astype(LONG))) < 1.0


@needs_extended
@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.3), (-300.0, 300.0)])
def test_ln_is_within_one_ulp(functions, low: float, high: float) -> None:
    x = 10.0 ** RNG.uniform(low, high, 40_000)
    assert units_in_last_place(functions["ln"](x), np.log(x.astype(LONG))) < 1.0


@needs_extended
def test_pow_errs_by_the_size_of_its_exponent(functions) -> None:
    x, y = 10.0 ** RNG.uniform(-5, 5, 40_000), RNG.uniform(-4, 4, 40_000)
    exact = np.power(x.astype(LONG), y)
    allowed = 2.0 + 2.0 * np.abs(y * np.log(x))
    error = np.abs(functions["pow"](x, y) - exact) / np.spacing(exact.astype(float))
    assert (error < allowed).all()


def test_special_values(functions) -> None:
    x = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, -745.0, -746.0, 709.7, 710.0])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(functions["exp"](x), np.exp(x), rtol=1e-15)
        np.testing.assert_allclose(functions["ln"](x), np.log(x), rtol=1e-15)
        base = np.array([0.0, 0.0, 0.0, -2.0, -2.0, -2.0, 2.0, 0.0])
        exponent = np.array([0.0, 2.0, -1.0, 2.0, 3.0, 0.5, 0.0, 0.5])
        np.testing.assert_allclose(functions["pow"](base, exponent), np.power(base, exponent), rtol=1e-14)
