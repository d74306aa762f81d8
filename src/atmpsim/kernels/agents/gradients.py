"""Machine code for the passes of conjugate gradients over whole blocks of eight voxels, and for their sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from atmpsim.kernels.agents.vectors import HALF, LANES, REAL, VECTOR, Writer, whole

_ZERO = ir.Constant(VECTOR, [0.0] * LANES)


class _Passes(Writer):
    """What both passes share."""

    def where_free(self, inverse: Any, value: Any) -> Any:
        b = self.builder
        return b.select(b.fcmp_ordered("!=", inverse, _ZERO), value, _ZERO)

    def shifted(self, low: Any, high: Any, first: int) -> Any:
        """Return eight numbers of two neighbouring blocks, from the `first` on."""
        mask = ir.Constant(ir.VectorType(HALF, LANES), [first + k for k in range(LANES)])
        return self.builder.shuffle_vector(low, high, mask)


def _stencil(deep: bool) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, out, diagonal, blocks, *others = arguments
        sides, couplings = others[: 4 if deep else 2], others[4 if deep else 2 :]
        w, b = _Passes(builder), builder
        along, *across = [w.spread_value(b.fneg(c)) for c in couplings]
        sums, last = (cgutils.alloca_once_value(b, _ZERO) for _ in range(2))
        b.store(_ZERO, sums)
        b.store(_ZERO, last)
        with cgutils.for_range(b, blocks) as loop:
            i = b.mul(loop.index, whole(LANES))
            ends = b.icmp_signed("==", loop.index, b.sub(blocks, whole(1)))
            here = w.load(row, i)
            later = b.select(ends, _ZERO, w.load(row, b.select(ends, i, b.add(i, whole(LANES)))))
            beside = b.fadd(w.shifted(b.load(last), here, LANES - 1), w.shifted(here, later, 1))
            b.store(here, last)
            value = w.times_plus(along, beside, b.fmul(w.load(diagonal, i), here))
            for c, low, high in zip(across, sides[::2], sides[1::2], strict=True):
                value = w.times_plus(c, b.fadd(w.load(low, i), w.load(high, i)), value)
            w.store(value, out, i)
            b.store(w.times_plus(value, here, b.load(sums)), sums)
        return w.total(b.load(sums))

    count = 4 + (4 if deep else 2)
    return types.float64(*[types.int64] * count, *[types.float64] * (3 if deep else 2)), generate


@intrinsic
def apply_flat(typing_context: Any, row: Any, out: Any, diagonal: Any, blocks: Any, below: Any, above: Any,
               cx: Any, cy: Any) -> Any:  # fmt: skip
    """Write the operator's row in the plane: see `apply_deep`."""
    return _stencil(False)


@intrinsic
def apply_deep(typing_context: Any, row: Any, out: Any, diagonal: Any, blocks: Any, below: Any, above: Any,
               before: Any, after: Any, cx: Any, cy: Any, cz: Any) -> Any:  # fmt: skip
    """Write the operator's row, diagonal times centre less the couplings; return its product with the row.

    All but the couplings are integers, all but `blocks` addresses. Voxels beyond the row's end count as zero.
    """
    return _stencil(True)


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
            w.store(w.times_plus(step, w.load(search, i), w.load(x, i)), x, i)
            r, scale = w.times_plus(back, w.load(image, i), w.load(residual, i)), w.load(inverse, i)
            w.store(r, residual, i)
            b.store(w.times_plus(b.fmul(r, scale), r, b.load(sums)), sums)
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
            z = w.times_plus(w.load(residual, i), scale, w.where_free(scale, w.spread(values, loop.index)))
            w.store(w.times_plus(kept, w.load(search, i), z), search, i)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, types.float64), generate


def _summed(term: Callable[[_Passes, list[Any], Any, Any], Any]) -> Any:
    """Return what makes a sum over `blocks` blocks at two addresses; `term` adds a block to a vector of sums."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *places, blocks = arguments
        w = _Passes(builder)
        sums = cgutils.alloca_once_value(builder, _ZERO)
        builder.store(_ZERO, sums)
        with cgutils.for_range(builder, blocks) as loop:
            builder.store(term(w, places, builder.mul(loop.index, whole(LANES)), builder.load(sums)), sums)
        return w.total(builder.load(sums))

    return types.float64(*[types.int64] * 3), generate


@intrinsic
def product(typing_context: Any, x: Any, y: Any, blocks: Any) -> Any:
    """Return the sum of x y over some blocks; all are integers, `x` and `y` addresses."""
    return _summed(lambda w, at, i, sums: w.times_plus(w.load(at[0], i), w.load(at[1], i), sums))


@intrinsic
def scaled_square(typing_context: Any, x: Any, scale: Any, blocks: Any) -> Any:
    """Return the sum of x x scale over some blocks; all are integers, `x` and `scale` addresses."""

    def term(w: _Passes, at: list[Any], i: Any, sums: Any) -> Any:
        value = w.load(at[0], i)
        return w.times_plus(w.builder.fmul(value, w.load(at[1], i)), value, sums)

    return _summed(term)


@intrinsic
def sum_free(typing_context: Any, values: Any, inverse: Any, parts: Any, blocks: Any) -> Any:
    """Write the sum of each block's free values; all are integers, all but `blocks` addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, inverse, parts, blocks = arguments
        w = _Passes(builder)
        with cgutils.for_range(builder, blocks) as loop:
            i = builder.mul(loop.index, whole(LANES))
            free = w.where_free(w.load(inverse, i), w.load(values, i))
            builder.store(w.total(free), w.pointer(parts, loop.index), align=8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate
