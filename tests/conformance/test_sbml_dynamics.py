"""What SBML can say of a course beyond smooth equations, each against a closed form."""

import math
import warnings
from itertools import pairwise

import libsbml
import numpy as np
import pytest

from atmpsim.engines.trajectory import Status
from atmpsim.errors import InputError, ModelError
from atmpsim.model.antimony import read_antimony
from atmpsim.model.library import load_model
from atmpsim.model.sbml import read_sbml
from atmpsim.scenario.dosing import Dose
from atmpsim.study.simulate import simulate

E = math.exp


def antimony(text):
    return read_antimony(text, where="case.ant")


def course(model, *names, times, **more):
    """Return the values of some ids at some times, from a run with tight tolerances."""
    options = {"rtol": 1e-11, "atol": 1e-13} | more
    dataset = simulate(model, times=times, select=names, **options)
    assert int(dataset["status"]) == 0, str(dataset["message"].values)
    return [dataset[name].values for name in names] if len(names) > 1 else dataset[names[0]].values


def sbml(body, *, level=3, version=2, model="", root=""):
    """Return the model of an SBML text; `{{ formula }}` becomes MathML."""
    while "{{" in body:
        before, _, rest = body.partition("{{")
        formula, _, after = rest.partition("}}")
        markup = libsbml.writeMathMLToString(libsbml.parseL3Formula(formula))
        body = before + markup.partition("?>")[2] + after
    space = f"http://www.sbml.org/sbml/level{level}/version{version}" + ("/core" if level == 3 else "")
    text = (
        f'<sbml xmlns="{space}" {root} level="{level}" version="{version}"><model id="m" {model}>{body}</model></sbml>'
    )
    return read_sbml(text, where="case.xml")


def parameters(**values):
    return (
        "<listOfParameters>"
        + "".join(
            f'<parameter id="{k}" constant="false"' + (f' value="{v}"/>' if v is not None else "/>")
            for k, v in values.items()
        )
        + "</listOfParameters>"
    )


def rules(*found):
    """Return rules from (kind, variable, formula); an algebraic rule has no variable."""
    made = ""
    for kind, variable, formula in found:
        target = f' variable="{variable}"' if variable else ""
        made += f"<{kind}Rule{target}>{{{{ {formula} }}}}</{kind}Rule>"
    return f"<listOfRules>{made}</listOfRules>"


def event(trigger, changes, *, late="true", initial="false", persistent="true", inside=""):
    made = "".join(f'<eventAssignment variable="{k}">{{{{ {v} }}}}</eventAssignment>' for k, v in changes.items())
    return f"""<event useValuesFromTriggerTime="{late}"><trigger initialValue="{initial}" persistent="{persistent}">
      {{{{ {trigger} }}}}</trigger>{inside}<listOfEventAssignments>{made}</listOfEventAssignments></event>"""


def events(*found):
    return f"<listOfEvents>{''.join(found)}</listOfEvents>"


def delay(formula):
    return f"<delay>{{{{ {formula} }}}}</delay>"


def priority(formula):
    return f"<priority>{{{{ {formula} }}}}</priority>"


# ---- events of the state


def test_an_event_fires_where_a_state_crosses_and_the_sample_there_shows_it():
    model = antimony("species S; S = 3; J: S -> ; S; n = 0; at (S < 1): S = 3, n = n + 1;")
    third = math.log(3)
    times = [third - 0.5, third - 1e-6, third + 1e-6, 2 * third + 0.5, 3.5 * third]
    got, n = course(model, "S", "n", times=times)
    assert list(n) == [0, 0, 1, 2, 3]
    assert got == pytest.approx([E(0.5), E(1e-6), 3 * E(-1e-6), 3 * E(-0.5), 3 * E(-third / 2)], rel=1e-8)


def test_a_ball_bounces_and_never_falls_through():
    model = antimony("x = 1; v = 0; g = 10; x' = v; v' = -g; at (x <= 0): v = -0.5*v, x = 0;")
    fall = math.sqrt(2 / 10)
    top = fall + 0.5 * fall  # half the speed: a quarter of the height, after half the time of the fall
    assert course(model, "x", times=[0, top])[-1] == pytest.approx(0.25, rel=1e-9)
    heights = course(model, "x", times=np.linspace(0, 2.9 * fall, 200))
    assert heights.min() > -1e-9


