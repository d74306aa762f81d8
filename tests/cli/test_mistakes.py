"""Mistakes in a scenario: each is refused with a message that says where, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Change = Callable[[Path], object]


def edit(old: str, new: str, file: str = "tiny.toml") -> Change:
    """Return a change of the scenario: one text in place of another."""

    def change(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text, f"the scenario has no {old!r}"
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def add(text: str) -> Change:
    """Return a change of the scenario: lines at its end."""
    return edit(SUMMARY, f"{SUMMARY}\n{text}")


def put(file: str, content: str | bytes) -> Change:
    """Return a change of the folder: a file of this content."""
    return lambda folder: (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())


def both(*changes: Change) -> Change:
    """Return one change that makes several."""
    return lambda folder: [change(folder) for change in changes]


SUMMARY = 'summary = ["blood_virus.peak", "blood_virus.time_above_lod", "blood_cells.end"]'
AMOUNT, WEIGHT, COUNT, EVERY = '"2e6 cell/kg"', 'weight = "20 kg"', "count = 3", 'every = "1 d"\n\n'
TIME = '[time]\nend = "10 d"\nevery = "1 d"\n'
DOSE, COUNTED = "tiny.toml dose 'product'", "never convert into one another"
INTO_VIRUS = edit('into = "blood_cells"', 'into = "blood_virus"')
ARM = '[[arm]]\nname = "a"\n'
TABLE = "ID,TIME,AMT,CMT\n1,0,2e6,blood_cells\n"

# id: change, then where (the whole of it) and parts of found, expected and remedy
KEYS = {
    "key-top": (edit("model =", 'enigne = "ode"\nmodel ='), "tiny.toml", "'enigne'", "engine", "'engine'?"),
    "key-table": (edit("[output]", "[ouput]"), "tiny.toml", "'ouput'", "output", "'output'?"),
    "key-time": (edit('every = "1 d"', 'evry = "1 d"'), "tiny.toml [time]", "'evry'", "at, end, every", "'every'?"),
    "key-dose": (edit("amount =", "amout ="), "tiny.toml [[dose]] 1", "'amout'", "into, lag", "'amount'?"),
    "key-subject": (edit("weight =", "wieght ="), "tiny.toml [subject]", "'wieght'", "age, condition", "'weight'?"),
    "key-output": (edit("summary =", "sumary ="), "tiny.toml [output]", "'sumary'", "keep, summary", "'summary'?"),
    "key-solver": (add("[solver]\nrtoll = 1e-6"), "tiny.toml [solver]", "'rtoll'", "atol, max_steps", "'rtol'?"),
    "key-arm": (add(f'{ARM}dropp = ["product"]'), "tiny.toml [[arm]] 1", "'dropp'", "drop, name, set", "'drop'?"),
    "no-title": (edit("title =", "question ="), "tiny.toml", "no 'title'", "the key 'title'", "Add title"),
    "no-model": (edit("model =", "question ="), "tiny.toml", "no 'model'", "the key 'model'", "Add model"),
    "no-time": (edit(TIME, ""), "tiny.toml", "no 'time'", "a table [time]", "atmpsim new"),
    "time-text": (both(edit(TIME, ""), edit("model =", 'time = "10 d"\nmodel =')), "tiny.toml [time]", "'10 d'",
                  "a table [time]", "on a line of its own"),
    "title-number": (edit('"Cells in blood shed virus"', "3"), "tiny.toml title", "3", "a text", 'title = "3"'),
    "model-empty": (edit('"tiny.ant"', '""'), "tiny.toml model", "''", "not empty", ""),
    "model-number": (edit('"tiny.ant"', "7"), "tiny.toml model", "7", "a text in quotes", 'Write model = "7"'),
    "model-impossible": (edit("tiny.ant", "tiny\\u0000"), "tiny.toml model", "no file can have", "shipped id", ""),
    "dose-one-bracket": (edit("[[dose]]", "[dose]"), "tiny.toml [dose]", "a table with name, into", "tables [[dose]]",
                         "double brackets"),
    "arm-no-table": (edit("model =", "arm = [3]\nmodel ="), "tiny.toml [[arm]] 1", "3", "tables [[arm]]", "double"),
    "flows-text": (edit(WEIGHT, f'{WEIGHT}\nflows = "x"'), "tiny.toml [subject] flows", "'x'",
                   "a table [subject.flows]", "on a line of its own"),
    "schema-none": (edit("schema = 1\n", ""), "tiny.toml schema", "no schema version", "schema = 1", "first line"),
    "schema-2": (edit("schema = 1", "schema = 2"), "tiny.toml schema", "schema = 2", "schema = 1",
                 "reads schema 1 only"),
    "schema-true": (edit("schema = 1", "schema = true"), "tiny.toml schema", "schema = true", "schema = 1",
                    "first line"),
    "schema-float": (edit("schema = 1", "schema = 1.0"), "tiny.toml schema", "schema = 1.0", "schema = 1",
                     "first line"),
    "schema-text": (edit("schema = 1", 'schema = "1"'), "tiny.toml schema", "schema = '1'", "schema = 1", "first line"),
    "engine-stochastic": (edit("model =", 'engine = "stochastic"\nmodel ='), "tiny.toml engine", "'stochastic'",
                          "one of agents, ode", "does not have the stochastic engine yet"),
    "engine-agents": (edit("model =", 'engine = "agents"\nmodel ='), "model 'tiny.ant'", "'.ant'", "PhysiCell settings",
                      'Leave engine = "agents" out'),
    "engine-unknown": (edit("model =", 'engine = "odes"\nmodel ='), "tiny.toml engine", "'odes'", "ode", "'ode'?"),
    "population-size": (add("[population]\nsize = 0"), "tiny.toml [population] size", "0", "a number above 0", ""),
    "sweep-path": (add('[sweep]\n"dose.product.cuont" = [1]'), "tiny.toml [sweep] 'dose.product.cuont'",
                   "the key 'cuont'", "one of amount", "'count'?"),
    "section-trial": (add("[trial]\npatient = 2"), "tiny.toml [trial]", "'patient'", "one of before", "'patients'?"),
    "section-product": (add('[product]\nkind = "mcs"'), "tiny.toml [product] kind", "'mcs'", "one of aav", "'msc'?"),
    "section-regimen": (add('[regimen]\nx = 1'), "tiny.toml [regimen]", "'regimen'", "built so far", "adaptive"),
}  # fmt: skip
TIMES = {
    "end-none": (edit('end = "10 d"\n', ""), "tiny.toml [time]", "no 'end'", "the key 'end'", "Add end"),
    "end-zero": (edit('"10 d"', '"0 d"'), "tiny.toml [time] end", "'0 d'", "a time above 0", ""),
    "end-negative": (edit('"10 d"', '"-1 d"'), "tiny.toml [time] end", "'-1 d'", "a time above 0", ""),
    "end-bare": (edit('"10 d"', "10"), "tiny.toml [time] end", "10", "in quotes", 'Write end = "10 d"'),
    "end-unitless": (edit('"10 d"', '"10"'), "tiny.toml [time] end", "10 without a unit", "in d", 'Write "10 d"'),
    "end-kg": (edit('"10 d"', '"10 kg"'), "tiny.toml [time] end", "10.0 kg", "a quantity in d", "Give it in d"),
    "end-true": (edit('"10 d"', "true"), "tiny.toml [time] end", "true", "a number with its unit", 'end = "6 h"'),
    "end-date": (edit('"10 d"', "2024-01-01"), "tiny.toml [time] end", "2024-01-01", "a number with its unit", '"6 h"'),
    "end-infinite": (edit('"10 d"', '"1e400 d"'), "tiny.toml [time] end", "'1e400 d'", "a finite number", ""),
    "every-zero": (edit(EVERY, 'every = "0 d"\n'), "tiny.toml [time] every", "'0 d'", "a time above 0", ""),
    "every-and-at": (edit(EVERY, 'every = "1 d"\nat = ["1 d"]\n'), "tiny.toml [time]", "both 'every' and 'at'",
                     "one of them", "Remove one"),
    "neither-every-nor-at": (edit(EVERY, ""), "tiny.toml [time]", "neither 'every' nor 'at'", "one of",
                             'every = "6 h"'),
    "too-many-samples": (edit(EVERY, 'every = "1e-6 d"\n'), "tiny.toml [time] every", "1e+07 samples", "1000000",
                         "Sample less often"),
    "samples-overflow": (edit(EVERY, 'every = "1e-320 d"\n'), "tiny.toml [time] every", "inf samples", "1000000",
                         "Sample less often"),
    "at-decreasing": (edit(EVERY, 'at = ["1 d", "12 h"]\n'), "tiny.toml [time] at", "'12 h' after '1 d'", "increase",
                      "Sort them"),
    "at-twice": (edit(EVERY, 'at = ["24 h", "1 d"]\n'), "tiny.toml [time] at", "'1 d' after '24 h'", "increase",
                 "what stands twice"),
    "at-after-end": (edit(EVERY, 'at = ["1 d", "12 d"]\n'), "tiny.toml [time] at", "'12 d', which is after the end",
                     "up to the end", "move the end"),
    "at-empty": (edit(EVERY, "at = []\n"), "tiny.toml [time] at", "an empty list", "times", ""),
    "at-negative": (edit(EVERY, 'at = ["-1 h"]\n'), "tiny.toml [time] at", "'-1 h'", "a time of at least 0", ""),
    "at-bare": (edit(EVERY, 'at = ["1 d", 2]\n'), "tiny.toml [time] at 2", "2", "in quotes", 'at = ["2 d", …]'),
    "at-no-list": (edit(EVERY, 'at = "1 d"\n'), "tiny.toml [time] at", "'1 d'", "a list", "Write at = ['1 d']"),
    "sample-at-dose": (edit(EVERY, 'every = "1 d"\nsample_at_dose = "befor"\n'), "tiny.toml [time] sample_at_dose",
                       "'befor'", "one of after, before", "'before'?"),
}  # fmt: skip
SUBJECTS = {
    "weight-negative": (edit(WEIGHT, 'weight = "-20 kg"'), "tiny.toml [subject] weight", "-20 kg", "0.5 to 400 kg",
                        "unit"),
    "weight-zero": (edit(WEIGHT, 'weight = "0 kg"'), "tiny.toml [subject] weight", "0 kg", "0.5 to 400 kg", "unit"),
    "weight-absurd": (edit(WEIGHT, 'weight = "20000 kg"'), "tiny.toml [subject] weight", "20000 kg", "400 kg", "unit"),
    "weight-in-g": (edit(WEIGHT, 'weight = "20 g"'), "tiny.toml [subject] weight", "0.02 kg", "a human",
                    "Check the unit"),
    "weight-bare": (edit(WEIGHT, "weight = 20"), "tiny.toml [subject] weight", "20", "in quotes", 'weight = "20 kg"'),
    "weight-unitless": (edit(WEIGHT, 'weight = "20"'), "tiny.toml [subject] weight", "20 without a unit", "in kg",
                        'Write "20 kg"'),
    "weight-pound": (edit(WEIGHT, 'weight = "40 lb"'), "tiny.toml [subject] weight", "the unit 'lb'", "known unit",
                     "kg"),
    "weight-days": (edit(WEIGHT, 'weight = "20 d"'), "tiny.toml [subject] weight", "20.0 d", "in kg", "Give it in kg"),
    "age-negative": (edit(WEIGHT, 'age = "-1 yr"'), "tiny.toml [subject] age", "-1 yr", "above 0", "Check the unit"),
    "age-absurd": (edit(WEIGHT, 'age = "600 yr"'), "tiny.toml [subject] age", "600 yr", "at most 125 yr",
                   "Check the unit"),
    # pint's own registry would read it as yocto-nothing
    "age-y": (edit(WEIGHT, 'age = "6 y"'), "tiny.toml [subject] age", "the unit 'y'", "a known unit", "'yr'?"),
    "no-weight-no-age": (edit(WEIGHT, ""), "tiny.toml [subject]", "neither age nor weight", "age, weight or both",
                         "Add"),
    "species": (edit('"human"', '"humna"'), "tiny.toml [subject] species", "'humna'", "human, mouse, rat", "'human'?"),
    "species-none": (edit('species = "human"\n', ""), "tiny.toml [subject]", "no 'species'", "the key 'species'",
                     "Add"),
    "sex": (edit(WEIGHT, f'{WEIGHT}\nsex = "femal"'), "tiny.toml [subject] sex", "'femal'", "female, male",
            "'female'?"),
    "condition": (edit(WEIGHT, f'{WEIGHT}\ncondition = "cirrosis"'), "tiny.toml [subject] condition", "'cirrosis'",
                  "cirrhosis", "'cirrhosis'?"),
    "flow-unknown": (edit(WEIGHT, f'{WEIGHT}\nflows = {{ Q_kidny = "1 L/min" }}'), "tiny.toml [subject]",
                     "'Q_kidny'", "CO, Q_adipose", "'Q_kidney'?"),
    "flow-unit": (edit(WEIGHT, f'{WEIGHT}\nflows = {{ CO = "1 L" }}'), "tiny.toml [subject] flows CO", "1.0 L", "L/min",
                  "Give it in L/min"),
    "flow-bare": (edit(WEIGHT, f"{WEIGHT}\nflows = {{ CO = 5 }}"), "tiny.toml [subject] flows CO", "5", "in quotes",
                  'CO = "5 L/min"'),
    "flow-negative": (edit(WEIGHT, f'{WEIGHT}\nflows = {{ CO = "-1 L/min" }}'), "tiny.toml [subject] CO", "-1 L/min",
                      "a flow above 0", "Check the unit"),
    "flow-beyond-output": (edit(WEIGHT, f'{WEIGHT}\nflows = {{ Q_kidney = "50 L/min" }}'),
                           "tiny.toml [subject] Q_kidney", "organ flows of", "cardiac output", "Lower an organ flow"),
}  # fmt: skip
AMOUNTS = {
    "into-near": (edit('"blood_cells"\n', '"blod_cells"\n'), f"{DOSE} into", "'blod_cells'", "a state",
                  "'blood_cells'?"),
    "into-far": (edit('"blood_cells"\n', '"spleen"\n'), f"{DOSE} into", "'spleen'", "a state of model 'tiny'",
                 "`atmpsim models show` lists them"),
    "into-parameter": (edit('"blood_cells"\n', '"death_rate"\n'), f"{DOSE} into",
                       "'death_rate', which is a parameter that does not change", "a state", "lists them"),
    "into-computed": (edit('"blood_cells"\n', '"loss"\n'), f"{DOSE} into", "'loss', which the model computes by a rule",
                      "a state", "lists them"),
    "into-none": (edit('into = "blood_cells"\n', ""), "tiny.toml [[dose]] 1", "no 'into'", "the key 'into'",
                  "Add into"),
    "amount-bare": (edit(AMOUNT, "2e6"), f"{DOSE} amount", "2000000 without a unit", "in cell", 'Write "2000000 cell"'),
    "amount-unitless": (edit(AMOUNT, '"2e6"'), f"{DOSE} amount", "2e6 without a unit", "in cell", 'Write "2e6 cell"'),
    "amount-pure-number": (edit(AMOUNT, '"2e6 1"'), f"{DOSE} amount", "2000000.0", "a quantity in cell", COUNTED),
    "vp-into-cells": (edit(AMOUNT, '"2e6 vp"'), f"{DOSE} amount", "2000000.0 vp", "a quantity in cell", COUNTED),
    "cell-into-virus": (INTO_VIRUS, f"{DOSE} amount", "2000000.0 cell/kg", "a quantity in vp", COUNTED),
    "PFU-into-virus": (both(INTO_VIRUS, edit(AMOUNT, '"1e9 PFU"')), f"{DOSE} amount", "1000000000.0 PFU", "in vp",
                       COUNTED),
    "vg-into-virus": (both(INTO_VIRUS, edit(AMOUNT, '"1e9 vg/kg"')), f"{DOSE} amount", "1000000000.0 vg/kg", "in vp",
                      COUNTED),
    "unit-plural": (edit(AMOUNT, '"2e6 cells/kg"'), f"{DOSE} amount", "the unit 'cells'", "a known unit", "'cell'?"),
    "unit-prefix": (edit(AMOUNT, '"2 kcell/kg"'), f"{DOSE} amount", "the unit 'kcell'", "a known unit", "'cell'?"),
    "unit-copies": (edit(AMOUNT, '"2 copies"'), f"{DOSE} amount", "the unit 'copies'", "a known unit", "'copy'?"),
    "unit-unknown": (edit(AMOUNT, '"2 zorkmid/kg"'), f"{DOSE} amount", "the unit 'zorkmid'", "known unit",
                     "Known units: "),
    "amount-negative": (edit(AMOUNT, '"-2e6 cell/kg"'), f"{DOSE} amount", "'-2e6 cell/kg'", "at least 0", ""),
    "amount-words": (edit(AMOUNT, '"two million cells"'), f"{DOSE} amount", "'two million cells'",
                     "a number with its unit", "Write it like '2e6 cell/kg'"),
    "amount-infinite": (edit(AMOUNT, '"1e400 cell"'), f"{DOSE} amount", "'1e400 cell'", "a finite number", ""),
    # 9**9**9 has 369 million digits
    "amount-tower": (edit(AMOUNT, '"1 cell**9**9**9"'), f"{DOSE} amount", "'1 cell**9**9**9'", "powers of at most 99",
                     "1 m^2"),
    "amount-lines": (edit(AMOUNT, '"1 cell\\n2 cell"'), f"{DOSE} amount", "a text of 13 characters", "with its unit",
                     "on one line"),
    "amount-list": (edit(AMOUNT, "[1, 2]"), "tiny.toml [[dose]] 1 amount", "[1, 2]", "in quotes", 'amount = "1 cell"'),
    "amount-volume": (edit(AMOUNT, '"2e6 cell/L"'), f"{DOSE} amount", "2000000.0 cell/L", "in cell", "Give it in cell"),
    "amount-surface": (edit(AMOUNT, '"2e6 cell/m^2"'), f"{DOSE} amount", "'2e6 cell/m^2', a dose per body surface",
                       "an amount or one per kg", "not supported"),
    "amount-m2": (edit(AMOUNT, '"2e6 cell/m2"'), f"{DOSE} amount", "'2e6 cell/m2', a dose per body surface",
                  "an amount or one per kg", "not supported"),
    "cap-word": (edit(AMOUNT, '"2e6 cell/kg, cap 2e8 cell"'), f"{DOSE} amount", "cap 2e8 cell", "at most one cap",
                 "max 2e8 cell"),
    "cap-twice": (edit(AMOUNT, '"2e6 cell/kg, max 2e8 cell, max 3e8 cell"'), f"{DOSE} amount", "max 3e8 cell",
                  "at most one cap", "Write it like"),
    "cap-unit": (edit(AMOUNT, '"2e6 cell/kg, max 2e8 vp"'), f"{DOSE} amount max", "200000000.0 vp", "in cell", COUNTED),
    "cap-unitless": (edit(AMOUNT, '"2e6 cell/kg, max 2e8"'), f"{DOSE} amount max", "2e8 without a unit", "in cell",
                     'Write "2e8 cell"'),
    "cap-negative": (edit(AMOUNT, '"2e6 cell/kg, max -2e8 cell"'), f"{DOSE} amount max", "'-2e8 cell'", "at least 0",
                     ""),
    "per-kg-without-weight": (
        both(edit('[subject]\nspecies = "human"\nweight = "20 kg"\n', ""),
             edit("weight = 70;  weight has kg;", "", "tiny.ant")),
        f"{DOSE} amount", "'2e6 cell/kg' for a subject without a weight", "a body weight", "Give weight in [subject]"),
}  # fmt: skip
SCHEDULES = {
    "count-zero": (edit(COUNT, "count = 0"), f"{DOSE} count", "0", "a number of at least 1", ""),
    "count-negative": (edit(COUNT, "count = -3"), f"{DOSE} count", "-3", "a number of at least 1", ""),
    "count-fraction": (edit(COUNT, "count = 1.5"), "tiny.toml [[dose]] 1 count", "1.5", "a whole number", ""),
    "count-word": (edit(COUNT, 'count = "six"'), "tiny.toml [[dose]] 1 count", "'six'", "a whole number",
                   "without quotes"),
    "count-true": (edit(COUNT, "count = true"), "tiny.toml [[dose]] 1 count", "true", "a whole number", ""),
    "count-without-every": (edit('every = "2 d"\n', ""), DOSE, "count = 3 without every", "the interval", "Give every"),
    "every-without-count": (edit(COUNT, ""), DOSE, "every without count", "both", "Give count"),
    "too-many-doses": (edit('every = "2 d"\ncount = 3', 'every = "1e-9 d"\ncount = 100000000000'), DOSE,
                       "more than 1000000 doses", "fewer", "Check every and count"),
    "dose-every-zero": (edit('"2 d"', '"0 d"'), f"{DOSE} every", "'0 d'", "a value above 0", ""),
    "dose-every-kg": (edit('"2 d"', '"2 kg"'), f"{DOSE} every", "2.0 kg", "a quantity in d", "Give it in d"),
    "dose-every-y": (edit('"2 d"', '"2 y"'), f"{DOSE} every", "the unit 'y'", "a known unit", "'yr'?"),
    "duration-and-rate": (edit(COUNT, f'{COUNT}\nduration = "1 h"\nrate = "1 cell/h"'), DOSE, "both duration and rate",
                          "one of them", "Bioavailability"),
    "duration-zero": (edit(COUNT, f'{COUNT}\nduration = "0 h"'), f"{DOSE} duration", "'0 h'", "a value above 0", ""),
    "duration-tiny": (edit(COUNT, f'{COUNT}\nduration = "1e-30 s"'), DOSE, "an infusion of duration", "one longer than",
                      "give it as a bolus"),
    "rate-negative": (edit(COUNT, f'{COUNT}\nrate = "-1 cell/h"'), f"{DOSE} rate", "'-1 cell/h'", "a value above 0",
                      ""),
    "rate-unit": (edit(COUNT, f'{COUNT}\nrate = "3 cell"'), f"{DOSE} rate", "3.0 cell", "in cell/d",
                  "Give it in cell/d"),
    "lag-negative": (edit(COUNT, f'{COUNT}\nlag = "-1 h"'), f"{DOSE} lag", "'-1 h'", "at least 0", ""),
    "dose-before-start": (edit(COUNT, f'{COUNT}\ntime = "-1 h"'), f"{DOSE} time", "'-1 h'", "at least 0", ""),
    "bioavailability-bare": (edit(COUNT, f"{COUNT}\nbioavailability = 0.8"), "tiny.toml [[dose]] 1 bioavailability",
                             "0.8", "in quotes", 'bioavailability = "0.8 1"'),
    "bioavailability-negative": (edit(COUNT, f'{COUNT}\nbioavailability = "-0.1 1"'), f"{DOSE} bioavailability",
                                 "'-0.1 1'", "at least 0", ""),
    "two-doses-of-one-name": (add('[[dose]]\nname = "product"\ninto = "blood_cells"\namount = "1 cell"'),
                              "tiny.toml [[dose]]", "two doses called 'product'", "names that differ", "Rename"),
    "dose-called-like-unnamed": (
        both(edit('"product"', '"dose_2"'), add('[[dose]]\ninto = "blood_cells"\namount = "1 cell"')),
        "tiny.toml [[dose]]", "two doses called 'dose_2'", "names that differ", "Rename"),
    "dose-without-name": (edit('"product"', '""'), "tiny.toml [[dose]]", "an empty name", "a name for the dose",
                          "name ="),
}  # fmt: skip
ARMS = {
    "drop-unknown": (add(f'{ARM}drop = ["prodcut"]'), "tiny.toml arm 'a' drop", "'prodcut'", "product", "'product'?"),
    "drop-no-list": (add(f'{ARM}drop = "product"'), "tiny.toml [[arm]] 1 drop", "'product'", "a list", "['product']"),
    "set-section": (add(f'{ARM}set = {{ "doses.product.count" = 2 }}'), "tiny.toml arm 'a' set 'doses.product.count'",
                    "the path 'doses.product.count'", "dose.…", "'dose'?"),
    "set-dose": (add(f'{ARM}set = {{ "dose.prodct.count" = 2 }}'), "tiny.toml arm 'a' set 'dose.prodct.count'",
                 "the dose 'prodct'", "product", "'product'?"),
    "set-key": (add(f'{ARM}set = {{ "dose.product.cuont" = 2 }}'), "tiny.toml arm 'a' set 'dose.product.cuont'",
                "the key 'cuont'", "bioavailability, count", "'count'?"),
    "set-no-key": (add(f'{ARM}set = {{ "dose.product" = 2 }}'), "tiny.toml arm 'a' set 'dose.product'", "without a key",
                   "dose.NAME.key", "the whole path in quotes"),
    "set-unquoted": (add(f"{ARM}set = {{ dose.product.count = 2 }}"), "tiny.toml arm 'a' set 'dose'", "without a key",
                     "dose.NAME.key", "the whole path in quotes"),
    "set-value": (add(f'{ARM}set = {{ "dose.product.count" = "two" }}'), "tiny.toml arm 'a' [[dose]] 1 count", "'two'",
                  "a whole number", "without quotes"),
    "set-unit": (add(f'{ARM}set = {{ "dose.product.amount" = "2 vp" }}'), "tiny.toml arm 'a' dose 'product' amount",
                 "2.0 vp", "in cell", COUNTED),
    "arm-model": (add(f'{ARM}set = {{ model = "celyvir" }}'), "tiny.toml arm 'a' set 'model'", "another model",
                  "dose.…, initial.…", "a second scenario"),
    "arm-time": (add(f'{ARM}set = {{ "time.end" = "3 d" }}'), "tiny.toml arm 'a' set 'time.end'", "another time",
                 "dose.…, initial.…", "a second scenario"),
    "arm-output": (add(f'{ARM}set = {{ "output.keep" = "all" }}'), "tiny.toml arm 'a' set 'output.keep'",
                   "another output", "dose.…, initial.…", "a second scenario"),
    "arm-solver": (add(f'{ARM}set = {{ "solver.rtol" = 1e-3 }}'), "tiny.toml arm 'a' set 'solver.rtol'",
                   "another solver", "dose.…, initial.…", "a second scenario"),
    "two-arms-of-one-name": (add(ARM + ARM), "tiny.toml [[arm]]", "two arms called 'a'", "names that differ", "Rename"),
    "arm-name-of-two-lines": (add('[[arm]]\nname = "a\\nb"'), "tiny.toml [[arm]]", "control characters",
                              "a name for the arm", "name ="),
    "arm-without-name": (add('[[arm]]\ndrop = ["product"]'), "tiny.toml [[arm]] 1", "no 'name'", "the key 'name'",
                         "Add"),
}  # fmt: skip
OUTPUTS = {
    "keep-unknown": (add('keep = ["blood_virs"]'), "tiny.toml [output] keep", "'blood_virs'", "an id",
                     "'blood_virus'?"),
    "keep-far": (add('keep = ["zebra"]'), "tiny.toml [output] keep", "'zebra'", "an id of the model", "lists them"),
    "keep-no-list": (add('keep = "blood_virus"'), "tiny.toml [output] keep", "'blood_virus'",
                     "'outputs', 'all', 'summary' or a list",
                     'keep = ["blood_virus"]'),
    "keep-number": (add("keep = 3"), "tiny.toml [output] keep", "3", "'outputs', 'all' or a list of ids",
                    "For example"),
    "keep-empty": (add("keep = []"), "tiny.toml [output] keep", "an empty list", "at least one id", "Remove the key"),
    "metric-unknown": (edit(SUMMARY, 'summary = ["blood_virus.peek"]'), "tiny.toml [output] summary 'blood_virus.peek'",
                       "the metric 'peek'", "auc, change, end", "'peak'?"),
    "metric-without-id": (edit(SUMMARY, 'summary = ["peak"]'), "tiny.toml [output] summary", "'peak'", "'id.metric'",
                          "'blood_cells.peak'"),
    "metric-not-kept": (add('keep = ["blood_cells"]'), "tiny.toml [output] summary 'blood_virus.peak'", "'blood_virus'",
                        "an output that is kept", "Add 'blood_virus' to keep"),
    "metric-of-unknown": (edit(SUMMARY, 'summary = ["blood_viruses.peak"]'),
                          "tiny.toml [output] summary 'blood_viruses.peak'", "'blood_viruses'", "kept",
                          "'blood_virus'?"),
    "metric-without-limit": (edit(SUMMARY, 'summary = ["blood_cells.time_above_lod"]'),
                             "tiny.toml [output] summary 'blood_cells.time_above_lod'", "without a limit of detection",
                             "a parameter 'blood_cells_lod'", "another metric"),
    "summary-no-list": (edit(SUMMARY, 'summary = "blood_virus.peak"'), "tiny.toml [output] summary",
                        "'blood_virus.peak'", "a list", "['blood_virus.peak']"),
    "rtol-zero": (add("[solver]\nrtol = 0.0"), "tiny.toml [solver] rtol", "0.0", "a number above 0", ""),
    "rtol-negative": (add("[solver]\nrtol = -1e-6"), "tiny.toml [solver] rtol", "-1e-06", "a number above 0", ""),
    "rtol-large": (add("[solver]\nrtol = 0.5"), "tiny.toml [solver] rtol", "0.5", "a number below 0.1", ""),
    "rtol-nan": (add("[solver]\nrtol = nan"), "tiny.toml [solver] rtol", "nan", "a number", ""),
    "rtol-text": (add('[solver]\nrtol = "tight"'), "tiny.toml [solver] rtol", "'tight'", "a number", "without quotes"),
    "atol-infinite": (add("[solver]\natol = inf"), "tiny.toml [solver] atol", "inf", "a finite number", ""),
    "steps-zero": (add("[solver]\nmax_steps = 0"), "tiny.toml [solver] max_steps", "0", "a number above 0", ""),
    "method": (add('[solver]\nmethod = "lsodar"'), "tiny.toml [solver] method", "'lsodar'", "lsoda", "'lsoda'?"),
}  # fmt: skip
VALUES = {
    "parameter-near": (add('[parameters]\ndeth_rate = "1 1/d"'), "tiny.toml [parameters]", "'deth_rate'",
                       "model 'tiny'",
                       "'death_rate'?"),
    "parameter-far": (add('[parameters]\nzebra = "1 1/d"'), "tiny.toml [parameters]", "'zebra'", "a quantity",
                      "lists them"),
    "parameter-unit": (add('[parameters]\ndeath_rate = "1 d"'), "tiny.toml [parameters] death_rate", "1.0 d", "in 1/d",
                       "Give it in 1/d"),
    "parameter-bare": (add("[parameters]\ndeath_rate = 1.5"), "tiny.toml [parameters] death_rate", "1.5 without a unit",
                       "in 1/d", 'Write "1.5 1/d"'),
    "parameter-infinite": (add("[parameters]\ndeath_rate = inf"), "tiny.toml [parameters] death_rate", "inf",
                           "a finite number", ""),
    "parameter-true": (add("[parameters]\ndeath_rate = true"), "tiny.toml [parameters] death_rate", "true",
                       "a number with its unit, in quotes", "Write death_rate"),
    "parameter-table": (add('[parameters.death]\nrate = "1 1/d"'), "tiny.toml [parameters] death", "a table with rate",
                        "a number with its unit", "Write death ="),
    "species-as-parameter": (add('[parameters]\nblood_cells = "1 cell"'), "tiny.toml [parameters]",
                             "the species 'blood_cells'", "a quantity", "Give its start under [initial]"),
    "rule-as-parameter": (add('[parameters]\nloss = "1 1/d"'), "tiny.toml [parameters]",
                          "'loss', which the model computes by a rule", "a quantity", "Set what it is computed from"),
    "second-weight": (add('[parameters]\nweight = "30 kg"'), "tiny.toml [parameters] weight", "a second weight", "one",
                      "under [subject]"),
    "parameter-as-initial": (add('[initial]\ndeath_rate = "1 1/d"'), "tiny.toml [initial]",
                             "the parameter 'death_rate'",
                             "a quantity", "Give it under [parameters]"),
    "initial-unknown": (add('[initial]\nblood_celss = "1 cell"'), "tiny.toml [initial]", "'blood_celss'", "a quantity",
                        "'blood_cells'?"),
    "initial-unit": (add('[initial]\nblood_cells = "1 vp"'), "tiny.toml [initial] blood_cells", "1.0 vp", "in cell",
                     COUNTED),
    "initial-negative": (add('[initial]\nblood_cells = "-1 cell"'), "tiny.toml [initial] blood_cells", "'-1 cell'",
                         "at least 0", ""),
}  # fmt: skip
MISTAKES = KEYS | TIMES | SUBJECTS | AMOUNTS | SCHEDULES | ARMS | OUTPUTS | VALUES


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Return every file below a folder with its bytes."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(("change", "where", "found", "expected", "remedy"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake_in_a_scenario(folder, complaint, change, where, found, expected, remedy):
    change(folder)
    before = contents(folder)
    said = complaint("run", "tiny.toml")
    assert said.where == where
    assert found in said.found
    assert expected in said.expected
    assert remedy in said.remedy
    assert contents(folder) == before


def test_every_mistake_has_its_own_message():
    messages = [mistake[1:] for mistake in MISTAKES.values()]
    assert len(set(messages)) == len(messages) >= 60
