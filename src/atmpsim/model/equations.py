"""From a model to its equations: states, what stays fixed, derivatives, the value of every id, initial values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from atmpsim.errors import ModelError
from atmpsim.model.graph import COMPARISONS, TIME, Graph, symbol_of
from atmpsim.model.spec import Event, Model, Species

_CONSTANT, _AFFINE, _OTHER = 0, 1, 2
_JUMPS = (*COMPARISONS, "floor", "ceil", "rem")


@dataclass(frozen=True, kw_only=True)
class TimedEvent:
    """An event over the leaves of the equations: its trigger, and what it puts into which leaf."""

    id: str
    trigger: int
    assignments: tuple[tuple[str, int], ...]
    initially_true: bool


@dataclass(frozen=True, kw_only=True)
class Equations:
    """The ordinary differential equations of a model.

    Every node is over the leaves: `states` and `constants` (both as amounts for species) and time.

    Attributes
    ----------
    states
        Ids that the solver advances; a species stands for its amount.
    constants
        Ids that stay fixed between events, then the names of `switches`.
    derivatives
        One node per state.
    values
        The node of every id, and of `[S]` for a species' concentration.
    initial
        The node of each leaf's value at the start, over leaves that have a number.
    switches
        Conditions that depend on time alone, by the name that stands for them in `derivatives`. They are
        constant between the times at which they change, so the solver stops there instead of stepping over.
    events
        Events whose triggers are combinations of such conditions.
    """

    model: Model
    graph: Graph
    states: tuple[str, ...]
    constants: tuple[str, ...]
    derivatives: tuple[int, ...]
    values: Mapping[str, int]
    initial: Mapping[str, int]
    switches: Mapping[str, int]
    events: tuple[TimedEvent, ...]


def write_equations(model: Model, *, fixed: Collection[str] = ()) -> Equations:
    """Return the equations of a model.

    Parameters
    ----------
    fixed
        Ids whose initial value the caller gives: their initial assignments do not count.

    Raises
    ------
    ModelError
        If definitions go round in a circle, or an event cannot be timed beforehand.
    """
    graph = model.graph.copy()
    changed = _changed_species(model)
    states = tuple(k for k in model.species if k in changed or k in model.rate_rules)
    states += tuple(k for k in model.rate_rules if k not in model.species)
    computed = set(model.assignment_rules)
    constants = [k for k in model.quantities if k not in states and k not in computed]
    names = _leaf_values(graph, model)
    rates = {symbol_of(k): r.rate for k, r in model.reactions.items()}
    rules = {symbol_of(k): n for k, n in model.assignment_rules.items()}
    now = _resolve(graph, {**rules, **rates}, names, where=model.path or model.id)
    derivatives = [_derivative(graph, model, state, now) for state in states]
    varying = {*states, *(k for e in model.events.values() for k, _ in e.assignments)}
    events = tuple(_timed_event(graph, model, event, now, varying) for event in model.events.values())
    derivatives, switches = _name_switches(graph, derivatives, varying)
    _refuse_unlocated(graph, model, derivatives, varying)
    return Equations(
        model=model,
        graph=graph,
        states=states,
        constants=(*constants, *switches),
        derivatives=tuple(derivatives),
        values=_every_value(graph, model, now),
        initial=_initial(graph, model, fixed, {**rules, **rates}, names),
        switches=switches,
        events=events,
    )


def _changed_species(model: Model) -> set[str]:
    touched = {s for r in model.reactions.values() for s, _ in r.changes}
    return {k for k in touched if not model.species[k].boundary and k not in model.assignment_rules}


def _leaf_values(graph: Graph, model: Model) -> dict[str, int]:
    """Return what each symbol of a formula stands for: a species is its concentration unless substance-only."""
    names = {}
    for identifier, species in model.species.items():
        leaf = graph.symbol(symbol_of(identifier))
        names[symbol_of(identifier)] = leaf if species.substance_only else _per_volume(graph, leaf, species)
    return names


def _per_volume(graph: Graph, amount: int, species: Species) -> int:
    return graph.apply("div", amount, graph.symbol(symbol_of(species.compartment)))


def _times_volume(graph: Graph, concentration: int, species: Species, names: Mapping[str, int]) -> int:
    compartment = symbol_of(species.compartment)
    return graph.apply("mul", concentration, names.get(compartment, graph.symbol(compartment)))


def _resolve(graph: Graph, definitions: Mapping[str, int], names: Mapping[str, int], *, where: str) -> dict[str, int]:
    """Return every symbol's node with definitions put into one another, in order of dependence."""
    resolved = {k: n for k, n in names.items() if k not in definitions}
    waiting = list(definitions)
    needs = {k: graph.symbols([n]) & definitions.keys() for k, n in definitions.items()}
    while waiting:
        ready = [k for k in waiting if needs[k] <= resolved.keys()]
        if not ready:
            raise ModelError(
                where=where,
                found=f"definitions that go round in a circle: {', '.join(sorted(waiting)[:6])}",
                expected="rules that can be computed one after the other",
                remedy="Break the circle.",
            )
        for key in ready:
            resolved[key] = graph.substitute([definitions[key]], resolved)[0]
        waiting = [k for k in waiting if k not in resolved]
    return resolved


