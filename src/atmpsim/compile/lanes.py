"""The functions of one model for W trajectories side by side, as vector LLVM IR.

Everything a lane needs stands in one workspace of rows; a row holds one number for each of the W lanes. The code
has no branches on what a lane holds, explicit fused multiply-adds and no licence to re-associate, so that a lane's
result does not depend on W or on what the other lanes hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from atmpsim.compile.lane_lu import FactoriseWriter, write_solve
from atmpsim.compile.lane_math import library
from atmpsim.compile.lane_writer import CALLS, COMPARE, LaneWriter
from atmpsim.compile.lowering import Lowered
from atmpsim.compile.sparse_lu import Elimination

_DECLARED = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "min", "max")
UNSUPPORTED = ("rem", "asinh", "acosh", "atanh", "factorial")


class Emitter(LaneWriter):
    """Writes the functions of one model; every value is a vector of W doubles."""

    def __init__(
        self, lowered: Lowered, elimination: Elimination, *, states: Sequence[str], constants: Sequence[str], width: int
    ) -> None:
        super().__init__(lowered, states=states, constants=constants, width=width)
        self.elimination = elimination

    def module(self) -> tuple[str, int]:
        """Return the module's text and the number of hoisted rows.

        The functions take pointers to rows: `slope(y, q, t, out)` adds the derivatives to `out`,
        `factorise(y, q, t, step, out, growth)`, `time_slope(y, q, t, out)`, `solve(factors, b)`,
        `edges(y, q, t, cells, beyond, crossed)` and `prologue(c, q)`, which comes last because only then is it
        known what was hoisted. What depends on time, and edges, have their function only where there are some.
        """
        texts = [
            self.function("slope", ("y", "q", "t", "out"), self._slope),
            *FactoriseWriter(self, self.elimination).functions(),
            write_solve(self, self.elimination),
        ]
        if self.lowered.by_time:
            texts.append(self.function("time_slope", ("y", "q", "t", "out"), self._time_slope))
        if self.lowered.edges:
            texts.append(self.function("edges", ("y", "q", "t", "cells", "beyond", "crossed"), self._edges))
        texts.append(self.function("prologue", ("c", "q"), self._prologue))
        head = library(self.lanes) + "\n" + "\n".join(self._declarations())
        return head + "\n" + "\n".join(texts), max(1, len(self.hoisted))

    def _declarations(self) -> Iterator[str]:
        v = self.lanes
        used = {str(self.lowered.graph.nodes[n][0]) for n in self._all_nodes()}
        for operation in _DECLARED:
            if operation in used:
                two = f", {v.double}" if operation in ("min", "max") else ""
                yield f"declare {v.double} {CALLS[operation]}.{v.suffix}({v.double}{two})"

    def _all_nodes(self) -> list[int]:
        low = self.lowered
        formulas = [node for _, node in low.edges]
        return low.graph.needed([*low.slopes, *low.jacobian.values(), *low.by_time.values(), *formulas])

    def _slope(self) -> None:
        values = self.values(list(self.lowered.slopes), {}, hoist=True)
        for k, value in enumerate(values):
            self.store("out", k, self.binary("fadd", self.load("out", k), value))

    def _time_slope(self) -> None:
        rows = sorted(self.lowered.by_time)
        values = self.values([self.lowered.by_time[i] for i in rows], {}, hoist=True)
        for i, value in zip(rows, values, strict=True):
            self.store("out", i, value)

    def _edges(self) -> None:
        """Find each edge's cell, the lane's own where the formula has no value; mark the lanes that left theirs."""
        v = self.lanes
        values = self.values([node for _, node in self.lowered.edges], {}, hoist=True)
        crossed = "zeroinitializer"
        for k, ((operation, _), value) in enumerate(zip(self.lowered.edges, values, strict=True)):
            own, known = self.load("cells", k), self.new(f"fcmp ord {v.double} {value}, {value}")
            cell = self.new(
                f"select {v.truth} {known}, {v.double} {self._cell(operation, value)}, {v.double} {own}"
            )  # fmt: skip
            self.store("beyond", k, cell)
            left = self.new(f"fcmp une {v.double} {cell}, {own}")
            crossed = self.new(f"or {v.truth} {crossed}, {self.new(f'and {v.truth} {left}, {known}')}")
        bits = self.new(f"bitcast {v.truth} {crossed} to i{v.width}")
        mask = self.new(f"uitofp i{v.width} {bits} to double")
        self.lines.append(f"  store double {mask}, ptr %crossed, align 8")

    def _cell(self, operation: str, value: str) -> str:
        """Return what stays the same between crossings: a truth, a sign, or a whole number."""
        v, zero = self.lanes, self.lanes.number(0.0)
        if operation in ("floor", "ceil"):
            return self.new(f"call {v.double} @llvm.{operation}.{v.suffix}({v.double} {value})")
        if operation in ("lt", "le"):
            return self._truth(f"fcmp {COMPARE[operation]} {v.double} {value}, {zero}")
        positive = self._truth(f"fcmp ogt {v.double} {value}, {zero}")
        return self.binary("fsub", positive, self._truth(f"fcmp olt {v.double} {value}, {zero}"))

    def _truth(self, condition: str) -> str:
        v = self.lanes
        ones, zeros = v.number(1.0), v.number(0.0)
        return self.new(f"select {v.truth} {self.new(condition)}, {v.double} {ones}, {v.double} {zeros}")

    def _prologue(self) -> None:
        roots = list(self.hoisted)
        for node, value in zip(roots, self.values(roots, {}, hoist=False), strict=True):
            self.store("q", self.hoisted[node], value)
