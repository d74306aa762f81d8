"""Virotherapy and tumour-immune models against equilibria, closed forms and reference integrations (T09-T12, C-6).

The reference numbers come from integrations of the published equations by another program at a relative tolerance of
1e-10; equilibria and growth curves have closed forms, which stand here. T14 and T16 (fronts of a lattice model, the
Celyvir automaton) and C-7 (stochastic simulation against system size) need engines that this version does not have:
they are listed as skipped below. C-5, C-8 and C-9 are checks of the agent engine, in `test_agents.py`,
`test_agent_limits.py` and `test_agent_fields.py`.
"""

from functools import cache

import numpy as np
import pytest
from scipy.optimize import brentq, fsolve, least_squares

from atmpsim.engines.program import prepare
from atmpsim.engines.start import initial_leaves
from atmpsim.model.antimony import read_antimony
from atmpsim.model.evaluate import evaluate
from atmpsim.model.graph import TIME, symbol_of
from atmpsim.model.library import load_model
from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

TIGHT = {"rtol": 1e-9, "atol": 1e-9}


@cache
def slopes(name, settings=()):
    """Return the right-hand side of a model as a function of its states, with other parameters if wanted."""
    equations = prepare(load_model(name)).equations
    leaves = initial_leaves(equations, {}, start=0.0, where="here") | dict(settings)
    constants = {symbol_of(c): np.float64(leaves[c]) for c in equations.constants}

    def right_hand_side(y):
        known = {symbol_of(s): y[k] for k, s in enumerate(equations.states)} | constants | {TIME: 0.0}
        return np.array([float(v) for v in evaluate(equations.graph, equations.derivatives, known)])

    return right_hand_side, equations.states


def eigenvalues(f, y):
    """Return the eigenvalues of the Jacobian, by central differences of a step relative to each state."""
    steps = 1e-6 * np.abs(y)
    columns = [(f(y + d) - f(y - d)) / (2 * d[k]) for k, d in enumerate(np.diag(steps))]
    return np.linalg.eigvals(np.array(columns).T)


# ---- T09: Wodarz 2001


