"""Write a model that is composed of others (SBML package `comp`) out as one flat model."""

from __future__ import annotations

from pathlib import Path

import libsbml

from atmpsim.errors import ModelError
from atmpsim.model.border import check_xml, read_text

COMP = "comp"
_MAX_FILES = 100


def flatten(document: libsbml.SBMLDocument, *, where: str, path: str) -> str:
    """Flatten a document in place and return its text; ids of what was inside another model are `instance__id`.

    Models in other files are read only from the folder of the model itself and below it.

    Raises
    ------
    ModelError
        If another file is out of bounds or hostile, or libSBML cannot flatten the document.
    """
    if path:
        document.setLocationURI(Path(path).resolve().as_uri())
    _check_files(document, where, path)
    options = libsbml.ConversionProperties()
    options.addOption("flatten comp", True)
    options.addOption("performValidation", False)  # the reader validates what comes of it
    options.addOption("leavePorts", False)
    if document.convert(options) != libsbml.LIBSBML_OPERATION_SUCCESS:
        errors = [document.getError(k) for k in range(document.getNumErrors())]
        said = [" ".join(e.getMessage().split()) for e in errors if e.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
        raise ModelError(
            where=where,
            found=f"a composed model that cannot be flattened ({(said or ['no reason given'])[-1][:300]})",
            expected="a valid use of the SBML package 'comp'",
        )
    return str(libsbml.writeSBMLToString(document))


def _check_files(document: libsbml.SBMLDocument, where: str, path: str) -> None:
    """Raise for a file that libSBML would open and must not."""
    folder = Path(path).resolve().parent if path else None
    waiting = [(document, folder)]
    seen: set[Path] = set()
    while waiting:
        current, beside = waiting.pop()
        for source in _sources(current):
            file = _within(source, beside, folder, where)
            if file in seen:
                continue
            seen.add(file)
            if len(seen) > _MAX_FILES:
                raise ModelError(where=where, found=f"models in over {_MAX_FILES} files", expected="fewer")
            text = read_text(file, where=f"{where}: {source}")
            check_xml(text, where=f"{where}: {source}")
            waiting.append((libsbml.readSBMLFromString(text), file.parent))


def _sources(document: libsbml.SBMLDocument) -> list[str]:
    plugin = document.getPlugin(COMP)
    return [] if plugin is None else [e.getSource() for e in plugin.getListOfExternalModelDefinitions()]


def _within(source: str, beside: Path | None, folder: Path | None, where: str) -> Path:
    if folder is not None and beside is not None and ":" not in source and not Path(source).is_absolute():
        file = (beside / source).resolve()
        if file.is_relative_to(folder):
            return file
    raise ModelError(
        where=where,
        found=f"the external model '{source[:200]}'",
        expected="a file in the model's own folder or below it",
        remedy="Put it there and name it relative to the model.",
    )
