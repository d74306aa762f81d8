"""Operations on vectors of eight numbers, as machine code within compiled Python.

No operation may be contracted or re-ordered by the compiler: what it would choose depends on which functions it has
compiled before, and results with it. Multiply-adds and the order of sums are therefore written down.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 8
REAL, WHOLE, HALF = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
VECTOR = ir.VectorType(REAL, LANES)


def whole(value: int) -> ir.Constant:
    """Return a constant integer."""
    return ir.Constant(WHOLE, value)


class Writer:
    """Vector operations on numbers at addresses."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def pointer(self, address: Any, index: Any, kind: Any = REAL) -> Any:
        b = self.builder
        return b.inttoptr(b.add(address, b.mul(index, whole(8))), kind.as_pointer())

    def load(self, address: Any, index: Any) -> Any:
        return self.builder.load(self.pointer(address, index, VECTOR), align=8)

    def store(self, value: Any, address: Any, index: Any) -> None:
        self.builder.store(value, self.pointer(address, index, VECTOR), align=8)

    def spread(self, address: Any, index: Any) -> Any:
        """Return a vector of the number at a place."""
        return self.spread_value(self.builder.load(self.pointer(address, index), align=8))

    def spread_value(self, value: Any) -> Any:
        """Return a vector of one number."""
        b = self.builder
        first = b.insert_element(ir.Constant(VECTOR, ir.Undefined), value, ir.Constant(HALF, 0))
        return b.shuffle_vector(first, first, ir.Constant(ir.VectorType(HALF, LANES), [0] * LANES))

    def times_plus(self, x: Any, y: Any, z: Any) -> Any:
        """Return x y + z, rounded once."""
        kind = "f64" if x.type == REAL else f"v{x.type.count}f64"
        function = ir.FunctionType(x.type, [x.type] * 3)
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, function, f"llvm.fma.{kind}"), [x, y, z]
        )

    def less_times(self, z: Any, x: Any, y: Any) -> Any:
        """Return z - x y, rounded once."""
        return self.times_plus(self.builder.fneg(x), y, z)

    def total(self, value: Any) -> Any:
        """Return the sum of a vector: of its halves, and so on."""
        b = self.builder
        for step in (4, 2, 1):
            mask = [(k + step) % LANES for k in range(LANES)]
            other = b.shuffle_vector(value, value, ir.Constant(ir.VectorType(HALF, LANES), mask))
            value = b.fadd(value, other)
        return b.extract_element(value, ir.Constant(HALF, 0))

    def transpose(self, rows: list[Any]) -> list[Any]:
        """Return the columns of eight rows of eight, by exchanges of ever larger blocks."""
        b = self.builder
        for step in (1, 2, 4):
            low = [k if not k & step else LANES + k - step for k in range(LANES)]
            high = [k + step if not k & step else LANES + k for k in range(LANES)]
            masks = [ir.Constant(ir.VectorType(HALF, LANES), mask) for mask in (low, high)]
            new = list(rows)
            for k in range(LANES):
                if not k & step:
                    new[k], new[k + step] = (b.shuffle_vector(rows[k], rows[k + step], mask) for mask in masks)
            rows = new
        return rows


@intrinsic
def fused(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x y + z, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return Writer(builder).times_plus(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate
