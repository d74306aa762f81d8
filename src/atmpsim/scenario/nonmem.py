"""Reader of NONMEM dosing tables: doses, resets and observation times of each subject.

Meanings are those of PREDPP and NM-TRAN (NONMEM Users Guide VI, chapter V, and the help entries EVID, MDV, ADDL and
$DATA of Guide VIII), with three differences that make a slip an error instead of a number: TIME must be given in
every row, an unknown column must be named in `ignore`, and what this simulator cannot do (steady state, modelled
rates, a clock that a reset sets back) is refused. `DUR` is the infusion's duration, as in rxode2 and Pumas.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario.dosing import SAMPLE_AFTER, SAMPLE_BEFORE, Dose

REQUIRED = ("ID", "TIME", "AMT")
COLUMNS = (*REQUIRED, "RATE", "DUR", "ADDL", "II", "SS", "CMT", "EVID", "MDV", "DV", "NAME", "PRODUCT")

_DOSE_COLUMNS = ("AMT", "RATE", "DUR", "ADDL", "II", "SS")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?", re.ASCII)
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}.*", re.ASCII)
_DATE_COLUMNS = ("DATE", "DAT1", "DAT2", "DAT3")
_EVENTS = {0: "observation", 1: "dose", 2: "other event", 3: "reset", 4: "reset and dose"}
_REFUSED_RATES = {-1.0: "a rate", -2.0: "a duration"}


@dataclass(frozen=True)
class DosingTable:
    """The table of one subject, times and amounts in the model's units.

    `observation_sides` says for each observation time on which side of a dose at that same time it was taken, as
    PREDPP orders them: `after` if the dose's row stands before the observation's or the dose is one of the repeats
    that ADDL implies, otherwise `before`.
    """

    doses: tuple[Dose, ...]
    resets: tuple[float, ...]
    observation_times: tuple[float, ...]
    observation_sides: tuple[str, ...]


class _Row(NamedTuple):
    """One line of the file: where it stands, and its cells by column."""

    where: str
    cells: Mapping[str, str]

    def at(self, column: str) -> str:
        return f"{self.where} column {column}"

    def text(self, column: str) -> str:
        cell = self.cells.get(column, "")
        return "" if cell == "." else cell


@dataclass
class _Subject:
    """What was read of one subject so far."""

    time: float = -math.inf
    doses: list[Dose] = field(default_factory=list)
    resets: list[float] = field(default_factory=list)
    observations: list[tuple[float, str]] = field(default_factory=list)
    since_reset: int = 0  # index of the first dose after the last reset

    def table(self) -> DosingTable:
        times, sides = tuple(time for time, _ in self.observations), tuple(side for _, side in self.observations)
        return DosingTable(tuple(self.doses), tuple(self.resets), times, sides)


def read_dosing_table(
    text: str,
    *,
    name: str,
    states: Sequence[str],
    where: str = "",
    ignore: Collection[str] = (),
    time_factor: float = 1.0,
    amount_factor: float = 1.0,
) -> Mapping[str, DosingTable]:
    """Return the dosing table of each subject, by ID in the order of the file.

    Parameters
    ----------
    text
        The table, with a header line; columns separated by commas, semicolons, tabs or spaces. Blank lines
        and lines that start with `#` are skipped. Column names in upper, lower or mixed case.
    name
        The file's name, for errors.
    states
        Names of the model's states; a number in CMT counts them from 1.
    where
        Who asks for the table, for errors; may be empty.
    ignore
        Columns that the table may have besides `COLUMNS`.
    time_factor, amount_factor
        One time unit and one amount unit of the table, in the model's units: 1/24 for hours in a model in days.

    Raises
    ------
    ScenarioError
        If any row cannot be used; file, line and column are named.

    Examples
    --------
    >>> text = "ID,TIME,AMT,CMT,ADDL,II\\n1,0,2e6,blood,5,7\\n"
    >>> table = read_dosing_table(text, name="d.csv", states=["blood", "lung"])
    >>> dose = table["1"].doses[0]
    >>> dose.into, dose.amount, dose.every, dose.count
    ('blood', 2000000.0, 7.0, 6)
    """
    place = f"{where}: {name}" if where else name
    lines = _lines(text, where=place)
    subjects: dict[str, _Subject] = {}
    last = ""
    for row in _rows(lines, ignore={name.upper() for name in ignore}, where=place):
        last = _subject_id(row, last=last, known=subjects)
        subject = subjects.setdefault(last, _Subject())
        _add(row, subject, states=states, time_factor=time_factor, amount_factor=amount_factor)
    return {subject_id: subject.table() for subject_id, subject in subjects.items()}


def _wrong(where: str, found: str, *, expected: str, remedy: str = "") -> ScenarioError:
    return ScenarioError(where=where, found=found, expected=expected, remedy=remedy)


def _lines(text: str, *, where: str) -> list[tuple[int, str]]:
    numbered = enumerate(re.split(r"\r\n|\r|\n", text), 1)
    lines = [(number, line) for number, line in numbered if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) < 2:
        found = "a header without rows" if lines else "an empty file"
        raise _wrong(where, found, expected=f"a header line with {', '.join(REQUIRED)}, and rows")
    return lines


def _rows(lines: list[tuple[int, str]], *, ignore: set[str], where: str) -> Iterator[_Row]:
    number, header = lines[0]
    delimiter = next((mark for mark in ";\t," if mark in header), " ")
    names = [name.upper() for name in _cells(header, delimiter=delimiter, where=f"{where} line {number}")]
    _check_header(names, ignore=ignore, where=f"{where} line {number}")
    for number, line in lines[1:]:
        here = f"{where} line {number}"
        cells = _cells(line, delimiter=delimiter, where=here)
        if len(cells) != len(names):
            remedy = "Fill missing values with '.'."
            raise _wrong(here, f"{len(cells)} values", expected=f"{len(names)}, one per column", remedy=remedy)
        yield _Row(here, {name: cell for name, cell in zip(names, cells, strict=True) if name not in ignore})


def _cells(line: str, *, delimiter: str, where: str) -> list[str]:
    text = line.strip() if delimiter == " " else line
    try:
        (cells,) = csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise _wrong(where, f"a line that cannot be split ({error})", expected="balanced quotes") from error
    return [cell.strip() for cell in cells]


def _check_header(names: list[str], *, ignore: set[str], where: str) -> None:
    for name in (name for name in names if name not in ignore):
        _check_column(name, where=where)
        if names.count(name) > 1:
            raise _wrong(where, f"column {name} twice", expected="each column once")
    missing = [name for name in REQUIRED if name not in names or name in ignore]
    if missing:
        found = f"no column {', '.join(missing)}"
        raise _wrong(where, found, expected=f"a header with {', '.join(REQUIRED)}", remedy="The first line names them.")
    if {"NAME", "PRODUCT"} <= set(names) - ignore:
        raise _wrong(where, "both NAME and PRODUCT", expected="one of them", remedy="Name the other in ignore.")


def _check_column(name: str, *, where: str) -> None:
    if not name:
        raise _wrong(where, "a column without a name", expected="a name", remedy="Export without row names.")
    if name in _DATE_COLUMNS:
        remedy = "Write the time since the first dose in TIME."
        raise _wrong(where, f"the calendar column {name}", expected="elapsed time", remedy=remedy)
    if name not in COLUMNS:
        remedy = did_you_mean(name, COLUMNS) or "If it does not matter for dosing, name it in ignore."
        raise _wrong(where, f"the column {name!r}", expected=one_of(COLUMNS), remedy=remedy)


def _subject_id(row: _Row, *, last: str, known: Mapping[str, object]) -> str:
    subject_id = row.text("ID")
    if not subject_id:
        raise _wrong(row.at("ID"), "no value", expected="the subject's ID")
    if subject_id != last and subject_id in known:
        remedy = "NONMEM would start a new subject here; sort the table by ID."
        raise _wrong(row.at("ID"), f"{subject_id!r} again", expected="all rows of a subject together", remedy=remedy)
    # NONMEM compares numbers, so that 1 and 1.0 are one subject; two spellings would silently make two.
    values = [float(text) for text in (subject_id, last) if _NUMBER.fullmatch(text)]
    if subject_id != last and len(values) == 2 and values[0] == values[1]:
        raise _wrong(row.at("ID"), f"{subject_id!r} after {last!r}", expected="one way to write a subject's ID")
    return subject_id


def _add(row: _Row, subject: _Subject, *, states: Sequence[str], time_factor: float, amount_factor: float) -> None:
    event = _event(row)
    time = _time(row, subject, event=event) * time_factor
    if event in (3, 4):
        _add_reset(row, subject, time=time)
    if event in (1, 4):
        into = _state(row, states=states)
        subject.doses.append(_dose(row, into=into, time=time, time_factor=time_factor, amount_factor=amount_factor))
    else:
        _check_no_dose(row, event=event)
    if event == 0:
        subject.observations.append((time, _side(subject, time=time)))


def _event(row: _Row) -> int:
    """Return the EVID of a row; where the table has no such column, the one that NM-TRAN would add."""
    mdv = _mdv(row)
    if "EVID" in row.cells:
        event = _known_event(row)
    elif any(_number(row, column) != 0 for column in ("AMT", "RATE", "SS")):
        event = 1
    else:
        event = 2 if mdv == 1 else 0
    if event and row.text("MDV") and mdv == 0:
        remedy = f"EVID {event} is a {_EVENTS[event]}, which has no observed value."
        raise _wrong(row.at("MDV"), "0", expected="1 in a row that is not an observation", remedy=remedy)
    return event


def _known_event(row: _Row) -> int:
    event = _whole(row, "EVID")
    if event not in _EVENTS:
        remedy = "The events that rxode2 adds (5, 6, 7) are not supported." if event in (5, 6, 7) else ""
        raise _wrong(row.at("EVID"), f"EVID {event}", expected="0, 1, 2, 3 or 4", remedy=remedy)
    return event


def _mdv(row: _Row) -> int:
    value = _whole(row, "MDV")
    if value not in (0, 1, 100, 101):
        raise _wrong(row.at("MDV"), str(value), expected="0 or 1")
    return value % 100  # 100 and 101 matter in estimation only


def _time(row: _Row, subject: _Subject, *, event: int) -> float:
    if not row.text("TIME"):
        raise _wrong(row.at("TIME"), "no value", expected="a time in every row")
    time = _number(row, "TIME")
    if time < subject.time:
        set_back = "A clock set back by a reset is not supported: let TIME run on, or use another ID."
        remedy = set_back if event in (3, 4) else "Sort the rows of each ID by TIME."
        raise _wrong(row.at("TIME"), f"{time:g} after {subject.time:g}", expected="a later time", remedy=remedy)
    subject.time = time
    return time


def _add_reset(row: _Row, subject: _Subject, *, time: float) -> None:
    if any(dose.time == time for dose in subject.doses[subject.since_reset :]):
        remedy = "The reset would undo it; put the reset first, or use EVID 4 for both."
        raise _wrong(row.at("EVID"), "a reset after a dose at the same time", expected="the dose last", remedy=remedy)
    if time not in subject.resets:
        subject.resets.append(time)
    subject.since_reset = len(subject.doses)


def _check_no_dose(row: _Row, *, event: int) -> None:
    kind = f"EVID {event} ({_EVENTS[event]})"
    for column in _DOSE_COLUMNS:
        if _number(row, column) != 0:
            remedy = f"A row with {kind} gives nothing; write EVID 1, or 0 in {column}."
            raise _wrong(row.at(column), row.text(column), expected="0", remedy=remedy)
    if row.text("CMT").startswith("-"):
        remedy = "States cannot be turned off."
        raise _wrong(row.at("CMT"), row.text("CMT"), expected="no minus sign", remedy=remedy)


def _dose(row: _Row, *, into: str, time: float, time_factor: float, amount_factor: float) -> Dose:
    amount = _number(row, "AMT")
    if amount <= 0:
        remedy = "A dose row needs an amount; use EVID 2 for a row that gives nothing."
        raise _wrong(row.at("AMT"), f"{amount:g}", expected="an amount above 0", remedy=remedy)
    steady = _whole(row, "SS")
    if steady:
        remedy = "Steady state is not supported: write the doses that lead to it with ADDL and II."
        raise _wrong(row.at("SS"), f"SS {steady}", expected="0", remedy=remedy)
    rate, duration = _infusion(row)
    more, every = _repeats(row)
    return Dose(
        into=into,
        amount=amount * amount_factor,
        time=time,
        duration=duration * time_factor if duration else None,
        rate=rate * amount_factor / time_factor if rate else None,
        every=every * time_factor if more else None,
        count=more + 1,
        name=row.text("NAME") or row.text("PRODUCT"),
    )


def _infusion(row: _Row) -> tuple[float, float]:
    """Return the rate and the duration of a row's infusion; both 0 is a bolus."""
    rate, duration = _number(row, "RATE"), _number(row, "DUR")
    if rate in _REFUSED_RATES:
        found = f"RATE {rate:g}, {_REFUSED_RATES[rate]} that the model computes"
        remedy = "Write the rate itself in RATE, or the duration in DUR."
        raise _wrong(row.at("RATE"), found, expected="0 or a rate above 0", remedy=remedy)
    for column, value in (("RATE", rate), ("DUR", duration)):
        if value < 0:
            raise _wrong(row.at(column), f"{value:g}", expected="0 (a bolus) or a number above 0")
    if rate and duration:
        raise _wrong(row.at("DUR"), "both RATE and DUR", expected="one of them", remedy="Set the other to 0.")
    return rate, duration


