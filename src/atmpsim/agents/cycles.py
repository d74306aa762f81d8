"""The standard cell cycles of PhysiCell: their phases, and how long each lasts unless the file says otherwise.

Source: PhysiCell 1.14, core/PhysiCell_standard_models; Ki67 durations after Macklin et al. 2012
J Theor Biol 301:122, doi:10.1016/j.jtbi.2012.02.002; flow cytometry after Bernard & Herzel 2006.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase: the code it has in PhysiCell's output, and what happens at its two ends.

    A cell leaves phase i for phase i + 1, and the last phase for the first.
    """

    name: str
    code: int
    divides_on_exit: bool = False
    doubles_on_entry: bool = False  # the target volumes


@dataclass(frozen=True, kw_only=True)
class CycleModel:
    """A standard cycle: its code and name in a settings file, its phases, and their stock rates (1/min).

    `fixed` says of each phase that its duration is 1/rate exactly, not exponential with that mean.
    """

    code: int
    name: str
    phases: tuple[Phase, ...]
    rates: tuple[float, ...]
    fixed: tuple[bool, ...]


def _model(code: int, name: str, phases: tuple[Phase, ...], rates: tuple[float, ...], fixed: str) -> CycleModel:
    return CycleModel(code=code, name=name, phases=phases, rates=rates, fixed=tuple(c == "f" for c in fixed))


_PER_H = 1 / 60

KI67_ADVANCED = _model(
    0, "Ki67 (advanced)",
    (Phase(name="Ki67-", code=3),
     Phase(name="Ki67+ (premitotic)", code=0, divides_on_exit=True, doubles_on_entry=True),
     Phase(name="Ki67+ (postmitotic)", code=1)),
    (_PER_H / 3.62, _PER_H / 13.0, _PER_H / 2.5), "rff",
)  # fmt: skip
KI67_BASIC = _model(
    1, "Ki67 (basic)",
    (Phase(name="Ki67-", code=3), Phase(name="Ki67+", code=2, divides_on_exit=True, doubles_on_entry=True)),
    (_PER_H / 4.59, _PER_H / 15.5), "rf",
)  # fmt: skip
FLOW_BASIC = _model(
    2, "Flow cytometry model (basic)",
    (Phase(name="G0/G1", code=4), Phase(name="S", code=10, doubles_on_entry=True),
     Phase(name="G2/M", code=11, divides_on_exit=True)),
    (0.00324, 0.00208, 0.00333), "rrr",
)  # fmt: skip
LIVE = _model(
    5, "Live", (Phase(name="Live", code=14, divides_on_exit=True, doubles_on_entry=True),), (0.0432 * _PER_H,), "r"
)
FLOW_SEPARATED = _model(
    6, "Flow cytometry model (separated)",
    (Phase(name="G0/G1", code=4), Phase(name="S", code=10, doubles_on_entry=True), Phase(name="G2", code=12),
     Phase(name="M", code=13, divides_on_exit=True)),
    (0.00335, 0.00208, 0.00417, 0.0167), "rrrr",
)  # fmt: skip
CYCLING_QUIESCENT = _model(
    7, "Cycling-Quiescent model",
    (Phase(name="Quiescent", code=18), Phase(name="Cycling", code=17, divides_on_exit=True, doubles_on_entry=True)),
    (_PER_H / 4.59, _PER_H / 15.5), "rf",
)  # fmt: skip

CYCLE_MODELS = {
    model.code: model
    for model in (KI67_ADVANCED, KI67_BASIC, FLOW_BASIC, LIVE, FLOW_SEPARATED, CYCLING_QUIESCENT)
}  # fmt: skip
