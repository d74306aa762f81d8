"""Say in words where and why a run failed."""

from __future__ import annotations

from atmpsim.engines.trajectory import Failure, Status
from atmpsim.model.spec import Model

_WHY = {
    Status.NOT_FINITE: "a value that is not finite appeared",
    Status.STEP_LIMIT: "the limit of steps was reached",
    Status.STEP_UNDERFLOW: "the step size fell to nothing",
    Status.SOLVER_FAILED: "the solver could not meet its tolerances",
    Status.EVENTS_WITHOUT_END: "events set one another off without end",
}


def failure_message(model: Model, failure: Failure | None, *, where: str, last_dose: str = "") -> str:
    """Return the message of a failed run, or an empty text."""
    if failure is None:
        return ""
    quantity = model.quantity(failure.state)
    unit = quantity.unit if quantity is not None else ""
    after = f" after {last_dose}" if last_dose else ""
    return (
        f"{where} at {failure.time:.6g} {model.time_unit or 'time units'}: found that {_WHY[failure.status]} in state "
        f"'{failure.state}' ({failure.value:.4g} {unit}){after}, expected a finite solution within tolerance. "
        "Check that state's equation and start, loosen rtol, or raise atol for it."
    ).replace(" )", ")")
