"""Files that are missing, damaged, hostile or in a language not supported: each is refused by name and place."""

from __future__ import annotations

from pathlib import Path

import pytest

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
MATHS = '<math xmlns="http://www.w3.org/1998/Math/MathML">'
LEVEL3 = 'xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"'
BOMB = "<!DOCTYPE x [" + '<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "{10 * f"&{before};"}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
) + "]>"  # fmt: skip


def sbml(body: str = "", *, doctype: str = "") -> str:
    """Return an SBML model of one species and one parameter with time in seconds."""
    return f"""{HEAD}{doctype}<sbml {LEVEL3}><model id="m" timeUnits="second"><listOfCompartments>
<compartment id="c" size="1" constant="true"/></listOfCompartments><listOfSpecies>
<species id="S" compartment="c" initialAmount="1" hasOnlySubstanceUnits="true" boundaryCondition="false"
 constant="false"/></listOfSpecies><listOfParameters><parameter id="k" value="1" constant="false"/></listOfParameters>
{body}</model></sbml>"""


RATE_OF_NOTHING = f'<listOfRules><rateRule variable="Z">{MATHS}<cn>1</cn></math></rateRule></listOfRules>'
FOLDER, LARGE = object(), object()
REACTION = "die: blood_cells => ; death_rate * blood_cells;"
DOSE = '[[dose]]\nname = "product"\ninto = "blood_cells"\namount = "2e6 cell/kg"\nevery = "2 d"\ncount = 3\n'
DOSING = '[dosing]\ntable = "doses.csv"\ntime_unit = "d"\namount_unit = "cell"\n'
START, DAMAGED = "`atmpsim new` writes", "Save it as UTF-8"
TABLE = "tiny.toml [dosing]: doses.csv line"

