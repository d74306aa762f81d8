"""Enter the driver through one address, so that its machine code can be kept and called without the compiler."""

from __future__ import annotations

from numba import carray, float64, int64, njit

from atmpsim.kernels.arguments import Actions, Code, Limits, Rows, Scratch
from atmpsim.kernels.call import FLUSH_TINY, bits_to_float, float_mode, set_float_mode, to_pointer
from atmpsim.kernels.rosenbrock import advance

_CODE, _ROWS = len(Code._fields), len(Rows._fields)


@njit(nogil=True, error_model="numpy")
def enter(address):
    """Call `advance` with the arguments that `arguments.flatten` laid out at an address.

    Numbers below 2.2e-308 are 0 meanwhile: no quantity is that small, and processors compute with them very slowly.
    """
    n = carray(to_pointer(address, int64), (_CODE + _ROWS + 64,), int64)
    code = Code(n[0], n[1], n[2], n[3])
    rows = _rows(n)
    o = _CODE + _ROWS
    actions = Actions(
        _whole(n, o), _whole(n, o + 2), _real(n, o + 4), _whole(n, o + 6), _whole(n, o + 8), _real(n, o + 10)
    )
    o += 12
    limits = Limits(
        bits_to_float(n[o]), _real(n, o + 1), bits_to_float(n[o + 3]), bits_to_float(n[o + 4]), n[o + 5],
        n[o + 6] != 0, bits_to_float(n[o + 7]),
    )  # fmt: skip
    o += 8
    scratch = Scratch(_real(n, o), _whole(n, o + 2), _whole(n, o + 4), _whole(n, o + 6))
    o += 8
    initial, constants = _table(n, o), _table(n, o + 3)
    times, kept = _real(n, o + 6), _whole(n, o + 8)
    samples = carray(to_pointer(n[o + 10], float64), (n[o + 11], n[o + 12], n[o + 13]), float64)
    status, counts = _whole(n, o + 14), _whole(n, o + 16)
    mode = float_mode()
    set_float_mode(mode | FLUSH_TINY)
    advance(
        code, rows, actions, limits, scratch, initial, constants, times, kept, samples, status, counts, n[o + 18],
        n[o + 19],
    )  # fmt: skip
    set_float_mode(mode)


@njit(error_model="numpy", inline="always")
def _rows(n):
    return Rows(
        n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15], n[16], n[17], n[18], n[19],
        n[20], n[21], n[22], n[23], n[24], n[25], n[26],
    )  # fmt: skip


@njit(error_model="numpy", inline="always")
def _whole(n, o):
    return carray(to_pointer(n[o], int64), (n[o + 1],), int64)


@njit(error_model="numpy", inline="always")
def _real(n, o):
    return carray(to_pointer(n[o], float64), (n[o + 1],), float64)


@njit(error_model="numpy", inline="always")
def _table(n, o):
    return carray(to_pointer(n[o], float64), (n[o + 1], n[o + 2]), float64)
