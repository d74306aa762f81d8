"""The scenario file as a strict schema: unknown keys, missing units and sections not built yet are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

QuantityText = Annotated[
    str, Field(description="A number with its unit, such as '36 h' or '0.3 1' (a pure number has the unit 1).")
]
AmountText = Annotated[
    str | float, Field(description="An amount with its unit, per kg and capped if wanted: '2e6 cell/kg, max 2e8 cell'.")
]
Value = Annotated[
    str | float, Field(description="A number with its unit; a bare number only where the model declares no unit.")
]

NOT_BUILT = {
    "product": "typed products",
    "assay": "assays as observation models",
    "regimen": "adaptive regimens",
    "rule": "adaptive rules",
    "endpoint": "clinical endpoints",
    "trial": "virtual trials",
    "fields": "spatial fields",
}
ENGINES = ("ode", "stochastic", "lattice", "agents", "hybrid")
# the unit that a message suggests where a quantity has none
UNITS = {
    "end": "d", "every": "d", "at": "d", "time": "d", "duration": "h", "lag": "h", "age": "yr", "weight": "kg",
    "flows": "L/min", "amount": "cell", "rate": "cell/h", "bioavailability": "1",
}  # fmt: skip
SUMMARY = "summary"
METRICS = (
    "peak", "time_of_peak", "minimum", "end", "change", "auc", "half_life", "time_to_half", "time_above_lod",
    "last_above_lod",
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class TimeTable(_Strict):
    """When the simulation ends and what is sampled."""

    end: QuantityText
    every: QuantityText | None = Field(None, description="Interval between samples, from the start.")
    at: list[QuantityText] | None = Field(None, description="Sample times, instead of `every`.")
    sample_at_dose: Literal["after", "before"] = Field(
        "after", description="Which side of a dose a sample at that very moment shows."
    )


class SubjectTable(_Strict):
    """Who is treated; fills the model's flows, volumes and masses."""

    species: str = Field(description="human, mouse or rat")
    age: QuantityText | None = None
    weight: QuantityText | None = None
    sex: str | None = Field(None, description="male or female")
    condition: str | None = Field(None, description="cirrhosis")
    flows: dict[str, QuantityText] = Field(default_factory=dict, description="Blood flows that replace the table's.")


class DoseTable(_Strict):
    """One product, route and schedule."""

    name: str | None = Field(None, description="How arms, paths and results call this dose.")
    into: str = Field(description="The state of the model that the dose enters.")
    amount: AmountText
    time: QuantityText | None = Field(None, description="Time of the first dose; the start by default.")
    duration: QuantityText | None = Field(None, description="Makes it an infusion of this length.")
    rate: QuantityText | None = Field(None, description="Makes it an infusion of this rate.")
    every: QuantityText | None = Field(None, description="Interval between repeats; needs count.")
    count: int | None = Field(None, description="Number of doses; 1 by default.")
    lag: QuantityText | None = Field(None, description="Time between giving a dose and its entry.")
    bioavailability: QuantityText | None = Field(None, description="Share of the dose that enters: '0.8 1' or '80 %'.")


class DosingTable(_Strict):
    """A NONMEM table of doses; each ID is one subject."""

    table: str = Field(min_length=1, description="Path of the table, relative to this file.")
    time_unit: str = Field(min_length=1, description="Unit of TIME, II and DUR.")
    amount_unit: str = Field(min_length=1, description="Unit of AMT: cell, vp, PFU, vg, …")
    ignore: list[str] = Field(default_factory=list, description="Columns of the table that are left out.")


class ArmTable(_Strict):
    """One treatment group: what it changes and which doses it leaves out."""

    name: str
    set: dict[str, Any] = Field(default_factory=dict, description="Paths such as dose.NAME.amount, with their values.")
    drop: list[str] = Field(default_factory=list, description="Names of doses that this arm does not get.")


class CovariateTable(_Strict):
    """Age, sex and weight of each virtual subject; fills the model as `[subject]` does."""

    age: str | None = Field(None, description="A distribution with its unit: 'uniform(2, 12) yr'.")
    female_share: float | None = Field(None, ge=0.0, le=1.0, description="Share of girls and women.")
    weight: str | None = Field(
        None, description="A distribution with its unit, or 'from age': the median at that age with a spread."
    )
    weight_spread: float | None = Field(
        None, ge=0.0, le=1.0, description="Standard deviation of the logarithm of weight around its median."
    )
    table: str | None = Field(None, description="A CSV file of subjects with columns age, weight, sex.")