def test_bounces_without_end_in_finite_time_end_as_a_failure():
    model = antimony("x = 1; v = 0; g = 10; x' = v; v' = -g; at (x <= 0): v = -0.5*v, x = 0;")
    with pytest.warns(RuntimeWarning, match="run 0 at 1.3416"):  # 3 sqrt(2/10)
        # below the absolute tolerance nothing tells a bounce from none
        dataset = simulate(model, times=[0, 3], select=["x"], rtol=1e-10, atol=1e-24)
    assert int(dataset["status"]) == Status.EVENTS_WITHOUT_END


def test_values_of_the_trigger_or_of_the_execution():
    body = parameters(x=0, early=0, late=0) + rules(("rate", "x", "1"))
    body += events(
        event("x >= 2", {"early": "x"}, inside=delay("1.5")),
        event("x >= 2", {"late": "x"}, late="false", inside=delay("1.5")),
    )
    early, late = course(sbml(body), "early", "late", times=[0, 3.4, 3.6])
    assert list(early) == [0, 0, pytest.approx(2, rel=1e-9)]
    assert list(late) == [0, 0, pytest.approx(3.5, rel=1e-9)]


@pytest.mark.parametrize(("persistent", "expected"), [("true", 1), ("false", 0)])
def test_an_event_that_is_not_persistent_is_called_off(persistent, expected):
    trigger = "x > 1 && x < 2"
    body = parameters(x=0, n=0) + rules(("rate", "x", "1"))
    body += events(event(trigger, {"n": "n + 1"}, persistent=persistent, inside=delay("1.5")))
    assert course(sbml(body), "n", times=[0, 5])[-1] == expected


def test_the_higher_priority_comes_first_and_priorities_are_worked_out_anew():
    body = parameters(x=0, a=0, b=0, c=0, n=0, p=1) + rules(("rate", "x", "1"))
    count = {"n": "n + 1"}
    body += events(
        event("x > 1", {"a": "n", **count}, late="false", inside=priority("2*p")),
        event("x > 1", {"b": "n", **count, "p": "5"}, late="false", inside=priority("9")),
        event("x > 1", {"c": "n", **count}, late="false", inside=priority("3")),
    )
    a, b, c = course(sbml(body), "a", "b", "c", times=[0, 2])
    assert (a[-1], b[-1], c[-1]) == (1, 0, 2)  # at first 9 > 3 > 2; after b, 2p = 10 is above 3


def test_equal_priorities_are_decided_by_chance_but_the_same_way_every_time():
    count = "".join(
        event("tick >= 1", {"tick": "0", name: f"{name} + 1"}, persistent="false", inside=priority("1"))
        for name in ("a", "b")
    )
    body = parameters(tick=0, a=0, b=0) + rules(("rate", "tick", "1")) + events(count)
    first, second = (course(sbml(body), "a", "b", times=[0, 80.5], rtol=1e-3, atol=1e-3) for _ in range(2))
    assert first[0][-1] + first[1][-1] == 80
    assert 20 < first[0][-1] < 60  # a fair coin is outside in less than one of 10^5 cases
    assert np.array_equal(first, second)


def test_an_event_sets_off_another_at_the_same_instant():
    body = parameters(x=0, a=0, b=0, c=0) + rules(("rate", "x", "1"))
    body += events(event("b > 0", {"c": "a + b"}), event("x >= 1", {"a": "1"}), event("a > 0", {"b": "a + 1"}))
    a, b, c = course(sbml(body), "a", "b", "c", times=[0.999, 1.001])
    assert [list(v) for v in (a, b, c)] == [[0, 1], [0, 2], [0, 3]]


def test_two_events_that_set_one_another_off_end_as_a_failure():
    body = parameters(x=0, a=0) + rules(("rate", "x", "1"))
    body += events(event("x > 1 && a < 1", {"a": "1"}), event("a > 0", {"a": "0"}))
    with pytest.warns(RuntimeWarning, match="set one another off without end"):
        dataset = simulate(sbml(body), times=[0, 0.5, 2], select=["a"])
    assert int(dataset["status"]) == Status.EVENTS_WITHOUT_END
    assert list(np.isnan(dataset["a"].values)) == [False, False, True]


