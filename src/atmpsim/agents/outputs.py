"""What an agent model tells over time: one curve each, with its id, unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass

from atmpsim.agents.settable import amount_unit, words
from atmpsim.agents.spec import AgentModel

LIVE, APOPTOTIC, NECROTIC, VOLUME, DEAD_VOLUME, AMOUNT, INFECTED, LYSED, ENTERED, PER_LYSED = (
    "live", "apoptotic", "necrotic", "volume", "dead_volume", "amount", "infected", "lysed", "entered", "per_lysed",
)  # fmt: skip
BOOKED = {
    "decayed": "decayed since the start", "from_cells": "from cells (less what they took up) since the start",
    "from_border": "through held borders since the start", "from_bursts": "from lysed cells since the start",
    "from_doses": "from doses since the start",
}  # fmt: skip
IMBALANCE = "imbalance"


@dataclass(frozen=True, kw_only=True)
class Output:
    """A curve: what is counted (`kind`), of which cell type or substrate, and for a ratio per what other type.

    Those of `main` are kept unless the scenario says otherwise.
    """

    id: str
    kind: str
    of: int
    unit: str
    meaning: str
    per: int = -1
    main: bool = False


def outputs(model: AgentModel) -> tuple[Output, ...]:
    """Return every curve of a model: states (live cells, amounts of substrates) first, then what else is counted.

    Infected, lysed and entered cells are counted from the start of the run. Ratios are NaN before the first lysis. The
    change of an amount and what decayed are what came from cells, borders, bursts and doses; by how much they are not,
    over the sum of all, is the imbalance.
    """
    return (*_states(model), *_events(model), *_rest(model), *_books(model))


def _states(model: AgentModel) -> list[Output]:
    types, substrates = words(model)
    made = [
        Output(id=types[t.id], kind=LIVE, of=t.id, unit="cell", meaning=f"live cells: {t.name}", main=True)
        for t in model.cell_types
    ]
    for s in model.substrates:
        said = f"{s.name} in the domain"
        made.append(Output(id=substrates[s.id], kind=AMOUNT, of=s.id, unit=amount_unit(s), meaning=said, main=True))
    return made


def lysing(model: AgentModel) -> tuple[int, ...]:
    """Return the types that lyse by their clock."""
    return tuple(c.cell_type for c in model.extension.clocks if c.becomes < 0)


def _events(model: AgentModel) -> list[Output]:
    types, names = words(model)[0], [t.name for t in model.cell_types]
    blocks = model.extension
    infected = sorted({i.cell_type for i in blocks.infections})
    entering = sorted({a.cell_type for a in blocks.arrivals} | {r.cell_type for r in blocks.recruitments})
    made = []
    for kind, ending, said, which in ((INFECTED, "infections", "infected since the start", infected),
                                      (LYSED, "lyses", "lysed since the start", lysing(model)),
                                      (ENTERED, "entries", "entered since the start", entering)):  # fmt: skip
        made += [
            Output(id=f"{types[k]}_{ending}", kind=kind, of=k, unit="cell", meaning=f"{said}: {names[k]}", main=True)
            for k in which
        ]
    return made + [
        Output(id=f"{types[k]}_infections_per_{types[other]}", kind=PER_LYSED, of=k, per=other, unit="1",
               meaning=f"infected {names[k]} per lysed cell: {names[other]}", main=True)
        for k in infected for other in lysing(model)
    ]  # fmt: skip


def _rest(model: AgentModel) -> list[Output]:
    types, made = words(model)[0], []
    for kind, said, unit in ((APOPTOTIC, "apoptotic cells", "cell"), (NECROTIC, "necrotic cells", "cell"),
                             (VOLUME, "volume of live cells", "um^3"),
                             (DEAD_VOLUME, "volume of dead cells", "um^3")):  # fmt: skip
        made += [
            Output(id=f"{kind}_{types[t.id]}", kind=kind, of=t.id, unit=unit, meaning=f"{said}: {t.name}")
            for t in model.cell_types
        ]
    return made


def _books(model: AgentModel) -> list[Output]:
    made = []
    for s, name in zip(model.substrates, words(model)[1], strict=True):
        unit = amount_unit(s)
        made += [
            Output(id=f"{name}_{kind}", kind=kind, of=s.id, unit=unit, meaning=f"{s.name} {said}")
            for kind, said in BOOKED.items()
        ]
        said = f"share by which the books of {s.name} do not balance"
        made.append(Output(id=f"{name}_{IMBALANCE}", kind=IMBALANCE, of=s.id, unit="1", meaning=said))
    return made
