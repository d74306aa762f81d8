"""Turn the elements of a libSBML model into the frozen model spec."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator

import libsbml

from atmpsim.errors import ModelError
from atmpsim.model.graph import Graph, symbol_of
from atmpsim.model.mathml import Functions, to_graph
from atmpsim.model.sbml_units import UnitTable
from atmpsim.model.spec import Constraint, Event, Evidence, Model, Quantity, Reaction, Species

_DISTRIBUTIONS = {"normal", "lognormal", "uniform", "bernoulli"}
_FUNCTIONS_IN_DISTRIBUTIONS = _DISTRIBUTIONS | {"ln", "exp", "sqrt", "piecewise"}


class ElementReader:
    """Builds the spec from a libSBML model; one method per element."""

    def __init__(self, model: libsbml.Model, where: str) -> None:
        self.model, self.where = model, where
        self.graph = Graph()
        self.units = UnitTable(model, where=where)
        self.functions = Functions(model.getListOfFunctionDefinitions())
        # a stoichiometry is a quantity from Level 3 on
        self.references = [r for r in self._species_references() if r.isSetId()] if model.getLevel() >= 3 else []
        self.ids = {e.getId() for e in self._symbols()} | {r.getId() for r in model.getListOfReactions()}
        self.still: list[str] = []

    def read(self, *, path: str, text: str, sbml: str) -> Model:
        """Return the model."""
        parameters = [self._parameter(p) for p in self.model.getListOfParameters()]
        parameters += [self._stoichiometry_quantity(r) for r in self.references]
        events = filter(None, map(self._event, range(self.model.getNumEvents())))
        note = self._evidence(self.model)
        model = Model(
            id=self.model.getId() or "model",
            name=self.model.getName(),
            caution=note.text if note.tag == "caution" else "",
            path=path,
            text=text,
            sbml=sbml,
            graph=self.graph,
            time_unit=self.units.time_unit,
            compartments={c.getId(): self._compartment(c) for c in self.model.getListOfCompartments()},
            species={s.getId(): self._species(s) for s in self.model.getListOfSpecies()},
            parameters={p.id: p for p in parameters},
            reactions={r.id: r for r in map(self._reaction, self.model.getListOfReactions())},
            assignment_rules=self._rules(libsbml.SBML_ASSIGNMENT_RULE),
            rate_rules=self._rules(libsbml.SBML_RATE_RULE),
            initial_assignments=self._initial_assignments(),
            events={e.id: e for e in events},
            algebraic_rules=tuple(
                self._node(r.getMath(), "algebraic rule")
                for r in self.model.getListOfRules() if r.isAlgebraic() and r.isSetMath()
            ),
            constraints=tuple(self._constraint(c) for c in self.model.getListOfConstraints() if c.isSetMath()),
        )  # fmt: skip
        if self.still:
            some = ", ".join(self.still[:5]) + (f" and {len(self.still) - 5} more" if len(self.still) > 5 else "")
            warnings.warn(f"{self.where}: reactions without a kinetic law do not run ({some})", stacklevel=2)
        return model

    def _symbols(self) -> Iterator[libsbml.SBase]:
        yield from self.model.getListOfCompartments()
        yield from self.model.getListOfSpecies()
        yield from self.model.getListOfParameters()
        yield from self.references

    def _species_references(self) -> Iterator[libsbml.SpeciesReference]:
        for reaction in self.model.getListOfReactions():
            yield from reaction.getListOfReactants()
            yield from reaction.getListOfProducts()

    def _node(self, formula: libsbml.ASTNode, place: str) -> int:
        where = f"{self.where} {place}"
        return to_graph(formula, self.graph, self._resolve, where=where, functions=self.functions)

    def _resolve(self, name: str) -> int:
        if name not in self.ids:
            raise KeyError(name)
        # a quantity may be called `time`; its symbol is kept apart from SBML's time
        return self.graph.symbol(symbol_of(name))

    def _refuse(self, place: str, what: str, remedy: str = "") -> ModelError:
        return ModelError(
            where=f"{self.where} {place}".rstrip(),
            found=what,
            expected="what this version supports",
            remedy=remedy or "Rewrite the model without it.",
        )

    def _evidence(self, element: libsbml.SBase) -> Evidence:
        notes = " ".join(re.sub(r"<[^>]*>", " ", element.getNotesString() or "").split())
        tag, colon, text = notes.partition(":")
        known = colon and re.fullmatch(r"[a-z]+", tag)
        terms = [element.getCVTerm(k) for k in range(element.getNumCVTerms())]
        described = [t for t in terms if t.getBiologicalQualifierType() == libsbml.BQB_IS_DESCRIBED_BY]
        source = described[0].getResourceURI(0) if described and described[0].getNumResources() else ""
        return Evidence(tag=tag if known else "", text=text.strip() if known else notes, source=source)

    def _common(self, element: libsbml.SBase, kind: str, unit_id: str, value: float | None) -> dict:
        unit, typed = self.units.text(unit_id)
        return {
            "id": element.getId(), "kind": kind, "name": element.getName(), "unit": unit, "typed": typed,
            "value": value, "evidence": self._evidence(element), "distribution": self._distribution(element),
        }  # fmt: skip

    def _compartment(self, element: libsbml.Compartment) -> Quantity:
        size = element.getSize() if element.isSetSize() else (element.getVolume() if element.isSetVolume() else None)
        if size is None and element.getLevel() == 1:
            size = 1.0
        unit_id = element.getUnits() or self.units.default_volume(int(element.getSpatialDimensions()))
        common = self._common(element, "compartment", unit_id, size)
        return Quantity(**common, constant=element.getConstant())

    def _species(self, element: libsbml.Species) -> Species:
        concentration = element.isSetInitialConcentration()
        value = None
        if concentration or element.isSetInitialAmount():
            value = element.getInitialConcentration() if concentration else element.getInitialAmount()
        unit_id = element.getSubstanceUnits() or self.units.default_substance
        compartment = self.model.getCompartment(element.getCompartment())
        # unset (NaN, from Level 3 on) is not 0: such a species is still a concentration
        flat = compartment is not None and compartment.getSpatialDimensionsAsDouble() == 0.0
        return Species(
            **self._common(element, "species", unit_id, value),
            constant=element.getConstant(),
            compartment=element.getCompartment(),
            substance_only=element.getHasOnlySubstanceUnits() or flat,
            boundary=element.getBoundaryCondition() or element.getConstant(),
            value_is_concentration=concentration,
            conversion=element.getConversionFactor() or self.model.getConversionFactor(),
        )

    def _parameter(self, element: libsbml.Parameter) -> Quantity:
        value = element.getValue() if element.isSetValue() else None
        common = self._common(element, "parameter", element.getUnits(), value)
        return Quantity(**common, constant=element.getConstant())

    def _distribution(self, element: libsbml.SBase) -> str:
        plugin = element.getPlugin("distrib")
        if plugin is None or plugin.getNumUncertainties() == 0:
            return ""
        parameters = plugin.getUncertainty(0).getListOfUncertParameters()
        formulas = [p.getMath() for p in parameters if p.getMath() is not None]
        if not formulas:
            return ""
        text = libsbml.formulaToL3String(formulas[0])
        unknown = set(re.findall(r"([A-Za-z_]\w*)\s*\(", text)) - _FUNCTIONS_IN_DISTRIBUTIONS
        if unknown:
            raise ModelError(
                where=f"{self.where} {element.getId()}",
                found=f"the distribution '{sorted(unknown)[0]}'",
                expected="one of " + ", ".join(sorted(_DISTRIBUTIONS)),
            )
        return text

    def _stoichiometry_quantity(self, element: libsbml.SpeciesReference) -> Quantity:
        return Quantity(
            id=element.getId(),
            kind="stoichiometry",
            name=element.getName(),
            unit="1",
            value=element.getStoichiometry() if element.isSetStoichiometry() else None,
            constant=element.getConstant(),
        )

    def _reaction(self, element: libsbml.Reaction) -> Reaction:
        place = f"reaction {element.getId()}"
        changes: dict[str, int] = {}
        for sign, references in (("sub", element.getListOfReactants()), ("add", element.getListOfProducts())):
            for reference in references:
                before = changes.get(reference.getSpecies(), self.graph.const(0.0))
                changes[reference.getSpecies()] = self.graph.apply(sign, before, self._stoichiometry(reference, place))
        missing = [species for species in sorted(changes) if self.model.getSpecies(species) is None]
        if missing:
            raise ModelError(
                where=f"{self.where} {place}",
                found=f"the unknown species '{missing[0]}'",
                expected="a species of this model",
            )
        return Reaction(
            id=element.getId(), name=element.getName(), changes=tuple(changes.items()),
            rate=self._rate(element, place), fast=element.isSetFast() and element.getFast(),
        )  # fmt: skip

    def _rate(self, element: libsbml.Reaction, place: str) -> int:
        if element.isSetKineticLaw() and element.getKineticLaw().isSetMath():
            return self._node(element.getKineticLaw().getMath(), place)
        self.still.append(element.getId())
        return self.graph.const(0.0)

    def _stoichiometry(self, reference: libsbml.SpeciesReference, place: str) -> int:
        if reference.isSetStoichiometryMath() and reference.getStoichiometryMath().isSetMath():
            return self._node(reference.getStoichiometryMath().getMath(), place)
        if reference.getId() in self.ids and reference.isSetId():
            return self.graph.symbol(symbol_of(reference.getId()))
        value = reference.getStoichiometry() / (reference.getDenominator() or 1)
        if math.isnan(value):
            raise self._refuse(place, f"no stoichiometry for '{reference.getSpecies()}'", "Give it a number.")
        return self.graph.const(value)

    def _rules(self, kind: int) -> dict[str, int]:
        rules: dict[str, int] = {}
        for rule in self.model.getListOfRules():
            if rule.getTypeCode() == kind and rule.isSetMath():
                variable = rule.getVariable()
                self._known(variable, "rule")
                rules[variable] = self._node(rule.getMath(), f"rule for {variable}")
        return rules

    def _initial_assignments(self) -> dict[str, int]:
        result = {}
        for assignment in self.model.getListOfInitialAssignments():
            if not assignment.isSetMath():
                continue
            symbol = assignment.getSymbol()
            self._known(symbol, "initial assignment")
            result[symbol] = self._node(assignment.getMath(), f"initial assignment of {symbol}")
        return result

    def _known(self, identifier: str, what: str) -> None:
        if self.model.getElementBySId(identifier) is None:
            raise ModelError(
                where=f"{self.where} {what}",
                found=f"the unknown id '{identifier}'",
                expected="a compartment, species or parameter of this model",
            )

    def _event(self, index: int) -> Event | None:
        element = self.model.getEvent(index)
        name = element.getId() or f"event_{index + 1}"
        place = f"event {element.getId() or element.getName() or index + 1}"
        trigger = element.getTrigger()
        if trigger is None or not trigger.isSetMath():  # it never fires
            return None
        assignments = []
        for assignment in element.getListOfEventAssignments():
            variable = assignment.getVariable()
            self._known(variable, place)
            if assignment.isSetMath():
                assignments.append((variable, self._node(assignment.getMath(), f"{place} {variable}")))
        modern = element.getLevel() >= 3
        return Event(
            id=name,
            trigger=self._node(trigger.getMath(), f"{place} trigger"),
            assignments=tuple(assignments),
            initially_true=trigger.getInitialValue() if modern else True,
            persistent=trigger.getPersistent() if modern else True,
            early=element.getUseValuesFromTriggerTime(),
            delay=self._optional(element.getDelay(), f"{place} delay"),
            priority=self._optional(element.getPriority(), f"{place} priority"),
        )

    def _optional(self, element: libsbml.Delay | libsbml.Priority | None, place: str) -> int | None:
        return self._node(element.getMath(), place) if element is not None and element.isSetMath() else None

    def _constraint(self, element: libsbml.Constraint) -> Constraint:
        message = " ".join(re.sub(r"<[^>]*>", " ", element.getMessageString() or "").split())
        return Constraint(condition=self._node(element.getMath(), "constraint"), message=message)