def test_the_start_counts_as_a_change_only_where_the_model_says_so():
    body = parameters(x=3, a=0, b=0) + rules(("rate", "x", "1"))
    body += events(event("x > 1", {"a": "1"}, initial="false"), event("x > 1", {"b": "1"}, initial="true"))
    a, b = course(sbml(body), "a", "b", times=[0, 1])
    assert (list(a), list(b)) == ([1, 1], [0, 0])


def test_a_bolus_sets_off_an_event_at_its_time():
    model = antimony("species S; S = 0; k = 0.5; J: S -> ; k*S; n = 0; at (S > 5): n = n + 1, k = 1;")
    doses = [Dose(into="S", amount=4.0, every=1.0, count=3)]
    s, n = course(model, "S", "n", times=[0, 1, 3], doses=doses)
    second = 4 * E(-0.5) + 4
    assert list(n) == [0, 1, 1 + (second * E(-1) < 5 < second * E(-1) + 4)]
    assert s[1:] == pytest.approx([second, (second * E(-1) + 4) * E(-1)], rel=1e-9)


def test_an_event_reads_and_sets_a_compartment_and_a_concentration():
    model = antimony("""compartment C = 2; species S in C, T in C; S = 3; T = 5; x = 0; x' = 1;
      at (x > 1): C = 4, S = S + 1;""")  # at once: the new amounts are those of the old volume
    amount, concentration, other = course(model, "S", "[S]", "[T]", times=[0, 2])
    assert list(concentration) == [3, 2]
    assert list(amount) == [6, 8]
    assert list(other) == [5, 2.5]


# ---- edges


@pytest.mark.parametrize("solver", ["rosenbrock", "lsoda"])
def test_a_jump_at_a_value_of_the_state(solver):
    model = antimony("x = 0; x' = piecewise(1, x < 1, 0.25);")
    assert course(model, "x", times=[0, 1, 5], solver=solver) == pytest.approx([0, 1, 2], rel=1e-8)


def test_jumps_of_curves_of_time():
    model = antimony("""x = 0; x' = floor(time); y = 0; y' = piecewise(1, sin(time) > 0, 0); z = 0;
      z' = piecewise(1, time - 7*floor(time/7) < 0.01, 0); c = 0; c' = ceil(time^2/4);""")
    x, y, z, c = course(model, "x", "y", "z", "c", times=[0, 3.5, 30])
    assert x[1:] == pytest.approx([1 + 2 + 3 * 0.5, sum(range(30))], rel=1e-9)
    assert y[1:] == pytest.approx([math.pi, 5 * math.pi - (10 * math.pi - 30) * 0], rel=1e-9)
    assert z[1:] == pytest.approx([0.01, 0.05], rel=1e-9)
    # ceil(t^2/4) is n between 2 sqrt(n - 1) and 2 sqrt(n)
    edges = [2 * math.sqrt(n) for n in range(4)] + [3.5]
    exact = sum(n * (b - a) for n, (a, b) in enumerate(pairwise(edges), start=1))
    assert c[1] == pytest.approx(exact, rel=1e-9)


def test_a_remainder_falls_back():
    y = course(antimony("y = 0; y' = rem(time, 2);"), "y", times=[0, 1, 3, 7])
    assert y == pytest.approx([0, 0.5, 2.5, 6.5], rel=1e-9)


def test_a_course_that_slides_along_an_edge_is_left_to_the_step_control():
    model = antimony("""x = 0; x' = piecewise(-1, x > 1, 1); at (time > 9): x = 0; y = 0; y' = 1;""")
    dataset = simulate(model, times=[0, 0.5, 1.5], select=["x", "y"], rtol=1e-2, atol=1e-2, solver="lsoda")
    assert int(dataset["status"]) in (Status.OK, Status.STEP_LIMIT)
    assert dataset["x"].values[1] == pytest.approx(0.5, abs=0.02)


# ---- algebraic rules and fast reactions


def test_an_algebraic_rule_determines_what_nothing_else_does():
    body = parameters(x=1, z=None, w=None) + rules(
        ("rate", "x", "-x"), ("algebraic", "", "z + w - 3*x"), ("algebraic", "", "z - w^3 - x")
    )
    x, z, w = course(sbml(body), "x", "z", "w", times=[0, 1, 2])
    assert x == pytest.approx(np.exp([0, -1, -2]), rel=1e-9)
    assert z + w == pytest.approx(3 * x, rel=1e-8)
    assert w**3 + w == pytest.approx(2 * x, rel=1e-8)