def _derivative(graph: Graph, model: Model, state: str, now: Mapping[str, int]) -> int:
    species = model.species.get(state)
    if state in model.rate_rules:
        rate = graph.substitute([model.rate_rules[state]], now)[0]
        return rate if species is None or species.substance_only else _times_volume(graph, rate, species, now)
    terms = []
    for identifier, reaction in model.reactions.items():
        for changed, stoichiometry in reaction.changes:
            if changed == state and stoichiometry:
                terms.append(graph.apply("mul", graph.const(stoichiometry), now[symbol_of(identifier)]))
    return graph.total(terms)


def _every_value(graph: Graph, model: Model, now: Mapping[str, int]) -> dict[str, int]:
    values = {}
    for identifier in (*model.quantities, *model.reactions):
        node = now.get(symbol_of(identifier), graph.symbol(symbol_of(identifier)))
        species = model.species.get(identifier)
        if species is None:
            values[identifier] = node
        elif species.substance_only:
            values[identifier] = node
            values[f"[{identifier}]"] = _per_volume(graph, node, species)
        else:
            values[identifier] = _amount(graph, model, species, node, now)
            values[f"[{identifier}]"] = node
    return values


def _amount(graph: Graph, model: Model, species: Species, value: int, now: Mapping[str, int]) -> int:
    if species.substance_only:
        return value
    if species.id not in model.assignment_rules:
        return graph.symbol(symbol_of(species.id))
    return _times_volume(graph, value, species, now)


def _initial(
    graph: Graph, model: Model, fixed: Collection[str], definitions: Mapping[str, int], names: Mapping[str, int]
) -> dict[str, int]:
    given = {k: n for k, n in model.initial_assignments.items() if k not in fixed and k not in model.assignment_rules}
    start = {symbol_of(k): n for k, n in given.items()}
    # an initial assignment may use a species whose own start is a number: its symbol is that concentration
    resolved = _resolve(graph, {**definitions, **start}, names, where=model.path or model.id)
    initial = {}
    for identifier in given:
        species = model.species.get(identifier)
        node = resolved[symbol_of(identifier)]
        if species is not None and not species.substance_only:
            node = _times_volume(graph, node, species, resolved)
        initial[identifier] = node
    for identifier, species in model.species.items():
        if identifier in initial or identifier in model.assignment_rules or species.value is None:
            continue
        initial[identifier] = _amount_from_number(graph, species, resolved)
    return initial


def _amount_from_number(graph: Graph, species: Species, resolved: Mapping[str, int]) -> int:
    number = graph.const(species.value if species.value is not None else float("nan"))
    return _times_volume(graph, number, species, resolved) if species.value_is_concentration else number


