"""Machine code for what pairs of neighbours do to each other: eight pairs to a vector, each pair once.

Source: Macklin et al. 2012 J Theor Biol, doi:10.1016/j.jtbi.2012.02.002 (the potentials).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from atmpsim.kernels.agents.vectors import HALF, LANES, REAL, VECTOR, WHOLE, Writer, whole

# what neighbours need of a cell, in one line of the cache: position, radius, reach, roots of repulsion and adhesion,
# type
RECORD = 8
FORCE = 4  # velocity along x, y, z that a pair gives its first cell, and pressure that it gives both
_FOUR = ir.VectorType(REAL, FORCE)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(VECTOR, [value] * LANES)


class _Pairs(Writer):
    """Arithmetic of pairs."""

    def at_least(self, x: Any, least: float) -> Any:
        bound = _constant(least)
        return self.builder.select(self.builder.fcmp_ordered(">", x, bound), x, bound)

    def index(self, address: Any, place: Any) -> Any:
        """Return one of the uint32 at an address."""
        b = self.builder
        pointer = b.inttoptr(b.add(address, b.mul(place, whole(4))), HALF.as_pointer())
        return b.zext(b.load(pointer, align=4), WHOLE)

    def members(self, records: Any, listed: Any, first: Any) -> list[Any]:
        """Return the eight entries of the records of eight listed cells."""
        b = self.builder
        cells = [self.index(listed, b.add(first, whole(k))) for k in range(LANES)]
        return self.transpose([self.load(records, b.mul(j, whole(RECORD))) for j in cells])

    def affinities(self, table: Any, kinds: Any, mine: Any, theirs: Any) -> Any:
        """Return the affinities of eight pairs of types, from a table of `kinds` times `kinds`."""
        b = self.builder
        found = ir.Constant(VECTOR, ir.Undefined)
        for k in range(LANES):
            lane = ir.Constant(HALF, k)
            row, column = (b.fptosi(b.extract_element(x, lane), WHOLE) for x in (mine, theirs))
            value = b.load(self.pointer(table, b.add(b.mul(row, kinds), column)), align=8)
            found = b.insert_element(found, value, lane)
        return found


def _press(typed: bool) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        records, first_cells, second_cells, forces, begin, end = arguments[:6]
        w, b = _Pairs(builder), builder
        root = cgutils.get_or_insert_function(b.module, ir.FunctionType(VECTOR, [VECTOR]), "llvm.sqrt.v8f64")
        blocks = b.sdiv(b.sub(end, begin), whole(LANES))
        with cgutils.for_range(b, blocks) as loop:
            p = b.add(begin, b.mul(loop.index, whole(LANES)))
            one, two = w.members(records, first_cells, p), w.members(records, second_cells, p)
            dx, dy, dz = (b.fsub(one[k], two[k]) for k in range(3))
            d2 = w.at_least(w.times_plus(dx, dx, w.times_plus(dy, dy, b.fmul(dz, dz))), 1e-10)
            touch, far = b.fadd(one[3], two[3]), b.fadd(one[4], two[4])
            both = b.fmul(touch, far)
            inverse = b.fdiv(_constant(1.0), b.fmul(b.call(root, [d2]), both))
            near = w.at_least(w.less_times(_constant(1.0), b.fmul(d2, far), inverse), 0.0)
            stick = w.at_least(w.less_times(_constant(1.0), b.fmul(d2, touch), inverse), 0.0)
            near, stick = b.fmul(near, near), b.fmul(b.fmul(stick, stick), b.fmul(one[6], two[6]))
            if typed:
                stick = b.fmul(stick, w.affinities(arguments[6], arguments[7], one[7], two[7]))
            push = b.fmul(w.times_plus(near, b.fmul(one[5], two[5]), b.fneg(stick)), b.fmul(both, inverse))
            parts = [b.fmul(push, dx), b.fmul(push, dy), b.fmul(push, dz), near]
            _write_forces(w, parts, forces, b.mul(p, whole(FORCE)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * (8 if typed else 6)), generate


def _write_forces(w: _Pairs, parts: list[Any], forces: Any, at: Any) -> None:
    """Write four vectors of eight as eight records of four."""
    b = w.builder
    low, high = (
        ir.Constant(ir.VectorType(HALF, LANES), [k // 2 + start + LANES * (k % 2) for k in range(LANES)])
        for start in (0, 4)
    )
    halves = [[b.shuffle_vector(parts[k], parts[k + 1], mask) for k in (0, 2)] for mask in (low, high)]
    for h, (xy, zp) in enumerate(halves):
        for k in (0, 4):
            lanes = [k, k + 1, LANES + k, LANES + k + 1, k + 2, k + 3, LANES + k + 2, LANES + k + 3]
            two = b.shuffle_vector(xy, zp, ir.Constant(ir.VectorType(HALF, LANES), lanes))
            w.store(two, forces, b.add(at, whole(FORCE * (4 * h + k // 2))))


@intrinsic
def press(typing_context: Any, records: Any, first: Any, second: Any, forces: Any, begin: Any, end: Any) -> Any:
    """Write the forces of the pairs `begin` to `end`, whole LANES, all affinities being 1.

    All are integers; `records` (cell, RECORD), `first` and `second` (uint32, the cells of each pair) and `forces`
    (pair, FORCE) are addresses. One root and one division for each pair; what is out of reach adds zero rather than a
    branch.
    """
    return _press(False)


@intrinsic
def press_typed(typing_context: Any, records: Any, first: Any, second: Any, forces: Any, begin: Any, end: Any,
                affinity: Any, kinds: Any) -> Any:  # fmt: skip
    """Write the same with the affinities of both types: `affinity` is the address of `kinds` times `kinds` numbers."""
    return _press(True)


@intrinsic
def collect(typing_context: Any, forces: Any, begin: Any, end: Any, others: Any, count: Any) -> Any:
    """Return velocity and pressure of a cell: the sum of the pairs that it is first in, less those it is second in.

    All are integers; `forces` and `others` (uint32, the `count` pairs that it is second in) are addresses.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        forces, begin, end, others, count = arguments
        w, b = _Pairs(builder), builder
        zero = ir.Constant(_FOUR, [0.0] * FORCE)
        total = cgutils.alloca_once_value(b, zero)
        b.store(zero, total)

        def force(p: Any) -> Any:
            return b.load(w.pointer(forces, b.mul(p, whole(FORCE)), _FOUR), align=8)

        with cgutils.for_range(b, b.sub(end, begin)) as loop:
            b.store(b.fadd(b.load(total), force(b.add(begin, loop.index))), total)
        sign = ir.Constant(_FOUR, [-1.0, -1.0, -1.0, 1.0])
        with cgutils.for_range(b, count) as loop:
            b.store(w.times_plus(force(w.index(others, loop.index)), sign, b.load(total)), total)
        found = [b.extract_element(b.load(total), ir.Constant(HALF, k)) for k in range(FORCE)]
        return context.make_tuple(b, signature.return_type, found)

    return types.UniTuple(types.float64, FORCE)(*[types.int64] * 5), generate
