"""Read the <atmpsim:extension> block of a settings file, which PhysiCell passes over.

```xml
<atmpsim:extension xmlns:atmpsim="urn:atmpsim:agents:1">
  <atmpsim:infection cell_type="tumour" substrate="virus" becomes="infected tumour">
    <atmpsim:probability>0.05</atmpsim:probability>
    <atmpsim:inhibitor substrate="interferon"><atmpsim:half>1</atmpsim:half></atmpsim:inhibitor>
  </atmpsim:infection>
  <atmpsim:clock cell_type="infected tumour" becomes="lysing tumour">
    <atmpsim:stages>4</atmpsim:stages><atmpsim:mean units="min">3600</atmpsim:mean>
  </atmpsim:clock>
</atmpsim:extension>
```

What the blocks mean stands in `atmpsim.agents.extension`.
"""

from __future__ import annotations

from collections.abc import Sequence

from atmpsim.agents.extension import Arrival, Burst, Clock, Extension, Infection, Recruitment, Replication
from atmpsim.agents.names import Names
from atmpsim.agents.tree import Node

_SIZES = ("fixed", "poisson", "geometric", "internalised")
_LAWS = ("linear", "exponential")


def read_extension(root: Node, names: Names) -> Extension:
    """Return what a file adds to PhysiCell's grammar.

    Raises
    ------
    ModelError
        If a type or substrate is unknown, a number is missing, or two blocks contradict one another.
    """
    node = root.child("atmpsim:extension")
    if node is None:
        return Extension()
    extension = Extension(
        infections=tuple(_infection(n, names) for n in node.all("atmpsim:infection")),
        clocks=tuple(_clock(n, names) for n in node.all("atmpsim:clock")),
        replications=tuple(_replication(n, names) for n in node.all("atmpsim:replication")),
        bursts=tuple(_burst(n, names) for n in node.all("atmpsim:burst")),
        arrivals=tuple(_arrival(n, names) for n in node.all("atmpsim:arrival")),
        recruitments=tuple(_recruitment(n, names) for n in node.all("atmpsim:recruitment")),
    )
    _check(node, extension, names)
    if _needs_amounts(extension) and not root.flag(*_TRACKING):
        raise node.refuse("infection or replication without internalised amounts",
                          f"<{_TRACKING[-1]}>true", "Add it to <microenvironment_setup> <options>.")  # fmt: skip
    return extension


_TRACKING = ("microenvironment_setup", "options", "track_internalized_substrates_in_each_agent")


def _needs_amounts(extension: Extension) -> bool:
    inside = any(b.size == "internalised" for b in extension.bursts)
    return bool(extension.infections or extension.replications or inside)


def _type(node: Node, names: Names, attribute: str = "cell_type") -> int:
    return names.cell_type(node, node.attribute(attribute))


def _substrate(node: Node, names: Names) -> int:
    return names.substrate(node, node.attribute("substrate"))


def _optional(node: Node, find, attribute: str) -> int:
    return find(node, node.attributes[attribute]) if attribute in node.attributes else -1


def _needed(node: Node, tag: str) -> float:
    if node.child(f"atmpsim:{tag}") is None:
        raise node.refuse(f"no <atmpsim:{tag}>", f"<atmpsim:{tag}>")
    return node.number(f"atmpsim:{tag}", default=0.0)


def _choice(node: Node, attribute: str, allowed: Sequence[str]) -> str:
    chosen = node.attributes.get(attribute, allowed[0])
    if chosen not in allowed:
        raise node.refuse(f"{attribute}='{chosen}'", "one of " + ", ".join(allowed))
    return chosen


def _infection(node: Node, names: Names) -> Infection:
    inhibitor = node.child("atmpsim:inhibitor")
    return Infection(
        cell_type=_type(node, names),
        substrate=_substrate(node, names),
        becomes=_type(node, names, "becomes"),
        probability=_needed(node, "probability"),
        inhibitor=-1 if inhibitor is None else _substrate(inhibitor, names),
        inhibitor_half=1.0 if inhibitor is None else _needed(inhibitor, "half"),
    )


def _clock(node: Node, names: Names) -> Clock:
    return Clock(
        cell_type=_type(node, names),
        stages=int(_needed(node, "stages")),
        mean=_needed(node, "mean"),
        becomes=_optional(node, names.cell_type, "becomes"),
    )


def _replication(node: Node, names: Names) -> Replication:
    return Replication(
        cell_type=_type(node, names),
        substrate=_substrate(node, names),
        law=_choice(node, "law", _LAWS),
        rate=_needed(node, "rate"),
        capacity=_needed(node, "capacity"),
    )


def _burst(node: Node, names: Names) -> Burst:
    return Burst(
        cell_type=_type(node, names),
        substrate=_substrate(node, names),
        amount=_needed(node, "amount"),
        size=_choice(node, "size", _SIZES),
    )


def _arrival(node: Node, names: Names) -> Arrival:
    first, count = node.number("atmpsim:first", default=0.0), int(node.number("atmpsim:count", default=1.0))
    every = _needed(node, "every") if count > 1 else 0.0
    return Arrival(
        cell_type=_type(node, names),
        times=tuple(first + every * k for k in range(count)),
        number=_needed(node, "number"),
        duration=node.number("atmpsim:duration", default=0.0),
        source=_optional(node, names.cell_type, "source"),
        age=node.number("atmpsim:age", default=0.0),
        exact=node.as_flag(node.attributes.get("exact", "false"), "exact"),
    )


def _recruitment(node: Node, names: Names) -> Recruitment:
    return Recruitment(
        cell_type=_type(node, names),
        source=_type(node, names, "source"),
        base_rate=_needed(node, "base_rate"),
        max_rate=node.number("atmpsim:max_rate", default=0.0),
        substrate=_optional(node, names.substrate, "substrate"),
        half_max=node.number("atmpsim:half_max", default=1.0),
        hill_power=node.number("atmpsim:hill_power", default=1.0),
        limit=int(node.number("atmpsim:limit", default=-1.0)),
    )


def _check(node: Node, extension: Extension, names: Names) -> None:
    """Refuse a second clock of a type, a second infection by the same virus, and a burst that nothing triggers."""
    clocks: set[int] = set()
    for clock in extension.clocks:
        if clock.cell_type in clocks:
            raise node.refuse(f"a second clock of '{names.types[clock.cell_type]}'", "one")
        clocks.add(clock.cell_type)
    pairs: set[tuple[int, int]] = set()
    for infection in extension.infections:
        pair = infection.cell_type, infection.substrate
        if pair in pairs or infection.becomes == infection.cell_type:
            raise node.refuse(f"an infection of '{names.types[pair[0]]}'", "one for each virus, into another type")
        pairs.add(pair)
    lytic = {clock.cell_type for clock in extension.clocks if clock.becomes < 0}
    for burst in extension.bursts:
        if burst.cell_type not in lytic:
            raise node.refuse(f"a burst of '{names.types[burst.cell_type]}'", "a type whose clock ends in lysis",
                              "Give the type an <atmpsim:clock> without becomes=.")  # fmt: skip
