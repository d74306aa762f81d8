"""Compile a model's derivatives to machine code: expression graph -> LLVM IR -> a C function."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from atmpsim.model.equations import Equations
from atmpsim.model.graph import TIME, Graph, symbol_of

_Leaves = Mapping[str, tuple[str, int]]
_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_INTRINSICS = {
    "exp": "llvm.exp.f64", "ln": "llvm.log.f64", "sqrt": "llvm.sqrt.f64", "abs": "llvm.fabs.f64",
    "floor": "llvm.floor.f64", "ceil": "llvm.ceil.f64", "sin": "llvm.sin.f64", "cos": "llvm.cos.f64",
    "pow": "llvm.pow.f64", "min": "llvm.minimum.f64", "max": "llvm.maximum.f64",
    "rem": "fmod", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "asinh": "asinh", "acosh": "acosh", "atanh": "atanh",
    "factorial": "tgamma",
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
    made = compile_formulas(
        equations.graph, {"derivatives": equations.derivatives}, states=equations.states, constants=equations.constants
    )["derivatives"]
    return Derivatives(call=made.call, states=len(equations.states), constants=len(equations.constants), _engine=made)


@dataclass(frozen=True, kw_only=True)
class Formulas:
    """Machine code of some formulas: `call` is as for `Derivatives`, its result has `count` numbers."""

    call: Callable[[float, int, int, int], None]
    count: int
    _engine: object = field(repr=False)

    def __call__(self, t: float, y: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the formulas' values, as a new array; `y` and `p` are contiguous float64 arrays."""
        result = np.empty(self.count)
        if self.count:
            self.call(t, _address(y), _address(p), _address(result))
        return result


def _address(array: NDArray[np.float64]) -> int:
    """Return where a writable array's numbers begin; some times faster than `array.ctypes`."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array.data)) if array.size else 0


def compile_formulas(
    graph: Graph, groups: Mapping[str, Sequence[int]], *, states: Sequence[str], constants: Sequence[str]
) -> dict[str, Formulas]:
    """Return machine code of groups of formulas over states, constants and time, one function per group."""
    leaves = {symbol_of(s): ("%y", k) for k, s in enumerate(states)}
    leaves |= {symbol_of(c): ("%p", k) for k, c in enumerate(constants)}
    engine = load_object(compile_object("\n".join(_module(graph, groups, leaves))))
    return {
        name: Formulas(call=_SIGNATURE(engine.get_function_address(name)), count=len(roots), _engine=engine)
        for name, roots in groups.items()
    }


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _target() -> llvm.TargetMachine:
    _initialise()
    return llvm.Target.from_default_triple().create_target_machine(
        opt=2, cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), codemodel="jitdefault"
    )


def compile_object(text: str) -> bytes:
    """Return the object code of a module's text for this CPU.

    Without LLVM's passes: our own code leaves them nothing to improve, and compiles in half the time.
    """
    target = _target()
    module = llvm.parse_assembly(text)
    module.verify()
    _run_passes(module, target, level=0)
    return bytes(target.emit_object(module))


def optimise(text: str) -> str:
    """Return a module's text after LLVM's passes, as good for any CPU of this kind."""
    _initialise()
    module = llvm.parse_assembly(text)
    _run_passes(module, llvm.Target.from_default_triple().create_target_machine(), level=2)
    return str(module)


def _run_passes(module: llvm.ModuleRef, target: llvm.TargetMachine, *, level: int) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.slp_vectorization = options.loop_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)


def load_object(*codes: bytes) -> llvm.ExecutionEngine:
    """Return an engine that holds object code, linked where there are several; it lives as long as the engine."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())  # it takes the target over
    for code in codes:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _module(graph: Graph, groups: Mapping[str, Sequence[int]], leaves: _Leaves) -> Iterator[str]:
    used = {str(graph.nodes[n][0]) for roots in groups.values() for n in graph.needed(roots)}
    for operation in sorted(used & _INTRINSICS.keys()):
        two = operation in ("pow", "min", "max", "rem")
        yield f"declare double @{_INTRINSICS[operation]}(double{', double' if two else ''})"
    for name, roots in groups.items():
        yield f"define void @{name}(double %t, ptr noalias %y, ptr noalias %p, ptr noalias %out) {{"
        yield from _body(graph, roots, leaves)
        yield "  ret void\n}"


def _body(graph: Graph, roots: Sequence[int], leaves: _Leaves) -> Iterator[str]:
    names: dict[int, str] = {}
    for node in graph.needed(roots):
        value = graph.value(node)
        if value is not None:
            names[node] = _literal(value)
        elif graph.nodes[node] == ("symbol", TIME):
            names[node] = "%t"
        else:
            names[node] = f"%v{node}"
            yield from _instructions(graph, node, names, leaves)
    for k, node in enumerate(roots):
        yield f"  %o{k} = getelementptr double, ptr %out, i64 {k}"
        yield f"  store double {names[node]}, ptr %o{k}"


def _instructions(graph: Graph, node: int, names: dict[int, str], leaves: _Leaves) -> Iterator[str]:
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
    elif operation == "factorial":  # gamma(x + 1)
        yield f"  %n{node} = fadd double {args[0]}, {_literal(1.0)}"
        yield f"  %g{node} = call double @tgamma(double %n{node})"
        yield f"  %d{node} = fcmp oge double {args[0]}, {_literal(0.0)}"
        yield f"  {result} = select i1 %d{node}, double %g{node}, double {_literal(math.nan)}"
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
