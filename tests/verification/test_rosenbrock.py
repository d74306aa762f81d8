"""The batch solver: order, stiff classics, exact linear solutions, and independence of width, order and threads."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from scipy.linalg import expm

from atmpsim.compile.batch import Batch, compile_batch
from atmpsim.engines.batch import integrate_batch
from atmpsim.engines.ensemble import gather
from atmpsim.engines.program import prepare
from atmpsim.engines.solve import solve
from atmpsim.engines.start import initial_leaves
from atmpsim.engines.trajectory import Tolerances
from atmpsim.kernels import rodas5p
from atmpsim.model.antimony import read_antimony
from atmpsim.scenario.dosing import Dose, expand
from atmpsim.study.simulate import simulate

ROBERTSON = """
  A' = -0.04*A + 1e4*B*C; B' = 0.04*A - 1e4*B*C - 3e7*B^2; C' = 3e7*B^2;
  A = 1; B = 0; C = 0;
"""
VAN_DER_POL = "x' = v; v' = 1e3*((1 - x^2)*v) - x; x = 2; v = 0;"
OREGONATOR = """
  a' = 77.27*(b + a*(1 - 8.375e-6*a - b)); b' = (c - (1 + a)*b)/77.27; c' = 0.161*(a - c);
  a = 1; b = 2; c = 3;
"""
HIRES = """
  y1' = -1.71*y1 + 0.43*y2 + 8.32*y3 + 0.0007; y2' = 1.71*y1 - 8.75*y2; y3' = -10.03*y3 + 0.43*y4 + 0.035*y5;
  y4' = 8.32*y2 + 1.71*y3 - 1.12*y4; y5' = -1.745*y5 + 0.43*y6 + 0.43*y7;
  y6' = -280*y6*y8 + 0.69*y4 + 1.71*y5 - 0.43*y6 + 0.69*y7; y7' = 280*y6*y8 - 1.81*y7; y8' = -280*y6*y8 + 1.81*y7;
  y1 = 1; y2 = 0; y3 = 0; y4 = 0; y5 = 0; y6 = 0; y7 = 0; y8 = 0.0057;
