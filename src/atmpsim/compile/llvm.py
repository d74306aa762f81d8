"""Compile a model's derivatives to machine code: expression graph -> LLVM IR -> a C function."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from atmpsim.model.equations import Equations
from atmpsim.model.graph import TIME, Graph, symbol_of

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_INTRINSICS = {
    "exp": "llvm.exp.f64", "ln": "llvm.log.f64", "sqrt": "llvm.sqrt.f64", "abs": "llvm.fabs.f64",
    "floor": "llvm.floor.f64", "ceil": "llvm.ceil.f64", "sin": "llvm.sin.f64", "cos": "llvm.cos.f64",
    "pow": "llvm.pow.f64", "min": "llvm.minimum.f64", "max": "llvm.maximum.f64",
    "rem": "fmod", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "asinh": "asinh", "acosh": "acosh", "atanh": "atanh",
}  # fmt: skip
_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARE = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_LOGIC = {"and": "and", "or": "or", "xor": "xor"}


@dataclass(frozen=True, kw_only=True)
class Derivatives:
    """Machine code that computes a model's derivatives.

    `call(t, y, p, dy)` takes time and the addresses of float64 arrays: `y` the states, `p` the constants in the
    order of the equations, `dy` the result.
    """

    call: Callable[[float, int, int, int], None]
    states: int
    constants: int
    # the code lives as long as its engine does
    _engine: object = field(repr=False)

    def __call__(self, t: float, y: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivatives at one point, as a new array."""
        y, p = np.ascontiguousarray(y, dtype=np.float64), np.ascontiguousarray(p, dtype=np.float64)
        if y.shape != (self.states,) or p.shape != (self.constants,):
            raise ValueError(f"expected {self.states} states and {self.constants} constants")
        result = np.empty(self.states)
        self.call(t, y.ctypes.data, p.ctypes.data, result.ctypes.data)
        return result


def compile_derivatives(equations: Equations) -> Derivatives:
    """Return compiled derivatives of a model's equations (cached for the life of the process)."""
    engine = load_object(compile_object("\n".join(_module(equations))))
    address = engine.get_function_address("derivatives")
    return Derivatives(
        call=_SIGNATURE(address), states=len(equations.states), constants=len(equations.constants), _engine=engine
    )


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _target() -> llvm.TargetMachine:
    _initialise()
    return llvm.Target.from_default_triple().create_target_machine(
        opt=2, cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), codemodel="jitdefault"
    )


def compile_object(text: str, *, level: int = 0) -> bytes:
    """Return the object code of a module's text for this CPU.

    Our own code leaves LLVM's passes nothing to improve: at level 0 it compiles in half the time and runs as fast.
    """
    target = _target()
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.slp_vectorization = False  # it doubles compile time and gained nothing on right-hand sides
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(target.emit_object(module))


def load_object(code: bytes) -> llvm.ExecutionEngine:
    """Return an engine that holds object code; the code lives as long as the engine."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())  # it takes the target over
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _module(equations: Equations) -> Iterator[str]:
    used = {str(equations.graph.nodes[n][0]) for n in equations.graph.needed(equations.derivatives)}
    for operation in sorted(used & _INTRINSICS.keys()):
        two = operation in ("pow", "min", "max", "rem")
        yield f"declare double @{_INTRINSICS[operation]}(double{', double' if two else ''})"
    yield "define void @derivatives(double %t, ptr noalias %y, ptr noalias %p, ptr noalias %dy) {"
    yield from _body(equations)
    yield "  ret void\n}"


def _body(equations: Equations) -> Iterator[str]:
    graph = equations.graph
    leaves = {symbol_of(s): ("%y", k) for k, s in enumerate(equations.states)}
    leaves |= {symbol_of(c): ("%p", k) for k, c in enumerate(equations.constants)}
    names: dict[int, str] = {}
    for node in graph.needed(equations.derivatives):
        value = graph.value(node)
        if value is not None:
            names[node] = _literal(value)
        elif graph.nodes[node] == ("symbol", TIME):
            names[node] = "%t"
        else:
            names[node] = f"%v{node}"
            yield from _instructions(graph, node, names, leaves)
    for k, node in enumerate(equations.derivatives):
        yield f"  %o{k} = getelementptr double, ptr %dy, i64 {k}"
        yield f"  store double {names[node]}, ptr %o{k}"


def _instructions(graph: Graph, node: int, names: dict[int, str], leaves: dict[str, tuple[str, int]]) -> Iterator[str]:
    operation, result = str(graph.nodes[node][0]), names[node]
    if operation == "symbol":
        array, index = leaves[str(graph.nodes[node][1])]
        yield f"  %a{node} = getelementptr double, ptr {array}, i64 {index}"
        yield f"  {result} = load double, ptr %a{node}"
        return
    args = [names[c] for c in graph.children(node)]
    if operation in _ARITHMETIC:
        yield f"  {result} = {_ARITHMETIC[operation]} double {args[0]}, {args[1]}"
    elif operation == "neg":
        yield f"  {result} = fneg double {args[0]}"
    elif operation in _INTRINSICS:
        yield f"  {result} = call double @{_INTRINSICS[operation]}({', '.join('double ' + a for a in args)})"
    else:
        yield from _logic(operation, node, result, args)


def _logic(operation: str, node: int, result: str, args: list[str]) -> Iterator[str]:
    if operation == "select":
        yield f"  %c{node} = fcmp une double {args[0]}, {_literal(0.0)}"
        yield f"  {result} = select i1 %c{node}, double {args[1]}, double {args[2]}"
        return
    if operation in _COMPARE:
        yield f"  %c{node} = fcmp {_COMPARE[operation]} double {args[0]}, {args[1]}"
    elif operation == "not":
        yield f"  %c{node} = fcmp oeq double {args[0]}, {_literal(0.0)}"
    else:
        for k, arg in enumerate(args):
            yield f"  %b{node}_{k} = fcmp une double {arg}, {_literal(0.0)}"
        yield f"  %c{node} = {_LOGIC[operation]} i1 %b{node}_0, %b{node}_1"
    yield f"  {result} = uitofp i1 %c{node} to double"


def _literal(value: float) -> str:
    if math.isnan(value):
        return "0x7FF8000000000000"
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
