"""Every number of an agent model that a scenario may set: its id, unit and value, and how it goes into the model.

Ids are the words of the files with `_` between them: `virus.diffusion`, `T_cell.migration_speed`,
`rule_3.half_max`, `tumour.infection_probability`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from atmpsim.agents.behaviours import MAY_BE_NEGATIVE, Behaviour, BehaviourKind
from atmpsim.agents.spec import FACES, AgentModel, Substrate
from atmpsim.agents.values import PATHS
from atmpsim.errors import ModelError

_UNITS = {"µm/min": "um/min", "damage/min": "1/min", "0 or 1": "1", "": "1"}
_PER_VOLUME = re.compile(r"\s*/\s*(micron|um|µm)\s*(\^|\*\*)?\s*3")
_VOLUMES = {"total": "volume of a new cell", "nuclear": "its nucleus"}
_RULES = {"saturation": "value that the behaviour tends to", "half_max": "signal of half the effect",
          "hill_power": "steepness"}  # fmt: skip
_RECRUITMENT = {"base_rate": "1/min", "max_rate": "1/min", "half_max": "", "hill_power": "1", "limit": "cell"}

_STOCK = {
    "migration_speed": 1.0, "migration_persistence_time": 1.0, "cell_cell_adhesion": 0.4, "cell_cell_repulsion": 10.0,
    "cell_cell_adhesion_elastic_constant": 0.01, "relative_maximum_adhesion_distance": 1.25, "cell_BM_adhesion": 4.0,
    "cell_BM_repulsion": 10.0, "is_movable": 1.0, "maximum_number_of_cell_attachments": 12.0, "attack_damage_rate": 1.0,
    "attack_duration": 30.0, "total_volume": 2494.0, "nuclear_volume": 540.0,
}  # fmt: skip

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Settable:
    """A number: where it stands in the model (attributes and positions), and the least that it may be."""

    id: str
    unit: str
    value: float
    meaning: str
    path: Path
    least: float = 0.0


def word(text: str) -> str:
    """Return a name of a file as one word.

    Examples
    --------
    >>> word("T cell"), word("cell-cell adhesion")
    ('T_cell', 'cell_cell_adhesion')
    """
    return re.sub(r"\W+", "_", text).strip("_")


def words(model: AgentModel) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids of the cell types and of the substrates; names that would be one word get a number."""
    made: list[str] = []
    for name in (*(t.name for t in model.cell_types), *(s.name for s in model.substrates)):
        stem, number = word(name) or "unnamed", 2
        own = stem
        while own in made:
            own, number = f"{stem}_{number}", number + 1
        made.append(own)
    count = len(model.cell_types)
    return tuple(made[:count]), tuple(made[count:])


def density_unit(substrate: Substrate) -> str:
    """Return the unit of a substrate's density, in atmpsim's words."""
    text = _PER_VOLUME.sub("/um^3", substrate.unit.strip())
    return "1" if text in ("", "dimensionless", "none") else text


def amount_unit(substrate: Substrate) -> str:
    """Return the unit of an amount of a substrate: density times µm³."""
    unit = density_unit(substrate)
    if unit.endswith("/um^3"):
        return unit.removesuffix("/um^3")
    return "um^3" if unit == "1" else f"{unit}*um^3"


def settables(model: AgentModel) -> dict[str, Settable]:
    """Return every settable number by its id."""
    made: dict[str, Settable] = {}
    for one in (*_of_substrates(model), *_of_types(model), *_of_rules(model), *_of_extension(model)):
        made.setdefault(one.id, one)
    return made


def stock_value(name: str) -> float:
    """Return the value that a number has where no file gives it one."""
    last = name.partition(".")[2]
    if last.startswith(("adhesive_affinity_to_", "immunogenicity_to_")):
        return 1.0
    return _STOCK.get(last, 0.0)


def with_values(model: AgentModel, values: Mapping[str, float], *, where: str) -> AgentModel:
    """Return a model in which some settable numbers have other values.

    Raises
    ------
    ModelError
        If a value is less than the number may be, or not finite.
    """
    known = settables(model) if values else {}
    for name, value in values.items():
        one = known[name]
        if not math.isfinite(value) or value < one.least:
            raise ModelError(where=f"{where} {name}", found=f"{value:g} {one.unit}".rstrip(" 1"),
                             expected=f"a number of at least {one.least:g}")  # fmt: skip
        model = _replaced(model, one.path, value)
    return model


def _replaced(thing: Any, path: Path, value: float) -> Any:
    if not path:
        kind = type(thing)
        return value > 0.5 if kind is bool else round(value) if kind is int else value
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        return (*thing[:first], _replaced(thing[first], rest, value), *thing[first + 1 :])
    return replace(thing, **{first: _replaced(getattr(thing, first), rest, value)})


def _of_substrates(model: AgentModel) -> Iterator[Settable]:
    for name, s in zip(words(model)[1], model.substrates, strict=True):
        path = "substrates", s.id
        yield Settable(id=f"{name}.diffusion", unit="um^2/min", value=s.diffusion, path=(*path, "diffusion"),
                       meaning=f"diffusion coefficient of {s.name}")  # fmt: skip
        yield Settable(id=f"{name}.decay", unit="1/min", value=s.decay, path=(*path, "decay"),
                       meaning=f"decay of {s.name}")  # fmt: skip
        yield Settable(id=f"{name}.initial", unit=density_unit(s), value=s.initial, path=(*path, "initial"),
                       least=-math.inf, meaning=f"{s.name} everywhere at the start")  # fmt: skip
        for k, (face, value) in enumerate(zip(FACES, s.boundary, strict=True)):
            if value is not None:
                yield Settable(id=f"{name}.{face}", unit=density_unit(s), value=value, path=(*path, "boundary", k),
                               least=-math.inf, meaning=f"value of {s.name} kept at {face}")  # fmt: skip


