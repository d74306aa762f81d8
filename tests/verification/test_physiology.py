"""Physiology against the published tables: flow recipe, mass balance, venous return (target C-3), time scales.

The expected numbers are typed in from the sources' tables, not computed from the shipped files.
"""

import itertools
import math

import pytest

from atmpsim.scenario.physiology import TISSUES, human_class
from atmpsim.scenario.subject import Subject, resolve

# Weight (kg) and sex of the ICRP 89 classes.
CLASSES = {
    "newborn": (3.5, None),
    "1y": (10, None),
    "5y": (19, None),
    "10y": (32, None),
    "15y_male": (56, "male"),
    "15y_female": (53, "female"),
    "adult_male": (73, "male"),
    "adult_female": (60, "female"),
}
COLUMNS = [
    "CO",
    "liver",
    "gut",
    "spleen",
    "hepatic_artery",
    "stomach_pancreas",
    "kidney",
    "brain",
    "heart",
    "muscle",
    "bone",
    "skin",
    "adipose",
    "rest",
]
# Flows at every age, L/min: derived once, independently, by the Abraham-type recipe from ICRP 89 and Chiron 1992.
FLOWS = {
    "newborn": (0.733, 0.212, 0.095, 0.028, 0.069, 0.021, 0.100, 0.190, 0.028, 0.054, 0.020, 0.031, 0.035, 0.063),
    "1y": (1.817, 0.456, 0.212, 0.066, 0.136, 0.042, 0.279, 0.560, 0.059, 0.109, 0.054, 0.052, 0.121, 0.126),
    "5y": (3.40, 0.911, 0.509, 0.109, 0.224, 0.069, 0.438, 0.884, 0.116, 0.370, 0.131, 0.097, 0.195, 0.258),
    "10y": (5.00, 1.344, 0.794, 0.160, 0.299, 0.092, 0.717, 0.891, 0.194, 0.737, 0.245, 0.142, 0.296, 0.434),
    "15y_male": (6.10, 1.554, 0.875, 0.202, 0.365, 0.112, 0.996, 0.809, 0.235, 1.187, 0.319, 0.256, 0.276, 0.467),
    "15y_female": (6.10, 1.788, 1.014, 0.223, 0.448, 0.103, 0.875, 0.741, 0.314, 0.831, 0.328, 0.264, 0.511, 0.448),
    "adult_male": (6.50, 1.657, 0.910, 0.195, 0.422, 0.130, 1.235, 0.780, 0.260, 1.105, 0.325, 0.325, 0.325, 0.487),
    "adult_female": (5.90, 1.593, 0.944, 0.177, 0.384, 0.089, 1.003, 0.708, 0.295, 0.708, 0.295, 0.295, 0.502, 0.502),
}
REST_MASS = dict(zip(CLASSES, (353.5, 836, 1475, 2450, 3570, 3520, 4840, 4765), strict=True))  # g, derived
CIRCULATION = dict(zip(CLASSES, (21, 16, 23, 27, 42, 31, 46, 37), strict=True))  # s, derived
PARALLEL = ["liver", "kidney", "brain", "heart", "muscle", "bone", "skin", "adipose", "rest"]
INFLOWS = ["hepatic_artery", "gut", "spleen", "stomach_pancreas"]

SUBJECTS = [
    Subject(species, weight_kg=weight, sex=sex, condition=condition)
    for species, weights in {
        "human": (0.5, 3.5, 7, 10, 15, 19, 20, 32, 40, 53, 56, 60, 73, 100, 400),
        "mouse": (0.02, 0.025, 0.04),
        "rat": (0.2, 0.25, 0.5),
    }.items()
    for weight, sex, condition in itertools.product(weights, ("male", "female"), (None, "cirrhosis"))
]


def values(subject, **more):
    return {name: number for name, (number, _) in resolve(subject, where="here", **more).values.items()}


def of_class(name):
    weight, sex = CLASSES[name]
    return values(Subject("human", weight_kg=weight, sex=sex))


@pytest.mark.parametrize("name", CLASSES)
def test_c3_the_recipe_rebuilds_the_flow_table(name):
    got = of_class(name)
    for organ, expected in zip(COLUMNS, FLOWS[name], strict=True):
        flow = got["CO" if organ == "CO" else f"Q_{organ}"]
        assert flow == pytest.approx(expected, abs=0.002), organ


@pytest.mark.parametrize("name", CLASSES)
def test_masses_of_every_class_add_up_to_body_weight(name):
    got, table = of_class(name), human_class(name)
    tissues = math.fsum(table[organ] for organ in TISSUES)  # lung tissue; marrow is inside bone
    assert tissues + table["blood"] + REST_MASS[name] == pytest.approx(1000 * CLASSES[name][0], abs=0.01)
    assert got["m_rest"] == pytest.approx(REST_MASS[name], abs=0.01)


@pytest.mark.parametrize("subject", SUBJECTS, ids=repr)
def test_c3_venous_return_is_cardiac_output_in_every_subject(subject):
    got = values(subject)
    flows = [got[f"Q_{organ}"] for organ in PARALLEL]
    assert min(flows) >= 0
    assert math.fsum(flows) == pytest.approx(got["CO"], abs=min(0.005, 1e-9 * got["CO"]))
    assert math.fsum(got[f"Q_{organ}"] for organ in INFLOWS) == pytest.approx(got["Q_liver"], rel=1e-9)
    assert got["Q_lung"] == got["CO"]


