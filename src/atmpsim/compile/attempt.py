"""What joins a model's functions to the step library: one attempt of a step, and the driver's other calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from atmpsim.compile.lane_math import Lanes
from atmpsim.compile.layout import Layout
from atmpsim.compile.step_library import SIGNATURES, attributes, declarations
from atmpsim.kernels import rodas5p


class AttemptWriter:
    """Writes the functions of a workspace that `kernels.arguments.Code` names.

    `watched` are the states that edges depend on; without edges it is None, and nothing looks for any. The last
    `algebraic` states have rules instead of derivatives.
    """

    def __init__(
        self, layout: Layout, *, states: int, width: int, explicit_time: bool, watched: Sequence[int] | None = None,
        algebraic: int = 0,
    ) -> None:  # fmt: skip
        self.layout, self.states, self.lanes = layout, states, Lanes(width)
        self.explicit_time, self.watched, self.algebraic = explicit_time, watched, algebraic

    def module(self) -> str:
        """Return the text of the functions, of the step library's declarations, and the attributes of all."""
        functions: dict[str, Iterable[str]] = {
            "attempt": self._attempt(), "first_slope": self._first_slope(), "sample": [self._step("dense")],
            "sample_lane": [self._step("dense_lane")], "commit": [self._step("move")],
        }  # fmt: skip
        constants = []
        if self.watched is not None:
            constants.append(_list("watched", self.watched))
            functions["look"] = self._look(len(self.watched))
            functions["look_here"] = [self._call("edges", "y", "q", "t", "cells", "beyond", "crossed")]
        texts = [self._function(name, calls) for name, calls in functions.items()]
        return "\n".join((declarations(), *constants, *texts, attributes(self.lanes)))

    def _function(self, name: str, calls: Iterable[str]) -> str:
        lines = [*self._addresses(), *calls]
        return "\n".join([f"define void @{name}(ptr %ws) #0 {{", *lines, "  ret void", "}"])

    def _addresses(self) -> list[str]:
        row, stage = self.layout, (self.layout.by_time - self.layout.stages) // rodas5p.STAGES
        rows = {
            "y": row.state, "u": row.trial, "q": row.hoisted, "t": row.time, "step": row.step, "factors": row.factors,
            "growth": row.growth, "ft": row.by_time, "c": row.constants, "clock": row.clock, "sampled": row.sampled,
            "cells": row.cells, "beyond": row.beyond, "crossed": row.crossed,
        } | {f"k{s}": row.stages + s * stage for s in range(rodas5p.STAGES)}  # fmt: skip
        size = self.lanes.bytes
        return [f"  %{name} = getelementptr inbounds i8, ptr %ws, i64 {k * size}" for name, k in rows.items()]

    def _call(self, function: str, *rows: str) -> str:
        return f"  call void @{function}({', '.join(f'ptr %{row}' for row in rows)})"

    def _step(self, function: str) -> str:
        """Return the call of a function of the step library."""
        arguments = {"%states": self.states, "%algebraic": self.algebraic}
        names = [a.split()[1] for a in SIGNATURES[function].split(", ")[1:]]
        return f"  call void @{function}({', '.join(['ptr %ws', *(f'i64 {arguments[n]}' for n in names)])})"

    def _attempt(self) -> Iterator[str]:
        """One step of size `step` from `state` at `time`: trial state, stages, error and verdict of every lane."""
        yield self._step("clip")
        if self.explicit_time:
            yield self._call("time_slope", "y", "q", "t", "ft")
        yield self._call("factorise", "y", "q", "t", "step", "factors", "growth")
        for s in range(rodas5p.STAGES):
            yield self._step(f"combine{s}")
            clock, argument = "clock" if self.explicit_time else "t", "y" if s == 0 else "u"
            yield self._call("slope", argument, "q", clock, f"k{s}")
            yield self._call("solve", "factors", f"k{s}")
        yield self._step("error")
        yield self._step("control")

    def _first_slope(self) -> Iterator[str]:
        """The hoisted rows, and the slope at the state, into the first stage."""
        yield self._step("enter")
        yield self._call("prologue", "c", "q")
        yield self._call("slope", "y", "q", "t", "k0")

    def _look(self, count: int) -> Iterator[str]:
        """The edges' cells at `theta` of the step, from the states that they depend on."""
        yield f"  call void @dense_some(ptr %ws, i64 {self.states}, ptr @watched, i64 {count})"
        yield self._call("edges", "sampled", "q", "clock", "cells", "beyond", "crossed")


def _list(name: str, numbers: Sequence[int]) -> str:
    """Return a constant list of whole numbers."""
    return f"@{name} = internal constant [{len(numbers)} x i64] [{', '.join(f'i64 {k}' for k in numbers)}]"
