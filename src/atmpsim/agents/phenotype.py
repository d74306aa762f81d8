"""Read the parts of a phenotype: each function takes what the type inherits and returns what the file makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from atmpsim.agents.cycles import CYCLE_MODELS, LIVE, CycleModel
from atmpsim.agents.names import Names, position_of
from atmpsim.agents.spec import (
    PHYSICELL,
    Cycle,
    Death,
    Integrity,
    Interactions,
    Mechanics,
    Motility,
    Secretion,
    Volume,
)  # fmt: skip
from atmpsim.agents.tree import Node
from atmpsim.errors import one_of

_DEATH_ELEMENTS = {
    "unlysed_fluid_rate": "unlysed_fluid_change_rate", "lysed_fluid_rate": "lysed_fluid_change_rate",
    "cytoplasmic_rate": "cytoplasmic_biomass_change_rate", "nuclear_rate": "nuclear_biomass_change_rate",
    "calcification_rate": "calcification_rate", "relative_rupture_volume": "relative_rupture_volume",
}  # fmt: skip
_LEFT_OUT_IN_DEATH: dict[str, Any] = {
    "unlysed_fluid_rate": 3 / 60, "lysed_fluid_rate": 0.05 / 60, "cytoplasmic_rate": 1 / 60,
    "nuclear_rate": 0.35 / 60, "calcification_rate": 0.0, "relative_rupture_volume": 2.0,
}  # fmt: skip
_DEAD_PREY = {
    "phagocytose_apoptotic": "apoptotic_phagocytosis_rate", "phagocytose_necrotic": "necrotic_phagocytosis_rate",
    "phagocytose_other_dead": "other_dead_phagocytosis_rate",
}  # fmt: skip
_ATTACK = {"attack_damage_rate": "attack_damage_rate", "attack_duration": "attack_duration"}
_LIVE_IN_ALL_BUT_NAME = (3, 4)  # codes of models that PhysiCell itself replaces by Live
_DEATH_CODES = {"100": "apoptosis", "101": "necrosis"}


@dataclass(frozen=True)
class Reading:
    """What every reader of a part needs: the file's names, the mode, and where to note differences."""

    names: Names
    compatibility: str
    flat: bool
    notes: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Return whether PhysiCell's artefacts are wanted."""
        return self.compatibility == PHYSICELL


def fill(node: Node, part, fields: dict[str, str]):
    """Return a part with the numbers that the file gives; `fields` maps its attributes to elements."""
    given = {name: node.number(tag, default=getattr(part, name)) for name, tag in fields.items()}
    return replace(part, **given)


def by_name(
    nodes: Sequence[Node], values: Sequence[float], known: Sequence[str], reading: Reading, *, attribute: str = "name"
) -> tuple[float, ...]:
    """Return values with those replaced that the nodes name; PhysiCell passes over names it does not know."""
    changed, seen = list(values), set()
    for node in nodes:
        name = node.attribute(attribute)
        if reading.exact and name not in known:
            reading.notes.append(f"{node.where}: '{name}' is not in this model and is passed over")
            continue
        position = position_of(node, name, known, "substrate" if attribute == "substrate" else "cell type")
        if position in seen:
            raise node.refuse(f"a second <{node.tag}> for '{node.attributes[attribute]}'", "one")
        seen.add(position)
        changed[position] = node.as_number()
    return tuple(changed)


def read_cycle(node: Node, inherited: Cycle, reading: Reading) -> Cycle:
    """Return a type's cycle: stock rates of a new model, inherited ones of the same model, then the file's own."""
    model = _cycle_model(node, inherited.model, reading)
    cycle = inherited
    if model is not inherited.model:
        cycle = replace(inherited, model=model, rates=model.rates, fixed=model.fixed)
    elif reading.exact and node.attributes.get("code"):
        cycle = replace(inherited, fixed=model.fixed)  # PhysiCell hands on the rates, not the kind of the phases
    rates, fixed = read_phases(node, cycle.rates, cycle.fixed, circle=True)
    cycle = replace(cycle, rates=rates, fixed=fixed)
    division = node.child("standard_asymmetric_division")
    return cycle if division is None or not division.switched_on() else _asymmetric(division, cycle, reading)


