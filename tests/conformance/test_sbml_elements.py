"""One small case per SBML element: its numbers against a closed form or libRoadRunner, or the refusal that names it."""

import math

import libsbml
import numpy as np
import pytest

from atmpsim.errors import ModelError
from atmpsim.model.antimony import read_antimony
from atmpsim.model.sbml import read_sbml
from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

TIMES = np.linspace(0.0, 4.0, 17)


def antimony(text):
    return read_antimony(text, where="case.ant")


def final(model, *names, end=4.0, **more):
    """Return the values of some ids at the end of a run with tight tolerances."""
    options = {"rtol": 1e-11, "atol": 1e-13} | more
    dataset = simulate(model, times=[end], select=names, **options)
    assert int(dataset["status"]) == 0, str(dataset["message"].values)
    values = [float(dataset[name].values[-1]) for name in names]
    return values if len(names) > 1 else values[0]


def document(body, *, level=3, version=1, root="", model=""):
    """Return an SBML document; `{{ formula }}` in the body becomes MathML."""
    while "{{" in body:
        before, _, rest = body.partition("{{")
        formula, _, after = rest.partition("}}")
        markup = libsbml.writeMathMLToString(libsbml.parseL3Formula(formula))
        body = before + markup.partition("?>")[2] + after
    space = f"http://www.sbml.org/sbml/level{level}/version{version}" + ("/core" if level == 3 else "")
    head = f'<?xml version="1.0" encoding="UTF-8"?><sbml xmlns="{space}" {root} level="{level}" version="{version}">'
    return f'{head}\n<model id="m" {model}>\n{body}\n</model></sbml>'


def sbml(body, **more):
    return read_sbml(document(body, **more), where="case.xml")


FIXED = 'hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"'
PLACE = '<listOfCompartments><compartment id="C" size="2" spatialDimensions="3" constant="true"/></listOfCompartments>'
ONE = f'{PLACE}<listOfSpecies><species id="S" compartment="C" initialAmount="3" {FIXED}/></listOfSpecies>'
NUMBERS = """<listOfParameters><parameter id="k" value="0.5" constant="true"/>
  <parameter id="x" value="1" constant="false"/></listOfParameters>"""
LOSS = """<listOfReactions><reaction id="R" reversible="false" fast="false"><listOfReactants>
  <speciesReference species="S" stoichiometry="1" constant="true"/></listOfReactants>
  <kineticLaw>{{ k * S }}</kineticLaw></reaction></listOfReactions>"""


def event(trigger, assignment="x + 1", *, attributes='useValuesFromTriggerTime="true"', inside=""):
    return f"""<listOfEvents><event id="E" {attributes}>
      <trigger initialValue="true" persistent="true">{{{{ {trigger} }}}}</trigger>{inside}
      <listOfEventAssignments><eventAssignment variable="x">{{{{ {assignment} }}}}</eventAssignment>
      </listOfEventAssignments></event></listOfEvents>"""


# ---- against libRoadRunner

