"""The rules of a model as flat tables that a kernel evaluates, and what they mean, in NumPy.

For a behaviour of base value b, with terms s = (signal/half_max)^hill_power of the signals that increase it towards
M and those that decrease it towards m,

    up = Σ s_up (M − b) / (1 + Σ s_up),   U = b + up,   value = U + Σ s_down (m − U) / (1 + Σ s_down).

With one M and one m this is the grammar's multivariate Hill response (Johnson et al. 2025 Cell,
doi:10.1016/j.cell.2025.06.048). PhysiCell has only one M (the largest) and one m (the smallest) for a behaviour,
whatever the rows say: so has `compatibility`. Signals below 0 count as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from atmpsim.agents.behaviours import BehaviourKind
from atmpsim.agents.signals import SignalKind
from atmpsim.agents.spec import PHYSICELL, AgentModel, Rule
from atmpsim.agents.values import behaviour_values

# a Hill term beyond it changes no digit of the response, and the sum of several stays finite
MAX_TERM = 1e150

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class RuleTables(NamedTuple):
    """The rules of every type: types own responses, responses own terms.

    A response is one behaviour of one type. Those of type t are `first_response[t]` to `first_response[t + 1]`, in
    the order in which they are to be evaluated; the terms of response r are `first_term[r]` to `first_term[r + 1]`,
    those that increase first.
    """

    first_response: Integers  # (types + 1,)
    behaviour: Integers  # (responses,) id
    behaviour_kind: Integers  # (responses,) BehaviourKind
    behaviour_index: Integers  # (responses,) substrate, phase, type or variable
    base_value: Floats  # (responses,)
    changes_dead: NDArray[np.bool_]  # (responses,) some term applies to dead cells; without one they are left alone
    changes_signal: Integers  # (responses,) id of the signal that shows this behaviour (custom variables), else −1
    first_term: Integers  # (responses + 1,)
    signal: Integers  # (terms,) id
    signal_kind: Integers  # (terms,) SignalKind
    signal_index: Integers  # (terms,) substrate, type or variable
    increases: NDArray[np.bool_]  # (terms,)
    saturation: Floats  # (terms,) M or m
    half_max: Floats  # (terms,)
    hill_power: Floats  # (terms,)
    dead: NDArray[np.bool_]  # (terms,) applies to dead cells; for these, the other terms count 0


def compile_rules(model: AgentModel) -> RuleTables:
    """Return the rules of a model as tables; base values are those of the cell definitions."""
    responses: dict[tuple[int, int], list[Rule]] = {}
    for rule in model.rules:
        responses.setdefault((rule.cell_type, rule.behaviour), []).append(rule)
    keys = sorted(responses, key=lambda key: key[0])  # stable: the order of the file within a type
    terms = [sorted(responses[key], key=lambda rule: not rule.increases) for key in keys]
    base = behaviour_values(model)[tuple(np.array(keys, dtype=np.int64).reshape(-1, 2).T)]
    shared = model.compatibility == PHYSICELL
    flat = [rule for rows in terms for rule in rows]
    saturation = [s for rows, b in zip(terms, base, strict=True) for s in _saturations(rows, b, shared=shared)]
    behaviours, signals = model.behaviours, model.signals
    shows = {s.index: s.id for s in signals if s.kind is SignalKind.CUSTOM}
    targets = [behaviours[b] for _, b in keys]
    return RuleTables(
        first_response=np.searchsorted([t for t, _ in keys], np.arange(len(model.cell_types) + 1)).astype(np.int64),
        behaviour=_integers(b.id for b in targets),
        behaviour_kind=_integers(b.kind for b in targets),
        behaviour_index=_integers(b.index for b in targets),
        base_value=base,
        changes_dead=np.array([any(r.dead for r in rows) for rows in terms], dtype=np.bool_),
        changes_signal=_integers(shows[b.index] if b.kind is BehaviourKind.CUSTOM else -1 for b in targets),
        first_term=np.cumsum([0, *map(len, terms)], dtype=np.int64),
        signal=_integers(r.signal for r in flat),
        signal_kind=_integers(signals[r.signal].kind for r in flat),
        signal_index=_integers(signals[r.signal].index for r in flat),
        increases=np.array([r.increases for r in flat], dtype=np.bool_),
        saturation=np.array(saturation, dtype=np.float64),
        half_max=np.array([r.half_max for r in flat], dtype=np.float64),
        hill_power=np.array([r.hill_power for r in flat], dtype=np.float64),
        dead=np.array([r.dead for r in flat], dtype=np.bool_),
    )


def _integers(values) -> Integers:
    return np.array(list(values), dtype=np.int64)


def _saturations(rows: Sequence[Rule], base: float, *, shared: bool) -> list[float]:
    """Return each row's saturation; shared, it is the extreme of its direction, and b bounds it beside the other."""
    if not shared:
        return [rule.saturation for rule in rows]
    up = [rule.saturation for rule in rows if rule.increases]
    down = [rule.saturation for rule in rows if not rule.increases]
    most = max(up + ([base] if down else []), default=base)
    least = min(down + ([base] if up else []), default=base)
    return [most if rule.increases else least for rule in rows]


def hill_terms(signal: Floats, half_max: Floats | float, hill_power: Floats | float) -> Floats:
    """Return (signal/half_max)^hill_power, 0 for signals below 0, at most `MAX_TERM`.

    Examples
    --------
    >>> hill_terms(np.array([-1.0, 2.0, 1e9]), 1.0, 3.0)
    array([0.e+00, 8.e+00, 1.e+27])
    """
    with np.errstate(over="ignore"):
        return np.minimum((np.maximum(signal, 0.0) / half_max) ** hill_power, MAX_TERM)


def respond(tables: RuleTables, response: int, signals: Floats, *, dead: bool = False) -> float:
    """Return the value that one response gives a cell.

    Parameters
    ----------
    signals
        Every signal of the cell, (signals,).
    dead
        Whether the cell is dead: terms that do not apply to dead cells then count 0.
    """
    rows = slice(tables.first_term[response], tables.first_term[response + 1])
    s = hill_terms(signals[tables.signal[rows]], tables.half_max[rows], tables.hill_power[rows])
    if dead:
        s = np.where(tables.dead[rows], s, 0.0)
    up, goal, value = tables.increases[rows], tables.saturation[rows], float(tables.base_value[response])
    for chosen in (up, ~up):
        value += float(np.sum(s[chosen] * (goal[chosen] - value)) / (1 + np.sum(s[chosen])))
    return value


def apply_rules(
    tables: RuleTables, types: Integers, signals: Floats, values: Floats, *, dead: NDArray[np.bool_]
) -> None:
    """Write what the rules give into the behaviours of each cell: the reference for kernels, not fast.

    Parameters
    ----------
    types, dead
        Type and whether dead, (cells,).
    signals
        (cells, signals); custom variables that a rule sets change here too.
    values
        (cells, behaviours), overwritten where a response applies.
    """
    for cell, kind in enumerate(types):
        for response in range(tables.first_response[kind], tables.first_response[kind + 1]):
            if dead[cell] and not tables.changes_dead[response]:
                continue
            value = respond(tables, response, signals[cell], dead=bool(dead[cell]))
            values[cell, tables.behaviour[response]] = value
            if tables.changes_signal[response] >= 0:
                signals[cell, tables.changes_signal[response]] = value
