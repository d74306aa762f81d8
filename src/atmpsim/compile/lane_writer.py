"""Formulas over vectors of W doubles, written as LLVM IR."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from atmpsim.compile.lane_math import Lanes
from atmpsim.compile.lowering import Lowered
from atmpsim.model.graph import TIME, symbol_of

CALLS = {
    "exp": "@lane_exp", "ln": "@lane_ln", "pow": "@lane_pow", "sqrt": "@llvm.sqrt", "abs": "@llvm.fabs",
    "floor": "@llvm.floor", "ceil": "@llvm.ceil", "sin": "@llvm.sin", "cos": "@llvm.cos", "tan": "@llvm.tan",
    "asin": "@llvm.asin", "acos": "@llvm.acos", "atan": "@llvm.atan", "sinh": "@llvm.sinh", "cosh": "@llvm.cosh",
    "tanh": "@llvm.tanh", "min": "@llvm.minimum", "max": "@llvm.maximum",
}  # fmt: skip
COMPARE = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_LOGIC = {"and": "and", "or": "or", "xor": "xor"}


class LaneWriter:
    """Writes functions over rows, line by line; a row holds one number for each of the W lanes.

    `hoisted` are the rows of what depends on constants alone, by node, in the order in which they were asked for.
    """

    def __init__(self, lowered: Lowered, *, states: Sequence[str], constants: Sequence[str], width: int) -> None:
        self.lanes, self.lowered = Lanes(width), lowered
        self.leaf = {symbol_of(s): ("y", k) for k, s in enumerate(states)}
        self.leaf |= {symbol_of(c): ("c", k) for k, c in enumerate(constants)}
        self.hoisted: dict[int, int] = {}
        self.lines: list[str] = []
        self.count = 0
        self._addresses: dict[tuple[str, int], str] = {}

    def function(self, name: str, arguments: tuple[str, ...], body: Callable[[], None]) -> str:
        """Return the text of a function of pointers to rows, whose lines `body` writes."""
        self.lines, self.count, self._addresses = [], 0, {}
        body()
        signature = ", ".join(f"ptr noalias %{a}" for a in arguments)
        return "\n".join([f"define internal void @{name}({signature}) #0 {{", *self.lines, "  ret void", "}"])

    def new(self, text: str) -> str:
        """Write an instruction and return the name of its value."""
        self.count += 1
        self.lines.append(f"  %{self.count} = {text}")  # LLVM numbers values from 1 itself, and reads numbers fast
        return f"%{self.count}"

    def _address(self, base: str, row: int) -> str:
        if (base, row) not in self._addresses:
            offset = row * self.lanes.bytes
            self._addresses[base, row] = self.new(f"getelementptr inbounds i8, ptr %{base}, i64 {offset}")
        return self._addresses[base, row]

    def load(self, base: str, row: int) -> str:
        """Return a row's value."""
        return self.new(f"load {self.lanes.double}, ptr {self._address(base, row)}, align {self.lanes.bytes}")

    def store(self, base: str, row: int, value: str) -> None:
        """Write a value into a row."""
        address = self._address(base, row)
        self.lines.append(f"  store {self.lanes.double} {value}, ptr {address}, align {self.lanes.bytes}")

    def binary(self, operation: str, a: str, b: str) -> str:
        """Return what an LLVM instruction makes of two values."""
        return self.new(f"{operation} {self.lanes.double} {a}, {b}")

    def negate(self, a: str) -> str:
        """Return -a."""
        return self.new(f"fneg {self.lanes.double} {a}")

    def fma(self, a: str, b: str, c: str) -> str:
        """Return a b + c, rounded once."""
        d = self.lanes.double
        return self.new(f"call {d} @llvm.fma.{self.lanes.suffix}({d} {a}, {d} {b}, {d} {c})")

    def values(
        self, roots: Sequence[int], known: dict[int, str], *, hoist: bool, fused: Collection[int] | None = None
    ) -> list[str]:
        """Emit the roots and return their values; `known` holds what this function has emitted already.

        `fused` are the products that are no value of their own, where more than these roots decide it.
        """
        skipped = self.fused(roots) if fused is None else fused
        for node in self._order(roots, known, hoist):
            if node not in known and node not in skipped:
                known[node] = self._one(node, known, hoist)
        return [known[r] for r in roots]

    def _order(self, roots: Sequence[int], known: dict[int, str], hoist: bool) -> list[int]:
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
                    if not (hoist and self.is_hoisted(node)):
                        waiting.extend((child, False) for child in reversed(graph.children(node)))
        return order

    def is_hoisted(self, node: int) -> bool:
        """Return whether a node depends on constants alone, so that it is computed once for each trajectory."""
        return self.lowered.invariant[node] and self.lowered.graph.nodes[node][0] != "const"

    def fused(self, roots: Sequence[int]) -> set[int]:
        """Return products that are used once, by a sum: they become part of a fused multiply-add."""
        graph, fused = self.lowered.graph, set[int]()
        uses = Counter(c for n in graph.needed(roots) for c in graph.children(n))
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
        if hoist and self.is_hoisted(node):
            return self.load("q", self.hoisted.setdefault(node, len(self.hoisted)))
        if entry == ("symbol", TIME):
            return self.load("t", 0)
        if entry[0] == "symbol":
            return self.load(*self.leaf[str(entry[1])])
        return self._operation(str(entry[0]), graph.children(node), known)

    def _operation(self, operation: str, children: tuple[int, ...], known: dict[int, str]) -> str:
        if operation in ("add", "sub"):
            return self._sum(operation, children, known)
        args = [known[c] for c in children]
        if operation in ("mul", "div"):
            return self.binary(f"f{operation}", *args)
        if operation == "neg":
            return self.negate(args[0])
        if operation in CALLS:
            d = self.lanes.double
            name = CALLS[operation]
            suffix = "" if name.startswith("@lane") else f".{self.lanes.suffix}"
            return self.new(f"call {d} {name}{suffix}({', '.join(f'{d} {a}' for a in args)})")
        return self._logic(operation, args)

    def _sum(self, operation: str, children: tuple[int, ...], known: dict[int, str]) -> str:
        graph = self.lowered.graph
        first, second = children
        if second not in known:  # a product that is fused here
            a, b = (known[c] for c in graph.children(second))
            return self.fma(a if operation == "add" else self.negate(a), b, known[first])
        if first not in known:
            a, b = (known[c] for c in graph.children(first))
            return self.fma(a, b, known[second] if operation == "add" else self.negate(known[second]))
        return self.binary(f"f{operation}", known[first], known[second])

    def _logic(self, operation: str, args: list[str]) -> str:
        v = self.lanes
        zero, one = v.number(0.0), v.number(1.0)
        if operation == "select":
            condition = self.new(f"fcmp une {v.double} {args[0]}, {zero}")
            return self.new(f"select {v.truth} {condition}, {v.double} {args[1]}, {v.double} {args[2]}")
        if operation in COMPARE:
            truth = self.new(f"fcmp {COMPARE[operation]} {v.double} {args[0]}, {args[1]}")
        elif operation == "not":
            truth = self.new(f"fcmp oeq {v.double} {args[0]}, {zero}")
        else:
            parts = [self.new(f"fcmp une {v.double} {a}, {zero}") for a in args]
            truth = self.new(f"{_LOGIC[operation]} {v.truth} {parts[0]}, {parts[1]}")
        return self.new(f"select {v.truth} {truth}, {v.double} {one}, {v.double} {zero}")
