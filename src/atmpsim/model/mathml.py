"""Turn libSBML's formula trees into nodes of the expression graph, without recursion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import libsbml

from atmpsim.errors import ModelError
from atmpsim.model.graph import TIME, Graph

AVOGADRO = 6.02214179e23  # SBML Level 3 keeps the CODATA 2006 value (semantic test case 01323), not that of 2019

_UNARY = {
    libsbml.AST_FUNCTION_EXP: "exp", libsbml.AST_FUNCTION_LN: "ln", libsbml.AST_FUNCTION_ABS: "abs",
    libsbml.AST_FUNCTION_FLOOR: "floor", libsbml.AST_FUNCTION_CEILING: "ceil", libsbml.AST_LOGICAL_NOT: "not",
    libsbml.AST_FUNCTION_SIN: "sin", libsbml.AST_FUNCTION_COS: "cos", libsbml.AST_FUNCTION_TAN: "tan",
    libsbml.AST_FUNCTION_ARCSIN: "asin", libsbml.AST_FUNCTION_ARCCOS: "acos", libsbml.AST_FUNCTION_ARCTAN: "atan",
    libsbml.AST_FUNCTION_SINH: "sinh", libsbml.AST_FUNCTION_COSH: "cosh", libsbml.AST_FUNCTION_TANH: "tanh",
    libsbml.AST_FUNCTION_ARCSINH: "asinh", libsbml.AST_FUNCTION_ARCCOSH: "acosh",
    libsbml.AST_FUNCTION_ARCTANH: "atanh", libsbml.AST_FUNCTION_FACTORIAL: "factorial",
    libsbml.AST_FUNCTION_RATE_OF: "rate",
}  # fmt: skip
# one over the function, or the inverse function of one over the argument
_RECIPROCAL = {
    libsbml.AST_FUNCTION_SEC: "cos", libsbml.AST_FUNCTION_CSC: "sin", libsbml.AST_FUNCTION_COT: "tan",
    libsbml.AST_FUNCTION_SECH: "cosh", libsbml.AST_FUNCTION_CSCH: "sinh", libsbml.AST_FUNCTION_COTH: "tanh",
}  # fmt: skip
_OF_RECIPROCAL = {
    libsbml.AST_FUNCTION_ARCSEC: "acos", libsbml.AST_FUNCTION_ARCCSC: "asin", libsbml.AST_FUNCTION_ARCCOT: "atan",
    libsbml.AST_FUNCTION_ARCSECH: "acosh", libsbml.AST_FUNCTION_ARCCSCH: "asinh",
    libsbml.AST_FUNCTION_ARCCOTH: "atanh",
}  # fmt: skip
_FOLDED = {
    libsbml.AST_LOGICAL_AND: ("and", 1.0), libsbml.AST_LOGICAL_OR: ("or", 0.0), libsbml.AST_LOGICAL_XOR: ("xor", 0.0),
    libsbml.AST_FUNCTION_MIN: ("min", math.inf), libsbml.AST_FUNCTION_MAX: ("max", -math.inf),
}  # fmt: skip
_BINARY = {
    libsbml.AST_DIVIDE: "div", libsbml.AST_POWER: "pow", libsbml.AST_FUNCTION_POWER: "pow",
    libsbml.AST_FUNCTION_REM: "rem", libsbml.AST_FUNCTION_DELAY: "delay",
}  # fmt: skip
# relation -> (operation, swap the two sides)
_RELATIONS = {
    libsbml.AST_RELATIONAL_LT: ("lt", False), libsbml.AST_RELATIONAL_GT: ("lt", True),
    libsbml.AST_RELATIONAL_LEQ: ("le", False), libsbml.AST_RELATIONAL_GEQ: ("le", True),
    libsbml.AST_RELATIONAL_EQ: ("eq", False), libsbml.AST_RELATIONAL_NEQ: ("ne", False),
}  # fmt: skip
_CONSTANTS = {
    libsbml.AST_CONSTANT_E: math.e, libsbml.AST_CONSTANT_PI: math.pi,
    libsbml.AST_CONSTANT_TRUE: 1.0, libsbml.AST_CONSTANT_FALSE: 0.0, libsbml.AST_NAME_AVOGADRO: AVOGADRO,
}  # fmt: skip
_MAY_BE_EMPTY = (
    libsbml.AST_PLUS, libsbml.AST_TIMES, libsbml.AST_FUNCTION_PIECEWISE, *_FOLDED, *_RELATIONS
)  # fmt: skip
_NUMBERS = (libsbml.AST_INTEGER, libsbml.AST_REAL, libsbml.AST_REAL_E, libsbml.AST_RATIONAL)
Resolve = Callable[[str], int]


class Functions:
    """The function definitions of a model, by id: their parameters, and their bodies as libSBML has them."""

    def __init__(self, definitions: Iterable[libsbml.FunctionDefinition] = ()) -> None:
        self._bodies = {
            f.getId(): ([f.getArgument(k).getName() for k in range(f.getNumArguments())], f.getBody())
            for f in definitions
        }
        self._called: dict[tuple[str, tuple[int, ...]], int] = {}

    def call(self, name: str, args: list[int], graph: Graph, where: str) -> int:
        """Return the node of a function's body with its parameters replaced; equal calls are one node."""
        key = name, tuple(args)
        if key not in self._called:
            self._called[key] = self._written_out(name, args, graph, where)
        return self._called[key]

    def _written_out(self, name: str, args: list[int], graph: Graph, where: str) -> int:
        if name not in self._bodies:
            raise _unsupported(f"the function '{name}'", where)
        parameters, body = self._bodies[name]
        if len(args) != len(parameters):
            raise ModelError(
                where=where, found=f"'{name}' with {len(args)} arguments", expected=f"{len(parameters)} of them"
            )
        if body is None:
            return graph.const(math.nan)
        given = dict(zip(parameters, args, strict=True))
        # the reader bounds how deep functions call one another
        return to_graph(body, graph, given.__getitem__, where=f"{where} function {name}", functions=self)


