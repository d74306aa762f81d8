"""What `[sweep]` asks for: the axes of swept values, and the points of a grid, a list or a sampled design."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, UnitError, did_you_mean, one_of
from atmpsim.scenario.complaint import toml_text
from atmpsim.scenario.convert import check_text, is_bare, with_unit
from atmpsim.scenario.streams import generator
from atmpsim.units import magnitude

DESIGNS = ("grid", "zip", "latin_hypercube", "sobol", "one_at_a_time")
MAX_RUNS = 100_000_000
POINT = "point"
"""Dimension of the points of every design but the grid, which has a dimension for each axis."""

_SAMPLED = ("latin_hypercube", "sobol")
_OPTIONS = ("design", "count", "table")
_RANGE_KEYS = ("from", "to", "count", "scale")
_SCALES = ("linear", "log")
_BASE = "base"

Values = NDArray[np.float64] | tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """One swept path with its values: numbers in `units`, or texts where they are not plain quantities."""

    path: str
    values: Values
    units: str = ""
    whole: bool = False

    def override(self, index: int) -> Any:
        """Return a value as a scenario would give it."""
        value = self.values[index]
        if isinstance(value, str):
            return value
        if self.units:
            return f"{float(value)!r} {self.units}"
        return int(value) if self.whole else float(value)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """Axes and how they combine.

    `grid` has every combination, the last axis fastest; the other designs have `count` points, at each of which
    an axis has the value of `index[axis]` (-1: none, the scenario's own value stands).
    """

    axes: tuple[Axis, ...] = ()
    design: str = "grid"
    index: tuple[NDArray[np.int64], ...] = field(default=(), repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the number of values of each axis of a grid, or the number of points."""
        if self.design == "grid":
            return tuple(len(axis.values) for axis in self.axes)
        return (len(self.index[0]),)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the dimensions."""
        return tuple(axis.path for axis in self.axes) if self.design == "grid" else (POINT,)

    @property
    def size(self) -> int:
        """Return the number of points."""
        return math.prod(self.shape)

    def positions(self, points: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return, for each axis, the index of its value at each point (-1: none)."""
        if not self.axes:
            return ()
        if self.design == "grid":
            return tuple(np.asarray(k) for k in np.unravel_index(points, self.shape))
        return tuple(index[points] for index in self.index)


def read_sweep(table: Mapping[str, Any], *, csv_text: str, seed: int, where: str) -> Sweep:
    """Return the sweep of a `[sweep]` table.

    Raises
    ------
    ScenarioError, UnitError
        If a path has no values, or values that cannot be, or the design does not fit.
    """
    place = f"{where} [sweep]"
    options = {k: v for k, v in table.items() if k in _OPTIONS}
    paths = {k: v for k, v in table.items() if k not in _OPTIONS}
    design = options.get("design", "grid" if "table" not in options else "zip")
    if design not in DESIGNS:
        raise ScenarioError(where=f"{place} design", found=toml_text(design), expected=one_of(DESIGNS),
                            remedy=did_you_mean(str(design), DESIGNS))  # fmt: skip
    for path in paths:
        if "." not in path:
            raise ScenarioError(where=place, found=f"'{path}'", expected=f"a path, or {one_of(_OPTIONS)}",
                                remedy=did_you_mean(path, _OPTIONS)
                                or 'Write the whole path in quotes: "dose.NAME.amount" = […].')  # fmt: skip
    if "table" in options:
        return _from_table(csv_text, paths, design, place)
    if not paths:
        raise ScenarioError(where=place, found="no path", expected="at least one path with its values",
                            remedy='For example "dose.NAME.amount" = ["1e6 cell/kg", "2e6 cell/kg"].')  # fmt: skip
    if design in _SAMPLED:
        return _sampled(paths, design, _count(options.get("count"), f"{place} count"), seed, place)
    if "count" in options:
        raise ScenarioError(where=f"{place} count", found="a count", expected=f"one of {', '.join(_SAMPLED)}",
                            remedy="Only a sampled design has one; remove it.")  # fmt: skip
    axes = tuple(_axis(path, value, f"{place} '{path}'") for path, value in paths.items())
    return _combined(axes, design, place)


def _combined(axes: tuple[Axis, ...], design: str, where: str) -> Sweep:
    lengths = [len(axis.values) for axis in axes]
    if design == "grid":
        check_size(math.prod(lengths), where=where)
        return Sweep(axes=axes)
    if design == "one_at_a_time":
        total = 1 + sum(lengths)
        index = [np.full(total, -1) for _ in axes]
        start = 1
        for own, length in zip(index, lengths, strict=True):
            own[start : start + length] = np.arange(length)
            start += length
        return Sweep(axes=axes, design=design, index=tuple(index))
    if len(set(lengths)) > 1:
        found = ", ".join(f"{len(a.values)} of '{a.path}'" for a in axes)
        raise ScenarioError(where=where, found=found, expected="equally many values of every path",
                            remedy='design = "zip" pairs them one by one; "grid" combines them all.')  # fmt: skip
    return Sweep(axes=axes, design=design, index=tuple(np.arange(lengths[0]) for _ in axes))


def check_size(runs: int, *, where: str) -> None:
    """Raise for more runs than anybody waits for.

    Raises
    ------
    ScenarioError
        Naming the number.
    """
    if runs > MAX_RUNS:
        raise ScenarioError(where=where, found=f"{runs:.3g} runs", expected=f"at most {MAX_RUNS:.0e}",
                            remedy="Give fewer values, or sample them: design = \"sobol\", count = 4096.")  # fmt: skip


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        found = "no count" if value is None else toml_text(value)
        raise ScenarioError(where=where, found=found, expected="a whole number of at least 1",
                            remedy="Write count = 256, for example.")  # fmt: skip
    check_size(value, where=where)
    return value


def _axis(path: str, given: Any, where: str) -> Axis:
    if isinstance(given, Mapping):
        low, high, unit, scale, whole = _range(path, given, where)
        count = _count(given.get("count"), f"{where} count")
        if count < 2:
            raise ScenarioError(where=f"{where} count", found=str(count), expected="at least 2, for both ends")
        values = np.geomspace(low, high, count) if scale == "log" else np.linspace(low, high, count)
        return Axis(path=path, values=np.unique(np.rint(values)) if whole else values, units=unit, whole=whole)
    if not isinstance(given, list | tuple):
        raise ScenarioError(where=where, found=toml_text(given), expected="a list of values, or a range",
                            remedy='Write [… , …], or { from = …, to = …, count = … }.')  # fmt: skip
    if not given:
        raise ScenarioError(where=where, found="an empty list", expected="at least one value")
    return _listed(path, given, where)


def _listed(path: str, given: Sequence[Any], where: str) -> Axis:
    """Return an axis of listed values: all whole numbers, all numbers, all quantities of one kind, or all texts."""
    for value in given:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ScenarioError(where=where, found=toml_text(value), expected="numbers or texts")
        if not isinstance(value, str) and not math.isfinite(value):
            raise ScenarioError(where=where, found=repr(value), expected="finite numbers")
    if not any(isinstance(value, str) for value in given):
        return Axis(path=path, values=_distinct(np.array(given, dtype=np.float64), where), whole=_whole(given))
    texts = [str(value) for value in given]
    try:
        first = with_unit(texts[0], unit="…", where=where)
        unit = f"{first.units:~C}" or "1"
        numbers = [magnitude(with_unit(t, unit=unit, where=where), unit, where=where) for t in texts]
    except UnitError:
        if any(is_bare(t) for t in texts):
            raise
        for text in texts:  # 'male', or '2e6 cell/kg, max 2e8 cell': what it means is said where it is used
            check_text(text, where=where)
        return Axis(path=path, values=tuple(_distinct_texts(texts, where)))
    return Axis(path=path, values=_distinct(np.array(numbers, dtype=np.float64), where), units=unit)


def _whole(given: Sequence[Any]) -> bool:
    return all(isinstance(value, int) for value in given)


def _distinct(values: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise ScenarioError(where=where, found="a value that is not finite", expected="finite values")
    return values


def _distinct_texts(texts: list[str], where: str) -> list[str]:
    if len(set(texts)) < len(texts):
        raise ScenarioError(where=where, found="a value twice", expected="values that differ")
    return texts


def _range(path: str, given: Mapping[str, Any], where: str) -> tuple[float, float, str, str, bool]:
    """Return lowest, highest, unit, scale and whether it takes whole numbers only."""
    for key in given:
        if key not in _RANGE_KEYS:
            raise ScenarioError(where=where, found=f"'{key}'", expected=one_of(_RANGE_KEYS),
                                remedy=did_you_mean(key, _RANGE_KEYS))  # fmt: skip
    for key in ("from", "to"):
        if key not in given:
            raise ScenarioError(where=where, found=f"no '{key}'", expected=f"the key '{key}'")
    scale = given.get("scale", "linear")
    if scale not in _SCALES:
        raise ScenarioError(where=f"{where} scale", found=toml_text(scale), expected=one_of(_SCALES))
    ends = _listed(path, [given["from"], given["to"]], where)
    low, high = (ends.values[0], ends.values[1])
    if isinstance(low, str) or isinstance(high, str):
        raise ScenarioError(where=where, found=f"'{low}'", expected="a range of numbers")
    if not low < high or (scale == "log" and low <= 0):
        expected = "'from' below 'to'" + (", both above 0" if scale == "log" else "")
        raise ScenarioError(where=where, found=f"{low:g} to {high:g}", expected=expected)
    return float(low), float(high), ends.units, scale, ends.whole and path.endswith(".count")


def _sampled(paths: Mapping[str, Any], design: str, count: int, seed: int, where: str) -> Sweep:
    for path, given in paths.items():
        if not isinstance(given, Mapping):
            raise ScenarioError(where=f"{where} '{path}'", found=toml_text(given)[:60], expected="a range",
                                remedy="Write { from = …, to = …, scale = \"log\" }.")  # fmt: skip
        if "count" in given:
            raise ScenarioError(where=f"{where} '{path}'", found="a count of its own", expected="one count for all",
                                remedy="Write count = … once, under [sweep].")  # fmt: skip
    from scipy.stats import qmc  # half a second to import

    random = generator(seed=seed, purpose=f"sweep {design}")
    if design == "sobol":
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # any number is allowed here; powers of two are best
            unit = qmc.Sobol(len(paths), rng=random).random(count)
    else:
        unit = qmc.LatinHypercube(len(paths), rng=random).random(count)
    axes = []
    for column, (path, given) in zip(unit.T, paths.items(), strict=True):
        low, high, units, scale, whole = _range(path, given, f"{where} '{path}'")
        values = low * (high / low) ** column if scale == "log" else low + (high - low) * column
        axes.append(Axis(path=path, values=np.rint(values) if whole else values, units=units, whole=whole))
    return Sweep(axes=tuple(axes), design=design, index=tuple(np.arange(count) for _ in axes))


def _from_table(text: str, paths: Mapping[str, Any], design: str, where: str) -> Sweep:
    if paths or design != "zip":
        raise ScenarioError(where=where, found="a table beside other paths or a design", expected="the table alone",
                            remedy="Each row of the table is one point.")  # fmt: skip
    rows = [row for row in csv.reader(io.StringIO(text)) if row and not row[0].startswith("#")]
    if len(rows) < 2:
        raise ScenarioError(where=f"{where} table", found="no rows", expected="a line of paths, then one row a point")
    head = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(head) or not all(cell.strip() for cell in row):
            raise ScenarioError(where=f"{where} table row {number}", found=f"{len(row)} cells, or an empty one",
                                expected=f"{len(head)} values")  # fmt: skip
    if len(set(head)) < len(head):
        raise ScenarioError(where=f"{where} table", found="a path twice", expected="each path once")
    axes = []
    for column, name in enumerate(head):
        path, _, unit = (part.strip() for part in name.partition("|"))
        cells = [row[column].strip() for row in rows[1:]]
        axes.append(_column(path, unit, cells, f"{where} table '{path}'"))
    return Sweep(axes=tuple(axes), design="zip", index=tuple(np.arange(len(rows) - 1) for _ in axes))


def _column(path: str, unit: str, cells: list[str], where: str) -> Axis:
    """Return the axis of a column: numbers with the unit of its head (`path | unit`), or texts with units."""
    if not unit:
        numbers = [_number(cell) for cell in cells]
        return _listed(path, cells if None in numbers else [n for n in numbers if n is not None], where)
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        bad = next(cell for cell in cells if _number(cell) is None)
        raise ScenarioError(
            where=where, found=f"'{bad}'", expected=f"a number (its unit, {unit}, is in the head)"
        ) from None
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0]) + 2
        raise ScenarioError(where=f"{where} row {row}", found=f"'{cells[row - 2]}'", expected="a finite number")
    factor_free = with_unit(f"1 {unit}", unit=unit, where=where)
    return Axis(path=path, values=values, units=f"{factor_free.units:~C}" or "1")


def _number(text: str) -> float | int | None:
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return None
