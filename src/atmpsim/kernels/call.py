"""Call machine code by its address from compiled Python."""

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
