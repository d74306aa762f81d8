"""Distributions as models and scenarios write them, turned into values by inverse transforms of uniform numbers.

The notation is that of Antimony and SBML: `normal(m, s)`, `lognormal(mu, s)` (of the logarithm), both also with
bounds `(…, low, high)`, `uniform(a, b)`, `bernoulli(p)`, inside formulas such as `1/(1 + exp(-normal(m, s)))`.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, did_you_mean, one_of

FloatArray = NDArray[np.float64]
RANDOM = {"normal": (2, 4), "lognormal": (2, 4), "uniform": (2,), "bernoulli": (1,)}
_LONGEST = 500
_FUNCTIONS: dict[str, Callable[..., Any]] = {"ln": np.log, "exp": np.exp, "sqrt": np.sqrt}
_BINARY: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: np.power, ast.BitXor: np.power,
}  # fmt: skip
_COMPARISONS: dict[type, Callable[..., Any]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
LOG, LOGIT, PLAIN, OTHER = "log", "logit", "plain", "other"


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """A formula with random calls.

    Attributes
    ----------
    calls
        Number of uniform numbers that one value takes.
    scale
        On which scale it is normal: `plain`, `log` or `logit`; `other` where it is not.
    factor
        What its values are multiplied by, to be in the model's unit.
    """

    text: str
    calls: int
    scale: str
    factor: float = 1.0
    spread: float | None = None
    _tree: ast.expr

    def values(self, uniforms: Sequence[FloatArray]) -> FloatArray:
        """Return the values that as many arrays of uniform numbers as there are `calls` stand for."""
        supply = iter(uniforms)
        with np.errstate(all="ignore"):
            made = _evaluate(self._tree, supply, self.spread)
        return np.asarray(made, dtype=np.float64) * self.factor


def parse(text: str, *, where: str, factor: float = 1.0, spread: float | None = None) -> Distribution:
    """Return the distribution of a text.

    Parameters
    ----------
    factor
        Multiplies every value: the conversion to the model's unit.
    spread
        Replaces the standard deviation of a distribution that is normal on some scale.

    Raises
    ------
    ScenarioError
        If the text is no formula of the known functions, or a constant in it is out of range.

    Examples
    --------
    >>> parse("lognormal(ln(4), 0)", where="here").values([np.array([0.3])]).round(6)
    array([4.])
    """
    place = f"{where} '{text[:60]}'"
    if len(text) > _LONGEST or not text.isprintable() or not text.isascii():
        raise ScenarioError(where=where, found=f"a text of {len(text)} characters", expected="a distribution")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ScenarioError(where=place, found="no formula", expected="a distribution such as lognormal(ln(0.7), 0.3)",
                            remedy="Check brackets and commas.") from None  # fmt: skip
    _check(tree, place)
    calls = sum(1 for node in ast.walk(tree) if _name(node) in RANDOM)
    made = Distribution(text=text.strip(), calls=calls, scale=_scale(tree), factor=factor, spread=spread, _tree=tree)
    if not np.isfinite(made.values([np.array([0.1, 0.5, 0.9])] * calls)).all():
        raise ScenarioError(where=place, found="values that are not finite", expected="finite values",
                            remedy="Check logarithms, divisions and bounds.")  # fmt: skip
    return made


def _name(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _check(node: ast.expr, where: str) -> None:
    """Raise unless a formula is made of numbers, the known functions and arithmetic."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return _check(node.operand, where)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        _check(node.left, where)
        return _check(node.right, where)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        _check(node.left, where)
        return _check(node.comparators[0], where)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _check_call(node, where)
    raise ScenarioError(where=where, found=f"'{ast.unparse(node)[:40]}'", expected="numbers, arithmetic and functions: "
                        + one_of([*RANDOM, *_FUNCTIONS, "piecewise"]))  # fmt: skip


def _check_call(node: ast.Call, where: str) -> None:
    name, count = _name(node), len(node.args)
    allowed = [*RANDOM, *_FUNCTIONS, "piecewise"]
    if name not in allowed:
        raise ScenarioError(where=where, found=f"the function '{name}'", expected=one_of(allowed),
                            remedy=did_you_mean(name, allowed))  # fmt: skip
    right = count in RANDOM[name] if name in RANDOM else count % 2 == 1 if name == "piecewise" else count == 1
    if not right:
        raise ScenarioError(where=where, found=f"{count} arguments of {name}", expected="another number of them",
                            remedy="normal(mean, sd), lognormal(mu, sd), uniform(a, b), bernoulli(p).")  # fmt: skip
    for argument in node.args:
        _check(argument, where)
    if name in RANDOM:
        _check_range(node, name, where)


