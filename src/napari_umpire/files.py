"""Files and folders that appear whole or not at all, whenever the process dies."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hold", "make_folder", "replace_file", "scratch_beside"]


_HELD = ".held"


def make_folder(path: Path) -> None:
    """Make a folder and those above it; fine where it is there.

    Raises
    ------
    InputError
        Where there is a file in its place, or the disk refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {path} cannot be made",
            got=error,
            expected="a place that can be written to",
            fix="Choose another folder",
        ) from error


def hold(file: IO[Any]) -> bool:
    """Take an open file for this process; False where another process has it.

    The system lets it go when the file is closed or the process dies, however it dies.
    """
    return _lock(file) is not False


def _lock(file: IO[Any]) -> bool | None:
    """As `hold`; None where nothing locks: Windows, or a file system without locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Yield a hidden folder beside ``path``, on the same disk; removed in the end.

    What is made in it gets to ``path`` by one `os.rename`. The folder is its owner's alone; what
    is to be shared is made as a folder inside of it. What a killed process left of an earlier
    attempt at the same ``path`` is removed.
    """
    prefix = f".{path.name}."
    for left in path.parent.glob(f"{glob.escape(prefix)}*/{_HELD}"):
        _remove_if_dead(left)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
    try:
        with (folder / f"{_HELD}.new").open("w") as file:
            file.write(_own_mark())
            file.flush()
            hold(file)
            # Only now may others take it for the sign of a folder in use.
            os.rename(file.name, folder / _HELD)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_dead(held: Path) -> None:
    """Remove the scratch folder of a process that was killed; of one at work, leave it.

    One of another machine is left too: a shared disk need not tell of its locks.
    """
    with suppress(OSError), held.open("r+") as file:
        mark = file.read()
        locked = _lock(file)
        if locked is False or not _is_of_this_machine(mark):
            return
        if locked or _is_dead(mark):
            shutil.rmtree(held.parent, ignore_errors=True)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; when the block ends well, the file there becomes ``path``.

    A reader, or a later run, finds the old file or the new one whole. The file has the same ending
    as ``path``, by which some writers choose the format. What a killed process of this machine
    left of an earlier attempt at the same ``path`` is removed.
    """
    for left in path.parent.glob(f".*.{glob.escape(path.name)}"):
        mark = left.name.removeprefix(".").removesuffix(f".{path.name}")
        if _is_of_this_machine(mark) and _is_dead(mark):
            left.unlink(missing_ok=True)
    written = path.with_name(f".{_own_mark()}.{path.name}")
    try:
        yield written
        with written.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)


_MARK = re.compile(r"(\d+)-([0-9a-f]{8})")
"""Which process it is of, and which machine: process ids mean something on their own only."""


def _own_mark() -> str:
    return f"{os.getpid()}-{_machine()}"


@cache
def _machine() -> str:
    """Eight letters that are the same for processes that can see each other's ids."""
    try:
        # Containers count processes on their own, even where they share the machine's name.
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _is_of_this_machine(mark: str) -> bool:
    found = _MARK.fullmatch(mark)
    return found is not None and found[2] == _machine()


def _is_dead(mark: str) -> bool:
    """Whether the process of ``mark``, of this machine, has ended; False where nobody can tell."""
    if sys.platform == "win32":  # where asking after a process would interrupt it
        return False
    try:
        os.kill(int(mark.partition("-")[0]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's
        return False
    return False
