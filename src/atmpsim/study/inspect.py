"""Look into a stored result, finished or not: how far it is, and which runs failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atmpsim.engines.trajectory import Status
from atmpsim.results.store import open_results
from atmpsim.results.stream import MISSING, is_stream, open_stream
from atmpsim.study.streaming import partial_of


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a result is; `messages` are number and message of every run that failed."""

    finished: bool
    runs: int
    done: int
    messages: tuple[tuple[int, str], ...]

    @property
    def failed(self) -> int:
        """Return the number of runs that failed."""
        return len(self.messages)

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        failed = [{"run": k, "message": text} for k, text in self.messages]
        return {"finished": self.finished, "runs": self.runs, "done": self.done, "failed": failed}


def read_status(target: str) -> Progress:
    """Return how far a result is; of a finished one and of one that is still being made.

    Raises
    ------
    ResultError
        If there is neither.
    """
    partial = partial_of(target)
    if partial != target and Path(partial).exists() and not Path(target).exists():
        return _of_stream(partial, finished=False)
    if is_stream(target):
        return _of_stream(target, finished=True)
    status = open_results(target)["status"].to_dataset()
    return _made(status["status"].values.ravel(), status["message"].values.ravel(), finished=True)


def _of_stream(address: str, *, finished: bool) -> Progress:
    stream = open_stream(address)
    codes = np.asarray(stream.arrays["status", "status"][:])
    messages = np.asarray(stream.arrays["status", "message"][:])
    return _made(codes, messages, finished=finished and bool((codes != MISSING).all()))


def _made(codes: np.ndarray[Any, Any], messages: np.ndarray[Any, Any], *, finished: bool) -> Progress:
    failed = np.flatnonzero((codes != Status.OK) & (codes != MISSING))
    return Progress(
        finished=finished, runs=int(codes.size), done=int((codes != MISSING).sum()),
        messages=tuple((int(k), str(messages[k])) for k in failed),
    )  # fmt: skip
