"""Equations of typed models: every kind of imbalance is caught, and what balances passes."""

import pytest

from atmpsim.errors import ModelError
from atmpsim.model.antimony import read_antimony
from atmpsim.model.balance import check_balance, find_imbalances

UNITS = """
  unit time_unit = 86400 second; unit substance = item; unit extent = item; unit volume = litre;
  unit cell = item; unit vp = item; unit d = 86400 second; unit h = 3600 second; unit L = litre; unit mL = 1e-3 litre;
  unit per_d = 1/(86400 second); unit per_h = 1/(3600 second); unit cell_per_d = item/(86400 second);
  unit vp_per_cell = item/item; unit per_vp_per_d = 1/(item*86400 second); unit cell_per_mL = item/(1e-3 litre);
"""
MODEL = """
  compartment body = 1; body has L;
  substanceOnly species C in body, V in body; C = 10; C has cell; V = 5; V has vp;
  loss = 0.1; loss has per_d; burst = 3; burst has vp_per_cell; entry = 0.2; entry has per_vp_per_d;
  width = 2; width has mL; room = 3; room has L; start = 3; start has d; slow = 1; slow has per_h;
  dense = 4; dense has cell_per_mL;
"""


def model(text, *, units=UNITS):
    return read_antimony(f"model m\n{units}\n{MODEL}\n{text}\nend", where="case.ant")


def problems(text):
    return list(find_imbalances(model(text)))


BALANCED = {
    "rates": "J: C => ; loss*C + entry*V*C; K: => V; burst*loss*C;",
    "saturation": "J: C => ; loss*C*V/(V + C*burst);",
    "rate rule": "x = 1; x has cell; x' = loss*x - entry*V*x;",
    "rate per hour times hours": "t1 = 3; t1 has h; x := slow*t1; x has dimensionless;",
    "exponent of a pure number": "x := exp(-loss*time); x has dimensionless;",
    "logarithm of a ratio": "x := ln(C/(C + 2*C)); x has dimensionless;",
    "time against a threshold": "x := piecewise(C, time > start, 2*C); x has cell;",
    "zero fits every unit": "x := max(C, 0) + piecewise(C, V > 0, 0); x has cell;",
    "concentration times volume": "x := dense*width; x has cell;",
    "root of a square": "x := sqrt(C*C); x has cell;",
    "power": "x := V*C^2/C^2; x has vp;",
    "initial assignment": "x = 2*C; x has cell;",
    "boundary species": "substanceOnly species $F in body; F = 1; F has cell; J: F => C; loss*F;",
    "a species that is a concentration": "species A in body; A = 1; A has cell_per_mL; J: A => ; loss*A*body;",
    "an unknown unit is no fault": "w = 1; x := C + w; x has cell; y := w*V; y has cell;",
}


@pytest.mark.parametrize("text", BALANCED.values(), ids=BALANCED)
def test_balanced(text):
    assert problems(text) == []
    check_balance(model(text), where="case.ant")


# formula -> (where it stands, what the two clashing units must say)
IMBALANCED = {
    "cell added to vp": ("x := C + V; x has cell;", "'x'", "cell", "virus"),
    "cell subtracted from vp": ("x := V - C; x has vp;", "'x'", "cell", "virus"),
    "number added to cell": ("x := C + 1; x has cell;", "'x'", "cell", "number"),
    "mL added to L": ("x := width + room; x has L;", "'x'", "0.001", "1e-06"),
    "mL where L belongs": ("x := width; x has L;", "'x'", "1e-06", "0.001"),
    "per hour added to per day": ("x := loss + slow; x has per_d;", "'x'", "0.000277778", "1.15741e-05"),
    "exponential of a unit": ("x := exp(C); x has dimensionless;", "'x'", "'exp'", "cell"),
    "exponential of hours per day": ("x := exp(-slow*time); x has dimensionless;", "'x'", "'exp'", "24"),
    "logarithm of cell per vp": ("x := ln(C/V); x has dimensionless;", "'x'", "'ln'", "cell"),
    "sine of a unit": ("x := sin(V); x has dimensionless;", "'x'", "'sin'", "virus"),
    "comparison of cell and vp": ("x := piecewise(1, C > V, 0); x has dimensionless;", "'x'", "cell", "virus"),
    "comparison of time and hours": (
        "t1 = 3; t1 has h; x := piecewise(1, time > t1, 0); x has dimensionless;", "'x'", "3600", "86400",
    ),
    "time against a number": ("x := piecewise(1, time > 3, 0); x has dimensionless;", "'x'", "time", "number"),
    "branches of two kinds": ("x := piecewise(C, time > start, V); x has cell;", "'x'", "cell", "virus"),
    "maximum of two kinds": ("x := max(C, V); x has cell;", "'x'", "'max'", "virus"),
    "reaction in vp for a cell": ("J: C => ; loss*V;", "'J'", "virus", "cell"),
    "reaction without time": ("J: C => ; burst*C*C/V;", "'J'", "cell", "time"),
    "reaction per hour": ("J: C => ; slow*C;", "'J'", "0.000277778", "1.15741e-05"),
    "reaction between two kinds": ("J: C => 100 V; loss*C;", "'J'", "cell", "virus"),
    "reaction that forgets the volume": (
        "species A in body; A = 1; A has cell_per_mL; J: A => ; loss*A;", "'J'", "length", "cell",
    ),
    "rate rule without time": ("x = 1; x has cell; x' = C;", "'x'", "cell", "time"),
    "rate rule of another kind": ("x = 1; x has cell; x' = loss*V;", "'x'", "cell", "virus"),
    "initial assignment of another kind": ("x = C; x has vp;", "'x'", "cell", "virus"),
    "assigned species of another kind": (
        "substanceOnly species W in body; W := C; W has vp;", "'W'", "cell", "virus",
    ),
    "deep inside": ("x := (1 + exp(-(C + V)/C))*C; x has cell;", "'x'", "cell", "virus"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "place", "one", "other"), IMBALANCED.values(), ids=IMBALANCED)
def test_imbalance_is_caught_with_its_place_and_units(text, place, one, other):
    found = problems(text)
    assert len(found) == 1
    assert place in found[0][0]
    said = " ".join(found[0])
    assert one in said
    assert other in said
    with pytest.raises(ModelError, match=r"case\.ant .*: found .*, expected .*\. Correct the formula"):
        check_balance(model(text), where="case.ant")


CONTRADICTIONS = {
    "another power": ("unit cell_per_mL = item/(1e-3 litre)", "unit cell_per_mL = item*(1e-3 litre)", "cell_per_mL"),
    "another size": ("unit mL = 1e-3 litre", "unit mL = 1e-6 litre", "mL"),
    "another base": ("unit vp = item", "unit vp = litre", "vp"),
    "another time": ("unit per_h = 1/(3600 second)", "unit per_h = 1/(60 second)", "per_h"),
}


@pytest.mark.parametrize(("right", "wrong", "unit"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_unit_id_that_contradicts_its_definition(right, wrong, unit):
    assert right in UNITS
    with pytest.raises(ModelError, match=rf"unit {unit}: found the definition .* expected one that means"):
        model("", units=UNITS.replace(right, wrong))


def test_a_foreign_model_without_typed_units_passes():
    foreign = read_antimony("species A; A = 1; k = 2; J: A => ; k*A + exp(A); x := A + k;", where="case.ant")
    assert list(find_imbalances(foreign)) == []
