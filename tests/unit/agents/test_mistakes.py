"""Every mistake in settings, rules or cells is one error that names file, line, what stands there and what may."""

from __future__ import annotations

import re

import pytest

from atmpsim.agents.physicell import load_agents
from atmpsim.agents.spec import PHYSICELL
from atmpsim.errors import InputError, ModelError

SETTINGS = {
    "unknown element": (("<dx>20</dx>", "<dxx>20</dxx>"), r"line 4 in <domain>: found <dxx>, .*Did you mean 'dx'"),
    "unknown attribute": (('<variable name="virus" units', '<variable nam="v" units'), r"found the attribute 'nam'"),
    "repeated element": (("<dx>20</dx>", "<dx>20</dx><dx>10</dx>"), r"a second <dx> in <domain>"),
    "element in a number": (("<dx>20</dx>", "<dx><dy>20</dy></dx>"), r"found <dy> inside <dx>"),
    "letters": (("<dx>20</dx>", "<dx>twenty</dx>"), r"line 4 <dx>: found 'twenty', expected a finite number"),
    "not a number": (("<dx>20</dx>", "<dx>nan</dx>"), r"found 'nan', expected a finite number"),
    "infinite": (("38</initial_condition>", "1e999</initial_condition>"), r"found '1e999'"),
    "empty": (("<dx>20</dx>", "<dx/>"), r"found nothing, expected a finite number"),
    "voxel of no size": (("<dx>20</dx>", "<dx>0</dx>"), r"found 0, expected a number above 0"),
    "negative diffusion": ((">100000<", ">-1<"), r"<diffusion_coefficient>: found -1, expected a number of at least 0"),
    "negative rate": ((">10</uptake_rate>", ">-10</uptake_rate>"), r"<uptake_rate>: found -10"),
    "share above one": (("<nuclear units", "<fluid_fraction>1.5</fluid_fraction><nuclear units"), r"from 0 to 1"),
    "other units": (('<decay_rate units="1/min">', '<decay_rate units="1/h">'), r"the units '1/h', expected 1/min"),
    "no domain": (("<domain>", "<!-- <domain>"), r"well formed|no <domain>"),
    "empty domain": (("<x_max>100</x_max>", "<x_max>-100</x_max>"), r"found -100, expected more than x_min"),
    "half a range": (("<x_max>100</x_max>", ""), r"no <x_max>"),
    "too many voxels": (("<dx>20</dx>", "<dx>1e-7</dx>"), r"voxels of 2 substrates, expected at most 2e\+08"),
    "steps out of order": ((">0.1</dt_mechanics>", ">0.015</dt_mechanics>"), r"whole multiple of dt_diffusion"),
    "hours": (("<time_units>min", "<time_units>hour"), r"found 'hour', expected min"),
    "seed": ((">4</random_seed>", ">four</random_seed>"), r"<random_seed>: found 'four'"),
    "negative seed": ((">4</random_seed>", ">--4</random_seed>"), r"<random_seed>: found '--4'"),
    "seed of the user": (
        ("<user_parameters/>", "<user_parameters><random_seed type='int'>-3</random_seed></user_parameters>"),
        r"<random_seed>: found -3",
    ),
    "yes or no": ((">true</virtual_wall", ">perhaps</virtual_wall"), r"text 'perhaps', expected true or false"),
    "doubled substrate": (('<variable name="virus"', '<variable name="oxygen"'), r"second <variable> 'oxygen'"),
    "doubled type": (('name="T cell" ID', 'name="tumour" ID'), r"second <cell_definition> 'tumour'"),
    "type numbers": (('name="T cell" ID="2"', 'name="T cell" ID="7"'), r"ID='7', expected ID='2'"),
    "comma in a name": (('name="T cell" ID', 'name="T,cell" ID'), r"the name 'T,cell'"),
    "word of two meanings": (('name="virus"', 'name="pressure"'), r"two meanings of 'pressure'"),
    "type that names a signal": (
        ('<cell_definition name="infected tumour"', '<cell_definition name="live cell"'), r"of 'contact with live cell'"
    ),
    "face": (('ID="ymax"', 'ID="top"'), r"ID='top', expected one of xmin"),
    "parent": (('parent_type="tumour"', 'parent_type="tumor"'), r"parent_type='tumor'.*Did you mean 'tumour'"),
    "parent below": (('parent_type="tumour"', 'parent_type="T cell"'), r"a definition above it"),
    "unknown substrate": (('<substrate name="oxygen">', '<substrate name="oxigen">'), r"substrate 'oxigen'.*'oxygen'"),
    "unknown target": (('<attack_rate name="T cell"', '<attack_rate name="B cell"'), r"cell type 'B cell'.*'T cell'"),
    "cycle code": (('<cycle code="5"', '<cycle code="9"'), r"code='9', expected one of 0 \(Ki67 \(advanced\)\)"),
    "transition": (('end_index="0"', 'end_index="1"'), r"end_index='1', expected a whole number from 0 to 0"),
    "phase": (('<duration index="0"', '<duration index="3"'), r"index='3'"),
    "death": (('<model code="100"', '<model code="102"'), r"code='102'.*expected code='100'"),
    "nucleus": ((">500</nuclear>", ">5000</nuclear>"), r"a nucleus of 5000 µm³, expected at most"),
    "network": (("<cycle code", "<intracellular type='maboss'/><cycle code"), r"found an intracellular model"),
    "matlab": (
        ("<options>\n    <track", "<options><initial_condition type='matlab' enabled='true'/><track"),
        r"values of single voxels from a file",
    ),
    "own rate": (
        ("</phenotype>\n    <custom", "<cell_transformations><transformation_rates><transformation_rate name='tumour'>1"
         "</transformation_rate></transformation_rates></cell_transformations></phenotype>\n    <custom"),
        r"into the own type",
    ),
    "custom vector": ((">2</GFP>", ">2,3</GFP>"), r"<GFP>: found several values"),
    "ruleset": (('protocol="CBHG"', 'protocol="SBML"'), r"protocol='SBML'"),
    "no rules file": (("<filename>rules.csv", "<filename>rule.csv"), r"no such file.*Did you mean 'rules.csv'"),
    "file elsewhere": (("<folder>.</folder><filename>r", "<folder>../../..</folder><filename>r"), r"in the project of"),
    "file of the system": (("<filename>rules.csv", "<filename>/etc/passwd"), r"a file in the project"),
    "user parameter": (
        ("<user_parameters/>", "<user_parameters><number_of_cells type='int'>-1</number_of_cells></user_parameters>"),
        r"found -1, expected a whole number",
    ),
    "foreign prefix": (("<save>", "<x:save>"), r"well-formed|unbound prefix|well formed"),
    "doctype": (("<PhysiCell_settings version", "<!DOCTYPE x []><PhysiCell_settings version"), r"a DOCTYPE"),
    "foreign element": (("<domain>", "<sbml/><domain>"), r"in <PhysiCell_settings>: found <sbml>"),
}  # fmt: skip

