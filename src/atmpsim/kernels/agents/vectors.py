"""Operations on vectors of eight numbers, as machine code within compiled Python."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

LANES = 8
REAL, WHOLE = ir.DoubleType(), ir.IntType(64)
VECTOR = ir.VectorType(REAL, LANES)
_FUSED = ("contract", "nsz")


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
        """Return a vector of one number."""
        b = self.builder
        one = b.load(self.pointer(address, index), align=8)
        empty = ir.Constant(VECTOR, ir.Undefined)
        first = b.insert_element(empty, one, ir.Constant(ir.IntType(32), 0))
        return b.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

    def times_plus(self, x: Any, y: Any, z: Any) -> Any:
        b = self.builder
        return b.fadd(b.fmul(x, y, flags=_FUSED), z, flags=_FUSED)

    def less_times(self, z: Any, x: Any, y: Any) -> Any:
        b = self.builder
        return b.fsub(z, b.fmul(x, y, flags=_FUSED), flags=_FUSED)

    def transpose(self, rows: list[Any]) -> list[Any]:
        """Return the columns of eight rows of eight, by exchanges of ever larger blocks."""
        b = self.builder
        for step in (1, 2, 4):
            low = [k if not k & step else LANES + k - step for k in range(LANES)]
            high = [k + step if not k & step else LANES + k for k in range(LANES)]
            masks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), mask) for mask in (low, high)]
            new = list(rows)
            for k in range(LANES):
                if not k & step:
                    new[k], new[k + step] = (b.shuffle_vector(rows[k], rows[k + step], mask) for mask in masks)
            rows = new
        return rows
