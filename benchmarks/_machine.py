"""What one core of this machine can do at most, and how much of it a model's machine code asks for."""

from __future__ import annotations

import re
import time

import numpy as np

from atmpsim.compile.lanes import Emitter
from atmpsim.compile.llvm import compile_object, load_object
from atmpsim.compile.lowering import lower
from atmpsim.compile.sparse_lu import plan_elimination
from atmpsim.compile.step_library import StepLibrary
from atmpsim.engines.program import Program
from atmpsim.kernels import rodas5p

_CHAINS, _ROUNDS = 12, 2_000_000


def fma_peak() -> float:
    """Return the fused multiply-adds of independent chains of full vectors, in floating-point operations a second."""
    import ctypes

    width = 8
    kind = f"<{width} x double>"
    chains = range(_CHAINS)
    text = [
        f"declare {kind} @llvm.fma.v{width}f64({kind}, {kind}, {kind})",
        "define void @peak(ptr %ws, i64 %rounds) #0 {\nentry:",
        f"  %x = load {kind}, ptr %ws, align 8\n  br label %loop\nloop:",
        "  %i = phi i64 [0, %entry], [%next, %loop]",
        *(f"  %a{k} = phi {kind} [%x, %entry], [%b{k}, %loop]" for k in chains),
        *(f"  %b{k} = call {kind} @llvm.fma.v{width}f64({kind} %a{k}, {kind} %x, {kind} %x)" for k in chains),
        "  %next = add i64 %i, 1\n  %end = icmp eq i64 %next, %rounds\n  br i1 %end, label %exit, label %loop\nexit:",
        *(f"  %s{k} = fadd {kind} %b{k}, {f'%s{k - 1}' if k else '%x'}" for k in chains),
        f"  store {kind} %s{_CHAINS - 1}, ptr %ws, align 8\n  ret void\n}}",
        'attributes #0 = { nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" }',
    ]
    engine = load_object(compile_object("\n".join(text)))
    peak = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(engine.get_function_address("peak"))
    memory, best = np.zeros(width), np.inf
    for _ in range(5):
        started = time.perf_counter()
        peak(memory.ctypes.data, _ROUNDS)
        best = min(best, time.perf_counter() - started)
    return 2.0 * _ROUNDS * _CHAINS * width / best


def flops_per_attempt(program: Program, *, width: int) -> float:
    """Return the floating-point operations of one attempt in one lane, counted in the code that is compiled.

    A fused multiply-add counts as two operations, an addition, multiplication or division as one.
    """
    names, pieces = program.equations.states, program.pieces
    states, lowered = len(names), lower(pieces, names)
    elimination = plan_elimination(states + lowered.hubs, lowered.pattern)
    emitter = Emitter(lowered, elimination, states=names, constants=pieces.constants, width=width)
    text = emitter.module()[0] + "\n" + StepLibrary(width=width, explicit_time=bool(lowered.by_time)).module()
    counts: dict[str, int] = {}  # of a function, with those of the library's that it calls, which stand before it
    for name, body in re.findall(r"define (?:internal )?(?:<[^>]*>|void) @(\w+)\([^{]*\{\n(.*?)\n\}", text, re.S):
        called = re.findall(r"call [^@\n]*@(lane_\w+)\(", body)
        counts[name] = _count(body) + sum(counts[function] for function in called)
    stages = rodas5p.STAGES
    total = stages * (counts["slope"] + counts["solve"]) + counts["control"]
    total += sum(n for name, n in counts.items() if name.startswith("factorise"))
    # loops over pairs, with inflows and without; and over four states and two
    total += states / 4 * sum(counts[f"combine{s}"] for s in range(stages)) + states / 6 * counts["error"]
    return float(total)


def _count(body: str) -> int:
    return 2 * body.count("@llvm.fma") + len(re.findall(r" = f(?:add|sub|mul|div) ", body))
