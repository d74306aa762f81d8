"""Subjects: what they give, what they note and what they refuse."""

import itertools
import json
import math
import pickle
import time

import pytest

from atmpsim.errors import ScenarioError
from atmpsim.scenario.physiology import human_class, median_weight
from atmpsim.scenario.subject import Subject, identifiers, missing_organ_message, resolve
from atmpsim.units import parse_unit

LADDERS = {
    "male": ("newborn", "1y", "5y", "10y", "15y_male", "adult_male"),
    "female": ("newborn", "1y", "5y", "10y", "15y_female", "adult_female"),
}
MASSES = ("lung", "liver", "spleen", "gut", "kidney", "heart", "brain", "muscle", "bone", "skin", "adipose", "marrow")
EVERY_KIND = [
    Subject("human", 0.01),
    Subject("human", weight_kg=0.5),
    Subject("human", 6.0, weight_kg=20.0),
    Subject("human", weight_kg=45.0, sex="female"),
    Subject("human", 40, sex="female"),
    Subject("human", 40, weight_kg=110.0),
    Subject("mouse"),
    Subject("mouse", weight_kg=0.02),
    Subject("rat"),
    Subject("rat", weight_kg=0.4, sex="female"),
]


def values(subject, **more):
    return {name: number for name, (number, _) in resolve(subject, where="here", **more).values.items()}


def notes(subject, **more):
    return " | ".join(resolve(subject, where="here", **more).notes)


@pytest.mark.parametrize("subject", EVERY_KIND, ids=repr)
def test_every_species_gives_every_id_with_a_readable_unit(subject):
    made = resolve(subject, where="here")
    assert tuple(made.values) == identifiers()
    kinds = {"Q": "L/min", "V": "L", "m": "g", "CO": "L/min", "weight": "kg"}
    for name, (number, unit) in made.values.items():
        assert math.isfinite(number), name
        assert number > 0, name
        assert unit == kinds[name.partition("_")[0]]
        parse_unit(unit, where=name)


@pytest.mark.parametrize("sex", LADDERS)
def test_interpolation_is_exact_at_the_classes(sex):
    for name in LADDERS[sex]:
        table = human_class(name)
        for nearby in (1.0, 1 - 1e-9, 1 + 1e-9):  # no jump on either side
            got = values(Subject("human", weight_kg=table["weight"] * nearby, sex=sex))
            assert got["CO"] == pytest.approx(table["CO"], rel=1e-7)
            assert got["V_blood"] == pytest.approx(table["blood"] / 1060, rel=1e-7)
            for organ in (*MASSES, "rest"):
                assert got[f"m_{organ}"] == pytest.approx(table[organ], rel=1e-6), (name, organ)


@pytest.mark.parametrize("sex", LADDERS)
def test_between_classes_every_mass_lies_between_its_neighbours(sex):
    for low, high in itertools.pairwise(human_class(name) for name in LADDERS[sex]):
        middle = math.sqrt(low["weight"] * high["weight"])
        got = values(Subject("human", weight_kg=middle, sex=sex))
        for organ in MASSES:  # log-log interpolation: at the geometric mean of weight, the geometric mean of mass
            assert got[f"m_{organ}"] == pytest.approx(math.sqrt(low[organ] * high[organ]), rel=1e-12)
        assert got["CO"] == pytest.approx(math.sqrt(low["CO"] * high["CO"]), rel=1e-12)


@pytest.mark.parametrize("sex", LADDERS)
def test_blood_liver_muscle_and_kidney_grow_with_weight(sex):
    weights = [0.5 * 1.02**k for k in range(330)]
    made = [values(Subject("human", weight_kg=weight, sex=sex)) for weight in weights]
    for name in ("V_blood", "m_liver", "m_muscle", "m_kidney", "Q_kidney"):
        series = [one[name] for one in made]
        assert all(b >= a * (1 - 1e-12) for a, b in itertools.pairwise(series)), name
    assert all(one["Q_rest"] > 0 for one in made)
    if sex == "male":  # in women ICRP's cardiac output falls from 6.1 (15 years) to 5.9 L/min (adult)
        assert all(b["CO"] >= a["CO"] for a, b in itertools.pairwise(made))


@pytest.mark.parametrize("sex", LADDERS)
def test_rest_closes_body_weight_without_a_jump_or_a_dip(sex):
    weights = [0.5 * 1.02**k for k in range(330)]
    rest = [values(Subject("human", weight_kg=weight, sex=sex))["m_rest"] for weight in weights]
    for low, high in itertools.pairwise(rest):  # the remainder has a hump of 0.2 % just below the 5-year class
        assert 0.997 < high / low < 1.06


def test_sex_is_irrelevant_up_to_the_10_year_class_and_relevant_above():
    boy, girl = (values(Subject("human", weight_kg=32.0, sex=sex)) for sex in LADDERS)
    assert boy == girl
    boy, girl = (values(Subject("human", weight_kg=40.0, sex=sex)) for sex in LADDERS)
    assert boy["m_adipose"] < girl["m_adipose"]