def _repeats(row: _Row) -> tuple[int, float]:
    """Return the number of additional doses and the interval between them."""
    more, every = _whole(row, "ADDL"), _number(row, "II")
    if more < 0:
        remedy = "NONMEM 7.5 reads it as steady state, which is not supported."
        raise _wrong(row.at("ADDL"), str(more), expected="0 or the number of additional doses", remedy=remedy)
    if every < 0 or (more and not every):
        raise _wrong(row.at("II"), f"{every:g}", expected="an interval above 0 with ADDL")
    if every and not more:
        remedy = "Write the number of additional doses in ADDL, or 0 in II."
        raise _wrong(row.at("II"), f"an interval of {every:g} without ADDL", expected="both or neither", remedy=remedy)
    return more, every


def _state(row: _Row, *, states: Sequence[str]) -> str:
    cell = row.text("CMT")
    if cell in states:
        return cell
    if not cell or (_NUMBER.fullmatch(cell) and float(cell) == 0):
        if len(states) == 1:
            return states[0]
        remedy = "Write the name of the state; there is no default dose compartment."
        raise _wrong(row.at("CMT"), "no state", expected=one_of(states), remedy=remedy)
    if _NUMBER.fullmatch(cell) and float(cell) in range(1, len(states) + 1):
        return states[int(float(cell)) - 1]
    same = [name for name in states if name.lower() == cell.lower()]
    remedy = f"Did you mean '{same[0]}'?" if same else did_you_mean(cell, states)
    raise _wrong(row.at("CMT"), repr(cell), expected=f"{one_of(states)}, or 1 to {len(states)}", remedy=remedy)