def test_an_algebraic_rule_holds_after_an_event_and_in_triggers():
    body = parameters(x=4, z=1, k=1) + rules(("rate", "x", "-1"), ("algebraic", "", "z*z - k*x"))
    body += events(event("z < 1", {"k": "9"}))
    z, k = course(sbml(body), "z", "k", times=[0, 2, 3.5])
    assert list(k) == [1, 1, 9]  # z = sqrt(x) falls below 1 at time 3
    assert z == pytest.approx([2, math.sqrt(2), math.sqrt(4.5)], rel=1e-8)


def test_an_algebraic_rule_with_nothing_to_determine_is_refused():
    body = parameters(x=1) + rules(("rate", "x", "-x"), ("algebraic", "", "x - 2"))
    with pytest.raises(ModelError, match="nothing left to determine"):
        simulate(sbml(body), times=[0, 1])


def test_what_an_algebraic_rule_determines_takes_no_value_and_no_dose():
    body = parameters(x=1, z=1) + rules(("rate", "x", "-x"), ("algebraic", "", "x - z"))
    with pytest.raises(ModelError, match="algebraic rule"):
        simulate(sbml(body), times=[0, 1], parameters={"z": 3.0})
    with pytest.raises(InputError, match="'z'"):
        simulate(sbml(body), times=[0, 1], doses=[Dose(into="z", amount=1.0)])


def place(**sizes):
    return "<listOfCompartments>" + "".join(
        f'<compartment id="{k}" size="{v}" spatialDimensions="3" constant="false"/>' for k, v in sizes.items()
    ) + "</listOfCompartments>"  # fmt: skip


def species(compartment="C", more="", **amounts):
    return "<listOfSpecies>" + "".join(
        f'<species id="{k}" compartment="{compartment}" initialAmount="{v}" hasOnlySubstanceUnits="false" '
        f'boundaryCondition="false" constant="false" {more}/>' for k, v in amounts.items()
    ) + "</listOfSpecies>"  # fmt: skip


def reaction(name, rate, *, out=(), into=(), fast=None):
    def side(tag, ends):
        made = "".join(f'<speciesReference species="{s}" {more} constant="false"/>' for s, more in ends)
        return f"<listOf{tag}>{made}</listOf{tag}>" if ends else ""

    speed = f' fast="{fast}"' if fast else ""
    law = f"<kineticLaw>{{{{ {rate} }}}}</kineticLaw>" if rate else ""
    ends = side("Reactants", out) + side("Products", into)
    return f'<reaction id="{name}" reversible="true"{speed}>{ends}{law}</reaction>'


def reactions(*found):
    return f"<listOfReactions>{''.join(found)}</listOfReactions>"


ONE = 'stoichiometry="1"'


def test_a_fast_reaction_is_in_equilibrium_while_slow_ones_go_on():
    body = (
        place(C=1)
        + species(A=3, B=1, D=0)
        + reactions(
            reaction("F", "2*A - B", out=[("A", ONE)], into=[("B", ONE)], fast="true"),
            reaction("S", "0.5*B", out=[("B", ONE)], into=[("D", ONE)], fast="false"),
        )
    )
    a, b, d = course(sbml(body, version=1), "A", "B", "D", times=[0, 1, 4])
    total = 4 * np.exp(-0.5 * 2 / 3 * np.array([0, 1, 4]))  # B is two thirds of A + B
    assert a == pytest.approx(total / 3, rel=1e-8)
    assert b == pytest.approx(2 * total / 3, rel=1e-8)
    assert d == pytest.approx(4 - total, rel=1e-8, abs=1e-9)


def test_a_fast_reaction_goes_to_the_equilibrium_that_lies_ahead():
    body = (
        place(C=1)
        + species(A=1, B=1)
        + reactions(reaction("F", "A*B", out=[("A", ONE)], into=[("B", ONE)], fast="true"))
    )
    a, b = course(sbml(body, version=1), "A", "B", times=[0, 1])
    assert (list(a), list(b)) == ([pytest.approx(0, abs=1e-12)] * 2, [pytest.approx(2)] * 2)


