"""Philox4x32-10: random numbers that are a function of a key and a counter, and have no state.

Whoever draws names the draw (seed, who, which, when, what for); so results depend neither on the order of the work
nor on how it is spread over threads.

Source: Salmon, Moraes, Dror, Shaw 2011, SC '11, doi:10.1145/2063384.2063405.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import uint64

from atmpsim.kernels.compiling import njit

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_UNIT = 2.0**-53
_small = njit(nogil=True, cache=True, forceinline=True)  # within loops over cells it becomes vectors


@_small
def _scramble(x0, x1, x2, x3, k0, k1):
    a, b = _MULTIPLIER_0 * x0, _MULTIPLIER_1 * x2
    return (b >> _HALF) ^ x1 ^ k0, b & _LOW, (a >> _HALF) ^ x3 ^ k1, a & _LOW


@_small
def block(c0, c1, c2, c3, k0, k1):
    """Return four 32-bit words, as uint64, for a counter of four words and a key of two.

    Only the low 32 bits of each argument count.
    """
    x0, x1, x2, x3 = uint64(c0) & _LOW, uint64(c1) & _LOW, uint64(c2) & _LOW, uint64(c3) & _LOW
    k0, k1 = uint64(k0) & _LOW, uint64(k1) & _LOW
    for _ in range(10):
        x0, x1, x2, x3 = _scramble(x0, x1, x2, x3, k0, k1)
        k0, k1 = (k0 + _WEYL_0) & _LOW, (k1 + _WEYL_1) & _LOW
    return x0, x1, x2, x3


@_small
def to_unit(high, low):
    """Return a number in [0, 1) from two words: 53 random bits."""
    return float((high >> uint64(5)) * uint64(67108864) + (low >> uint64(6))) * _UNIT


@_small
def uniforms(seed, who, which, when, purpose):
    """Return two independent numbers in [0, 1) for a 64-bit seed and four 32-bit words that name the draw."""
    seed = uint64(seed)
    w0, w1, w2, w3 = block(who, which, when, purpose, seed, seed >> _HALF)
    return to_unit(w0, w1), to_unit(w2, w3)


@njit(nogil=True, cache=True)
def normals(seed, who, which, when, purpose):
    """Return two independent standard normal numbers (Box and Muller 1958, doi:10.1214/aoms/1177706645)."""
    u, v = uniforms(seed, who, which, when, purpose)
    radius = math.sqrt(-2.0 * math.log(1.0 - u))
    return radius * math.cos(2.0 * math.pi * v), radius * math.sin(2.0 * math.pi * v)


@njit(nogil=True, cache=True)
def exponential(seed, who, which, when, purpose):
    """Return an exponential number of mean 1."""
    return -math.log(1.0 - uniforms(seed, who, which, when, purpose)[0])


@njit(nogil=True, cache=True)
def poisson(mean, seed, who, when, purpose):
    """Return a Poisson number of the given mean, drawn exactly.

    Below a mean of 10 by counting exponential times; above by transformed rejection (Hoermann 1993 Insur Math Econ
    12:39, doi:10.1016/0167-6687(93)90997-4, algorithm PTRS).
    """
    which = np.int64(0)  # not Python's, for which callees are compiled anew
    if mean < 10.0:
        count, time = -1, 0.0
        while time <= mean:
            time += exponential(seed, who, which, when, purpose)
            which += 1
            count += 1
        return count
    root = math.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    quick = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = uniforms(seed, who, which, when, purpose)
        which += 1
        u -= 0.5
        v = 1.0 - v
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= quick:
            return int(k)
        if k < 0.0 or (us < 0.013 and v > us):
            continue
        accept = math.log(v) + math.log(inverse) - math.log(a / (us * us) + b)
        if accept <= k * math.log(mean) - mean - math.lgamma(k + 1.0):
            return int(k)