RULES = {
    "unknown type": ("tumor,oxygen,increases,apoptosis,1,5,4,0", r"rules.csv line 1: .*cell type 'tumor'.*'tumour'"),
    "unknown signal": ("// c\ntumour,oxigen,increases,apoptosis,1,5,4,0", r"line 2: .*signal 'oxigen'.*'oxygen'"),
    "unknown behaviour": ("tumour,oxygen,increases,apotosis,1,5,4,0", r"behaviour 'apotosis'.*'apoptosis'"),
    "direction": ("tumour,oxygen,increase,apoptosis,1,5,4,0", r"found 'increase', .*Did you mean 'increases'"),
    "too few fields": ("tumour,oxygen,increases,apoptosis,1,5,4", r"7 fields, expected 8"),
    "empty field": ("tumour,oxygen,increases,apoptosis,,5,4,0", r"7 fields, expected 8"),
    "half-max": ("tumour,oxygen,increases,apoptosis,1,0,4,0", r"half '0', expected a number above 0"),
    "power": ("tumour,oxygen,increases,apoptosis,1,5,-2,0", r"power '-2', expected a number above 0"),
    "not a number": ("tumour,oxygen,increases,apoptosis,nan,5,4,0", r"saturation 'nan'"),
    "negative rate": ("tumour,oxygen,increases,apoptosis,-1,5,4,0", r"saturation value of -1"),
    "phase that is not": ("tumour,oxygen,increases,exit from cycle phase 2,1,5,4,0", r"a phase that the cycle"),
    "repeated": (
        "tumour,oxygen,increases,apoptosis,1,5,4,0\ntumour,oxygen,decreases,apoptosis,1,5,4,0",
        r"line 2: found a second rule from 'oxygen' to 'apoptosis'.*line 1",
    ),
}

