"""What a Rosenbrock step does in any model, as vector LLVM IR: stages, error, step control, dense output.

The number of states comes as an argument, so that this is compiled once for a CPU and a width, not for each model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from atmpsim.compile.lane_math import Lanes, library, literal
from atmpsim.compile.layout import PAIR, Layout, plan_layout
from atmpsim.kernels import rodas5p

# the norm of L in an elimination without pivoting: beyond, the factors have lost what a double holds
_MAX_GROWTH = 1e12
_GROUP = 4  # error terms that share one division
_SHARE = 0.5  # of the tolerance that one step may use: the errors of steps add up

SIGNATURES = {
    **{f"combine{s}": "ptr %ws, i64 %states, i64 %algebraic" for s in range(rodas5p.STAGES)},
    "clip": "ptr %ws", "error": "ptr %ws, i64 %states", "control": "ptr %ws",
    "dense": "ptr %ws, i64 %states", "dense_lane": "ptr %ws, i64 %states",
    "dense_some": "ptr %ws, i64 %states, ptr %which, i64 %count",
    "move": "ptr %ws, i64 %states", "enter": "ptr %ws, i64 %states",
}  # fmt: skip
"""The functions and their arguments: the workspace, how many states, how many of these (the last) have rules, and
which are wanted and how many these are."""


def declarations() -> str:
    """Return the text that lets another module call the functions."""
    return "\n".join(f"declare void @{name}({arguments})" for name, arguments in SIGNATURES.items())


def attributes(lanes: Lanes) -> str:
    """Return the attributes of all functions.

    Without `alignstack`, vectors that leave the registers straddle cache lines, which costs a third of all time.
    """
    width = 64 * lanes.width
    wide = f'"prefer-vector-width"="{width}" "min-legal-vector-width"="{width}"'
    return f"attributes #0 = {{ nounwind alignstack=64 {wide} }}"


class StepLibrary:
    """Writes the functions of `SIGNATURES` for a width; `explicit_time` where derivatives depend on time."""

    def __init__(self, *, width: int, explicit_time: bool) -> None:
        self.lanes, self.explicit_time = Lanes(width), explicit_time
        self.weights = rodas5p.time_weights()
        # a part begins so many rows, and so many for each pair of states, after the workspace does
        self.none, self.pair = _layout(states=0, width=width), _layout(states=PAIR, width=width)

    def module(self) -> str:
        """Return the module's text."""
        functions = [self._combine(s) for s in range(rodas5p.STAGES)]
        functions += [
            self._clip(), self._error(), self._control(), self._dense(), self._dense_lane(), self._dense_some(),
            self._move(), self._enter(),
        ]  # fmt: skip
        return "\n".join((library(self.lanes), *functions, attributes(self.lanes)))

    def _function(self, name: str, text: str) -> str:
        return f"define void @{name}({SIGNATURES[name]}) #0 {{\nentry:\n{text}  ret void\n}}"

    def _parts(self, *names: str) -> str:
        """Return instructions for the addresses `%NAME.p` of parts with rows for each state; `k3` is a stage."""
        v, text = self.lanes, f"  %more = add i64 %states, {PAIR - 1}\n  %even = and i64 %more, {-PAIR}\n"
        for name in names:
            part, stage = ("stages", int(name[1:])) if name[1:].isdigit() else (name, 0)
            fixed = getattr(self.none, part)
            each = (getattr(self.pair, part) - fixed) // PAIR + stage
            text += f"  %{name}.s = mul i64 %even, {each * v.bytes}\n"
            text += f"  %{name}.b = add i64 %{name}.s, {fixed * v.bytes}\n"
            text += f"  %{name}.p = getelementptr inbounds i8, ptr %ws, i64 %{name}.b\n"
        return text

    def _loop(self, tag: str, before: str, *, first: str, last: str, each: int, body: str, phi: str = "") -> str:
        """Return a loop over states, `each` at a time; `%TAG.i` is the state and `%TAG.at` its row."""
        return (
            f"  br label %{tag}\n{tag}:\n  %{tag}.i = phi i64 [{first}, %{before}], [%{tag}.next, %{tag}.do]\n{phi}"
            f"  %{tag}.next = add i64 %{tag}.i, {each}\n  %{tag}.more = icmp ule i64 %{tag}.next, {last}\n"
            f"  br i1 %{tag}.more, label %{tag}.do, label %{tag}.done\n{tag}.do:\n"
            f"{self._offset(tag)}{body}  br label %{tag}\n{tag}.done:\n"
        )

    def _pairs(self, body: Callable[[int], str], tag: str = "each", before: str = "entry") -> str:
        """Return a loop over pairs of states; `body` writes what it does with each state of a pair."""
        text = "".join(body(k) for k in range(PAIR))
        return self._loop(tag, before, first="0", last="%even", each=PAIR, body=text)

    def _offset(self, tag: str) -> str:
        return f"  %{tag}.at = mul i64 %{tag}.i, {self.lanes.bytes}\n"

    def _place(self, name: str, part: str, tag: str, state: int) -> str:
        """Return instructions for the address of a row: of the state of a loop or so many after it, or alone."""
        if not tag:
            return (
                f"  %{name} = getelementptr inbounds i8, ptr %ws, i64 {getattr(self.none, part) * self.lanes.bytes}\n"
            )
        text = f"  %{name}.l = getelementptr inbounds i8, ptr %{part}.p, i64 %{tag}.at\n"
        return text + f"  %{name} = getelementptr inbounds i8, ptr %{name}.l, i64 {state * self.lanes.bytes}\n"

    def _load(self, name: str, part: str, tag: str = "", state: int = 0) -> str:
        v = self.lanes
        address = self._place(f"{name}.a", part, tag, state)
        return address + f"  %{name} = load {v.double}, ptr %{name}.a, align {v.bytes}\n"

    def _load_lane(self, name: str, part: str, tag: str, state: int) -> str:
        """Return instructions for `%name`, what lane `%lane.i` holds in a row, in every lane."""
        text = self._place(f"{name}.a", part, tag, state)
        text += f"  %{name}.o = getelementptr inbounds double, ptr %{name}.a, i64 %lane.i\n"
        return text + f"  %{name}.d = load double, ptr %{name}.o, align 8\n" + self._splat(name, f"%{name}.d")

    def _store(self, value: str, name: str, part: str, tag: str = "", state: int = 0) -> str:
        v = self.lanes
        address = self._place(f"{name}.a", part, tag, state)
        return address + f"  store {v.double} {value}, ptr %{name}.a, align {v.bytes}\n"

    def _splat(self, name: str, number: str) -> str:
        """Return instructions for `%name`, a scalar in every lane."""
        v = self.lanes
        text = f"  %{name}.0 = insertelement {v.double} poison, double {number}, i64 0\n"
        return (
            text
            + f"  %{name} = shufflevector {v.double} %{name}.0, {v.double} poison, <{v.width} x i32> zeroinitializer\n"
        )

    def _call(self, result: str, function: str, *args: str) -> str:
        d = self.lanes.double
        return f"  {result} = call {d} {function}({', '.join(f'{d} {a}' for a in args)})\n"

    def _llvm(self, result: str, function: str, *args: str) -> str:
        return self._call(result, f"@llvm.{function}.{self.lanes.suffix}", *args)

    def _fma(self, result: str, a: str, b: str, c: str) -> str:
        return self._llvm(result, "fma", a, b, c)

    def _op(self, result: str, operation: str, a: str, b: str) -> str:
        return f"  {result} = {operation} {self.lanes.double} {a}, {b}\n"

    def _compare(self, result: str, how: str, a: str, b: str) -> str:
        return f"  {result} = fcmp {how} {self.lanes.double} {a}, {b}\n"

    def _select(self, result: str, condition: str, yes: str, no: str) -> str:
        v = self.lanes
        return f"  {result} = select {v.truth} {condition}, {v.double} {yes}, {v.double} {no}\n"

    def _both(self, result: str, operation: str, a: str, b: str) -> str:
        return f"  {result} = {operation} {self.lanes.truth} {a}, {b}\n"

    def _not(self, result: str, a: str) -> str:
        return f"  {result} = xor {self.lanes.truth} {a}, splat (i1 true)\n"

    def _combine(self, stage: int) -> str:
        """Write the stage's argument into `trial`, and inflow + sum C k / h + h d df/dt into the stage.

        The first stage's argument is the state. Of an algebraic rule's sum nothing but the last counts. Inflows are
        looked at only where a lane has one. Where time counts, `clock` is the stage's.
        """
        n, last = self.lanes.number, f"k{stage}"
        timed = self.explicit_time and abs(self.weights[stage]) > 1e-12
        stages = [f"k{j}" for j in range(stage + 1)]
        text = self._parts("state", "trial", "inflow", *stages, *(["by_time"] if timed else []))
        text += self._load("h", "step") + self._op("%inverse", "fdiv", n(1.0), "%h")
        text += self._op("%hd", "fmul", "%h", n(self.weights[stage]))
        if self.explicit_time:
            text += self._load("now", "time") + self._fma("%then", n(rodas5p.NODES[stage]), "%h", "%now")
            text += self._store("%then", "to.clock", "clock")
        text += self._place("infused.a", "infused", "", 0) + "  %infused = load double, ptr %infused.a, align 8\n"
        text += f"  %pours = fcmp une double %infused, {literal(0.0)}\n  br i1 %pours, label %wets, label %drys\n"
        for tag in ("wet", "dry"):
            text += f"{tag}s:\n" + self._pairs(functools.partial(self._combined, stage, timed, tag), tag, f"{tag}s")
            text += "  br label %sums\n"
        body, value = "", n(0.0)
        if timed:
            body, value = self._load("rt", "by_time", "rule") + self._op("%rule.d", "fmul", "%hd", "%rt"), "%rule.d"
        body += self._store(value, "to.r", last, "rule")
        text += "sums:\n  %rules = sub i64 %states, %algebraic\n"
        text += self._loop("rule", "sums", first="%rules", last="%states", each=1, body=body)
        return self._function(f"combine{stage}", text)

    def _combined(self, stage: int, timed: bool, tag: str, k: int) -> str:
        """Return what is done with one state; it has an inflow where the tag is `wet`."""
        n, name = self.lanes.number, f"{tag}{k}"
        # the last stages' arguments are the one before's plus its result: the method is stiffly accurate
        follows = stage > 1 and rodas5p.A[stage] == (*rodas5p.A[stage - 1], 1.0)
        text = self._load(f"y.{name}", "trial" if follows else "state", tag, k) if stage else ""
        argument, total = f"%y.{name}", ""
        for j in range(stage):
            value, a, c = f"%v{j}.{name}", rodas5p.A[stage][j], n(rodas5p.C[stage][j])
            text += self._load(value[1:], f"k{j}", tag, k)
            if a and (not follows or j == stage - 1):
                text += self._fma(f"%u{j}.{name}", n(a), value, argument)
                argument = f"%u{j}.{name}"
            new = f"%g{j}.{name}"
            text += self._fma(new, c, value, total) if total else self._op(new, "fmul", c, value)
            total = new
        result = n(0.0)
        if tag == "wet":
            text += self._load(f"in.{name}", "inflow", tag, k)
            result = f"%in.{name}"
        if stage:
            text += self._store(argument, f"to.u.{name}", "trial", tag, k)
            text += self._fma(f"%sum.{name}", total, "%inverse", result)
            result = f"%sum.{name}"
        if timed:
            text += self._load(f"ft.{name}", "by_time", tag, k)
            text += self._fma(f"%timed.{name}", "%hd", f"%ft.{name}", result)
            result = f"%timed.{name}"
        return text + self._store(result, f"to.k.{name}", f"k{stage}", tag, k)

    def _clip(self) -> str:
        """Shorten the steps that would pass, or all but reach, the lane's stop."""
        text = self._load("time", "time") + self._load("step", "step") + self._load("stop", "stop")
        text += self._fma("%ahead", "%step", self.lanes.number(1.0001), "%time")
        text += self._op("%left", "fsub", "%stop", "%time") + self._compare("%hits", "oge", "%ahead", "%stop")
        text += self._select("%h", "%hits", "%left", "%step") + self._store("%h", "to.step", "step")
        return self._function("clip", text)

    def _error(self) -> str:
        """Write the new state into `trial`, and into `error` the mean square of the errors over what a step may err."""
        n = self.lanes.number
        text = self._parts("state", "trial", f"k{rodas5p.STAGES - 1}", "atol") + self._load("rtol", "rtol")
        text += f"  %count = uitofp i64 %states to double\n  %most = fmul double %count, {literal(_SHARE**2)}\n"
        text += f"  %part = fdiv double {literal(1.0)}, %most\n" + self._splat("parts", "%part")
        text += self._errors("four", "entry", first="0", sums=[n(0.0)] * _GROUP)
        text += self._errors("two", "four.done", first="%four.i", sums=["%four0", "%four1"])
        text += self._op("%t0", "fadd", "%two0", "%two1") + self._op("%t1", "fadd", "%four2", "%four3")
        text += self._op("%t2", "fadd", "%t0", "%t1") + self._op("%mean", "fmul", "%t2", "%parts")
        return self._function("error", text + self._store("%mean", "to.error", "error"))

    def _errors(self, tag: str, before: str, *, first: str, sums: Sequence[str]) -> str:
        """Add the squared scaled errors to as many sums at once, with one division for all: (1/ab) b = 1/a."""
        v, count = self.lanes, len(sums)
        phi = "".join(
            f"  %{tag}{g} = phi {v.double} [{start}, %{before}], [%{tag}{g}.n, %{tag}.do]\n"
            for g, start in enumerate(sums)
        )
        text, product = f"  %{tag}.packed = mul i64 %{tag}.i, 8\n", ""
        for g in range(count):
            n = f"{tag}{g}"
            text += self._load(f"y.{n}", "state", tag, g) + self._load(f"u.{n}", "trial", tag, g)
            text += self._load(f"k.{n}", f"k{rodas5p.STAGES - 1}", tag, g)
            text += f"  %aa.{n} = getelementptr inbounds i8, ptr %atol.p, i64 %{tag}.packed\n"
            text += f"  %ab.{n} = getelementptr inbounds i8, ptr %aa.{n}, i64 {8 * g}\n"
            text += f"  %ac.{n} = load double, ptr %ab.{n}, align 8\n" + self._splat(f"atol.{n}", f"%ac.{n}")
            text += self._op(f"%new.{n}", "fadd", f"%u.{n}", f"%k.{n}")
            text += self._llvm(f"%ay.{n}", "fabs", f"%y.{n}") + self._llvm(f"%an.{n}", "fabs", f"%new.{n}")
            text += self._compare(f"%more.{n}", "ogt", f"%ay.{n}", f"%an.{n}")
            text += self._select(f"%size.{n}", f"%more.{n}", f"%ay.{n}", f"%an.{n}")
            text += self._fma(f"%scale.{n}", f"%size.{n}", "%rtol", f"%atol.{n}")
            text += self._store(f"%new.{n}", f"to.{n}", "trial", tag, g)
            if g:
                text += self._op(f"%p.{n}", "fmul", product, f"%scale.{n}")
            product = f"%p.{n}" if g else f"%scale.{n}"
        text += self._op(f"%inv.{tag}{count - 1}", "fdiv", v.number(1.0), product)
        for g in range(count - 1, -1, -1):
            n, above, inverse = f"{tag}{g}", f"{tag}{g - 1}", f"%inv.{tag}{g}"
            if g:
                text += self._op(f"%one.{n}", "fmul", inverse, f"%p.{above}" if g > 1 else f"%scale.{above}")
                text += self._op(f"%inv.{above}", "fmul", inverse, f"%scale.{n}")
                inverse = f"%one.{n}"
            text += self._op(f"%quotient.{n}", "fmul", f"%k.{n}", inverse)
            ratio = f"%quotient.{n}"
            if not g:  # NaN where a new state or the product is not finite, which would hide any error
                text += self._fma(f"%checked.{n}", product, v.number(0.0), ratio)
                ratio = f"%checked.{n}"
            text += self._fma(f"%{n}.n", ratio, ratio, f"%{n}")
        return self._loop(tag, before, first=first, last="%even", each=count, body=text, phi=phi)

    def _control(self) -> str:
        """Accept or reject each lane's attempt, choose its next step, and mark the lanes that the driver must see.

        The step changes by 0.9 error^(-1/5), within 1/5 and 6, not above 1 after a rejection (Hairer, Wanner 1996,
        section IV.7). After a stop it may grow a thousandfold until the error has something to say: the first step
        follows the fastest state, which a dose can drive from 0, and may be shorter by ten orders than what is needed.
        """
        v, n, compare, text = self.lanes, self.lanes.number, self._compare, ""
        for name in (
            "time", "step", "stop", "sample_at", "resolution", "limit", "attempts", "rejected", "starting", "growth",
            "error",
        ):  # fmt: skip
            text += self._load(name, name)
        text += self._op("%tries", "fadd", "%attempts", n(1.0)) + compare("%spent", "ogt", "%tries", "%limit")
        text += compare("%small", "ole", "%error", n(1.0)) + compare("%sound", "olt", "%growth", n(_MAX_GROWTH**2))
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
            text += self._store(value, f"to.{name}", name)
        text += f"  %bits = bitcast {v.truth} %attention to i{v.width}\n"
        text += f"  %mask = uitofp i{v.width} %bits to double\n" + self._place("mask.a", "attention", "", 0)
        return self._function("control", text + "  store double %mask, ptr %mask.a, align 8\n")

    def _dense(self) -> str:
        """Write all states at `theta` of the step into `sampled`: the method's dense output."""
        text = self._pairs(functools.partial(self._sampled, "each", self._load))
        return self._function("dense", self._dense_weights() + text)

    def _dense_lane(self) -> str:
        """Do the same for one lane, at the times that all lanes of `theta` say."""
        text = self._dense_weights() + self._place("lane.a", "lane", "", 0)
        text += "  %lane.d = load double, ptr %lane.a, align 8\n  %lane.i = fptoui double %lane.d to i64\n"
        text += self._pairs(functools.partial(self._sampled, "each", self._load_lane))
        return self._function("dense_lane", text)

    def _dense_some(self) -> str:
        """Do the same for the states of a list, for every lane; write the time into `clock`."""
        text = self._dense_weights() + self._load("now", "time") + self._load("h", "step")
        text += self._fma("%then", "%theta", "%h", "%now") + self._store("%then", "to.clock", "clock")
        place = "  %place = getelementptr inbounds i64, ptr %which, i64 %k.i\n"
        body = place + "  %each.i = load i64, ptr %place, align 8\n" + self._offset("each")
        body += self._sampled("each", self._load, 0)
        text += self._loop("k", "entry", first="0", last="%count", each=1, body=body)
        return self._function("dense_some", text)

    def _dense_weights(self) -> str:
        n = self.lanes.number
        text = self._parts("state", "trial", "sampled", *(f"k{j}" for j in range(rodas5p.STAGES)))
        text += self._load("theta", "theta")
        text += self._op("%rest", "fsub", n(1.0), "%theta") + self._op("%hump", "fmul", "%theta", "%rest")
        for j in range(rodas5p.STAGES):
            d0, d1, d2 = (n(row[j]) for row in rodas5p.DENSE)
            text += self._fma(f"%p{j}", "%theta", d2, d1) + self._fma(f"%q{j}", "%theta", f"%p{j}", d0)
            text += self._op(f"%w{j}", "fmul", "%hump", f"%q{j}")
        return text

    def _sampled(self, tag: str, load: Callable[[str, str, str, int], str], k: int) -> str:
        text = load(f"y{k}", "state", tag, k) + load(f"new{k}", "trial", tag, k)
        text += self._op(f"%change{k}", "fsub", f"%new{k}", f"%y{k}")
        text += self._fma(f"%u{k}", "%theta", f"%change{k}", f"%y{k}")
        total = f"%u{k}"
        for j in range(rodas5p.STAGES):
            text += load(f"v{j}.{k}", f"k{j}", tag, k) + self._fma(f"%s{j}.{k}", f"%w{j}", f"%v{j}.{k}", total)
            total = f"%s{j}.{k}"
        return text + self._store(total, f"to.s{k}", "sampled", tag, k)

    def _move(self) -> str:
        """Move the lanes that accept to the trial state and the time reached; give every lane its next step."""
        n, text = self.lanes.number, self._parts("state", "trial")
        for name in ("accept", "time", "reached", "next_step"):
            text += self._load(name, name)
        text += self._compare("%yes", "une", "%accept", n(0.0)) + self._select("%now", "%yes", "%reached", "%time")
        text += self._select("%rejected", "%yes", n(0.0), n(1.0))
        for name, value in (("time", "%now"), ("step", "%next_step"), ("rejected", "%rejected")):
            text += self._store(value, f"to.{name}", name)

        def state(g: int) -> str:
            text = self._load(f"y{g}", "state", "each", g) + self._load(f"u{g}", "trial", "each", g)
            text += self._select(f"%new{g}", "%yes", f"%u{g}", f"%y{g}")
            return text + self._store(f"%new{g}", f"to.y{g}", "state", "each", g)

        return self._function("move", text + self._pairs(state))

    def _enter(self) -> str:
        """Write the inflow into the first stage, where a slope is added to it."""

        def state(g: int) -> str:
            return self._load(f"in{g}", "inflow", "each", g) + self._store(f"%in{g}", f"to.k{g}", "k0", "each", g)

        return self._function("enter", self._parts("inflow", "k0") + self._pairs(state))


def _layout(*, states: int, width: int) -> Layout:
    """Return the layout as far as `atol`: what comes after depends on the model."""
    return plan_layout(states=states, constants=0, hoisted=0, factors=0, edges=0, width=width)
