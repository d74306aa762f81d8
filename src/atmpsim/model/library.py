"""Find a model by its shipped id or its path, and read it."""

from __future__ import annotations

import functools
import os
import pickle
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from atmpsim import cache
from atmpsim.errors import ModelError, did_you_mean
from atmpsim.model.border import check_xml, read_text
from atmpsim.model.spec import Model
from atmpsim.resources import shipped_agent_models, shipped_models

_ANTIMONY = (".ant", ".txt", ".antimony")
_XML = (".xml", ".sbml")
_KIND = "models"
_EXTERNAL = "externalModelDefinition"


def find_model(name: str | os.PathLike[str], *, beside: Path | None = None) -> Path:
    """Return the file of a model: a shipped id, or a path (relative to `beside`, then to here).

    Raises
    ------
    ModelError
        If there is no such model; the message names the nearest shipped id.
    """
    shipped = {**shipped_models(), **shipped_agent_models()}
    if str(name) in shipped:
        return shipped[str(name)]
    given = Path(name)
    candidates = [beside / given] if beside is not None and not given.is_absolute() else []
    for candidate in (*candidates, given):
        if candidate.exists():
            return candidate
    looks_like_path = given.suffix or len(given.parts) > 1
    raise ModelError(
        where=f"model '{name}'",
        found="no such file" if looks_like_path else "no shipped model of that name",
        expected="the path of an .ant, SBML .xml or PhysiCell settings .xml file, or one of " + ", ".join(shipped),
        remedy=did_you_mean(str(name), shipped),
    )


def load_model(name: str | os.PathLike[str], *, beside: Path | None = None) -> Model:
    """Return a model by its shipped id, or from an Antimony (.ant) or SBML (.xml) file.

    Raises
    ------
    ModelError
        If it cannot be found or read, is hostile, uses what is not supported, or its units do not balance.

    Examples
    --------
    >>> load_model("celyvir").time_unit
    'd'
    """
    path = find_model(name, beside=beside)
    text = read_text(path)
    return read_model(text, where=path.name, path=str(path), suffix=path.suffix.lower())


def read_model(text: str, *, where: str, path: str, suffix: str) -> Model:
    """Return the model of a text whose file name ends in `suffix`, its units balanced.

    It comes from the cache on disk where it is there.
    The cache holds pickles: its folder is the user's own, and holds machine code that is trusted alike.
    """
    if _EXTERNAL in text:  # what such a model is does not stand in its text alone
        return _checked(text, where=where, path=path, suffix=suffix)
    name = cache.key(_fingerprint(), suffix, text)
    stored = cache.load(_KIND, name)
    if stored is not None:
        return replace(pickle.loads(stored), path=path)
    model = _checked(text, where=where, path=path, suffix=suffix)
    cache.store(_KIND, name, pickle.dumps(model))
    return model


@functools.cache
def _fingerprint() -> str:
    """Return the digest of what reads a model: our own sources, and the versions of the libraries."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    versions = [version(package) for package in ("antimony", "python-libsbml", "atmpsim")]
    return cache.key(*versions, *(p.read_text(encoding="utf-8") for p in sources))


def _checked(text: str, *, where: str, path: str, suffix: str) -> Model:
    from atmpsim.model.balance import check_balance

    model = parse_model(text, where=where, path=path, suffix=suffix)
    check_balance(model, where=where)
    return model


def parse_model(text: str, *, where: str, path: str, suffix: str) -> Model:
    """Return the model of a text as it stands, its units not balanced."""
    if suffix in _XML:
        return _read_xml(text, where=where, path=path)
    if suffix in _ANTIMONY:
        from atmpsim.model.antimony import read_antimony

        return read_antimony(text, where=where, path=path)
    raise ModelError(
        where=where,
        found=f"the ending '{suffix}'",
        expected="one of " + ", ".join((*_ANTIMONY, *_XML)),
        remedy="Rename the file after its language.",
    )


def _read_xml(text: str, *, where: str, path: str) -> Model:
    from atmpsim.model.sbml import read_sbml

    root = check_xml(text, where=where).root
    if root != "sbml":
        raise ModelError(
            where=where,
            found=f"an XML file whose root is <{root}>",
            expected="an SBML file (<sbml>)",
            remedy='Agent models need engine = "agents".' if root == "PhysiCell_settings" else "",
        )
    return read_sbml(text, where=where, path=path)