@pytest.mark.parametrize(
    ("parameters", "r0", "equilibrium", "eigenvalue"),
    [
        ({"growth_rate": 0.5, "carrying_capacity": 10.0, "death_rate": 0.1, "infection_rate": 0.1, "cytotoxicity": 0.2},
         4.0, (2.0, 2.0), -0.05 + 0.2397916j),
        ({"cytotoxicity": 0.1}, 68.0, (0.2, 0.744444), -0.002941 + 0.198502j),
        ({"cytotoxicity": 0.2}, 34.0, (0.4, 0.733333), -0.005882 + 0.278590j),
    ],
    ids=["t09", "a-0.1", "a-0.2"],
)  # fmt: skip
def test_t09_prediction_wodarz_equilibrium_and_eigenvalues(parameters, r0, equilibrium, eigenvalue, tell):
    f, states = slopes("wodarz2001", tuple(parameters.items()))
    assert states[:2] == ("tumour_uninfected", "tumour_infected")
    root = least_squares(lambda y: f(np.append(y, 0.0))[:2] / y, [1.0, 1.0], xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    pair = eigenvalues(lambda y: f(np.append(y, 0.0))[:2], root)
    upper = pair[pair.imag > 0][0]
    tell("T09 equilibrium", root, equilibrium, 1e-6)
    tell("T09 eigenvalue, real and imaginary", (upper.real, upper.imag), (eigenvalue.real, eigenvalue.imag), 1e-6)
    np.testing.assert_allclose(root, equilibrium, atol=1e-6)
    np.testing.assert_allclose(pair[pair.imag > 0], eigenvalue, atol=1e-6)
    made = simulate("wodarz2001", times=[0.0], parameters=parameters, select=["reproduction_number"])
    assert float(made["reproduction_number"][0]) == pytest.approx(r0)


def test_wodarz_trajectory_with_its_deep_trough(tell):
    times = np.concatenate([np.arange(16, 21, 0.001), [50.0]])
    made = simulate("wodarz2001", times=times, rtol=1e-10, atol=1e-18)
    x, y = made["tumour_uninfected"].values, made["tumour_infected"].values
    tell(
        "Wodarz peaks", (x.max(), times[x.argmax()], y.max(), times[y.argmax()]), (5.66194, 17.57, 6.33243, 19.55), 1e-5
    )
    assert (x.max(), y.max()) == (pytest.approx(5.66194, rel=5e-6), pytest.approx(6.33243, rel=5e-6))
    assert (times[x.argmax()], times[y.argmax()]) == (pytest.approx(17.57, abs=0.011), pytest.approx(19.55, abs=0.011))
    assert x[-1] == pytest.approx(1.795e-10, rel=1e-3)


def test_wodarz_tumour_load_rises_with_cytotoxicity_where_infected_cells_do_not_divide():
    """x* + y* = a/b + (r*(1 - a/(b*k)) - d)/(b + r/k) has a slope above 0 everywhere: no optimum without s > 0."""
    kill = np.array([0.5, 1.0, 2.0, 3.0, 6.0])
    made = simulate("wodarz2001", times=[4000.0], parameters={"cytotoxicity": kill}, select=["tumour_load"],
                    initial={"tumour_uninfected": 1.0, "tumour_infected": 1.0})["tumour_load"].values[:, 0]  # fmt: skip
    closed = kill / 0.5 + (0.5 * (1 - kill / 0.5 / 17) - 0.1) / (0.5 + 0.5 / 17)
    np.testing.assert_allclose(made, closed, rtol=1e-5)
    assert (np.diff(made) > 0).all()


# ---- C-6: Bajzer 2008 and its generalised logistic growth


def test_c6_bajzer_generalised_logistic_closed_form(tell):
    times = np.array([18.0, 21.0, 26.0, 29.0, 33.0, 36.0]) - 14.0
    made = simulate("bajzer2008", times=times, **TIGHT)["tumour_load"].values / 1e6
    y0, top, rate, shape = 126.237, 2139.258, 0.2062134, 1.648773
    closed = top / (1 + ((top / y0) ** shape - 1) * np.exp(-rate * shape * times)) ** (1 / shape)
    tell("C-6 growth", made, closed, 1e-4)
    np.testing.assert_allclose(made, closed, rtol=1e-7)
    np.testing.assert_allclose(made, [283.4, 506.8, 1150.6, 1583.6, 1950.3, 2065.7], rtol=2e-4)


BAJZER = {2: (789.028, 1963.61, None), 20: (431.048, 1599.35, None), 200: (50.1710, 297.950, 2137.52),
          2000: (0.126179, 0.767039, 355.381)}  # fmt: skip


@pytest.mark.parametrize("dose", BAJZER)
def test_c6_bajzer_table(dose, tell):
    times = np.unique([*np.linspace(0, 12, 2401), 20.0, 50.0])
    made = simulate("bajzer2008", times=times, doses=[Dose(into="virus", amount=dose * 1e6)], rtol=1e-10, atol=1e-6)
    load = dict(zip(times.tolist(), made["tumour_load"].values / 1e6, strict=True))
    got, wanted = [load[t] for t in (10.0, 20.0, 50.0)], BAJZER[dose]
    tell(f"C-6 Bajzer, {dose}e6 virions", got, wanted, 1e-4)
    for value, number in zip(got, wanted, strict=True):
        assert number is None or value == pytest.approx(number, rel=1e-5)
    if dose >= 200:
        nadir, when = {200: (28.430, 4.62), 2000: (0.11092, 8.19)}[dose]
        assert min(load.values()) == pytest.approx(nadir, rel=1e-4)
        assert min(load, key=load.get) == pytest.approx(when, abs=0.011)


def test_bajzer_virus_cannot_persist():
    made = simulate("bajzer2008", times=[0.0], initial={"tumour_uninfected": 2139.258e6})
    assert float(made["reproduction_number"][0]) == pytest.approx(0.65004, rel=1e-5)


# ---- C-6: Jenner 2018 (Gompertz) and Jenner 2019


def test_c6_jenner2018_gompertz_closed_form(tell):
    times = np.array([0.0, 1.0, 10.0, 60.0, 200.0])
    made = simulate("jenner2018", times=times, **TIGHT)["tumour_uninfected"].values
    closed = 3.49e9 * np.exp(np.log(2.51e8 / 3.49e9) * np.exp(-0.037 * times))
    tell("C-6 Gompertz", made, closed, 1e-4)
    np.testing.assert_allclose(made, closed, rtol=1e-8)


@pytest.mark.parametrize("burst", [2.0, 3.0])
def test_jenner2018_equilibrium_with_virus_closed_form(burst):
    """S = L*exp(-d_I*(R0 - 1)/r), I = S*(R0 - 1), V = alpha*d_I*I/d_V with R0 = alpha*beta/d_V; any rates."""
    rates = {"infection_rate": 0.06, "infected_death_rate": 0.04, "burst_size": burst, "virus_decay_rate": 0.1}
    excess = burst * 0.06 / 0.1 - 1
    uninfected = 3.49e9 * np.exp(-0.04 * excess / 0.037)
    want = [burst * 0.04 * uninfected * excess / 0.1, uninfected, uninfected * excess]
    made = simulate("jenner2018", times=[3000.0], parameters=rates, initial={"virus": 1e8}, rtol=1e-8)
    np.testing.assert_allclose(
        [made[k].values[0] for k in ("virus", "tumour_uninfected", "tumour_infected")], want, rtol=1e-5
    )


def test_t10_prediction_jenner2019_equilibrium(tell):
    f, _ = slopes("jenner2019")
    m, top, xi, gamma = 0.1, 100.0, 0.01, 0.1
    uninfected = top * np.exp(-xi * (1 - gamma) / (gamma * m))
    closed = np.array([uninfected, uninfected * (1 - gamma) / gamma, xi * uninfected * (1 - gamma) / gamma**2])
    root = fsolve(f, [40.0, 350.0, 35.0], xtol=1e-13)
    tell("T10", root, (40.65697, 365.9127, 36.59127), "1e-4 relative")
    np.testing.assert_allclose(root, (40.65697, 365.9127, 36.59127), rtol=1e-4)
    np.testing.assert_allclose(root, closed, rtol=1e-9)


def test_jenner2019_trajectory():
    made = simulate("jenner2019", times=[50.0, 100.0, 200.0], **TIGHT)
    got = np.array([made[k].values for k in ("tumour_uninfected", "tumour_infected", "virus")]).T
    want = [(49.573411, 204.59896, 18.711461), (44.485948, 268.05763, 25.717431), (41.725664, 329.94151, 32.594303)]
    np.testing.assert_allclose(got, want, rtol=1e-7)


# ---- T11: Kuznetsov 1994


def test_t11_prediction_kuznetsov_three_equilibria(tell):
    f, states = slopes("kuznetsov1994")
    assert states == ("effector_cells", "tumour_cells")

    def effector(tumour):
        return 0.18 * (1 - 2e-9 * tumour) / 1.101e-7

    def excess(tumour):
        return f(np.array([effector(tumour), tumour]))[0]

    grid = np.geomspace(1e4, 5e8 * (1 - 1e-9), 4000)
    signs = np.array([np.sign(excess(t)) for t in grid])
    roots = [brentq(excess, *grid[k : k + 2], xtol=1e-3) for k in np.nonzero(np.diff(signs))[0]]
    kinds = []
    for root in roots:
        pair = eigenvalues(f, np.array([effector(root), root]))
        kinds.append("saddle" if (pair.real > 0).any() else "focus" if pair.imag.any() else "node")
    tell("T11 tumour at a focus, a saddle and a node", roots, (8.18638e6, 2.68023e8, 4.47026e8), "1e-4 relative")
    np.testing.assert_allclose(roots, (8.18638e6, 2.68023e8, 4.47026e8), rtol=1e-4)
    np.testing.assert_allclose(roots, (8.186382e6, 2.680227e8, 4.470258e8), rtol=1e-6)
    assert kinds == ["focus", "saddle", "node"]
    pair = eigenvalues(f, np.array([effector(roots[0]), roots[0]]))
    np.testing.assert_allclose(pair[pair.imag > 0], -0.0055156 + 0.0634199j, rtol=1e-5)


def test_kuznetsov_trajectory():
    times = np.arange(0, 100, 0.01)
    tumour = simulate("kuznetsov1994", times=times, **TIGHT)["tumour_cells"].values
    early = times < 60
    assert tumour[early].max() == pytest.approx(9.77686e7, rel=1e-5)
    assert times[early][tumour[early].argmax()] == pytest.approx(34.02, abs=0.011)
    assert tumour[~early].min() == pytest.approx(9.904e5, rel=1e-4)
    assert times[~early][tumour[~early].argmin()] == pytest.approx(88.72, abs=0.011)


# ---- T12: Gevertz 2018

VIRUS = Dose(into="virus", amount=2.5e9, every=2.0, count=3)
CELLS = Dose(into="dendritic_cells", amount=1e6, time=1.0, every=2.0, count=3)
GEVERTZ = {
    "control": ((), (1420.55, 34780.1, 8.51539e5)),
    "virus": ((VIRUS,), (375.018, 2124.29, 14534.1)),
    "cells": ((CELLS,), (806.408, 18960.5, 4.64164e5)),
    "alternating": ((VIRUS, CELLS), (41.5905, 24.0926, 450.264)),
}


@pytest.mark.parametrize("arm", GEVERTZ)
def test_t12_prediction_virus_and_dendritic_cells(arm, tell):
    doses, wanted = GEVERTZ[arm]
    made = simulate("gevertz2018", times=[10.0, 20.0, 30.0], doses=doses, rtol=1e-9, atol=1e-6)["tumour_volume"].values
    tell(f"T12 {arm}", made, wanted, "0.1 %")
    np.testing.assert_allclose(made, wanted, rtol=1e-3)
    np.testing.assert_allclose(made, wanted, rtol=2e-5)  # the digits printed


def test_gevertz_alternating_nadir_and_early_maximum():
    times = np.arange(0, 20, 0.01)
    volume = simulate("gevertz2018", times=times, doses=(VIRUS, CELLS), rtol=1e-9, atol=1e-6)["tumour_volume"].values
    early = times < 8
    assert volume.min() == pytest.approx(15.650, rel=1e-4)
    assert times[volume.argmin()] == pytest.approx(16.42, abs=0.02)
    assert volume[early].max() == pytest.approx(117.52, rel=1e-4)
    assert times[early][volume[early].argmax()] == pytest.approx(4.09, abs=0.011)


# ---- C-6: models that are not shipped, written here: Phan and Tian 2017, MV-BiTE, the well-mixed lattice model

PHAN_TIAN = """
model phan_tian
  species x in c, y in c, v in c, z in c; compartment c; c = 1;
  x = 0.99; y = 0.01; v = 0.01; z = 0.01;
  r = 0.36; a = 0.11; k = 0.48; d = 0.16; e = 0.2; m = 0.6; n = 0.036; b = 9;
  => x; r*x*(1 - x - y);  x => y; a*x*v;  y => ; y + k*y*z;
  => v; b*y;  v => ; a*x*v + e*v + d*v*z;  => z; m*y*z;  z => ; n*z;
end
"""


def test_c6_phan_tian(tell):
    model = read_antimony(PHAN_TIAN, where="phan_tian")
    times = np.unique([*np.arange(0, 30, 0.01), 10.0, 100.0])
    made = simulate(model, times=times, select=["x", "y", "v", "z"], rtol=1e-10, atol=1e-12)
    at = {t: np.array([float(made[k].sel(time=t, method="nearest")) for k in "xyvz"]) for t in (10.0, 100.0)}
    tell("C-6 Phan and Tian", at, "table", 1e-4)
    np.testing.assert_allclose(at[10.0], (0.673874, 0.115231, 1.868935, 0.00877433), rtol=2e-6)
    np.testing.assert_allclose(at[100.0], (0.251675, 0.0620352, 2.283423, 0.00931270), rtol=4e-6)
    v = made["v"].values
    assert v.max() == pytest.approx(4.42530, rel=1e-5)
    assert times[v.argmax()] == pytest.approx(16.12, abs=0.011)


MV_BITE = """
model mv_bite
  compartment c; c = 1;
  substanceOnly species U in c, D in c, V in c, B in c, T in c;
  U = 1e6; D = 0; V = 1e6; B = 21.7; T = 2.5e5;
  r = 0.1321; L = 2.73e9; beta = 25; eta = 9.04e5; k = 0.2567; eps = 0.98; gam = 4.25e-3;
  dD = 5.8; dV = 23.11; alphaB = 4.6e4; dB = 2.65; s = 28.7; dT = 0.35;
  infected := beta*U*V/(U + eta);  killed := k*U*T/(U + D + T)*(eps + B/(B + gam));
  => U; r*U*ln(L/U);  U => D; infected + killed;  D => ; dD*D;  => V; infected;  V => ; dV*V;
  => B; alphaB*infected;  B => ; dB*B;  => T; s*D;  T => ; dT*T;
end
"""


@pytest.mark.parametrize("treated", [True, False])
def test_c6_mv_bite_table(treated, tell):
    model = read_antimony(MV_BITE, where="mv_bite")
    times = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    initial = {} if treated else {"V": 0.0, "B": 0.0, "T": 0.0}
    made = simulate(model, times=times, initial=initial, select=["U"], rtol=1e-9, atol=1e-8)["U"].values
    wanted = (
        [5.9494e5, 1.1508e6, 6.2680e6, 3.4311e7, 1.0748e8, 1.2092e8, 1.1431e8] if treated else
        [2.66203e6, 6.27781e6, 4.58211e7, 3.30491e8, 9.17161e8, 1.55397e9, 2.04053e9]
    )  # fmt: skip
    tell("C-6 MV-BiTE", made, wanted, 1e-4)
    np.testing.assert_allclose(made, wanted, rtol=1e-4)


LATTICE = """
model well_mixed
  compartment c; c = 1;
  substanceOnly species u in c, i in c;  u = 9000; i = 100;
  p = 0.01873370759; K = 1e4; beta = 1.02e-5; q = 9.34e-3;
  => u; p*u*(1 - (u + i)/K);  u => i; beta*u*i;  i => ; q*i;
end
"""


def test_c6_well_mixed_lattice_model(tell):
    model = read_antimony(LATTICE, where="well_mixed")
    wanted = {24: (8625.608, 710.258), 48: (5644.488, 3506.469), 100: (289.193, 6241.892), 500: (122.286, 173.058),
              1000: (102.523, 1327.67), 2000: (677.833, 2200.840)}  # fmt: skip
    times = np.unique([*np.arange(0, 110, 0.01), *map(float, wanted)])
    made = simulate(model, times=times, select=["u", "i"], parameters={"p": np.log(2) / 37}, rtol=1e-10, atol=1e-10)
    for time, (u, i) in wanted.items():
        got = made.sel(time=float(time), method="nearest")
        assert float(got["u"]) == pytest.approx(u, rel=1e-5)
        assert float(got["i"]) == pytest.approx(i, rel=1e-5)
    i = made["i"].values
    tell("C-6 well-mixed lattice", (i.max(), times[i.argmax()]), (6711.76, 81.17), 1e-4)
    assert i.max() == pytest.approx(6711.76, rel=1e-5)
    assert times[i.argmax()] == pytest.approx(81.17, abs=0.011)


# ---- targets of engines that this version does not have


@pytest.mark.parametrize(
    ("target", "needs"),
    [
        (
            "T14",
            "a lattice of many cells a site, or a solver of its equations: agents off the lattice have other fronts",
        ),
        ("T16", "the lattice engine: the Celyvir automaton"),
        ("C-7", "the stochastic engine: mean and spread against system size"),
    ],
)
def test_target_of_a_later_engine(target, needs):
    pytest.skip(f"{target} needs {needs}")