def _cycle_model(node: Node, inherited: CycleModel, reading: Reading) -> CycleModel:
    code, name = node.attributes.get("code", ""), node.attributes.get("name", "")
    if code:
        if code.isdecimal() and int(code) in _LIVE_IN_ALL_BUT_NAME:
            reading.notes.append(f"{node.where}: cycle code {code} is read as Live (5), as PhysiCell does")
            return LIVE
        if not code.isdecimal() or int(code) not in CYCLE_MODELS:
            allowed = ", ".join(f"{c} ({m.name})" for c, m in CYCLE_MODELS.items())
            raise node.refuse(f"code='{code}'", f"one of {allowed}")
        return CYCLE_MODELS[int(code)]
    if not name:
        return inherited
    named = {m.name.lower(): m for m in CYCLE_MODELS.values()}
    if name.lower() not in named:
        raise node.refuse(f"name='{name}'", one_of(m.name for m in CYCLE_MODELS.values()))
    if reading.exact:
        return inherited
    if named[name.lower()] is not inherited:
        reading.notes.append(f"{node.where}: the cycle is chosen by its name; PhysiCell chooses by code= alone")
    return named[name.lower()]


def read_phases(
    node: Node, rates: Sequence[float], fixed: Sequence[bool], *, circle: bool
) -> tuple[tuple[float, ...], tuple[bool, ...]]:
    """Return rates and kinds of phases with those replaced that the file gives; durations win over rates."""
    new_rates, new_fixed, count = list(rates), list(fixed), len(rates)
    nodes = node.all("phase_transition_rates", "rate") + node.all("transition_rates", "rate")
    for rate in nodes:
        start, end = rate.index("start_index", count), rate.index("end_index", count if circle else count + 1)
        if end != ((start + 1) % count if circle else start + 1):
            raise rate.refuse(f"a transition from {start} to {end}", f"end_index='{(start + 1) % count}'")
        new_rates[start], new_fixed[start] = rate.as_number(), _fixed(rate)
    for duration in node.all("phase_durations", "duration"):
        start = duration.index("index", count)
        new_rates[start], new_fixed[start] = 1 / (duration.as_number() + 1e-16), _fixed(duration)
    return tuple(new_rates), tuple(new_fixed)


def _fixed(node: Node) -> bool:
    return node.as_flag(node.attributes.get("fixed_duration", "false"), "fixed_duration")


def _asymmetric(node: Node, cycle: Cycle, reading: Reading) -> Cycle:
    nodes, types = node.all("asymmetric_division_probability"), reading.names.types
    return replace(
        cycle, asymmetric=True, asymmetric_division=by_name(nodes, cycle.asymmetric_division, types, reading)
    )


def read_deaths(
    node: Node, apoptosis: Death, necrosis: Death, reading: Reading, *, default: bool
) -> tuple[Death, Death]:
    """Return how cells of a type undergo apoptosis and necrosis.

    PhysiCell fills what the default type leaves out, in both, with numbers of its own: so does `compatibility`.
    """
    found = {"apoptosis": apoptosis, "necrosis": necrosis}
    seen: set[str] = set()
    for model in node.all("model"):
        code, name = model.attributes.get("code", ""), model.attributes.get("name", "").lower()
        way = _DEATH_CODES.get(code) if code else name
        if way not in found:
            raise model.refuse(f"code='{code}' name='{name}'", "code='100' (apoptosis) or code='101' (necrosis)")
        if way in seen:
            raise model.refuse(f"a second {way}", "one")
        seen.add(way)
        start = found[way]
        if default and reading.exact:
            start = replace(start, **_LEFT_OUT_IN_DEATH)
        found[way] = _death(model, start)
        lost = set(_DEATH_ELEMENTS.values()) - {c.tag for part in model.all("parameters") for c in part.children}
        if default and lost and way == "necrosis" and not reading.exact:
            reading.notes.append(f"{model.where}: {', '.join(sorted(lost))} of necrosis are the usual ones; "
                                 "PhysiCell takes those of apoptosis")  # fmt: skip
    return found["apoptosis"], found["necrosis"]


