"""What every command shares: arguments, exit codes, tables and progress on the terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from atmpsim.errors import InputError

OK, SOME_FAILED, BAD_INPUT, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130

Scenario = Annotated[str, typer.Argument(help="A scenario file, or the id of a shipped scenario.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Replace a value, e.g. dose.celyvir.count=12.")
]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**63 - 1, help="Root seed of random numbers; 0, or that of a settings file.")
]


def address(text: str) -> str:
    """Return where a result stands as a path, or as an address that fsspec knows.

    Raises
    ------
    InputError
        If it is an address of an unknown kind, or the library for its kind is not installed.

    Examples
    --------
    >>> address("file:///data/a.zarr"), address("memory://data/a.zarr")
    ('/data/a.zarr', 'memory://data/a.zarr')
    """
    protocol, separator, rest = text.partition("://")
    if protocol == "file":
        return rest
    if separator:
        import fsspec

        try:
            fsspec.get_filesystem_class(protocol)
        except (ValueError, ImportError) as error:
            raise InputError(where=f"address '{text}'", found=f"'{protocol}://'",
                             expected="a kind of address that fsspec knows, and the library for it",
                             remedy=str(error).rstrip(".") + ".") from None  # fmt: skip
    return text


_LINES = 20
"""Log lines of a whole run where standard error is no terminal: one every 5 %."""

Advance = Callable[[int, int, int], None]


def overrides(sets: list[str] | None, keep: str | None) -> dict[str, Any]:
    """Return the values by path of `--set` and `--keep`."""
    from atmpsim.scenario.overrides import parse_assignment

    made = dict(parse_assignment(text, where="--set") for text in sets or ())
    if keep is not None:
        made["output.keep"] = keep if keep in ("outputs", "all", "summary") else listed(keep)
    return made


def listed(text: str) -> list[str]:
    """Return the words between commas."""
    return [word.strip() for word in text.split(",")]


@contextmanager
def progress(silent: bool) -> Iterator[Advance | None]:
    """Show a bar on a terminal and log lines elsewhere, for anything that takes over a second."""
    if silent:
        yield None
    elif sys.stderr.isatty():
        with _bar() as advance:
            yield advance
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    started, first = time.monotonic(), [-1]
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("runs", total=None, visible=False, said="")

        def advance(done: int, total: int, failed: int) -> None:
            first[0] = done if first[0] < 0 else first[0]
            elapsed = time.monotonic() - started
            said = f"{(done - first[0]) / elapsed:.3g}/s" + (f"  {failed} failed" if failed else "")
            bar.update(task, completed=done, total=total, visible=elapsed > 1.0, said=said)

        yield advance


def _lines() -> Advance:
    started, shown = time.monotonic(), [0]

    def advance(done: int, total: int, failed: int) -> None:
        share = done * _LINES // total
        elapsed = time.monotonic() - started
        if share > shown[0] and elapsed > 1.0 and done < total:
            shown[0] = share
            left = elapsed / done * (total - done)
            bad = f", {failed} failed" if failed else ""
            typer.echo(f"{done} of {total} runs ({100 * done // total} %){bad}, about {left:.0f} s left", err=True)

    return advance


def print_rows(rows: list[dict[str, Any]], *, title: str, as_json: bool) -> None:
    """Print rows that share their keys, as a table or as JSON."""
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows], title=title)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str) -> None:
    """Print a table; where standard output is no terminal, 200 characters wide."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, because rich reads square brackets in plain strings as its own markup
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)
