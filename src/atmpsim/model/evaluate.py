"""Evaluate expressions with NumPy: initial values, observables, and the independent check of compiled code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atmpsim.model.graph import Graph


def _truth(condition: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(condition, dtype=np.float64)


def _factorial_of(x: float) -> float:
    try:
        return math.gamma(x + 1.0) if x >= 0.0 else math.nan
    except OverflowError:
        return math.inf


_factorial = np.vectorize(_factorial_of, otypes=[np.float64])

OPERATIONS: dict[str, Callable[..., Any]] = {
    "factorial": _factorial, "neg": np.negative, "exp": np.exp, "ln": np.log, "sqrt": np.sqrt, "abs": np.abs,
    "floor": np.floor, "ceil": np.ceil, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "min": np.minimum, "max": np.maximum, "rem": np.fmod,
    "not": lambda a: _truth(np.equal(a, 0.0)),
    "lt": lambda a, b: _truth(np.less(a, b)),
    "le": lambda a, b: _truth(np.less_equal(a, b)),
    "eq": lambda a, b: _truth(np.equal(a, b)),
    "ne": lambda a, b: _truth(np.not_equal(a, b)),
    "and": lambda a, b: _truth(np.logical_and(a, b)),
    "or": lambda a, b: _truth(np.logical_or(a, b)),
    "xor": lambda a, b: _truth(np.logical_xor(a, b)),
    "select": lambda c, a, b: np.where(np.not_equal(c, 0.0), a, b),
}  # fmt: skip


def evaluate(graph: Graph, roots: Sequence[int], symbols: Mapping[str, ArrayLike]) -> list[NDArray[np.float64]]:
    """Return the value of each root, broadcast over the arrays that are given for its symbols.

    Raises
    ------
    KeyError
        If a symbol has no value.

    Examples
    --------
    >>> g = Graph()
    >>> y = g.apply("exp", g.symbol("x"))
    >>> float(evaluate(g, [y], {"x": 0.0})[0])
    1.0
    """
    values: dict[int, NDArray[np.float64]] = {}
    with np.errstate(all="ignore"):
        for node in graph.needed(roots):
            entry = graph.nodes[node]
            if entry[0] == "const":
                values[node] = np.float64(entry[1])  # type: ignore[assignment,arg-type]
            elif entry[0] == "symbol":
                values[node] = np.asarray(symbols[str(entry[1])], dtype=np.float64)
            else:
                values[node] = OPERATIONS[str(entry[0])](*(values[c] for c in graph.children(node)))
    return [values[r] for r in roots]


def apply_to_numbers(operation: str, *numbers: float) -> float:
    """Return one operation applied to plain numbers; NaN where it is not defined."""
    with np.errstate(all="ignore"):
        result = OPERATIONS[operation](*(np.float64(n) for n in numbers))
    return float(result) if np.ndim(result) == 0 else math.nan
