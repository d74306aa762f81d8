"""The units that atmpsim accepts, and the refusal to mix cells, particles, infectious units and genomes.

Only the names listed in `DEFINITIONS` are units. SI prefixes are spelt out one by one, so that a typing
error never turns into yocto- or peta-something. The seven counted things (`cell`, `vp`, `PFU`, `IU`, `vg`,
`copy`, `TU`) are separate base dimensions: none converts into another.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from atmpsim.errors import UnitError, did_you_mean

if TYPE_CHECKING:
    import pint

COUNTED = ("cell", "vp", "PFU", "IU", "vg", "copy", "TU")

DEFINITIONS = """
second = [time] = s
minute = 60 * second = min
hour = 60 * minute = h
day = 24 * hour = d
week = 7 * day = wk
year = 365.25 * day = yr
month = year / 12
metre = [length] = m = meter
cm = 0.01 * metre
mm = 1e-3 * metre
um = 1e-6 * metre
nm = 1e-9 * metre
gram = [mass] = g
kg = 1e3 * gram
mg = 1e-3 * gram
ug = 1e-6 * gram
ng = 1e-9 * gram
pg = 1e-12 * gram
litre = 1e-3 * metre ** 3 = L = liter
dL = 0.1 * litre
mL = 1e-3 * litre
uL = 1e-6 * litre
mole = [substance] = mol
mmol = 1e-3 * mole
umol = 1e-6 * mole
nmol = 1e-9 * mole
pmol = 1e-12 * mole
becquerel = 1 / second = Bq
kBq = 1e3 * becquerel
MBq = 1e6 * becquerel
gray = [absorbed_dose] = Gy
mmHg = [pressure]
cell = [cell]
vp = [virus_particle]
PFU = [plaque_forming_unit]
IU = [infectious_or_international_unit]
vg = [vector_genome]
copy = [copy]
TU = [transducing_unit]
dimensionless = []
percent = 0.01
"""

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*\Z", re.DOTALL)
_UNIT_TEXT = re.compile(r"[A-Za-z_][\w\s*/^().+-]*|1\s*/\s*[\w\s*/^().+-]+")
_TOWER = re.compile(r"(\*\*|\^)[\s(+-]*\d+(\d|[\s)]*(\*\*|\^))")  # powers of powers, and powers above 9
_ASCII = str.maketrans({"µ": "u", "μ": "u", "·": "*", "²": "^2", "³": "^3"})


@cache
def registry() -> pint.UnitRegistry:
    """Return the one registry, with the units of `DEFINITIONS` and nothing else."""
    import pint

    made: pint.UnitRegistry = pint.UnitRegistry(None, cache_folder=None)
    made.load_definitions(DEFINITIONS.strip().splitlines())
    made.formatter.default_format = "~C"
    return made


@cache
def known_units() -> tuple[str, ...]:
    """Return every accepted unit name, long and short."""
    words = re.findall(r"^(\w+)|= (\w+)(?=$| =)", DEFINITIONS, re.MULTILINE)
    return tuple(sorted({a or b for a, b in words} | {"%"}))


def parse_unit(text: str, *, where: str) -> pint.Unit:
    """Return the unit that a text such as `cell/kg`, `1/d` or `%` names.

    Raises
    ------
    UnitError
        If a name in it is not one of `known_units()`.

    Examples
    --------
    >>> parse_unit("vp/cell", where="here").dimensionality
    <UnitsContainer({'[cell]': -1, '[virus_particle]': 1})>
    """
    wanted = text.strip().translate(_ASCII)
    if wanted in ("1", "dimensionless"):
        return registry().dimensionless
    if wanted == "%":
        return registry().percent
    unknown = [w for w in re.findall(r"[A-Za-z_]\w*|%", wanted) if w not in known_units()]
    if unknown:
        remedy = did_you_mean(unknown[0], known_units()) or f"Known units: {', '.join(known_units())}."
        raise UnitError(where=where, found=f"the unit '{unknown[0]}'", expected="a known unit", remedy=remedy)
    try:
        if "//" in wanted or _TOWER.search(wanted) or not _UNIT_TEXT.fullmatch(wanted):
            raise ValueError(wanted)
        return registry().Unit(wanted.replace("1/", "dimensionless/", 1) if wanted.startswith("1") else wanted)
    except Exception as error:  # pint raises many kinds here, tokenizer errors among them
        raise UnitError(
            where=where,
            found=f"the unit '{text}'",
            expected="a product or quotient of known units",
            remedy="Write it like 'cell/kg' or 'mL/min'.",
        ) from error


def parse_quantity(text: object, *, where: str) -> pint.Quantity:
    """Return the quantity that a text such as `2e6 cell/kg` or `0.3 1` gives.

    Raises
    ------
    UnitError
        If there is no number, no unit, or an unknown unit.

    Examples
    --------
    >>> parse_quantity("36 h", where="here").to("d").magnitude
    1.5
    """
    if isinstance(text, bool) or not isinstance(text, str):
        raise UnitError(
            where=where,
            found=f"{text!r} without a unit",
            expected="a number with its unit as text",
            remedy=f'Write it in quotes with a unit, for example "{text} d"; a pure number is "{text} 1".',
        )
    match = _NUMBER.match(text)
    if not match:
        raise UnitError(
            where=where, found=f"'{text}'", expected="a number with its unit", remedy="Write it like '2e6 cell/kg'."
        )
    number, unit = match.groups()
    if not unit:
        raise UnitError(
            where=where,
            found=f"'{text}' without a unit",
            expected="a number with its unit",
            remedy=f"Add the unit, for example '{number} d'; a pure number is '{number} 1'.",
        )
    if not math.isfinite(float(number)):
        raise UnitError(where=where, found=f"'{text}'", expected="a finite number with its unit")
    return registry().Quantity(float(number), parse_unit(unit, where=where))


def magnitude(quantity: pint.Quantity, unit: str | pint.Unit, *, where: str) -> float:
    """Return a quantity's number in another unit of the same kind.

    Raises
    ------
    UnitError
        If the two are of different kinds; cells, particles, infectious units and genomes never mix.
    """
    import pint

    target = parse_unit(unit, where=where) if isinstance(unit, str) else unit
    try:
        return float(quantity.to(target).magnitude)
    except pint.DimensionalityError as error:
        remedy = f"Give it in {unit_text(target)}."
        if _counted(quantity.units) != _counted(target):
            remedy += f" {', '.join(COUNTED)} never convert into one another."
        raise UnitError(
            where=where, found=f"{quantity:~C}", expected=f"a quantity in {unit_text(target)}", remedy=remedy
        ) from error


def unit_text(unit: pint.Unit) -> str:
    """Return a unit as the text that `parse_unit` reads back, `1` for a pure number."""
    return f"{unit:~C}" or "1"


def parse_unit_id(identifier: str) -> str | None:
    """Return the unit that the id of an SBML unit definition spells, or None if it spells none.

    `_per_` divides; everything after it is in the denominator. `per_d` is 1/d.

    Examples
    --------
    >>> parse_unit_id("vp_per_cell"), parse_unit_id("per_d"), parse_unit_id("mL_per_min_per_mL")
    ('vp/cell', '1/d', 'mL/min/mL')
    >>> parse_unit_id("substance") is None
    True
    """
    parts = re.split(r"(?:^|_)per_", identifier)
    words = [p.split("_") for p in parts]
    if any(w and w not in known_units() for group in words for w in group):
        return None
    top = "*".join(w for w in words[0] if w) or "1"
    below = ["*".join(group) if len(group) == 1 else "(" + "*".join(group) + ")" for group in words[1:]]
    return "/".join([top, *below]) if top != "1" or below else None


def _counted(unit: Any) -> set[str]:
    return set(unit.dimensionality) & _counted_dimensions()


@cache
def _counted_dimensions() -> frozenset[str]:
    return frozenset(kind for name in COUNTED for kind in registry().Unit(name).dimensionality)
