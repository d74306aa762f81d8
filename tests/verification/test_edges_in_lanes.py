"""Events and jumps at a state's value in the batch solver: closed forms, LSODA, and bits that nothing else decides."""

from __future__ import annotations

import numpy as np
import pytest

from atmpsim.compile import batch
from atmpsim.engines.ensemble import Ensemble, gather
from atmpsim.engines.program import Program, Way
from atmpsim.engines.solve import Solution, solve
from atmpsim.engines.start import initial_leaves
from atmpsim.engines.trajectory import Status, Tolerances
from atmpsim.model.antimony import read_antimony
from atmpsim.model.equations import write_equations
from atmpsim.scenario.dosing import Dose, expand

TIMES = np.linspace(0.0, 12.0, 49)
RATES = np.random.default_rng(7).uniform(0.4, 1.6, 19)
JUMP = "species x, y; y' = -0.2*x*y; y = 1; x' = -k*piecewise(1, x >= 0.5, 0.25)*x; x = 1; k = 1;"
ROUNDED = "species x, y; x' = k; y' = -0.1*floor(x)*y; x = 0; y = 1; k = 1;"
REDOSE = "species x, y; y' = -0.1*y; y = 1; n = 0; x' = -k*x; x = 1; k = 1; at x < 0.3: x = x + 1, n = n + 1;"
LATE = """
    species x, y; n = 0; y' = -0.1*y; y = 1; x' = -k*x; x = 1; k = 1;
    at 0.5 after x < 0.3, persistent = true: x = x + 1, n = n + 1;
"""
ORDERED = """
    species x, y; n = 1; x' = -k*x; x = 1; y' = x - 0.1*y; y = 0; k = 1;
    at x < 0.3, priority = 1: x = x + n; at x < 0.3, priority = 2: n = n + 1; at y > 2: y = 0, k = 0.9*k;
"""
MODELS = {"jump": JUMP, "floor": ROUNDED, "event": REDOSE, "delayed": LATE, "ordered": ORDERED}


def prepared(body: str) -> Program:
    """Return a program of its own: widths differ between tests."""
    return Program(write_equations(read_antimony(f"model m\n{body}\nend", where="test")), frozenset())


def patients(program: Program, rates: np.ndarray = RATES) -> Ensemble:
    """Return one trajectory a rate, all with an infusion."""
    leaves = initial_leaves(program.equations, {"k": rates}, start=0.0, where="test")
    schedule = expand([Dose(into="y", amount=0.7, time=3.3, duration=1.1)], start=0.0, end=12.0, where="test")
    return gather(program.equations, leaves, count=len(rates), schedules=[schedule])


def run(
    program: Program, ensemble: Ensemble, *, rtol: float = 1e-9, method: str = "rosenbrock", threads: int = 1,
    steps: int = 5000,
) -> Solution:  # fmt: skip
    limits = Tolerances(rtol=rtol, atol=np.full(len(program.equations.states), 1e-4 * rtol), max_steps=steps)
    return solve(program, ensemble, times=TIMES, tolerances=limits, method=method, threads=threads, sample="before")


def assert_same(found: Solution, wanted: Solution) -> None:
    assert (found.states == wanted.states).all()
    assert (found.constants == wanted.constants).all()
    assert (found.steps == wanted.steps).all()


@pytest.mark.parametrize(("name", "way"), [("jump", Way.LANES), ("floor", Way.LANES), ("event", Way.STRETCHES)])
def test_how_models_run(name: str, way: Way) -> None:
    assert prepared(MODELS[name]).way is way


@pytest.mark.parametrize("name", MODELS)
def test_as_by_lsoda_and_none_fell_back(name: str) -> None:
    program = prepared(MODELS[name])
    ensemble = patients(program)
    found = run(program, ensemble)
    assert found.retries == found.fallbacks == ()
    assert not found.failures
    few = range(4)
    wanted = run(program, ensemble.take(few), rtol=1e-11, method="lsoda")
    np.testing.assert_allclose(found.states[few], wanted.states, rtol=2e-7, atol=1e-9)
    np.testing.assert_allclose(found.constants[few], wanted.constants, rtol=1e-12)


def test_a_jump_is_where_the_closed_form_says() -> None:
    program = prepared(JUMP)
    leaves = initial_leaves(program.equations, {"k": RATES}, start=0.0, where="test")
    schedule = expand([], start=0.0, end=12.0, where="test")
    found = run(program, gather(program.equations, leaves, count=len(RATES), schedules=[schedule]), rtol=1e-10)
    after = np.maximum(TIMES - np.log(2.0) / RATES[:, None], 0.0)
    before = np.minimum(TIMES, np.log(2.0) / RATES[:, None])
    exact = np.exp(-RATES[:, None] * (before + 0.25 * after))
    np.testing.assert_allclose(found.states[:, :, 0], exact, rtol=3e-9)


def test_repeated_events_come_when_the_closed_form_says() -> None:
    program = prepared(REDOSE)
    leaves = initial_leaves(program.equations, {"k": RATES}, start=0.0, where="test")
    schedule = expand([], start=0.0, end=12.0, where="test")
    found = run(program, gather(program.equations, leaves, count=len(RATES), schedules=[schedule]), rtol=1e-10)
    first, period = np.log(1 / 0.3) / RATES, np.log(1.3 / 0.3) / RATES
    count = np.floor(np.maximum((12.0 - first) / period + 1.0, 0.0))
    since = np.where(count > 0, 12.0 - first - (count - 1) * period, 12.0)
    exact = np.where(count > 0, 1.3, 1.0) * np.exp(-RATES * since)
    np.testing.assert_allclose(found.states[:, -1, 0], exact, rtol=1e-8)
    place = program.equations.constants.index("n")
    assert (found.constants[:, -1, place] == count).all()


@pytest.mark.parametrize("name", ["jump", "event", "ordered"])
@pytest.mark.parametrize("width", [2, 4, 16])
def test_bits_do_not_depend_on_width_order_or_threads(name: str, width: int, monkeypatch) -> None:
    program = prepared(MODELS[name])
    ensemble = patients(program)
    wanted = run(program, ensemble, rtol=1e-6)
    monkeypatch.setattr(batch, "vector_width", lambda states: width)
    other = prepared(MODELS[name])
    assert other.batch.width == width
    assert_same(run(other, ensemble, rtol=1e-6, threads=2), wanted)
    order = np.random.default_rng(1).permutation(len(RATES))
    shuffled = run(other, ensemble.take(order), rtol=1e-6)
    assert (shuffled.states == wanted.states[order]).all()


def test_what_slides_along_an_edge_is_a_failure_with_a_name() -> None:
    program = prepared("species x, y; y' = -y; y = 1; x' = piecewise(-k, x > 0.3, k); x = 1; k = 1;")
    ensemble = patients(program, RATES[:2])
    found = run(program, ensemble, rtol=1e-8, steps=300)
    assert found.fallbacks == (0, 1)
    assert {f.status for f in found.failures.values()} <= {Status.STEP_LIMIT, Status.STEP_UNDERFLOW}
    assert np.isnan(found.states[:, -1]).all()