def _side(subject: _Subject, *, time: float) -> str:
    doses = subject.doses[subject.since_reset :]
    hit = time in subject.resets or any(_gives_at(dose, time=time) for dose in doses)
    return SAMPLE_AFTER if hit else SAMPLE_BEFORE


def _gives_at(dose: Dose, *, time: float) -> bool:
    k = round((time - dose.time) / dose.every) if dose.every else 0
    return 0 <= k < dose.count and math.isclose(dose.time + k * (dose.every or 0.0), time, rel_tol=1e-15, abs_tol=0.0)


def _whole(row: _Row, column: str) -> int:
    value = _number(row, column)
    if value != int(value):
        raise _wrong(row.at(column), row.text(column), expected="a whole number")
    return int(value)


def _number(row: _Row, column: str) -> float:
    """Return a cell's number; a missing cell or column is 0, as in NM-TRAN."""
    cell = row.text(column)
    if not cell:
        return 0.0
    if _NUMBER.fullmatch(cell):
        if not math.isfinite(float(cell)):
            raise _wrong(row.at(column), cell, expected="a finite number")
        return float(cell)
    kind = "clock time" if _CLOCK.fullmatch(cell) else "date" if _DATE.fullmatch(cell) else ""
    if kind:
        remedy = "Dates and clock times are not supported: write the time since the first dose."
        raise _wrong(row.at(column), f"the {kind} {cell}", expected="a number", remedy=remedy)
    remedy = "Write the decimal separator as a point." if "," in cell else "Write a missing value as '.'."
    raise _wrong(row.at(column), repr(cell), expected="a number", remedy=remedy)