CELLS = {
    "letters": ("x,y,z,type\na,0,0,tumour", r"cells.csv line 2: found 'a', expected a finite number"),
    "not a number": ("x,y,z,type\nnan,0,0,tumour", r"line 2: found 'nan'"),
    "unknown type": ("x,y,z,type\n0,0,0,tumor", r"line 2: found the cell type 'tumor'.*'tumour'"),
    "number of no type": ("0,0,0,3", r"line 1: found the cell type '3'"),
    "too few": ("x,y,z,type\n0,0,tumour", r"3 fields, expected 4"),
    "too many": ("0,0,0,1,7", r"5 fields, expected 4"),
    "header": ("x,y,type\n0,0,tumour", r"expected x,y,z,type"),
    "column": ("x,y,z,type,sped\n0,0,0,tumour,4", r"the column 'sped'"),
    "doubled column": ("x,y,z,type,volume,volume\n0,0,0,tumour,4,4", r"a second column 'volume'"),
    "no volume": ("x,y,z,type,volume\n0,0,0,tumour,0", r"a volume of 0"),
    "negative value": ("x,y,z,type,apoptosis\n0,0,0,tumour,-1", r"line 2: found -1 for 'apoptosis'"),
    "outside": ("x,y,z,type\n0,0,0,tumour\n500,0,0,tumour", r"line 3: found a cell at 500, 0, 0"),
    "same point": ("x,y,z,type\n\n1,1,0,tumour\n1,1,0,T cell", r"line 4: found a cell at the same point as line 3"),
}


def complaint(sample, *changes, **texts):
    with pytest.raises(ModelError) as caught:
        sample(*changes, **texts)
    message = str(caught.value)
    assert ": found " in message
    assert ", expected " in message
    return message


@pytest.mark.parametrize(("change", "said"), SETTINGS.values(), ids=SETTINGS)
def test_settings(sample, change, said):
    message = complaint(sample, change)
    assert re.search(said, message), message


@pytest.mark.parametrize(("rules", "said"), RULES.values(), ids=RULES)
def test_rules(sample, rules, said):
    assert re.search(said, complaint(sample, rules=rules))


@pytest.mark.parametrize(("cells", "said"), CELLS.values(), ids=CELLS)
def test_cells(sample, cells, said):
    assert re.search(said, complaint(sample, cells=cells))


def test_physicell_takes_cells_outside_and_on_one_point_and_the_model_says_so(sample):
    notes = sample(cells="0,0,0,0\n0,0,0,1\n500,0,0,0", compatibility=PHYSICELL).notes
    assert any("1 cells outside the domain" in note for note in notes)
    assert any("same point" in note for note in notes)


def test_base_value_of_an_old_rules_file_must_be_the_definitions(sample):
    version = ('version="3.0"', 'version="1.0"')
    right = sample(version, rules="tumour,oxygen,increases,apoptosis,1e-4,1,5,4,0")
    assert (right.rules[0].saturation, right.rules[0].half_max) == (1, 5)
    assert "base value 2e-4" in complaint(sample, version, rules="tumour,oxygen,increases,apoptosis,2e-4,1,5,4,0")
    oldest = sample(('version="3.0"', 'version="0.5"'), rules="tumour,apoptosis,0,1e-4,9,oxygen,increases,5,4,1")
    assert (oldest.rules[0].saturation, oldest.rules[0].dead) == (9, True)


def test_empty_and_commented_rules_files(sample):
    assert sample(rules="// nothing\n\n").rules == ()
    assert sample(rules="tumour\toxygen\tincreases\tapoptosis\t1\t5\t4\t0").rules[0].half_max == 5


def test_unknown_compatibility(sample, tmp_path):
    sample()
    with pytest.raises(InputError, match="found 'physicell'"):
        load_agents(tmp_path / "model.xml", compatibility="physicell")


def test_missing_settings_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_agents(tmp_path / "PhysiCell_settings.xml")
