"""Threads that run one kernel together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any


class Crew:
    """Some threads for kernels that release Python's lock and meet at barriers of their own."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def run(self, kernel: Callable[..., Any], *arguments: Any, barrier: Any = None) -> None:
        """Call the kernel in every thread: after the arguments come its number, that of threads, and the barrier."""
        end = () if barrier is None else (barrier,)
        others = [self._pool.submit(kernel, *arguments, k, self.threads, *end) for k in range(1, self.threads)]  # type: ignore[union-attr]
        kernel(*arguments, 0, self.threads, *end)
        for other in others:
            other.result()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown()
