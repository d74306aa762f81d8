"""NONMEM dosing tables: what is read, against NONMEM's own output, and what is refused and how."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm

from atmpsim.errors import ScenarioError
from atmpsim.scenario.dosing import Dose, breakpoints, expand
from atmpsim.scenario.nonmem import read_dosing_table

STATES = ("gut", "central")


def read(text, **options):
    return read_dosing_table(text, **{"name": "doses.csv", "states": STATES, "where": "run.toml [dosing]", **options})


def one(text, **options):
    (table,) = read(text, **options).values()
    return table


# -- what is read ---------------------------------------------------------------------------------------------------


def test_a_table_of_two_subjects():
    tables = read(
        "ID,TIME,AMT,RATE,ADDL,II,CMT,EVID,MDV,DV,NAME\n"
        "b7,0,100,0,5,7,gut,1,1,.,msc\n"
        "b7,0.5,.,.,.,.,central,0,0,3.2,\n"
        "b7,3,0,0,0,0,2,2,1,.,\n"
        "a1,1,50,25,,,2,1,1,.,virus\n",
    )
    assert list(tables) == ["b7", "a1"]
    assert tables["b7"].doses == (Dose(into="gut", amount=100.0, every=7.0, count=6, name="msc"),)
    assert tables["b7"].observation_times == (0.5,)
    assert tables["a1"].doses == (Dose(into="central", amount=50.0, time=1.0, rate=25.0, name="virus"),)
    assert tables["a1"].observation_times == ()


@pytest.mark.parametrize("mark", [",", ";", "\t", " ", "   "])
def test_delimiters_case_comments_quotes_and_line_ends(mark):
    lines = ["# made by hand", "Id|time|AmT|cmt", "", "1|0|100|'x'", "  # pause", '"1"|2.5|1E2|"central"', ""]
    text = "\r\n".join(lines).replace("'x'", "1").replace("|", mark)
    table = one(text)
    assert table.doses == (Dose(into="gut", amount=100.0), Dose(into="central", amount=100.0, time=2.5))


def test_duration_column_and_product_as_name():
    table = one("ID,TIME,AMT,DUR,CMT,PRODUCT\n1,0,100,0.25,gut,lot 7\n1,1,100,0,gut,.\n")
    assert table.doses[0] == Dose(into="gut", amount=100.0, duration=0.25, name="lot 7")
    assert table.doses[1].duration is None


def test_factors_convert_times_amounts_and_rates():
    table = one(
        "ID,TIME,AMT,RATE,DUR,ADDL,II,CMT,EVID\n1,24,3,6,0,2,12,gut,1\n1,36,3,0,6,0,0,gut,4\n1,48,0,0,0,0,0,gut,0\n",
        time_factor=1 / 24,
        amount_factor=1e6,
    )
    first, second = table.doses
    assert (first.time, first.amount, first.every, first.rate) == (1.0, 3e6, 0.5, pytest.approx(144e6))
    assert second.duration == 0.25
    assert (table.resets, table.observation_times) == ((1.5,), (2.0,))


@pytest.mark.parametrize(
    ("columns", "row", "kind"),
    [  # NONMEM Users Guide VIII, EVID: what NM-TRAN appends when the table has no EVID
        ("MDV", "100,1", "dose"),
        ("MDV", "0,0", "observation"),
        ("MDV", "0,1", "other"),
        ("MDV", "0,101", "other"),
        ("DV", "100,.", "dose"),
        ("DV", "0,3.1", "observation"),
        ("DV", ".,.", "observation"),
        ("EVID", "0,0", "observation"),
        ("EVID", "0,.", "observation"),
        ("EVID", "100,1.0000E+00", "dose"),
    ],
)
def test_kind_of_row(columns, row, kind):
    table = one(f"ID,TIME,CMT,AMT,{columns}\n1,0,1,{row}\n")
    assert (len(table.doses), len(table.observation_times)) == {"dose": (1, 0), "observation": (0, 1)}.get(kind, (0, 0))


def test_resets_of_evid_3_and_4_and_additional_doses_do_not_reset_again():
    table = one(
        "ID,TIME,AMT,ADDL,II,CMT,EVID\n1,0,100,0,0,gut,1\n1,5,0,0,0,gut,3\n1,5,0,0,0,gut,3\n1,8,50,3,2,gut,4\n",
    )
    assert table.resets == (5.0, 8.0)
    assert [dose.count for dose in table.doses] == [1, 4]
    schedule = expand(table.doses, start=0.0, end=20.0, where="here", resets=table.resets)
    assert [time for time, _, _ in schedule.boluses] == [0.0, 8.0, 10.0, 12.0, 14.0]


def test_the_guides_own_example_of_additional_doses():
    """NONMEM Users Guide VIII, ADDL: the two tables specify the same doses."""
    long = (
        "ID TIME AMT ADDL II DV\n1 10. 15. 0 0 .\n1 15. . . . 25.7\n1 20. 10. 0 0 .\n1 22. 15. 0 0 .\n1 34. 15. 0 0 .\n"
    )
    short = "ID TIME AMT ADDL II DV\n1 10. 15. 2 12. .\n1 15. . . . 25.7\n1 20. 10. 0 0 .\n"
    schedules = [expand(one(text, states=["A"]).doses, start=0.0, end=50.0, where="here") for text in (long, short)]
    assert schedules[0] == schedules[1]
    assert schedules[0].boluses == ((10.0, "A", 15.0), (20.0, "A", 10.0), (22.0, "A", 15.0), (34.0, "A", 15.0))


def test_states_by_number_name_or_the_only_one():
    text = "ID,TIME,AMT,CMT\n1,0,1,2\n1,0,1,gut\n1,0,1,1.0\n"
    assert [dose.into for dose in one(text).doses] == ["central", "gut", "gut"]
    assert one("ID,TIME,AMT,CMT\n1,0,1,0\n", states=["A"]).doses[0].into == "A"
    assert one("ID,TIME,AMT\n1,0,1\n", states=["A"]).doses[0].into == "A"


def test_ignored_columns_in_any_case_may_hold_anything():
    text = "ID,TIME,AMT,CMT,Sex,DATE,WT,WT\n1,0,1,gut,female,2024-01-31,NA,NA\n"
    assert len(one(text, ignore=["sex", "Date", "WT"]).doses) == 1


def test_an_ignored_known_column_is_not_read():
    assert len(one("ID,TIME,AMT,CMT,SS,MDV\n1,0,1,gut,1,0\n", ignore=["ss", "mdv"]).doses) == 1


def test_a_subject_without_doses_is_kept():
    tables = read("ID,TIME,AMT,CMT\n1,0,1,gut\n2,0,.,.\n2,4,.,.\n")
    assert (tables["2"].doses, tables["2"].observation_times) == ((), (0.0, 4.0))


def test_rows_before_or_after_a_dose_at_one_time_say_the_side():
    table = one(
        "ID,TIME,AMT,ADDL,II,CMT,EVID\n1,0,0,0,0,gut,0\n1,0,9,3,0.1,gut,1\n1,0,0,0,0,gut,0\n"
        "1,0.05,0,0,0,gut,0\n1,0.3,0,0,0,gut,0\n1,0.4,0,0,0,gut,0\n1,2,0,0,0,gut,3\n1,2,0,0,0,gut,0\n",
    )
    assert table.observation_times == (0.0, 0.0, 0.05, 0.3, 0.4, 2.0)
    assert table.observation_sides == ("before", "after", "before", "after", "before", "after")


def test_a_repeat_that_a_reset_cancelled_is_on_no_side():
    text = "ID,TIME,AMT,ADDL,II,CMT,EVID\n1,0,9,5,2,gut,1\n1,4,.,.,.,.,0\n1,5,.,.,.,.,3\n1,6,.,.,.,.,0\n"
    assert one(text).observation_sides == ("after", "before")


# -- against NONMEM -------------------------------------------------------------------------------------------------

# Two-compartment oral model (ADVAN2 TRANS2): CL = 1.1, V = 20, KA = 1.5, CP = A(2) / (V / 1000). Predictions of
# NONMEM 7.5.0, published to five digits by Metrum Research Group: github.com/mrgsolve/nmtests, dosing/data and
# dosing/results/1001-nm.csv (the cases' numbers are those of dosing/results/1001-run-key.csv). Lag and bioavailability
# are not columns of ours; they are set on the doses that were read.
RATES = np.array([[-1.5, 0.0], [1.5, -1.1 / 20.0]])
HEADER = "ID,TIME,AMT,RATE,DUR,II,ADDL,CMT,EVID\n"
NONMEM = {
    "1 bolus, additional": ("1,0,100,0,0,24,3,1,1\n", [{}], {1: 3754.4, 24: 1386.5, 25: 5066.8, 73: 5511, 130: 290.1}),
    "2 bolus, lag, F": (
        "1,0,100,0,0,24,3,2,1\n",
        [{"lag": 12.13, "bioavailability": 2.23}],
        {12: 0, 13: 10629, 37: 13468, 85: 14430, 130: 1214.4},
    ),
    "4 rate, F": (
        "1,0,480,10,0,0,0,2,1\n",
        [{"bioavailability": 0.5}],
        {1: 486.5, 23: 6525.1, 24: 6662.4, 25: 6305.9, 130: 19.575},
    ),
    "5 duration, F": (
        "1,0,480,0,48,0,0,2,1\n",
        [{"bioavailability": 0.5}],
        {1: 243.25, 24: 3331.2, 48: 4221.1, 49: 3995.2, 130: 46.425},
    ),
    "7 rate, additional, lag": (
        "1,0,100,10,0,24,3,2,1\n",
        [{"lag": 4.15}],
        {4: 0, 5: 415.22, 14: 3802.5, 15: 3670.3, 86: 5189, 130: 468.11},
    ),
    "8 rate, lag, F": (
        "1,0,100,10,0,24,3,2,1\n",
        [{"lag": 3.25, "bioavailability": 0.412}],
        {3: 0, 4: 367.37, 7: 1694.3, 8: 1780.5, 80: 2417.1, 130: 154.52},
    ),
    "16 bolus at the time of a sample": (
        "1,0,100,0,0,24,3,2,1\n",
        [{"lag": 5.0, "bioavailability": 0.412}],
        {4: 0, 5: 2060, 29: 2610.3, 77: 2796.6, 130: 151.59},
    ),
    "17 bolus, then infusion": (
        "1,0,100,0,0,0,0,2,1\n1,13,50,24,0,24,2,1,1\n",
        [{"lag": 1.0}, {}],
        {1: 5000, 13: 2584.3, 15: 3885.2, 16: 4321.9, 64: 3076.2, 130: 86.893},
    ),
    "18 duration, lag, F": (
        "1,0,100,0,9,24,3,2,1\n",
        [{"lag": 5.0, "bioavailability": 0.61}],
        {5: 0, 6: 329.74, 14: 2405.7, 15: 2276.9, 86: 3265.8, 130: 290.4},
    ),
    "20 reset and dose": (
        "1,0,100,50,0,12,2,1,1\n1,50,120,0,0,12,3,1,4\n",
        [{}, {}],
        {1: 1181, 27: 7932.3, 49: 2474.8, 50: 0, 51: 4505.3, 63: 7552.2, 88: 10414, 130: 1064.5},
    ),
    "21 reset": (
        "1,0,100,50,0,12,3,1,1\n1,50,0,0,0,0,0,2,3\n1,54,120,0,0,16,2,1,1\n",
        [{}, {}],
        {39: 8574.6, 49: 5158.7, 50: 0, 53: 0, 55: 4505.3, 71: 6950.5, 88: 8543.8, 130: 878.84},
    ),
}


def advance(state, rates, duration):
    """Return the exact solution of x' = RATES x + rates after a duration."""
    system = np.zeros((3, 3))
    system[:2, :2], system[:2, 2] = RATES, rates
    return (expm(system * duration) @ np.append(state, 1.0))[:2]


