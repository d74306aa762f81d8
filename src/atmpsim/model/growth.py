"""How large formulas become when function calls are written out, found without writing them out.

libSBML writes calls out as trees: forty functions that each call the one before twice ask for 2^40 terms. A
function's expanded size is linear in the sizes of its arguments, so a vector per function is enough to know it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import libsbml

from atmpsim.errors import ModelError
from atmpsim.model.border import MAX_CALL_CHAIN

MAX_TERMS = 100_000  # of one formula; libSBML took 2 s for 65,000 and half a minute for a million
_CEILING = 10**12  # sizes are cut here, or they would become numbers of a million digits


class _Size(NamedTuple):
    """Expanded terms of a formula: those of its own, and how often each parameter stands in it."""

    own: int
    uses: dict[str, int]
    chain: int


def refuse_growth(model: libsbml.Model, *, where: str) -> None:
    """Raise if writing out the function calls of any formula would take very long.

    Raises
    ------
    ModelError
        If a formula grows beyond bounds, or functions call one another in a circle or a long chain.
    """
    functions: dict[str, _Size] = {}
    waiting = {f.getId(): f for f in model.getListOfFunctionDefinitions() if f.getMath() is not None}
    while waiting:
        ready = [k for k, f in waiting.items() if not _calls(f.getBody()) & waiting.keys()]
        if not ready:
            raise ModelError(
                where=f"{where} function {sorted(waiting)[0]}", found="functions that call one another in a circle",
                expected="functions that can be written out", remedy="Break the circle.",
            )  # fmt: skip
        for name in ready:
            function = waiting.pop(name)
            parameters = [function.getArgument(k).getName() for k in range(function.getNumArguments())]
            functions[name] = _size(function.getBody(), parameters, functions)
            _check(functions[name], f"{where} function {name}")
    if functions:
        for place, formula in _formulas(model):
            _check(_size(formula, [], functions), f"{where} {place}")


def _check(size: _Size, where: str) -> None:
    terms = size.own + sum(size.uses.values())
    if terms > MAX_TERMS:
        raise ModelError(
            where=where, found="a formula of over a hundred thousand terms once its function calls are written out",
            expected=f"at most {MAX_TERMS}", remedy="Break it into assignment rules.",
        )  # fmt: skip
    if size.chain > MAX_CALL_CHAIN:
        raise ModelError(
            where=where, found=f"a chain of {size.chain} functions that call one another",
            expected=f"at most {MAX_CALL_CHAIN}", remedy="Write some of them out.",
        )  # fmt: skip


def _nodes(formula: libsbml.ASTNode) -> Iterator[libsbml.ASTNode]:
    """Return every node, parents before children."""
    waiting = [formula] if formula is not None else []
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.getChild(k) for k in range(node.getNumChildren()))


def _calls(formula: libsbml.ASTNode) -> set[str]:
    return {n.getName() for n in _nodes(formula) if n.getType() == libsbml.AST_FUNCTION}


def _size(formula: libsbml.ASTNode, parameters: list[str], functions: Mapping[str, _Size]) -> _Size:
    """Return a formula's expanded size: each node adds the weight with which what is above it repeats it."""
    own, uses, chain = 0, dict.fromkeys(parameters, 0), 0
    waiting = [(formula, 1)] if formula is not None else []
    while waiting:
        node, weight = waiting.pop()
        called = functions.get(node.getName()) if node.getType() == libsbml.AST_FUNCTION else None
        children = [node.getChild(k) for k in range(node.getNumChildren())]
        if called is not None:
            own, chain = own + weight * called.own, max(chain, called.chain + 1)
            repeats = list(called.uses.values()) + [1] * len(children)
            waiting.extend((c, min(weight * r, _CEILING)) for c, r in zip(children, repeats, strict=False) if r)
        elif node.getName() in uses and not children:
            uses[node.getName()] = min(uses[node.getName()] + weight, _CEILING)
        else:
            own = min(own + weight, _CEILING)
            waiting.extend((c, weight) for c in children)
    return _Size(min(own, _CEILING), uses, chain)


def _references(model: libsbml.Model) -> Iterator[libsbml.SpeciesReference]:
    for reaction in model.getListOfReactions():
        yield from reaction.getListOfReactants()
        yield from reaction.getListOfProducts()


def _formulas(model: libsbml.Model) -> Iterator[tuple[str, libsbml.ASTNode]]:
    for rule in model.getListOfRules():
        yield f"rule for {rule.getVariable()}", rule.getMath()
    for assignment in model.getListOfInitialAssignments():
        yield f"initial assignment of {assignment.getSymbol()}", assignment.getMath()
    for reaction in model.getListOfReactions():
        if reaction.isSetKineticLaw():
            yield f"reaction {reaction.getId()}", reaction.getKineticLaw().getMath()
    for reference in _references(model):
        if reference.isSetStoichiometryMath():
            yield f"stoichiometry of {reference.getSpecies()}", reference.getStoichiometryMath().getMath()
    for constraint in model.getListOfConstraints():
        yield "constraint", constraint.getMath()
    for event in model.getListOfEvents():
        for part in filter(None, (event.getTrigger(), event.getDelay(), event.getPriority())):
            yield f"event {event.getId()}", part.getMath()
        for change in event.getListOfEventAssignments():
            yield f"event {event.getId()}", change.getMath()