# ---- volumes, stoichiometries, conversion factors, reactions without a law


def test_concentrations_in_a_compartment_that_grows():
    body = (
        place(C=2)
        + species(A=6, B=6)
        + parameters(k=0.5)
        + rules(("rate", "C", "0.1*C"), ("rate", "B", "-k*B"))
        + reactions(reaction("J", "k*C*A", out=[("A", ONE)]))
    )
    amount, dilute, ruled, size = course(sbml(body), "A", "[A]", "[B]", "C", times=[0, 1, 3])
    t = np.array([0, 1, 3])
    assert size == pytest.approx(2 * np.exp(0.1 * t), rel=1e-9)
    assert amount == pytest.approx(6 * np.exp(-0.5 * t), rel=1e-9)
    assert dilute == pytest.approx(3 * np.exp(-0.6 * t), rel=1e-9)
    assert ruled == pytest.approx(3 * np.exp(-0.5 * t), rel=1e-9)  # a rate rule is about the concentration


def test_a_compartment_that_a_rule_computes():
    body = place(C=1) + species(A=6) + rules(("assignment", "C", "2 + time"))
    amount, concentration = course(sbml(body), "A", "[A]", times=[0, 1, 4])
    assert list(amount) == [6, 6, 6]
    assert concentration == pytest.approx([3, 2, 1], rel=1e-15)


def test_stoichiometries_by_rule_initial_assignment_and_event():
    body = (
        place(C=1)
        + species(A=0, B=0, D=0)
        + """<listOfInitialAssignments><initialAssignment symbol="b">
      {{ 1 + 2 }}</initialAssignment></listOfInitialAssignments>"""
        + rules(("assignment", "a", "2*time"))
        + reactions(reaction("J", "1", into=[("A", 'id="a"'), ("B", 'id="b"'), ("D", 'id="d" stoichiometry="1"')]))
        + events(event("D >= 2", {"d": "10"}))
    )
    a, b, d, n = course(sbml(body), "A", "B", "D", "d", times=[0, 1, 3])
    assert a == pytest.approx([0, 1, 9], rel=1e-9)
    assert b == pytest.approx([0, 3, 9], rel=1e-9)
    assert d == pytest.approx([0, 1, 12], rel=1e-9)
    assert list(n) == [1, 1, 10]


def test_stoichiometry_math_of_level_2():
    body = """<listOfCompartments><compartment id="C" size="1"/></listOfCompartments>
      <listOfSpecies><species id="A" compartment="C" initialAmount="0"/></listOfSpecies>
      <listOfParameters><parameter id="p" value="1" constant="false"/></listOfParameters>
      <listOfRules><rateRule variable="p">{{ 1 }}</rateRule></listOfRules>
      <listOfReactions><reaction id="R"><listOfProducts><speciesReference species="A">
      <stoichiometryMath>{{ p^2 }}</stoichiometryMath></speciesReference></listOfProducts>
      <kineticLaw>{{ 3 }}</kineticLaw></reaction></listOfReactions>"""
    got = course(sbml(body, level=2, version=4), "A", times=[0, 1])
    assert got[-1] == pytest.approx(2**3 - 1, rel=1e-9)  # 3 times the integral of (1 + t)^2


def test_conversion_factors_of_model_and_species():
    numbers = '<listOfParameters><parameter id="f" value="3" constant="true"/></listOfParameters>'
    numbers = numbers.replace("</listOf", '<parameter id="g" value="5" constant="true"/></listOf')
    made = place(C=1) + species(A=0, B=0).replace('id="B"', 'id="B" conversionFactor="g"') + numbers
    made += reactions(reaction("J", "2", into=[("A", ONE), ("B", ONE)]))
    a, b = course(sbml(made, model='conversionFactor="f"'), "A", "B", times=[0, 1])
    assert (a[-1], b[-1]) == (pytest.approx(6, rel=1e-9), pytest.approx(10, rel=1e-9))


def test_a_reaction_without_a_law_does_not_run_and_the_reader_says_so():
    body = place(C=1) + species(A=2) + reactions(reaction("J", "", out=[("A", ONE)]))
    with pytest.warns(UserWarning, match=r"without a kinetic law.*\(J\)"):
        model = sbml(body)
    assert list(course(model, "A", times=[0, 1])) == [2, 2]


