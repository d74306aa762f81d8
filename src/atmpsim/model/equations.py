"""From a model to its equations: states, what stays fixed, derivatives, the value of every id, initial values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from atmpsim.model.definitions import (
    Delayed,
    RatesOfChange,
    contains,
    per_volume,
    replace_operation,
    resolve,
    times_volume,
    volume_of,
)
from atmpsim.model.determine import Held, changed_species, determined_by, equilibria, scaled_stoichiometry
from atmpsim.model.graph import Graph, symbol_of
from atmpsim.model.initial import before_start, earlier, initial_values
from atmpsim.model.spec import Event, Model, Species
from atmpsim.model.timed import is_timed_comparison, jumps_in_time, name_switches, time_dependence


@dataclass(frozen=True, kw_only=True)
class EventFormulas:
    """An event over the leaves of the equations: its trigger, and the value that each target's id takes.

    The value of a species that is a concentration is one; see `Equations.volumes`.
    """

    id: str
    trigger: int
    assignments: tuple[tuple[str, int], ...]
    initially_true: bool
    persistent: bool
    early: bool
    delay: int | None
    priority: int | None


@dataclass(frozen=True, kw_only=True)
class Equations:
    """The equations of a model: ordinary, or with delays and with formulas that are held at zero.

    Every node is over the leaves: `states` and `constants` (both as amounts for species) and time.

    Attributes
    ----------
    states
        Ids that the solver advances; a species stands for its amount. Last come those of `unknowns`.
    constants
        Ids that stay fixed between events, then the names of `switches` and of `delays`.
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
        What happens when a condition turns true.
    volumes
        The node of the compartment's size of each species that is a concentration.
    held
        Formulas that stay zero, by algebraic rules and fast reactions, and what moves to keep them so.
    unknowns
        The states that algebraic rules determine; the numbers they start from are guesses.
    delays
        Values of an earlier time, by the name of the leaf that stands for them.
    jumps_in_time
        Whether derivatives jump at times that `switches` do not tell and no state decides.
    constraints
        The nodes of the model's constraints.
    """

    model: Model
    graph: Graph
    states: tuple[str, ...]
    constants: tuple[str, ...]
    derivatives: tuple[int, ...]
    values: Mapping[str, int]
    initial: Mapping[str, int]
    switches: Mapping[str, int]
    events: tuple[EventFormulas, ...]
    volumes: Mapping[str, int] = field(default_factory=dict)
    held: tuple[Held, ...] = ()
    unknowns: tuple[str, ...] = ()
    delays: Mapping[str, Delayed] = field(default_factory=dict)
    jumps_in_time: bool = False
    constraints: tuple[int, ...] = ()

    @property
    def dosable(self) -> tuple[str, ...]:
        """The states that a dose may go into: those that no algebraic rule determines."""
        return tuple(s for s in self.states if s not in self.unknowns)

    @property
    def is_plain(self) -> bool:
        """Whether derivatives and switches are all there is: nothing to locate, to hold or to look back at."""
        return not (self.events or self.held or self.delays or self.jumps_in_time)


def write_equations(model: Model, *, fixed: Collection[str] = ()) -> Equations:
    """Return the equations of a model; equal models share them for the life of the process.

    Parameters
    ----------
    fixed
        Ids whose initial value the caller gives: their initial assignments do not count.

    Raises
    ------
    ModelError
        If definitions go round in a circle, or an algebraic rule determines nothing.
    """
    return _write_equations(model, frozenset(fixed) & frozenset(model.initial_assignments))


@lru_cache(maxsize=32)
def _write_equations(model: Model, fixed: frozenset[str]) -> Equations:
    return _Writer(model).write(fixed)


class _Writer:
    """Writes the equations of one model into a copy of its graph."""

    def __init__(self, model: Model) -> None:
        self.model, self.graph = model, model.graph.copy()
        rates = {symbol_of(k): r.rate for k, r in model.reactions.items()}
        self.definitions = {symbol_of(k): n for k, n in model.assignment_rules.items()} | rates
        self.delays: dict[str, tuple[int, int]] = {}
        self.has_delays = contains(self.graph, range(len(self.graph.nodes)), "delay")
        now = resolve(self.graph, model, self.definitions)
        self.now = dict(zip(now, self._without_delays(list(now.values())), strict=True))

    def write(self, fixed: Collection[str]) -> Equations:
        model, graph = self.model, self.graph
        rules = [self._formula(n) for n in model.algebraic_rules]
        unknowns = determined_by(model, graph, rules)
        states = self._states(unknowns)
        held = equilibria(model, graph, self.now, states)
        written = self._rates_of_change(states, unknowns, held)
        held += [Held(formula=n, along=((k, graph.const(1.0)),)) for n, k in zip(rules, unknowns, strict=True)]
        held = [Held(formula=written.write_out([h.formula])[0], along=h.along) for h in held]
        self.now = dict(zip(self.now, written.write_out(list(self.now.values())), strict=True))
        events = tuple(self._event(e, written) for e in model.events.values())
        constraints = tuple(written.write_out([self._formula(c.condition) for c in model.constraints]))
        initial = self._initial(fixed, written)
        delays = self._written_delays(written, initial)
        initial = self._without_leaves_of_delays(initial, delays)
        derivatives = [written.derivatives[symbol_of(s)] for s in states]
        varying = {*states, *self.delays, *(k for e in events for k, _ in e.assignments)}
        derivatives, switches = name_switches(graph, derivatives, varying)
        constants = [k for k in model.quantities if k not in states and k not in model.assignment_rules]
        return Equations(
            model=model,
            graph=graph,
            states=states,
            constants=(*constants, *switches, *self.delays),
            derivatives=tuple(derivatives),
            values=self._every_value(),
            initial=initial,
            switches=switches,
            events=events,
            volumes={k: volume_of(graph, s, self.now) for k, s in model.species.items() if not s.substance_only},
            held=tuple(held),
            unknowns=tuple(unknowns),
            delays=delays,
            jumps_in_time=jumps_in_time(graph, derivatives, varying, states),
            constraints=constraints,
        )

    def _formula(self, node: int) -> int:
        """Return a formula of the model over leaves."""
        return self._without_delays(self.graph.substitute([node], self.now))[0]

    def _without_delays(self, nodes: list[int]) -> list[int]:
        return replace_operation(self.graph, nodes, "delay", self._delay) if self.has_delays else nodes

    def _delay(self, formula: int, span: int) -> int:
        for name, known in self.delays.items():
            if known == (formula, span):
                return self.graph.symbol(name)
        name = f"delay {len(self.delays) + 1}"
        self.delays[name] = formula, span
        return self.graph.symbol(name)

    def _states(self, unknowns: Sequence[str]) -> tuple[str, ...]:
        model, changed = self.model, changed_species(self.model)
        states = [k for k in model.species if k in changed or k in model.rate_rules]
        return (*states, *(k for k in model.rate_rules if k not in model.species), *unknowns)

    def _rates_of_change(self, states: Sequence[str], unknowns: Sequence[str], held: Sequence[Held]) -> RatesOfChange:
        derivatives = {symbol_of(s): self._derivative(s) for s in states}
        lost = {symbol_of(k) for k in unknowns} | {symbol_of(k) for h in held for k, _ in h.along} | {*self.delays}
        return RatesOfChange(self.graph, derivatives, lost, where=self.model.path or self.model.id)

    def _derivative(self, state: str) -> int:
        graph, model, species = self.graph, self.model, self.model.species.get(state)
        if state in model.rate_rules:
            rate = self._formula(model.rate_rules[state])
            return self._rate_of_amount(rate, species) if species and not species.substance_only else rate
        terms = []
        for identifier, reaction in model.reactions.items():
            for changed, change in reaction.changes:
                if changed == state and not reaction.fast:
                    per_extent = scaled_stoichiometry(model, graph, state, change, self.now)
                    terms.append(graph.apply("mul", per_extent, self.now[symbol_of(identifier)]))
        return self._without_delays([graph.total(terms)])[0]

    def _rate_of_amount(self, rate: int, species: Species) -> int:
        """Return the derivative of c V where a rule gives that of the concentration c, and V may vary."""
        graph, volume = self.graph, volume_of(self.graph, species, self.now)
        dilution = graph.const(0.0)
        if not self.model.compartments[species.compartment].constant:
            dilution = graph.apply("mul", self.now[symbol_of(species.id)], graph.apply("rate", volume))
        return graph.apply("add", graph.apply("mul", rate, volume), dilution)

    def _written_delays(self, written: RatesOfChange, initial: Mapping[str, int]) -> dict[str, Delayed]:
        before = before_start(self.graph, self.delays, initial)
        found = {}
        for name, delay in self.delays.items():
            formula, span = written.write_out(list(delay))
            found[name] = Delayed(formula=formula, span=span, before=before[name])
        return found

    def _without_leaves_of_delays(self, initial: dict[str, int], delays: Mapping[str, Delayed]) -> dict[str, int]:
        past = {name: earlier(self.graph, d.before, d.span) for name, d in delays.items()}
        nodes = self.graph.substitute(list(initial.values()), past)
        return dict(zip(initial, nodes, strict=True))

    def _event(self, event: Event, written: RatesOfChange) -> EventFormulas:
        def over_leaves(node: int | None) -> int | None:
            return None if node is None else written.write_out([self._formula(node)])[0]

        return EventFormulas(
            id=event.id,
            trigger=written.write_out([self._formula(event.trigger)])[0],
            assignments=tuple((k, written.write_out([self._formula(n)])[0]) for k, n in event.assignments),
            initially_true=event.initially_true,
            persistent=event.persistent,
            early=event.early,
            delay=over_leaves(event.delay),
            priority=over_leaves(event.priority),
        )

    def _initial(self, fixed: Collection[str], written: RatesOfChange) -> dict[str, int]:
        return initial_values(
            self.graph, self.model, fixed=fixed, definitions=self.definitions, write_out=written.write_out
        )

    def _every_value(self) -> dict[str, int]:
        graph, model, values = self.graph, self.model, dict[str, int]()
        for identifier in (*model.quantities, *model.reactions):
            leaf = graph.symbol(symbol_of(identifier))
            node = self.now.get(symbol_of(identifier), leaf)
            species = model.species.get(identifier)
            if species is None:
                values[identifier] = node
            elif species.substance_only:
                values[identifier] = node
                values[f"[{identifier}]"] = per_volume(graph, node, species, self.now)
            else:
                ruled = identifier in model.assignment_rules
                values[identifier] = times_volume(graph, node, species, self.now) if ruled else leaf
                values[f"[{identifier}]"] = node
        return values


def timed_comparisons(equations: Equations, roots: Collection[int]) -> list[int]:
    """Return the comparisons in the roots that are between affine functions of time."""
    kinds = time_dependence(equations.graph, roots, equations.states)
    return [n for n in kinds if is_timed_comparison(equations.graph, n, kinds)]
