"""Files that nobody vouches for, whose size is looked at before it is believed.

A named pipe never ends, 3 MB of gz may hold 3 GB, and the header of an array may claim a terabyte:
each is refused before memory or time is spent on it.
"""

from __future__ import annotations

import gzip
import io
import json
import stat
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from napari_umpire.errors import InputError
from napari_umpire.faults import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["check_file", "read_json", "read_text", "unzipped"]

_MB = 1_000_000
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def check_file(path: Path, what: str | None = None) -> int:
    """Return the size of a regular file, bytes; refuse everything else without opening it.

    Parameters
    ----------
    path
        Links are followed.
    what
        What the file is to the user, such as "The spot positions tissue_positions.csv"; its name
        where not given.

    Raises
    ------
    InputError
        Where there is nothing, a pipe, device, socket or folder, or no right to look.
    """
    what = what or path.name
    with reading(f"{what} cannot be read", fix="Check the path"):
        found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"{what} cannot be read",
            got=_KINDS.get(stat.S_IFMT(found.st_mode), "no file"),
            expected="a file",
            fix="Check the path",
        )
    return found.st_size


def read_text(path: Path, *, limit: int, what: str | None = None) -> str:
    """Read a small UTF-8 text file of at most ``limit`` bytes.

    Raises
    ------
    InputError
        As `check_file`; also for a larger file, or bytes that are not UTF-8.
    """
    what = what or path.name
    size = check_file(path, what)
    if size > limit:
        raise InputError(
            f"{what} is too large to be read",
            got=f"{size / _MB:,.0f} MB",
            expected=f"at most {limit / _MB:g} MB",
            fix="Check that it is the file you mean",
        )
    with reading(f"{what} cannot be read"):
        # Some programs begin a file with a mark of its byte order.
        return path.read_bytes().decode("utf-8-sig")


def read_json(
    path: Path, *, limit: int = 64 * _MB, what: str | None = None, expected: str | None = None
) -> Any:
    """Read a JSON file of at most ``limit`` bytes; NaN and infinity are refused.

    Raises
    ------
    InputError
        As `read_text`; also for what is no JSON, too deep, or holds a number without a value.
    """
    what = what or path.name
    text = read_text(path, limit=limit, what=what)
    with reading(f"{what} cannot be read", expected=expected):
        return json.loads(text, parse_constant=_no_number)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} in place of a number")


@contextmanager
def unzipped(
    path: Path, *, limit: int, longest_line: int | None = None, what: str | None = None
) -> Iterator[IO[bytes]]:
    """Open a file, unpacked where its name ends in ``.gz``, that hands out at most ``limit`` bytes.

    Parameters
    ----------
    longest_line
        Bytes without a line break, at most; parsers hold a line as a whole, and in pieces that
        take many times its size.

    Raises
    ------
    InputError
        As `check_file`; while it is read, as soon as more comes out, or where the packing is
        damaged.
    """
    what = what or path.name
    check_file(path, what)
    with reading(f"{what} cannot be read"):
        file = path.open("rb")
    with file:
        inner = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        bounded = _Bounded(cast("IO[bytes]", inner), limit, longest_line or limit, what)
        with io.BufferedReader(bounded) as stream:
            yield stream


class _Bounded(io.RawIOBase):
    """A stream that refuses to hand out more than ``limit`` bytes, or a longer line."""

    def __init__(self, inner: IO[bytes], limit: int, longest_line: int, what: str) -> None:
        self._inner, self._left, self._limit, self._what = inner, limit, limit, what
        self._longest_line, self._line = longest_line, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with reading(f"{self._what} cannot be read"):
            data = self._inner.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{self._what} is too large to be read",
                got=f"more than {self._limit / _MB:,.0f} MB when unpacked",
                expected=f"at most {self._limit / _MB:,.0f} MB",
                fix="Check that it is the file you mean; a small one that unpacks to this is "
                "damaged",
            )
        ends = data.rfind(b"\n")
        self._line = self._line + len(data) if ends < 0 else len(data) - ends - 1
        if self._line > self._longest_line:
            raise InputError(
                f"{self._what} cannot be read",
                got=f"more than {self._longest_line / _MB:g} MB without the end of a line",
                expected="a table with a line for each row",
                fix="Check that it is the file you mean; it may be damaged",
            )
        buffer[: len(data)] = data
        return len(data)