def _time_dependence(graph: Graph, roots: Collection[int], states: Collection[str]) -> dict[int, int]:
    """Return for each node whether it is constant between events, affine in time, or anything else."""
    kinds: dict[int, int] = {}
    state_symbols = {symbol_of(s) for s in states}
    for node in graph.needed(roots):
        entry = graph.nodes[node]
        below = [kinds[c] for c in graph.children(node)]
        if entry[0] == "symbol":
            kinds[node] = _AFFINE if entry[1] == TIME else _OTHER if entry[1] in state_symbols else _CONSTANT
        elif not below or max(below) == _CONSTANT:
            kinds[node] = _CONSTANT
        elif entry[0] in ("add", "sub", "neg") or (entry[0] == "mul" and min(below) == _CONSTANT):
            kinds[node] = max(below)
        elif entry[0] == "div" and below[1] == _CONSTANT:
            kinds[node] = below[0]
        else:
            kinds[node] = _OTHER
    return kinds


def _name_switches(graph: Graph, derivatives: list[int], states: Collection[str]) -> tuple[list[int], dict[str, int]]:
    kinds = _time_dependence(graph, derivatives, states)
    found = [n for n in kinds if _is_timed_comparison(graph, n, kinds)]
    switches = {f"switch {k + 1}": node for k, node in enumerate(found)}
    leaves = {node: graph.symbol(name) for name, node in switches.items()}
    return graph.substitute(derivatives, {}, leaves), switches


def _is_timed_comparison(graph: Graph, node: int, kinds: Mapping[int, int]) -> bool:
    if graph.nodes[node][0] not in COMPARISONS:
        return False
    below = [kinds[c] for c in graph.children(node)]
    return max(below) == _AFFINE


def _refuse_unlocated(graph: Graph, model: Model, derivatives: Collection[int], states: Collection[str]) -> None:
    """Raise for a jump of time alone whose times are not known: a solver steps over short pulses in silence."""
    kinds, state_symbols = _time_dependence(graph, derivatives, states), {symbol_of(s) for s in states}
    for node, kind in kinds.items():
        operation = str(graph.nodes[node][0])
        if operation in _JUMPS and kind != _CONSTANT and not graph.symbols([node]) & state_symbols:
            raise ModelError(
                where=model.path or model.id,
                found=f"a jump in time that cannot be timed beforehand ('{operation}')",
                expected="comparisons of time with constants in rates and rules",
                remedy="Write it with comparisons such as time < 7, or give it as doses or events.",
            )


def timed_comparisons(equations: Equations, roots: Collection[int]) -> list[int]:
    """Return the comparisons in the roots that are between affine functions of time."""
    kinds = _time_dependence(equations.graph, roots, equations.states)
    return [n for n in kinds if _is_timed_comparison(equations.graph, n, kinds)]


def _timed_event(
    graph: Graph, model: Model, event: Event, now: Mapping[str, int], varying: Collection[str]
) -> TimedEvent:
    trigger = graph.substitute([event.trigger], now)[0]
    _refuse_untimed(graph, model, event, trigger, varying)
    assignments = []
    for target, formula in event.assignments:
        node = graph.substitute([formula], now)[0]
        species = model.species.get(target)
        if species is not None and not species.substance_only:
            node = _times_volume(graph, node, species, now)
        assignments.append((target, node))
    return TimedEvent(id=event.id, trigger=trigger, assignments=tuple(assignments), initially_true=event.initially_true)


def _refuse_untimed(graph: Graph, model: Model, event: Event, trigger: int, varying: Collection[str]) -> None:
    kinds = _time_dependence(graph, [trigger], varying)
    for node, kind in kinds.items():
        logical = graph.nodes[node][0] in ("and", "or", "not", "xor")
        if kind == _OTHER and not logical and not _is_timed_comparison(graph, node, kinds):
            raise ModelError(
                where=f"{model.path or model.id} event {event.id}",
                found="a trigger that is not a comparison of time with constants",
                expected="a trigger such as time >= 7",
                remedy="This version fires events at times known beforehand.",
            )
