"""Adaptive rules: what is read at a visit decides about the doses that follow."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from atmpsim.errors import ScenarioError, did_you_mean, one_of
from atmpsim.scenario.dosing import Dose
from atmpsim.scenario.trial_schema import AssayTable, RuleTable

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_WHEN = re.compile(r"\s*(?P<assay>.+?)(?P<base>\s*/\s*baseline)?\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>[-+\d.eE]+)\s*")
_SIGNS: Mapping[str, Callable[[FloatArray, float], BoolArray]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
UNREADABLE = ("event", "edss", "diary")
"""Kinds whose course is drawn in the trial, patient by patient, after treatment is known."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule that was read: which reading, over its baseline or not, against which limit, for how many visits."""

    table: RuleTable
    assay: str
    over_baseline: bool
    sign: str
    limit: float
    delay: float = 0.0

    def holds(self, readings: FloatArray) -> BoolArray:
        """Return whether the condition holds at the last of the visits so far, and at those before that it needs.

        Parameters
        ----------
        readings
            Over (…, visit), up to the present one.
        """
        values = readings / readings[..., :1] if self.over_baseline else readings
        if values.shape[-1] < self.table.visits:
            return np.zeros(values.shape[:-1], dtype=bool)
        return np.asarray(_SIGNS[self.sign](values[..., -self.table.visits :], self.limit).all(axis=-1))


def read_rule(
    table: RuleTable, assays: Mapping[str, AssayTable], doses: Sequence[str], *, delay: float, where: str
) -> Rule:
    """Return a rule.

    Raises
    ------
    ScenarioError
        If its condition names no assay, or its action lacks a dose, a factor or a time.
    """
    found = _WHEN.fullmatch(table.when)
    try:
        limit = float(found["limit"]) if found else np.nan
    except ValueError:
        limit = np.nan
    if found is None or not np.isfinite(limit):
        raise ScenarioError(where=f"{where} when", found=f"'{table.when}'", expected="'ASSAY >= 1000' or "
                            "'ASSAY / baseline >= 1.2'")  # fmt: skip
    name = found["assay"]
    if name not in assays:
        raise ScenarioError(where=f"{where} when", found=f"a rule on '{name}', which nothing measures",
                            expected=f"an assay: {one_of(assays)}",
                            remedy=did_you_mean(name, assays)
                            or "A rule acts on what is read; add an [[assay]] of that state.")  # fmt: skip
    if assays[name].kind in UNREADABLE:
        raise ScenarioError(where=f"{where} when", found=f"a rule on '{name}' of kind '{assays[name].kind}', which is "
                            "drawn after treatment is known", expected="an assay that reads the model at a visit",
                            remedy="Add one of the output behind it, for example of kind 'scale'.")  # fmt: skip
    if table.dose is not None and table.dose not in doses:
        raise ScenarioError(where=f"{where} dose", found=f"'{table.dose}'", expected=f"a dose: {one_of(doses)}",
                            remedy=did_you_mean(table.dose, doses))  # fmt: skip
    needs = {"reduce": "factor", "hold": "by", "give": "dose", "rescue": "dose"}.get(table.then)
    if needs is not None and getattr(table, needs) is None:
        raise ScenarioError(where=where, found=f"'{table.then}' without '{needs}'", expected=f"the key '{needs}'",
                            remedy=f"Add {needs} = … there.")  # fmt: skip
    return Rule(table=table, assay=name, over_baseline=found["base"] is not None, sign=found["sign"], limit=limit,
                delay=delay)  # fmt: skip


def changed_doses(doses: Sequence[Dose], rule: Rule, *, now: float, extra: Dose | None) -> list[Dose]:
    """Return doses as a rule leaves them: those up to `now` stay, it acts on those that come after.

    Parameters
    ----------
    extra
        What `give` and `rescue` give, at `now`.

    Examples
    --------
    >>> table = RuleTable(name="r", when="x > 1", then="stop")
    >>> rule = Rule(table=table, assay="x", over_baseline=False, sign=">", limit=1.0)
    >>> weekly = [Dose(into="blood", amount=1.0, time=t, name="cells") for t in (0.0, 7.0, 14.0)]
    >>> [d.time for d in changed_doses(weekly, rule, now=7.0, extra=None)]
    [0.0, 7.0]
    """
    then = rule.table.then
    if then in ("give", "rescue"):
        assert extra is not None
        return [*doses, replace(extra, time=now)]
    made = []
    for dose in doses:
        if dose.time <= now or rule.table.dose not in (None, dose.name):
            made.append(dose)
        elif then == "hold":
            made.append(replace(dose, time=dose.time + rule.delay))
        elif then == "reduce":
            made.append(replace(dose, amount=dose.amount * (rule.table.factor or 1.0)))
    return made
