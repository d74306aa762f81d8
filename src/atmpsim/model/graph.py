"""The expression graph: every distinct sub-expression of a model stands once, children before parents.

A node is its index. Because a child's index is always smaller than its parent's, every pass over the graph
(evaluation, units, substitution, code generation) is a plain loop in index order: nothing recurses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

UNARY = (
    "neg",
    "exp",
    "ln",
    "sqrt",
    "abs",
    "floor",
    "ceil",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "factorial",
    "not",
)
BINARY = ("add", "sub", "mul", "div", "pow", "lt", "le", "eq", "ne", "and", "or", "xor", "min", "max", "rem")
COMPARISONS = ("lt", "le", "eq", "ne")
# what a formula may say of a whole course: its value some time ago, and its rate of change; equations replace them
OF_A_COURSE = ("delay", "rate")
TIME = "time"

Node = tuple[object, ...]


def symbol_of(identifier: str) -> str:
    """Return the graph's symbol for a model id; a quantity called `time` is not SBML's time."""
    return f"{identifier}'" if identifier == TIME else identifier


class Graph:
    """A hash-consed expression graph.

    Leaves are `("const", value)` and `("symbol", name)`; inner nodes are `(operation, child, ...)` with the
    operations of `UNARY`, `BINARY` and `select` (condition, value if true, value if false). Truth is 1.0 or 0.0.
    `delay` (formula, time span) and `rate` (formula) stand for what only the equations of a whole model can tell.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.symbol("x")
    >>> g.apply("add", x, g.const(0.0)) == x, g.apply("mul", x, x) == g.apply("mul", x, x)
    (True, True)
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._index: dict[Node, int] = {}

    def copy(self) -> Graph:
        """Return an independent graph with the same nodes under the same indices."""
        other = Graph()
        other.nodes, other._index = list(self.nodes), dict(self._index)
        return other

    def _node(self, *key: object) -> int:
        index = self._index.get(key)
        if index is None:
            index = self._index[key] = len(self.nodes)
            self.nodes.append(key)
        return index

    def const(self, value: float) -> int:
        """Return the node of a number (a NaN is one node, 0.0 and -0.0 are one node)."""
        value = float(value) + 0.0
        return self._node("const", "nan" if math.isnan(value) else value)

    def symbol(self, name: str) -> int:
        """Return the node of a named quantity; `TIME` is time."""
        return self._node("symbol", name)

    def value(self, node: int) -> float | None:
        """Return a node's number if it is a constant."""
        entry = self.nodes[node]
        return float(entry[1]) if entry[0] == "const" else None  # type: ignore[arg-type]

    def children(self, node: int) -> tuple[int, ...]:
        """Return the nodes that a node is made of."""
        entry = self.nodes[node]
        return () if entry[0] in ("const", "symbol") else entry[1:]  # type: ignore[return-value]

    def apply(self, operation: str, *args: int) -> int:
        """Return the node of an operation, simplified where the result is the same for every finite input."""
        simpler = _SIMPLIFY.get(operation)
        node = simpler(self, *args) if simpler else None
        if node is not None:
            return node
        if all(self.nodes[a][0] == "const" for a in args) and operation not in ("select", *OF_A_COURSE):
            folded = _fold(operation, [self.value(a) for a in args])  # type: ignore[misc]
            if folded is not None:
                return self.const(folded)
        if operation in ("add", "mul", "and", "or", "eq", "ne", "min", "max") and args[0] > args[1]:
            args = args[1], args[0]
        return self._node(operation, *args)

    def total(self, nodes: Iterable[int]) -> int:
        """Return the node of a sum, added from left to right."""
        result = self.const(0.0)
        for node in nodes:
            result = self.apply("add", result, node)
        return result

    def needed(self, roots: Iterable[int]) -> list[int]:
        """Return every node that the roots are made of, children first."""
        seen = set(roots)
        waiting = list(seen)
        while waiting:
            for child in self.children(waiting.pop()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        return sorted(seen)

    def symbols(self, roots: Iterable[int]) -> set[str]:
        """Return the names that the roots depend on."""
        return {str(self.nodes[n][1]) for n in self.needed(roots) if self.nodes[n][0] == "symbol"}

    def substitute(
        self, roots: Sequence[int], names: Mapping[str, int], nodes: Mapping[int, int] | None = None
    ) -> list[int]:
        """Return the roots with the named symbols (and, if given, whole nodes) replaced, once."""
        replaced: dict[int, int] = {}
        for node in self.needed(roots):
            entry = self.nodes[node]
            if nodes and node in nodes:
                replaced[node] = nodes[node]
            elif entry[0] == "symbol":
                replaced[node] = names.get(str(entry[1]), node)
            elif entry[0] == "const":
                replaced[node] = node
            else:
                replaced[node] = self.apply(str(entry[0]), *(replaced[c] for c in entry[1:]))  # type: ignore[index]
        return [replaced[r] for r in roots]


def _fold(operation: str, numbers: Sequence[float]) -> float | None:
    from atmpsim.model.evaluate import apply_to_numbers

    result = apply_to_numbers(operation, *numbers)
    return result if math.isfinite(result) else None


def _simplify_add(graph: Graph, a: int, b: int) -> int | None:
    if graph.value(a) == 0.0:
        return b
    return a if graph.value(b) == 0.0 else None


def _simplify_sub(graph: Graph, a: int, b: int) -> int | None:
    if graph.value(b) == 0.0:
        return a
    return graph.apply("neg", b) if graph.value(a) == 0.0 else None


def _simplify_mul(graph: Graph, a: int, b: int) -> int | None:
    for one, other in ((a, b), (b, a)):
        if graph.value(one) == 1.0:
            return other
        if graph.value(one) == 0.0:
            return graph.const(0.0)
        if graph.value(one) == -1.0:
            return graph.apply("neg", other)
    return None


def _simplify_div(graph: Graph, a: int, b: int) -> int | None:
    return a if graph.value(b) == 1.0 else None


def _simplify_neg(graph: Graph, a: int) -> int | None:
    return graph.children(a)[0] if graph.nodes[a][0] == "neg" else None


def _simplify_pow(graph: Graph, a: int, b: int) -> int | None:
    exponent = graph.value(b)
    if exponent == 1.0:
        return a
    if exponent == 0.5:
        return graph.apply("sqrt", a)
    if exponent is not None and 2 <= abs(exponent) <= 8 and exponent == int(exponent):
        return _product_power(graph, a, int(exponent))
    return None


def _product_power(graph: Graph, base: int, exponent: int) -> int:
    result, square, left = graph.const(1.0), base, abs(exponent)
    while left:
        if left & 1:
            result = graph.apply("mul", result, square)
        left >>= 1
        square = graph.apply("mul", square, square) if left else square
    return result if exponent > 0 else graph.apply("div", graph.const(1.0), result)


def _simplify_select(graph: Graph, condition: int, yes: int, no: int) -> int | None:
    known = graph.value(condition)
    if known is not None:
        return yes if known else no
    return yes if yes == no else None


def _simplify_delay(graph: Graph, formula: int, span: int) -> int | None:
    return formula if graph.value(span) == 0.0 or graph.value(formula) is not None else None


def _simplify_rate(graph: Graph, formula: int) -> int | None:
    return graph.const(0.0) if graph.value(formula) is not None else None


_SIMPLIFY: dict[str, Callable[..., int | None]] = {
    "add": _simplify_add,
    "sub": _simplify_sub,
    "mul": _simplify_mul,
    "div": _simplify_div,
    "neg": _simplify_neg,
    "pow": _simplify_pow,
    "select": _simplify_select,
    "delay": _simplify_delay,
    "rate": _simplify_rate,
}
