"""Short files whose function calls would grow without bounds are refused before libSBML writes them out."""

from __future__ import annotations

import time

import pytest

from atmpsim.errors import ModelError
from atmpsim.model.antimony import read_antimony
from atmpsim.model.equations import write_equations
from atmpsim.model.evaluate import evaluate


def read(functions: str, formula: str):
    return read_antimony(f"{functions}\nmodel m\n x = 1; k := {formula};\nend", where="m.ant")


def chain(count: int, body: str) -> str:
    lines = ["function f0(x)\n x + 1\nend"]
    lines += [f"function f{k}(x)\n {body.replace('F', f'f{k - 1}')}\nend" for k in range(1, count)]
    return "\n".join(lines)


BOMBS = {
    "each calls the one before twice": (chain(28, "F(x) + F(x)"), "f27(x)", "a formula of over a hundred thousand"),
    "argument doubled at every call": ("function d(x)\n x + x\nend", "d(" * 25 + "x" + ")" * 25, "m.ant rule for k"),
    "doubling in the argument": (chain(28, "F(x + x)"), "f27(x)", "a formula of over a hundred thousand"),
    "long chain": (chain(400, "F(x)"), "f399(x)", "a chain of over 30 functions"),
    "circle": ("function a(x)\n b(x)\nend\nfunction b(x)\n a(x)\nend", "a(x)", "call one another in a circle"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_bombs(case: str) -> None:
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        read(*BOMBS[case][:2])
    assert BOMBS[case][2] in str(caught.value)
    assert time.monotonic() - started < 20


def test_functions_within_bounds_are_written_out_right() -> None:
    equations = write_equations(read(chain(8, "2*F(x) - F(x)"), "f7(x*3)"))
    assert float(evaluate(equations.graph, [equations.values["k"]], {"x": 5.0})[0]) == 16.0
