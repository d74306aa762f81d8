"""What `[population]` asks for: who the virtual subjects are, what varies between them, and what is not known."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, did_you_mean
from atmpsim.model.spec import Model
from atmpsim.scenario.complaint import toml_text
from atmpsim.scenario.convert import in_model_units
from atmpsim.scenario.covariates import Covariates, read_covariates
from atmpsim.scenario.distributions import LOG, LOGIT, OTHER, PLAIN, Distribution, finite, parse, split_unit
from atmpsim.scenario.reader import UNCERTAINTY, Inputs
from atmpsim.scenario.schema import CorrelationTable, PopulationTable, ScenarioFile
from atmpsim.scenario.streams import uniforms

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
SUBJECT, DRAW = "subject", "uncertainty"
_SYMMETRIC = 1e-9
_SMALLEST_EIGENVALUE = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Empirical:
    """Values of a table, drawn with replacement; columns of one table are drawn together."""

    values: FloatArray
    table: str

    def at(self, uniform: FloatArray) -> FloatArray:
        """Return the values that uniform numbers stand for."""
        return self.values[np.minimum((uniform * self.values.size).astype(np.int64), self.values.size - 1)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Together:
    """Quantities whose normal numbers are correlated: `mixing` is the Cholesky factor of their correlations."""

    between: tuple[str, ...]
    mixing: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """The distributions of one layer (between subjects, or uncertainty), and which of them go together."""

    name: str
    distributions: Mapping[str, Distribution | Empirical]
    together: tuple[Together, ...] = ()

    def sample(
        self, indices: IntArray, *, seed: int, draw: int = 0, replicate: int = 0, arm: str = ""
    ) -> dict[str, FloatArray]:
        """Return the values of every quantity for each index (a subject or a draw)."""

        def stream(purpose: str) -> FloatArray:
            text = f"{self.name} {purpose}" + (f" arm {arm}" if arm else "")
            return uniforms(indices, seed=seed, purpose=text, draw=draw, replicate=replicate)

        first = self._correlated(stream)
        values = {}
        for name, distribution in self.distributions.items():
            if isinstance(distribution, Empirical):
                values[name] = distribution.at(stream(f"table {distribution.table}"))
                continue
            numbers = [stream(f"{name} {k}" if k else name) for k in range(distribution.calls)]
            values[name] = distribution.values([first[name]] if name in first else numbers)
        return values

    def _correlated(self, stream: Any) -> dict[str, FloatArray]:
        """Return uniform numbers of the quantities that go together (a Gaussian copula)."""
        made: dict[str, FloatArray] = {}
        if self.together:
            from scipy.special import ndtr, ndtri
        for group in self.together:
            normal = group.mixing @ np.stack([ndtri(stream(name)) for name in group.between])
            made |= dict(zip(group.between, ndtr(normal), strict=True))
        return made


@dataclass(frozen=True, kw_only=True, eq=False)
class Occasions:
    """Variability between the occasions of one subject: a parameter's spread (of the logarithm) by id."""

    length: float
    spread: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """Virtual subjects, ready to be sampled in the model's units."""

    size: int
    replicates: int
    draws: int
    seed: int
    between: Layer
    unknown: Layer
    typical: Mapping[str, float]
    covariates: Covariates | None = None
    occasions: Occasions | None = None
    residual: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    same_in_every_arm: bool = True
    notes: tuple[str, ...] = ()

    @property
    def varied(self) -> frozenset[str]:
        """Return the ids that get values of their own."""
        return frozenset({*self.between.distributions, *self.unknown.distributions})

    def sample(self, subjects: IntArray, draws: IntArray, *, arm: str) -> dict[str, FloatArray]:
        """Return the value of every varied id for each pair of subject and draw (both counted from 0)."""
        own = "" if self.same_in_every_arm else arm
        values = self.between.sample(subjects, seed=self.seed, arm=own)
        if not self.unknown.distributions:
            return values
        typical = self.unknown.sample(draws, seed=self.seed)
        for name, drawn in typical.items():
            values[name] = self._shifted(name, values[name], drawn) if name in values else drawn
        return values

    def measured(
        self, name: str, values: FloatArray, subjects: IntArray, draws: IntArray, replicates: IntArray
    ) -> FloatArray:
        """Return what an assay with its error shows of values of shape (run, time)."""
        from scipy.special import ndtri

        kind, size = self.residual[name]
        noise, samples = np.empty_like(values), values.shape[1]
        for draw, replicate in np.unique(np.stack([draws, replicates]), axis=1).T.tolist():
            own = (draws == draw) & (replicates == replicate)
            index = (subjects[own][:, None] * samples + np.arange(samples)).ravel()
            found = uniforms(index, seed=self.seed, purpose=f"residual {name}", draw=draw, replicate=replicate)
            noise[own] = ndtri(found).reshape(-1, samples)
        if kind == "additive":
            return values + size * noise
        return values * (np.exp(size * noise) if kind == "lognormal" else 1.0 + size * noise)

    def _shifted(self, name: str, values: FloatArray, typical: FloatArray) -> FloatArray:
        """Return subjects' values around another typical value, moved on the scale on which they are normal."""
        distribution, nominal = self.between.distributions[name], self.typical[name]
        scale = distribution.scale if isinstance(distribution, Distribution) else OTHER
        if scale == PLAIN:
            return values + (typical - nominal)
        if scale == LOGIT:
            odds = values / (1 - values) * (typical / (1 - typical)) / (nominal / (1 - nominal))
            return odds / (1 + odds)
        return values * (typical / nominal)