def concentrations_after(schedule, times):
    """Carry out a schedule, in the order that the module documents, sampling after the events of each time."""
    state, now, found = np.zeros(2), schedule.start, {}
    for time in sorted({*breakpoints(schedule), *times}):
        rates = np.zeros(2)
        for start, stop, into, rate in schedule.infusions:
            rates[STATES.index(into)] += rate if start <= now < stop else 0.0
        state, now = advance(state, rates, time - now), time
        if time in schedule.resets:
            state = np.zeros(2)
        for at, into, amount in schedule.boluses:
            state[STATES.index(into)] += amount if at == time else 0.0
        found[time] = state[1] / (20.0 / 1000.0)
    return [found[time] for time in times]


@pytest.mark.parametrize("case", NONMEM)
def test_same_concentrations_as_nonmem(case):
    rows, changes, expected = NONMEM[case]
    table = one(HEADER + rows)
    doses = [replace(dose, **change) for dose, change in zip(table.doses, changes, strict=True)]
    schedule = expand(doses, start=0.0, end=130.0, where=case, resets=table.resets)
    found = concentrations_after(schedule, [float(time) for time in expected])
    assert found == pytest.approx(list(expected.values()), rel=6e-5)


# -- what is refused ------------------------------------------------------------------------------------------------

ROW = "1,0,100,0,0,0,0,0,gut,1,1\n"
FULL = "ID,TIME,AMT,RATE,DUR,ADDL,II,SS,CMT,EVID,MDV\n"


