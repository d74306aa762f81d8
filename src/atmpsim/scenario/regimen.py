"""Doses of a scenario in the model's units: `[[dose]]` tables, and the rows of a `[dosing]` table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from atmpsim.agents.spec import AgentModel
from atmpsim.errors import ScenarioError
from atmpsim.model.equations import Equations
from atmpsim.model.spec import Model
from atmpsim.scenario.agent_doses import dose_site
from atmpsim.scenario.amounts import parse_amount
from atmpsim.scenario.convert import check_text, dose_in_model_units, in_model_units, is_bare, no_unit, state_unit
from atmpsim.scenario.dosing import Dose
from atmpsim.scenario.nonmem import DosingTable, read_dosing_table
from atmpsim.scenario.product import product_dose, read_product
from atmpsim.scenario.reader import Inputs, dose_name
from atmpsim.scenario.schema import DoseTable, ScenarioFile
from atmpsim.units import parse_quantity, parse_unit

DEFAULT_SUBJECT = "1"


def regimen_dose(
    table: DoseTable, number: int, equations: Equations, weight: float | None, where: str, *,
    agents: AgentModel | None = None,
) -> tuple[Dose, tuple[float, float] | None]:  # fmt: skip
    """Return a dose in the model's units, and its amount per kg with the cap if it is one per body weight."""
    model, name = equations.model, dose_name(table.name, number)
    place = f"{where} dose '{name}'"
    unit = state_unit(table.into, model=model, states=equations.dosable, where=f"{place} into")
    amount = _amount(table.amount, unit, weight, typed=model.quantities[table.into].typed, where=f"{place} amount")
    texts = {k: getattr(table, k) for k in ("time", "duration", "rate", "every", "lag", "bioavailability")}
    texts = {k: v for k, v in texts.items() if v is not None}
    if table.every is not None and table.count is None:
        raise ScenarioError(where=place, found="every without count", expected="both",
                            remedy="Give count, the number of doses, or leave every out.")  # fmt: skip
    if table.count == 1:  # an arm may cut a series to one dose; its interval is then without meaning
        texts.pop("every", None)
    site = dose_site(table, agents, where=place)
    dose = Dose(into=table.into, amount=amount, count=1 if table.count is None else table.count, name=name, site=site,
                **texts)  # fmt: skip
    made = dose_in_model_units(dose, model=model, states=equations.dosable, where=place)
    for key, text in texts.items():  # in the user's words; the schedule knows numbers in the model's units only
        value, positive = getattr(made, key), key in ("duration", "rate", "every")
        if value < 0 or (positive and value == 0):
            raise ScenarioError(where=f"{place} {key}", found=f"'{text}'",
                                expected="a value above 0" if positive else "a value of at least 0")  # fmt: skip
    return made, _per_kg(table.amount, unit, where=f"{place} amount")


def product_doses(
    scenario: ScenarioFile, equations: Equations, where: str
) -> tuple[Sequence[DoseTable], tuple[str, ...]]:
    """Return the `[[dose]]` tables in the units of their states as far as the product converts, and what to note."""
    product = read_product(scenario, equations.model, where=where)
    if product is None:
        return scenario.dose, ()
    made, notes = [], []
    for number, table in enumerate(scenario.dose, 1):
        quantity = equations.model.quantity(table.into)
        unit = quantity.unit if quantity is not None and quantity.typed else ""
        dose, converted = product_dose(table, number, product, unit, where) if unit else (table, False)
        made.append(dose)
        if converted:
            notes.append(f"doses: {table.amount} of '{table.name}' is taken as {dose.amount} (typical conversion)")
    if product.vp_per_cell:
        notes.append(f"doses: every cell of the product carries {product.vp_per_cell:g} vp")
    if product.typical() != 1.0:
        notes.append(f"doses: a typical product delivers {product.typical():.3g} of what the label says")
    return made, tuple(notes)


def delivered_doses(doses: Sequence[Dose], scenario: ScenarioFile, model: Model, where: str) -> list[Dose]:
    """Return doses of which only the share enters that a typical product delivers."""
    product = read_product(scenario, model, where=where)
    if product is None:
        return list(doses)
    share = product.typical()
    return [
        replace(dose, bioavailability=dose.bioavailability * share) if dose.name in product.doses else dose
        for dose in doses
    ]


def _per_kg(amount: str | float, unit: str, *, where: str) -> tuple[float, float] | None:
    first, _, cap = str(amount).partition(",")
    if "/" not in first or not is_per_kg(first, target_unit=unit, where=where):
        return None
    limit = (
        parse_amount(cap.strip().removeprefix("max"), weight_kg=None, target_unit=unit, where=where)
        if cap
        else math.inf
    )
    return parse_amount(first, weight_kg=1.0, target_unit=unit, where=where), limit


def is_per_kg(text: str, *, target_unit: str, where: str) -> bool:
    """Return whether a text is an amount per body weight.

    Examples
    --------
    >>> is_per_kg("2e6 cell/kg", target_unit="cell", where="here")
    True
    """
    per = (parse_quantity(text, where=where).units / parse_unit(target_unit, where=where)).dimensionality
    return dict(per) == {"[mass]": -1}


def _amount(amount: str | float, unit: str, weight: float | None, *, typed: bool, where: str) -> float:
    if not typed:
        return float(in_model_units(amount, unit=unit, where=where))
    if not isinstance(amount, str):
        raise no_unit(amount, unit=unit, where=where)
    check_text(amount, where=where)
    first, *caps = (part.strip() for part in amount.split(","))
    for part, place in [(first, where), *((cap.removeprefix("max").strip(), f"{where} max") for cap in caps)]:
        if is_bare(part):
            raise no_unit(part, unit=unit, where=place)
        if part.startswith("-"):
            raise ScenarioError(where=place, found=f"'{part}'", expected="an amount of at least 0")
    return parse_amount(amount, weight_kg=weight, target_unit=unit, where=where)


def dosing_tables(
    scenario: ScenarioFile, inputs: Inputs, equations: Equations, where: str
) -> Mapping[str, DosingTable]:
    """Return the doses of each subject of the `[dosing]` table; one subject without any where there is none."""
    if scenario.dosing is None:
        return {DEFAULT_SUBJECT: DosingTable((), (), (), ())}
    dosing, place = scenario.dosing, f"{where} [dosing]"
    model = equations.model
    time_factor = in_model_units(f"1 {dosing.time_unit}", unit=model.time_unit, where=f"{place} time_unit")
    tables = read_dosing_table(
        inputs.table_text, name=inputs.table_file, states=equations.dosable, ignore=dosing.ignore,
        time_factor=float(time_factor), where=place,
    )  # fmt: skip
    return {
        subject: replace(table, doses=tuple(_table_dose(d, dosing.amount_unit, model, place) for d in table.doses))
        for subject, table in tables.items()
    }


def _table_dose(dose: Dose, unit: str, model: Model, where: str) -> Dose:
    target = model.quantities[dose.into].unit
    factor = float(in_model_units(f"1 {unit}", unit=target, where=f"{where} amount_unit into '{dose.into}'"))
    rate = dose.rate * factor if dose.rate is not None else None
    return replace(dose, amount=dose.amount * factor, rate=rate)
