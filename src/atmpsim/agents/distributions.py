"""Read how the first cells of a type vary: the initial parameter distributions of a cell definition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from atmpsim.agents.behaviours import Behaviour, behaviour_ids
from atmpsim.agents.spec import CellType, Distribution
from atmpsim.agents.tree import Node
from atmpsim.agents.values import type_values
from atmpsim.errors import did_you_mean, one_of

_KINDS = {kind.lower(): kind for kind in ("Uniform", "LogUniform", "Normal", "LogNormal", "Log10Normal")}


def read_distributions(root: Node, types: Sequence[CellType], behaviours: Sequence[Behaviour]) -> tuple[CellType, ...]:
    """Return the types with the distributions of their first cells.

    Raises
    ------
    ModelError
        If a distribution or behaviour is unknown, or the type's own value lies outside.
    """
    table, known = type_values(types, behaviours), behaviour_ids(behaviours)
    made = []
    for node, kind in zip(root.all("cell_definitions", "cell_definition"), types, strict=True):
        section = node.child("initial_parameter_distributions")
        wanted = section.all("distribution") if section and section.switched_on(default=True) else []
        found = []
        for one in (w for w in wanted if w.switched_on(default=True)):
            behaviour = _behaviour(one, known)
            base = kind.volume.total if behaviour < 0 else table[kind.id, behaviour]
            found.append(_distribution(one, behaviour, base))
        made.append(replace(kind, distributions=tuple(found)))
    return tuple(made)


def _behaviour(node: Node, known: Mapping[str, int]) -> int:
    name = node.word("behavior", default=node.word("behaviour"))
    if name.lower() == "volume":
        return -1
    if name not in known:
        raise node.refuse(f"the behaviour '{name}'", "volume, or a behaviour of the grammar", did_you_mean(name, known))
    return known[name]


def _distribution(node: Node, behaviour: int, base: float) -> Distribution:
    kind = _KINDS.get(node.attribute("type").lower())
    if kind is None:
        raise node.refuse(f"type='{node.attributes['type']}'", one_of(_KINDS.values()))
    keys = ("min", "max") if kind.endswith("Uniform") else ("mu", "sigma")
    for key in keys:
        if node.child(key) is None:
            raise node.refuse(f"no <{key}>", f"<{keys[0]}> and <{keys[1]}>")
    first, second = (node.number(key, default=0.0) for key in keys)
    lower, upper = -math.inf, math.inf
    if keys[0] == "min":
        lower, upper = first, second
    else:
        lower = node.number("lower_bound", default=0.0 if kind.startswith("Log") else -math.inf)
        upper = node.number("upper_bound", default=math.inf)
    if lower > upper or (kind == "LogUniform" and lower <= 0) or (kind.startswith("Log") and lower < 0):
        raise node.refuse(f"a range from {lower:g} to {upper:g}", "a range that holds values of this distribution")
    check = node.as_flag(node.attributes.get("check_base", "true"), "check_base")
    if check and not lower <= base <= upper:
        raise node.refuse(f"the type's own value {base:g}", f"a value from {lower:g} to {upper:g}",
                          'Widen the range, or set check_base="false".')  # fmt: skip
    if keys[0] == "mu" and not _reachable(kind, first, second, lower, upper):
        raise node.refuse(f"bounds {lower:g} and {upper:g} more than 6 standard deviations away", "bounds it can reach")
    return Distribution(behaviour=behaviour, kind=kind, parameters=(first, second), lower=lower, upper=upper)


def _reachable(kind: str, mean: float, deviation: float, lower: float, upper: float) -> bool:
    """Return whether repeated draws would soon fall between the bounds."""
    scale = {"Normal": float, "LogNormal": lambda x: math.log(x) if x > 0 else -math.inf,
             "Log10Normal": lambda x: math.log10(x) if x > 0 else -math.inf}[kind]  # fmt: skip
    low, high = (scale(x) if math.isfinite(x) else x for x in (lower, upper))
    return low < high and low < mean + 6 * deviation and high > mean - 6 * deviation