def read_population(scenario: ScenarioFile, inputs: Inputs, model: Model, *, where: str) -> Population | None:
    """Return the population of a scenario, None if it has none.

    Raises
    ------
    ScenarioError, UnitError
        If a distribution, a matrix or a table does not fit the model.
    """
    table = scenario.population
    if table is None:
        return None
    place = f"{where} [population]"
    if scenario.dosing is not None:
        raise ScenarioError(where=place, found="a population beside [dosing]", expected="one of them",
                            remedy="The subjects of a dosing table are its own.")  # fmt: skip
    between = _between(table, inputs, model, place)
    unknown = _unknown(table, inputs, model, place)
    varied = {*between.distributions, *unknown.distributions}
    for name in sorted({*table.distribution} & {*scenario.parameters}):
        raise ScenarioError(where=f"{place} distribution {name}", found="a value in [parameters] as well",
                            expected="one of them")  # fmt: skip
    covariates = read_covariates(table, inputs.tables, scenario.subject, where=place)
    return Population(
        size=table.size, replicates=table.replicates, draws=table.uncertainty.draws if table.uncertainty else 0,
        seed=inputs.seed if table.seed is None else table.seed, between=between, unknown=unknown,
        typical={k: float(q.value) for k in varied if (q := model.quantity(k)) is not None and q.value is not None},
        covariates=covariates, occasions=_occasions(table, model, place), residual=_residual(table, place),
        same_in_every_arm=table.same_in_every_arm,
        notes=_notes(table, between, unknown, scenario) + (covariates.notes if covariates is not None else ()),
    )  # fmt: skip


def _notes(table: PopulationTable, between: Layer, unknown: Layer, scenario: ScenarioFile) -> tuple[str, ...]:
    made = [f"population: {table.size} subjects, {len(between.distributions)} quantities vary between them"]
    if table.size == 1 and not between.distributions:
        made = []
    if unknown.distributions:
        made.append(f"population: {table.uncertainty.draws if table.uncertainty else 0} draws of "
                    f"{len(unknown.distributions)} typical values that are not known")  # fmt: skip
    fixed = sorted({*between.distributions, *unknown.distributions} & {*scenario.parameters})
    return (*made, *(f"population: parameters.{name} is given and does not vary" for name in fixed))


def _between(table: PopulationTable, inputs: Inputs, model: Model, where: str) -> Layer:
    found: dict[str, Distribution | Empirical] = {}
    spreads = _spreads(table, SUBJECT)
    if table.vary == "model":
        for name, quantity in model.quantities.items():
            if quantity.distribution:
                found[name] = parse(
                    quantity.distribution, where=f"{inputs.model_file} {name}", spread=spreads.get(name)
                )
    for name, given in table.distribution.items():
        place = f"{where} distribution {name}"
        _check_id(name, model, place)
        found[name] = (
            _empirical(given, name, inputs.tables, model, place) if isinstance(given, dict)
            else _with_unit(given, name, model, place, spreads.get(name))
        )  # fmt: skip
    return Layer(name=SUBJECT, distributions=found, together=_together(table, SUBJECT, found, where))