def _death(node: Node, inherited: Death) -> Death:
    rates, fixed = read_phases(node, inherited.phase_rates, inherited.phase_fixed, circle=False)
    rate = node.number("rate", default=node.number("death_rate", default=inherited.rate))
    death = replace(inherited, rate=rate, phase_rates=rates, phase_fixed=fixed)
    parameters = node.child("parameters")
    if parameters is None:
        return death
    return fill(parameters, death, _DEATH_ELEMENTS)


def read_volume(node: Node, inherited: Volume) -> Volume:
    """Return the volumes of a type; the nucleus must fit into the cell."""
    volume = fill(node, inherited, {
        "total": "total", "nuclear": "nuclear", "fluid_fraction": "fluid_fraction",
        "fluid_rate": "fluid_change_rate", "cytoplasmic_rate": "cytoplasmic_biomass_change_rate",
        "nuclear_rate": "nuclear_biomass_change_rate", "calcified_fraction": "calcified_fraction",
        "calcification_rate": "calcification_rate", "relative_rupture_volume": "relative_rupture_volume",
    })  # fmt: skip
    if volume.nuclear > volume.total:
        place = node.child("nuclear") or node
        raise place.refuse(f"a nucleus of {volume.nuclear:g} µm³", f"at most the cell's {volume.total:g} µm³",
                           "Give both <total> and <nuclear>.")  # fmt: skip
    return volume


def read_mechanics(node: Node, inherited: Mechanics, reading: Reading, *, radius: float) -> Mechanics:
    """Return the mechanics of a type; an equilibrium distance replaces the adhesion strength."""
    mechanics = fill(node, inherited, {
        "adhesion": "cell_cell_adhesion_strength", "repulsion": "cell_cell_repulsion_strength",
        "membrane_adhesion": "cell_BM_adhesion_strength", "membrane_repulsion": "cell_BM_repulsion_strength",
        "adhesion_distance": "relative_maximum_adhesion_distance",
        "elastic_constant": "attachment_elastic_constant", "attachment_rate": "attachment_rate",
        "detachment_rate": "detachment_rate", "max_attachments": "maximum_number_of_attachments",
    })  # fmt: skip
    affinities = node.all("cell_adhesion_affinities", "cell_adhesion_affinity")
    mechanics = replace(mechanics, affinities=by_name(affinities, mechanics.affinities, reading.names.types, reading))
    for tag, unit in (("set_relative_equilibrium_distance", 1.0), ("set_absolute_equilibrium_distance", radius)):
        distance = node.child("options", tag)
        if distance is not None and distance.switched_on():
            mechanics = replace(mechanics, adhesion=_balanced(distance, mechanics, distance.as_number() / unit))
    return mechanics


def _balanced(node: Node, mechanics: Mechanics, distance: float) -> float:
    """Return the adhesion that balances repulsion of two equal cells `distance` radii apart."""
    reach = 2 * mechanics.adhesion_distance
    if not 0 < distance <= 2 or distance >= reach:
        raise node.refuse(f"an equilibrium distance of {distance:g} radii", f"above 0, at most 2, below {reach:g}")
    return mechanics.repulsion * ((1 - distance / 2) / (1 - distance / reach)) ** 2


def read_motility(node: Node, inherited: Motility, reading: Reading) -> Motility:
    """Return how cells of a type crawl."""
    motility = fill(node, inherited, {"speed": "speed", "persistence": "persistence_time", "bias": "migration_bias"})
    options = node.child("options")
    if options is None:
        return motility
    motility = replace(
        motility,
        enabled=options.flag("enabled", default=motility.enabled),
        two_dimensional=reading.flat or options.flag("use_2D", default=motility.two_dimensional),
    )
    simple, advanced = options.child("chemotaxis"), options.child("advanced_chemotaxis")
    if simple is not None:
        motility = _chemotaxis(simple, motility, reading)
    if advanced is not None:
        nodes = advanced.all("chemotactic_sensitivities", "chemotactic_sensitivity")
        values = by_name(nodes, motility.sensitivities, reading.names.substrates, reading, attribute="substrate")
        motility = replace(
            motility, sensitivities=values, advanced=advanced.flag("enabled", default=motility.advanced),
            normalise_gradients=advanced.flag("normalize_each_gradient", default=motility.normalise_gradients),
        )  # fmt: skip
    return motility


