"""Files and folders that appear whole or not at all, whenever the process dies."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
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
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
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
            hold(file)
            # Only now may others take it for the sign of a folder in use.
            os.rename(file.name, folder / _HELD)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_dead(held: Path) -> None:
    """Remove the scratch folder of a process that was killed; of one at work, leave it."""
    with suppress(OSError), held.open("r+") as file:
        if hold(file):
            shutil.rmtree(held.parent, ignore_errors=True)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; when the block ends well, the file there becomes ``path``.

    A reader, or a later run, finds the old file or the new one whole. The file has the same ending
    as ``path``, by which some writers choose the format.
    """
    written = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield written
        with written.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)