MODELS = {
    "amounts and concentrations": "compartment C = 2.5; species A in C, B in C; A = 4; B = 1; J: 2 A -> B; 0.3*A^2;",
    "substance only": """compartment C = 3; substanceOnly species A in C; species B in C; A = 4; B = 1;
      J: A -> B; 0.3*A;""",
    "two compartments": """compartment C = 2, D = 0.5; species A in C, B in D; A = 5; B = 0;
      J: A -> B; C*0.4*A - D*0.1*B;""",
    "boundary species": "compartment C = 2; species $F in C, A in C; F = 3; A = 0; J: F -> A; 0.7*F; K: A -> ; 0.2*A;",
    "constant species": """compartment C = 2; const species $F in C; species A in C; F = 3; A = 1;
      J: F + A -> 2 A; 0.3*F*A;""",
    "boundary species with a rate rule": """compartment C = 2; species $F in C, A in C; F = 1; A = 0; F' = 0.5;
      J: F -> A; 0.7*F;""",
    "function definitions": """function mm(v, s, k) v*s/(k + s); end
      function both(a, b) mm(a, b, 1) - mm(b, a, 2); end
      a = 2; b = 0.5; species S; S = 3; J: S -> ; both(b, a) + mm(a, S, b);""",
    "chained initial assignments": """compartment C = 2*c; c = d + 1; d = e/4; e = 6; species A in C; A = 2*b;
      b = a0 + d; a0 = 0.5; J: A -> ; c*0.1*A;""",
    "initial assignment from a rule": "species A; q := A*3; A = 2; p = q + 1; J: A -> ; 0.3*A; y = 0; y' = p;",
    "species with an assignment rule": """compartment C = 4; species A in C, B in C; substanceOnly species D in C;
      A = 2; B := 3*A + time; D := 5*A; J: A -> ; 0.2*B; y = 0; y' = D;""",
    "rate rule on a concentration": "compartment C = 4; species A in C; A = 2; A' = -0.3*A + 1;",
    "rate rule on an amount": "compartment C = 4; substanceOnly species A in C; A = 2; A' = -0.3*A + 1;",
    "reaction id in a rule": "species A, B; A = 3; B = 0; J: A -> B; 0.4*A; flux := 2*J; y = 0; y' = J + flux;",
    "reversible": "species A, B; A = 3; B = 1; J: A -> B; 0.4*A - 0.9*B;",
    "species on both sides": "species A, B; A = 0.1; B = 1; J: A + B -> 2.5 A; 0.8*A*B;",
    "non-integer stoichiometry": "species A, B; A = 3; B = 1; J: 0.5 A -> 1.75 B; 0.4*A;",
    "event assigns a parameter": "species A; k = 0.2; A = 3; J: A -> ; k*A; at (time >= 1.3): k = 2*k + A;",
    "event assigns a concentration": """compartment C = 4; species A in C; A = 2; J: A -> ; A;
      at (time > 1.6): A = A + 1;""",
    "two events at one time swap": "x = 1; y = 2; at (time >= 1.1): x = y; at (time >= 1.1): y = x;",
    "an event with two assignments": "x = 1; y = 2; at (time >= 1.1): x = y, y = x;",
    "a trigger that turns true again": "x = 0; at ((time > 1.1 && time < 1.6) || time > 2.7): x = x + 1;",
    "a trigger true from the start": "x = 0; at (time >= 0): x = x + 1; at (time <= 2), t0=false: x = x + 10;",
    "thresholds from parameters": "x = 0; T = 2; at (2*time - T >= time/3): x = time; y = 0; y' = x;",
    "piecewise of a state": "species A; A = 3; J: A -> ; piecewise(0.5*A, A > 1, 0.1);",
}  # fmt: skip


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_agrees_with_libroadrunner(text):
    roadrunner = pytest.importorskip("roadrunner", reason="libroadrunner is not installed (extra 'test')")
    model = antimony(text)
    names = [n for s in model.species for n in (s, f"[{s}]")] + [*model.parameters, *model.reactions]
    ours = simulate(model, times=TIMES, select=names, rtol=1e-10, atol=1e-13)
    assert int(ours["status"]) == 0
    runner = roadrunner.RoadRunner(model.sbml)
    runner.integrator.relative_tolerance, runner.integrator.absolute_tolerance = 1e-10, 1e-13
    runner.timeCourseSelections = names
    theirs = np.array(runner.simulate(TIMES[0], TIMES[-1], TIMES.size))
    for k, name in enumerate(names):
        peak = np.max(np.abs(theirs[:, k]))
        assert np.max(np.abs(ours[name].to_numpy() - theirs[:, k])) <= 2e-8 * peak, name


# ---- against closed forms


