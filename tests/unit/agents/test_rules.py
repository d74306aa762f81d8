"""The tables of rules and their NumPy meaning, against the grammar's formula written out and against PhysiCell."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from atmpsim.agents.behaviours import BehaviourKind, behaviour_ids
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.rules import apply_rules, compile_rules, respond
from atmpsim.agents.signals import SignalKind, signal_ids
from atmpsim.agents.spec import PHYSICELL
from atmpsim.agents.values import behaviour_values

UNITS = Path(__file__).resolve().parents[4] / "shared" / "physicell-reference" / "g6_units"


def hill(x, half, power):
    return x**power / (half**power + x**power)


def value_of(model, behaviour, **signals):
    """Return what a tumour cell's behaviour becomes; signals are named with _ for a blank."""
    tables, ids = compile_rules(model), signal_ids(model.signals)
    seen = np.zeros(len(model.signals))
    for name, value in signals.items():
        seen[ids[name.replace("_", " ")]] = value
    (response,) = np.flatnonzero(tables.behaviour == behaviour_ids(model.behaviours)[behaviour])
    return respond(tables, int(response), seen)


def test_one_rule_is_a_hill_curve_between_base_and_saturation(sample):
    model = sample(rules="tumour,oxygen,increases,cycle entry,0.003,21.5,4,0")
    expected = 0.001 + (0.003 - 0.001) * hill(30, 21.5, 4)
    assert value_of(model, "cycle entry", oxygen=30) == pytest.approx(expected, rel=1e-14)
    assert value_of(model, "cycle entry", oxygen=0) == 0.001
    assert value_of(model, "cycle entry", oxygen=-5) == 0.001
    assert value_of(model, "cycle entry", oxygen=1e300) == pytest.approx(0.003)


def test_down_rules_act_on_what_up_rules_made(sample):
    model = sample(
        rules="tumour,pressure,decreases,cycle entry,0,1,4,0\ntumour,oxygen,increases,cycle entry,0.003,21.5,4,0"
    )
    up = 0.001 + 0.002 * hill(25, 21.5, 4)
    assert value_of(model, "cycle entry", oxygen=25, pressure=0.8) == pytest.approx(
        up * (1 - hill(0.8, 1, 4)), rel=1e-14
    )


def test_two_up_rules_of_one_saturation_are_the_multivariate_hill_response(sample):
    model = sample(rules="tumour,oxygen,increases,apoptosis,0.9,5,2,0\ntumour,virus,increases,apoptosis,0.9,2,3,0")
    s = (4 / 5) ** 2 + (3 / 2) ** 3
    assert value_of(model, "apoptosis", oxygen=4, virus=3) == pytest.approx(
        1e-4 + (0.9 - 1e-4) * s / (1 + s), rel=1e-14
    )


UNEQUAL = "tumour,oxygen,increases,apoptosis,0.9,5,2,0\ntumour,virus,increases,apoptosis,0.1,2,3,0"


def test_unequal_saturations_are_each_reached_alone(sample):
    model = sample(rules=UNEQUAL)
    assert value_of(model, "apoptosis", oxygen=1e6) == pytest.approx(0.9)
    assert value_of(model, "apoptosis", virus=1e6) == pytest.approx(0.1, rel=1e-6)
    exact = sample(rules=UNEQUAL, compatibility=PHYSICELL)
    assert value_of(exact, "apoptosis", virus=1e6) == pytest.approx(0.9)


UP = "tumour,oxygen,increases,cycle entry,{},5,2,0\ntumour,virus,increases,cycle entry,{},2,3,0\n"
DOWN = "tumour,pressure,decreases,cycle entry,{},1,4,0\ntumour,volume,decreases,cycle entry,{},900,2,0"


@pytest.mark.parametrize("seed", range(20))
def test_responses_stay_between_base_and_saturations_and_modes_agree_on_equal_ones(sample, seed):
    chance = np.random.default_rng(seed)
    base = 0.001
    high, higher, low, lower = chance.uniform(0.001, 0.1, 2).tolist() + chance.uniform(0, 0.001, 2).tolist()
    signals = dict(zip(("oxygen", "virus", "pressure", "volume"), 10 ** chance.uniform(-3, 3, 4), strict=True))
    unequal = sample(rules=UP.format(high, higher) + DOWN.format(low, lower))
    assert min(low, lower) <= value_of(unequal, "cycle entry", **signals) <= max(high, higher)
    rules = UP.format(high, high) + DOWN.format(low, low)
    one, other = sample(rules=rules), sample(rules=rules, compatibility=PHYSICELL)
    assert value_of(one, "cycle entry", **signals) == value_of(other, "cycle entry", **signals)
    up = (signals["oxygen"] / 5) ** 2 + (signals["virus"] / 2) ** 3
    down = signals["pressure"] ** 4 + (signals["volume"] / 900) ** 2
    raised = base + (high - base) * up / (1 + up)
    assert value_of(one, "cycle entry", **signals) == pytest.approx(
        raised + (low - raised) * down / (1 + down), rel=1e-12
    )


def test_rules_for_the_dead(sample):
    rules = (
        "tumour,dead,increases,virus export,5,0.5,10,1\ntumour,oxygen,increases,virus export,9,1,2,0\n"
        "tumour,oxygen,increases,migration speed,9,1,2,0"
    )
    model = sample(rules=rules)
    tables, seen = compile_rules(model), np.zeros(len(model.signals))
    for name, value in {"dead": 1.0, "oxygen": 50.0}.items():
        seen[signal_ids(model.signals)[name]] = value
    (export,) = np.flatnonzero(tables.behaviour_kind == BehaviourKind.EXPORT)
    assert respond(tables, int(export), seen, dead=True) == pytest.approx(5 * hill(1, 0.5, 10), rel=1e-14)
    assert respond(tables, int(export), seen, dead=False) > 5
    names = [model.behaviours[b].name for b in tables.behaviour]
    assert dict(zip(names, tables.changes_dead.tolist(), strict=True)) == {
        "virus export": True,
        "migration speed": False,
    }


