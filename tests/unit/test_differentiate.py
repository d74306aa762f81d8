"""Sparse derivatives against central differences of the evaluator, operation by operation."""

from __future__ import annotations

import numpy as np
import pytest

from atmpsim.model.differentiate import gradients
from atmpsim.model.evaluate import evaluate
from atmpsim.model.graph import Graph

# operation -> points at which it is smooth, for each argument
POINTS = {
    "neg": (0.7,), "exp": (0.7,), "ln": (0.7,), "sqrt": (0.7,), "abs": (-0.7,), "sin": (0.7,), "cos": (0.7,),
    "tan": (0.7,), "asin": (0.4,), "acos": (0.4,), "atan": (0.7,), "sinh": (0.7,), "cosh": (0.7,), "tanh": (0.7,),
    "asinh": (0.7,), "acosh": (1.7,), "atanh": (0.4,), "floor": (0.7,), "ceil": (0.7,), "add": (0.7, 1.3),
    "sub": (0.7, 1.3), "mul": (0.7, 1.3), "div": (0.7, 1.3), "pow": (0.7, 1.3), "min": (0.7, 1.3), "max": (0.7, 1.3),
    "rem": (5.7, 1.3), "lt": (0.7, 1.3),
}  # fmt: skip


def value(graph: Graph, node: int, point: dict[str, float]) -> float:
    return float(evaluate(graph, [node], point)[0])


@pytest.mark.parametrize("operation", POINTS)
def test_derivative_of(operation: str) -> None:
    graph = Graph()
    names = ["x", "y"][: len(POINTS[operation])]
    point = dict(zip(names, POINTS[operation], strict=True))
    # the square makes the chain rule part of the test
    inner = graph.apply(operation, *(graph.symbol(n) for n in names))
    node = graph.apply("mul", inner, graph.apply("add", inner, graph.const(2.0)))
    row = gradients(graph, [node], names)[0]
    for name in names:
        step = 1e-6
        difference = value(graph, node, {**point, name: point[name] + step})
        difference -= value(graph, node, {**point, name: point[name] - step})
        found = value(graph, row[name], point) if name in row else 0.0
        assert found == pytest.approx(difference / (2 * step), rel=1e-7, abs=1e-7)


def test_select_takes_the_derivative_of_the_branch_taken() -> None:
    graph = Graph()
    x = graph.symbol("x")
    condition = graph.apply("lt", x, graph.const(1.0))
    node = graph.apply("select", condition, graph.apply("mul", x, x), graph.apply("mul", x, graph.const(3.0)))
    derivative = gradients(graph, [node], ["x"])[0]["x"]
    assert [value(graph, derivative, {"x": v}) for v in (0.5, 2.0)] == [1.0, 3.0]


def test_power_at_zero_is_finite() -> None:
    graph = Graph()
    node = graph.apply("pow", graph.symbol("x"), graph.symbol("n"))
    row = gradients(graph, [node], ["x", "n"])[0]
    assert value(graph, row["x"], {"x": 0.0, "n": 1.8}) == 0.0
    assert value(graph, row["n"], {"x": 0.0, "n": 1.8}) == 0.0


def test_only_the_wanted_symbols_and_no_zeros() -> None:
    graph = Graph()
    node = graph.apply("add", graph.symbol("x"), graph.apply("mul", graph.symbol("y"), graph.symbol("z")))
    assert gradients(graph, [node], ["x", "w"]) == [{"x": graph.const(1.0)}]
    assert np.isclose(value(graph, gradients(graph, [node], ["z"])[0]["z"], {"x": 1.0, "y": 2.5, "z": 3.0}), 2.5)
