"""Sparse derivatives of expressions: one forward pass gives the derivative by every symbol of interest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from atmpsim.model.graph import Graph

Gradient = dict[str, int]


def gradients(graph: Graph, roots: Sequence[int], symbols: Collection[str]) -> list[Gradient]:
    """Return for each root the nodes of its derivatives by the given symbols, zeros left out.

    Jumps (comparisons, `floor`, `ceil`) count as constant; the derivative of `min`, `max`, `abs` and `select` is
    that of the branch taken.

    Examples
    --------
    >>> from atmpsim.model.evaluate import evaluate
    >>> g = Graph()
    >>> x, y = g.symbol("x"), g.symbol("y")
    >>> row = gradients(g, [g.apply("mul", x, g.apply("mul", x, y))], ["x", "y"])[0]
    >>> [float(evaluate(g, [row[s]], {"x": 3.0, "y": 2.0})[0]) for s in ("x", "y")]
    [12.0, 9.0]
    """
    wanted = set(symbols)
    found: dict[int, Gradient] = {}
    for node in graph.needed(roots):
        entry = graph.nodes[node]
        if entry[0] == "symbol":
            found[node] = {str(entry[1]): graph.const(1.0)} if entry[1] in wanted else {}
        elif entry[0] == "const" or not any(found[c] for c in graph.children(node)):
            found[node] = {}
        else:
            found[node] = _chain(graph, node, [found[c] for c in graph.children(node)])
    return [found[r] for r in roots]


def _chain(graph: Graph, node: int, below: Sequence[Gradient]) -> Gradient:
    operation, args = str(graph.nodes[node][0]), graph.children(node)
    if operation in ("add", "sub"):
        return _sum(graph, below[0], below[1], operation)
    if operation == "neg":
        return {s: graph.apply("neg", d) for s, d in below[0].items()}
    if operation == "select":
        zero = graph.const(0.0)
        names = dict.fromkeys((*below[1], *below[2]))
        return {s: graph.apply("select", args[0], below[1].get(s, zero), below[2].get(s, zero)) for s in names}
    if operation not in _PARTIALS:
        return {}
    partials = _PARTIALS[operation](graph, node, args)
    result: Gradient = {}
    for partial, gradient in zip(partials, below, strict=True):
        scaled = {s: graph.apply("mul", partial, d) for s, d in gradient.items()} if gradient else {}
        result = _sum(graph, result, scaled, "add")
    return {s: d for s, d in result.items() if graph.value(d) != 0.0}


def _sum(graph: Graph, first: Mapping[str, int], second: Mapping[str, int], operation: str) -> Gradient:
    result = dict(first)
    for symbol, derivative in second.items():
        if symbol in result:
            result[symbol] = graph.apply(operation, result[symbol], derivative)
        else:
            result[symbol] = derivative if operation == "add" else graph.apply("neg", derivative)
    return result


def _mul(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
    return [args[1], args[0]]


def _div(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
    one_over = graph.apply("div", graph.const(1.0), args[1])
    return [one_over, graph.apply("neg", graph.apply("mul", node, one_over))]


def _pow(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
    base, exponent = args
    less = graph.apply("sub", exponent, graph.const(1.0))
    by_base = graph.apply("mul", exponent, graph.apply("pow", base, less))
    # x^y ln x, which is 0 in the limit x -> 0 for y > 0
    positive = graph.apply("lt", graph.const(0.0), base)
    by_exponent = graph.apply("select", positive, graph.apply("mul", node, graph.apply("ln", base)), graph.const(0.0))
    return [by_base, by_exponent]


def _exp(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
    return [node]


def _ln(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
    return [graph.apply("div", graph.const(1.0), args[0])]


def _sqrt(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
    return [graph.apply("div", graph.const(0.5), node)]


def _abs(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
    negative = graph.apply("lt", args[0], graph.const(0.0))
    return [graph.apply("select", negative, graph.const(-1.0), graph.const(1.0))]


def _min_max(operation: str) -> Callable[[Graph, int, Sequence[int]], list[int]]:
    def partials(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
        low, high = args if operation == "min" else (args[1], args[0])
        first = graph.apply("lt", low, high)
        return [first, graph.apply("sub", graph.const(1.0), first)]

    return partials


def _rem(graph: Graph, node: int, args: Sequence[int]) -> list[int]:
    quotient = graph.apply("div", graph.apply("sub", node, args[0]), args[1])
    return [graph.const(1.0), quotient]


def _of_argument(
    formula: Callable[[Graph, int, int], int],
) -> Callable[[Graph, int, Sequence[int]], list[int]]:
    return lambda graph, node, args: [formula(graph, node, args[0])]


def _square(graph: Graph, x: int) -> int:
    return graph.apply("mul", x, x)


def _plus(graph: Graph, x: int, number: float) -> int:
    return graph.apply("add", x, graph.const(number))


def _over(graph: Graph, x: int) -> int:
    return graph.apply("div", graph.const(1.0), x)


def _over_root(graph: Graph, x: int) -> int:
    return _over(graph, graph.apply("sqrt", x))


def _one_minus(graph: Graph, x: int) -> int:
    return graph.apply("sub", graph.const(1.0), x)


_PARTIALS: dict[str, Callable[[Graph, int, Sequence[int]], list[int]]] = {
    "mul": _mul, "div": _div, "pow": _pow, "exp": _exp, "ln": _ln, "sqrt": _sqrt, "abs": _abs, "rem": _rem,
    "min": _min_max("min"), "max": _min_max("max"),
    "sin": _of_argument(lambda g, f, x: g.apply("cos", x)),
    "cos": _of_argument(lambda g, f, x: g.apply("neg", g.apply("sin", x))),
    "tan": _of_argument(lambda g, f, x: _plus(g, _square(g, f), 1.0)),
    "asin": _of_argument(lambda g, f, x: _over_root(g, _one_minus(g, _square(g, x)))),
    "acos": _of_argument(lambda g, f, x: g.apply("neg", _over_root(g, _one_minus(g, _square(g, x))))),
    "atan": _of_argument(lambda g, f, x: _over(g, _plus(g, _square(g, x), 1.0))),
    "sinh": _of_argument(lambda g, f, x: g.apply("cosh", x)),
    "cosh": _of_argument(lambda g, f, x: g.apply("sinh", x)),
    "tanh": _of_argument(lambda g, f, x: _one_minus(g, _square(g, f))),
    "asinh": _of_argument(lambda g, f, x: _over_root(g, _plus(g, _square(g, x), 1.0))),
    "acosh": _of_argument(lambda g, f, x: _over_root(g, _plus(g, _square(g, x), -1.0))),
    "atanh": _of_argument(lambda g, f, x: _over(g, _one_minus(g, _square(g, x)))),
}  # fmt: skip
