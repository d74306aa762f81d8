"""Every error that atmpsim raises on purpose.

    AtmpsimError
    ├── InputError            what the user gave cannot be used (exit code 2)
    │   ├── UnitError         a unit is unknown, missing or of another kind
    │   ├── ModelError        a model file is broken, hostile or asks for what is not supported
    │   ├── ScenarioError     a scenario file, a dosing table or a subject
    │   └── ResultError       a stored result is missing, damaged or made from other input
    └── SimulationError       the solver could not finish a run (recorded as the run's status)

Every message reads `WHERE: found X, expected Y. What to do.`
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AtmpsimError(Exception):
    """Base of all errors that atmpsim raises on purpose."""


class InputError(AtmpsimError):
    """What the user gave cannot be used.

    Parameters
    ----------
    where
        File, table and key, as the user would look for it.
    found, expected
        What stands there, and what may stand there.
    remedy
        What to do, as one sentence. Optional.
    """

    def __init__(self, *, where: str, found: str, expected: str, remedy: str = "") -> None:
        self.where, self.found, self.expected, self.remedy = where, found, expected, remedy
        super().__init__(f"{where}: found {found}, expected {expected}. {remedy}".strip())

    def __reduce__(self):
        return _rebuild, (type(self), self.where, self.found, self.expected, self.remedy)


def _rebuild(kind: type[InputError], where: str, found: str, expected: str, remedy: str) -> InputError:
    return kind(where=where, found=found, expected=expected, remedy=remedy)


class UnitError(InputError):
    """A unit is unknown, missing or of another kind."""


class ModelError(InputError):
    """A model file is broken, hostile or asks for what is not supported."""


class ScenarioError(InputError):
    """A scenario file, a dosing table or a subject cannot be used."""


class ResultError(InputError):
    """A stored result is missing, damaged or made from other input."""


class SimulationError(AtmpsimError):
    """The solver could not finish a run."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return a sentence that names the nearest of the allowed names, or an empty string.

    Examples
    --------
    >>> did_you_mean("amout", ["into", "amount", "time"])
    "Did you mean 'amount'?"
    >>> did_you_mean("zebra", ["into", "amount", "time"])
    ''
    """
    near = difflib.get_close_matches(str(name), list(allowed), n=1)
    return f"Did you mean '{near[0]}'?" if near else ""


def one_of(allowed: Iterable[str], *, at_most: int = 24) -> str:
    """Return the allowed names as text for an error's `expected`.

    Examples
    --------
    >>> one_of(["b", "a"])
    'one of a, b'
    """
    names = sorted(allowed)
    more = f", … ({len(names) - at_most} more)" if len(names) > at_most else ""
    return "one of " + ", ".join(names[:at_most]) + more if names else "nothing here"
