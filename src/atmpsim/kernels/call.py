"""What compiled Python lacks: call machine code at an address, reach arrays, set how tiny numbers are treated."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

_njit: Any = njit  # its stubs do not know every option

inner_with_arrays = _njit(error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compile a function that only compiled ones call: wrappers for Python would take half of the time."""

inner = _njit(error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
"""Compile such a function that makes no arrays."""


@intrinsic
def call_address(typing_context: Any, address: Any, argument: Any) -> Any:
    """Call the C function `void f(void *)` at `address` with the pointer `argument`, both integers."""
    signature = types.void(address, argument)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = ir.FunctionType(ir.VoidType(), [ir.IntType(64)]).as_pointer()
        builder.call(builder.inttoptr(values[0], pointer), [values[1]])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def to_pointer(typing_context: Any, address: Any, kind: Any) -> Any:
    """Return the integer `address` as a pointer to numbers of a type."""
    pointer = types.CPointer(kind.dtype)
    signature = pointer(address, kind)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(pointer))

    return signature, generate


@intrinsic
def lowest_bit(typing_context: Any, mask: Any) -> Any:
    """Return the place of the lowest bit that is set in an integer other than 0."""
    signature = types.int64(types.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _call(builder, "llvm.cttz.i64", ir.IntType(64), [values[0], ir.Constant(ir.IntType(1), 1)])

    return signature, generate


@intrinsic
def bits_to_float(typing_context: Any, bits: Any) -> Any:
    """Return the float64 whose bits an integer holds."""
    signature = types.float64(bits)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.DoubleType())

    return signature, generate


_PROCESSOR = llvm.get_process_triple().partition("-")[0]
_X86, _ARM = _PROCESSOR in ("x86_64", "i686"), _PROCESSOR in ("aarch64", "arm64")

FLUSH_TINY = 0x8040 if _X86 else 1 << 24 if _ARM else 0
"""Bits of the floating-point mode that take numbers below 2.2e-308 for 0; processors compute with them very slowly."""


@intrinsic
def float_mode(typing_context: Any) -> Any:
    """Return the floating-point mode of this thread."""
    signature = types.int64()

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _X86:
            place = builder.alloca(ir.IntType(32))
            _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), [_as_bytes(builder, place)])
            return builder.zext(builder.load(place), ir.IntType(64))
        if _ARM:
            return _call(builder, "llvm.aarch64.get.fpcr", ir.IntType(64), [])
        return ir.Constant(ir.IntType(64), 0)

    return signature, generate


@intrinsic
def set_float_mode(typing_context: Any, mode: Any) -> Any:
    """Set the floating-point mode of this thread."""
    signature = types.void(types.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _X86:
            place = builder.alloca(ir.IntType(32))
            builder.store(builder.trunc(values[0], ir.IntType(32)), place)
            _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [_as_bytes(builder, place)])
        elif _ARM:
            _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), [values[0]])
        return context.get_dummy_value()

    return signature, generate


def _as_bytes(builder: Any, place: Any) -> Any:
    return builder.bitcast(place, ir.IntType(8).as_pointer())


def _call(builder: Any, name: str, returns: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(returns, [a.type for a in arguments])
    known = builder.module.globals.get(name)
    return builder.call(known if known is not None else ir.Function(builder.module, kind, name), arguments)