# ---- delay, rateOf and mathematics


def test_a_delay_equation_by_steps():
    x = course(antimony("x = 1; x' = -delay(x, 1);"), "x", times=[0, 0.5, 1, 2, 3])
    third = lambda t: 1 - t + (t - 1) ** 2 / 2 - (t - 2) ** 3 / 6  # noqa: E731
    assert x == pytest.approx([1, 0.5, 0, -0.5, third(3)], abs=1e-8)


def test_a_delayed_value_of_before_the_start_and_of_a_jump():
    body = (
        parameters(x=None, y=0, k=0)
        + """<listOfInitialAssignments><initialAssignment symbol="x">
      {{ sin(time) }}</initialAssignment></listOfInitialAssignments>"""
        + rules(("assignment", "y", "delay(x, 2)"), ("rate", "x", "0"))
        + events(event("time >= 1", {"x": "7"}), event("y > 5", {"k": "time"}))
    )
    y, k = course(sbml(body), "y", "k", times=[0, 1, 2.5, 3, 4])
    assert y == pytest.approx([math.sin(-2), math.sin(-1), 0, 7, 7], abs=1e-12)
    assert k == pytest.approx([0, 0, 0, 3, 3], rel=1e-14)


def test_delays_side_by_side_over_forty_spans():
    """Each looks back at its own quantity only; at one another's they would take 2^40 looks."""
    text = "x = 0; x' = 1; a := 2*x; b := 3*x; y := delay(a, 1) + delay(b, 1);"
    y = course(antimony(text), "y", times=[2.0, 40.0], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(y, [5.0, 195.0], rtol=1e-9)


def test_a_delay_that_varies_and_a_delayed_delay():
    body = parameters(x=0, y=0, z=0) + rules(
        ("rate", "x", "1"), ("assignment", "y", "delay(x, 0.5 + 0.1*x)"), ("assignment", "z", "delay(y, 1)")
    )
    y, z = course(sbml(body), "y", "z", times=[0, 2, 4])
    assert y == pytest.approx([0, 2 - 0.7, 4 - 0.9], rel=1e-9)
    assert z == pytest.approx([0, 1 - 0.6, 3 - 0.8], rel=1e-9)


def test_rate_of_a_concentration_and_of_what_depends_on_it():
    body = (
        place(C=2)
        + species(A=6)
        + parameters(r=0, q=0)
        + rules(
            ("rate", "C", "0.5"), ("assignment", "r", "rateOf(A)"), ("rate", "q", "rateOf(C) + rateOf(q0)")
        ).replace("q0", "A")
    )
    r, q = course(sbml(body), "r", "q", times=[0, 2, 4])
    t = np.array([0, 2, 4])
    assert r == pytest.approx(-6 * 0.5 / (2 + 0.5 * t) ** 2, rel=1e-9)
    assert q == pytest.approx(0.5 * t + 6 / (2 + 0.5 * t) - 3, rel=1e-9, abs=1e-12)


MATHEMATICS = {
    "factorial(5)": 120.0, "quotient(-7, 2)": -3.0, "quotient(7, 2)": 3.0, "rem(-7, 2)": -1.0,
    "implies(x > 2, x > 3)": 1.0, "implies(x > 0, x > 3)": 0.0, "max(x, 3, 2)": 3.0, "min(x, 3, 2)": 1.0,
    "and()": 1.0, "or()": 0.0, "xor(true, true, true)": 1.0, "plus()": 0.0, "times()": 1.0, "lt(0, x, 2, 3)": 1.0,
    "avogadro": 6.02214179e23, "log(2, 8)": 3.0, "root(3, 27)": 3.0, "arccot(x)": math.atan(1),
}  # fmt: skip


@pytest.mark.parametrize(("formula", "expected"), MATHEMATICS.items(), ids=MATHEMATICS)
def test_mathematics_of_level_3_version_2(formula, expected):
    body = parameters(x=1, y=0) + rules(("assignment", "y", formula))
    assert course(sbml(body), "y", times=[0])[0] == pytest.approx(expected, rel=1e-14)


def test_functions_call_functions_and_ids_may_be_called_like_builtins():
    model = """<listOfFunctionDefinitions>
      <functionDefinition id="f">{{ lambda(a, b, a - 2*b) }}</functionDefinition>
      <functionDefinition id="g">{{ lambda(b, a, f(b, a) + f(a, b)/2) }}</functionDefinition>
      </listOfFunctionDefinitions>""" + parameters(sin=3, time=4, y=0)
    model += rules(("assignment", "y", "g(q, w)"))
    body = model.replace("{{ g(q, w) }}", '<math xmlns="http://www.w3.org/1998/Math/MathML"><apply><ci> g </ci>'
                         "<ci> sin </ci><ci> time </ci></apply></math>")  # fmt: skip
    y = course(sbml(body), "y", times=[0, 2])
    assert list(y) == [3 - 8 + (4 - 6) / 2, 3 - 8 + (4 - 6) / 2]


def test_a_thousand_chained_rules_are_read():
    count = 1000
    numbers = parameters(**{f"x{k}": (1 if k == 0 else None) for k in range(count)})
    body = numbers + rules(*(("assignment", f"x{k}", f"x{k - 1} + 1") for k in range(1, count)))
    assert course(sbml(body), f"x{count - 1}", times=[0])[0] == count


# ---- constraints and composed models


def test_a_constraint_is_watched():
    body = (
        parameters(x=1)
        + rules(("rate", "x", "-1"))
        + """<listOfConstraints><constraint>{{ x > 0 }}
      <message><p xmlns="http://www.w3.org/1999/xhtml">x ran out</p></message></constraint></listOfConstraints>"""
    )
    with pytest.warns(RuntimeWarning, match=r"at 1.5: found that constraint 1 .*\(x ran out\)"):
        course(sbml(body), "x", times=[0, 0.5, 1.5, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        course(sbml(body), "x", times=[0, 0.5])


COMP = 'xmlns:comp="http://www.sbml.org/sbml/level3/version1/comp/version1" comp:required="true"'
INNER = """<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model id="decay">
  <listOfParameters><parameter id="x" value="2" constant="false"/></listOfParameters><listOfRules>
  <rateRule variable="x"><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><minus/><ci> x </ci></apply></math>
  </rateRule></listOfRules></model></sbml>"""


def composed(source):
    return f"""<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" {COMP} level="3" version="1">
      <model id="outer"><comp:listOfSubmodels><comp:submodel comp:id="A" comp:modelRef="E"/>
      <comp:submodel comp:id="B" comp:modelRef="E"/></comp:listOfSubmodels></model>
      <comp:listOfExternalModelDefinitions><comp:externalModelDefinition comp:id="E" comp:source="{source}"
      comp:modelRef="decay"/></comp:listOfExternalModelDefinitions></sbml>"""


def test_a_composed_model_is_flattened_with_models_from_its_own_folder(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "inner.xml").write_text(INNER)
    (tmp_path / "outer.xml").write_text(composed("parts/inner.xml"))
    a, b = course(load_model(tmp_path / "outer.xml"), "A__x", "B__x", times=[0, 1])
    assert a[-1] == b[-1] == pytest.approx(2 * E(-1), rel=1e-9)


@pytest.mark.parametrize("source", ["../inner.xml", "/etc/hostname", "file:///etc/hostname", "http://localhost/x.xml"])
def test_a_composed_model_opens_no_file_elsewhere(tmp_path, source):
    (tmp_path / "inner.xml").write_text(INNER)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "outer.xml").write_text(composed(source))
    with pytest.raises(ModelError, match="own folder"):
        load_model(tmp_path / "model" / "outer.xml")


def test_a_link_out_of_the_folder_and_a_hostile_part_are_refused(tmp_path):
    (tmp_path / "inner.xml").write_text(INNER)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "outer.xml").write_text(composed("inner.xml"))
    (tmp_path / "model" / "inner.xml").symlink_to(tmp_path / "inner.xml")
    with pytest.raises(ModelError, match="own folder"):
        load_model(tmp_path / "model" / "outer.xml")
    (tmp_path / "model" / "inner.xml").unlink()
    (tmp_path / "model" / "inner.xml").write_text("<!DOCTYPE sbml>" + INNER)
    with pytest.raises(ModelError, match="DOCTYPE"):
        load_model(tmp_path / "model" / "outer.xml")