# id: the file's content, then where (the whole of it) and parts of found, expected and remedy
SCENARIOS = {
    "folder": (FOLDER, "tiny.toml", "a directory", "a text file", ""),
    "empty": ("", "tiny.toml", "an empty file", "some text", ""),
    "blank": ("\n \n", "tiny.toml", "an empty file", "a scenario", START),
    "latin-1": ('schema = 1\ntitle = "café"\n'.encode("latin-1"), "tiny.toml line 2", "not UTF-8", "UTF-8", DAMAGED),
    "utf-16": ("schema = 1\n".encode("utf-16"), "tiny.toml", "text in UTF-16", "text in UTF-8", DAMAGED),
    "large": (LARGE, "tiny.toml", "60000000 bytes", "at most 50000000", ""),
    "syntax": ("schema = 1\n[time\n", "tiny.toml line 2 column 6", "text that is not TOML", "a TOML file", START),
    "unquoted": ("schema = 1\nend = 10 d", "tiny.toml line 2 column 10", "text that is not TOML", "TOML", "in quotes"),
    "key-twice": ("schema = 1\nschema = 1\n", "tiny.toml line 2 column 11", "a key or table that stands there a second",
                  "each key and table once", "Remove one"),
    "table-twice": ("[time]\n[subject]\n[time]\n", "tiny.toml line 3 column 6", "a key or table that stands there",
                    "each key and table once", "Remove one"),
    "unfinished": ("title = '''", "tiny.toml at its end", "text that is not TOML", "a TOML file", START),
    "nested": ("a = " + "[" * 100_000, "tiny.toml", "tables nested too deep", "a scenario", START),
}  # fmt: skip
SBML = {
    "folder": (FOLDER, "m.xml", "a directory", "a text file", ""),
    "empty": (b"", "m.xml", "an empty file", "some text", ""),
    "large": (LARGE, "m.xml", "60000000 bytes", "at most 50000000", ""),
    "latin-1": (sbml().replace("UTF-8", "latin-1").replace('"m"', '"é"').encode("latin-1"), "m.xml line 2", "not UTF-8",
                "text in UTF-8", DAMAGED),
    "binary": (bytes(range(256)), "m.xml line 1", "a NUL byte, as in a binary file", "text in UTF-8", ""),
    "entity-bomb": (sbml(doctype=BOMB).replace('id="m"', 'id="&j;"'), "m.xml line 2", "a DOCTYPE", "without DOCTYPE",
                    ""),
    "external-entity": (sbml(doctype='<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'), "m.xml line 2",
                        "a DOCTYPE", "without DOCTYPE", ""),
    "nested": (f"{HEAD}<sbml>{'<a>' * 10_000}{'</a>' * 10_000}</sbml>", "m.xml line 2", "nested deeper than 200",
               "at most 200", ""),
    "no-xml": ("hello", "m.xml line 1", "XML that is not well formed", "well-formed XML", ""),
    "cut-short": (sbml()[:150], "m.xml line 2", "XML that is not well formed", "well-formed XML", ""),
    "html": ("<html><body/></html>", "m.xml", "whose root is <html>", "an SBML file", ""),
    "physicell": (f'{HEAD}<PhysiCell_settings version="devel"><domain/></PhysiCell_settings>', "m.xml",
                  "whose root is <PhysiCell_settings>", "an SBML file", 'need engine = "agents"'),
    "invalid": (sbml(RATE_OF_NOTHING), "m.xml line 6", "'Z' does not refer to an existing", "valid SBML", ""),
    "no-model": (f"{HEAD}<sbml {LEVEL3}/>", "m.xml line 2", "No model definition found", "valid SBML", ""),
}  # fmt: skip
ANTIMONY = {
    "nothing": ("// only a comment\n", "tiny.ant", "without species and parameters", "something to simulate",
                "right file"),
    "nul": (b"model a\0", "tiny.ant line 1", "a NUL byte", "text in UTF-8", ""),
    "syntax": ((REACTION, "die: blood_cells => =>;"), "tiny.ant", "line 25: syntax error", "valid Antimony", ""),
    "unknown-id": ((REACTION, REACTION.replace("death_rate", "deth_rate")), "tiny.ant", "no value for 'deth_rate'",
                   "a value for every quantity in use", "'death_rate'?"),
    "no-value": (("death_rate = 0.5;  ", ""), "tiny.ant", "no value for 'death_rate'", "a value for every quantity",
                 "parameters.death_rate"),
    "unknown-function": ((REACTION, "die: blood_cells => ; hill(blood_cells);"), "tiny.ant",
                         "'hill' was used as a function", "valid Antimony", ""),
    "unit-imbalance": ((REACTION, "die: blood_cells => ; death_rate * blood_virus;"), "tiny.ant reaction 'die'",
                       "virus_particle", "cell", "Correct the formula or the unit"),
    "unit-of-other-size": (("per_d = 1 / (86400 second)", "per_d = 1 / (3600 second)"), "tiny.ant unit per_d",
                           "3600 second", "one that means 1/d", "make the two agree"),
    "brackets": ((REACTION, f"die: blood_cells => ; {'(' * 5000}death_rate{')' * 5000};"), "tiny.ant line 25",
                 "brackets nested deeper than 200", "at most 200", ""),
    "import": (("model tiny", 'import "/etc/hostname"\nmodel tiny'), "tiny.ant line 2", "an import of another file",
               "a file that stands alone", "into this file"),
    "distribution": (("death_rate = 0.5;", "death_rate = 0.5; death_rate.distribution = gamma(1, 2);"),
                     "tiny.ant death_rate", "the distribution 'gamma'", "lognormal, normal, uniform", ""),
}  # fmt: skip
TABLES = {
    "folder": (FOLDER, "doses.csv", "a directory", "a text file", ""),
    "empty": ("", "doses.csv", "an empty file", "some text", ""),
    "column": ("ID,TIME,AMT,CMTT\n1,0,1,blood_cells\n", f"{TABLE} 1", "the column 'CMTT'", "ADDL, AMT, CMT", "'CMT'?"),
    "covariate": ("ID,TIME,AMT,CMT,WT\n1,0,1,blood_cells,20\n", f"{TABLE} 1", "the column 'WT'", "ADDL", "in ignore"),
    "steady-state": ("ID,TIME,AMT,CMT,II,SS\n1,0,1,blood_cells,7,1\n", f"{TABLE} 2 column SS", "SS 1", "0",
                     "Steady state is not supported"),
    "modelled-rate": ("ID,TIME,AMT,CMT,RATE\n1,0,1,blood_cells,-1\n", f"{TABLE} 2 column RATE", "RATE -1",
                      "0 or a rate",
                      "Write the rate itself"),
    "state": ("ID,TIME,AMT,CMT\n1,0,1,blod_cells\n", f"{TABLE} 2 column CMT", "'blod_cells'", "or 1 to 2",
              "'blood_cells'?"),
    "state-number": ("ID,TIME,AMT,CMT\n1,0,1,9\n", f"{TABLE} 2 column CMT", "'9'", "or 1 to 2", ""),
    "comma": ("ID;TIME;AMT;CMT\n1;0,5;1;blood_cells\n", f"{TABLE} 2 column TIME", "'0,5'", "a number", "as a point"),
    "unsorted": ("ID,TIME,AMT,CMT\n1,1,1,1\n1,0,1,1\n", f"{TABLE} 3 column TIME", "0 after 1", "a later time", "Sort"),
    "negative": ("ID,TIME,AMT,CMT\n1,0,-1,1\n", f"{TABLE} 2 column AMT", "-1", "an amount above 0", "EVID 2"),
    "other-kind": ("ID,TIME,AMT,CMT\n1,0,1,blood_virus\n", "tiny.toml [dosing] amount_unit into 'blood_virus'",
                   "1.0 cell", "a quantity in vp", "never convert into one another"),
}  # fmt: skip


