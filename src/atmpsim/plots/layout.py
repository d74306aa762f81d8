"""Where the axes of a figure stand, in inches from its upper left corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEFT, RIGHT, GAP = 0.78, 0.12, 0.13
"""Room for label and ticks left of a block, free space right of it, space between the axes of one block."""

BELOW = 0.30
LAST_ROW = 0.20
"""Room for tick labels below the axes, and for the label of time below the last ones."""

_WIDTHS = {1: 5.2, 2: 3.9, 3: 3.1, 4: 2.66}
_HEIGHTS = {1: 2.7, 2: 2.1, 3: 1.55, 4: 1.5}


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle; `top` is its distance from the upper edge of the figure."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The size of a figure and, for every block of axes, its place with header and the boxes of its axes."""

    width: float
    height: float
    blocks: tuple[Box, ...]
    axes: tuple[tuple[Box, ...], ...]

    def is_lowest(self, box: Box) -> bool:
        """Return whether no other axes stand below."""
        centre = box.left + box.width / 2
        others = (other for group in self.axes for other in group)
        return not any(o.top > box.top + 1e-6 and o.left <= centre <= o.left + o.width for o in others)


def columns_for(arms: int, cells: int) -> int:
    """Return the number of columns: a multiple of the arms, so that blocks of one axes per arm fill rows.

    Without such blocks, the number that leaves no panel alone in the last row.

    Examples
    --------
    >>> columns_for(4, 11), columns_for(1, 9), columns_for(1, 7), columns_for(1, 4)
    (4, 3, 4, 2)
    """
    if arms == 1 and cells > 3:
        return {4: 2, 7: 4, 8: 4}.get(cells, 3)
    return min(4 if arms in (2, 4) else 3, max(arms, cells))


def width_of(columns: int) -> float:
    """Return the width in inches of a figure with so many columns."""
    return columns * _WIDTHS[columns]


def place(sizes: Sequence[int], headers: Sequence[float], *, columns: int, top: float, bottom: float) -> Layout:
    """Return the layout of blocks that fill rows from left to right.

    Parameters
    ----------
    sizes
        Number of axes in each block, at most `columns`.
    headers
        Room in inches above the axes of each block; the largest of a row counts.
    top, bottom
        Room above the first and below the last row in inches.
    """
    rows = _rows(sizes, columns)
    cell, height = _WIDTHS[columns], _HEIGHTS[columns]
    blocks: list[Box] = []
    axes: list[tuple[Box, ...]] = []
    below = top
    for row in rows:
        header = max(headers[k] for k in row)
        used = 0
        for k in row:
            block = Box(left=used * cell, top=below, width=sizes[k] * cell, height=header + height)
            blocks.append(block)
            axes.append(_split(block, sizes[k], header))
            used += sizes[k]
        below += header + height + BELOW
    return Layout(width=columns * cell, height=below + LAST_ROW + bottom, blocks=tuple(blocks), axes=tuple(axes))


def _rows(sizes: Sequence[int], columns: int) -> list[list[int]]:
    rows: list[list[int]] = [[]]
    free = columns
    for k, size in enumerate(sizes):
        if size > free:
            rows.append([])
            free = columns
        rows[-1].append(k)
        free -= size
    return rows


def _split(block: Box, count: int, header: float) -> tuple[Box, ...]:
    width = (block.width - LEFT - RIGHT - GAP * (count - 1)) / count
    lefts = [block.left + LEFT + j * (width + GAP) for j in range(count)]
    return tuple(Box(left=x, top=block.top + header, width=width, height=block.height - header) for x in lefts)
