"""Files and folders that appear whole or not at all, whenever the process dies."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from napari_umpire.faults import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "alone_in",
    "belongs_to",
    "hold",
    "listed",
    "make_folder",
    "remove_leftovers",
    "replace_file",
    "scratch_beside",
    "shortened",
    "visible",
]

_HELD = ".held"
_BELONGS = ".belongs"
_LONGEST = 255
"""Bytes that file systems allow in a name."""


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


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sorted, without names with a leading dot: macOS puts such a companion beside each file."""
    return sorted(path for path in paths if not path.name.startswith("."))


def listed(folder: Path) -> list[Path]:
    """What a folder holds that is `visible`.

    Raises
    ------
    InputError
        Where the folder cannot be looked into.
    """
    with reading(f"The folder {folder.name} cannot be read", fix="Check the rights to read it"):
        return visible(folder.iterdir())


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
def alone_in(folder: Path) -> Iterator[bool]:
    """Hold a folder, waiting for those that hold it; yields False where the system has no locks.

    The files in it stay free to everybody: only those who ask for the same are kept apart.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows; a folder that nobody may read
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Yield a hidden folder beside ``path``, on the same disk; removed in the end.

    What is made in it gets to ``path`` by one `os.rename`. The folder is its owner's alone; what
    is to be shared is made as a folder inside of it. What a killed process left of an earlier
    attempt at the same ``path`` is removed.
    """
    with ExitStack() as kept:
        with alone_in(path.parent) as alone:
            dead = _dead_scratch(path, kept, alone=alone)
            prefix = f"{_scratch_prefix(path)}{_own_mark()}."
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
            # Nobody else looks before it is held, and the lock dies with the process.
            held = kept.enter_context((folder / _HELD).open("w"))
            hold(held)
        _remove_dead(dead)
        try:
            yield folder
        except BaseException:
            _remove(folder, quiet=False)
            raise
        _remove(folder)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of attempts at ``path``, as the next attempt would."""
    prefix = _scratch_prefix(path)
    with suppress(OSError):
        if not any(name.startswith(prefix) for name in os.listdir(path.parent)):
            return
        with ExitStack() as kept:
            with alone_in(path.parent) as alone:
                dead = _dead_scratch(path, kept, alone=alone)
            _remove_dead(dead)


def belongs_to(scratch: Path, file: Path, what: Path) -> None:
    """Note, before ``file`` appears beside ``scratch``, that it means nothing without ``what``.

    Where the process is killed before ``what`` appears too, ``file`` goes with its scratch folder.

    Parameters
    ----------
    scratch
        A folder of `scratch_beside`.
    file
        The file to come, in the folder that ``scratch`` is in. Its content is that of a file of
        the same name in ``scratch``.
    what
        A path in the same folder or below it.
    """
    content = (scratch / file.name).read_bytes()
    note = {
        "file": file.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "what": str(what.relative_to(scratch.parent)),
    }
    (scratch / _BELONGS).write_text(json.dumps(note), encoding="utf-8")


def shortened(name: str, limit: int = _LONGEST) -> str:
    """Return ``name`` in at most ``limit`` bytes; one that is cut ends in a digest of the whole."""
    raw = os.fsencode(name)
    if len(raw) <= limit:
        return name
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return f"{raw[: limit - 9].decode(errors='ignore')}-{digest}"


def _scratch_prefix(path: Path) -> str:
    return f".{shortened(path.name, _LONGEST - 60)}."


def _dead_scratch(path: Path, kept: ExitStack, *, alone: bool) -> list[Path]:
    """Scratch folders of killed processes of this machine; their locks are held by ``kept``.

    Those of another machine are left: a shared disk need not tell of its locks.
    """
    dead = []
    for folder in path.parent.glob(f"{glob.escape(_scratch_prefix(path))}*"):
        mark = folder.name.removeprefix(_scratch_prefix(path)).partition(".")[0]
        if not _is_of_this_machine(mark) or folder.is_symlink() or not folder.is_dir():
            continue
        locked: bool | None = None
        with suppress(OSError):
            locked = _lock(kept.enter_context((folder / _HELD).open("a")))
        if locked is None and alone and not (folder / _HELD).exists():
            locked = True  # ended before it held it: whoever makes one is alone in here
        if locked or (locked is None and _is_dead(mark)):
            dead.append(folder)
    return dead


def _remove_dead(dead: list[Path]) -> None:
    for folder in dead:
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads((folder / _BELONGS).read_text(encoding="utf-8"))
            file = folder.with_name(Path(note["file"]).name)
            same = hashlib.sha256(file.read_bytes()).hexdigest() == note["sha256"]
            if same and not os.path.lexists(folder.parent / note["what"]):
                file.unlink()
        _remove(folder)


def _remove(folder: Path, *, quiet: bool = True) -> None:
    """Remove a folder; not ``quiet``: threads of a library may still be writing into it."""
    shutil.rmtree(folder, ignore_errors=True)
    gone, until = 0, time.monotonic() + 5
    if quiet and not folder.exists():
        return
    # A busy computer may hold a thread up for a while.
    while gone < 6 and time.monotonic() < until:
        time.sleep(0.05)
        gone = 0 if folder.exists() else gone + 1
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; when the block ends well, the file there becomes ``path``.

    A reader, or a later run, finds the old file or the new one whole. The file has the same ending
    as ``path``, by which some writers choose the format. What a killed process of this machine
    left of an earlier attempt at the same ``path`` is removed.
    """
    name = shortened(path.stem, _LONGEST - 60) + path.suffix
    for left in path.parent.glob(f".*.{glob.escape(name)}"):
        mark = left.name.removeprefix(".").removesuffix(f".{name}")
        if _is_of_this_machine(mark) and _is_dead(mark):
            left.unlink(missing_ok=True)
    written = path.with_name(f".{_own_mark()}.{name}")
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