"""
# oscillates, depends on time explicitly, and uses the vector exp and pow
FORCED = "x' = -x*y^1.5 + exp(-0.3*time) + 0.2*sin(2*time); y' = x - 0.5*y + 0.1*time; x = 1; y = 0.7; k = 1;"
AUTONOMOUS = "x' = -x*y^1.5 + 0.3; y' = x - 0.5*y; x = 1; y = 0.7;"


def model(body: str, name: str = "m"):
    return read_antimony(f"model {name}\n{body}\nend", where="test")


def attempt_once(batch: Batch, state: np.ndarray, constants: np.ndarray, time: float, step: float) -> np.ndarray:
    """Return the trial state of one attempt in every lane, through ctypes instead of the compiled driver."""
    memory = np.zeros(batch.layout.rows * batch.width + 8)
    offset = (-memory.ctypes.data) % 64 // 8
    rows = memory[offset : offset + batch.layout.rows * batch.width].reshape(-1, batch.width)
    layout = batch.layout
    rows[layout.time], rows[layout.step], rows[layout.rtol] = time, step, 1.0
    rows[layout.stop], rows[layout.sample_at], rows[layout.limit] = np.inf, np.inf, np.inf
    rows[layout.atol : layout.hoisted] = 1.0
    rows[layout.state : layout.state + state.size] = state[:, None]
    rows[layout.constants : layout.constants + constants.size] = constants[:, None]
    for address in (batch.code.first_slope, batch.code.attempt):
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(rows.ctypes.data)
    trial = rows[layout.trial : layout.trial + state.size]
    assert (trial == trial[:, :1]).all()
    return trial[:, 0].copy()


@pytest.mark.parametrize("body", [AUTONOMOUS, FORCED], ids=["autonomous", "explicit time"])
def test_order_is_five(body: str) -> None:
    program = prepare(model(body))
    leaves = initial_leaves(program.equations, {}, start=0.0, where="test")
    start = np.array([float(leaves[s]) for s in program.equations.states])
    constants = np.array([float(leaves[c]) for c in program.equations.constants])
    exact = simulate(model(body), times=[1.0], rtol=1e-13, atol=1e-15, solver="lsoda", select=["x", "y"])
    wanted = np.array([float(exact["x"][0]), float(exact["y"][0])])
    errors = []
    counts = np.array([4, 8, 16])
    for count in counts:
        state, step = start.copy(), 1.0 / count
        for k in range(count):
            state = attempt_once(program.batch, state, constants, k * step, step)
        errors.append(np.abs(state - wanted).max())
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert 4.6 < slope < 5.6, errors


def test_coefficients_are_consistent() -> None:
    lower = np.zeros((rodas5p.STAGES, rodas5p.STAGES))
    arguments = np.zeros_like(lower)
    for i in range(rodas5p.STAGES):
        lower[i, :i], arguments[i, :i] = rodas5p.C[i], rodas5p.A[i]
    gamma = np.linalg.inv(np.eye(rodas5p.STAGES) / rodas5p.GAMMA - lower)
    np.testing.assert_allclose((arguments @ gamma).sum(axis=1), rodas5p.NODES, atol=2e-14)
    assert rodas5p.time_weights()[0] == pytest.approx(rodas5p.GAMMA)
    np.testing.assert_allclose(rodas5p.time_weights()[5:], 0.0, atol=2e-14)


CLASSICS = {
    "Robertson": (ROBERTSON, [0.4, 4.0, 400.0, 4e4, 4e7], 1e-12),
    "van der Pol": (VAN_DER_POL, [0.5, 1.0, 2.0], 1e-10),
    "Oregonator": (OREGONATOR, [30.0, 120.0, 360.0], 1e-10),
    "HIRES": (HIRES, [5.0, 100.0, 321.8122], 1e-12),
}


@pytest.mark.parametrize("name", CLASSICS)
@pytest.mark.parametrize("rtol", [1e-4, 1e-7])
def test_stiff_classics(name: str, rtol: float) -> None:
    body, times, smallest = CLASSICS[name]
    found = simulate(model(body), times=times, rtol=rtol, atol=smallest * 1e2)
    exact = simulate(model(body), times=times, rtol=1e-12, atol=smallest * 1e-3, solver="lsoda")
    assert int(found["status"]) == 0
    for variable in (v for v in found if v not in ("status", "message")):
        peak = float(np.abs(exact[variable]).max())
        assert float(np.abs(found[variable] - exact[variable]).max()) < 100 * rtol * peak, variable


def test_linear_chain_against_the_matrix_exponential() -> None:
    rates = np.array([3.0, 0.5, 40.0, 0.02])
    body = "".join(f"s{k}' = {'' if k == 0 else f'{rates[k - 1]}*s{k - 1}'} - {rates[k]}*s{k};" for k in range(4))
    found = simulate(model(body + "s0 = 5; s1 = 0; s2 = 1; s3 = 0;"), times=[0.1, 1.0, 20.0], rtol=1e-10)
    matrix = np.diag(-rates) + np.diag(rates[:-1], -1)
    for k, time in enumerate((0.1, 1.0, 20.0)):
        exact = expm(matrix * time) @ [5.0, 0.0, 1.0, 0.0]
        np.testing.assert_allclose([float(found[f"s{j}"][k]) for j in range(4)], exact, rtol=2e-8, atol=1e-10)


def test_moieties_of_random_mass_action_networks_are_conserved() -> None:
    rng = np.random.default_rng(11)
    for _ in range(5):
        size = int(rng.integers(3, 9))
        pairs = [(int(a), int(b)) for a, b in rng.integers(0, size, (3 * size, 2)) if a != b]
        arrows = "".join(f"R{i}: s{a} => s{b}; {10 ** rng.uniform(-2, 3)}*s{a};" for i, (a, b) in enumerate(pairs))
        starts = "".join(f"s{k} = {rng.uniform(0, 10)};" for k in range(size))
        species = f"species {', '.join(f's{k}' for k in range(size))};"
        found = simulate(model(species + arrows + starts), times=np.linspace(0, 50, 11), rtol=1e-6)
        total = sum(found[f"s{k}"] for k in range(size))
        np.testing.assert_allclose(total, float(total[0]), rtol=1e-11)


def batch_of(
    width: int, *, order: slice = slice(None), threads: int = 1, samples: int = 17, infused: int = 1
) -> np.ndarray:
    """Return states at some times of 300 trajectories, of which the first and then every n-th is infused."""
    forced = model(FORCED.replace("-0.5", "-k*0.5") + "z' = piecewise(1, time > 3.3, 0) - z; z = 0;")
    program = prepare(forced)
    rng = np.random.default_rng(5)
    drawn = rng.uniform(0.5, 2.0, (300, 2))[order]
    leaves = {**initial_leaves(program.equations, {}, start=0.0, where="t"), "x": drawn[:, 0], "k": drawn[:, 1]}
    doses = [Dose(into="x", amount=1.0, time=1.0, every=2.0, count=3)]
    dry = expand(doses, start=0.0, end=8.0, where="t")
    wet = expand([*doses, Dose(into="y", amount=2.0, time=0.5, duration=1.5)], start=0.0, end=8.0, where="t")
    schedules = [dry if k % infused else wet for k in range(300)][order]
    states, status, _ = integrate_batch(
        program.equations, compile_batch(program.equations, width=width),
        ensemble=gather(program.equations, leaves, count=300, schedules=schedules), times=np.linspace(0, 8, samples),
        kept=np.arange(3), tolerances=Tolerances(rtol=1e-5, atol=np.full(3, 1e-9)), threads=threads,
    )  # fmt: skip
    assert not status.any()
    return states[order]


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16])
def test_bits_do_not_depend_on_width_order_or_threads(width: int) -> None:
    reference = batch_of(4)
    assert (batch_of(width, order=slice(None, None, -1), threads=2) == reference).all()


@pytest.mark.parametrize("width", [1, 4, 16])
def test_bits_do_not_depend_on_how_many_samples_there_are(width: int) -> None:
    # few times go by a call for every lane, many by calls for one lane
    np.testing.assert_array_equal(batch_of(width, samples=16 * 128 + 1)[:, ::128], batch_of(width))


def test_bits_do_not_depend_on_infusions_into_other_lanes() -> None:
    all_wet, some, first = batch_of(8), batch_of(8, infused=3), batch_of(8, infused=300)
    np.testing.assert_array_equal(some[::3], all_wet[::3])
    dry = np.arange(300) % 3 > 0
    np.testing.assert_array_equal(some[dry], first[dry])
    assert (some[1, -1] != all_wet[1, -1]).any()


def test_doses_and_switches_as_by_lsoda() -> None:
    found = batch_of(4)[0]
    forced = model(FORCED.replace("-0.5", "-k*0.5") + "z' = piecewise(1, time > 3.3, 0) - z; z = 0;")
    x, k = np.random.default_rng(5).uniform(0.5, 2.0, (300, 2))[0]
    exact = simulate(
        forced, times=np.linspace(0, 8, 17), parameters={"k": k}, initial={"x": x}, rtol=1e-11, solver="lsoda",
        doses=[Dose(into="x", amount=1.0, time=1.0, every=2.0, count=3),
               Dose(into="y", amount=2.0, time=0.5, duration=1.5)],
        select=["x", "y", "z"],
    )  # fmt: skip
    np.testing.assert_allclose(found, np.stack([exact[v] for v in ("x", "y", "z")], axis=1), rtol=2e-4, atol=1e-6)


def test_what_fails_is_run_again_by_lsoda_and_counted() -> None:
    program = prepare(model("x' = -1e5*(x - cos(time)); x = 3;"))
    leaves = initial_leaves(program.equations, {}, start=0.0, where="t")
    schedule = expand([], start=0.0, end=10.0, where="t")
    ensemble = gather(program.equations, leaves, count=1, schedules=[schedule])
    few = Tolerances(rtol=1e-9, atol=np.array([1e-12]), max_steps=3)
    solution = solve(program, ensemble, times=np.array([1.0]), tolerances=few)
    assert solution.retries == solution.fallbacks == (0,)
    assert solution.failures[0].time < 10.0  # LSODA has the same limit of steps


def test_what_fails_has_a_second_try_at_a_hundredth_of_the_tolerance(monkeypatch) -> None:
    program = prepare(model("x' = -k*x; x = 1; k = 1;"))
    leaves = initial_leaves(program.equations, {"k": np.array([1.0, 2.0, 3.0])}, start=0.0, where="t")
    schedule = expand([], start=0.0, end=1.0, where="t")
    ensemble = gather(program.equations, leaves, count=3, schedules=[schedule])
    tried = []

    def failing_at_first(equations, batch, *, ensemble, tolerances, **more):
        samples, status, counts = integrate_batch(equations, batch, ensemble=ensemble, tolerances=tolerances, **more)
        tried.append((ensemble.constants[:, 0].tolist(), tolerances.rtol, tolerances.atol[0]))
        if len(tried) == 1:
            samples[1], status[1] = np.nan, 3
        return samples, status, counts

    monkeypatch.setattr("atmpsim.engines.batch.integrate_batch", failing_at_first)
    limits = Tolerances(rtol=1e-4, atol=np.array([1e-8]))
    solution = solve(program, ensemble, times=np.array([1.0]), tolerances=limits)
    assert [constants for constants, _, _ in tried] == [[1.0, 2.0, 3.0], [2.0]]
    np.testing.assert_allclose([limit for _, *limit in tried], [[1e-4, 1e-8], [1e-6, 1e-10]], rtol=1e-12)
    assert solution.retries == (1,)
    assert solution.fallbacks == ()
    np.testing.assert_allclose(solution.states[:, 0, 0], np.exp([-1.0, -2.0, -3.0]), rtol=1e-4)


def test_no_lane_computes_with_subnormal_numbers() -> None:
    # what decays from 1e-300 would come to 4e-313; the other state keeps the steps short
    fading = model("x' = -x; y' = -y*cos(time); x = 1e-300; y = 1;")
    found = simulate(fading, times=np.linspace(0, 30, 61), rtol=1e-6, atol=1e-12)["x"].values
    assert not ((found != 0) & (np.abs(found) < np.finfo(float).tiny)).any()
    assert (np.abs(found) < 2e-300).all()
    assert np.float64(5e-324) * np.float64(1.0) != 0  # this thread goes on as it was


def test_huge_states_are_as_exact_as_others() -> None:
    # four of them are more than a double holds when multiplied
    def states(size: float) -> np.ndarray:
        body = "".join(f"s{k}' = -3*s{k} + {size:g}*sin(5*time); s{k} = {size:g};" for k in range(4))
        found = simulate(model(body), times=np.linspace(0, 2, 21)[::4], rtol=1e-6, atol=1e-10 * size)
        return np.stack([found[f"s{k}"] for k in range(4)]) / size

    np.testing.assert_allclose(states(1e100), states(1.0), rtol=1e-4)


def test_explosion_is_a_failure_with_a_name() -> None:
    with pytest.warns(RuntimeWarning, match="state 'x'"):
        found = simulate(model("x' = x^2; x = 1;"), times=[0.5, 2.0])
    assert int(found["status"]) != 0
    assert np.isnan(found["x"][1])
