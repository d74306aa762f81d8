"""The one door through which user files enter: whatever would crash, hang or fool a library is refused here, by name.

libSBML and antimony are C++: on hostile input they end the process or never return, and no Python error is possible.
So a file passes three steps before either sees it: `read_text` opens it, `check_xml` or `check_antimony` looks at it.
The SBML that antimony returns passes `check_xml` too, because a short Antimony text can ask for a huge formula.

The limits stand where they are enforced, each with what was observed without it (antimony 3.3.0, libSBML 5.21.2,
8 MB stack, 2-core x86-64).
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice
from pathlib import Path

from atmpsim.errors import InputError, ModelError, did_you_mean
from atmpsim.model.border_antimony import check_antimony
from atmpsim.model.border_xml import XmlHead, check_xml

__all__ = ["XmlHead", "check_antimony", "check_xml", "read_text"]

# The largest of the SBML files shipped with the BioModels collection stay below 50 MB; all of a file is held in memory.
MAX_BYTES = 50_000_000
# Names looked at for the hint after a missing file, so that a folder of a million files does not delay the message.
MAX_SIBLINGS = 2_000

_SPECIAL = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)
# Longer marks first: the UTF-32 mark begins with the UTF-16 one.
_FOREIGN = (
    (b"\xff\xfe\x00\x00", "UTF-32 text", "Save the file as UTF-8."),
    (b"\x00\x00\xfe\xff", "UTF-32 text", "Save the file as UTF-8."),
    (b"\xff\xfe", "UTF-16 text", "Save the file as UTF-8."),
    (b"\xfe\xff", "UTF-16 text", "Save the file as UTF-8."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"PK\x03\x04", "a ZIP or OMEX archive", "Unpack it first and name the file inside."),
)
_UTF8_MARK = b"\xef\xbb\xbf"


def read_text(
    path: str | os.PathLike[str],
    *,
    where: str | None = None,
    error: type[InputError] = ModelError,
    max_bytes: int = MAX_BYTES,
) -> str:
    """Return the text of a user's file, or say in one sentence why it cannot be read.

    Parameters
    ----------
    path
        The file. Only regular files are opened: a pipe or a device could block or never end.
    where
        How messages call the file; by default its path.
    error
        The error class to raise, so that a broken scenario is a `ScenarioError`.
    max_bytes
        Largest accepted size (byte), checked before opening and again while reading.

    Returns
    -------
    str
        The decoded UTF-8 text, without a byte-order mark; line ends are left as they are.

    Raises
    ------
    InputError
        Of the given class: missing, not a regular file, empty, too large, unreadable, not UTF-8, or not text.

    Examples
    --------
    >>> read_text("no/such/model.ant")
    Traceback (most recent call last):
    atmpsim.errors.ModelError: no/such/model.ant: found no folder 'no/such', expected an existing text file. ...
    """
    door = _Door(Path(path), where=where if where is not None else str(path), error=error, max_bytes=max_bytes)
    return _decode(door.read(), door)


class _Door:
    """One file on its way in, with the words for its messages."""

    def __init__(self, path: Path, *, where: str, error: type[InputError], max_bytes: int) -> None:
        self.path, self.where, self.error, self.max_bytes = path, where, error, max_bytes

    def refuse(self, found: str, remedy: str, *, expected: str = "a UTF-8 text file") -> InputError:
        return self.error(where=self.where, found=found, expected=expected, remedy=remedy)

    def read(self) -> bytes:
        try:
            self._check(os.stat(self.path))
            # Not blocking: between the check and this line the file may have become a pipe without a writer.
            handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
            with os.fdopen(handle, "rb", buffering=0) as file:
                self._check(os.fstat(handle))
                return self._drain(file)
        except OSError as problem:
            raise self._explain(problem) from None
        except ValueError:
            raise self.refuse("a NUL character in the file name", "Check the name.", expected="a file name") from None

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            kind = next((words for test, words in _SPECIAL if test(status.st_mode)), "a special file")
            raise self.refuse(kind, "Name the file itself.", expected="a regular text file")
        if status.st_size == 0:
            raise self.refuse("an empty file (0 byte)", "Check that it was saved or copied completely.")
        if status.st_size > self.max_bytes:
            raise self._too_large(f"{status.st_size:,} bytes")

    def _drain(self, file) -> bytes:
        """Read to the end, but never more than the limit: the file may grow while we read, or lie about its size."""
        data = bytearray()
        while chunk := file.read(min(1 << 20, self.max_bytes + 1 - len(data))):
            data += chunk
            if len(data) > self.max_bytes:
                raise self._too_large("a file that grew while it was read")
        if not data:
            raise self.refuse("a file that became empty while it was read", "Check that nothing else writes to it.")
        return bytes(data)

    def _too_large(self, found: str) -> InputError:
        remedy = "Split it, or remove what the model does not need (layouts, annotations)."
        return self.refuse(found, remedy, expected=f"at most {self.max_bytes:,} bytes")

    def _explain(self, problem: OSError) -> InputError:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR):
            return self._missing()
        if problem.errno in (errno.EACCES, errno.EPERM):
            return self.refuse("a file you may not read (permission denied)", "Change its permissions or its owner.")
        if problem.errno == errno.ELOOP:
            return self.refuse("a symbolic link that points to itself", "Name the file itself.")
        reason = problem.strerror or type(problem).__name__
        return self.refuse(f"a file that cannot be read ({reason})", "Copy it to a local disk and try again.")

    def _missing(self) -> InputError:
        parent = self.path.parent
        if not parent.is_dir():
            found, remedy = f"no folder '{parent}'", "Check the path."
        elif self.path.is_symlink():
            found, remedy = "a symbolic link to a file that does not exist", "Restore the file it points to."
        else:
            found = f"no file '{self.path.name}' in '{parent}'"
            remedy = did_you_mean(self.path.name, _siblings(parent)) or "Check the name."
        return self.refuse(found, remedy, expected="an existing text file")


def _siblings(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, MAX_SIBLINGS)]
    except OSError:
        return []


def _decode(data: bytes, door: _Door) -> str:
    for mark, kind, remedy in _FOREIGN:
        if data.startswith(mark):
            raise door.refuse(kind, remedy)
    data = data.removeprefix(_UTF8_MARK)
    if not data:
        raise door.refuse("nothing but a byte-order mark", "Check that it was saved or copied completely.")
    if (offset := data.find(b"\0")) >= 0:
        remedy = "It looks like a binary file, or like UTF-16 without its mark; save it as UTF-8 text."
        raise door.refuse(f"a NUL byte at byte {offset} (line {_line(data, offset)})", remedy)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        place = f"byte {problem.start} (line {_line(data, problem.start)})"
        found = f"0x{data[problem.start]:02x} at {place}, which is not UTF-8"
    raise door.refuse(found, "Save the file as UTF-8; it may be Latin-1 or Windows-1252.")


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
