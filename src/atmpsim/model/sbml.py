"""Read an SBML document into the frozen model spec; whatever is not supported is refused by name and place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import libsbml

from atmpsim.errors import ModelError
from atmpsim.model.border import check_xml
from atmpsim.model.graph import Graph, symbol_of
from atmpsim.model.growth import refuse_growth
from atmpsim.model.mathml import to_graph
from atmpsim.model.sbml_units import UnitTable
from atmpsim.model.spec import Event, Evidence, Model, Quantity, Reaction, Species

# packages that carry no dynamics of their own here, or whose content we read
_HARMLESS_PACKAGES = {"distrib", "layout", "render", "l3v2extendedmath", "groups"}
_DISTRIBUTIONS = {"normal", "lognormal", "uniform", "bernoulli"}
# what libSBML's validator would say beyond whether the document has one meaning
_UNCHECKED = (
    libsbml.LIBSBML_CAT_UNITS_CONSISTENCY,
    libsbml.LIBSBML_CAT_MODELING_PRACTICE,
    libsbml.LIBSBML_CAT_SBO_CONSISTENCY,
    libsbml.LIBSBML_CAT_OVERDETERMINED_MODEL,
)
_FUNCTIONS_IN_DISTRIBUTIONS = _DISTRIBUTIONS | {"ln", "exp", "sqrt", "piecewise"}


def read_sbml(text: str, *, where: str, path: str = "", source: str = "") -> Model:
    """Return the model of an SBML document.

    Parameters
    ----------
    text
        The SBML document.
    where
        The file's name for messages.
    path, source
        Where the model came from and its text as written, if that was not SBML.

    Raises
    ------
    ModelError
        If the document is hostile, invalid, or uses what is not supported yet.
    """
    check_xml(text, where=where)
    document = libsbml.readSBMLFromString(text)
    _refuse_packages(document, where)
    # a document made from another language has no lines that its author knows
    _refuse_errors(document, where, lines=not source)
    refuse_growth(document.getModel(), where=where)
    for category in _UNCHECKED:
        document.setConsistencyChecks(category, False)
    document.checkConsistency()
    _refuse_errors(document, where, lines=not source)
    for converter in ("expandFunctionDefinitions", "promoteLocalParameters"):
        options = libsbml.ConversionProperties()
        options.addOption(converter, True)
        if document.convert(options) != libsbml.LIBSBML_OPERATION_SUCCESS:
            raise ModelError(
                where=where,
                found=f"a document that libSBML cannot convert ({converter})",
                expected="valid SBML",
                remedy="Check it with an SBML validator.",
            )
    return _Reader(document.getModel(), where).read(path=path, text=source or text, sbml=text)


def _refuse_errors(document: libsbml.SBMLDocument, where: str, *, lines: bool) -> None:
    for k in range(document.getNumErrors()):
        error = document.getError(k)
        if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            # libSBML quotes the rule that is broken, its section, and then says what breaks it
            said = error.getMessage().partition("\nReference:")[2].partition("\n")[2] or error.getMessage()
            message = " ".join(f"{error.getShortMessage()}: {said}".split()).rstrip(".")[:300]
            raise ModelError(
                where=f"{where} line {error.getLine()}" if lines else where,
                found=f"an SBML error ({message})",
                expected="valid SBML",
            )
    if document.getModel() is None:
        raise ModelError(where=where, found="an SBML document without a model", expected="one <model>")


def _refuse_packages(document: libsbml.SBMLDocument, where: str) -> None:
    named = {document.getPlugin(k).getPackageName() for k in range(document.getNumPlugins())}
    named |= {document.getUnknownPackagePrefix(k) for k in range(document.getNumUnknownPackages())}
    for package in sorted(named - _HARMLESS_PACKAGES):
        raise ModelError(
            where=where,
            found=f"the SBML package '{package}'",
            expected="a core SBML time-course model",
            remedy="This version does not support that package; flatten or remove it.",
        )


class _Reader:
    """Builds the spec from a libSBML model; one method per element."""

    def __init__(self, model: libsbml.Model, where: str) -> None:
        self.model, self.where = model, where
        self.graph = Graph()
        self.units = UnitTable(model, where=where)
        self.ids = {e.getId() for e in self._symbols()} | {r.getId() for r in model.getListOfReactions()}
        self.reference_values = {r.getId(): r.getStoichiometry() for r in self._references() if r.isSetId()}

    def read(self, *, path: str, text: str, sbml: str) -> Model:
        self._refuse_elements()
        reactions = {r.id: r for r in map(self._reaction, self.model.getListOfReactions())}
        rules = self._rules(libsbml.SBML_ASSIGNMENT_RULE)
        events = [self._event(k) for k in range(self.model.getNumEvents())]
        self._refuse_late_values(events, {**rules, **{r.id: r.rate for r in reactions.values()}})
        note = self._evidence(self.model)
        return Model(
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
            parameters={p.getId(): self._parameter(p) for p in self.model.getListOfParameters()},
            reactions=reactions,
            assignment_rules=rules,
            rate_rules=self._rules(libsbml.SBML_RATE_RULE),
            initial_assignments=self._initial_assignments(),
            events={e.id: e for e in events},
        )

    def _symbols(self) -> Iterator[libsbml.SBase]:
        yield from self.model.getListOfCompartments()
        yield from self.model.getListOfSpecies()
        yield from self.model.getListOfParameters()

    def _references(self) -> Iterator[libsbml.SpeciesReference]:
        for reaction in self.model.getListOfReactions():
            yield from reaction.getListOfReactants()
            yield from reaction.getListOfProducts()

    def _node(self, formula: libsbml.ASTNode, place: str) -> int:
        return to_graph(formula, self.graph, self._resolve, where=f"{self.where} {place}")

    def _resolve(self, name: str) -> int:
        if name in self.reference_values:
            return self.graph.const(self.reference_values[name])
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

    def _refuse_elements(self) -> None:
        if self.model.isSetConversionFactor():
            raise self._refuse("model", "a conversion factor")
        for rule in self.model.getListOfRules():
            if rule.isAlgebraic():
                raise self._refuse("rules", f"the algebraic rule 0 = {rule.getFormula()[:80]}")
        for k in range(self.model.getNumConstraints()):
            raise self._refuse(f"constraint {k + 1}", "a constraint")
        self._refuse_variable_compartments()

    def _refuse_variable_compartments(self) -> None:
        changed = {r.getVariable() for r in self.model.getListOfRules()}
        for event in self.model.getListOfEvents():
            changed |= {a.getVariable() for a in event.getListOfEventAssignments()}
        for compartment in self.model.getListOfCompartments():
            if compartment.getId() in changed:
                raise self._refuse(f"compartment {compartment.getId()}", "a compartment whose size changes")

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
        return Quantity(**self._common(element, "compartment", unit_id, size))

    def _species(self, element: libsbml.Species) -> Species:
        if element.isSetConversionFactor():
            raise self._refuse(f"species {element.getId()}", "a conversion factor")
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

    def _reaction(self, element: libsbml.Reaction) -> Reaction:
        place = f"reaction {element.getId()}"
        if element.isSetFast() and element.getFast():
            raise self._refuse(place, "a fast reaction")
        if not element.isSetKineticLaw() or not element.getKineticLaw().isSetMath():
            raise self._refuse(place, "no kinetic law", "Give the reaction a rate.")
        changes: dict[str, float] = {}
        for sign, references in ((-1.0, element.getListOfReactants()), (1.0, element.getListOfProducts())):
            for reference in references:
                amount = sign * self._stoichiometry(reference, place)
                changes[reference.getSpecies()] = changes.get(reference.getSpecies(), 0.0) + amount
        missing = sorted(set(changes) - {s.getId() for s in self.model.getListOfSpecies()})
        if missing:
            raise ModelError(
                where=f"{self.where} {place}",
                found=f"the unknown species '{missing[0]}'",
                expected="a species of this model",
            )
        rate = self._node(element.getKineticLaw().getMath(), place)
        return Reaction(id=element.getId(), name=element.getName(), changes=tuple(changes.items()), rate=rate)

    def _stoichiometry(self, reference: libsbml.SpeciesReference, place: str) -> float:
        if reference.isSetStoichiometryMath():
            raise self._refuse(place, f"a stoichiometry formula for '{reference.getSpecies()}'")
        if reference.isSetId():
            identifier = reference.getId()
            targets = {r.getVariable() for r in self.model.getListOfRules()}
            targets |= {a.getSymbol() for a in self.model.getListOfInitialAssignments()}
            for event in self.model.getListOfEvents():
                targets |= {a.getVariable() for a in event.getListOfEventAssignments()}
            if identifier in targets:
                raise self._refuse(place, f"the variable stoichiometry '{identifier}'")
        value = reference.getStoichiometry() / (reference.getDenominator() or 1)
        if math.isnan(value):
            raise self._refuse(place, f"no stoichiometry for '{reference.getSpecies()}'", "Give it a number.")
        return value

    def _rules(self, kind: int) -> dict[str, int]:
        rules: dict[str, int] = {}
        for rule in self.model.getListOfRules():
            if rule.getTypeCode() == kind:
                variable = rule.getVariable()
                self._known(variable, "rule")
                rules[variable] = self._node(rule.getMath(), f"rule for {variable}")
        return rules

    def _initial_assignments(self) -> dict[str, int]:
        result = {}
        for assignment in self.model.getListOfInitialAssignments():
            symbol = assignment.getSymbol()
            self._known(symbol, "initial assignment")
            result[symbol] = self._node(assignment.getMath(), f"initial assignment of {symbol}")
        return result

    def _refuse_late_values(self, events: list[Event], formulas: dict[str, int]) -> None:
        """Refuse events that read, when they act, what another one may have changed at that very time."""
        definitions = {symbol_of(k): n for k, n in formulas.items()}
        for k, event in enumerate(events):
            if self.model.getEvent(k).getUseValuesFromTriggerTime():
                continue
            changed = {symbol_of(v) for other in events if other is not event for v, _ in other.assignments}
            reads = self.graph.symbols([n for _, n in event.assignments])
            while more := self.graph.symbols([definitions[r] for r in reads & definitions.keys()]) - reads:
                reads |= more
            if reads & changed:
                what = f"useValuesFromTriggerTime = false with '{sorted(reads & changed)[0]}', which another event sets"
                raise self._refuse(f"event {event.id}", what, "Set useValuesFromTriggerTime to true.")

    def _known(self, identifier: str, what: str) -> None:
        if self.model.getElementBySId(identifier) is None:
            raise ModelError(
                where=f"{self.where} {what}",
                found=f"the unknown id '{identifier}'",
                expected="a compartment, species or parameter of this model",
            )

    def _event(self, index: int) -> Event:
        element = self.model.getEvent(index)
        place = f"event {element.getId() or element.getName() or index + 1}"
        if element.isSetDelay():
            raise self._refuse(place, "an event with a delay")
        if element.isSetPriority():
            raise self._refuse(place, "an event with a priority")
        if not element.isSetTrigger():
            raise ModelError(where=f"{self.where} {place}", found="no trigger", expected="a trigger")
        trigger = self._node(element.getTrigger().getMath(), f"{place} trigger")
        assignments = []
        for assignment in element.getListOfEventAssignments():
            variable = assignment.getVariable()
            self._known(variable, place)
            assignments.append((variable, self._node(assignment.getMath(), f"{place} {variable}")))
        initially = element.getTrigger().getInitialValue() if element.getLevel() >= 3 else True
        name = element.getId() or f"event_{index + 1}"
        return Event(id=name, trigger=trigger, assignments=tuple(assignments), initially_true=initially)