def test_amount_and_concentration_of_compartments_that_are_not_1():
    model = antimony("compartment C = 2; species S in C; S = 6; J: S -> ; 0.5*S;")  # S = 6 is a concentration
    amount, concentration = final(model, "S", "[S]")
    assert amount == pytest.approx(12 * math.exp(-0.25 * 4), rel=1e-9)  # dA/dt = -0.5 [S] = -0.25 A
    assert concentration == pytest.approx(amount / 2, rel=1e-15)
    twice = final(model, "S", parameters={"C": 4.0})  # the file's number is a concentration: the amount grows
    assert twice == pytest.approx(24 * math.exp(-0.125 * 4), rel=1e-9)


@pytest.mark.parametrize(("attribute", "rate"), [("true", 0.5), ("false", 0.25)])
def test_has_only_substance_units(attribute, rate):
    body = ONE.replace('Units="false"', f'Units="{attribute}"') + NUMBERS + LOSS
    assert final(sbml(body), "S") == pytest.approx(3 * math.exp(-rate * 4), rel=1e-9)


@pytest.mark.parametrize(("dimensions", "rate"), [('spatialDimensions="0"', 0.5), ("", 0.25)])
def test_a_point_has_amounts_but_unset_dimensions_have_concentrations(dimensions, rate):
    place = PLACE.replace('spatialDimensions="3"', dimensions)
    place = place.replace('size="2"', "") if dimensions else place
    body = ONE.replace(PLACE, place) + NUMBERS + LOSS
    assert final(sbml(body), "S") == pytest.approx(3 * math.exp(-rate * 4), rel=1e-9)


def test_local_parameters_shadow_global_ids():
    local = """<listOfLocalParameters><localParameter id="k" value="0.2"/><localParameter id="S" value="7"/>
      </listOfLocalParameters></kineticLaw>"""
    taken = NUMBERS.replace("</listOf", '<parameter id="R_k" value="99" constant="true"/></listOf')
    body = ONE + taken + LOSS.replace("</kineticLaw>", local)
    assert final(sbml(body), "S") == pytest.approx(3 - 0.2 * 7 * 4, rel=1e-9)


def test_function_arguments_are_swapped_without_capture():
    model = antimony("function f(a, b) a/b; end\n a = 2; b = 5; q := f(b, a);")
    assert final(model, "q") == 2.5


def test_stoichiometry_by_id_may_be_used_before_its_reaction():
    end = '<speciesReference {0} species="S" stoichiometry="{1}" constant="true"/>'
    body = f"""{ONE}{NUMBERS}<listOfReactions>
      <reaction id="Q" reversible="false" fast="false"><listOfProducts>{end.format("", 1)}</listOfProducts>
      <kineticLaw>{{{{ 2 * n * k }}}}</kineticLaw></reaction>
      <reaction id="R" reversible="false" fast="false"><listOfReactants>{end.format('id="n"', 3)}</listOfReactants>
      <kineticLaw>{{{{ k }}}}</kineticLaw></reaction></listOfReactions>"""
    assert final(sbml(body), "S") == pytest.approx(3 + 4 * (2 * 3 * 0.5 - 3 * 0.5), rel=1e-9)


@pytest.mark.parametrize("level", [(1, 2), (2, 1), (2, 4), (2, 5), (3, 1), (3, 2)], ids=str)
def test_every_level_gives_the_same(level):
    written = libsbml.readSBMLFromString(document(ONE + NUMBERS + LOSS))
    assert written.setLevelAndVersion(*level, False)
    model = read_sbml(libsbml.writeSBMLToString(written), where="case.xml")
    assert final(model, "S") == pytest.approx(3 * math.exp(-0.25 * 4), rel=1e-9)


@pytest.mark.parametrize("edge", ["0.1*3", "1/3", "3.7", "1e-6"])
def test_a_jump_of_time_is_located(edge):
    c = {"0.1*3": 0.1 * 3, "1/3": 1 / 3}.get(edge) or float(edge)
    model = antimony(f"x = 0; x' = piecewise(1, time < {edge}, 1e3);")
    exact = c + 1e3 * (4 - c)
    assert final(model, "x", rtol=1e-3, atol=1e-3) == pytest.approx(exact, rel=1e-9)  # linear pieces: no error is left


