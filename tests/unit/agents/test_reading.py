"""What settings, rules and cells say arrives in the model; what they leave out is PhysiCell's default."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from atmpsim.agents.behaviours import BehaviourKind, behaviour_ids
from atmpsim.agents.cycles import CYCLE_MODELS
from atmpsim.agents.differences import warnings
from atmpsim.agents.physicell import load_agents
from atmpsim.agents.signals import SignalKind, signal_ids
from atmpsim.agents.spec import APOPTOSIS, NECROSIS, PHYSICELL
from atmpsim.agents.values import behaviour_values, varying_behaviours

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "physicell-reference"
SETTINGS = sorted(REFERENCE.glob("**/PhysiCell_settings.xml"))
NOTHING = pytest.param(None, marks=pytest.mark.skip(reason=f"no PhysiCell reference data in {REFERENCE}"))


def test_domain_steps_and_options(sample):
    model = sample()
    assert model.domain.lower == (-100, -60, -10)
    assert model.domain.upper == (100, 60, 10)
    assert model.domain.shape == (10, 6, 1)
    assert model.domain.voxel_volume == 8000
    assert (model.steps.end, model.steps.diffusion, model.steps.mechanics, model.steps.phenotype) == (120, 0.01, 0.1, 6)
    assert model.steps.save_every == 30
    assert model.options.virtual_wall
    assert model.options.track_internalised
    assert model.options.seed == 4


def test_depth_of_two_dimensions_is_one_voxel(sample):
    model = sample(("<z_min>-10</z_min><z_max>10</z_max>", "<z_min>-500</z_min><z_max>500</z_max>"))
    assert (model.domain.lower[2], model.domain.upper[2]) == (-10, 10)


def test_substrates_and_their_boundaries(sample):
    oxygen, virus = sample().substrates
    assert (oxygen.name, oxygen.unit, oxygen.diffusion, oxygen.decay, oxygen.initial) == (
        "oxygen",
        "mmHg",
        1e5,
        0.1,
        38,
    )
    assert oxygen.boundary == (38, 38, 38, 20, None, None)
    assert virus.boundary == (None,) * 6


def test_boundary_values_without_the_main_switch(sample):
    change = (
        '<Dirichlet_boundary_condition units="mmHg" enabled="true">',
        '<Dirichlet_boundary_condition enabled="false">',
    )
    written = sample(change)
    assert written.substrates[0].boundary == (None, None, None, 20, None, None)
    assert any("boundary values" in note for note in warnings(written))
    assert sample(change, compatibility=PHYSICELL).substrates[0].boundary == (None,) * 6


def test_phenotype_of_a_definition(sample):
    tumour = sample().cell_types[0]
    assert tumour.cycle.model is CYCLE_MODELS[5]
    assert tumour.cycle.rates == (0.001,)
    assert tumour.apoptosis.rate == 1e-4
    assert tumour.apoptosis.phase_rates == pytest.approx((1 / 500,))
    assert tumour.apoptosis.unlysed_fluid_rate == APOPTOSIS.unlysed_fluid_rate
    assert tumour.necrosis == NECROSIS
    assert (tumour.volume.total, tumour.volume.nuclear, tumour.volume.fluid_fraction) == (2000, 500, 0.75)
    assert tumour.mechanics.adhesion == 0.3
    assert tumour.mechanics.repulsion == 10
    assert tumour.motility.two_dimensional  # the domain is flat, whatever the cell says
    assert tumour.secretion.uptake == (10, 0)
    assert tumour.interactions.attack == (0, 0, 0.5)
    assert tumour.interactions.attack_duration == 12
    assert tumour.custom == (2,)


def test_a_child_of_a_named_parent_is_its_copy(sample):
    tumour, infected, _ = sample().cell_types
    assert infected.parent == "tumour"
    assert (infected.motility, infected.interactions, infected.secretion) == (
        tumour.motility, tumour.interactions, tumour.secretion,
    )  # fmt: skip


def test_a_type_without_parent_inherits_the_body_but_not_the_actions_of_the_default(sample):
    tumour, _, other = sample().cell_types
    assert (other.cycle, other.volume, other.mechanics) == (tumour.cycle, tumour.volume, tumour.mechanics)
    assert other.apoptosis == tumour.apoptosis
    assert not other.motility.enabled
    assert other.motility.speed == 4
    assert other.secretion.uptake == (0, 0)
    assert other.interactions.attack == (0, 0, 0)
    assert other.interactions.attack_duration == 12
    assert other.interactions.attack_damage_rate == 1


def test_legacy_copy_inherits_the_actions_too(sample):
    model = sample(
        ("<options><virtual", "<options><legacy_cell_defaults_copy>true</legacy_cell_defaults_copy><virtual")
    )
    assert model.cell_types[2].secretion.uptake == (10, 0)


def test_left_out_attack_damage_is_inherited_here_and_zero_in_physicell(sample):
    assert sample().cell_types[0].interactions.attack_damage_rate == 1
    assert any("attack damage rate is not given" in note for note in warnings(sample()))
    assert sample(compatibility=PHYSICELL).cell_types[0].interactions.attack_damage_rate == 0


def test_cycle_chosen_by_name(sample):
    change = (
        ('<cycle code="5" name="live">', '<cycle name="Ki67 (basic)">'),
        ("<rate start_index", "<!-- <rate start_index"),
    )
    end = ("0.001</rate>", "0.001</rate> -->")
    written, exact = sample(*change, end), sample(*change, end, compatibility=PHYSICELL)
    assert written.cell_types[0].cycle.model is CYCLE_MODELS[1]
    assert written.cell_types[0].cycle.rates == pytest.approx((1 / (4.59 * 60), 1 / (15.5 * 60)))
    assert written.cell_types[0].cycle.fixed == (False, True)
    assert exact.cell_types[0].cycle.model is CYCLE_MODELS[5]


def test_durations_win_over_rates(sample):
    both = '<phase_durations><duration index="0" fixed_duration="true">50</duration></phase_durations></cycle>'
    cycle = sample(("</cycle>", both)).cell_types[0].cycle
    assert cycle.rates == pytest.approx((1 / 50,))
    assert cycle.fixed == (True,)


def test_death_phases_belong_to_a_type_here_and_to_all_in_physicell(sample):
    death = (
        '<death><model code="100" name="apoptosis"><phase_durations><duration index="0">100</duration>'
        "</phase_durations></model></death>"
    )
    change = (
        '<phenotype><motility><speed units="micron/min">4',
        f'<phenotype>{death}<motility><speed units="micron/min">4',
    )
    written, exact = sample(change), sample(change, compatibility=PHYSICELL)
    assert [t.apoptosis.phase_rates[0] for t in written.cell_types] == pytest.approx([1 / 500, 1 / 500, 1 / 100])
    assert [t.apoptosis.phase_rates[0] for t in exact.cell_types] == pytest.approx([1 / 100] * 3)
    assert not any(t.apoptosis.phase_fixed[0] for t in exact.cell_types)
    assert any("phases of apoptosis" in note for note in warnings(written))


NECROSIS_ALONE = ("</death>", '<model code="101" name="necrosis"><death_rate>0.1</death_rate></model></death>')


def test_death_parameters_that_the_default_type_leaves_out(sample):
    written, exact = sample(NECROSIS_ALONE), sample(NECROSIS_ALONE, compatibility=PHYSICELL)
    assert written.cell_types[0].necrosis.unlysed_fluid_rate == NECROSIS.unlysed_fluid_rate
    assert any("of necrosis are the usual ones" in note for note in warnings(written))
    assert exact.cell_types[0].necrosis.unlysed_fluid_rate == APOPTOSIS.unlysed_fluid_rate
    assert exact.cell_types[0].necrosis.calcification_rate == 0
    assert exact.cell_types[2].necrosis == exact.cell_types[0].necrosis  # inherited


def test_physicell_passes_over_types_it_does_not_know(sample):
    change = ('<attack_rate name="T cell"', '<attack_rate name="default"')
    exact = sample(change, compatibility=PHYSICELL)
    assert exact.cell_types[0].interactions.attack == (0, 0, 0)
    assert any("'default' is not in this model" in note for note in exact.notes)


def test_equilibrium_distance_balances_adhesion_and_repulsion(sample):
    option = (
        '<options><set_relative_equilibrium_distance enabled="true">1.8</set_relative_equilibrium_distance></options>'
        "</mechanics>"
    )
    mechanics = sample(("</mechanics>", option)).cell_types[0].mechanics
    reach, distance = mechanics.adhesion_distance * 2, 1.8
    pull, push = mechanics.adhesion * (1 - distance / reach) ** 2, mechanics.repulsion * (1 - distance / 2) ** 2
    assert pull == pytest.approx(push)


def test_cells_of_both_layouts(sample):
    model = sample()
    entry = behaviour_ids(model.behaviours)["cycle entry"]
    assert model.cells.behaviours == (entry,)
    np.testing.assert_array_equal(model.cells.positions, [[0, 0, 0], [20, 0, 0]])
    np.testing.assert_array_equal(model.cells.types, [0, 2])
    np.testing.assert_array_equal(model.cells.volumes, [1500, math.nan])
    np.testing.assert_array_equal(model.cells.values[:, 0], [math.nan, 0.5])
    first = sample(cells="0,0,0,0\n10.5,-3,0,2\n")
    np.testing.assert_array_equal(first.cells.types, [0, 2])
    np.testing.assert_array_equal(first.cells.positions[1], [10.5, -3, 0])
    assert varying_behaviours(model) == (entry,)


def test_digest_changes_with_every_file_and_the_compatibility(sample):
    digests = {
        sample().digest, sample(cells="0,0,0,0\n").digest, sample(rules="//\n").digest,
        sample((">2000<", ">2001<")).digest, sample(compatibility=PHYSICELL).digest,
    }  # fmt: skip
    assert len(digests) == 5
    assert sample().digest in digests


def test_number_of_cells_and_seed_are_user_parameters(sample):
    parameters = (
        '<number_of_cells type="int">5</number_of_cells><random_seed type="int">9</random_seed>'
        '<kill type="double">0.5</kill><line type="divider"/>'
    )
    model = sample(("<user_parameters/>", f"<user_parameters>{parameters}</user_parameters>"))
    assert model.cells.random_per_type == 5
    assert model.options.seed == 9
    assert model.user_parameters["kill"] == 0.5
    assert any("kill" in note and "C++" in note for note in warnings(model))


def test_project_layout_with_files_named_from_above_the_settings(tmp_path, sample):
    sample()  # writes the three files
    (tmp_path / "config").mkdir()
    for name in ("rules.csv", "cells.csv"):
        (tmp_path / name).rename(tmp_path / "config" / name)
    text = (tmp_path / "model.xml").read_text().replace("<folder>.</folder>", "<folder>./config</folder>")
    (tmp_path / "config" / "PhysiCell_settings.xml").write_text(text)
    model = load_agents(tmp_path / "config" / "PhysiCell_settings.xml")
    assert len(model.rules) == 1
    assert sorted(model.text) == ["PhysiCell_settings.xml", "cells.csv", "rules.csv"]


@pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        ("Uniform", "<min>1</min><max>5</max>", ((1, 5), 1, 5)),
        ("loguniform", "<min>1</min><max>5</max>", ((1, 5), 1, 5)),
        ("Normal", "<mu>4</mu><sigma>1</sigma><lower_bound>0</lower_bound>", ((4, 1), 0, math.inf)),
        ("LogNormal", "<mu>1</mu><sigma>1</sigma><upper_bound>9</upper_bound>", ((1, 1), 0, 9)),
    ],
)
def test_distributions(sample, kind, parameters, expected):
    block = (
        f'<initial_parameter_distributions><distribution type="{kind}"><behavior>migration speed</behavior>{parameters}'
        "</distribution></initial_parameter_distributions></cell_definition>\n</cell_definitions>"
    )
    model = sample(("</cell_definition>\n</cell_definitions>", block))
    (found,) = model.cell_types[2].distributions
    assert found.kind.lower() == kind.lower()
    assert (found.parameters, found.lower, found.upper) == expected
    assert found.behaviour == behaviour_ids(model.behaviours)["migration speed"]


def test_every_behaviour_has_a_value_in_every_type_and_every_name_is_unique(sample):
    model = sample()
    values = behaviour_values(model)
    phases = [b.id for b in model.behaviours if b.kind is BehaviourKind.PHASE_EXIT and b.index > 0]
    assert {b.kind for b in model.behaviours} == set(BehaviourKind)
    assert {s.kind for s in model.signals} == set(SignalKind)
    assert np.isnan(values[:, phases]).all()
    assert np.isfinite(np.delete(values, phases, axis=1)).all()
    assert len(behaviour_ids(model.behaviours)) == sum(1 + len(b.synonyms) for b in model.behaviours)
    assert len(signal_ids(model.signals)) == sum(1 + len(s.synonyms) for s in model.signals)
    by_name = behaviour_ids(model.behaviours)
    assert values[0, by_name["oxygen uptake"]] == 10
    assert values[0, by_name["attack cell type 2"]] == 0.5
    assert values[2, by_name["immunogenicity to tumour"]] == 1


def test_per_type_gives_arrays_and_fills_unequal_phases(sample):
    model = sample(
        ('<phenotype><motility><speed units="micron/min">4', '<phenotype><cycle code="6"/><motility><speed>4')
    )
    assert model.per_type("volume.total").tolist() == [2000, 2000, 2000]
    assert model.per_type("mechanics.affinities").shape == (3, 3)
    rates = model.per_type("cycle.rates")
    assert rates.shape == (3, 4)
    assert np.isnan(rates[0, 1:]).all()
    assert rates[2].tolist() == list(CYCLE_MODELS[6].rates)


@pytest.mark.parametrize("compatibility", ["", PHYSICELL])
@pytest.mark.parametrize("path", SETTINGS or [NOTHING], ids=lambda p: p.parent.name if p else "none")
def test_every_reference_model_is_read(path, compatibility):
    model = load_agents(path, compatibility=compatibility)
    lines = [row for row in (path.parent / "cells.csv").read_text().splitlines() if row.strip()]
    rules = [row for row in (path.parent / "rules.csv").read_text().splitlines() if row.strip()[:2] not in ("", "//")]
    assert len(model.cells.types) == len(lines) - 1
    assert len(model.rules) == len(rules)
    known = set(model.notes)
    assert known <= set(warnings(model))


def test_artefacts_that_a_file_would_meet_are_listed(sample):
    rules = "tumour,oxygen,increases,transform to T cell,0.1,5,4,0\ntumour,oxygen,increases,migration speed,1,5,4,0\n"
    said = " ".join(warnings(sample(rules=rules)))
    for word in ("division", "transformed", "neighbour", "a speed set by a rule", "implicit"):
        assert word in said
    assert "faces meet" not in said
    exact = warnings(sample(rules=rules, compatibility=PHYSICELL))
    assert [text.split(";")[0] for text in exact] == ["every neighbour is found"]


def test_a_face_that_holds_one_substrate_and_releases_another(sample):
    block = (
        "<physical_parameter_set/><Dirichlet_options><boundary_value ID='xmin' enabled='true'>1</boundary_value>"
        "</Dirichlet_options>"
    )
    change = ('<variable name="virus" units="1/micron^3" ID="1"/>', f'<variable name="virus" ID="1">{block}</variable>')
    assert any("faces meet" in text for text in warnings(sample(change)))