def to_graph(
    formula: libsbml.ASTNode, graph: Graph, resolve: Resolve, *, where: str, functions: Functions | None = None
) -> int:
    """Return the graph node of a libSBML formula.

    Parameters
    ----------
    resolve
        Gives the node of an identifier; raises KeyError where the model has no such id.
    functions
        The functions that it may call.

    Raises
    ------
    ModelError
        If the formula uses an unknown id or a function that is not supported.
    """
    if formula is None:
        raise ModelError(where=where, found="no formula", expected="a formula")
    functions = functions or Functions()
    done: list[int] = []
    waiting: list[tuple[libsbml.ASTNode, bool]] = [(formula, False)]
    while waiting:
        node, expanded = waiting.pop()
        count = node.getNumChildren()
        if count == 0 or expanded:
            args = done[len(done) - count :]
            del done[len(done) - count :]
            if node.getType() == libsbml.AST_FUNCTION:
                done.append(functions.call(node.getName(), args, graph, where))
            else:
                done.append(_translate(node, args, graph, resolve, where))
        else:
            waiting.append((node, True))
            waiting.extend((node.getChild(k), False) for k in reversed(range(count)))
    return done[0]


def _translate(node: libsbml.ASTNode, args: list[int], graph: Graph, resolve: Resolve, where: str) -> int:
    kind = node.getType()
    if kind in _NUMBERS:
        return graph.const(node.getValue())
    if kind in _CONSTANTS:
        return graph.const(_CONSTANTS[kind])
    if kind == libsbml.AST_NAME_TIME:
        return graph.symbol(TIME)
    if kind == libsbml.AST_NAME:
        return _resolve(node.getName(), resolve, where)
    if not args and kind not in _MAY_BE_EMPTY:
        raise ModelError(where=where, found=f"'{_text(node)}' without arguments", expected="a complete formula")
    return _operation(node, kind, args, graph, where)


