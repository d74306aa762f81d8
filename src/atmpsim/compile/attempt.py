"""The model-independent part of a Rosenbrock attempt as vector LLVM IR: stages, error, dense output, commit."""

from __future__ import annotations

from collections.abc import Callable

from atmpsim.compile.lane_math import Lanes
from atmpsim.compile.lanes import Layout
from atmpsim.kernels import rodas5p


class AttemptWriter:
    """Writes `attempt(ws)`, `first_slope(ws)`, `dense(ws)` and `commit(ws)` for a workspace layout."""

    def __init__(self, layout: Layout, *, states: int, width: int, explicit_time: bool) -> None:
        self.layout, self.states, self.lanes = layout, states, Lanes(width)
        self.explicit_time = explicit_time
        self.weights = rodas5p.time_weights()

    def module(self) -> str:
        """Return the text of the four functions and the attributes of all."""
        functions = [self._loop(f"combine{s}", self._combine(s)) for s in range(rodas5p.STAGES)]
        functions += [
            self._error(), self._loop("dense", self._dense), self._loop("commit", self._commit),
            self._first_slope(), self._attempt(),
        ]  # fmt: skip
        width = 64 * self.lanes.width
        functions.append(
            f'attributes #0 = {{ nounwind "prefer-vector-width"="{width}" "min-legal-vector-width"="{width}" }}'
        )
        return "\n".join(functions)

    def _row(self, name: str, row: int, *, indexed: bool = False) -> str:
        """Return instructions for the address `%name` of a row, of this row plus the loop's index if indexed."""
        offset = row * self.lanes.bytes
        text = f"  %{name}.0 = getelementptr inbounds i8, ptr %ws, i64 {offset}\n"
        move = "%offset" if indexed else "0"
        return text + f"  %{name} = getelementptr inbounds i8, ptr %{name}.0, i64 {move}\n"

    def _load(self, name: str, row: int, *, indexed: bool = True) -> str:
        v = self.lanes
        address = self._row(f"{name}.a", row, indexed=indexed)
        return address + f"  %{name} = load {v.double}, ptr %{name}.a, align {v.bytes}\n"

    def _store(self, value: str, name: str, row: int, *, indexed: bool = True) -> str:
        v = self.lanes
        address = self._row(f"{name}.a", row, indexed=indexed)
        return address + f"  store {v.double} {value}, ptr %{name}.a, align {v.bytes}\n"

    def _fma(self, result: str, a: str, b: str, c: str) -> str:
        v = self.lanes
        return f"  {result} = call {v.double} @llvm.fma.{v.suffix}({v.double} {a}, {v.double} {b}, {v.double} {c})\n"

    def _loop(self, name: str, body: Callable[[], str], *, before: str = "", phi: str = "", after: str = "") -> str:
        v = self.lanes
        linkage = "" if name in ("dense", "commit") else "internal "
        return (
            f"define {linkage}void @{name}(ptr %ws) #0 {{\nentry:\n{before}  br label %loop\nloop:\n"
            f"  %i = phi i64 [0, %entry], [%next, %loop]\n{phi}  %offset = mul i64 %i, {v.bytes}\n"
            f"{body()}  %next = add i64 %i, 1\n  %end = icmp eq i64 %next, {self.states}\n"
            f"  br i1 %end, label %exit, label %loop\nexit:\n{after}  ret void\n}}"
        )

    def _stage_row(self, stage: int) -> int:
        return self.layout.stages + stage * self.states

    def _combine(self, stage: int) -> Callable[[], str]:
        """Write the stage's argument into `trial`, and inflow + sum C k / h + h d df/dt into the stage."""

        def body() -> str:
            v, text = self.lanes, self._load("y", self.layout.state) + self._load("inflow", self.layout.inflow)
            argument, total = "%y", v.number(0.0)
            for j in range(stage):
                text += self._load(f"k{j}", self._stage_row(j))
                if rodas5p.A[stage][j]:
                    text += self._fma(f"%u{j}", v.number(rodas5p.A[stage][j]), f"%k{j}", argument)
                    argument = f"%u{j}"
                text += self._fma(f"%g{j}", v.number(rodas5p.C[stage][j]), f"%k{j}", total)
                total = f"%g{j}"
            text += self._load("h", self.layout.step, indexed=False)
            text += f"  %inverse = fdiv {v.double} {v.number(1.0)}, %h\n"
            text += self._fma("%sum", total, "%inverse", "%inflow")
            result = "%sum"
            if self.explicit_time and abs(self.weights[stage]) > 1e-12:
                text += self._load("ft", self.layout.by_time)
                text += f"  %hd = fmul {v.double} %h, {v.number(self.weights[stage])}\n"
                text += self._fma("%timed", "%hd", "%ft", "%sum")
                result = "%timed"
            return (
                text + self._store(argument, "to", self.layout.trial) + self._store(result, "g", self._stage_row(stage))
            )

        return body

    def _error(self) -> str:
        """Write the new state into `trial` and the sum of squared scaled errors into `error`."""
        v = self.lanes

        def body() -> str:
            text = self._load("y", self.layout.state) + self._load("u", self.layout.trial)
            text += self._load("k", self._stage_row(rodas5p.STAGES - 1)) + self._load("atol", self.layout.atol)
            text += f"  %new = fadd {v.double} %u, %k\n"
            for name, value in (("ay", "%y"), ("an", "%new")):
                text += f"  %{name} = call {v.double} @llvm.fabs.{v.suffix}({v.double} {value})\n"
            text += f"  %size = call {v.double} @llvm.maxnum.{v.suffix}({v.double} %ay, {v.double} %an)\n"
            text += self._fma("%scale", "%size", "%rtol", "%atol")
            text += f"  %quotient = fdiv {v.double} %k, %scale\n"
            # 0, or NaN where the new state is not finite: an infinite scale would hide any error
            text += f"  %check = fsub {v.double} %new, %new\n"
            text += f"  %ratio = fadd {v.double} %quotient, %check\n"
            return text + self._fma("%sum1", "%ratio", "%ratio", "%sum0") + self._store("%new", "to", self.layout.trial)

        return self._loop(
            "error", body,
            before=self._load("rtol", self.layout.rtol, indexed=False),
            phi=f"  %sum0 = phi {v.double} [{v.number(0.0)}, %entry], [%sum1, %loop]\n",
            after=self._store("%sum1", "e", self.layout.error, indexed=False),
        )  # fmt: skip

    def _dense(self) -> str:
        v, text = self.lanes, ""
        for j in range(rodas5p.STAGES):
            text += self._load(f"k{j}", self._stage_row(j))
        for d, row in enumerate(rodas5p.DENSE):
            total = v.number(0.0)
            for j, weight in enumerate(row):
                text += self._fma(f"%d{d}.{j}", v.number(weight), f"%k{j}", total)
                total = f"%d{d}.{j}"
            text += self._store(total, f"to{d}", self.layout.dense + d * self.states)
        return text

    def _commit(self) -> str:
        """Replace the state by the trial in the lanes that accept."""
        v = self.lanes
        text = self._load("y", self.layout.state) + self._load("u", self.layout.trial)
        text += self._load("mask", self.layout.accept, indexed=False)
        text += f"  %yes = fcmp une {v.double} %mask, {v.number(0.0)}\n"
        text += f"  %new = select {v.truth} %yes, {v.double} %u, {v.double} %y\n"
        return text + self._store("%new", "to", self.layout.state)

    def _calls(self, *calls: tuple[str, tuple[str, ...]]) -> str:
        rows = {
            "y": self.layout.state, "u": self.layout.trial, "q": self.layout.hoisted, "t": self.layout.time,
            "step": self.layout.step, "factors": self.layout.factors, "growth": self.layout.growth,
            "ft": self.layout.by_time, "c": self.layout.constants, "shifted": self.layout.accept,
        }  # fmt: skip
        rows |= {f"k{j}": self._stage_row(j) for j in range(rodas5p.STAGES)}
        used = {a for _, arguments in calls for a in arguments if a != "ws"}
        text = "".join(self._row(a, rows[a]) for a in sorted(used))
        for name, arguments in calls:
            text += f"  call void @{name}({', '.join(f'ptr %{a}' for a in arguments)})\n"
        return text

    def _first_slope(self) -> str:
        """`first_slope` computes the hoisted rows and the slope at the state, into the first stage."""
        copies = ""
        for k in range(self.states):
            copies += self._load(f"in{k}", self.layout.inflow + k, indexed=False)
            copies += self._store(f"%in{k}", f"to{k}", self._stage_row(0) + k, indexed=False)
        calls = self._calls(("prologue", ("c", "q")), ("slope", ("y", "q", "t", "k0")))
        return f"define void @first_slope(ptr %ws) #0 {{\n{copies}{calls}  ret void\n}}"

    def _attempt(self) -> str:
        """One step of size `step` from `state` at `time`: trial state, stages and scaled error of every lane."""
        v = self.lanes
        text = self._load("now", self.layout.time, indexed=False) + self._load("h", self.layout.step, indexed=False)
        names: list[tuple[str, tuple[str, ...]]] = []
        if self.explicit_time:
            names.append(("time_slope", ("y", "q", "t", "ft")))
        names.append(("factorise", ("y", "q", "t", "step", "factors", "growth")))
        body = self._calls(*names)
        stages = ""
        for s in range(rodas5p.STAGES):
            stages += f"  call void @combine{s}(ptr %ws)\n"
            if self.explicit_time:
                stages += self._fma(f"%at{s}", v.number(rodas5p.NODES[s]), "%h", "%now")
                stages += self._store(f"%at{s}", f"clock{s}", self.layout.accept, indexed=False)
            clock = "shifted" if self.explicit_time else "t"
            argument = "y" if s == 0 else "u"
            stages += f"  call void @slope(ptr %{argument}, ptr %q, ptr %{clock}, ptr %k{s})\n"
            stages += f"  call void @solve(ptr %factors, ptr %k{s})\n"
        needed = {"y", "u", "q", "t", "factors", "shifted", *(f"k{s}" for s in range(rodas5p.STAGES))}
        present = {a for _, arguments in names for a in arguments}
        rows = {
            "y": self.layout.state, "u": self.layout.trial, "q": self.layout.hoisted, "t": self.layout.time,
            "factors": self.layout.factors, "shifted": self.layout.accept,
        }  # fmt: skip
        rows |= {f"k{s}": self._stage_row(s) for s in range(rodas5p.STAGES)}
        addresses = "".join(self._row(a, rows[a]) for a in sorted(needed - present))
        return (
            f"define void @attempt(ptr %ws) #0 {{\n{text}{body}{addresses}{stages}"
            "  call void @error(ptr %ws)\n  ret void\n}"
        )
