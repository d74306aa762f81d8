"""A small PhysiCell model as text, and ways to change it: every test of the language starts from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from atmpsim.agents.physicell import load_agents
from atmpsim.agents.spec import AgentModel

SETTINGS = """<PhysiCell_settings version="devel-version">
<domain>
  <x_min>-100</x_min><x_max>100</x_max><y_min>-60</y_min><y_max>60</y_max><z_min>-10</z_min><z_max>10</z_max>
  <dx>20</dx><dy>20</dy><dz>20</dz><use_2D>true</use_2D>
</domain>
<overall>
  <max_time units="min">120</max_time>
  <time_units>min</time_units>
  <space_units>micron</space_units>
  <dt_diffusion units="min">0.01</dt_diffusion>
  <dt_mechanics units="min">0.1</dt_mechanics>
  <dt_phenotype units="min">6</dt_phenotype>
</overall>
<save><full_data><interval units="min">30</interval><enable>true</enable></full_data></save>
<options><virtual_wall_at_domain_edge>true</virtual_wall_at_domain_edge><random_seed>4</random_seed></options>
<microenvironment_setup>
  <variable name="oxygen" units="mmHg" ID="0">
    <physical_parameter_set>
      <diffusion_coefficient units="micron^2/min">100000</diffusion_coefficient>
      <decay_rate units="1/min">0.1</decay_rate>
    </physical_parameter_set>
    <initial_condition units="mmHg">38</initial_condition>
    <Dirichlet_boundary_condition units="mmHg" enabled="true">38</Dirichlet_boundary_condition>
    <Dirichlet_options><boundary_value ID="ymax" enabled="true">20</boundary_value></Dirichlet_options>
  </variable>
  <variable name="virus" units="1/micron^3" ID="1"/>
  <options>
    <track_internalized_substrates_in_each_agent>true</track_internalized_substrates_in_each_agent>
  </options>
</microenvironment_setup>
<cell_definitions>
  <cell_definition name="tumour" ID="0">
    <phenotype>
      <cycle code="5" name="live">
        <phase_transition_rates units="1/min">
          <rate start_index="0" end_index="0" fixed_duration="false">0.001</rate>
        </phase_transition_rates>
      </cycle>
      <death>
        <model code="100" name="apoptosis">
          <death_rate units="1/min">1e-4</death_rate>
          <phase_durations units="min"><duration index="0" fixed_duration="true">500</duration></phase_durations>
        </model>
      </death>
      <volume><total units="micron^3">2000</total><nuclear units="micron^3">500</nuclear></volume>
      <mechanics><cell_cell_adhesion_strength units="micron/min">0.3</cell_cell_adhesion_strength></mechanics>
      <motility><speed units="micron/min">0.2</speed><options><enabled>true</enabled></options></motility>
      <secretion><substrate name="oxygen"><uptake_rate units="1/min">10</uptake_rate></substrate></secretion>
      <cell_interactions>
        <attack_rates><attack_rate name="T cell" units="1/min">0.5</attack_rate></attack_rates>
        <attack_duration units="min">12</attack_duration>
      </cell_interactions>
    </phenotype>
    <custom_data><GFP conserved="true" units="dimensionless">2</GFP></custom_data>
  </cell_definition>
  <cell_definition name="infected tumour" ID="1" parent_type="tumour"/>
  <cell_definition name="T cell" ID="2">
    <phenotype><motility><speed units="micron/min">4</speed></motility></phenotype>
  </cell_definition>
</cell_definitions>
<initial_conditions>
  <cell_positions type="csv" enabled="true"><folder>.</folder><filename>cells.csv</filename></cell_positions>
</initial_conditions>
<cell_rules>
  <rulesets>
    <ruleset protocol="CBHG" version="3.0" format="csv" enabled="true">
      <folder>.</folder><filename>rules.csv</filename>
    </ruleset>
  </rulesets>
</cell_rules>
<user_parameters/>
</PhysiCell_settings>
"""
RULES = "tumour,oxygen,increases,cycle entry,0.003,21.5,4,0\n"
CELLS = "x,y,z,type,volume,cycle entry\n0,0,0,tumour,1500,skip\n20,0,0,T cell,,0.5\n"


@pytest.fixture
def sample(tmp_path: Path) -> Callable[..., AgentModel]:
    """Return a reader of the model with texts of its settings replaced: `sample((old, new), …, rules=, cells=)`."""

    def read(*changes: tuple[str, str], rules: str = RULES, cells: str = CELLS, compatibility: str = "") -> AgentModel:
        text = SETTINGS
        for old, new in changes:
            assert text.count(old) >= 1, f"the sample has no {old!r}"
            text = text.replace(old, new, 1)
        (tmp_path / "rules.csv").write_text(rules, encoding="utf-8")
        (tmp_path / "cells.csv").write_text(cells, encoding="utf-8")
        path = tmp_path / "model.xml"
        path.write_text(text, encoding="utf-8")
        return load_agents(path, compatibility=compatibility)

    return read
