"""Exponential, logarithm and power as vector LLVM IR, the same to the last bit in every lane and width.

Measured against correctly rounded values (tests): exp and ln err by less than 1 ulp; pow, which is
exp(y ln x), by less than 2 + 2 |y ln x| ulp, and is exact where y is 0.
"""

from __future__ import annotations

import math
import struct

# ln x: polynomial of s = f/(2 + f); ln 2 in two parts; both from fdlibm (Sun Microsystems 1993), public constants
_LN_COEFFICIENTS = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


class Lanes:
    """The names of LLVM types and constants for a width of W lanes."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.double = f"<{width} x double>"
        self.integer = f"<{width} x i64>"
        self.truth = f"<{width} x i1>"
        self.suffix = f"v{width}f64"
        self.bytes = 8 * width

    def number(self, value: float) -> str:
        """Return a constant in every lane."""
        return f"splat (double {literal(value)})"

    def whole(self, value: int) -> str:
        """Return an integer constant in every lane."""
        return f"splat (i64 {value})"


def literal(value: float) -> str:
    """Return a double as LLVM writes it exactly."""
    if math.isnan(value):
        return "0x7FF8000000000000"
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def library(lanes: Lanes) -> str:
    """Return the definitions of `@lane_exp`, `@lane_ln` and `@lane_pow`."""
    return "\n".join((_declarations(lanes), _exp(lanes), _ln(lanes), _pow(lanes)))


def _declarations(v: Lanes) -> str:
    one = [f"declare {v.double} @llvm.{f}.{v.suffix}({v.double})" for f in ("rint", "fabs", "sqrt", "floor", "ceil")]
    two = [f"declare {v.double} @llvm.{f}.{v.suffix}({v.double}, {v.double})" for f in ("maxnum", "minnum")]
    return "\n".join([*one, *two, f"declare {v.double} @llvm.fma.{v.suffix}({v.double}, {v.double}, {v.double})"])


def _fma(v: Lanes, result: str, a: str, b: str, c: str) -> str:
    return f"  {result} = call {v.double} @llvm.fma.{v.suffix}({v.double} {a}, {v.double} {b}, {v.double} {c})"


def _exp(v: Lanes) -> str:
    """x = k ln 2 + r, |r| <= ln 2 / 2; the Taylor series of r to degree 13; 2^k in two steps for subnormals."""
    d, n = v.double, v.number
    lines = [
        f"define internal {d} @lane_exp({d} %x) alwaysinline #0 {{",
        f"  %a = call {d} @llvm.maxnum.{v.suffix}({d} %x, {d} {n(-746.0)})",
        f"  %b = call {d} @llvm.minnum.{v.suffix}({d} %a, {d} {n(710.0)})",
        f"  %c = fmul {d} %b, {n(1 / math.log(2))}",
        f"  %k = call {d} @llvm.rint.{v.suffix}({d} %c)",
        _fma(v, "%r0", "%k", n(-_LN2_HIGH), "%b"),
        _fma(v, "%r", "%k", n(-_LN2_LOW), "%r0"),
    ]
    below = n(1.0 / math.factorial(13))
    for i in range(12, -1, -1):
        lines.append(_fma(v, f"%p{i}", below, "%r", n(1.0 / math.factorial(i))))
        below = f"%p{i}"
    return "\n".join(
        [
            *lines,
            f"  %ki = fptosi {d} %k to {v.integer}",
            f"  %half = ashr {v.integer} %ki, {v.whole(1)}",
            f"  %rest = sub {v.integer} %ki, %half",
            f"  %h1 = add {v.integer} %half, {v.whole(1023)}",
            f"  %h2 = shl {v.integer} %h1, {v.whole(52)}",
            f"  %h3 = bitcast {v.integer} %h2 to {d}",
            f"  %s1 = add {v.integer} %rest, {v.whole(1023)}",
            f"  %s2 = shl {v.integer} %s1, {v.whole(52)}",
            f"  %s3 = bitcast {v.integer} %s2 to {d}",
            f"  %m1 = fmul {d} {below}, %h3",
            f"  %m2 = fmul {d} %m1, %s3",
            f"  %bad = fcmp uno {d} %x, %x",
            f"  %e = select {v.truth} %bad, {d} %x, {d} %m2",
            f"  ret {d} %e",
            "}",
        ]
    )


def _ln(v: Lanes) -> str:
    """x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); zero gives -inf, negative gives NaN, subnormals are scaled."""
    d, i, n, w = v.double, v.integer, v.number, v.whole
    lines = [
        f"define internal {d} @lane_ln({d} %x0) alwaysinline #0 {{",
        f"  %tiny = fcmp olt {d} %x0, {n(2.2250738585072014e-308)}",
        f"  %x1 = fmul {d} %x0, {n(2.0**54)}",
        f"  %x = select {v.truth} %tiny, {d} %x1, {d} %x0",
        f"  %shift = select {v.truth} %tiny, {d} {n(-54.0)}, {d} {n(0.0)}",
        f"  %bits = bitcast {d} %x to {i}",
        f"  %moved = sub {i} %bits, {w(_SQRT_HALF_BITS)}",
        f"  %ki = ashr {i} %moved, {w(52)}",
        f"  %ks = shl {i} %ki, {w(52)}",
        f"  %mb = sub {i} %bits, %ks",
        f"  %m = bitcast {i} %mb to {d}",
        f"  %k0 = sitofp {i} %ki to {d}",
        f"  %k = fadd {d} %k0, %shift",
        f"  %f = fsub {d} %m, {n(1.0)}",
        f"  %f2 = fadd {d} %f, {n(2.0)}",
        f"  %s = fdiv {d} %f, %f2",
        f"  %z = fmul {d} %s, %s",
    ]
    below = n(_LN_COEFFICIENTS[6])
    for j in range(5, -1, -1):
        lines.append(_fma(v, f"%p{j}", below, "%z", n(_LN_COEFFICIENTS[j])))
        below = f"%p{j}"
    return "\n".join(
        [
            *lines,
            f"  %R = fmul {d} {below}, %z",
            f"  %hf = fmul {d} %f, {n(0.5)}",
            f"  %hfsq = fmul {d} %hf, %f",
            f"  %hr = fadd {d} %hfsq, %R",
            f"  %low = fmul {d} %k, {n(_LN2_LOW)}",
            _fma(v, "%t", "%s", "%hr", "%low"),
            f"  %u = fsub {d} %hfsq, %t",
            f"  %w = fsub {d} %u, %f",
            f"  %high = fmul {d} %k, {n(_LN2_HIGH)}",
            f"  %l = fsub {d} %high, %w",
            f"  %neg = fcmp ult {d} %x0, {n(0.0)}",
            f"  %l1 = select {v.truth} %neg, {d} {n(math.nan)}, {d} %l",
            f"  %zero = fcmp oeq {d} %x0, {n(0.0)}",
            f"  %l2 = select {v.truth} %zero, {d} {n(-math.inf)}, {d} %l1",
            f"  %inf = fcmp oeq {d} %x0, {n(math.inf)}",
            f"  %l3 = select {v.truth} %inf, {d} %x0, {d} %l2",
            f"  ret {d} %l3",
            "}",
        ]
    )


def _pow(v: Lanes) -> str:
    """x^y = exp(y ln |x|), with the sign of an odd y for x < 0, NaN for a y that is not whole, 1 for y = 0."""
    d, n, t = v.double, v.number, v.truth
    return "\n".join(
        [
            f"define internal {d} @lane_pow({d} %x, {d} %y) alwaysinline #0 {{",
            f"  %ax = call {d} @llvm.fabs.{v.suffix}({d} %x)",
            f"  %l = call {d} @lane_ln({d} %ax)",
            f"  %yl = fmul {d} %y, %l",
            f"  %e = call {d} @lane_exp({d} %yl)",
            f"  %whole = call {d} @llvm.rint.{v.suffix}({d} %y)",
            f"  %is_whole = fcmp oeq {d} %whole, %y",
            f"  %half = fmul {d} %y, {n(0.5)}",
            f"  %half_whole = call {d} @llvm.rint.{v.suffix}({d} %half)",
            f"  %even = fcmp oeq {d} %half_whole, %half",
            f"  %minus = fneg {d} %e",
            f"  %signed0 = select {t} %even, {d} %e, {d} %minus",
            f"  %signed = select {t} %is_whole, {d} %signed0, {d} {n(math.nan)}",
            f"  %negative = fcmp olt {d} %x, {n(0.0)}",
            f"  %r1 = select {t} %negative, {d} %signed, {d} %e",
            f"  %nil = fcmp oeq {d} %y, {n(0.0)}",
            f"  %r2 = select {t} %nil, {d} {n(1.0)}, {d} %r1",
            f"  %bad = fcmp uno {d} %x, %y",
            f"  %r3 = select {t} %bad, {d} {n(math.nan)}, {d} %r2",
            f"  ret {d} %r3",
            "}",
        ]
    )
