"""Which variables share a panel, and which panels a figure shows: a rule on units and display names alone.

Two variables share a panel if they have the same unit and are the same kind of thing: the last word before
the first comma or preposition of their display names is the same (`living carriers in the lung`, `living
carriers in the liver`). No model is known here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atmpsim.plots.content import Curve
from atmpsim.plots.scales import is_constant, is_nothing

MOST_PANELS = 9
MOST_CELLS = 20
"""Most panels in a figure, and most axes where a panel has one for each arm."""

MOST_CURVES = 7
"""As many curves as a reader can tell apart, and as the palette has colours."""

_BREAK = re.compile(r"[,:;(]|\b(?:in|of|by|per|outside|from|to|at|on|for|that|with|under|above|below)\b")
_FILLERS = {"in", "of", "by", "the", "a", "an", "at", "on", "for", "from", "to", "per"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Variables on one axis: what they have in common, and what tells them apart."""

    label: str
    units: str
    curves: tuple[Curve, ...]
    names: tuple[str, ...]
    limit: float | None = None


def choose_panels(
    curves: Sequence[Curve],
    *,
    summarised: Sequence[str] = (),
    everything: bool = False,
    apart: bool = False,
    arms: int = 1,
) -> tuple[Panel, ...]:
    """Return the panels of a figure in the order in which they are drawn.

    What stays constant or empty is left out. Panels with a variable of the summary come first, in its order;
    then assays (variables with a limit of detection); then the others as they stand; last those that repeat
    an earlier thing in another unit.

    Parameters
    ----------
    summarised
        Variables with a metric in the summary.
    everything
        Show every variable, in the given order.
    apart
        One variable a panel.
    arms
        Axes that a panel with several variables needs.
    """
    groups = _groups(curves, apart=apart)
    if everything:
        return tuple(_made(group) for group in _parted(groups))
    groups = _parted([kept for group in groups if (kept := _changing(group))] or groups)
    ranked = sorted(groups, key=lambda group: _rank(group, groups, list(summarised)))
    return _within_budget([_made(group) for group in ranked], arms)


def _groups(curves: Sequence[Curve], *, apart: bool) -> list[list[Curve]]:
    """Return the curves that belong together; an assay stands alone, because its limit is its own."""
    made: dict[object, list[Curve]] = {}
    for curve in curves:
        key = curve.name if apart or curve.limit is not None else (curve.units, _thing(curve.long_name))
        made.setdefault(key, []).append(curve)
    return list(made.values())


def _parted(groups: list[list[Curve]]) -> list[list[Curve]]:
    return [group[k : k + MOST_CURVES] for group in groups for k in range(0, len(group), MOST_CURVES)]


def _changing(group: list[Curve]) -> list[Curve]:
    """Return the curves that change; none where most of the group is constant (shares of a fixed split)."""
    present = [c for c in group if not is_nothing(_later(c), c.units)]
    changing = [c for c in present if not is_constant(c.every_row())]
    return changing if 2 * len(changing) >= len(present) else []


def _later(curve: Curve) -> np.ndarray:
    rows = curve.every_row()
    return rows[:, 1:] if rows.shape[1] > 1 else rows


def _rank(group: list[Curve], groups: list[list[Curve]], summarised: list[str]) -> tuple[int, int]:
    asked = [summarised.index(c.name) for c in group if c.name in summarised]
    if asked:
        return 0, min(asked)
    position = groups.index(group)
    if group[0].limit is not None:
        return 1, position
    seen = {_thing(g[0].long_name) for g in groups[:position]}
    return (3 if _thing(group[0].long_name) in seen else 2), position


def _within_budget(panels: list[Panel], arms: int) -> tuple[Panel, ...]:
    kept: list[Panel] = []
    cells = 0
    for panel in panels:
        cost = arms if len(panel.curves) > 1 else 1
        if len(kept) < MOST_PANELS and (cells + cost <= MOST_CELLS or not kept):
            kept.append(panel)
            cells += cost
    return tuple(kept)


def _made(group: list[Curve]) -> Panel:
    label, names = describe_group([c.long_name for c in group])
    # display names need not be unique, ids are
    names = tuple(f"{n} [{c.name}]" if names.count(n) > 1 else n for n, c in zip(names, group, strict=True))
    return Panel(label=label, units=group[0].units, curves=tuple(group), names=names, limit=group[0].limit)


def describe_group(long_names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return what display names have in common, and what is left of each.

    Examples
    --------
    >>> describe_group(["living carriers in the lung", "living carriers in all other tissue"])
    ('living carriers', ('lung', 'all other tissue'))
    >>> describe_group(["infected tumour cells", "living tumour cells"])
    ('tumour cells', ('infected tumour cells', 'living tumour cells'))
    """
    if len(long_names) == 1:
        return long_names[0], tuple(long_names)
    words = [name.split() for name in long_names]
    if len({_stem(name) for name in long_names}) > 1:
        ending = _common([_stem(name).split()[::-1] for name in long_names])
        return " ".join(ending[::-1]) or _thing(long_names[0]), tuple(long_names)
    start = _common(words)
    rests = [_trimmed(own[len(start) :], 0) for own in words]
    names = tuple(rest or name for rest, name in zip(rests, long_names, strict=True))
    return _trimmed(start, -1), names


def _stem(long_name: str) -> str:
    return _BREAK.split(long_name, maxsplit=1)[0].strip() or long_name


def _thing(long_name: str) -> str:
    """Return the word that says what is counted: the last one before the first comma or preposition."""
    return _stem(long_name).split()[-1].lower()


def _common(lists: Sequence[Sequence[str]]) -> list[str]:
    """Return the words with which all lists begin, without punctuation."""
    made = []
    for column in zip(*lists, strict=False):
        bare = {word.strip(",:;") for word in column}
        if len(bare) > 1:
            break
        made.append(bare.pop())
    return made


def _trimmed(words: Sequence[str], end: int) -> str:
    """Return words as text, without the fillers at one end (0 or -1)."""
    left = [w for w in words if w.strip(",:;")]
    while left and left[end].lower() in _FILLERS:
        left.pop(end)
    return " ".join(left).strip(",:; ")
