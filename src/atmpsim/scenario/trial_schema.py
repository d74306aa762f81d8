"""The tables of a scenario that say product, assays, rules, endpoints and trial, as a strict schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from atmpsim.scenario.strict import QuantityText, Strict

DistributionText = Annotated[
    str, Field(description="A distribution, or a number: '0.9', '1/(1 + exp(-normal(2.2, 0.5)))'.")
]
ProductKind = Literal["msc", "oncolytic_virus", "virus_in_msc", "car_t", "aav"]
AssayKind = Literal[
    "qpcr", "dpcr", "flow", "gamma_camera", "bioluminescence", "factor_one_stage", "factor_chromogenic",
    "concentration", "diameter", "edss", "lesion_count", "diary", "scale", "blot", "grade", "yes_no", "event",
]  # fmt: skip
EndpointKind = Literal[
    "change", "value", "maximum", "total", "rate", "above", "below", "positive", "confirmed_progression", "response",
    "progression_free", "time_to",
]  # fmt: skip
Test = Literal["t", "ancova", "permutation", "fisher", "negative_binomial", "rate_ratio", "logrank", "cox", "none"]


class ProductTable(Strict):
    """What is infused, and how far what is delivered may be from what the label says."""

    kind: ProductKind
    dose: str | None = Field(None, description="The name of its [[dose]]; every dose by default.")
    lot: str = ""
    passage: int | None = Field(None, ge=0, description="Recorded; no model uses it.")
    viability: DistributionText | None = Field(None, description="Share of the cells that live at release.")
    recovery: DistributionText | None = Field(None, description="Share of living cells that survive thawing.")
    transduced_fraction: DistributionText | None = Field(None, description="Share of the T cells that carry the CAR.")
    vp_per_cell: QuantityText | None = Field(None, description="Virus particles loaded into a cell: '2e4 vp/cell'.")
    vector_copies: QuantityText | None = Field(None, description="Vector copies in a transduced cell: '2 copy/cell'.")
    cd4_cd8: QuantityText | None = Field(None, description="Ratio of CD4 to CD8 cells. Recorded; no model uses it.")
    titre: QuantityText | None = Field(None, description="'1e12 vp/mL'; gives the volume of a dose.")
    titre_error: DistributionText | None = Field(None, description="True over stated titre: 'lognormal(0, 0.2)'.")
    conversion: str | None = Field(None, description="Between units of a virus: 'lognormal(ln(20), 0.3) vp/PFU'.")
    empty_capsids: DistributionText | None = Field(None, description="Share of capsids without a genome.")
    failure: QuantityText | None = Field(None, description="Probability that a batch is not released: '12 %'.")
    vein_to_vein: str | None = Field(None, description="From recruitment to infusion: 'lognormal(ln(5), 0.2) wk'.")


class AssayTable(Strict):
    """How a quantity of the model is really measured."""

    name: str
    kind: AssayKind
    of: str | list[str] = Field(description="The model's output; several lesions as a list.")
    error: float = Field(0.0, ge=0.0, description="Standard deviation: of the logarithm, of a scale in its unit.")
    lloq: float | None = Field(None, ge=0.0, description="Lower limit of quantification, in the assay's unit.")
    below: Literal["half", "zero", "limit"] = Field("half", description="What is reported below the limit.")
    window: QuantityText | None = Field(None, description="Samples fall within plus or minus this of a visit.")
    low: float | None = Field(None, description="Lower end of a scale.")
    high: float | None = Field(None, description="Upper end of a scale.")
    better: Literal["lower", "higher"] = "lower"
    placebo: float = Field(0.0, description="Response of every blinded arm alike, as a share of the baseline.")
    placebo_half_time: QuantityText | None = None
    expectation: float = Field(0.0, description="Shift of a reported scale in patients who know their treatment.")
    dispersion: float | None = Field(None, gt=0.0, description="Shape of a negative binomial count within a patient.")
    per: QuantityText | None = Field(None, description="Of a diary: the time that the output's number belongs to.")
    ratio: float = Field(1.0, gt=0.0, description="What the assay shows over the truth.")
    leucocytes: QuantityText | None = Field(None, description="Normal leucocytes: '5e9 1/L'.")
    leucocytes_low: QuantityText | None = Field(None, description="Leucocytes after lymphodepletion.")
    recovery_half_time: QuantityText | None = Field(None, description="Of leucocytes.")
    volume: QuantityText | None = Field(None, description="Blood volume, where the model counts cells.")
    sample: QuantityText | None = Field(None, description="Volume of blood of a digital PCR reaction.")
    partitions: int | None = Field(None, gt=0, description="Of a digital PCR.")
    events: int | None = Field(None, gt=0, description="Lymphocytes that a flow cytometer counts.")
    isotope_half_life: QuantityText | None = None
    counts: float | None = Field(None, gt=0.0, description="Counts that the whole dose gives at the time it is given.")
    attenuation: float = Field(1.0, gt=0.0, description="Detected share of the light or the rays.")
    per_cell: float | None = Field(None, gt=0.0, description="Light of one cell.")
    cutoffs: list[float] | None = Field(None, description="Of a grade: ln of the value at even odds, rising.")
    slope: float = Field(1.0, description="Log odds of a higher grade per e-fold.")
    new_lesions: QuantityText | None = Field(None, description="Hazard that a new lesion appears: '0.1 1/month'.")
    curve: Literal["survival", "cumulative"] = Field("survival", description="What the output of an event is.")
    like: str | None = Field(None, description="An event of the same patients that comes before this one.")


class RuleTable(Strict):
    """What is done with the doses that follow, when a measured value asks for it."""

    name: str
    when: str = Field(description="'ASSAY >= 1000', or 'ASSAY / baseline >= 1.2'.")
    visits: int = Field(1, ge=1, description="At so many visits in a row.")
    then: Literal["hold", "give", "reduce", "stop", "rescue"]
    dose: str | None = Field(None, description="Which dose; every dose by default.")
    factor: float | None = Field(None, gt=0.0, lt=1.0, description="For 'reduce'.")
    by: QuantityText | None = Field(None, description="For 'hold': how long.")


class EndpointTable(Strict):
    """An outcome of each patient, and how arms are compared by it."""

    name: str
    kind: EndpointKind
    assay: str
    at: QuantityText | None = Field(None, description="Which visit; the last by default.")
    until: QuantityText | None = Field(None, description="Last visit that counts.")
    threshold: float | None = None
    confirm: QuantityText | None = Field(None, description="Seen again after this time.")
    death: str | None = Field(None, description="The event that ends a patient's life.")
    criteria: Literal["RECIST 1.1", "INRC", "RAPNO"] = "RECIST 1.1"
    origin: Literal["infusion", "recruitment"] = Field("infusion", description="Time zero; recruitment enters late.")
    estimand: Literal["treatment policy", "while on treatment"] = "treatment policy"
    population: Literal["randomised", "treated"] = "treated"
    missing: Literal["excluded", "carried forward", "failure"] = "excluded"
    compare: Test = "none"
    alpha: float = Field(0.05, gt=0.0, lt=1.0)
    primary: bool = False


class BeforeTable(Strict):
    """What may happen between recruitment and infusion."""

    growth: str | None = Field(None, description="An assay of diameters: +20 % and +5 mm without treatment.")
    progression: QuantityText | None = Field(None, description="Hazard of progression: '0.15 1/wk'.")
    symptoms: QuantityText | None = Field(None, description="Hazard of new symptoms.")
    death: QuantityText | None = Field(None, description="Hazard of death.")


class StratumTable(Strict):
    """A quantity by which patients are stratified, and where it is cut."""

    by: str
    at: list[float] = Field(min_length=1)


class TrialPlan(Strict):
    """A trial: who is recruited, how they are allotted, seen and lost."""

    patients: int = Field(gt=0, description="Recruited in each replicate.")
    replicates: int = Field(1000, gt=0)
    ratio: dict[str, float] = Field(
        default_factory=dict, description="By arm: whole numbers (0: not in the trial), or shares of 1."
    )
    scheme: Literal["simple", "block", "stratified"] = "block"
    block: int | None = Field(None, gt=0, description="Length of a block, a multiple of the sum of the ratio.")
    strata: StratumTable | None = None
    randomise: Literal["at recruitment", "at infusion"] = "at recruitment"
    control: str | None = Field(None, description="The arm with which the others are compared.")
    visits: list[QuantityText] = Field(min_length=1, description="After infusion; the first is the baseline.")
    eligibility: dict[str, list[float]] = Field(default_factory=dict, description="Lowest and highest value by id.")
    enrolment: QuantityText | None = Field(None, description="Recruited patients in a time: '2 1/month'.")
    before: BeforeTable | None = None
    dropout: QuantityText | None = Field(None, description="Hazard of leaving: '0.05 1/yr'.")
    informative: str | None = Field(None, description="An assay: who has no gain leaves at twice the hazard.")
    missing: float = Field(0.0, ge=0.0, lt=1.0, description="Probability that a visit is missed.")
    unblinded: dict[str, float] = Field(default_factory=dict, description="Probability by arm of knowing one's arm.")
    looks: list[float] = Field(default_factory=list, description="Interim analyses, as shares of the patients.")
    free: list[str] = Field(default_factory=list, description="Given in [parameters] for `run`, drawn in the trial.")
    null: dict[str, Any] = Field(default_factory=dict, description="Parameters without any effect, for --null.")
