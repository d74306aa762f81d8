"""Draw a result in a process of its own, which loads matplotlib while the runs go on here."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from atmpsim.errors import AtmpsimError

if TYPE_CHECKING:
    import xarray as xr

_SERVE = "from atmpsim.plots.process import serve; serve()"


class Drawing:
    """A process that draws one result into a file; the file is put in place when `finish` is called."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._path: Path | None = None

    @property
    def _partial(self) -> Path:
        assert self._path is not None
        return self._path.with_name(f".{self._path.stem}.{os.getpid()}.drawn{self._path.suffix}")

    def begin(self, path: Path, tree: xr.DataTree) -> None:
        """Hand over the file's name and the result; only the first of them counts."""
        if self._path is not None:
            return
        self._path = path
        # from a thread: the process may not have come to reading yet
        threading.Thread(target=self._send, args=(pickle.dumps((tree, self._partial)),), daemon=True).start()

    def _send(self, text: bytes) -> None:
        assert self._process.stdin is not None
        # where the process died, `finish` tells; where it was closed, nobody waits
        with suppress(OSError, ValueError), self._process.stdin as pipe:
            pipe.write(text)

    def finish(self) -> None:
        """Wait for the figure; raise the error of what cannot be drawn."""
        assert self._process.stdout is not None
        assert self._path is not None
        said = self._process.stdout.read()
        if self._process.wait() or not said:
            raise AtmpsimError(
                f"figure '{self._path}': found that the process that draws ended with code "
                f"{self._process.returncode}, expected a figure. The result is stored; try `atmpsim plot RESULT`."
            )
        error = pickle.loads(said)
        if error is not None:
            raise error
        os.replace(self._partial, self._path)

    def close(self) -> None:
        """End the process and remove what it may have left."""
        self._process.kill()
        self._process.wait()
        if self._path is not None:
            self._partial.unlink(missing_ok=True)


@contextmanager
def drawing_process() -> Iterator[Drawing]:
    """Start a process that loads matplotlib and waits for a result to draw.

    It ends with the context, and by itself where this process dies.
    """
    # -P: what lies in the folder where the user stands is not imported; own session: Ctrl-C is ours to answer
    command = [sys.executable, "-P", "-c", _SERVE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:  # fmt: skip
        drawing = Drawing(process)
        try:
            yield drawing
        finally:
            drawing.close()


def serve() -> None:
    """Read a result and a file's name from standard input, draw, and write the error or None."""
    from atmpsim.plots.figures import plot_results, save_figure

    given = sys.stdin.buffer.read()
    if not given:  # the runs failed or were stopped
        return
    error: Exception | None = None
    try:
        tree, path = pickle.loads(given)
        save_figure(plot_results(tree), path)
    except AtmpsimError as problem:
        error = problem
    except Exception:
        error = RuntimeError(traceback.format_exc())  # any other one may not be able to travel
    pickle.dump(error, sys.stdout.buffer)