class CorrelationTable(_Strict):
    """Which quantities go together: a matrix of correlations, or of covariances on the scale of the normals."""

    between: list[str] = Field(min_length=2)
    correlation: list[list[float]] | None = None
    covariance: list[list[float]] | None = None
    layer: Literal["subject", "uncertainty"] = "subject"


class OccasionTable(_Strict):
    """Variability of one subject from occasion to occasion: each value is times exp(normal(0, spread))."""

    every: QuantityText = Field(description="Length of an occasion.")
    spread: dict[str, float] = Field(min_length=1, description="Standard deviation of the logarithm, by parameter.")


class UncertaintyTable(_Strict):
    """What is not known: draws of typical values, each with the whole population."""

    draws: int = Field(gt=0)
    vary: Literal["model", "listed"] = Field(
        "model", description="'model': the uncertainty.csv beside the model; 'listed': those of `distribution`."
    )
    distribution: dict[str, str] = Field(default_factory=dict)


class PopulationTable(_Strict):
    """Virtual subjects: how many, what varies between them, and what is not known."""

    size: int = Field(gt=0)
    replicates: int = Field(1, gt=0)
    seed: int | None = Field(None, ge=0, description="Instead of the run's own seed.")
    vary: Literal["model", "listed"] = Field(
        "model", description="'model': every distribution that the model declares; 'listed': those given here."
    )
    same_in_every_arm: bool = Field(True, description="The same virtual subjects in every arm.")
    distribution: dict[str, Any] = Field(
        default_factory=dict, description="By id: 'lognormal(ln(0.7), 0.3) 1/d', or a table with a column of values."
    )
    correlation: list[CorrelationTable] = Field(default_factory=list)
    covariates: CovariateTable | None = None
    occasions: OccasionTable | None = None
    residual: dict[str, str] = Field(
        default_factory=dict, description="Error of an assay by output: 'proportional(0.2)', 'additive(10)'."
    )
    uncertainty: UncertaintyTable | None = None


class VaryingTable(_Strict):
    """A quantity that changes over time in a way known beforehand."""

    at: list[QuantityText] = Field(default_factory=list, description="Times, from 0 on, the same for all subjects.")
    values: list[Value] = Field(default_factory=list)
    table: str | None = Field(
        None, description="Instead: a CSV file with the columns subject, time UNIT, value UNIT; subjects differ."
    )
    interpolation: Literal["locf", "nocb", "linear"] = Field(
        description="Between two times: the last value, the next one, or a straight line."
    )


class OutputTable(_Strict):
    """What is kept and what the summary tells."""

    keep: str | list[str] = Field(
        "outputs",
        description="'outputs', 'all', a list of ids, or 'summary': of the outputs, only metrics and quantiles.",
    )
    summary: list[str] | None = Field(None, description="Metrics as 'id.metric': " + ", ".join(METRICS) + ".")


class SolverTable(_Strict):
    """How the equations are integrated."""

    method: Literal["rosenbrock", "lsoda"] = "rosenbrock"
    rtol: float = Field(1e-6, gt=0.0, lt=0.1)
    atol: float | None = Field(
        None, gt=0.0, allow_inf_nan=False, description="In each state's unit; 1e-4 * rtol by default."
    )
    max_steps: int = Field(100_000, gt=0)


class ScenarioFile(_Strict):
    """A scenario: one runnable question."""

    schema_version: Literal[1] = Field(alias="schema")
    title: str
    question: str = ""
    context_of_use: str = ""
    model: str = Field(min_length=1, description="A shipped model's id, or a path relative to this file.")
    engine: Literal["ode"] = "ode"
    time: TimeTable
    subject: SubjectTable | None = None
    parameters: dict[str, Value] = Field(default_factory=dict)
    initial: dict[str, Value] = Field(default_factory=dict)
    dose: list[DoseTable] = Field(default_factory=list)
    dosing: DosingTable | None = None
    arm: list[ArmTable] = Field(default_factory=list)
    sweep: dict[str, Any] | None = Field(None, description="Values by path; design, count or table. See docs.")
    population: PopulationTable | None = None
    varying: dict[str, VaryingTable] = Field(default_factory=dict, description="Quantities that change over time.")
    output: OutputTable = Field(default_factory=lambda: OutputTable.model_validate({}))
    solver: SolverTable = Field(default_factory=lambda: SolverTable.model_validate({}))


TABLES: dict[str, type[_Strict]] = {
    "time": TimeTable, "subject": SubjectTable, "dose": DoseTable, "dosing": DosingTable, "arm": ArmTable,
    "output": OutputTable, "solver": SolverTable, "population": PopulationTable,
}  # fmt: skip


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file, for editors."""
    made = ScenarioFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