@pytest.mark.parametrize(
    ("subject", "base", "factor"),
    [
        (Subject("human", weight_kg=146.0, sex="male"), Subject("human", weight_kg=73.0, sex="male"), 2.0),
        (Subject("human", weight_kg=1.75), Subject("human", weight_kg=3.5), 0.5),
        (Subject("mouse", weight_kg=0.05), Subject("mouse"), 2.0),
        (Subject("rat", weight_kg=0.5), Subject("rat"), 2.0),
    ],
)
def test_beyond_a_table_masses_go_with_weight_and_flows_with_its_power_three_quarters(subject, base, factor):
    big, small = values(subject), values(base)
    for name, number in big.items():
        power = 0.75 if name == "CO" or name.startswith("Q_") else 1.0
        assert number == pytest.approx(small[name] * factor**power, rel=1e-9), name
    assert "extrapolated" in notes(subject)
    assert "extrapolated" not in notes(base)


def test_age_alone_gives_the_median_weight():
    assert median_weight(3, "male") == pytest.approx(14.5)  # half way between 10 and 19 kg
    assert values(Subject("human", 3))["weight"] == pytest.approx(14.5)
    assert values(Subject("human", 70, sex="female"))["weight"] == 60.0
    assert "linear in age" in notes(Subject("human", 3))


def test_with_both_the_weight_decides_and_a_gross_disagreement_is_noted():
    both, weight = Subject("human", 6.0, weight_kg=20.0), Subject("human", weight_kg=20.0)
    assert values(both) == values(weight)
    assert "does not change them" in notes(both)
    assert "disagree" not in notes(both)
    assert "disagree" in notes(Subject("human", 6.0, weight_kg=45.0))
    assert "disagree" in notes(Subject("human", 30.0, weight_kg=20.0))


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (Subject("human", weight_kg=33.0), True),
        (Subject("human", 12.0), True),
        (Subject("human", 12.0, sex="female"), False),
        (Subject("human", 12.0, weight_kg=30.0), False),
        (Subject("human", 8.0), False),
    ],
)
def test_an_assumed_sex_is_noted_only_where_it_matters(subject, said):
    assert ("male (assumption)" in notes(subject)) is said


def test_rodents_default_to_their_table_and_say_what_was_filled():
    assert values(Subject("mouse"))["weight"] == 0.025
    assert values(Subject("rat"))["weight"] == 0.25
    assert "weight not given" in notes(Subject("mouse"))
    assert "weight not given" not in notes(Subject("mouse", weight_kg=0.025))
    assert "flows of bone, skin, adipose, rest split" in notes(Subject("mouse"))
    assert "masses of gut, brain, muscle, bone, skin, adipose, rest split" in notes(Subject("rat"))
    assert "age and sex do not change" in notes(Subject("rat", 0.5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age_years": None}, ["neither age nor weight"]),
        ({"weight_kg": -20.0}, ["weight", "-20 kg"]),
        ({"weight_kg": 0.0}, ["weight", "0 kg"]),
        ({"weight_kg": math.nan}, ["weight", "nan"]),
        ({"weight_kg": math.inf}, ["weight", "inf"]),
        ({"weight_kg": 1000.0}, ["1000 kg", "400 kg"]),
        ({"weight_kg": 10**400}, ["weight"]),
        ({"weight_kg": "20"}, ["'20'"]),
        ({"weight_kg": True}, ["True"]),
        ({"age_years": 200.0}, ["200 yr", "125 yr"]),
        ({"age_years": -1.0}, ["-1 yr"]),
        ({"age_years": 0.0}, ["0 yr", "1 d"]),
        ({"age_years": math.nan}, ["age", "nan"]),
        ({"species": "mouse", "age_years": 30.0}, ["of a mouse", "30 yr"]),
        ({"species": "mouse", "weight_kg": 25.0}, ["of a mouse", "25 kg"]),
        ({"species": "humna"}, ["'humna'", "Did you mean 'human'?"]),
        ({"sex": "femal"}, ["Did you mean 'female'?"]),
        ({"condition": "cirhosis"}, ["Did you mean 'cirrhosis'?"]),
    ],
)
def test_an_impossible_subject_is_refused_where_it_stands(change, words):
    fields = {"species": "human", "age_years": 6.0} | change
    with pytest.raises(ScenarioError) as caught:
        resolve(Subject(**fields), where="child.toml [subject]")
    assert str(caught.value).startswith("child.toml [subject]")
    for word in words:
        assert word in str(caught.value)


def test_an_overridden_flow_moves_rest_and_nothing_else():
    subject = Subject("human", 30.0, sex="male")
    before, after = values(subject), values(subject, overrides={"Q_kidney": 0.9})
    changed = {name for name in before if after[name] != pytest.approx(before[name], rel=1e-12)}
    assert changed == {"Q_kidney", "Q_rest"}
    assert after["Q_rest"] - before["Q_rest"] == pytest.approx(1.235 - 0.9)
    assert "Q_kidney overridden: 0.9 L/min instead of 1.235 L/min" in notes(subject, overrides={"Q_kidney": 0.9})