def test_tables_are_grouped_by_type_and_name_kinds(sample):
    rules = (
        "T cell,oxygen,increases,apoptosis,1,5,4,0\n"
        + UNEQUAL
        + "\ntumour,contact with T cell,decreases,apoptosis,0,1,1,0"
    )
    model = sample(rules=rules)
    tables = compile_rules(model)
    assert tables.first_response.tolist() == [0, 1, 1, 2]
    assert tables.first_term.tolist() == [0, 3, 4]
    assert tables.increases.tolist() == [True, True, False, True]
    assert tables.behaviour_kind.tolist() == [BehaviourKind.APOPTOSIS] * 2
    assert (tables.signal_kind[2], tables.signal_index[2]) == (SignalKind.CONTACT, 2)
    assert tables.base_value.tolist() == [1e-4, 1e-4]


@pytest.mark.parametrize("rules", ["//", ""])
def test_a_model_without_rules_has_empty_tables(sample, rules):
    tables = compile_rules(sample(rules=rules))
    assert tables.first_response.tolist() == [0, 0, 0, 0]
    assert tables.first_term.tolist() == [0]
    assert tables.behaviour.size == tables.signal.size == 0


def test_a_custom_variable_that_a_rule_sets_is_seen_by_the_next(sample):
    rules = "tumour,oxygen,increases,custom:GFP,8,1,1,0\ntumour,custom:GFP,increases,apoptosis,1,5,1,0"
    model = sample(rules=rules)
    signals, values = np.zeros((1, len(model.signals))), behaviour_values(model)[[0]]
    signals[0, signal_ids(model.signals)["oxygen"]] = 1.0
    apply_rules(compile_rules(model), np.array([0]), signals, values, dead=np.array([False]))
    green = 2 + (8 - 2) * 0.5
    ids = behaviour_ids(model.behaviours)
    assert values[0, ids["custom:GFP"]] == green
    assert values[0, ids["apoptosis"]] == pytest.approx(1e-4 + (1 - 1e-4) * hill(green, 5, 1))


@pytest.fixture(scope="module")
def physicell():
    """Return PhysiCell's own rows of g6_units by cell and time."""
    if not UNITS.exists():
        pytest.skip(f"no PhysiCell reference data in {UNITS}")
    with (UNITS / "cells_over_time.csv").open() as stream:
        return {(int(r["cell_id"]), float(r["time_min"])): r for r in csv.DictReader(stream)}


# behaviour, its column, the signals and the columns that hold them at the step before
WATCHED = {
    "multi": [("cell-cell adhesion elastic constant", "attachment_elastic_constant", {"volume": "total_volume"}),
              ("damage repair rate", "damage_repair_rate", {"time": "time_min"})],
    "damaged": [("migration speed", "migration_speed", {"damage": "damage"})],
    "victim": [("migration speed", "migration_speed", {"damage": "damage"}),
               ("migration persistence time", "persistence_time", {"total attack time": "total_attack_time"})],
    "attacker": [("migration persistence time", "persistence_time",
                  {"damage delivered": "attack_total_damage_delivered"})],
    "apo": [("migration persistence time", "persistence_time", {"volume": "total_volume"})],
    "nec": [("migration persistence time", "persistence_time", {"volume": "total_volume"})],
}  # fmt: skip


def test_physicell_gives_the_same_behaviours(physicell):
    model = load_agents(UNITS / "PhysiCell_settings.xml", compatibility=PHYSICELL)
    tables, ids = compile_rules(model), signal_ids(model.signals)
    by_name = behaviour_ids(model.behaviours)
    types = {t.name: t.id for t in model.cell_types}
    compared = 0
    for (cell, time), row in physicell.items():
        before = physicell.get((cell, time - 6))
        if before is None:
            continue
        for behaviour, column, sources in WATCHED.get(row["cell_type"], ()):
            signals = np.zeros(len(model.signals))
            for name, source in sources.items():
                signals[ids[name]] = float(before[source])
            own = range(*tables.first_response[types[row["cell_type"]] :][:2])
            (response,) = (r for r in own if tables.behaviour[r] == by_name[behaviour])
            value = respond(tables, response, signals, dead=before["dead"] != "0")
            assert value == pytest.approx(float(row[column]), rel=1e-8), (row["cell_type"], time, behaviour)
            compared += 1
    assert compared > 100


def test_physicell_shares_saturations(physicell):
    """The cell in the boundary voxel sees A = 2, B = 0.6 and C = 5 at every step."""
    model = load_agents(UNITS / "PhysiCell_settings.xml", compatibility=PHYSICELL)
    tables, ids = compile_rules(model), signal_ids(model.signals)
    signals = np.zeros(len(model.signals))
    for name, value in {"A": 2.0, "B": 0.6, "C": 5.0, "custom:sample": 1.0}.items():
        signals[ids[name]] = value
    row = next(r for (_, t), r in physicell.items() if t == 6 and r["cell_type"] == "multi" and r["x"] == "-110.0000")
    columns = {
        "migration speed": "migration_speed",
        "migration bias": "migration_bias",
        "attack duration": "attack_duration",
    }
    for response in range(*tables.first_response[model.cells.types[int(row["cell_id"])] :][:2]):
        column = columns.get(model.behaviours[tables.behaviour[response]].name)
        if column:
            assert respond(tables, response, signals) == pytest.approx(float(row[column]), rel=1e-8)
