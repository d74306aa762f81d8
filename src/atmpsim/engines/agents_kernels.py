"""The compiled kernels of the agent engine: where they are missing a process of its own makes them.

Every run then loads them from the cache. Measured: in the process that compiled them the same kernels round a few sums
otherwise, so that the first run after an installation differed from all later ones in the last digits.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from atmpsim.kernels.compiling import COMPILES, cache_folder

_MAKE = "from atmpsim.engines.agents_kernels import make; make()"
_MAKING = "ATMPSIM_MAKES_KERNELS"
# cells that divide, a virus in a field, bursts: enough to come by every kernel
_SETTINGS = """\
<PhysiCell_settings>
  <domain><x_min>-60</x_min><x_max>60</x_max><y_min>-60</y_min><y_max>60</y_max><use_2D>true</use_2D></domain>
  <overall><max_time units="min">12</max_time></overall>
  <save><full_data><interval units="min">12</interval></full_data></save>
  <microenvironment_setup>
    <variable name="virus" units="vp/micron^3">
      <physical_parameter_set>
        <diffusion_coefficient units="micron^2/min">300</diffusion_coefficient>
        <decay_rate units="1/min">0.01</decay_rate>
      </physical_parameter_set>
      <initial_condition units="vp/micron^3">0.001</initial_condition>
    </variable>
    <options><track_internalized_substrates_in_each_agent>true</track_internalized_substrates_in_each_agent></options>
  </microenvironment_setup>
  <cell_definitions>
    <cell_definition name="cell" ID="0">
      <phenotype>
        <cycle code="5" name="live">
          <phase_transition_rates units="1/min">
            <rate start_index="0" end_index="0" fixed_duration="false">1</rate>
          </phase_transition_rates>
        </cycle>
        <secretion><substrate name="virus"><uptake_rate units="1/min">0.02</uptake_rate></substrate></secretion>
      </phenotype>
    </cell_definition>
    <cell_definition name="infected cell" ID="1" parent_type="cell"/>
  </cell_definitions>
  <initial_conditions>
    <cell_positions type="csv" enabled="true"><folder>.</folder><filename>cells.csv</filename></cell_positions>
  </initial_conditions>
  <atmpsim:extension xmlns:atmpsim="urn:atmpsim:agents:1">
    <atmpsim:infection cell_type="cell" substrate="virus" becomes="infected cell">
      <atmpsim:probability>0.02</atmpsim:probability>
    </atmpsim:infection>
    <atmpsim:clock cell_type="infected cell">
      <atmpsim:stages>1</atmpsim:stages><atmpsim:mean units="min">60</atmpsim:mean>
    </atmpsim:clock>
    <atmpsim:burst cell_type="infected cell" substrate="virus" size="fixed">
      <atmpsim:amount>500</atmpsim:amount>
    </atmpsim:burst>
  </atmpsim:extension>
</PhysiCell_settings>
"""
_CELLS = "x,y,z,type\n-20,0,0,cell\n20,0,0,cell\n0,20,0,cell\n"


def require() -> None:
    """See that the kernels are in the cache; making them takes a minute or two, once for each version."""
    if not COMPILES or os.environ.get(_MAKING) or _marker().exists():
        return
    # where this fails, the kernels are compiled as they are called, and whatever is wrong shows there
    subprocess.run([sys.executable, "-P", "-c", _MAKE], env={**os.environ, _MAKING: "1"}, capture_output=True)


def make() -> None:
    """Compile every kernel into the cache, by running a small model in both schemes."""
    from atmpsim.agents.physicell import load_agents
    from atmpsim.engines.agents import simulate_agents

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cells.csv").write_text(_CELLS)
        settings = Path(folder, "settings.xml")
        settings.write_text(_SETTINGS)
        for compatibility, fields in (("", "implicit"), ("physicell-1.14", "physicell")):
            simulate_agents(load_agents(settings, compatibility=compatibility), fields=fields)
    _marker().touch()


def _marker() -> Path:
    return cache_folder() / "agents-made"
