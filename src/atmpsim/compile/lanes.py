"""Compile a model for W trajectories side by side: one Rosenbrock attempt as vector LLVM IR.

Everything a lane needs stands in one workspace of rows; a row holds one number for each of the W lanes. The code
has no branches on data, explicit fused multiply-adds and no licence to re-associate, so that a lane's result does
not depend on W or on what the other lanes hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from atmpsim.compile.lane_math import Lanes, library
from atmpsim.compile.lowering import Lowered
from atmpsim.compile.sparse_lu import Elimination
from atmpsim.kernels import rodas5p
from atmpsim.model.graph import TIME, symbol_of

_CALLS = {
    "exp": "@lane_exp", "ln": "@lane_ln", "pow": "@lane_pow", "sqrt": "@llvm.sqrt", "abs": "@llvm.fabs",
    "floor": "@llvm.floor", "ceil": "@llvm.ceil", "sin": "@llvm.sin", "cos": "@llvm.cos", "tan": "@llvm.tan",
    "asin": "@llvm.asin", "acos": "@llvm.acos", "atan": "@llvm.atan", "sinh": "@llvm.sinh", "cosh": "@llvm.cosh",
    "tanh": "@llvm.tanh", "min": "@llvm.minimum", "max": "@llvm.maximum",
}  # fmt: skip
_DECLARED = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "min", "max")
_COMPARE = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_LOGIC = {"and": "and", "or": "or", "xor": "xor"}
UNSUPPORTED = ("rem", "asinh", "acosh", "atanh", "factorial")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The first row of each part of the workspace, and the number of rows.

    One row each: `time` and `step` of the next attempt; `stop`, where the lane must stop, and `sample_at`, its next
    sample; `rtol`; `resolution` (times closer than this are one); `limit` and `attempts`; `rejected` and `accept`
    (1 or 0: the last attempt); `starting` (1 while the step is far too short); `reached` and `next_step`, which
    `commit` makes time and step; `error` (mean square) and `growth`; `theta`, where in the step `sample` looks;
    `clock`, a stage's time; `attention`, whose first number is the bit mask of the lanes that the driver must look
    at, and `crossed`, whose is that of the lanes that are beyond an edge. `atol` is packed: one number a state.
    `cells` and `beyond` have one row an edge: where the lane is, and where `look` finds it.
    """

    time: int
    step: int
    stop: int
    sample_at: int
    rtol: int
    resolution: int
    limit: int
    attempts: int
    rejected: int
    starting: int
    accept: int
    reached: int
    next_step: int
    error: int
    growth: int
    theta: int
    clock: int
    attention: int
    crossed: int
    atol: int
    state: int
    trial: int
    inflow: int
    stages: int
    hoisted: int
    factors: int
    by_time: int
    sampled: int
    cells: int
    beyond: int
    constants: int
    rows: int


