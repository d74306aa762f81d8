"""Moments of many values from those of blocks, merged in one binary tree, so that they come out bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
COUNT, MEAN, SQUARES, LOWEST, HIGHEST = range(5)
PARTS = 5


def moments(values: FloatArray) -> FloatArray:
    """Return count, mean, sum of squared deviations, minimum and maximum, shape (5, column), of values (run, column).

    NaN is left out; without any value mean, minimum and maximum are NaN (and the squares 0).
    """
    from atmpsim.kernels.reductions import add_moments  # compiles; only reductions need it

    made = np.empty((PARTS, values.shape[1]))
    add_moments(np.ascontiguousarray(values), made)
    return made


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """The moments of some neighbouring blocks, `first` their number and `blocks` how many: a node of the tree."""

    first: int
    blocks: int
    moments: FloatArray

    def is_followed_by(self, other: Piece) -> bool:
        """Return whether the two are the halves of one node."""
        whole = 2 * self.blocks
        return self.blocks == other.blocks and self.first % whole == 0 and other.first == self.first + self.blocks


def append(pieces: list[Piece], piece: Piece) -> None:
    """Append what follows some pieces, and merge what makes whole nodes.

    Whoever appends all blocks of a span, one by one or as pieces that others made of them, has the same pieces in
    the end: the largest nodes of the tree within the span.
    """
    pieces.append(piece)
    while len(pieces) > 1 and pieces[-2].is_followed_by(pieces[-1]):
        right, left = pieces.pop(), pieces.pop()
        both = _merged(left.moments, right.moments)
        pieces.append(Piece(first=left.first, blocks=2 * left.blocks, moments=both))


def total(pieces: Sequence[Piece]) -> FloatArray:
    """Return the moments of all pieces together."""
    return reduce(_merged, (piece.moments for piece in pieces))


def _merged(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the moments of two disjoint parts together (Chan 1983 Am Stat 37:242, doi:10.2307/2683386)."""
    count = first[COUNT] + second[COUNT]
    with np.errstate(invalid="ignore", divide="ignore"):
        step = second[MEAN] - first[MEAN]
        mean = first[MEAN] + step * second[COUNT] / count
        squares = first[SQUARES] + second[SQUARES] + step * step * first[COUNT] * second[COUNT] / count
    only_second, only_first = first[COUNT] == 0, second[COUNT] == 0
    mean = np.where(only_second, second[MEAN], np.where(only_first, first[MEAN], mean))
    squares = np.where(only_second | only_first, first[SQUARES] + second[SQUARES], squares)
    return np.stack(
        [count, mean, squares, np.fmin(first[LOWEST], second[LOWEST]), np.fmax(first[HIGHEST], second[HIGHEST])]
    )
