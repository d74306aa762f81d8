"""The order of elimination and the fill-in of a sparse matrix that is factorised without pivoting."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Elimination:
    """How to factorise a sparse matrix.

    `order[k]` is the row and column eliminated at step k. `slots` numbers the entries of L and U together, by
    their positions (row, column) in that order, the diagonal included.
    """

    order: tuple[int, ...]
    slots: dict[tuple[int, int], int]

    def right_of(self, row: int) -> list[int]:
        """Return the columns of U right of the diagonal in a row."""
        return sorted(j for i, j in self.slots if i == row and j > row)


def plan_elimination(size: int, entries: Collection[tuple[int, int]]) -> Elimination:
    """Return an elimination order of little fill-in (minimum degree on the symmetrised pattern) and its fill-in.

    Source of the method: George, Liu 1989 SIAM Review 31:1, doi:10.1137/1031001.
    """
    order = _minimum_degree(size, entries)
    position = {row: k for k, row in enumerate(order)}
    rows: list[set[int]] = [{k} for k in range(size)]
    for i, j in entries:
        rows[position[i]].add(position[j])
    for k in range(size):
        beyond = {j for j in rows[k] if j > k}
        for i in range(k + 1, size):
            if k in rows[i]:
                rows[i] |= beyond
    places = [(i, j) for i in range(size) for j in sorted(rows[i])]
    return Elimination(order=tuple(order), slots={place: k for k, place in enumerate(places)})


def _minimum_degree(size: int, entries: Collection[tuple[int, int]]) -> list[int]:
    near: list[set[int]] = [set() for _ in range(size)]
    for i, j in entries:
        if i != j:
            near[i].add(j)
            near[j].add(i)
    left, order = set(range(size)), []
    while left:
        nearest = min(left, key=lambda row: (len(near[row]), row))
        left.discard(nearest)
        order.append(nearest)
        for row in near[nearest]:
            near[row] |= near[nearest]
            near[row] -= {row, nearest}
    return order
