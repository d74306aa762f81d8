"""The lines above the panels of a figure and the small print below them."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from atmpsim.plots import style
from atmpsim.plots.content import Content
from atmpsim.plots.ribbons import FROM_RUNS

_BOLD = 1.12
"""Bold letters are wider by about this factor."""

_LEADING = 1.35
_FOOT_LINE = 0.13


@dataclass(frozen=True, kw_only=True)
class Line:
    """A text above the panels, wrapped to the width of the figure."""

    text: str
    size: float
    colour: str = style.GREY
    bold: bool = False

    def height(self) -> float:
        """Return its height in inches."""
        return (self.text.count("\n") + 1) * self.size / 72 * _LEADING


def head_lines(content: Content, *, title: str, inches: float, most_lines: int) -> list[Line]:
    """Return title, question, the model's caution, what is shown of several arms or runs, and how many runs failed."""
    per_arm = content.runs_per_arm()
    count = f"{most_lines} of {per_arm}" if per_arm > most_lines else f"{per_arm}"
    runs = f"one line per run, {count} in each arm" if per_arm > 1 else ""
    if content.ribbons and (per_arm >= FROM_RUNS or any(curve.reduced for curve in content.curves)):
        runs = f"median, middle half and 5–95 % of {content.runs // max(len(content.arms), 1)} runs in each arm"
    arm = f"arm: {content.arms[0]}" if len(content.arms) == 1 < len(content.all_arms) else ""
    failed = f"{content.failed} of {content.runs} runs failed" if content.failed else ""
    lines = (
        Line(text=title, size=style.TITLE, colour=style.INK, bold=True),
        Line(text=content.texts["question"], size=style.QUESTION),
        Line(text=content.texts["caution"], size=style.LABEL, bold=True),
        Line(text=" · ".join(filter(None, [arm, runs])), size=style.LABEL),
        Line(text=failed, size=style.LABEL, colour=style.ALARM, bold=True),
    )
    return [_fitted(line, inches) for line in lines if line.text]


def _fitted(line: Line, inches: float) -> Line:
    text = style.wrapped(line.text, inches=inches / (_BOLD if line.bold else 1), size=line.size, lines=3)
    return Line(text=text, size=line.size, colour=line.colour, bold=line.bold)


def draw_head(figure: Figure, lines: list[Line], *, left: float, top: float) -> None:
    """Write the lines below one another, from so many inches below the upper edge."""
    width, height = figure.get_size_inches()
    for line in lines:
        figure.text(
            left / width, 1 - top / height, line.text, fontsize=line.size, color=line.colour, fontfamily=style.FONT,
            fontweight="bold" if line.bold else "normal", ha="left", va="top", linespacing=1.25, parse_math=False,
        )  # fmt: skip
        top += line.height()


def foot_text(content: Content, *, inches: float) -> str:
    """Return the small print: context of use, then version, model and the first digits of the inputs' digest."""
    texts = content.texts
    digest = texts["inputs_sha256"][:8]
    origin = [texts["source"], texts["model"] and f"model {texts['model']}", digest and f"inputs {digest}"]
    use = f"Context of use: {texts['context_of_use']}" if texts["context_of_use"] else ""
    lines = filter(None, [use, " · ".join(filter(None, origin))])
    return "\n".join(style.wrapped(line, inches=inches, size=style.SMALL, lines=2) for line in lines)


def foot_height(text: str) -> float:
    """Return the room in inches that the small print needs."""
    return 0.12 + _FOOT_LINE * (text.count("\n") + 1)


def draw_foot(figure: Figure, text: str, *, left: float) -> None:
    """Write the small print along the lower edge."""
    width, height = figure.get_size_inches()
    figure.text(
        left / width, 0.09 / height, text, fontsize=style.SMALL, color=style.GREY, fontfamily=style.FONT, ha="left",
        va="bottom", linespacing=1.3, parse_math=False,
    )  # fmt: skip