def _unknown(table: PopulationTable, inputs: Inputs, model: Model, where: str) -> Layer:
    found: dict[str, Distribution | Empirical] = {}
    given = table.uncertainty
    spreads = _spreads(table, DRAW)
    if given is not None and given.vary == "model":
        for number, row in enumerate(csv.DictReader(io.StringIO(inputs.tables.get(UNCERTAINTY, ""))), 2):
            if row.get("layer") == "uncertainty":
                place = f"{UNCERTAINTY} row {number}"
                _check_id(str(row.get("parameter")), model, place)
                name = str(row["parameter"])
                found[name] = parse(str(row.get("distribution")), where=place, spread=spreads.get(name))
    for name, text in (given.distribution if given is not None else {}).items():
        place = f"{where} uncertainty distribution {name}"
        _check_id(name, model, place)
        found[name] = _with_unit(text, name, model, place, spreads.get(name))
    return Layer(name=DRAW, distributions=found, together=_together(table, DRAW, found, where))


def _check_id(name: str, model: Model, where: str) -> None:
    allowed = [k for k in (*model.parameters, *model.species) if k not in model.assignment_rules]
    if name not in allowed:
        raise ScenarioError(where=where, found=f"'{name}'", expected=f"a quantity of model '{model.id}'",
                            remedy=did_you_mean(name, allowed) or "`atmpsim models show` lists them.")  # fmt: skip


def _with_unit(given: Any, name: str, model: Model, where: str, spread: float | None) -> Distribution:
    """Return the distribution of a text such as `lognormal(ln(0.7), 0.3) 1/d`."""
    if not isinstance(given, str):
        raise ScenarioError(where=where, found=toml_text(given), expected="a distribution with its unit",
                            remedy='For example "lognormal(ln(0.7), 0.3) 1/d".')  # fmt: skip
    formula, unit = split_unit(given, where=where)
    quantity = model.quantity(name)
    own = quantity.unit if quantity is not None else ""
    factor = float(in_model_units(f"1 {unit}", unit=own, where=where))
    return parse(formula, where=where, factor=factor, spread=spread)


def _empirical(given: Mapping[str, Any], name: str, tables: Mapping[str, str], model: Model, where: str) -> Empirical:
    if {*given} != {"table", "column", "unit"}:
        raise ScenarioError(where=where, found=f"the keys {', '.join(given) or 'nothing'}",
                            expected="table, column and unit")  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(tables[str(given["table"])])))
    column = str(given["column"])
    if not rows or column not in rows[0]:
        raise ScenarioError(where=f"{where} column", found=f"'{column}'", expected="a column of the table",
                            remedy=did_you_mean(column, rows[0] if rows else ()))  # fmt: skip
    quantity = model.quantity(name)
    factor = in_model_units(f"1 {given['unit']}", unit=quantity.unit if quantity else "", where=f"{where} unit")
    numbers = [finite(row[column], where=f"{where} row {k}") for k, row in enumerate(rows, 2)]
    return Empirical(values=np.array(numbers) * float(factor), table=str(given["table"]))


def _spreads(table: PopulationTable, layer: str) -> dict[str, float]:
    """Return the standard deviations that covariance matrices give."""
    made: dict[str, float] = {}
    for group in table.correlation:
        if group.layer == layer and group.covariance is not None:
            made |= {name: float(np.sqrt(max(row[k], 0.0))) for k, (name, row) in
                     enumerate(zip(group.between, group.covariance, strict=False)) if k < len(row)}  # fmt: skip
    return made


