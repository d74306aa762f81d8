"""Machine code for tridiagonal systems of many lines at once: eight lines to a vector, kept in registers.

Written as vectors because the compiler makes scalar code of a recurrence. Along the rows of an array eight rows are
turned into columns, block by block, and back.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from atmpsim.kernels.agents.vectors import LANES, VECTOR, Writer, whole

ROW_GROUPS = 2  # vectors of rows swept side by side: a recurrence alone waits for its own result
TILE = 4  # vectors of columns swept side by side


def _sweep_rows(groups: int) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base, stride, row, last, columns, pivot, ratio, upper, scratch = arguments
        w = Writer(builder)
        starts = []
        for k in range(groups * LANES):
            wanted = builder.add(row, whole(k))
            line = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
            starts.append(builder.mul(line, stride))
        carry = [cgutils.alloca_once_value(builder, ir.Constant(VECTOR, [0.0] * LANES)) for _ in range(groups)]
        for place in carry:
            builder.store(ir.Constant(VECTOR, [0.0] * LANES), place)
        blocks = builder.sdiv(columns, whole(LANES))
        with cgutils.for_range(builder, blocks) as loop:
            first = builder.mul(loop.index, whole(LANES))
            turned = [
                w.transpose([w.load(base, builder.add(starts[g * LANES + k], first)) for k in range(LANES)])
                for g in range(groups)
            ]
            for m in range(LANES):
                i = builder.add(first, whole(m))
                q, cq = w.spread(pivot, i), w.spread(ratio, i)
                for g in range(groups):
                    value = w.times_plus(cq, builder.load(carry[g]), builder.fmul(turned[g][m], q))
                    builder.store(value, carry[g])
                    at = builder.mul(builder.add(builder.mul(i, whole(groups)), whole(g)), whole(LANES))
                    w.store(value, scratch, at)
        for place in carry:
            builder.store(ir.Constant(VECTOR, [0.0] * LANES), place)
        with cgutils.for_range(builder, blocks) as loop:
            first = builder.mul(builder.sub(builder.sub(blocks, whole(1)), loop.index), whole(LANES))
            found: list[list[Any]] = [[None] * LANES for _ in range(groups)]
            for m in reversed(range(LANES)):
                i = builder.add(first, whole(m))
                q = w.spread(upper, i)
                for g in range(groups):
                    at = builder.mul(builder.add(builder.mul(i, whole(groups)), whole(g)), whole(LANES))
                    value = w.less_times(w.load(scratch, at), q, builder.load(carry[g]))
                    builder.store(value, carry[g])
                    found[g][m] = value
            for g in range(groups):
                for k, line in enumerate(w.transpose(found[g])):
                    w.store(line, base, builder.add(starts[g * LANES + k], first))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9), generate


@intrinsic
def sweep_sixteen_rows(typing_context: Any, base: Any, stride: Any, row: Any, last: Any, columns: Any, pivot: Any,
                       ratio: Any, upper: Any, scratch: Any) -> Any:  # fmt: skip
    """Solve sixteen rows of an array, from `row` on but none beyond `last`; see `sweep_eight_rows`."""
    return _sweep_rows(ROW_GROUPS)


@intrinsic
def sweep_eight_rows(typing_context: Any, base: Any, stride: Any, row: Any, last: Any, columns: Any, pivot: Any,
                     ratio: Any, upper: Any, scratch: Any) -> Any:  # fmt: skip
    """Solve eight rows of an array, from `row` on but none beyond `last`, of `columns` numbers, whole LANES.

    All are integers; `base`, `pivot`, `ratio`, `upper` and `scratch` (room for sixteen rows) are addresses. A row that
    comes twice, at the end, is written twice with the same numbers: all are read before any is written.
    """
    return _sweep_rows(1)


def _sweep_columns(tile: int) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base, stride, column, lines, pivot, ratio, upper, factor, shift, mapped, left, given = arguments
        w = Writer(builder)
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        carry = [cgutils.alloca_once_value(builder, zero) for _ in range(tile)]
        kept, changed = (cgutils.alloca_once_value(builder, zero) for _ in range(2))

        def reset() -> None:
            for place in (*carry, kept, changed):
                builder.store(zero, place)

        def add(place: Any, values: list[Any]) -> None:
            while len(values) > 1:  # a tile has one sum of each: more would not fit the registers
                values = [builder.fadd(a, b) for a, b in zip(values[::2], values[1::2], strict=True)]
            builder.store(builder.fadd(builder.load(place), values[0]), place)

        def at(line: Any, k: int) -> Any:
            return builder.add(builder.add(builder.mul(line, stride), column), whole(k * LANES))

        def back(with_map: bool) -> None:
            reset()
            with cgutils.for_range(builder, lines) as loop:
                line = builder.sub(builder.sub(lines, whole(1)), loop.index)
                q = w.spread(upper, line)
                solved_free, changes = [], []
                for k in range(tile):
                    value = w.less_times(w.load(base, at(line, k)), q, builder.load(carry[k]))
                    builder.store(value, carry[k])
                    if with_map:
                        part, solved = w.load(factor, at(line, k)), value
                        value = w.times_plus(part, solved, w.load(shift, at(line, k)))
                        free = builder.fcmp_ordered("!=", part, zero)
                        solved_free.append(builder.select(free, solved, zero))
                        changes.append(builder.select(free, builder.fsub(value, solved), zero))
                    w.store(value, base, at(line, k))
                if with_map:
                    add(kept, solved_free)
                    add(changed, changes)
            if with_map:
                for sums, place in ((kept, left), (changed, given)):
                    w.store(builder.fadd(w.load(place, column), builder.load(sums)), place, column)

        reset()
        with cgutils.for_range(builder, lines) as loop:
            q, cq = w.spread(pivot, loop.index), w.spread(ratio, loop.index)
            for k in range(tile):
                value = builder.fmul(w.load(base, at(loop.index, k)), q)
                value = w.times_plus(cq, builder.load(carry[k]), value)
                builder.store(value, carry[k])
                w.store(value, base, at(loop.index, k))
        with builder.if_else(builder.icmp_signed("!=", mapped, whole(0))) as (yes, no):
            with yes:
                back(True)
            with no:
                back(False)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 12), generate


@intrinsic
def sweep_tile(typing_context: Any, base: Any, stride: Any, column: Any, lines: Any, pivot: Any, ratio: Any,
               upper: Any, factor: Any, shift: Any, mapped: Any, left: Any, given: Any) -> Any:  # fmt: skip
    """Solve TILE vectors of columns across the lines of an array; see `sweep_vector`."""
    return _sweep_columns(TILE)


@intrinsic
def sweep_vector(typing_context: Any, base: Any, stride: Any, column: Any, lines: Any, pivot: Any, ratio: Any,
                 upper: Any, factor: Any, shift: Any, mapped: Any, left: Any, given: Any) -> Any:  # fmt: skip
    """Solve LANES columns, from `column` on, across the lines of an array; then value <- factor value + shift.

    All are integers, `base`, `pivot`, `ratio`, `upper`, `factor`, `shift`, `left` and `given` addresses. Without
    `mapped` there is no factor and no shift. With it, what was solved is added to `left` and what the map changed to
    `given`, at `column`, except where the factor is 0.
    """
    return _sweep_columns(1)