def _check_range(node: ast.Call, name: str, where: str) -> None:
    if any(_name(inner) in RANDOM for argument in node.args for inner in ast.walk(argument)):
        raise ScenarioError(where=where, found=f"a random number inside {name}", expected="numbers only")
    with np.errstate(all="ignore"):
        numbers = [float(_evaluate(argument, iter(()), None)) for argument in node.args]
    if name == "bernoulli" and not 0 <= numbers[0] <= 1:
        raise ScenarioError(where=where, found=f"a share of {numbers[0]:g}", expected="one of 0 to 1")
    if name in ("normal", "lognormal") and numbers[1] < 0:
        raise ScenarioError(where=where, found=f"a standard deviation of {numbers[1]:g}", expected="at least 0")
    bounds = numbers[2:] if name != "uniform" else numbers
    if len(bounds) == 2 and name != "bernoulli" and not bounds[0] < bounds[1]:
        raise ScenarioError(where=where, found=f"bounds {bounds[0]:g} and {bounds[1]:g}",
                            expected="the lower one first")  # fmt: skip


def _scale(tree: ast.expr) -> str:
    if _name(tree) == "normal":
        return PLAIN
    if _name(tree) == "lognormal":
        return LOG
    if not isinstance(tree, ast.BinOp) or not isinstance(tree.op, ast.Div):
        return OTHER
    inner = ast.unparse(tree.right).replace(" ", "")
    single = sum(1 for node in ast.walk(tree) if _name(node) in RANDOM) == 1
    logit = ast.unparse(tree.left) == "1" and inner.startswith("1+exp(-normal(") and inner.endswith("))")
    return LOGIT if single and logit else OTHER


def _evaluate(node: ast.expr, supply: Any, spread: float | None) -> Any:
    value = functools.partial(_evaluate, supply=supply, spread=spread)
    if isinstance(node, ast.Constant):
        return np.float64(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp):
        return -value(node.operand) if isinstance(node.op, ast.USub) else value(node.operand)
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](value(node.left), value(node.right))
    if isinstance(node, ast.Compare):
        return np.asarray(_COMPARISONS[type(node.ops[0])](value(node.left), value(node.comparators[0])), dtype=float)
    assert isinstance(node, ast.Call)
    arguments = [value(argument) for argument in node.args]
    name = _name(node)
    if name in RANDOM:
        return _random(name, next(supply), [float(a) for a in arguments], spread)
    if name == "piecewise":
        made = arguments[-1]
        for chosen, condition in reversed(list(zip(arguments[:-1:2], arguments[1::2], strict=True))):
            made = np.where(np.asarray(condition) != 0, chosen, made)
        return made
    return _FUNCTIONS[name](*arguments)


def _random(name: str, uniform: FloatArray, numbers: list[float], spread: float | None) -> FloatArray:
    if name == "uniform":
        return numbers[0] + (numbers[1] - numbers[0]) * uniform
    if name == "bernoulli":
        return (uniform < numbers[0]).astype(np.float64)
    from scipy.special import ndtr, ndtri

    mean, sd = numbers[0], numbers[1] if spread is None else spread
    low, high = numbers[2:] or (-np.inf, np.inf)
    if name == "lognormal" and len(numbers) == 4:
        low, high = (np.log(numbers[2]) if numbers[2] > 0 else -np.inf), np.log(numbers[3])
    if sd == 0:
        made = np.full_like(uniform, min(max(mean, low), high))
    elif len(numbers) == 4:
        below, above = ndtr((low - mean) / sd), ndtr((high - mean) / sd)
        made = np.clip(mean + sd * ndtri(below + uniform * (above - below)), low, high)
    else:
        made = mean + sd * ndtri(uniform)
    return np.exp(made) if name == "lognormal" else made


def split_unit(text: str, *, where: str) -> tuple[str, str]:
    """Return the formula and the unit of a text such as `uniform(2, 12) yr`; the unit follows the last bracket.

    Examples
    --------
    >>> split_unit("uniform(2, 12) yr", where="here")
    ('uniform(2, 12)', 'yr')
    """
    depth, end = 0, 0
    for position, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and letter == ")":
            end = position + 1
            if text[end:].strip()[:1].isalpha() or text[end:].strip().startswith("1"):
                break
    unit = text[end:].strip()
    if not unit or not end:
        raise ScenarioError(where=where, found=f"'{text[:60]}' without a unit", expected="a distribution and its unit",
                            remedy='For example "uniform(2, 12) yr"; a pure number has the unit 1.')  # fmt: skip
    return text[:end], unit


def finite(cell: str | None, *, where: str) -> float:
    """Return the number in a cell of a table.

    Raises
    ------
    ScenarioError
        If it is missing or not finite.
    """
    try:
        number = float(str(cell))
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        found = f"'{cell}'" if cell and cell.strip() else "an empty cell"
        raise ScenarioError(
            where=where, found=found, expected="a finite number", remedy="Fill it in, or remove the row."
        )
    return number