def row(**cells):
    """Return a one-row table: a bolus at 0, with some cells changed."""
    names = FULL.strip().split(",")
    values = dict(zip(names, ROW.strip().split(","), strict=True)) | {k: str(v) for k, v in cells.items()}
    return FULL + ",".join(values[name] for name in names) + "\n"


def at(column, line=2):
    return f"run.toml [dosing]: doses.csv line {line} column {column}: "


REFUSED = {
    "empty": ("", "run.toml [dosing]: doses.csv: found an empty file, expected a header line with ID, TIME, AMT"),
    "blank lines and comments only": ("\n # x\n\n", "found an empty file"),
    "header only": ("ID,TIME,AMT\n", "found a header without rows"),
    "unknown column": ("ID,TIME,AMTT\n1,0,1\n", "line 1: found the column 'AMTT', expected one of ADDL"),
    "unknown column, hint": ("ID,TIME,AMTT\n1,0,1\n", "Did you mean 'AMT'?"),
    "unlike any column": ("ID,TIME,AMT,WEIGHT\n1,0,1,70\n", "If it does not matter for dosing, name it in ignore."),
    "repeated column": ("ID,TIME,AMT,amt\n1,0,1,1\n", "line 1: found column AMT twice, expected each column once"),
    "nameless column": (",ID,TIME,AMT\n1,1,0,1\n", "found a column without a name"),
    "no time": ("ID,AMT\n1,1\n", "found no column TIME, expected a header with ID, TIME, AMT"),
    "no header": ("1,0,100\n1,1,100\n", "line 1: found the column '1'"),
    "calendar column": (
        "ID,DATE,TIME,AMT\n1,2024-01-01,0,1\n",
        "found the calendar column DATE, expected elapsed time",
    ),
    "two name columns": ("ID,TIME,AMT,NAME,PRODUCT\n1,0,1,a,b\n", "found both NAME and PRODUCT"),
    "short row": ("ID,TIME,AMT\n1,0,0\n1,2\n", "doses.csv line 3: found 2 values, expected 3, one per column."),
    "long row": ("ID,TIME,AMT\n1,0,1,4\n", "doses.csv line 2: found 4 values, expected 3"),
    "line numbers count comments": ("# a\nID,TIME,AMT\n\n1,0\n", "doses.csv line 4: found 2 values"),
    "open quote": ('ID,TIME,AMT\n"1,0,1\n', "line 2: found a line that cannot be split"),
    "clock time": (row(TIME="10:30"), at("TIME") + "found the clock time 10:30, expected a number."),
    "date": (row(TIME="2024-01-31"), at("TIME") + "found the date 2024-01-31, expected a number."),
    "date with time": (row(TIME="31/01/2024 08:15"), at("TIME") + "found the date 31/01/2024 08:15"),
    "clock interval": (row(ADDL=2, II="12:00"), at("II") + "found the clock time 12:00"),
    "missing time": (row(TIME="."), at("TIME") + "found no value, expected a time in every row."),
    "missing ID": (row(ID="."), at("ID") + "found no value, expected the subject's ID."),
    "text": (row(AMT="abc"), at("AMT") + "found 'abc', expected a number. Write a missing value as '.'."),
    "NA": (row(AMT="NA"), at("AMT") + "found 'NA', expected a number."),
    "nan": (row(AMT="nan"), at("AMT") + "found 'nan', expected a number."),
    "inf": (row(AMT="inf"), at("AMT") + "found 'inf', expected a number."),
    "underscore": (row(AMT="1_000"), at("AMT") + "found '1_000', expected a number."),
    "overflow": (row(AMT="1e999"), at("AMT") + "found 1e999, expected a finite number."),
    "decimal comma": ("ID;TIME;AMT;CMT\n1;0;1,5;gut\n", "found '1,5', expected a number. Write the decimal separator"),
    "negative amount": (row(AMT=-5), at("AMT") + "found -5, expected an amount above 0."),
    "dose of nothing": (row(AMT=0), at("AMT") + "found 0, expected an amount above 0. A dose row needs an amount"),
    "modelled rate": (row(RATE=-1), at("RATE") + "found RATE -1, a rate that the model computes"),
    "modelled duration": (row(RATE=-2), at("RATE") + "found RATE -2, a duration that the model computes"),
    "negative rate": (row(RATE=-3), at("RATE") + "found -3, expected 0 (a bolus) or a number above 0."),
    "negative duration": (row(DUR=-3), at("DUR") + "found -3, expected 0 (a bolus) or a number above 0."),
    "rate and duration": (row(RATE=1, DUR=2), at("DUR") + "found both RATE and DUR, expected one of them."),
    "ADDL without II": (row(ADDL=2), at("II") + "found 0, expected an interval above 0 with ADDL."),
    "II without ADDL": (row(II=12), at("II") + "found an interval of 12 without ADDL, expected both or neither."),
    "negative II": (row(ADDL=2, II=-1), at("II") + "found -1, expected an interval above 0 with ADDL."),
    "negative ADDL": (row(ADDL=-2, II=1), at("ADDL") + "found -2, expected 0 or the number of additional doses."),
    "fractional ADDL": (row(ADDL=1.5, II=1), at("ADDL") + "found 1.5, expected a whole number."),
    "steady state 1": (row(SS=1, II=12), at("SS") + "found SS 1, expected 0. Steady state is not supported"),
    "steady state 2": (row(SS=2, II=12), at("SS") + "found SS 2, expected 0."),
    "unknown state": (
        row(CMT="guts"),
        at("CMT") + "found 'guts', expected one of central, gut, or 1 to 2. Did you mean",
    ),
    "state in other case": (row(CMT="GUT"), at("CMT") + "found 'GUT', expected one of central, gut, or 1 to 2. Did"),
    "state number too high": (row(CMT=3), at("CMT") + "found '3', expected one of central, gut, or 1 to 2."),
    "fractional state": (row(CMT=1.5), at("CMT") + "found '1.5', expected one of central, gut"),
    "negative state": (row(CMT=-1), at("CMT") + "found '-1', expected one of central, gut"),
    "no state": (row(CMT="."), at("CMT") + "found no state, expected one of central, gut."),
    "state turned off": (row(AMT=0, EVID=2, CMT=-1), at("CMT") + "found -1, expected no minus sign."),
    "EVID of rxode2": (row(EVID=5), at("EVID") + "found EVID 5, expected 0, 1, 2, 3 or 4. The events that rxode2 adds"),
    "unknown EVID": (row(EVID=9), at("EVID") + "found EVID 9, expected 0, 1, 2, 3 or 4."),
    "fractional EVID": (row(EVID=0.5), at("EVID") + "found 0.5, expected a whole number."),
    "unknown MDV": (row(MDV=7), at("MDV") + "found 7, expected 0 or 1."),
    "dose with MDV 0": (row(MDV=0), at("MDV") + "found 0, expected 1 in a row that is not an observation."),
    "observation with amount": (row(EVID=0), at("AMT") + "found 100, expected 0. A row with EVID 0 (observation)"),
    "observation with interval": (row(EVID=0, AMT=0, II=3), at("II") + "found 3, expected 0."),
    "reset with amount": (row(EVID=3), at("AMT") + "found 100, expected 0. A row with EVID 3 (reset) gives nothing"),
    "TIME goes back": (row(TIME=5) + ROW, at("TIME", 3) + "found 0 after 5, expected a later time. Sort the rows"),
    "reset sets the clock back": (
        row(TIME=5) + ROW.replace("gut,1,1", "gut,4,1"),
        at("TIME", 3) + "found 0 after 5, expected a later time. A clock set back by a reset is not supported",
    ),
    "reset after a dose at its time": (
        row() + "1,0,0,0,0,0,0,0,gut,3,1\n",
        at("EVID", 3) + "found a reset after a dose at the same time",
    ),
    "ID comes back": (row() + "2" + ROW[1:] + ROW, at("ID", 4) + "found '1' again, expected all rows of a subject"),
    "ID in two spellings": (row() + "1.0" + ROW[1:], at("ID", 3) + "found '1.0' after '1', expected one way to write"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    text, message = REFUSED[case]
    with pytest.raises(ScenarioError) as caught:
        read(text)
    assert message in str(caught.value)


def test_the_table_that_every_refused_row_changes_is_itself_good():
    assert one(row()).doses == (Dose(into="gut", amount=100.0),)


def test_refused_cases_have_their_own_messages():
    texts = set()
    for text, _ in REFUSED.values():
        with pytest.raises(ScenarioError) as caught:
            read(text)
        texts.add(str(caught.value))
    assert len(texts) == len(REFUSED) - 2  # two ways to be empty, and one message looked at in two places


def test_without_a_caller_the_error_starts_with_the_file():
    with pytest.raises(ScenarioError, match=r"^doses\.csv: found an empty file"):
        read("", where="")
