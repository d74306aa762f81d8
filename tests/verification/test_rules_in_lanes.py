"""Algebraic rules in the batch solver, as rows without mass: closed forms, an ODE that says the same, and LSODA."""

from __future__ import annotations

from collections.abc import Mapping

import libsbml
import numpy as np
import pytest

from atmpsim.engines.ensemble import gather
from atmpsim.engines.program import Program, Way, prepare
from atmpsim.engines.solve import Solution, solve
from atmpsim.engines.start import initial_leaves
from atmpsim.engines.trajectory import Tolerances
from atmpsim.model.library import read_model
from atmpsim.scenario.dosing import expand


def ruled(values: Mapping[str, float], rates: Mapping[str, str], rules: tuple[str, ...], event: str = "") -> Program:
    """Return a model of rate rules and algebraic rules; the event halves x when its condition turns true."""
    document = libsbml.SBMLDocument(3, 2)
    model = document.createModel()
    model.setId("ruled")
    for name, value in values.items():
        parameter = model.createParameter()
        parameter.setId(name)
        parameter.setConstant(False)
        parameter.setValue(value)
    for name, formula in rates.items():
        rate = model.createRateRule()
        rate.setVariable(name)
        rate.setMath(libsbml.parseL3Formula(formula))
    for formula in rules:
        model.createAlgebraicRule().setMath(libsbml.parseL3Formula(formula))
    if event:
        made = model.createEvent()
        made.setUseValuesFromTriggerTime(True)
        trigger = made.createTrigger()
        trigger.setPersistent(True)
        trigger.setInitialValue(True)
        trigger.setMath(libsbml.parseL3Formula(event))
        change = made.createEventAssignment()
        change.setVariable("x")
        change.setMath(libsbml.parseL3Formula("x / 2"))
    return prepare(read_model(libsbml.writeSBMLToString(document), where="test", path="", suffix=".xml"))


def run(program: Program, times: np.ndarray, *, rtol: float, atol: float, method: str = "rosenbrock") -> Solution:
    leaves = initial_leaves(program.equations, {}, start=0.0, where="test")
    schedule = expand([], start=0.0, end=float(times[-1]), where="test")
    ensemble = gather(program.equations, leaves, count=1, schedules=[schedule])
    limits = Tolerances(rtol=rtol, atol=np.full(len(program.equations.states), atol))
    found = solve(program, ensemble, times=times, tolerances=limits, method=method)
    assert not found.failures
    assert found.retries == found.fallbacks == ()
    return found


def test_a_rule_over_a_decaying_state() -> None:
    program = ruled({"x": 1.0, "z": 3.0}, {"x": "-x"}, ("z - x*x - sin(time)",))
    assert program.way is Way.STRETCHES
    times = np.linspace(0, 4, 41)
    found = run(program, times, rtol=1e-10, atol=1e-14).states[0]
    np.testing.assert_allclose(found[:, program.equations.states.index("x")], np.exp(-times), rtol=1e-9)
    exact = np.exp(-2 * times) + np.sin(times)
    np.testing.assert_allclose(found[:, program.equations.states.index("z")], exact, atol=1e-8)


def test_robertson_with_its_conservation_as_a_rule() -> None:
    values = {"x": 1.0, "y": 0.0, "z": 0.0}
    rates = {"x": "-0.04*x + 1e4*y*z", "y": "0.04*x - 1e4*y*z - 3e7*y*y"}
    times = np.concatenate([[0.0], np.logspace(-3, 6, 46)])
    found = run(ruled(values, rates, ("x + y + z - 1",)), times, rtol=1e-8, atol=1e-13)
    plain = run(ruled(values, {**rates, "z": "3e7*y*y"}, ()), times, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found.states[0], plain.states[0], rtol=3e-7, atol=1e-12)
    np.testing.assert_allclose(found.states[0].sum(axis=1), 1.0, atol=1e-8)


@pytest.mark.parametrize("rules", [("z - x*x",), ("z - w*x", "w - x - 0.1*z")], ids=["one rule", "coupled rules"])
def test_rules_hold_after_an_event(rules: tuple[str, ...]) -> None:
    values = {"x": 1.0, "z": 1.0, "w": 1.0} if len(rules) > 1 else {"x": 1.0, "z": 1.0}
    program = ruled(values, {"x": "-x"}, rules, event="z < 0.25")
    times = np.linspace(0, 3, 31)
    found, wanted = (
        run(program, times, rtol=1e-9, atol=1e-13),
        run(program, times, rtol=1e-11, atol=1e-15, method="lsoda"),
    )
    np.testing.assert_allclose(found.states, wanted.states, rtol=1e-6)
    assert found.states[0, -1, 0] == pytest.approx(0.5 * np.exp(-3.0), rel=1e-7)
