"""The factorisation of a large model is cut into functions, and its numbers do not depend on where."""

from __future__ import annotations

import numpy as np
import pytest

from atmpsim.compile import lane_lu
from atmpsim.engines import program
from atmpsim.model.antimony import read_antimony
from atmpsim.study.simulate import simulate

SIZE = 24
TIMES = np.linspace(0.0, 5.0, 6)


def network() -> str:
    """Return states that bind their neighbours, two far ones, and what saturates: products and quotients are shared."""
    lines = [f"n{k} := s{k}*s{(k + 1) % SIZE}/(1 + s{k});" for k in range(SIZE)]
    lines += [
        f"s{k}' = 0.4*n{k - 1 if k else SIZE - 1} - n{k} + 0.1*s{(5 * k + 2) % SIZE} - 0.2*s{k}*s{(7 * k + 3) % SIZE};"
        f"s{k} = {0.5 + 0.1 * (k % 7)};" for k in range(SIZE)
    ]  # fmt: skip
    return "\n".join(["model network", *lines, "end"])


@pytest.fixture
def solved(monkeypatch, tmp_path):
    """Return a function that solves with so many multiply-adds in one function, compiled anew."""

    def solve(part: int) -> tuple[int, np.ndarray]:
        monkeypatch.setattr(lane_lu, "_PART", part)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(part)))
        program._prepare.cache_clear()
        parts = []
        whole = lane_lu.FactoriseWriter.functions
        monkeypatch.setattr(lane_lu.FactoriseWriter, "functions", lambda self: parts.append(self.parts) or whole(self))
        found = simulate(read_antimony(network(), where="test"), times=TIMES, rtol=1e-9, atol=1e-12)
        monkeypatch.setattr(lane_lu.FactoriseWriter, "functions", whole)
        return len(parts[0]), np.array([found[f"s{k}"].values for k in range(SIZE)])

    yield solve
    program._prepare.cache_clear()


def test_numbers_are_the_same_in_one_function_and_in_many(solved):
    (one, whole), (many, cut) = solved(10**9), solved(20)
    assert one == 1
    assert many > 5
    np.testing.assert_array_equal(cut, whole)


def test_numbers_are_lsodas(solved):
    exact = simulate(read_antimony(network(), where="test"), times=TIMES, rtol=1e-12, atol=1e-15, solver="lsoda")
    parts, found = solved(100)
    assert parts > 1
    np.testing.assert_allclose(found, [exact[f"s{k}"].values for k in range(SIZE)], rtol=1e-8)