def _chemotaxis(node: Node, motility: Motility, reading: Reading) -> Motility:
    on, name = node.flag("enabled", default=motility.chemotaxis), node.word("substrate")
    if not name and not on:
        return replace(motility, chemotaxis=False)
    substrate = reading.names.substrate(node.child("substrate") or node, name)
    direction = int(node.number("direction", default=motility.chemotaxis_direction))
    return replace(motility, chemotaxis=on, chemotaxis_substrate=substrate, chemotaxis_direction=direction)


def read_secretion(node: Node, inherited: Secretion, reading: Reading) -> Secretion:
    """Return what cells of a type exchange with the fields."""
    tags = {"rates": "secretion_rate", "targets": "secretion_target", "uptake": "uptake_rate",
            "export": "net_export_rate"}  # fmt: skip
    values = {name: list(getattr(inherited, name)) for name in tags}
    seen: set[int] = set()
    for substrate in node.all("substrate"):
        position = reading.names.substrate(substrate, substrate.attribute("name"))
        if position in seen:
            raise substrate.refuse(f"a second <substrate> '{substrate.attributes['name']}'", "one")
        seen.add(position)
        for name, tag in tags.items():
            values[name][position] = substrate.number(tag, default=values[name][position])
    return Secretion(**{name: tuple(numbers) for name, numbers in values.items()})


def read_interactions(node: Node, inherited: Interactions, reading: Reading) -> Interactions:
    """Return what cells of a type do to their neighbours.

    Numbers that are left out keep what the type inherits; in PhysiCell they become 0.
    """
    start = _left_out(node, inherited, reading)
    if (general := node.child("dead_phagocytosis_rate")) is not None:
        rate = general.as_number()
        start = replace(
            start, phagocytose_apoptotic=rate, phagocytose_necrotic=rate, phagocytose_other_dead=rate
        )  # fmt: skip
    start = fill(node, start, _DEAD_PREY | _ATTACK)
    types = reading.names.types
    live = node.all("live_phagocytosis_rates", "phagocytosis_rate")
    return replace(
        start,
        phagocytose_live=by_name(live, start.phagocytose_live, types, reading),
        attack=by_name(node.all("attack_rates", "attack_rate"), start.attack, types, reading),
        fuse=by_name(node.all("fusion_rates", "fusion_rate"), start.fuse, types, reading),
    )


def _left_out(node: Node, inherited: Interactions, reading: Reading) -> Interactions:
    """Return the interactions from which the file's own numbers start."""
    dead_given = node.child("dead_phagocytosis_rate") is not None
    missing = [
        name for name, tag in (_DEAD_PREY | _ATTACK).items()
        if node.child(tag) is None and not (dead_given and name in _DEAD_PREY)
    ]  # fmt: skip
    if reading.exact:
        zeros: dict[str, Any] = dict.fromkeys(missing, 0.0)
        return replace(inherited, **zeros)
    for name in missing:
        kept = getattr(inherited, name)
        if kept != 0:
            reading.notes.append(
                f"{node.where}: {name.replace('_', ' ')} is not given and stays {kept:g}; PhysiCell makes it 0"
            )
    # the name that attack_damage_rate had before PhysiCell 1.14
    return replace(inherited, attack_damage_rate=node.number("damage_rate", default=inherited.attack_damage_rate))


def read_transformations(node: Node, inherited: Sequence[float], reading: Reading, *, own: int) -> tuple[float, ...]:
    """Return the rates at which cells of a type become others; a rate into the own type is refused."""
    nodes = node.all("transformation_rates", "transformation_rate")
    rates = by_name(nodes, inherited, reading.names.types, reading)
    if rates[own] > 0:
        place = next(n for n in nodes if n.attributes["name"] == reading.names.types[own])
        raise place.refuse(f"a rate of {rates[own]:g} into the own type", "0", "Name another type.")
    return rates


def read_integrity(node: Node, inherited: Integrity) -> Integrity:
    """Return the damage that cells of a type take by themselves, and its repair."""
    return fill(node, inherited, {"damage_rate": "damage_rate", "repair_rate": "damage_repair_rate"})