def test_an_overridden_inflow_moves_the_liver_and_an_overridden_liver_its_inflows():
    subject = Subject("human", 30.0, sex="male")
    before, spleen = values(subject), values(subject, overrides={"Q_spleen": 0.295})
    assert spleen["Q_liver"] - before["Q_liver"] == pytest.approx(0.1)
    assert before["Q_rest"] - spleen["Q_rest"] == pytest.approx(0.1)
    liver = values(subject, overrides={"Q_liver": 2 * before["Q_liver"] / 3})
    for inflow in ("Q_gut", "Q_spleen", "Q_hepatic_artery", "Q_stomach_pancreas"):
        assert liver[inflow] == pytest.approx(2 * before[inflow] / 3)


def test_an_overridden_cardiac_output_scales_every_flow_but_the_overridden_ones():
    before = values(Subject("mouse"))
    after = values(Subject("mouse"), overrides={"Q_kidney": 0.001, "CO": 0.0173})
    assert after["CO"] == after["Q_lung"] == 0.0173
    assert after["Q_kidney"] == 0.001
    assert after["Q_muscle"] == pytest.approx(before["Q_muscle"] * 0.0173 / 0.01398)
    assert after["m_muscle"] == before["m_muscle"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"Q_kidney": 6.0}, ["organ flows", "cardiac output of 6.5 L/min"]),
        ({"Q_kidney": -0.1}, ["-0.1 L/min"]),
        ({"Q_kidney": math.nan}, ["nan"]),
        ({"CO": 0.0}, ["above 0"]),
        ({"Q_kidny": 0.9}, ["Did you mean 'Q_kidney'?"]),
        ({"Q_rest": 0.9}, ["'Q_rest'", "set those instead"]),
        ({"Q_lung": 6.0}, ["'Q_lung'", "set CO instead"]),
        ({"V_liver": 0.9}, ["'V_liver'"]),
        ({"Q_liver": 1.0, "Q_gut": 0.5}, ["Q_liver and Q_gut"]),
    ],
)
def test_an_impossible_override_is_refused(overrides, words):
    with pytest.raises(ScenarioError) as caught:
        resolve(Subject("human", 30.0, sex="male"), where="x.toml [subject]", overrides=overrides)
    for word in words:
        assert word in str(caught.value)


def test_cirrhosis_changes_spleen_portal_inflow_and_artery_and_hands_on_model_factors():
    well, ill = (Subject("human", 30.0, sex="male", condition=condition) for condition in (None, "cirrhosis"))
    before, after = values(well), values(ill)
    factors = {"m_spleen": 2.5, "Q_spleen": 2.5, "Q_gut": 0.75, "Q_stomach_pancreas": 0.75, "Q_hepatic_artery": 1.5}
    for name, number in after.items():
        if name not in ("Q_liver", "Q_rest", "m_rest"):
            assert number == pytest.approx(factors.get(name, 1.0) * before[name], rel=1e-12), name
    inflows = (0.65 * 0.14 + 0.02 * 0.65) * 7.5 + 6.5 * 0.03 * 2.5 + 6.5 * 0.065 * 1.5  # ICRP shares, by hand
    assert after["Q_liver"] == pytest.approx(inflows, rel=1e-9)
    assert after["Q_rest"] == pytest.approx(before["Q_rest"] + before["Q_liver"] - inflows)
    assert before["m_rest"] - after["m_rest"] == pytest.approx(225.0)
    assert resolve(ill, where="here").model_factors == {
        "liver_extraction": ("set", 0.5),
        "liver_debris_uptake": ("times", 0.4),
        "spleen_debris_uptake": ("times", 4.0),
        "bone_debris_uptake": ("times", 2.0),
    }
    assert resolve(well, where="here").model_factors == {}
    assert "cirrhosis" in notes(ill)
    assert "meant for man" in notes(Subject("mouse", condition="cirrhosis"))


def test_a_result_can_be_pickled_and_written_as_json():
    made = resolve(Subject("human", 6.0, condition="cirrhosis"), where="here")
    assert pickle.loads(pickle.dumps(made)) == made
    json.dumps([made.values, made.notes, made.model_factors])


def test_missing_ids_get_a_message_that_helps():
    assert "inside m_rest" in missing_organ_message("m_stomach_pancreas", "rat")
    assert "Did you mean 'Q_kidney'?" in missing_organ_message("Q_kidny", "human")
    text = missing_organ_message("Q_tumour", "mouse")
    assert "mouse" in text
    assert "parameters.Q_tumour" in text


def test_resolving_is_quick_once_the_tables_are_read():
    subject, spent = Subject("human", 6.0, weight_kg=20.0), []
    for _ in range(5):
        start = time.perf_counter()
        resolve(subject, where="here")
        spent.append(time.perf_counter() - start)
    assert min(spent) < 5e-3