def test_a_short_pulse_is_not_stepped_over():
    model = antimony("x = 0; x' = piecewise(1, time > 3 && time < 3.01, 0);")
    assert final(model, "x", end=70.0, rtol=1e-3) == pytest.approx(0.01, rel=1e-9)


def test_a_small_slope_in_time_loses_no_digits():
    model = antimony("x = 0; x' = piecewise(1, time*1e-6 < 0.3, 0);")
    assert final(model, "x", end=1e6) == pytest.approx(0.3 / 1e-6, rel=1e-14)


AWKWARD = ["0.1*3", "0.3", "1/3", "7/10", "1.1*3", "2.3", "1e-3*7", "1e-300", "sqrt(2)", "3.9999999999999996"]


@pytest.mark.parametrize("relation", ["==", ">=", ">"])
@pytest.mark.parametrize("instant", AWKWARD)
def test_an_event_fires_once_at_its_time(instant, relation):
    model = antimony(f"c = {instant}; n = 0; at (time {relation} c): n = n + 1; y = 0; y' = n;")
    c, n, y = final(model, "c", "n", "y", end=10.0)
    assert n == 1.0
    assert y == pytest.approx(10.0 - c, rel=1e-12)
    at_c = simulate(model, times=[c, 10.0], select=["n"])["n"].values
    assert list(at_c) == [1.0, 1.0]
    assert float(simulate(model, times=[c, 10.0], select=["n"], sample="before")["n"][0]) == 0.0


def test_an_event_at_the_start_fires_as_sbml_says():
    assert final(antimony("n = 0; at (time == 0): n = n + 1;"), "n") == 1.0  # true at one instant only
    assert final(antimony("n = 0; at (time >= 0): n = n + 1;"), "n") == 0.0  # counts as true before the start
    assert final(antimony("n = 0; at (time >= 0), t0=false: n = n + 1;"), "n") == 1.0


def test_a_dose_and_an_event_that_differ_by_rounding_are_one_instant():
    model = antimony("species S; S = 4; k = 1; J: S -> ; k*S; at (time >= 0.1*3): k = 2;")
    got = final(model, "S", doses=[Dose(into="S", amount=3.0, time=0.3)])
    assert got == pytest.approx((4 * math.exp(-0.3) + 3) * math.exp(-2 * 3.7), rel=1e-8)
    near = [np.nextafter(0.3, 0), 0.3, 0.1 * 3, np.nextafter(0.1 * 3, 1)]
    after = simulate(model, times=[*near, 4.0], select=["k"])["k"].values
    assert list(after[:4]) == [2.0] * 4  # a grid of rounded times sees one side only


def test_a_model_without_states_has_values_between_events():
    model = antimony("p = 1; q := 2*p; at (time >= 1.5): p = 5;")
    assert list(simulate(model, times=[0, 1, 1.5, 2, 3], select=["q"])["q"].values) == [2, 2, 10, 10, 10]


@pytest.mark.parametrize("text", ["x = 1/0; x' = 1;", "x = 1; x' = 1; at (time > 2): x = ln(-1);", "x = 1; x' = x*x;"])
def test_values_that_are_not_finite_fail_the_run_and_say_where(text):
    with pytest.warns(RuntimeWarning, match="in state 'x'"):
        dataset = simulate(antimony(text), times=[0, 3], select=["x"])
    assert int(dataset["status"]) != 0
    assert np.isnan(dataset["x"].values[-1])


