"""The order of elimination and the fill-in of a sparse matrix that is factorised without pivoting."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Elimination:
    """How to factorise a sparse matrix.

    `order[k]` is the row and column eliminated at step k. `slots` numbers the entries of L and U together, by
    their positions (row, column) in that order, the diagonal included.
    """

    order: tuple[int, ...]
    slots: dict[tuple[int, int], int]

    def sides(self) -> tuple[list[list[int]], list[list[int]]]:
        """Return the columns of each row left and right of the diagonal, ascending."""
        left: list[list[int]] = [[] for _ in self.order]
        right: list[list[int]] = [[] for _ in self.order]
        for i, j in sorted(self.slots):
            if i != j:
                (left if j < i else right)[i].append(j)
        return left, right


def plan_elimination(size: int, entries: Collection[tuple[int, int]]) -> Elimination:
    """Return an elimination order of little fill-in and its fill-in; entries on the diagonal are eliminated first.

    The order is that of minimum local fill-in, on the pattern as it is: a network of reactions is far from symmetric.
    Source of the method: Tinney, Walker 1967 Proceedings of the IEEE 55:1801 (scheme 3), doi:10.1109/PROC.1967.6011.
    """
    order = _minimum_fill(size, entries)
    position = {row: k for k, row in enumerate(order)}
    rows = [1 << k for k in range(size)]  # a bit for every entry
    for i, j in entries:
        rows[position[i]] |= 1 << position[j]
    for k in range(size):
        beyond = rows[k] >> k << k
        for i in range(k + 1, size):
            if rows[i] >> k & 1:
                rows[i] |= beyond
    places = [(i, j) for i in range(size) for j in _bits(rows[i])]
    return Elimination(order=tuple(order), slots={place: k for k, place in enumerate(places)})


def _minimum_fill(size: int, entries: Collection[tuple[int, int]]) -> list[int]:
    rows, columns, diagonal = [0] * size, [0] * size, [False] * size
    for i, j in entries:
        if i == j:
            diagonal[i] = True
        else:
            rows[i] |= 1 << j
            columns[j] |= 1 << i

    def cost(k: int) -> tuple[bool, int, int, int]:
        fill = sum((rows[k] & ~rows[i] & ~(1 << i)).bit_count() for i in _bits(columns[k]))
        return not diagonal[k], fill, rows[k].bit_count() * columns[k].bit_count(), k

    costs, order = {k: cost(k) for k in range(size)}, list[int]()
    while costs:
        pivot = min(costs, key=costs.__getitem__)
        del costs[pivot]
        order.append(pivot)
        right, below, gone = rows[pivot], columns[pivot], ~(1 << pivot)
        touched = right | below
        for i in _bits(below):
            diagonal[i] |= bool(right >> i & 1)
            rows[i] = (rows[i] | right) & gone & ~(1 << i)
            touched |= rows[i]
        for j in _bits(right):
            columns[j] = (columns[j] | below) & gone & ~(1 << j)
        costs.update((k, cost(k)) for k in _bits(touched) if k in costs)
    return order


def _bits(mask: int) -> Iterator[int]:
    """Yield the places of the bits that are set, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