def plan_layout(*, states: int, constants: int, hoisted: int, factors: int, edges: int, width: int) -> Layout:
    """Return the layout of a model's workspace."""
    sizes = dict.fromkeys((f.name for f in fields(Layout) if f.name != "rows"), 1)
    sizes |= dict.fromkeys(("state", "trial", "inflow", "by_time", "sampled"), states)
    sizes |= {
        "atol": -(-states // width), "stages": rodas5p.STAGES * states, "hoisted": hoisted, "factors": factors,
        "cells": edges, "beyond": edges, "constants": constants,
    }  # fmt: skip
    first, starts = 0, {}
    for name, size in sizes.items():
        starts[name] = first
        first += size
    return Layout(**starts, rows=first)


class Emitter:
    """Writes the functions of one model; every value is a vector of W doubles."""

    def __init__(
        self, lowered: Lowered, elimination: Elimination, *, states: Sequence[str], constants: Sequence[str], width: int
    ) -> None:
        self.lanes = Lanes(width)
        self.lowered, self.elimination, self.size = lowered, elimination, len(states)
        self.leaf = {symbol_of(s): ("y", k) for k, s in enumerate(states)}
        self.leaf |= {symbol_of(c): ("c", k) for k, c in enumerate(constants)}
        self.hoisted: dict[int, int] = {}
        self.lines: list[str] = []
        self.count = 0

    def module(self) -> tuple[str, int]:
        """Return the module's text and the number of hoisted rows.

        The functions take pointers to rows: `slope(y, q, t, out)` adds the derivatives to `out`,
        `factorise(y, q, t, step, out, growth)`, `time_slope(y, q, t, out)`, `solve(factors, b)`,
        `edges(y, q, t, cells, beyond, crossed)` and `prologue(c, q)`, which comes last because only then is it
        known what was hoisted.
        """
        texts = [
            self._function("slope", ("y", "q", "t", "out"), self._slope),
            self._function("time_slope", ("y", "q", "t", "out"), self._time_slope),
            self._function("factorise", ("y", "q", "t", "step", "out", "growth"), self._factorise),
            self._function("solve", ("factors", "b"), self._solve),
            self._function("edges", ("y", "q", "t", "cells", "beyond", "crossed"), self._edges),
            self._function("prologue", ("c", "q"), self._prologue),
        ]
        head = library(self.lanes) + "\n" + "\n".join(self._declarations())
        return head + "\n" + "\n".join(texts), max(1, len(self.hoisted))

    def _declarations(self) -> Iterator[str]:
        v = self.lanes
        used = {str(self.lowered.graph.nodes[n][0]) for n in self._all_nodes()}
        for operation in _DECLARED:
            if operation in used:
                two = f", {v.double}" if operation in ("min", "max") else ""
                yield f"declare {v.double} {_CALLS[operation]}.{v.suffix}({v.double}{two})"

    def _all_nodes(self) -> list[int]:
        low = self.lowered
        formulas = [node for _, node in low.edges]
        return low.graph.needed([*low.slopes, *low.jacobian.values(), *low.by_time.values(), *formulas])

    def _function(self, name: str, arguments: tuple[str, ...], body: Callable[[], None]) -> str:
        self.lines, self.count = [], 0
        body()
        signature = ", ".join(f"ptr noalias %{a}" for a in arguments)
        return "\n".join([f"define internal void @{name}({signature}) #0 {{", *self.lines, "  ret void", "}"])

    def _new(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def _address(self, base: str, row: int) -> str:
        return self._new(f"getelementptr inbounds i8, ptr %{base}, i64 {row * self.lanes.bytes}")

    def _load(self, base: str, row: int) -> str:
        return self._new(f"load {self.lanes.double}, ptr {self._address(base, row)}, align {self.lanes.bytes}")

    def _store(self, base: str, row: int, value: str) -> None:
        address = self._address(base, row)
        self.lines.append(f"  store {self.lanes.double} {value}, ptr {address}, align {self.lanes.bytes}")

    def _binary(self, operation: str, a: str, b: str) -> str:
        return self._new(f"{operation} {self.lanes.double} {a}, {b}")

    def _negate(self, a: str) -> str:
        return self._new(f"fneg {self.lanes.double} {a}")

    def _fma(self, a: str, b: str, c: str) -> str:
        d = self.lanes.double
        return self._new(f"call {d} @llvm.fma.{self.lanes.suffix}({d} {a}, {d} {b}, {d} {c})")

    def _values(self, roots: list[int], known: dict[int, str], *, hoist: bool) -> list[str]:
        """Emit the roots; `known` holds what this function has emitted already."""
        graph = self.lowered.graph
        uses = Counter(c for n in graph.needed(roots) for c in graph.children(n))
        skipped = self._fused(roots, uses)
        for node in self._order(roots, known, hoist):
            if node not in known and node not in skipped:
                known[node] = self._one(node, known, hoist)
        return [known[r] for r in roots]

    def _order(self, roots: list[int], known: dict[int, str], hoist: bool) -> list[int]:
        """Return what is to be emitted, each root's own nodes together: values live short, few leave the registers.

        Nothing below a hoisted node is emitted.
        """
        graph, seen, order = self.lowered.graph, set[int](), list[int]()
        for root in roots:
            waiting = [(root, False)]
            while waiting:
                node, ready = waiting.pop()
                if ready:
                    order.append(node)
                elif node not in seen and node not in known:
                    seen.add(node)
                    waiting.append((node, True))
                    if not (hoist and self._is_hoisted(node)):
                        waiting.extend((child, False) for child in reversed(graph.children(node)))
        return order

    def _is_hoisted(self, node: int) -> bool:
        return self.lowered.invariant[node] and self.lowered.graph.nodes[node][0] != "const"

    def _fused(self, roots: list[int], uses: Counter[int]) -> set[int]:
        """Return products that are used once, by a sum: they become part of a fused multiply-add."""
        graph, fused = self.lowered.graph, set[int]()
        for node in graph.needed(roots):
            if graph.nodes[node][0] in ("add", "sub") and not self.lowered.invariant[node]:
                product = self._product_of(node, uses, set(roots))
                if product is not None:
                    fused.add(product)
        return fused

    def _product_of(self, node: int, uses: Counter[int], roots: set[int]) -> int | None:
        graph = self.lowered.graph
        for child in reversed(graph.children(node)):
            single = uses[child] == 1 and child not in roots
            if graph.nodes[child][0] == "mul" and single and not self.lowered.invariant[child]:
                return child
        return None

    def _one(self, node: int, known: dict[int, str], hoist: bool) -> str:
        graph = self.lowered.graph
        entry = graph.nodes[node]
        if entry[0] == "const":
            return self.lanes.number(graph.value(node) or 0.0)
        if hoist and self._is_hoisted(node):
            return self._load("q", self.hoisted.setdefault(node, len(self.hoisted)))
        if entry == ("symbol", TIME):
            return self._load("t", 0)
        if entry[0] == "symbol":
            return self._load(*self.leaf[str(entry[1])])
        return self._operation(str(entry[0]), graph.children(node), known)

    def _operation(self, operation: str, children: tuple[int, ...], known: dict[int, str]) -> str:
        if operation in ("add", "sub"):
            return self._sum(operation, children, known)
        args = [known[c] for c in children]
        if operation in ("mul", "div"):
            return self._binary(f"f{operation}", *args)
        if operation == "neg":
            return self._negate(args[0])
        if operation in _CALLS:
            d = self.lanes.double
            name = _CALLS[operation]
            suffix = "" if name.startswith("@lane") else f".{self.lanes.suffix}"
            return self._new(f"call {d} {name}{suffix}({', '.join(f'{d} {a}' for a in args)})")
        return self._logic(operation, args)

    def _sum(self, operation: str, children: tuple[int, ...], known: dict[int, str]) -> str:
        graph = self.lowered.graph
        first, second = children
        if second not in known:  # a product that is fused here
            a, b = (known[c] for c in graph.children(second))
            return self._fma(a if operation == "add" else self._negate(a), b, known[first])
        if first not in known:
            a, b = (known[c] for c in graph.children(first))
            return self._fma(a, b, known[second] if operation == "add" else self._negate(known[second]))
        return self._binary(f"f{operation}", known[first], known[second])

    def _logic(self, operation: str, args: list[str]) -> str:
        v = self.lanes
        zero, one = v.number(0.0), v.number(1.0)
        if operation == "select":
            condition = self._new(f"fcmp une {v.double} {args[0]}, {zero}")
            return self._new(f"select {v.truth} {condition}, {v.double} {args[1]}, {v.double} {args[2]}")
        if operation in _COMPARE:
            truth = self._new(f"fcmp {_COMPARE[operation]} {v.double} {args[0]}, {args[1]}")
        elif operation == "not":
            truth = self._new(f"fcmp oeq {v.double} {args[0]}, {zero}")
        else:
            parts = [self._new(f"fcmp une {v.double} {a}, {zero}") for a in args]
            truth = self._new(f"{_LOGIC[operation]} {v.truth} {parts[0]}, {parts[1]}")
        return self._new(f"select {v.truth} {truth}, {v.double} {one}, {v.double} {zero}")

    def _slope(self) -> None:
        values = self._values(list(self.lowered.slopes), {}, hoist=True)
        for k, value in enumerate(values):
            self._store("out", k, self._binary("fadd", self._load("out", k), value))

    def _time_slope(self) -> None:
        rows = sorted(self.lowered.by_time)
        values = self._values([self.lowered.by_time[i] for i in rows], {}, hoist=True)
        for i, value in zip(rows, values, strict=True):
            self._store("out", i, value)

    def _edges(self) -> None:
        """Find each edge's cell, the lane's own where the formula has no value; mark the lanes that left theirs."""
        v = self.lanes
        values = self._values([node for _, node in self.lowered.edges], {}, hoist=True)
        crossed = "zeroinitializer"
        for k, ((operation, _), value) in enumerate(zip(self.lowered.edges, values, strict=True)):
            own, known = self._load("cells", k), self._new(f"fcmp ord {v.double} {value}, {value}")
            cell = self._new(
                f"select {v.truth} {known}, {v.double} {self._cell(operation, value)}, {v.double} {own}"
            )  # fmt: skip
            self._store("beyond", k, cell)
            left = self._new(f"fcmp une {v.double} {cell}, {own}")
            crossed = self._new(f"or {v.truth} {crossed}, {self._new(f'and {v.truth} {left}, {known}')}")
        bits = self._new(f"bitcast {v.truth} {crossed} to i{v.width}")
        mask = self._new(f"uitofp i{v.width} {bits} to double")
        self.lines.append(f"  store double {mask}, ptr %crossed, align 8")

    def _cell(self, operation: str, value: str) -> str:
        """Return what stays the same between crossings: a truth, a sign, or a whole number."""
        v, zero = self.lanes, self.lanes.number(0.0)
        if operation in ("floor", "ceil"):
            return self._new(f"call {v.double} @llvm.{operation}.{v.suffix}({v.double} {value})")
        if operation in ("lt", "le"):
            return self._truth(f"fcmp {_COMPARE[operation]} {v.double} {value}, {zero}")
        positive = self._truth(f"fcmp ogt {v.double} {value}, {zero}")
        return self._binary("fsub", positive, self._truth(f"fcmp olt {v.double} {value}, {zero}"))

    def _truth(self, condition: str) -> str:
        v = self.lanes
        ones, zeros = v.number(1.0), v.number(0.0)
        return self._new(f"select {v.truth} {self._new(condition)}, {v.double} {ones}, {v.double} {zeros}")

    def _prologue(self) -> None:
        roots = list(self.hoisted)
        for node, value in zip(roots, self._values(roots, {}, hoist=False), strict=True):
            self._store("q", self.hoisted[node], value)

    def _factorise(self) -> None:
        """Factorise M/(h gamma) - J, rows and columns in elimination order; 1/pivot stands on the diagonal.

        M is the identity, but 0 for algebraic rules and hubs.
        """
        plan, v = self.elimination, self.lanes
        steps = range(len(plan.order))
        position = {row: k for k, row in enumerate(plan.order)}
        places = {(position[i], position[j]): n for (i, j), n in self.lowered.jacobian.items()}
        nodes = list(places.values())
        emitted = dict(zip(nodes, self._values(nodes, {}, hoist=True), strict=True))
        shift = self._binary("fdiv", v.number(1.0 / rodas5p.GAMMA), self._load("step", 0))
        matrix = {place: self._negate(emitted[node]) for place, node in places.items()}
        for k in steps:
            if plan.order[k] >= self.size - self.lowered.algebraic:
                matrix.setdefault((k, k), v.number(0.0))
            else:
                matrix[k, k] = self._binary("fadd", shift, matrix[k, k]) if (k, k) in matrix else shift
        growth = v.number(0.0)
        below: dict[int, list[int]] = {k: [] for k in steps}
        right: dict[int, list[int]] = {k: [] for k in steps}
        for i, j in plan.slots:
            if i > j:
                below[j].append(i)
            elif j > i:
                right[i].append(j)
        for k in steps:
            inverse = self._binary("fdiv", v.number(1.0), matrix[k, k])
            self._store("out", plan.slots[k, k], inverse)
            for j in right[k]:
                self._store("out", plan.slots[k, j], matrix[k, j])
            for i in below[k]:
                factor = self._binary("fmul", matrix[i, k], inverse)
                self._store("out", plan.slots[i, k], factor)
                growth = self._larger(growth, factor)
                minus = self._negate(factor)
                for j in right[k]:
                    matrix[i, j] = self._less(matrix.get((i, j)), minus, matrix[k, j])
        self._store("growth", 0, growth)

    def _less(self, old: str | None, minus_factor: str, above: str) -> str:
        if old is None:
            return self._binary("fmul", minus_factor, above)
        return self._fma(minus_factor, above, old)

    def _larger(self, a: str, b: str) -> str:
        d, s = self.lanes.double, self.lanes.suffix
        size = self._new(f"call {d} @llvm.fabs.{s}({d} {b})")
        # not `llvm.maxnum`, which takes three instructions; a factor that is not a number shows in the states
        more = self._new(f"fcmp ogt {d} {size}, {a}")
        return self._new(f"select {self.lanes.truth} {more}, {d} {size}, {d} {a}")

    def _solve(self) -> None:
        plan, values = self.elimination, dict[int, str]()
        steps = range(len(plan.order))
        left: dict[int, list[int]] = {k: [] for k in steps}
        right: dict[int, list[int]] = {k: [] for k in steps}
        for i, j in plan.slots:
            (left if j < i else right)[i].append(j)
        for i in steps:
            value = self._load("b", plan.order[i]) if plan.order[i] < self.size else self.lanes.number(0.0)
            for j in left[i]:
                factor = self._negate(self._load("factors", plan.slots[i, j]))
                value = self._fma(factor, values[j], value)
            values[i] = value
        for i in reversed(steps):
            value = values[i]
            for j in right[i]:
                if j != i:
                    value = self._fma(self._negate(self._load("factors", plan.slots[i, j])), values[j], value)
            values[i] = self._binary("fmul", value, self._load("factors", plan.slots[i, i]))
            if plan.order[i] < self.size:
                self._store("b", plan.order[i], values[i])