def _operation(node: libsbml.ASTNode, kind: int, args: list[int], graph: Graph, where: str) -> int:
    one = graph.const(1.0)
    if kind in _UNARY:
        return graph.apply(_UNARY[kind], args[0])
    if kind == libsbml.AST_PLUS:
        return graph.total(args)
    if kind == libsbml.AST_TIMES:
        return _fold(graph, "mul", 1.0, args)
    if kind in _FOLDED:
        return _fold(graph, *_FOLDED[kind], args)
    if kind == libsbml.AST_MINUS:
        return graph.apply("neg", args[0]) if len(args) == 1 else graph.apply("sub", args[0], args[1])
    if kind in _RELATIONS:
        return _relation(graph, *_RELATIONS[kind], args)
    if kind in _BINARY and len(args) == 2:
        return graph.apply(_BINARY[kind], args[0], args[1])
    if kind in _RECIPROCAL:
        return graph.apply("div", one, graph.apply(_RECIPROCAL[kind], args[0]))
    if kind in _OF_RECIPROCAL:
        return graph.apply(_OF_RECIPROCAL[kind], graph.apply("div", one, args[0]))
    if kind == libsbml.AST_LOGICAL_IMPLIES and len(args) == 2:
        return graph.apply("or", graph.apply("not", args[0]), args[1])
    if kind == libsbml.AST_FUNCTION_QUOTIENT and len(args) == 2:
        return truncated(graph, graph.apply("div", args[0], args[1]))
    if kind == libsbml.AST_FUNCTION_LOG:
        base = args[0] if len(args) == 2 else graph.const(10.0)
        return graph.apply("div", graph.apply("ln", args[-1]), graph.apply("ln", base))
    if kind == libsbml.AST_FUNCTION_ROOT:
        return _root(graph, args)
    if kind == libsbml.AST_FUNCTION_PIECEWISE:
        return _piecewise(graph, args)
    raise _unsupported(f"'{_text(node)}'", where)


def truncated(graph: Graph, node: int) -> int:
    """Return the node of a value without its fraction, rounded towards zero."""
    negative = graph.apply("lt", node, graph.const(0.0))
    return graph.apply("select", negative, graph.apply("ceil", node), graph.apply("floor", node))


def _fold(graph: Graph, operation: str, neutral: float, args: list[int]) -> int:
    if not args:
        return graph.const(neutral)
    result = args[0]
    for other in args[1:]:
        result = graph.apply(operation, result, other)
    return result


def _relation(graph: Graph, operation: str, swap: bool, args: list[int]) -> int:
    pairs = [(b, a) if swap else (a, b) for a, b in pairwise(args)]
    return _fold(graph, "and", 1.0, [graph.apply(operation, *pair) for pair in pairs])


def _root(graph: Graph, args: list[int]) -> int:
    degree = graph.value(args[0]) if len(args) == 2 else 2.0
    if degree == 2.0:
        return graph.apply("sqrt", args[-1])
    return graph.apply("pow", args[-1], graph.apply("div", graph.const(1.0), args[0]))


def _piecewise(graph: Graph, args: list[int]) -> int:
    # without an `otherwise` the value is undefined where no condition holds
    result = args[-1] if len(args) % 2 else graph.const(math.nan)
    for k in reversed(range(len(args) // 2)):
        result = graph.apply("select", args[2 * k + 1], args[2 * k], result)
    return result


def _resolve(name: str, resolve: Resolve, where: str) -> int:
    try:
        return resolve(name)
    except KeyError:
        raise ModelError(
            where=where,
            found=f"the unknown id '{name}'",
            expected="the id of a quantity of this model",
            remedy="Declare it or correct the spelling.",
        ) from None


def _unsupported(what: str, where: str) -> ModelError:
    return ModelError(
        where=where,
        found=what,
        expected="a formula of supported functions",
        remedy="This version does not support it; rewrite the formula without it.",
    )


def _text(node: libsbml.ASTNode) -> str:
    return str(libsbml.formulaToL3String(node))[:80]
