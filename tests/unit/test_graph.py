"""The expression graph: sharing, simplification that changes no finite value, passes that never recurse."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atmpsim.model.evaluate import OPERATIONS, evaluate
from atmpsim.model.graph import BINARY, TIME, UNARY, Graph

LEAVES = {"x": 1.75, "y": -0.625, "z": 3.0, TIME: 0.5}
ARITY = {**dict.fromkeys(UNARY, 1), **dict.fromkeys(BINARY, 2), "select": 3}
# an integer power becomes products, which round differently; it has a test of its own
EXACT = sorted(ARITY.keys() - {"pow"})
STEP = st.tuples(st.sampled_from(EXACT), *[st.integers(0, 10_000)] * 3)


@pytest.fixture
def graph():
    return Graph()


def number(graph, node, **symbols):
    return float(evaluate(graph, [node], {**LEAVES, **symbols})[0])


def test_every_operation_has_an_evaluation():
    assert set(ARITY) == set(OPERATIONS)


def test_equal_expressions_are_one_node(graph):
    x, y = graph.symbol("x"), graph.symbol("y")
    assert graph.apply("add", x, y) == graph.apply("add", y, x)
    assert graph.apply("sub", x, y) != graph.apply("sub", y, x)
    assert graph.apply("exp", graph.apply("mul", x, y)) == graph.apply("exp", graph.apply("mul", y, x))
    assert graph.const(0.0) == graph.const(-0.0)
    assert graph.const(math.nan) == graph.const(float("nan"))
    assert graph.const(1) == graph.const(1.0)
    assert len(graph.nodes) == len(set(graph.nodes))


def test_a_symbol_is_not_a_constant_of_its_name(graph):
    assert graph.value(graph.symbol("1.0")) is None
    assert graph.value(graph.const(1.5)) == 1.5
    assert math.isnan(graph.value(graph.const(math.nan)))


SIMPLER = {
    "x + 0": ("add", "x", 0.0, "x"), "0 + x": ("add", 0.0, "x", "x"), "x - 0": ("sub", "x", 0.0, "x"),
    "x * 1": ("mul", "x", 1.0, "x"), "x * 0": ("mul", "x", 0.0, 0.0), "0 * x": ("mul", 0.0, "x", 0.0),
    "x / 1": ("div", "x", 1.0, "x"), "x ^ 1": ("pow", "x", 1.0, "x"), "2 * 3": ("mul", 2.0, 3.0, 6.0),
    "7 rem 4": ("rem", 7.0, 4.0, 3.0), "1 < 2": ("lt", 1.0, 2.0, 1.0), "2 <= 1": ("le", 2.0, 1.0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize(("operation", "left", "right", "expected"), SIMPLER.values(), ids=SIMPLER)
def test_simplified(graph, operation, left, right, expected):
    def node(of):
        return graph.symbol(of) if isinstance(of, str) else graph.const(of)

    assert graph.apply(operation, node(left), node(right)) == node(expected)


def test_select_with_a_known_condition_or_equal_branches(graph):
    x, y, c = graph.symbol("x"), graph.symbol("y"), graph.symbol("c")
    assert graph.apply("select", graph.const(1.0), x, y) == x
    assert graph.apply("select", graph.const(0.0), x, y) == y
    assert graph.apply("select", c, x, x) == x
    assert graph.apply("select", c, x, y) not in (x, y)


def test_not_finite_results_are_left_to_the_run(graph):
    zero, one = graph.const(0.0), graph.const(1.0)
    assert graph.value(graph.apply("div", one, zero)) is None
    assert graph.value(graph.apply("ln", graph.const(-1.0))) is None


@pytest.mark.parametrize("exponent", [*range(-9, 10), 0.5, -0.5, 1.5, 2.0000001, 1e300, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("base", [0.7, 1.0, 3.25])
def test_powers(graph, base, exponent):
    node = graph.apply("pow", graph.symbol("x"), graph.const(exponent))
    with np.errstate(over="ignore"):
        expected = float(np.power(base, exponent))
    assert number(graph, node, x=base) == pytest.approx(expected, rel=4e-15, nan_ok=True)


@given(st.lists(STEP, min_size=1, max_size=40), st.lists(st.floats(-4, 4).map(lambda v: round(v, 2)), max_size=3))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_simplification_changes_no_finite_value(steps, constants):
    graph = Graph()
    known = [(graph.symbol(k), v) for k, v in LEAVES.items()] + [(graph.const(v), v) for v in (0.0, 1.0, *constants)]
    for operation, *picks in steps:
        chosen = [known[p % len(known)] for p in picks[: ARITY[operation]]]
        with np.errstate(all="ignore"):
            value = float(OPERATIONS[operation](*(np.float64(v) for _, v in chosen)))
        if math.isfinite(value):
            known.append((graph.apply(operation, *(n for n, _ in chosen)), value))
    found = evaluate(graph, [n for n, _ in known], LEAVES)
    assert [float(f) for f in found] == [v for _, v in known]
    assert all(child < node for node in range(len(graph.nodes)) for child in graph.children(node))
    assert len(graph.nodes) == len(set(graph.nodes))


def test_passes_do_not_recurse(graph):
    node = graph.symbol("x")
    for _ in range(20_000):
        node = graph.apply("add", graph.apply("sin", node), graph.symbol("y"))
    assert number(graph, node, y=0.0) == pytest.approx(0.0, abs=0.02)  # sin iterated n times falls as sqrt(3/n)
    assert graph.symbols([node]) == {"x", "y"}
    (other,) = graph.substitute([node], {"x": graph.symbol("z")})
    assert graph.symbols([other]) == {"z", "y"}


def test_substitution_is_simultaneous_and_only_once(graph):
    x, y = graph.symbol("x"), graph.symbol("y")
    node = graph.apply("sub", graph.apply("mul", x, graph.const(2.0)), y)
    (swapped,) = graph.substitute([node], {"x": y, "y": x})
    assert number(graph, swapped) == 2 * LEAVES["y"] - LEAVES["x"]
    (nested,) = graph.substitute([node], {"x": graph.apply("add", x, y)})
    assert number(graph, nested) == 2 * (LEAVES["x"] + LEAVES["y"]) - LEAVES["y"]


def test_substitution_of_whole_nodes(graph):
    x = graph.symbol("x")
    inner = graph.apply("exp", x)
    outer = graph.apply("add", inner, x)
    assert number(graph, graph.substitute([outer], {}, {inner: graph.const(7.0)})[0]) == 7.0 + LEAVES["x"]


def test_substitution_simplifies_again(graph):
    node = graph.apply("mul", graph.symbol("x"), graph.apply("exp", graph.symbol("y")))
    assert graph.substitute([node], {"x": graph.const(0.0)}) == [graph.const(0.0)]


def test_a_copy_keeps_indices_and_is_independent(graph):
    node = graph.apply("add", graph.symbol("x"), graph.symbol("y"))
    other = graph.copy()
    assert other.nodes == graph.nodes
    assert other.apply("add", other.symbol("x"), other.symbol("y")) == node
    other.symbol("new")
    assert len(other.nodes) == len(graph.nodes) + 1


def test_needed_stops_at_the_roots(graph):
    x = graph.symbol("x")
    below, above = graph.apply("exp", x), graph.apply("sin", graph.apply("exp", x))
    assert graph.needed([below]) == [x, below]
    assert above not in graph.needed([below])


def test_evaluation_broadcasts_and_names_a_missing_symbol(graph):
    node = graph.apply("mul", graph.symbol("x"), graph.symbol("y"))
    (found,) = evaluate(graph, [node], {"x": np.arange(3.0)[:, None], "y": np.arange(4.0)})
    assert found.shape == (3, 4)
    assert found[2, 3] == 6.0
    with pytest.raises(KeyError, match="y"):
        evaluate(graph, [node], {"x": 1.0})


def test_total_adds_from_left_to_right(graph):
    terms = [graph.const(0.1), graph.const(0.2), graph.const(0.3)]
    assert graph.value(graph.total(terms)) == (0.1 + 0.2) + 0.3
    assert graph.value(graph.total([])) == 0.0
