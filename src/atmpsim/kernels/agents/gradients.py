"""Machine code for the passes of conjugate gradients over whole blocks of eight voxels."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from atmpsim.kernels.agents.vectors import LANES, REAL, VECTOR, Writer, whole

_LOOSE = ("contract", "nsz", "reassoc")
_ZERO = ir.Constant(VECTOR, [0.0] * LANES)


class _Passes(Writer):
    """What both passes share."""

    def fused(self, x: Any, y: Any, z: Any) -> Any:
        b = self.builder
        return b.fadd(b.fmul(x, y, flags=_LOOSE), z, flags=_LOOSE)

    def spread_value(self, value: Any) -> Any:
        b = self.builder
        half = ir.IntType(32)
        first = b.insert_element(ir.Constant(VECTOR, ir.Undefined), value, ir.Constant(half, 0))
        return b.shuffle_vector(first, first, ir.Constant(ir.VectorType(half, LANES), [0] * LANES))

    def where_free(self, inverse: Any, value: Any) -> Any:
        b = self.builder
        return b.select(b.fcmp_ordered("!=", inverse, _ZERO), value, _ZERO)

    def total(self, value: Any) -> Any:
        b = self.builder
        kind = ir.FunctionType(REAL, [REAL, VECTOR])
        add = cgutils.get_or_insert_function(b.module, kind, "llvm.vector.reduce.fadd.v8f64")
        return b.call(add, [ir.Constant(REAL, 0.0), value], fastmath=("reassoc",))


@intrinsic
def go_along(typing_context: Any, x: Any, residual: Any, search: Any, image: Any, inverse: Any, parts: Any, blocks: Any,
             alpha: Any) -> Any:  # fmt: skip
    """Go `alpha` along the search direction in some blocks; return the product of the residual and its scaled self.

    All but `alpha` are integers, all but `blocks` addresses; `parts` get the sum of each block's free residual.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, residual, search, image, inverse, parts, blocks, alpha = arguments
        w, b = _Passes(builder), builder
        step, back = w.spread_value(alpha), w.spread_value(b.fsub(ir.Constant(REAL, 0.0), alpha))
        sums = cgutils.alloca_once_value(b, _ZERO)
        b.store(_ZERO, sums)
        with cgutils.for_range(b, blocks) as loop:
            i = b.mul(loop.index, whole(LANES))
            w.store(w.fused(step, w.load(search, i), w.load(x, i)), x, i)
            r, scale = w.fused(back, w.load(image, i), w.load(residual, i)), w.load(inverse, i)
            w.store(r, residual, i)
            b.store(w.fused(b.fmul(r, scale, flags=_LOOSE), r, b.load(sums)), sums)
            b.store(w.total(w.where_free(scale, r)), w.pointer(parts, loop.index), align=8)
        return w.total(b.load(sums))

    return types.float64(*[types.int64] * 7, types.float64), generate


@intrinsic
def turn(typing_context: Any, search: Any, residual: Any, inverse: Any, values: Any, blocks: Any, beta: Any) -> Any:
    """Write the next search direction in some blocks: the scaled residual, each block's value, and `beta` the last.

    All but `beta` are integers, all but `blocks` addresses.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        search, residual, inverse, values, blocks, beta = arguments
        w, b = _Passes(builder), builder
        kept = w.spread_value(beta)
        with cgutils.for_range(b, blocks) as loop:
            i = b.mul(loop.index, whole(LANES))
            scale = w.load(inverse, i)
            z = w.fused(w.load(residual, i), scale, w.where_free(scale, w.spread(values, loop.index)))
            w.store(w.fused(kept, w.load(search, i), z), search, i)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, types.float64), generate
