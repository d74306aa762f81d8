"""Machine code against the compiler switched off: the NumPy evaluator of the same graph."""

import dataclasses
import gc
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atmpsim.compile.llvm import compile_derivatives
from atmpsim.model.antimony import read_antimony
from atmpsim.model.equations import write_equations
from atmpsim.model.evaluate import OPERATIONS, evaluate
from atmpsim.model.graph import BINARY, TIME, UNARY, Graph
from atmpsim.model.sbml import read_sbml

ARITY = {**dict.fromkeys(UNARY, 1), **dict.fromkeys(BINARY, 2), "select": 3}
# operations whose result IEEE 754 fixes to the last digit
EXACT = ("neg", "abs", "sqrt", "floor", "ceil", "not", "add", "sub", "mul", "div", "lt", "le", "eq", "ne", "and", "or",
         "xor", "rem", "select")  # fmt: skip
TOLERANCE = 1e-13
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-300, 1e300, math.inf, -math.inf, math.nan)
STATES, CONSTANTS = ("x", "y", "z"), ("p", "q")


def compiled(graph, roots, *, states=STATES, constants=CONSTANTS):
    """Return machine code that computes any nodes of a graph."""
    some = write_equations(read_antimony("s = 0; s' = 1;", where="case.ant"))
    made = dataclasses.replace(some, graph=graph, states=states, constants=constants, derivatives=tuple(roots))
    # one derivative per root; the number of results follows from the states
    return compile_derivatives(dataclasses.replace(made, states=(*states, *(f"r{k}" for k in range(len(roots))))))


def results(code, point, count):
    """Return the first `count` results at a point (time, x, y, z, p, q)."""
    y = np.array([*point[1:4], *[0.0] * (code.states - 3)])
    return code(point[0], y, np.array(point[4:6]))[:count]


def symbols(point):
    return dict(zip((TIME, *STATES, *CONSTANTS), point, strict=True))


def close(found, expected):
    """Return where two arrays agree to the tolerance; NaN agrees with NaN and infinity with itself."""
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(found - expected) <= TOLERANCE * np.abs(expected)
    return near | (found == expected) | (np.isnan(found) & np.isnan(expected))


@pytest.mark.parametrize("operation", sorted(ARITY))
def test_operation_at_random_and_special_points(operation):
    graph = Graph()
    node = graph.apply(operation, *(graph.symbol(s) for s in STATES[: ARITY[operation]]))
    code = compiled(graph, [node])
    random = np.random.default_rng(20240607)
    sizes = 10.0 ** random.uniform(-6, 3, (400, 3)) * random.choice([-1, 1], (400, 3))
    units = random.uniform(-1, 1, (200, 3))  # the domain of the inverse functions
    corners = np.array(np.meshgrid(*[SPECIAL] * 3)).reshape(3, -1).T
    if operation == "pow":  # the power 0.5 of -inf is inf in C and NaN in NumPy
        corners = corners[corners[:, 0] != -math.inf]
    for x, y, z in np.concatenate([sizes, units, corners]):
        point = (0.0, x, y, z, 0.0, 0.0)
        (expected,) = evaluate(graph, [node], symbols(point))
        found = results(code, point, 1)
        assert close(found, np.asarray(expected)).all(), (operation, x, y, z, found, expected)


def build(steps, operations, constants):
    """Return a graph and all nodes that a list of (operation, picks) makes."""
    graph = Graph()
    nodes = [graph.symbol(s) for s in (TIME, *STATES, *CONSTANTS)] + [graph.const(c) for c in constants]
    for operation, *picks in steps:
        chosen = [nodes[p % len(nodes)] for p in picks[: ARITY[operation]]]
        nodes.append(graph.apply(operation, *chosen))
    return graph, sorted(set(nodes))


def programs(operations):
    step = st.tuples(st.sampled_from(operations), *[st.integers(0, 10_000)] * 3)
    return st.lists(step, min_size=1, max_size=30)


POINTS = st.lists(st.tuples(*[st.floats(-20, 20)] * 6), min_size=1, max_size=5)
NUMBERS = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0, 3.0, math.pi, math.inf]), max_size=3)


