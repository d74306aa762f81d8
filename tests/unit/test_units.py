"""The accepted units, their refusals, and the unit ids of model files."""

from __future__ import annotations

import itertools

import pytest

from atmpsim.errors import UnitError
from atmpsim.units import COUNTED, known_units, magnitude, parse_quantity, parse_unit, parse_unit_id, unit_text


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("36 h", "d", 1.5), ("1 wk", "d", 7.0), ("6 yr", "d", 6 * 365.25), ("12 month", "yr", 1.0),
        ("5 %", "1", 0.05), ("0.3 1", "1", 0.3), ("2 µg", "mg", 2e-3), ("3 mL/min/mL", "1/d", 3 * 1440.0),
        ("2e6 cell/kg", "cell/g", 2e3), ("1 dL", "mL", 100.0), ("1 MBq", "1/s", 1e6), ("4 cm^2", "mm**2", 400.0),
    ],
)  # fmt: skip
def test_conversions(text: str, unit: str, number: float) -> None:
    assert magnitude(parse_quantity(text, where="here"), unit, where="here") == pytest.approx(number, rel=1e-14)


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(COUNTED, 2)))
def test_counted_things_never_convert(one: str, other: str) -> None:
    with pytest.raises(UnitError, match="never convert into one another"):
        magnitude(parse_quantity(f"1 {one}", where="here"), other, where="here")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12", "'12' without a unit"), ("d", "'d', expected a number"), ("1 y", "the unit 'y'"),
        ("1 kcell", "the unit 'kcell'"), ("1 copies", "the unit 'copies'"), ("1 ms", "the unit 'ms'"),
        ("1e999 d", "expected a finite number"), ("1 cell//kg", "the unit 'cell//kg'"), ("1 d^2^2", "'d^2^2'"),
        ("1 d**9**9**9", "the unit 'd**9**9**9'"), ("1 d^99", "the unit 'd^99'"), ("1 (d", "the unit '(d'"),
    ],
)  # fmt: skip
def test_refused_quantities(text: str, found: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_quantity(text, where="here")
    assert found in str(caught.value)
    assert str(caught.value).startswith("here: found")


def test_bare_numbers_are_refused_with_an_example() -> None:
    with pytest.raises(UnitError, match='for example "7 d"'):
        parse_quantity(7, where="here")


@pytest.mark.parametrize("unit", [u for u in known_units() if u != "%"])
def test_every_unit_is_written_as_it_is_read(unit: str) -> None:
    made = parse_unit(unit, where="here")
    assert parse_unit(unit_text(made), where="here") == made


@pytest.mark.parametrize(
    ("identifier", "unit"),
    [("cell", "cell"), ("per_d", "1/d"), ("vp_per_cell", "vp/cell"), ("L_per_min", "L/min"), ("cell_L", "cell*L"),
     ("mL_per_min_per_mL", "mL/min/mL"), ("substance", None), ("time_unit", None), ("", None)],
)  # fmt: skip
def test_unit_ids(identifier: str, unit: str | None) -> None:
    assert parse_unit_id(identifier) == unit
