"""Enter the driver through one address, so that its machine code can be kept and called without the compiler."""

from __future__ import annotations

from numba import carray, float64, int64, njit

from atmpsim.kernels.arguments import Actions, Code, Course, Edges, Limits, Output, Rows, Scratch
from atmpsim.kernels.call import FLUSH_TINY, bits_to_float, float_mode, inner_with_arrays, set_float_mode, to_pointer
from atmpsim.kernels.rosenbrock import advance

_ROWS = len(Code._fields)
_ACTIONS = _ROWS + len(Rows._fields)
_LIMITS = _ACTIONS + 12
_EDGES = _LIMITS + 7
_SCRATCH = _EDGES + 7
_COURSE = _SCRATCH + 18
_OUTPUT = _COURSE + 21
_SPAN = _OUTPUT + 14


@njit(nogil=True, error_model="numpy")
def enter(address):
    """Call `advance` with the arguments that `arguments.flatten` laid out at an address.

    Numbers below 2.2e-308 are 0 meanwhile: no quantity is that small, and processors compute with them very slowly.
    """
    n = carray(to_pointer(address, int64), (_SPAN + 2,), int64)
    code, rows = Code(n[0], n[1], n[2], n[3], n[4], n[5], n[6]), _rows(n)
    o = _ACTIONS
    actions = Actions(
        _whole(n, o), _whole(n, o + 2), _real(n, o + 4), _whole(n, o + 6), _whole(n, o + 8), _real(n, o + 10)
    )
    o = _LIMITS
    limits = Limits(
        bits_to_float(n[o]), _real(n, o + 1), bits_to_float(n[o + 3]), n[o + 4], n[o + 5], bits_to_float(n[o + 6])
    )
    o = _EDGES
    edges = Edges(_whole(n, o), _whole(n, o + 2), _whole(n, o + 4), n[o + 6])
    o = _SCRATCH
    scratch = Scratch(
        _real(n, o), _whole(n, o + 2), _whole(n, o + 4), _whole(n, o + 6), _whole(n, o + 8), _whole(n, o + 10),
        _real(n, o + 12), _real(n, o + 14), _real(n, o + 16),
    )  # fmt: skip
    o = _COURSE
    course = Course(
        _real(n, o), _real(n, o + 2), _real(n, o + 4), _table(n, o + 6), _table(n, o + 9), _table(n, o + 12),
        _table(n, o + 15), _table(n, o + 18),
    )  # fmt: skip
    o = _OUTPUT
    samples = carray(to_pointer(n[o + 4], float64), (n[o + 5], n[o + 6], n[o + 7]), float64)
    output = Output(_real(n, o), _whole(n, o + 2), samples, _whole(n, o + 8), _whole(n, o + 10), _whole(n, o + 12))
    mode = float_mode()
    set_float_mode(mode | FLUSH_TINY)
    advance(code, rows, actions, limits, edges, scratch, course, output, n[_SPAN], n[_SPAN + 1])
    set_float_mode(mode)


@inner_with_arrays
def _rows(n):
    return Rows(
        n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15], n[16], n[17], n[18], n[19], n[20], n[21],
        n[22], n[23], n[24], n[25], n[26], n[27], n[28], n[29], n[30], n[31], n[32], n[33], n[34],
    )  # fmt: skip


@inner_with_arrays
def _whole(n, o):
    return carray(to_pointer(n[o], int64), (n[o + 1],), int64)


@inner_with_arrays
def _real(n, o):
    return carray(to_pointer(n[o], float64), (n[o + 1],), float64)


@inner_with_arrays
def _table(n, o):
    return carray(to_pointer(n[o], float64), (n[o + 1], n[o + 2]), float64)