FUNCTIONS = {
    "exp(k)": math.exp(0.7), "ln(k)": math.log(0.7), "log10(k)": math.log10(0.7),
    "log(k, 8)": math.log(8) / math.log(0.7),
    "sqrt(k)": math.sqrt(0.7), "root(3, k)": 0.7 ** (1 / 3), "k^2.5": 0.7**2.5, "k^3": 0.7**3, "k^-2": 0.7**-2,
    "abs(-k)": 0.7, "floor(-k)": -1.0, "ceil(k)": 1.0, "sin(k)": math.sin(0.7), "cos(k)": math.cos(0.7),
    "tan(k)": math.tan(0.7), "arcsin(k)": math.asin(0.7), "arccos(k)": math.acos(0.7), "arctan(k)": math.atan(0.7),
    "sinh(k)": math.sinh(0.7), "cosh(k)": math.cosh(0.7), "tanh(k)": math.tanh(0.7), "arcsinh(k)": math.asinh(0.7),
    "arccosh(1 + k)": math.acosh(1.7), "arctanh(k)": math.atanh(0.7), "sec(k)": 1 / math.cos(0.7),
    "csc(k)": 1 / math.sin(0.7), "cot(k)": 1 / math.tan(0.7), "sech(k)": 1 / math.cosh(0.7),
    "csch(k)": 1 / math.sinh(0.7), "coth(k)": 1 / math.tanh(0.7), "arcsec(1/k)": math.acos(0.7),
    "arccsc(1/k)": math.asin(0.7), "arccot(1/k)": math.atan(0.7), "arcsech(k)": math.acosh(1 / 0.7),
    "arccsch(1/k)": math.asinh(0.7), "arccoth(1/k)": math.atanh(0.7), "pi": math.pi, "exponentiale": math.e,
    "avogadro": 6.02214179e23, "piecewise(1, k > 1, 2, k > 0.5, 3)": 2.0, "piecewise(1, k > 1, 3)": 3.0,
    "k > 0.5 && k <= 0.7": 1.0, "k < 0.5 || k != 0.7": 0.0, "xor(k > 0, k > 1)": 1.0, "!(k == 0.7)": 0.0,
    "max(k, 0.2, 0.9)": 0.9, "min(k, 0.2, 0.9)": 0.2, "rem(-7.5, 2)": math.fmod(-7.5, 2), "k^(1/0)": 0.0,
    "lt(0, k, 1)": 1.0, "gt(2, 1, k, 0.7)": 0.0, "-k - -k": 0.0, "2/3/4": 1 / 6, "2^3^2": 512.0,
}  # fmt: skip


