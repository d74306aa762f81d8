"""The one visual style: sizes, colours, and how units and numbers are written on an axis.

Every property is set on the artist itself. matplotlib's global settings are neither changed nor trusted, so
a figure looks the same in a script, in a notebook with another style, and on a machine without a display.
"""

from __future__ import annotations

import re
from functools import lru_cache

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, MultipleLocator, NullFormatter

from atmpsim.plots.scales import Scale, time_step

FONT = "DejaVu Sans"
"""Comes with matplotlib: the same letters everywhere."""

TITLE, QUESTION, LABEL, TICK, SMALL = 12.0, 9.0, 8.0, 7.0, 6.5
"""Font sizes in points."""

INK, GREY, PALE, GRID, ALARM = "#222222", "#6e6e6e", "#ececec", "#e4e4e4", "#b23a00"

VARIABLE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito, Color Universal Design (2008), without yellow, which is too pale for a line."""

ARM_COLOURS = ("#332288", "#CC6677", "#44AA99", "#882255", "#999933", "#88CCEE", "#117733", "#AA4499")
"""The muted scheme of P. Tol, Colour Schemes, SRON/EPS/TN/09-002: other hues than those of variables."""

Dashes = tuple[float, tuple[float, ...]]
SOLID: Dashes = (0, ())

ARM_DASHES: tuple[Dashes, ...] = (SOLID, (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
DOSE_MARKERS = ("v", "d", "^", "s", "o")

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN = {-2: "0.01", -1: "0.1", 0: "1", 1: "10", 2: "100"}


def superscript(exponent: int | str) -> str:
    """Return an exponent in raised digits: no text of a dataset is ever read as TeX.

    Examples
    --------
    >>> "10" + superscript(-3)
    '10⁻³'
    """
    return str(exponent).translate(_SUPERSCRIPTS)


def unit_label(units: str) -> str:
    """Return a unit of the dataset as it is printed, empty for a pure number.

    Examples
    --------
    >>> unit_label("cell/(kg*d)"), unit_label("percent"), unit_label("1"), unit_label("um**2"), unit_label("ug/mL")
    ('cell/(kg·d)', '%', '', 'µm²', 'µg/mL')
    """
    if units in ("1", "dimensionless"):
        return ""
    text = re.sub(r"\bu(?=(?:m|g|L|mol)\b)", "µ", units)
    text = re.sub(r"(?:\*\*|\^)\s*(-?\d+)", lambda power: superscript(power[1]), text)
    return re.sub(r"\s*\*\s*", "·", text).replace("percent", "%")


def number_label(value: float) -> str:
    """Return a number as it stands at a tick, with a minus sign instead of a hyphen.

    Examples
    --------
    >>> number_label(-2.50)
    '−2.5'
    """
    return f"{value:g}".replace("-", "−")


def axis_label(name: str, units: str, *, exponent: int = 0) -> str:
    """Return a name with its unit, and with the power of ten by which the axis is divided.

    What stands in the brackets is held together by a hard space.

    Examples
    --------
    >>> axis_label("tumour volume", "mL"), axis_label("T cells", "cell", exponent=6), axis_label("antibody", "1")
    ('tumour volume (mL)', 'T cells (10⁶\xa0cell)', 'antibody')
    """
    factor = "10" + superscript(exponent) if exponent else ""
    inside = " ".join(filter(None, [factor, unit_label(units)])).replace(" ", "\xa0")
    return f"{name} ({inside})" if inside else name


@lru_cache(maxsize=4096)
def text_width(text: str, *, size: float) -> float:
    """Return the width of one line of text in inches."""
    font = FontProperties(family=FONT, size=size)
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72


def wrapped(text: str, *, inches: float, size: float, lines: int = 1) -> str:
    """Return a text in at most so many lines that fit a width; what does not fit ends in an ellipsis."""
    made: list[str] = []
    for word in text.split(" "):
        longer = f"{made[-1]} {word}" if made else word
        if made and text_width(longer, size=size) <= inches:
            made[-1] = longer
        else:
            made.append(word)
    if len(made) > lines:
        made = [*made[: lines - 1], " ".join(made[lines - 1 :])]
    return "\n".join(_shortened(line, inches, size) for line in made)


def _shortened(line: str, inches: float, size: float) -> str:
    if text_width(line, size=size) <= inches:
        return line
    letters = next((n for n in range(len(line), 0, -1) if text_width(line[:n] + "…", size=size) <= inches), 0)
    return line[:letters].rstrip(" ,;:") + "…"


def dress(axes: Axes) -> None:
    """Give axes the plain look: two thin spines, short ticks, a light grid below the data."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
        spine.set_linewidth(0.7)
    axes.set_facecolor("white")
    axes.set_axisbelow(True)
    axes.grid(True, which="major", color=GRID, linewidth=0.6, linestyle="-", alpha=1.0)
    axes.tick_params(
        which="major", direction="out", length=3, width=0.7, pad=2.5, color=GREY, labelcolor=INK, labelsize=TICK,
        labelfontfamily=FONT, top=False, right=False,
    )  # fmt: skip
    axes.tick_params(which="minor", direction="out", length=1.6, width=0.5, color=GREY, top=False, right=False)


def set_value_axis(axes: Axes, scale: Scale) -> None:
    """Set ends, ticks and tick labels of the vertical axis."""
    if not scale.log:
        axes.set_ylim(scale.low, scale.high)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_label(value / 10.0**scale.exponent)))
        return
    axes.set_yscale("log")
    axes.set_ylim(scale.low, scale.high)
    decades = scale.decades()
    labelled = decades[:: -(-len(decades) // 5)]
    fine = range(2, 10) if len(decades) <= 4 else (10,)
    axes.yaxis.set_major_locator(FixedLocator([10.0**k for k in labelled]))
    axes.yaxis.set_major_formatter(FixedFormatter([_PLAIN.get(k, "10" + superscript(k)) for k in labelled]))
    axes.yaxis.set_minor_locator(FixedLocator([m * 10.0**k for k in (decades[0] - 1, *decades) for m in fine]))
    axes.yaxis.set_minor_formatter(NullFormatter())


def set_time_axis(axes: Axes, *, low: float, high: float, units: str, ticks: int) -> None:
    """Set ends and ticks of the horizontal axis, with whole days and weeks where the unit is known."""
    margin = 0.015 * (high - low) or 0.5
    axes.set_xlim(low - margin, high + margin)
    ticks = ticks if high < 1000 else max(3, ticks * 2 // 3)  # four digits need more room
    step = time_step(high - low, units, at_most=ticks) if high > low else None
    axes.xaxis.set_major_locator(MultipleLocator(step) if step else MaxNLocator(nbins=ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_label(value)))
