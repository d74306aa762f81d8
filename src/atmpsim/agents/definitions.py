"""Read the cell definitions: what each inherits, its phenotype and its custom data.

The definition `ID="0"` or `name="default"` is the default type. A definition without `parent_type` starts as a copy
of the default as read so far, but neither moves, exchanges, interacts nor transforms unless it says so; one with
`parent_type` starts as a full copy of that type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atmpsim.agents.phenotype import (
    Reading,
    read_cycle,
    read_deaths,
    read_integrity,
    read_interactions,
    read_mechanics,
    read_motility,
    read_secretion,
    read_transformations,
    read_volume,
)  # fmt: skip
from atmpsim.agents.spec import (
    CellType,
    CustomVariable,
    Cycle,
    Death,
    Interactions,
    Mechanics,
    Motility,
    Secretion,
)  # fmt: skip
from atmpsim.agents.tree import Node
from atmpsim.errors import did_you_mean, one_of


def read_definitions(root: Node, reading: Reading) -> tuple[tuple[CellType, ...], tuple[CustomVariable, ...]]:
    """Return the cell types and the custom variables that they share."""
    nodes = root.all("cell_definitions", "cell_definition")
    custom = _custom_variables(nodes)
    legacy = root.flag("options", "legacy_cell_defaults_copy")
    made: list[CellType] = []
    default = _blank(reading, len(custom))
    for position, node in enumerate(nodes):
        is_default = position == 0 or node.attribute("name") == "default"
        start = _inherited(node, made, default, whole=is_default or legacy)
        start = replace(start, id=position, name=node.attribute("name"))
        made.append(_definition(start, node, custom, reading, default=is_default and not start.parent))
        if is_default:
            default = made[-1]
    return tuple(_common_deaths(nodes, made, reading)), custom


def _blank(reading: Reading, custom: int) -> CellType:
    substrates, types = len(reading.names.substrates), len(reading.names.types)
    none, nobody = (0.0,) * substrates, (0.0,) * types
    return CellType(
        id=0, name="", cycle=Cycle(asymmetric_division=nobody), mechanics=Mechanics(affinities=(1.0,) * types),
        motility=Motility(sensitivities=none, two_dimensional=reading.flat),
        secretion=Secretion(rates=none, targets=none, uptake=none, export=none),
        interactions=Interactions(phagocytose_live=nobody, attack=nobody, fuse=nobody, immunogenicity=(1.0,) * types),
        transformations=nobody, custom=(0.0,) * custom,
    )  # fmt: skip


def _inherited(node: Node, made: Sequence[CellType], default: CellType, *, whole: bool) -> CellType:
    name = node.attributes.get("parent_type", "")
    if name:
        known = {t.name: t for t in made}
        if name not in known:
            raise node.refuse(f"parent_type='{name}'", f"a definition above it: {one_of(known)}",
                              did_you_mean(name, known) or "Move the parent above its children.")  # fmt: skip
        return replace(known[name], parent=name)
    if whole:
        return replace(default, parent="")
    return _inactive(default)


def _inactive(default: CellType) -> CellType:
    """Return a copy of the default type that neither moves, exchanges, interacts nor transforms."""
    none, nobody = (0.0,) * len(default.secretion.rates), (0.0,) * len(default.transformations)
    return replace(
        default,
        parent="",
        cycle=replace(default.cycle, asymmetric_division=nobody),
        motility=replace(default.motility, enabled=False, chemotaxis=False, advanced=False, sensitivities=none),
        secretion=Secretion(rates=none, targets=none, uptake=none, export=none),
        interactions=replace(
            default.interactions, phagocytose_apoptotic=0.0, phagocytose_necrotic=0.0, phagocytose_other_dead=0.0,
            phagocytose_live=nobody, attack=nobody, fuse=nobody, attack_damage_rate=1.0,
        ),
        transformations=nobody,
    )  # fmt: skip


def _definition(
    start: CellType, node: Node, custom: Sequence[CustomVariable], reading: Reading, *, default: bool
) -> CellType:
    read = replace(start, custom=_custom_values(node, start.custom, custom), distributions=())
    if (part := node.child("phenotype", "cycle")) is not None:
        read = replace(read, cycle=_check_division(part, read_cycle(part, read.cycle, reading), own=read.id))
    if (part := node.child("phenotype", "death")) is not None:
        apoptosis, necrosis = read_deaths(part, read.apoptosis, read.necrosis, reading, default=default)
        read = replace(read, apoptosis=apoptosis, necrosis=necrosis)
    if (part := node.child("phenotype", "volume")) is not None:
        read = replace(read, volume=read_volume(part, read.volume))
    if (part := node.child("phenotype", "mechanics")) is not None:
        read = replace(read, mechanics=read_mechanics(part, read.mechanics, reading, radius=read.volume.radius))
    if (part := node.child("phenotype", "motility")) is not None:
        read = replace(read, motility=read_motility(part, read.motility, reading))
    if (part := node.child("phenotype", "secretion")) is not None:
        read = replace(read, secretion=read_secretion(part, read.secretion, reading))
    if (part := node.child("phenotype", "cell_interactions")) is not None:
        read = replace(read, interactions=read_interactions(part, read.interactions, reading))
    if (part := node.child("phenotype", "cell_transformations")) is not None:
        rates = read_transformations(part, read.transformations, reading, own=read.id)
        read = replace(read, transformations=rates)
    if (part := node.child("phenotype", "cell_integrity")) is not None:
        read = replace(read, integrity=read_integrity(part, read.integrity))
    return read


def _check_division(node: Node, cycle: Cycle, *, own: int) -> Cycle:
    """Return the cycle with probabilities that add up to at most 1: an excess is taken from the own type."""
    chances = list(cycle.asymmetric_division)
    excess = sum(chances) - 1
    if excess > 1e-12:
        chances[own] -= excess
        if chances[own] < 0:
            raise node.refuse(f"probabilities of asymmetric division that add up to {excess + 1:g}", "at most 1")
    return replace(cycle, asymmetric_division=tuple(chances))


def _common_deaths(nodes: Sequence[Node], types: Sequence[CellType], reading: Reading) -> list[CellType]:
    """Return the types; in PhysiCell all die with the phases of the last definition that gives any."""
    made = list(types)
    for way, code in (("apoptosis", "100"), ("necrosis", "101")):
        last = [t for node, t in zip(nodes, types, strict=True) if _gives_phases(node, way, code)]
        if not last:
            continue
        winner: Death = getattr(last[-1], way)
        phases = {"phase_rates": winner.phase_rates, "phase_fixed": winner.phase_fixed}
        others = [t.name for t in types if _phases(getattr(t, way)) != _phases(winner)]
        if reading.exact:
            made = [replace(t, **{way: replace(getattr(t, way), **phases)}) for t in made]
        elif others:
            reading.notes.append(f"the phases of {way} are each type's own; PhysiCell uses those of "
                                 f"'{last[-1].name}' for all, also for {', '.join(others)}")  # fmt: skip
    return made


def _gives_phases(node: Node, way: str, code: str) -> bool:
    models = [m for m in node.all("phenotype", "death", "model") if m.attributes.get("code", "") in (code, "")]
    return any(
        (m.attributes.get("code") or m.attributes.get("name", "").lower()) in (code, way)
        and any(c.tag in ("phase_durations", "phase_transition_rates", "transition_rates") for c in m.children)
        for m in models
    )


def _phases(death: Death) -> tuple:
    # the last phase alone: necrosis leaves its first by rupture; 1/516 and 0.001938 are meant to be the same
    return f"{death.phase_rates[-1]:.3g}", death.phase_fixed[-1]


def _custom_variables(nodes: Sequence[Node]) -> tuple[CustomVariable, ...]:
    found: dict[str, CustomVariable] = {}
    for variable in (v for node in nodes for part in node.all("custom_data") for v in part.children):
        conserved = variable.as_flag(variable.attributes.get("conserved", "false"), "conserved")
        known = found.get(variable.tag)
        if known is None:
            found[variable.tag] = CustomVariable(
                id=len(found), name=variable.tag, unit=variable.attributes.get("units", ""), conserved=conserved,
                description=variable.attributes.get("description", ""),
            )  # fmt: skip
        elif known.conserved != conserved:
            raise variable.refuse(f"conserved='{str(conserved).lower()}'", "the same in every cell definition")
    return tuple(found.values())


def _custom_values(node: Node, inherited: Sequence[float], custom: Sequence[CustomVariable]) -> tuple[float, ...]:
    values, positions = list(inherited), {v.name: v.id for v in custom}
    for variable in (v for part in node.all("custom_data") for v in part.children):
        if "," in variable.text:
            raise variable.refuse("several values", "one number", "Use one element for each.")
        values[positions[variable.tag]] = variable.as_finite()
    return tuple(values)