def _together(
    table: PopulationTable, layer: str, distributions: Mapping[str, Distribution | Empirical], where: str
) -> tuple[Together, ...]:
    groups, seen = [], set[str]()
    for number, group in enumerate(table.correlation, 1):
        if group.layer != layer:
            continue
        place = f"{where} correlation {number}"
        for name in group.between:
            own = distributions.get(name)
            if not isinstance(own, Distribution) or own.calls != 1:
                found = f"'{name}'" if own is None else f"'{name}', which is a table or a mixture"
                raise ScenarioError(where=f"{place} between", found=found, expected="a quantity that varies by one "
                                    "distribution", remedy=did_you_mean(name, distributions))  # fmt: skip
            if group.covariance is not None and own.scale not in (PLAIN, LOG, LOGIT):
                raise ScenarioError(where=f"{place} between", found=f"'{name}', which is not normal on any scale",
                                    expected="a normal, log-normal or logit-normal one",
                                    remedy="Give correlation instead of covariance.")  # fmt: skip
        if seen & {*group.between} or len({*group.between}) < len(group.between):
            raise ScenarioError(where=f"{place} between", found="a quantity twice", expected="each once")
        seen |= {*group.between}
        groups.append(Together(between=tuple(group.between), mixing=_mixing(group, place)))
    return tuple(groups)


def _mixing(group: CorrelationTable, where: str) -> FloatArray:
    """Return the Cholesky factor of a group's correlations."""
    if (group.correlation is None) == (group.covariance is None):
        raise ScenarioError(where=where, found="no matrix, or two", expected="correlation or covariance")
    rows: Sequence[Sequence[float]] = group.correlation or group.covariance or []
    size = len(group.between)
    if len(rows) != size or any(len(row) != size for row in rows):
        raise ScenarioError(where=where, found=f"a matrix with rows of {', '.join(str(len(r)) for r in rows)}",
                            expected=f"{size} rows of {size}")  # fmt: skip
    matrix = np.array(rows, dtype=np.float64)
    if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > _SYMMETRIC * np.abs(matrix).max():
        raise ScenarioError(where=where, found="a matrix that is not symmetric", expected="a symmetric one")
    sd = np.sqrt(np.clip(np.diag(matrix), 0.0, None))
    if (sd == 0).any() or (group.correlation is not None and np.abs(sd - 1).max() > _SYMMETRIC):
        expected = "ones on the diagonal" if group.correlation is not None else "variances above 0 on the diagonal"
        raise ScenarioError(where=where, found=f"the diagonal {np.diag(matrix).tolist()}", expected=expected)
    correlations = matrix / np.outer(sd, sd)
    lowest = float(np.linalg.eigvalsh(correlations).min())
    if lowest < _SMALLEST_EIGENVALUE:
        raise ScenarioError(where=where, found=f"a matrix with the eigenvalue {lowest:.3g}",
                            expected="a positive definite one", remedy="No numbers can be correlated like that; "
                            "check signs, or shrink what stands off the diagonal.")  # fmt: skip
    return np.linalg.cholesky(correlations)


def _occasions(table: PopulationTable, model: Model, where: str) -> Occasions | None:
    if table.occasions is None:
        return None
    place = f"{where} occasions"
    length = float(in_model_units(table.occasions.every, unit=model.time_unit, where=f"{place} every"))
    if not length > 0:
        raise ScenarioError(where=f"{place} every", found=f"'{table.occasions.every}'", expected="a time above 0")
    for name, spread in table.occasions.spread.items():
        if not np.isfinite(spread) or spread < 0:
            raise ScenarioError(where=f"{place} spread {name}", found=repr(spread), expected="a number of at least 0")
    return Occasions(length=length, spread=dict(table.occasions.spread))


def _residual(table: PopulationTable, where: str) -> dict[str, tuple[str, float]]:
    made: dict[str, tuple[str, float]] = {}
    for name, text in table.residual.items():
        place = f"{where} residual {name}"
        kind, _, rest = text.partition("(")
        if kind.strip() not in ("proportional", "additive", "lognormal") or not rest.endswith(")"):
            raise ScenarioError(where=place, found=f"'{text}'", expected="proportional(0.2), lognormal(0.2) or "
                                "additive(10), in the output's unit")  # fmt: skip
        size = finite(rest[:-1], where=place)
        if size < 0:
            raise ScenarioError(where=place, found=f"{size:g}", expected="a number of at least 0")
        made[name] = (kind.strip(), size)
    return made
