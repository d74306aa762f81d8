"""Read an Antimony file by way of SBML, which is what libantimony makes of it."""

from __future__ import annotations

import threading

from atmpsim.errors import ModelError
from atmpsim.model.border import check_antimony
from atmpsim.model.sbml import read_sbml
from atmpsim.model.spec import Model

# libantimony keeps its modules in global state
_LOCK = threading.Lock()


def read_antimony(text: str, *, where: str, path: str = "") -> Model:
    """Return the model of an Antimony text.

    Raises
    ------
    ModelError
        If the text is hostile, is not valid Antimony, or uses what is not supported yet.
    """
    check_antimony(text, where=where)
    return read_sbml(_to_sbml(text, where), where=where, path=path, source=text)


def _to_sbml(text: str, where: str) -> str:
    import antimony

    with _LOCK:
        antimony.clearPreviousLoads()
        antimony.freeAll()
        if antimony.loadAntimonyString(text) < 0:
            found = f"Antimony that cannot be read ({_last_error()})"
            raise ModelError(where=where, found=found, expected="valid Antimony")
        return str(antimony.getSBMLString(antimony.getMainModuleName()))


def _last_error() -> str:
    import antimony

    try:
        return " ".join(antimony.getLastError().split())
    except UnicodeDecodeError:  # it cuts its quotation of the text in the middle of a character
        return "a character that is not ASCII in a formula or name"
