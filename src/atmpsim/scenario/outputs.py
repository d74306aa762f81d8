"""What a scenario keeps of a model's quantities and tells in its summary, checked against the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from atmpsim.errors import ModelError, ScenarioError, did_you_mean, one_of
from atmpsim.model.equations import Equations
from atmpsim.model.graph import symbol_of
from atmpsim.scenario.schema import METRICS, SUMMARY, OutputTable


def kept(output: OutputTable, equations: Equations, *, where: str) -> tuple[str, ...]:
    """Return the ids to keep.

    Raises
    ------
    ScenarioError
        If the model has no such id.
    """
    keep = output.keep
    if keep in ("outputs", SUMMARY):
        return equations.model.outputs or _everything(equations)
    if keep == "all":
        return _everything(equations)
    if isinstance(keep, str):
        raise ScenarioError(where=f"{where} [output] keep", found=f"'{keep}'",
                            expected="'outputs', 'all', 'summary' or a list",
                            remedy=f'Write keep = ["{keep}"] for one id.')  # fmt: skip
    if not keep:
        raise ScenarioError(where=f"{where} [output] keep", found="an empty list", expected="at least one id",
                            remedy="Remove the key to keep the model's outputs.")  # fmt: skip
    for name in keep:
        if name not in equations.values:
            raise ScenarioError(
                where=f"{where} [output] keep",
                found=f"'{name}'",
                expected="an id of the model, or [species]",
                remedy=did_you_mean(name, equations.values) or "`atmpsim models show` lists them.",
            )
    return tuple(keep)


def _everything(equations: Equations) -> tuple[str, ...]:
    model = equations.model
    return tuple(dict.fromkeys((*model.species, *equations.states, *model.assignment_rules))) or tuple(model.parameters)


def wanted_metrics(
    output: OutputTable, equations: Equations, keep: Sequence[str], *, where: str
) -> tuple[tuple[str, str], ...]:
    """Return (id, metric) of each line of the summary; by default peak and end of the first eight kept.

    Raises
    ------
    ScenarioError
        If there is no such metric, or its id is not kept.
    """
    wanted = output.summary
    if wanted is None:
        return tuple((name, metric) for name in keep[:8] for metric in ("peak", "end"))
    return tuple(_metric(text, equations, keep, f"{where} [output] summary") for text in dict.fromkeys(wanted))


def _metric(text: str, equations: Equations, keep: Sequence[str], where: str) -> tuple[str, str]:
    name, _, metric = text.rpartition(".")
    if not name:
        raise ScenarioError(where=where, found=f"'{text}'", expected="'id.metric'",
                            remedy=f"For example '{keep[0]}.peak'; metrics are {', '.join(METRICS)}.")  # fmt: skip
    if metric not in METRICS:
        raise ScenarioError(where=f"{where} '{text}'", found=f"the metric '{metric}'", expected=one_of(METRICS),
                            remedy=did_you_mean(metric, METRICS))  # fmt: skip
    if name not in keep:
        remedy = f"Add '{name}' to keep." if name in equations.values else did_you_mean(name, keep)
        raise ScenarioError(where=f"{where} '{text}'", found=f"'{name}'", expected="an output that is kept",
                            remedy=remedy)  # fmt: skip
    if metric.endswith("_above_lod") and f"{name}_lod" not in equations.model.parameters:
        raise ScenarioError(where=f"{where} '{text}'", found=f"'{name}' without a limit of detection",
                            expected=f"a parameter '{name}_lod' in the model",
                            remedy="Choose another metric, or add that parameter.")  # fmt: skip
    return name, metric


def require_values(equations: Equations, given: Mapping[str, float], keep: Sequence[str], *, where: str) -> None:
    """Raise for a quantity in use that nothing gives a value; a misspelt id in an Antimony formula is one.

    Raises
    ------
    ModelError
        Naming the quantity.
    """
    model = equations.model
    nodes = [*equations.derivatives, *equations.switches.values(), *(equations.values[name] for name in keep)]
    used = equations.graph.symbols(nodes) | {symbol_of(state) for state in equations.states}
    for identifier, quantity in model.quantities.items():
        if symbol_of(identifier) not in used or identifier in given or identifier in equations.initial:
            continue
        if quantity.value is None:
            others = [k for k, q in model.quantities.items() if q.value is not None]
            raise ModelError(
                where=where,
                found=f"no value for '{identifier}'",
                expected="a value for every quantity in use",
                remedy=did_you_mean(identifier, others) or f"Give it in the model, or as parameters.{identifier}.",
            )
