"""Check that every arm and value of a scenario suits its agent model, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atmpsim.agents.face import TIME_UNITS
from atmpsim.agents.spec import AgentModel
from atmpsim.scenario.agent_doses import set_up, set_values
from atmpsim.scenario.agent_inputs import check_options
from atmpsim.scenario.swept import swept_values

if TYPE_CHECKING:
    from atmpsim.scenario.table import RunTable


def check_agents(table: RunTable, model: AgentModel, *, where: str) -> None:
    """Raise unless every arm's doses, and every value that it or the sweep gives, suit the agent model.

    Raises
    ------
    InputError
        Naming what does not.
    """
    check_options(table.scenario, model, table.times, where=where)
    minutes = TIME_UNITS[table.model.time_unit]
    for run in table.runs:
        set_up(model, run.given, run.schedule, minutes=minutes, seed=0, where=f"{where} arm '{run.arm}'")
    for name, values in swept_values(table.sweep, table.model, where=f"{where} [sweep]").items():
        for value in (values.min(), values.max()):
            set_values(model, {name: float(value)}, seed=0, where=f"{where} [sweep]")