def _of_types(model: AgentModel) -> Iterator[Settable]:
    for name, kind in zip(words(model)[0], model.cell_types, strict=True):
        for b in model.behaviours:
            steps = PATHS[b.kind].split(".")
            value: Any = kind
            for step in steps:
                value = getattr(value, step)
            path: Path = ("cell_types", kind.id, *steps)
            if isinstance(value, tuple):
                if b.index >= len(value):
                    continue
                value, path = value[b.index], (*path, b.index)
            least = -math.inf if b.kind in MAY_BE_NEGATIVE else 0.0
            yield Settable(id=f"{name}.{word(b.name)}", unit=_unit(model, b), value=float(value), path=path,
                           meaning=f"{b.name} of {kind.name}", least=least)  # fmt: skip
        for part, said in _VOLUMES.items():
            yield Settable(id=f"{name}.{part}_volume", unit="um^3", value=getattr(kind.volume, part),
                           path=("cell_types", kind.id, "volume", part), meaning=f"{said}, {kind.name}")  # fmt: skip


def _unit(model: AgentModel, behaviour: Behaviour) -> str:
    if behaviour.kind is BehaviourKind.EXPORT:
        return f"{amount_unit(model.substrates[behaviour.index])}/min"
    if behaviour.kind is BehaviourKind.SECRETION_TARGET:
        return density_unit(model.substrates[behaviour.index])
    return _UNITS.get(behaviour.unit, behaviour.unit)


def _of_rules(model: AgentModel) -> Iterator[Settable]:
    for k, rule in enumerate(model.rules):
        behaviour, way = model.behaviours[rule.behaviour], "increases" if rule.increases else "decreases"
        said = f"{model.cell_types[rule.cell_type].name}: {model.signals[rule.signal].name} {way} {behaviour.name}"
        for part, what in _RULES.items():
            unit = _unit(model, behaviour) if part == "saturation" else "1" if part == "hill_power" else ""
            free = part == "saturation" and behaviour.kind in MAY_BE_NEGATIVE
            yield Settable(id=f"rule_{k + 1}.{part}", unit=unit, value=getattr(rule, part), path=("rules", k, part),
                           meaning=f"{what}; {said}", least=-math.inf if free else 0.0)  # fmt: skip


def _of_extension(model: AgentModel) -> Iterator[Settable]:
    types, substrates = words(model)
    blocks = model.extension

    def one(block: str, k: int, part: str, name: str, unit: str, meaning: str) -> Settable:
        thing = getattr(blocks, block)[k]
        return Settable(id=name, unit=unit, value=float(getattr(thing, part)), path=("extension", block, k, part),
                        meaning=f"{meaning}, {model.cell_types[thing.cell_type].name}",
                        least=-1.0 if part == "limit" else 0.0)  # fmt: skip

    for k, i in enumerate(blocks.infections):
        several = sum(o.cell_type == i.cell_type for o in blocks.infections) > 1
        by = f"{types[i.cell_type]}.{f'{substrates[i.substrate]}_' if several else ''}infection"
        yield one("infections", k, "probability", f"{by}_probability", "1", "probability that a particle infects")
        if i.inhibitor >= 0:
            unit = density_unit(model.substrates[i.inhibitor])
            yield one("infections", k, "inhibitor_half", f"{by}_inhibitor_half", unit, "inhibitor halving infection")
    for k, c in enumerate(blocks.clocks):
        yield one("clocks", k, "mean", f"{types[c.cell_type]}.clock_mean", "min", "mean time of the clock")
        yield one("clocks", k, "stages", f"{types[c.cell_type]}.clock_stages", "1", "stages of the clock")
    for k, p in enumerate(blocks.replications):
        name, unit = (
            f"{types[p.cell_type]}.{substrates[p.substrate]}_replication",
            amount_unit(model.substrates[p.substrate]),
        )
        rate = f"{unit}/min" if p.law == "linear" else "1/min"
        yield one("replications", k, "rate", f"{name}_rate", rate, "growth inside")
        yield one("replications", k, "capacity", f"{name}_capacity", unit, "most that grows inside")
    for k, b in enumerate(blocks.bursts):
        unit = "1" if b.size == "internalised" else amount_unit(model.substrates[b.substrate])
        yield one(
            "bursts", k, "amount", f"{types[b.cell_type]}.{substrates[b.substrate]}_burst", unit, "burst at lysis"
        )
    for k, a in enumerate(blocks.arrivals):
        yield one("arrivals", k, "age", f"{types[a.cell_type]}.arrival_age", "min", "age of the clock at arrival")
    for k, m in enumerate(blocks.recruitments):
        for part, unit in _RECRUITMENT.items():
            if part == "half_max":
                unit = density_unit(model.substrates[m.substrate]) if m.substrate >= 0 else "1"
            yield one("recruitments", k, part, f"{types[m.cell_type]}.recruitment_{part}", unit, f"recruitment: {part}")
