"""What a scenario may change in an agent model: every number, the first cells, the part of the domain."""

from dataclasses import replace

import numpy as np
import pytest

from atmpsim.agents.composition import windowed, with_start
from atmpsim.agents.face import face, first_counts
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.settable import settables, with_values, words
from atmpsim.errors import ModelError
from atmpsim.resources import shipped_agent_models

MODELS = sorted(shipped_agent_models())


@pytest.mark.parametrize("name", MODELS)
def test_every_number_can_be_set_and_nothing_else_changes_with_it(name):
    model = load_agents(name)
    known = settables(model)
    for key, one in list(known.items())[:: max(len(known) // 60, 1)]:
        value = 1.0 - one.value if key.endswith("is_movable") else float(round(one.value) + 3)
        changed = {k: s.value for k, s in settables(with_values(model, {key: value}, where="here")).items()}
        assert changed == {k: s.value for k, s in known.items()} | {key: value}


def test_numbers_of_the_files_stand_where_the_files_have_them():
    read = {k: s.value for k, s in settables(load_agents("celyvir_tumour")).items()}
    assert read["virus.diffusion"] == 600
    assert read["virus.decay"] == 0.00417
    assert read["lysing_tumour.virus_export"] == 33.3333333333
    assert read["T_cell.migration_speed"] == 6
    assert read["T_cell.recruitment_half_max"] == 1
    assert read["tumour.infection_probability"] == 0.05
    assert read["carrier.clock_mean"] == 3600
    assert read["rule_1.half_max"] == 99
    assert read["rule_1.saturation"] == 0.0416667


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_rate_below_zero_or_not_finite_is_refused(value):
    with pytest.raises(ModelError, match=r"here virus\.decay: found .* expected a number of at least 0"):
        with_values(load_agents("virus_plaque"), {"virus.decay": value}, where="here")


def test_what_may_be_negative_may():
    model = with_values(load_agents("celyvir_tumour"), {"tumour.virus_export": -2.0}, where="here")
    assert model.cell_types[0].secretion.export[0] == -2.0


def test_units_of_densities_and_amounts():
    seen = face(load_agents("celyvir_tumour"))
    assert seen.species["virus"].unit == "vp"
    assert seen.parameters["lysing_tumour.virus_export"].unit == "vp/min"
    assert seen.species["interferon"].unit == "um^3"
    assert face(load_agents("tumour_growth")).parameters["oxygen.xmin"].unit == "mmHg"
    assert seen.caution == "prior predictive: not evidence of effect"


def test_two_names_that_make_one_word_get_a_number():
    model = load_agents("virus_plaque")
    kinds = (replace(model.cell_types[0], name="a b"), replace(model.cell_types[1], name="a-b"))
    assert words(replace(model, cell_types=kinds)) == (("a_b", "a_b_2"), ("virus",))


def test_cells_of_one_type_take_the_places_of_another():
    model = load_agents("celyvir_tumour")
    before = {tuple(p) for p in model.cells.positions}
    changed = with_start(model, {"tumour": 3851 + 1024.0, "stroma": 0.0}, seed=3, where="here")
    assert first_counts(changed)[[0, 4]].tolist() == [4875, 0]
    assert {tuple(p) for p in changed.cells.positions} == before
    others = model.cells.types == 6  # macrophages stay where they are
    np.testing.assert_array_equal(changed.cells.types[others], 6)


@pytest.mark.parametrize(("wanted", "more"), [(100.0, False), (4000.0, True)])
def test_fewer_and_more_cells_than_the_list(wanted, more):
    model = load_agents("celyvir_tumour")
    cells = with_start(model, {"tumour": wanted}, seed=1, where="here").cells
    assert np.count_nonzero(cells.types == 0) == wanted
    assert np.all((cells.positions >= model.domain.lower) & (cells.positions <= model.domain.upper))
    kept = {tuple(p) for p in cells.positions} & {tuple(p) for p in model.cells.positions}
    assert len(kept) == len(model.cells.types) if more else len(kept) == len(cells.types)


def test_the_places_depend_on_the_seed_alone():
    first, again, other = (
        with_start(load_agents("celyvir_tumour"), {"tumour": 100.0}, seed=s, where="here").cells.positions
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_amount_at_the_start_is_spread_over_the_domain():
    model = load_agents("virus_plaque")
    density = with_start(model, {"virus": 8e7}, seed=0, where="here").substrates[0].initial
    assert density == pytest.approx(8e7 / (2000 * 2000 * 20))


@pytest.mark.parametrize("count", [0.5, -1.0])
def test_half_a_cell_is_refused(count):
    with pytest.raises(ModelError, match="whole number of cells"):
        with_start(load_agents("celyvir_tumour"), {"tumour": count}, seed=0, where="here")


def test_a_window_is_the_middle_in_whole_voxels():
    model = load_agents("celyvir_tumour")
    small = windowed(model, [310.0, 200.0], where="here")
    assert small.domain.lower[:2] == (-160, -100)
    assert small.domain.upper[:2] == (160, 100)
    assert small.domain.shape == (16, 10, 1)
    inside = np.all(np.abs(model.cells.positions[:, :2]) <= [160, 100], axis=1)
    np.testing.assert_array_equal(small.cells.positions, model.cells.positions[inside])


@pytest.mark.parametrize("size", [[0.0, 100.0], [2000.0, 100.0]])
def test_a_window_that_does_not_fit_is_refused(size):
    with pytest.raises(ModelError, match="expected more than 0 and at most 1000 um"):
        windowed(load_agents("celyvir_tumour"), size, where="here")
