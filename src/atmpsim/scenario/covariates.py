"""Age, sex and weight of virtual subjects: from distributions, from the medians of the physiology, or from a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario import physiology
from atmpsim.scenario.distributions import Distribution, finite, parse, split_unit
from atmpsim.scenario.schema import PopulationTable, SubjectTable
from atmpsim.scenario.streams import uniforms
from atmpsim.scenario.subject import Subject
from atmpsim.units import magnitude, parse_quantity

FloatArray = NDArray[np.float64]
FROM_AGE = "from age"
_COLUMNS = {"age": "yr", "weight": "kg"}
_SEXES = ("male", "female")


@dataclass(frozen=True, kw_only=True, eq=False)
class Covariates:
    """How the covariates of a subject are found; `rows` are those of a table, in the order of the subjects."""

    species: str
    condition: str | None
    age: Distribution | float | None = None
    weight: Distribution | float | str | None = None
    spread: float = 0.0
    female_share: float | None = None
    sex: str | None = None
    rows: tuple[Mapping[str, float | str], ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def subjects(self, indices: NDArray[np.int64], *, seed: int, arm: str = "") -> list[Subject]:
        """Return the subjects of some indices (counted from 0)."""
        if self.rows:
            return [self._listed(int(k)) for k in indices]

        def stream(purpose: str) -> FloatArray:
            return uniforms(indices, seed=seed, purpose=f"covariate {purpose}" + (f" arm {arm}" if arm else ""))

        ages = self._numbers(self.age, "age", stream, indices.size)
        sexes = [self.sex] * indices.size
        if self.female_share is not None:
            sexes = [_SEXES[int(u < self.female_share)] for u in stream("sex")]
        weights = self._weights(ages, sexes, stream)
        return [
            Subject(self.species, age, weight_kg=weight, sex=sex, condition=self.condition)
            for age, weight, sex in zip(ages, weights, sexes, strict=True)
        ]

    def _listed(self, index: int) -> Subject:
        row = self.rows[index]
        age, weight, sex = row.get("age"), row.get("weight"), row.get("sex", self.sex)
        return Subject(
            self.species, None if age is None else float(age), weight_kg=None if weight is None else float(weight),
            sex=None if sex is None else str(sex), condition=self.condition,
        )  # fmt: skip

    def _numbers(
        self, given: Distribution | float | str | None, name: str, stream: Callable[[str], FloatArray], size: int
    ) -> list[float | None]:
        if isinstance(given, Distribution):
            numbers = [stream(f"{name} {k}" if k else name) for k in range(given.calls)]
            return [float(v) for v in given.values(numbers)]
        return [None if given is None else float(given)] * size

    def _weights(
        self, ages: list[float | None], sexes: list[str | None], stream: Callable[[str], FloatArray]
    ) -> list[float | None]:
        if self.weight != FROM_AGE:
            return self._numbers(self.weight, "weight", stream, len(ages))
        from scipy.special import ndtri

        factors = np.exp(self.spread * ndtri(stream("weight")))
        return [
            physiology.median_weight(float(age or 0.0), sex or "male") * float(factor)
            for age, sex, factor in zip(ages, sexes, factors, strict=True)
        ]


def read_covariates(
    table: PopulationTable, tables: Mapping[str, str], subject: SubjectTable | None, *, where: str
) -> Covariates | None:
    """Return the covariates of a population, None if it declares none.

    Raises
    ------
    ScenarioError, UnitError
        If there is no [subject] for the species, keys contradict each other, or a cell is missing.
    """
    given, place = table.covariates, f"{where} covariates"
    if given is None:
        return None
    if subject is None:
        raise ScenarioError(where=place, found="no [subject]", expected="a [subject] with the species",
                            remedy='Add [subject] with species = "human".')  # fmt: skip
    fixed = {key: _fixed(getattr(subject, key), unit, f"{where} subject {key}") for key, unit in _COLUMNS.items()}
    if given.table is not None:
        return _tabled(table, tables[given.table], subject, fixed, place)
    age = fixed["age"] if given.age is None else _distribution(given.age, "yr", f"{place} age")
    if given.weight == FROM_AGE:
        _check_from_age(age, given.weight_spread, subject, place)
        weight: Distribution | float | str | None = FROM_AGE
    else:
        weight = fixed["weight"] if given.weight is None else _distribution(given.weight, "kg", f"{place} weight")
    spread = given.weight_spread or 0.0
    notes = [f"population: masses and flows follow each subject's weight and sex (tables of the {subject.species})"]
    if weight == FROM_AGE:
        notes.append(
            f"population: weight is the ICRP 89 median at age and sex times exp(normal(0, {spread:g})) (assumption)"
        )
    return Covariates(
        species=subject.species, condition=subject.condition, age=age, weight=weight, spread=spread,
        female_share=given.female_share, sex=subject.sex, notes=tuple(notes),
    )  # fmt: skip


def _fixed(text: str | None, unit: str, where: str) -> float | None:
    return None if text is None else magnitude(parse_quantity(text, where=where), unit, where=where)


def _check_from_age(age: object, spread: float | None, subject: SubjectTable, where: str) -> None:
    if age is None:
        raise ScenarioError(where=f"{where} weight", found="'from age' without an age", expected="an age",
                            remedy='Add age = "uniform(2, 12) yr", for example.')  # fmt: skip
    if spread is None:
        raise ScenarioError(where=where, found="no weight_spread", expected="the spread of weight at an age",
                            remedy="Add weight_spread = 0.15, for example.")  # fmt: skip
    if subject.species != "human":
        raise ScenarioError(where=f"{where} weight", found=f"'from age' for a {subject.species}",
                            expected="a distribution", remedy="Only the human table has medians by age.")  # fmt: skip


def _distribution(text: str, unit: str, where: str) -> Distribution:
    formula, own = split_unit(text, where=where)
    factor = magnitude(parse_quantity(f"1 {own}", where=where), unit, where=where)
    return parse(formula, where=where, factor=factor)


def _tabled(
    table: PopulationTable, text: str, subject: SubjectTable, fixed: Mapping[str, float | None], where: str
) -> Covariates:
    place = f"{where} table"
    rows = list(csv.DictReader(io.StringIO(text)))
    if len(rows) < table.size:
        raise ScenarioError(where=place, found=f"{len(rows)} rows", expected=f"at least size = {table.size}")
    allowed = ("subject", "sex", *(f"{name} {unit}" for name, unit in _COLUMNS.items()))
    for column in rows[0]:
        if column not in allowed:
            raise ScenarioError(where=place, found=f"the column '{column}'", expected=one_of(allowed),
                                remedy=did_you_mean(str(column), allowed))  # fmt: skip
    made = [
        _row(row, fixed, f"{place} subject {row.get('subject') or k}") for k, row in enumerate(rows[: table.size], 1)
    ]
    return Covariates(species=subject.species, condition=subject.condition, sex=subject.sex, rows=tuple(made))


def _row(row: Mapping[str, str | None], fixed: Mapping[str, float | None], where: str) -> dict[str, float | str]:
    made: dict[str, float | str] = {k: v for k, v in fixed.items() if v is not None}
    for name, unit in _COLUMNS.items():
        if f"{name} {unit}" in row:
            made[name] = finite(row[f"{name} {unit}"], where=f"{where} {name}")
    if "sex" in row:
        if row["sex"] not in _SEXES:
            raise ScenarioError(where=f"{where} sex", found=f"'{row['sex'] or ''}'", expected=one_of(_SEXES))
        made["sex"] = str(row["sex"])
    return made
