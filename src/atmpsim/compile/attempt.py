"""The model-independent part of a Rosenbrock attempt as vector LLVM IR: stages, error, step control, dense output."""

from __future__ import annotations

from collections.abc import Sequence

from atmpsim.compile.lane_math import Lanes
from atmpsim.compile.lanes import Layout
from atmpsim.kernels import rodas5p

# of an elimination without pivoting: beyond, the factors have lost what a double holds
MAX_GROWTH = 1e12
_GROUP = 4  # error terms that share one division
_SHARE = 0.5  # of the tolerance that one step may use: the errors of steps add up


class AttemptWriter:
    """Writes `attempt`, `first_slope`, `sample`, `commit`, `look` and `look_here` of `ws`, for a workspace layout.

    `watched` are the states that edges depend on; without edges it is None, and nothing looks for any. The last
    `algebraic` states have rules instead of derivatives.
    """

    def __init__(
        self, layout: Layout, *, states: int, width: int, explicit_time: bool, watched: Sequence[int] | None = None,
        algebraic: int = 0,
    ) -> None:  # fmt: skip
        self.layout, self.states, self.lanes = layout, states, Lanes(width)
        self.explicit_time, self.watched, self.algebraic = explicit_time, watched, algebraic
        self.weights = rodas5p.time_weights()

    def module(self) -> str:
        """Return the text of the functions and the attributes of all."""
        functions = [self._combine(s) for s in range(rodas5p.STAGES)]
        functions += [
            self._error(), self._control(), self._sample(), self._commit(), self._first_slope(), self._attempt(),
        ]  # fmt: skip
        if self.watched is not None:
            functions += [self._look(self.watched), self._look_here()]
        width = 64 * self.lanes.width
        # alignstack: spilled vectors that straddle cache lines cost a third of all time
        wide = f'"prefer-vector-width"="{width}" "min-legal-vector-width"="{width}"'
        functions.append(f"attributes #0 = {{ nounwind alignstack=64 {wide} }}")
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

    def _call(self, result: str, function: str, *args: str) -> str:
        d = self.lanes.double
        return f"  {result} = call {d} {function}({', '.join(f'{d} {a}' for a in args)})\n"

    def _llvm(self, result: str, function: str, *args: str) -> str:
        return self._call(result, f"@llvm.{function}.{self.lanes.suffix}", *args)

    def _fma(self, result: str, a: str, b: str, c: str) -> str:
        return self._llvm(result, "fma", a, b, c)

    def _op(self, result: str, operation: str, a: str, b: str) -> str:
        return f"  {result} = {operation} {self.lanes.double} {a}, {b}\n"

    def _select(self, result: str, condition: str, yes: str, no: str) -> str:
        v = self.lanes
        return f"  {result} = select {v.truth} {condition}, {v.double} {yes}, {v.double} {no}\n"

    def _both(self, result: str, operation: str, a: str, b: str) -> str:
        return f"  {result} = {operation} {self.lanes.truth} {a}, {b}\n"

    def _not(self, result: str, a: str) -> str:
        return f"  {result} = xor {self.lanes.truth} {a}, splat (i1 true)\n"

    def _loop(
        self, name: str, body: str, *, times: int, bytes_each: int, before: str = "", phi: str = "", after: str = "",
        linkage: str = "internal ",
    ) -> str:  # fmt: skip
        """Return a function that runs a body so often, `%offset` growing by so many bytes each time."""
        return (
            f"define {linkage}void @{name}(ptr %ws) #0 {{\nentry:\n{before}  br label %loop\nloop:\n"
            f"  %i = phi i64 [0, %entry], [%next, %loop]\n{phi}  %offset = mul i64 %i, {bytes_each}\n"
            f"{body}  %next = add i64 %i, 1\n  %end = icmp eq i64 %next, {times}\n"
            f"  br i1 %end, label %exit, label %loop\nexit:\n{after}  ret void\n}}"
        )

    def _over_states(
        self, name: str, body: str, *, before: str = "", after: str = "", linkage: str = "internal "
    ) -> str:
        return self._loop(
            name, body, times=self.states, bytes_each=self.lanes.bytes, before=before, after=after, linkage=linkage
        )  # fmt: skip

    def _stage_row(self, stage: int) -> int:
        return self.layout.stages + stage * self.states

    def _combine(self, stage: int) -> str:
        """Write the stage's argument into `trial`, and inflow + sum C k / h + h d df/dt into the stage.

        For an algebraic rule nothing but the last of these counts.
        """
        v, timed = self.lanes, self.explicit_time and abs(self.weights[stage]) > 1e-12
        before = self._load("h", self.layout.step, indexed=False)
        before += self._op("%inverse", "fdiv", v.number(1.0), "%h")
        before += self._op("%hd", "fmul", "%h", v.number(self.weights[stage]))
        # the last stages' arguments are the one before's plus its result: the method is stiffly accurate
        follows = stage > 1 and rodas5p.A[stage] == (*rodas5p.A[stage - 1], 1.0)
        text = self._load("y", self.layout.trial if follows else self.layout.state)
        text += self._load("inflow", self.layout.inflow)
        argument, total = "%y", v.number(0.0)
        for j in range(stage):
            text += self._load(f"k{j}", self._stage_row(j))
            if rodas5p.A[stage][j] and (not follows or j == stage - 1):
                text += self._fma(f"%u{j}", v.number(rodas5p.A[stage][j]), f"%k{j}", argument)
                argument = f"%u{j}"
            text += self._fma(f"%g{j}", v.number(rodas5p.C[stage][j]), f"%k{j}", total)
            total = f"%g{j}"
        text += self._fma("%sum", total, "%inverse", "%inflow")
        result = "%sum"
        if timed:
            text += self._load("ft", self.layout.by_time) + self._fma("%timed", "%hd", "%ft", "%sum")
            result = "%timed"
        text += self._store(argument, "to", self.layout.trial) + self._store(result, "g", self._stage_row(stage))
        after = ""
        for i in range(self.states - self.algebraic, self.states):
            value = v.number(0.0)
            if timed:
                after += self._load(f"ft.{i}", self.layout.by_time + i, indexed=False)
                after += self._op(f"%timed.{i}", "fmul", "%hd", f"%ft.{i}")
                value = f"%timed.{i}"
            after += self._store(value, f"g.{i}", self._stage_row(stage) + i, indexed=False)
        return self._over_states(f"combine{stage}", text, before=before, after=after)

    def _error(self) -> str:
        """Write the new state into `trial`, and into `error` the mean square of the errors over what a step may err."""
        v, whole, rest = self.lanes, self.states // _GROUP, self.states % _GROUP
        sums = [f"%sum{g}" for g in range(_GROUP)]
        phi = "".join(f"  {s} = phi {v.double} [{v.number(0.0)}, %entry], [{s}n, %loop]\n" for s in sums)
        phi += "  %packed = mul i64 %i, " + f"{8 * _GROUP}\n"
        text = self._error_terms(_GROUP, 0, "", sums, indexed=True)
        ends = [f"{s}n" for s in sums] if whole else [v.number(0.0)] * _GROUP
        after = ""
        if rest:
            after += self._error_terms(rest, whole * _GROUP, "r", ends[:rest], indexed=False)
            ends[:rest] = [f"%sum{g}rn" for g in range(rest)]
        after += self._op("%t0", "fadd", ends[0], ends[1]) + self._op("%t1", "fadd", ends[2], ends[3])
        after += self._op("%t2", "fadd", "%t0", "%t1")
        after += self._op("%mean", "fmul", "%t2", v.number(1.0 / (_SHARE**2 * self.states)))
        after += self._store("%mean", "e", self.layout.error, indexed=False)
        before = self._load("rtol", self.layout.rtol, indexed=False)
        if not whole:
            return f"define internal void @error(ptr %ws) #0 {{\n{before}{after}  ret void\n}}"
        return self._loop(
            "error", text, times=whole, bytes_each=_GROUP * v.bytes, before=before, phi=phi, after=after
        )  # fmt: skip

    def _error_terms(self, count: int, first: int, tag: str, sums: Sequence[str], *, indexed: bool) -> str:
        """Add the squared scaled errors of some states to sums, with one division for all: (1/ab) b = 1/a."""
        v, text = self.lanes, ""
        for g in range(count):
            n, state = f"{g}{tag}", first + g
            text += self._load(f"y{n}", self.layout.state + state, indexed=indexed)
            text += self._load(f"u{n}", self.layout.trial + state, indexed=indexed)
            text += self._load(f"k{n}", self._stage_row(rodas5p.STAGES - 1) + state, indexed=indexed)
            address = self.layout.atol * v.bytes + 8 * state
            text += f"  %aa{n} = getelementptr inbounds i8, ptr %ws, i64 {address}\n"
            text += f"  %ab{n} = getelementptr inbounds i8, ptr %aa{n}, i64 {'%packed' if indexed else '0'}\n"
            text += f"  %ac{n} = load double, ptr %ab{n}, align 8\n"
            text += f"  %ad{n} = insertelement {v.double} poison, double %ac{n}, i64 0\n"
            text += (
                f"  %atol{n} = shufflevector {v.double} %ad{n}, {v.double} poison, <{v.width} x i32> zeroinitializer\n"
            )
            text += self._op(f"%new{n}", "fadd", f"%u{n}", f"%k{n}")
            text += self._llvm(f"%ay{n}", "fabs", f"%y{n}") + self._llvm(f"%an{n}", "fabs", f"%new{n}")
            text += f"  %more{n} = fcmp ogt {v.double} %ay{n}, %an{n}\n"
            text += self._select(f"%size{n}", f"%more{n}", f"%ay{n}", f"%an{n}")
            text += self._fma(f"%scale{n}", f"%size{n}", "%rtol", f"%atol{n}")
            text += self._store(f"%new{n}", f"to{n}", self.layout.trial + state, indexed=indexed)
        product = f"%scale0{tag}"
        for g in range(1, count):
            text += self._op(f"%p{g}{tag}", "fmul", product, f"%scale{g}{tag}")
            product = f"%p{g}{tag}"
        text += self._op(f"%inv{count - 1}{tag}", "fdiv", v.number(1.0), product)
        for g in range(count - 1, -1, -1):
            n, inverse = f"{g}{tag}", f"%inv{g}{tag}"
            if g:
                before = f"%p{g - 1}{tag}" if g > 1 else f"%scale0{tag}"
                text += self._op(f"%one{n}", "fmul", inverse, before)
                text += self._op(f"%inv{g - 1}{tag}", "fmul", inverse, f"%scale{n}")
                inverse = f"%one{n}"
            text += self._op(f"%quotient{n}", "fmul", f"%k{n}", inverse)
            # 0, or NaN where the new state is not finite: an infinite scale would hide any error
            text += self._op(f"%check{n}", "fsub", f"%new{n}", f"%new{n}")
            text += self._op(f"%ratio{n}", "fadd", f"%quotient{n}", f"%check{n}")
            text += self._fma(f"%sum{g}{tag}n", f"%ratio{n}", f"%ratio{n}", sums[g])
        return text

    def _control(self) -> str:
        """Accept or reject each lane's attempt, choose its next step, and mark the lanes that the driver must see.

        The step changes by 0.9 error^(-1/5), within 1/5 and 6, not above 1 after a rejection (Hairer, Wanner 1996,
        section IV.7). After a stop it may grow a thousandfold until the error has something to say: the first step
        follows the fastest state, which a dose can drive from 0, and may be shorter by ten orders than what is needed.
        """
        v, n, row = self.lanes, self.lanes.number, self.layout
        text = ""
        for name in ("time", "step", "stop", "sample_at", "resolution", "limit", "attempts", "rejected", "starting"):
            text += self._load(name, getattr(row, name), indexed=False)
        text += self._load("growth", row.growth, indexed=False) + self._load("error", row.error, indexed=False)

        def compare(result: str, how: str, a: str, b: str) -> str:
            return f"  {result} = fcmp {how} {v.double} {a}, {b}\n"

        text += self._op("%tries", "fadd", "%attempts", n(1.0)) + compare("%spent", "ogt", "%tries", "%limit")
        text += compare("%small", "ole", "%error", n(1.0)) + compare("%sound", "olt", "%growth", n(MAX_GROWTH))
        text += self._both("%fine", "and", "%small", "%sound") + self._not("%unspent", "%spent")
        text += self._both("%ok", "and", "%fine", "%unspent") + self._not("%no", "%ok")
        text += self._call("%ln", "@lane_ln", "%error") + self._op("%tenth", "fmul", "%ln", n(-0.1))
        text += self._call("%power", "@lane_exp", "%tenth") + self._op("%f", "fmul", "%power", n(0.9))
        text += compare("%rapid", "oge", "%f", n(6.0)) + compare("%young", "one", "%starting", n(0.0))
        text += self._both("%begins", "and", "%rapid", "%young") + self._select("%most", "%begins", n(1e3), n(6.0))
        text += self._select("%still", "%begins", n(1.0), n(0.0))
        text += self._llvm("%f6", "minnum", "%f", "%most") + compare("%was", "one", "%rejected", n(0.0))
        text += self._llvm("%f1", "minnum", "%f6", n(1.0)) + self._select("%fa", "%was", "%f1", "%f6")
        text += self._llvm("%up", "maxnum", "%fa", n(0.2)) + self._llvm("%down0", "maxnum", "%f", n(0.2))
        text += compare("%finite", "olt", "%error", n(1e60)) + compare("%large", "ogt", "%error", n(1.0))
        text += self._both("%known", "and", "%finite", "%large")
        text += self._select("%down", "%known", "%down0", n(0.1)) + self._select("%factor", "%ok", "%up", "%down")
        text += self._op("%next", "fmul", "%step", "%factor") + self._op("%there", "fadd", "%time", "%step")
        text += self._op("%left", "fsub", "%stop", "%time") + compare("%at_stop", "oge", "%step", "%left")
        text += self._select("%reached", "%at_stop", "%stop", "%there")
        text += self._op("%near", "fadd", "%reached", "%resolution")
        text += compare("%due", "ole", "%sample_at", "%near") + self._both("%want", "or", "%at_stop", "%due")
        text += self._both("%look", "and", "%ok", "%want")
        text += self._llvm("%far", "fabs", "%time") + self._llvm("%farther", "maxnum", "%far", n(1e-3))
        text += self._op("%floor", "fmul", "%farther", n(1e-14)) + compare("%sunk", "ult", "%next", "%floor")
        text += self._both("%under", "and", "%no", "%sunk") + self._both("%failed", "or", "%under", "%spent")
        text += self._both("%attention", "or", "%look", "%failed")
        text += self._select("%accept", "%ok", n(1.0), n(0.0))
        for name, value in (
            ("attempts", "%tries"), ("accept", "%accept"), ("reached", "%reached"), ("next_step", "%next"),
            ("starting", "%still"),
        ):  # fmt: skip
            text += self._store(value, f"to.{name}", getattr(row, name), indexed=False)
        text += f"  %bits = bitcast {v.truth} %attention to i{v.width}\n"
        text += f"  %mask = uitofp i{v.width} %bits to double\n" + self._row("mask.a", row.attention)
        text += "  store double %mask, ptr %mask.a, align 8\n"
        return f"define internal void @control(ptr %ws) #0 {{\n{text}  ret void\n}}"

    def _sample(self) -> str:
        """Write each lane's state at `theta` of the step into `sampled`: the method's dense output."""
        return self._over_states("sample", self._dense(0, "", indexed=True), before=self._dense_weights(), linkage="")

    def _dense_weights(self) -> str:
        n = self.lanes.number
        text = self._load("theta", self.layout.theta, indexed=False)
        text += self._op("%rest", "fsub", n(1.0), "%theta") + self._op("%hump", "fmul", "%theta", "%rest")
        for j in range(rodas5p.STAGES):
            d0, d1, d2 = (n(row[j]) for row in rodas5p.DENSE)
            text += self._fma(f"%p{j}", "%theta", d2, d1) + self._fma(f"%q{j}", "%theta", f"%p{j}", d0)
            text += self._op(f"%w{j}", "fmul", "%hump", f"%q{j}")
        return text

    def _dense(self, state: int, tag: str, *, indexed: bool) -> str:
        row = self.layout
        text = self._load(f"y{tag}", row.state + state, indexed=indexed)
        text += self._load(f"new{tag}", row.trial + state, indexed=indexed)
        text += self._op(f"%change{tag}", "fsub", f"%new{tag}", f"%y{tag}")
        text += self._fma(f"%u{tag}", "%theta", f"%change{tag}", f"%y{tag}")
        total = f"%u{tag}"
        for j in range(rodas5p.STAGES):
            text += self._load(f"k{j}{tag}", self._stage_row(j) + state, indexed=indexed)
            text += self._fma(f"%s{j}{tag}", f"%w{j}", f"%k{j}{tag}", total)
            total = f"%s{j}{tag}"
        return text + self._store(total, f"to{tag}", row.sampled + state, indexed=indexed)

    def _look(self, watched: Sequence[int]) -> str:
        """Find the edges' cells at `theta` of the step, from the states that they depend on."""
        text = self._dense_weights() + "".join(self._dense(i, f".{i}", indexed=False) for i in watched)
        text += self._load("now", self.layout.time, indexed=False) + self._load("h", self.layout.step, indexed=False)
        text += self._fma("%then", "%theta", "%h", "%now")
        text += self._store("%then", "to.clock", self.layout.clock, indexed=False)
        calls = self._calls(("edges", ("sampled", "q", "clock", "cells", "beyond", "crossed")))
        return f"define void @look(ptr %ws) #0 {{\n{text}{calls}  ret void\n}}"

    def _look_here(self) -> str:
        """Find the edges' cells at the state."""
        calls = self._calls(("edges", ("y", "q", "t", "cells", "beyond", "crossed")))
        return f"define void @look_here(ptr %ws) #0 {{\n{calls}  ret void\n}}"

    def _commit(self) -> str:
        """Move the lanes that accept to the trial state and the time reached; give every lane its next step."""
        v, row = self.lanes, self.layout
        before = self._load("mask", row.accept, indexed=False)
        before += f"  %yes = fcmp une {v.double} %mask, {v.number(0.0)}\n"
        for name in ("time", "reached", "next_step"):
            before += self._load(name, getattr(row, name), indexed=False)
        before += self._select("%now", "%yes", "%reached", "%time")
        before += self._select("%rejected", "%yes", v.number(0.0), v.number(1.0))
        for name, value in (("time", "%now"), ("step", "%next_step"), ("rejected", "%rejected")):
            before += self._store(value, f"to.{name}", getattr(row, name), indexed=False)
        text = self._load("y", row.state) + self._load("u", row.trial) + self._select("%new", "%yes", "%u", "%y")
        text += self._store("%new", "to", row.state)
        return self._over_states("commit", text, before=before, linkage="")

    def _calls(self, *calls: tuple[str, tuple[str, ...]]) -> str:
        rows = {
            "y": self.layout.state, "u": self.layout.trial, "q": self.layout.hoisted, "t": self.layout.time,
            "step": self.layout.step, "factors": self.layout.factors, "growth": self.layout.growth,
            "ft": self.layout.by_time, "c": self.layout.constants, "clock": self.layout.clock,
            "sampled": self.layout.sampled, "cells": self.layout.cells, "beyond": self.layout.beyond,
            "crossed": self.layout.crossed,
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

    def _clip(self) -> str:
        """Shorten the steps that would pass, or all but reach, the lane's stop."""
        v, text = self.lanes, ""
        for name in ("time", "step", "stop"):
            text += self._load(name, getattr(self.layout, name), indexed=False)
        text += self._fma("%ahead", "%step", v.number(1.0001), "%time")
        text += self._op("%left", "fsub", "%stop", "%time")
        text += f"  %hits = fcmp oge {v.double} %ahead, %stop\n" + self._select("%h", "%hits", "%left", "%step")
        return text + self._store("%h", "to.step", self.layout.step, indexed=False)

    def _attempt(self) -> str:
        """One step of size `step` from `state` at `time`: trial state, stages, error and verdict of every lane."""
        v, text = self.lanes, self._clip()
        before: list[tuple[str, tuple[str, ...]]] = []
        if self.explicit_time:
            before.append(("time_slope", ("y", "q", "t", "ft")))
        before.append(("factorise", ("y", "q", "t", "step.now", "factors", "growth")))
        rows = {
            "y": self.layout.state, "u": self.layout.trial, "q": self.layout.hoisted, "t": self.layout.time,
            "factors": self.layout.factors, "clock": self.layout.clock, "growth": self.layout.growth,
            "ft": self.layout.by_time, "step.now": self.layout.step,
        }  # fmt: skip
        rows |= {f"k{s}": self._stage_row(s) for s in range(rodas5p.STAGES)}
        text += "".join(self._row(name, row) for name, row in rows.items())
        for name, arguments in before:
            text += f"  call void @{name}({', '.join(f'ptr %{a}' for a in arguments)})\n"
        for s in range(rodas5p.STAGES):
            text += f"  call void @combine{s}(ptr %ws)\n"
            if self.explicit_time:
                text += self._fma(f"%at{s}", v.number(rodas5p.NODES[s]), "%h", "%time")
                text += self._store(f"%at{s}", f"clock{s}", self.layout.clock, indexed=False)
            clock, argument = "clock" if self.explicit_time else "t", "y" if s == 0 else "u"
            text += f"  call void @slope(ptr %{argument}, ptr %q, ptr %{clock}, ptr %k{s})\n"
            text += f"  call void @solve(ptr %factors, ptr %k{s})\n"
        text += "  call void @error(ptr %ws)\n  call void @control(ptr %ws)\n"
        return f"define void @attempt(ptr %ws) #0 {{\n{text}  ret void\n}}"
