"""Expressions that many equations share are unknowns of their own in the linear systems, and change no solution."""

from __future__ import annotations

import numpy as np
import pytest

from atmpsim.compile.hubs import find_hubs
from atmpsim.compile.lowering import lower
from atmpsim.engines.program import prepare
from atmpsim.model.antimony import read_antimony
from atmpsim.model.evaluate import evaluate
from atmpsim.model.graph import TIME, symbol_of
from atmpsim.study.simulate import simulate

SIZE = 9
# every cell type grows by the number of all cells, and dies by a drug that falls with that number
TISSUE = (
    "n := " + " + ".join(f"s{k}" for k in range(SIZE)) + ";"
    "drug := (" + " + ".join(f"{k + 1}*s{k}" for k in range(SIZE)) + ")*exp(-n/9)*(1 + 0.1*sin(time));"
    + "".join(f"s{k}' = s{k}*(1 - n/20) - 0.{k + 1}*s{k}*drug; s{k} = {1 + 0.3 * k};" for k in range(SIZE))
)  # fmt: skip


@pytest.fixture(scope="module")
def program():
    return prepare(read_antimony(f"model tissue\n{TISSUE}\nend", where="test"))


def test_shared_sums_are_found_and_chains_have_none(program):
    pieces, states = program.pieces, program.equations.states
    hubs = find_hubs(pieces.graph, pieces.derivatives, {symbol_of(s): k for k, s in enumerate(states)})
    assert len(hubs) == 2
    chain = "".join(f"s{k}' = {f's{k - 1}' if k else '1'} - s{k}; s{k} = 0;" for k in range(30))
    other = prepare(read_antimony(f"model chain\n{chain}\nend", where="test"))
    assert lower(other.pieces, other.equations.states).hubs == 0


def test_the_jacobian_without_the_hubs_is_that_of_the_equations(program):
    pieces, states = program.pieces, program.equations.states
    lowered, count = lower(pieces, states), len(states)
    rng = np.random.default_rng(3)
    values = {TIME: 0.7} | {s: float(rng.uniform(0.5, 2)) for s in lowered.graph.symbols(lowered.slopes) - {TIME}}
    whole = np.zeros((count + lowered.hubs,) * 2)
    for place, node in lowered.jacobian.items():
        whole[place] = evaluate(lowered.graph, [node], values)[0]
    a, b, c, d = whole[:count, :count], whole[:count, count:], whole[count:, :count], whole[count:, count:]
    found = a - b @ np.linalg.solve(d, c)
    for j, state in enumerate(states):
        step = 1e-6 * values[state]
        sides = [evaluate(lowered.graph, lowered.slopes, values | {state: values[state] + x}) for x in (step, -step)]
        difference = (np.array(sides[0], dtype=float) - np.array(sides[1], dtype=float)) / (2 * step)
        np.testing.assert_allclose(found[:, j], difference, rtol=1e-7, atol=1e-8)


def test_the_solution_is_lsodas(program):
    model, times = program.equations.model, np.linspace(0.0, 10.0, 11)
    found = simulate(model, times=times, rtol=1e-9, atol=1e-12)
    exact = simulate(model, times=times, rtol=1e-12, atol=1e-15, solver="lsoda")
    for name in program.equations.states:
        np.testing.assert_allclose(found[name], exact[name], rtol=2e-8, atol=1e-11)
