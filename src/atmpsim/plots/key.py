"""Keys that flow like text: entries fill lines from left to right, as matplotlib's columns do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from atmpsim.plots import style

_BEFORE, _BETWEEN = 0.5, 1.5
"""Space before a text and between entries, in font sizes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Key:
    """Artists by their text, in lines that are `inches` wide; `handle` is the length of an artist in inches."""

    entries: Mapping[str, Artist]
    inches: float
    size: float
    handle: float

    def height(self) -> float:
        """Return the height of the key in inches."""
        return sum(self._heights())

    def rows(self) -> list[list[tuple[str, Artist]]]:
        """Return the entries of each line; a text of two lines stands alone."""
        made: list[list[tuple[str, Artist]]] = []
        beside = self.handle + (_BEFORE + _BETWEEN) * self.size / 72
        free = 0.0
        for label, artist in self.entries.items():
            text = style.wrapped(label, inches=self.inches - beside, size=self.size, lines=2)
            needed = self.inches if "\n" in text else beside + style.text_width(text, size=self.size)
            if not made or needed > free:
                made.append([])
                free = self.inches
            made[-1].append((text, artist))
            free -= needed
        return made

    def draw(self, figure: Figure, *, left: float, top: float) -> None:
        """Draw the key; its upper left corner stands so many inches from that of the figure."""
        width, height = figure.get_size_inches()
        for row, line in zip(self.rows(), self._heights(), strict=True):
            # matplotlib leaves labels out that begin with an underscore
            texts = [f" {text}" if text.startswith("_") else text for text, _ in row]
            legend = figure.legend(
                [artist for _, artist in row], texts, loc="center left", ncols=len(row), frameon=False, borderpad=0,
                bbox_to_anchor=(left / width, 1 - (top + line / 2) / height), borderaxespad=0, fontsize=self.size,
                handlelength=self.handle * 72 / self.size, handletextpad=_BEFORE, columnspacing=_BETWEEN,
            )  # fmt: skip
            for label in legend.get_texts():
                label.set(parse_math=False, fontfamily=style.FONT, color=style.INK)
            top += line

    def _heights(self) -> list[float]:
        return [(1.5 + 1.15 * max(text.count("\n") for text, _ in row)) * self.size / 72 for row in self.rows()]