@pytest.mark.parametrize("subject", SUBJECTS, ids=repr)
def test_masses_and_blood_add_up_in_every_subject(subject):
    got = values(subject)
    masses = math.fsum(number for name, number in got.items() if name.startswith("m_") and name != "m_marrow")
    assert masses + 1060 * got["V_blood"] == pytest.approx(1000 * subject.weight_kg, rel=1e-9)
    volumes = [number for name, number in got.items() if name.startswith("V_") and name != "V_blood"]
    assert math.fsum(volumes) == pytest.approx(got["V_blood"], rel=1e-15)


@pytest.mark.parametrize("organ", ["kidney", "muscle", "gut", "hepatic_artery", "liver", "CO"])
@pytest.mark.parametrize("subject", [Subject("human", 5.0), Subject("mouse"), Subject("rat")], ids=repr)
def test_c3_after_a_change_of_one_flow_the_return_is_still_cardiac_output(subject, organ):
    name = organ if organ == "CO" else f"Q_{organ}"
    before = values(subject)
    after = values(subject, overrides={name: 0.9 * before[name]})
    assert after[name] == pytest.approx(0.9 * before[name], rel=1e-12)
    assert math.fsum(after[f"Q_{bed}"] for bed in PARALLEL) == pytest.approx(after["CO"], rel=1e-12)
    assert after["Q_lung"] == after["CO"]
    if organ != "CO":
        assert after["CO"] == before["CO"]
        assert after["Q_rest"] - before["Q_rest"] == pytest.approx(0.1 * before[name], rel=1e-9)


def test_blood_is_where_icrp_puts_it():
    got = values(Subject("human", weight_kg=73, sex="male"))
    percent = {name.removeprefix("V_"): 100 * number / got["V_blood"] for name, number in got.items() if "V_" in name}
    assert got["V_blood"] == pytest.approx(5.0)
    assert percent == pytest.approx(
        {
            "blood": 100, "venous": 22.5, "arterial": 10.5, "lung": 10.5, "liver": 10, "spleen": 1.4, "gut": 6.0,
            "stomach_pancreas": 1.6, "kidney": 2.0, "heart": 1.0, "brain": 1.2, "muscle": 14, "bone": 7, "skin": 3,
            "adipose": 5, "rest": 4.3,
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
def test_mean_circulation_time(name):
    got = of_class(name)
    assert 60 * got["V_blood"] / got["CO"] == pytest.approx(CIRCULATION[name], abs=0.5)


def test_a_child_of_20_kg_between_two_classes():
    got = values(Subject("human", 5.5, weight_kg=20))
    assert got["CO"] == pytest.approx(3.53, abs=0.005)  # computed by hand: 3.4 * (20/19)**(ln(5/3.4)/ln(32/19))
    assert got["V_blood"] == pytest.approx(1.39, abs=0.005)
    assert got["Q_hepatic_artery"] / got["CO"] == pytest.approx(0.066, abs=0.001)
    assert (got["Q_gut"] + got["Q_stomach_pancreas"]) / got["CO"] == pytest.approx(0.170, abs=0.002)
    assert got["Q_spleen"] / got["CO"] == pytest.approx(0.032, abs=0.001)


def test_mouse_keeps_every_published_number():
    got = values(Subject("mouse"))  # Brown 1997, 25 g
    flows = {
        "lung": 13.98, "liver": 2.251, "gut": 1.5, "spleen": 0.157, "kidney": 1.272, "brain": 0.461, "heart": 0.923,
        "muscle": 2.223,
    }  # fmt: skip
    volumes = {
        "liver": 1.375, "gut": 1.425, "spleen": 0.0875, "kidney": 0.425, "brain": 0.425, "heart": 0.125, "muscle": 9.6,
        "lung": 0.175,
    }  # fmt: skip
    assert {organ: 1000 * got[f"Q_{organ}"] for organ in flows} == pytest.approx(flows, rel=1e-12)
    assert {organ: got[f"m_{organ}"] for organ in volumes} == pytest.approx(volumes, rel=1e-12)
    assert 1000 * got["V_blood"] == pytest.approx(1.225)
    split = [got[f"Q_{organ}"] for organ in ("skin", "adipose", "bone", "rest")]
    assert 1000 * math.fsum(split) == pytest.approx(6.85, abs=0.001)  # the table's own remainder
    assert split[0] / split[3] == pytest.approx(5 / 7.5)  # as in the adult man
    assert got["Q_hepatic_artery"] + got["Q_stomach_pancreas"] == pytest.approx((2.251 - 1.5 - 0.157) / 1000)
    assert got["m_skin"] / got["m_adipose"] == pytest.approx(3300 / 14500)


def test_rat_keeps_every_tabulated_number():
    got = values(Subject("rat"))  # Davies and Morris 1993, 250 g
    flows = {
        "lung": 74, "liver": 13.8, "gut": 7.5, "spleen": 0.63, "kidney": 9.2, "brain": 1.3, "heart": 3.9, "muscle": 7.5,
    }  # fmt: skip
    assert {organ: 1000 * got[f"Q_{organ}"] for organ in flows} == pytest.approx(flows, rel=1e-12)
    volumes = {"liver": 19.6, "spleen": 1.3, "kidney": 3.7, "heart": 1.2, "lung": 2.1}
    assert {organ: got[f"m_{organ}"] for organ in volumes} == pytest.approx(volumes, rel=1e-12)
    assert 1000 * got["V_blood"] == pytest.approx(13.5)
    split = math.fsum(got[f"Q_{organ}"] for organ in ("skin", "adipose", "bone", "rest"))
    assert 1000 * split == pytest.approx(74 - 13.8 - 9.2 - 1.3 - 3.9 - 7.5)