def put(file: Path, content: object) -> None:
    """Make a file or a folder in place of what stands there; a pair of texts replaces one by the other."""
    if isinstance(content, tuple):
        text = file.read_text(encoding="utf-8")
        assert content[0] in text
        content = text.replace(*content)
    file.unlink(missing_ok=True)
    if content is FOLDER:
        file.mkdir()
    elif content is LARGE:
        with file.open("wb") as stream:
            stream.truncate(60_000_000)
    else:
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def check(folder: Path, complaint, parts) -> None:
    """Run the scenario: it is refused with these parts of a message, and writes nothing."""
    before = sorted(folder.rglob("*"))
    said = complaint("run", "tiny.toml")
    assert said.where == parts[0]
    for text, part in zip(said[1:], parts[1:], strict=True):
        assert part in text
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("case", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_scenario_file(folder, complaint, case):
    put(folder / "tiny.toml", case[0])
    check(folder, complaint, case[1:])


@pytest.mark.parametrize("case", SBML.values(), ids=SBML.keys())
def test_sbml_file(folder, complaint, case):
    put(folder / "tiny.toml", ('"tiny.ant"', '"m.xml"'))
    put(folder / "m.xml", case[0])
    check(folder, complaint, case[1:])


@pytest.mark.parametrize("case", ANTIMONY.values(), ids=ANTIMONY.keys())
def test_antimony_file(folder, complaint, case):
    put(folder / "tiny.ant", case[0])
    check(folder, complaint, case[1:])


@pytest.mark.parametrize("case", TABLES.values(), ids=TABLES.keys())
def test_dosing_table(folder, complaint, case):
    put(folder / "tiny.toml", (DOSE, DOSING))
    put(folder / "doses.csv", case[0])
    check(folder, complaint, case[1:])


@pytest.mark.parametrize(
    ("model", "found", "expected", "remedy"),
    [
        ("tinny.ant", "no such file", "the path of an .ant, SBML .xml or PhysiCell settings .xml file", ""),
        ("celyvr", "no shipped model of that name", "msc_biodistribution", "Did you mean 'celyvir'?"),
        ("no/such/model.xml", "no such file", "the path of an .ant", ""),
    ],
)
def test_missing_model(folder, complaint, model, found, expected, remedy):
    put(folder / "tiny.toml", ('"tiny.ant"', f'"{model}"'))
    check(folder, complaint, (f"model '{model}'", found, expected, remedy))


def test_model_in_another_language(folder, complaint):
    put(folder / "tiny.toml", ('"tiny.ant"', '"model.bngl"'))
    put(folder / "model.bngl", "begin model\nend model\n")
    check(folder, complaint, ("model.bngl", "the ending '.bngl'", ".ant", "after its language"))


def test_missing_dosing_table(folder, complaint):
    put(folder / "tiny.toml", (DOSE, DOSING))
    check(folder, complaint, ("doses.csv", "no such file", "doses.csv", ""))


@pytest.mark.parametrize(
    ("old", "new", "where", "found"),
    [
        ('amount_unit = "cell"', "", "tiny.toml [dosing]", "no 'amount_unit'"),
        ('amount_unit = "cell"', 'amount_unit = ""', "tiny.toml [dosing] amount_unit", "''"),
        ('time_unit = "d"', 'time_unit = "days"', "tiny.toml [dosing] time_unit", "the unit 'days'"),
        ('table = "doses.csv"', 'tabel = "doses.csv"', "tiny.toml [dosing]", "'tabel'"),
    ],
)
def test_dosing_section(folder, complaint, old, new, where, found):
    put(folder / "tiny.toml", (DOSE, DOSING.replace(old, new)))
    put(folder / "doses.csv", "ID,TIME,AMT,CMT\n1,0,1,blood_cells\n")
    check(folder, complaint, (where, found, "", ""))


def test_a_byte_order_mark_and_foreign_line_ends_are_no_mistake(folder, command):
    for name in ("tiny.toml", "tiny.ant"):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    code, out, err = command("validate", "tiny.toml")
    assert (code, err) == (0, "")
    assert "1 run, 3 doses, 11 samples, 2 outputs" in out


def test_a_model_without_units_takes_pure_numbers(folder, command):
    put(folder / "tiny.toml", "schema = 1\ntitle = 'x'\nmodel = 'm.xml'\n[time]\nend = '3 1'\nevery = '1 1'\n")
    put(folder / "m.xml", sbml().replace(' timeUnits="second"', ""))
    assert command("validate", "tiny.toml").code == 0