@pytest.mark.parametrize(("formula", "expected"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_mathml(formula, expected):
    numbers = NUMBERS.replace('"k" value="0.5"', '"k" value="0.7"').replace('"x" value="1"', '"x"')
    rule = f'{numbers}<listOfRules><assignmentRule variable="x">{{{{ {formula} }}}}</assignmentRule></listOfRules>'
    rate = rule.replace("assignmentRule", "rateRule")
    assert final(sbml(rule, version=2), "x") == pytest.approx(expected, rel=1e-13, abs=1e-15)  # NumPy
    compiled = final(sbml(rate, version=2), "x", end=1.0, initial={"x": 0.0})  # machine code
    assert compiled == pytest.approx(expected, rel=1e-10, abs=1e-12)


# ---- refused by name and place: what the message must say, and the model


def ant(text, *words):
    return words, lambda: antimony(text)


def xml(body, *words, **more):
    return words, lambda: sbml(body, **more)


def rule(kind, variable, formula):
    return f'<listOfRules><{kind}Rule variable="{variable}">{{{{ {formula} }}}}</{kind}Rule></listOfRules>'


def package(name, required):
    space = f"http://www.sbml.org/sbml/level3/version1/{name}/version1"
    return xml(NUMBERS, f"package '{name}'", root=f'xmlns:{name}="{space}" {name}:required="{required}"')


LATE = 'useValuesFromTriggerTime="false"'
TWO_EVENTS = event("time >= 1", attributes=LATE) + event("time >= 2", "2").replace('"E"', '"F"')
TWO_RULES = NUMBERS.replace("</listOf", '<parameter id="y" constant="false"/></listOf') + (
    rule("assignment", "x", "y") + rule("assignment", "y", "x")
).replace("</listOfRules><listOfRules>", "")
STOICHIOMETRY_MATH = """<listOfCompartments><compartment id="C" size="2"/></listOfCompartments>
  <listOfSpecies><species id="S" compartment="C" initialAmount="3"/></listOfSpecies>
  <listOfReactions><reaction id="R" reversible="false"><listOfReactants><speciesReference species="S">
  <stoichiometryMath>{{ 2 }}</stoichiometryMath></speciesReference></listOfReactants>
  <kineticLaw>{{ 1 }}</kineticLaw></reaction></listOfReactions>"""
VARIABLE_STOICHIOMETRY = LOSS.replace('species="S"', 'id="n" species="S"') + (
    '<listOfInitialAssignments><initialAssignment symbol="n">{{ 2 }}</initialAssignment></listOfInitialAssignments>'
)
FUNCTION = """<listOfFunctionDefinitions><functionDefinition id="f">{{ lambda(a, b, a/b) }}</functionDefinition>
  </listOfFunctionDefinitions>"""
ALGEBRAIC = "<listOfRules><algebraicRule>{{ x - k }}</algebraicRule></listOfRules>"
CONSTRAINT = "<listOfConstraints><constraint>{{ x > 0 }}</constraint></listOfConstraints>"
ON_REACTION = event("time > 1").replace('variable="x"', 'variable="R"')
SECOND_S = f'<species id="S" compartment="C" {FIXED}/></listOfSpecies>'

REFUSED = {
    "fbc": package("fbc", "false"),
    "qual": package("qual", "true"),
    "unknown package": package("dyn", "true"),
    "unknown id in a rate": xml(ONE + NUMBERS + LOSS.replace("k *", "kk *"), "'kk'", "<kineticLaw>", "line"),
    "unknown id as the target of a rule": xml(NUMBERS + rule("rate", "y", "k"), "'y'"),
    "unknown compartment": xml(ONE.replace('compartment="C"', 'compartment="D"'), "'S'", "'D'"),
    "one id twice": xml(ONE.replace("</listOfSpecies>", SECOND_S), "'S'", "conflicts"),
    "reaction and rule for one species": xml(ONE + NUMBERS + rule("rate", "S", "k") + LOSS, "'S'", "rule"),
    "rule for a reaction": xml(ONE + NUMBERS + rule("assignment", "R", "k") + LOSS, "'R'"),
    "rule for a constant": xml(NUMBERS + rule("rate", "k", "x"), "'k'", "constant"),
    "event on a reaction": xml(ONE + NUMBERS + LOSS + ON_REACTION, "'R'", "event"),
    "circular rules": xml(TWO_RULES, "'x'", "'y'", "cycle"),
    "rate that refers to itself": xml(ONE + NUMBERS + LOSS.replace("k *", "R *"), "'R'", "refers to"),
    "missing species value": ant("species A; J: A -> ; A;", "no value for 'A'"),
    "missing parameter value": ant("species A; A = 1; J: A -> ; k*A;", "no value for 'k'"),
    "missing compartment size": ant("compartment C; species A in C; A = 1; J: A -> ; A;", "no value for 'C'"),
    "missing threshold of an event": ant("x = 0; at (time > T): x = 1;", "no value for 'T'"),
    "missing threshold of a piecewise": ant("x = 0; x' = piecewise(1, time < T, 0);", "no value for 'T'"),
    "missing value of an assignment": ant("x = 0; at (time > 1): x = v;", "no value for 'v'"),
    "wrong number of arguments": xml(FUNCTION + NUMBERS + rule("rate", "x", "f(k)"), "'f'", "requires"),
    "unknown function": xml(NUMBERS + rule("rate", "x", "mystery(k)"), "'mystery'"),
    "unknown distribution": ant("k = 1; k.distribution = gamma(1, 2);", "'gamma'"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "read"), REFUSED.values(), ids=REFUSED)
def test_refused_by_name_and_place(words, read):
    with pytest.raises(ModelError) as refusal:
        simulate(read(), times=[0.0, 1.0])
    missing = [word for word in (*words, ": found ", ", expected ") if word not in str(refusal.value)]
    assert not missing, str(refusal.value)
