"""Addresses in compiled Python: call machine code, reach arrays."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


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
def bits_to_float(typing_context: Any, bits: Any) -> Any:
    """Return the float64 whose bits an integer holds."""
    signature = types.float64(bits)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.DoubleType())

    return signature, generate