@given(programs(sorted(ARITY)), NUMBERS, POINTS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_random_expressions_node_by_node(steps, constants, points):
    # every node is a result, so each operation is checked on the very numbers that the machine code gave it:
    # no error is carried on, and the tolerance is that of one operation
    graph, nodes = build(steps, sorted(ARITY), constants)
    nodes = graph.needed(nodes)
    code = compiled(graph, nodes)
    place = {node: k for k, node in enumerate(nodes)}
    for point in points:
        found = results(code, point, len(nodes))
        for node in nodes:
            children = [found[place[c]] for c in graph.children(node)]
            if children:
                with np.errstate(all="ignore"):
                    expected = OPERATIONS[str(graph.nodes[node][0])](*children)
            else:
                (expected,) = evaluate(graph, [node], symbols(point))
            assert close(found[place[node]], np.asarray(expected)), (graph.nodes[node], children)


@given(programs(EXACT), NUMBERS, POINTS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_random_arithmetic_is_the_same_to_the_last_digit(steps, constants, points):
    graph, nodes = build(steps, EXACT, constants)
    code = compiled(graph, nodes)
    for point in points:
        expected = np.array([float(v) for v in evaluate(graph, nodes, symbols(point))])
        np.testing.assert_array_equal(results(code, point, len(nodes)), expected)


MODEL = """
  compartment C = 2.5; species A in C, B in C; substanceOnly species D in C; A = 4; B = 1; D = 0.1;
  k = 0.3; n = 2.3; time2 := k*time; J1: A -> 2 B; k*A - 0.1*B^3; J2: B + D -> ; B*D/(k + D^n) * exp(-time2);
  J3: -> D; piecewise(1, time < 1.5, tanh(A)) + max(A, B)*0.01; w = 1; w' = J1 + sin(w) - log10(1 + A^2);
  at (time > 2): k = 2*k;
"""


def test_derivatives_of_a_model():
    equations = write_equations(read_antimony(MODEL, where="case.ant"))
    code = compile_derivatives(equations)
    assert (code.states, code.constants) == (len(equations.states), len(equations.constants))
    random = np.random.default_rng(7)
    for _ in range(200):
        y, p = random.uniform(0.1, 5, code.states), random.uniform(0.1, 5, code.constants)
        time = random.uniform(0, 4)
        known = {
            TIME: time,
            **dict(zip(equations.states, y, strict=True)),
            **dict(zip(equations.constants, p, strict=True)),
        }
        expected = np.array([float(v) for v in evaluate(equations.graph, equations.derivatives, known)])
        # terms of size up to 100 are added: their rounding is what is left where they cancel
        np.testing.assert_allclose(code(time, y, p), expected, rtol=TOLERANCE, atol=TOLERANCE * 100)


TIME_AND_TIME = """<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model><listOfParameters>
<parameter id="time" value="2" constant="true"/><parameter id="x" value="0" constant="false"/></listOfParameters>
<listOfRules><rateRule variable="x"><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><minus/><ci>time</ci>
<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">t</csymbol></apply></math></rateRule>
</listOfRules></model></sbml>"""


def test_a_quantity_called_time_is_not_time():
    equations = write_equations(read_sbml(TIME_AND_TIME, where="case.xml"))
    assert compile_derivatives(equations)(10.0, np.zeros(1), np.array([2.0])) == [2.0 - 10.0]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308, 0.1])
def test_constants_keep_every_digit(value):
    graph = Graph()
    code = compiled(graph, [graph.apply("add", graph.symbol("x"), graph.const(value))])
    np.testing.assert_array_equal(results(code, (0.0,) * 6, 1), [value])


def test_wrong_shapes_are_refused():
    code = compiled(Graph(), [])
    with pytest.raises(ValueError, match="3 states and 2 constants"):
        code(0.0, np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="3 states and 2 constants"):
        code(0.0, np.zeros(3), np.zeros(3))


def test_code_outlives_other_engines():
    graph = Graph()
    kept = compiled(graph, [graph.apply("exp", graph.symbol("x"))])
    for k in range(5):
        compiled(graph, [graph.apply("pow", graph.symbol("x"), graph.const(k + 0.5))])
    gc.collect()
    assert results(kept, (0.0, 1.0, 0.0, 0.0, 0.0, 0.0), 1)[0] == pytest.approx(math.e, rel=1e-15)


def test_inputs_are_not_written():
    graph = Graph()
    code = compiled(graph, [graph.symbol("p")])
    y, p = np.arange(float(code.states)), np.array([5.0, 6.0])
    code(0.0, y, p)
    np.testing.assert_array_equal(y, np.arange(float(code.states)))
    np.testing.assert_array_equal(p, [5.0, 6.0])
