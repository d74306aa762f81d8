"""Read an SBML document into the frozen model spec; whatever is not supported is refused by name and place."""

from __future__ import annotations

import libsbml

from atmpsim.errors import ModelError
from atmpsim.model.border import check_xml
from atmpsim.model.comp import COMP, flatten
from atmpsim.model.growth import refuse_growth
from atmpsim.model.sbml_elements import ElementReader
from atmpsim.model.spec import Model

# packages that carry no dynamics of their own here, or whose content we read
_KNOWN_PACKAGES = {COMP, "distrib", "layout", "render", "l3v2extendedmath", "groups"}
# what libSBML's validator would say beyond whether the document has one meaning
_UNCHECKED = (
    libsbml.LIBSBML_CAT_UNITS_CONSISTENCY,
    libsbml.LIBSBML_CAT_MODELING_PRACTICE,
    libsbml.LIBSBML_CAT_SBO_CONSISTENCY,
    libsbml.LIBSBML_CAT_OVERDETERMINED_MODEL,
)
_CHECKED_ASSIGNMENTS = 50


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
    if document.getPlugin(COMP) is not None:
        text = flatten(document, where=where, path=path)
        _refuse_errors(document, where, lines=False)
    refuse_growth(document.getModel(), where=where)
    checked = _checkable(document)
    for category in _UNCHECKED:
        checked.setConsistencyChecks(category, False)
    checked.checkConsistency()
    _refuse_errors(checked, where, lines=not source)
    _promote_local_parameters(document, where)
    return ElementReader(document.getModel(), where).read(path=path, text=source or text, sbml=text)


def _checkable(document: libsbml.SBMLDocument) -> libsbml.SBMLDocument:
    """Return the document, without the formulas of its assignments where they are many.

    libSBML looks for circles among them in a time that grows with the cube of a chain's length: minutes for 1000. We
    look for them ourselves, and at the ids and functions that formulas use.
    """
    model = document.getModel()
    count = sum(rule.isAssignment() for rule in model.getListOfRules()) + model.getNumInitialAssignments()
    if count <= _CHECKED_ASSIGNMENTS:
        return document
    plain = document.clone()
    zero = libsbml.parseL3Formula("0")
    for rule in plain.getModel().getListOfRules():
        if rule.isAssignment():
            rule.setMath(zero)
    for assignment in plain.getModel().getListOfInitialAssignments():
        assignment.setMath(zero)
    return plain


def _promote_local_parameters(document: libsbml.SBMLDocument, where: str) -> None:
    options = libsbml.ConversionProperties()
    options.addOption("promoteLocalParameters", True)
    if document.convert(options) != libsbml.LIBSBML_OPERATION_SUCCESS:
        raise ModelError(
            where=where,
            found="local parameters that libSBML cannot make global",
            expected="valid SBML",
            remedy="Check it with an SBML validator.",
        )


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
    for package in sorted(named - _KNOWN_PACKAGES):
        raise ModelError(
            where=where,
            found=f"the SBML package '{package}'",
            expected="a core SBML time-course model",
            remedy="This version does not support that package; flatten or remove it.",
        )
