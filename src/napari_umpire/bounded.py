"""Files that nobody vouches for, whose size is looked at before it is believed.

A named pipe never ends, 3 MB of gz may hold 3 GB, and the header of an array may claim a terabyte:
each is refused before memory or time is spent on it.
"""

from __future__ import annotations

import datetime
import gzip
import io
import json
import math
import stat
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.words import size_on_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

__all__ = [
    "check_file",
    "check_zip",
    "load_npy",
    "parse_json",
    "parse_yaml",
    "read_json",
    "read_text",
    "unzipped",
]

_MB = 1_000_000
_MOST_UNPACKED = 4
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
            got=f"{size_on_disk(size)}",
            expected=f"at most {size_on_disk(limit)}",
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
    return parse_json(read_text(path, limit=limit, what=what), what, expected=expected)


def parse_json(text: str, what: str, *, expected: str | None = None) -> Any:
    """What a JSON text says, as `read_json` reads it from a file."""
    with reading(f"{what} cannot be read", expected=expected):
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} in place of a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # 1e999
        raise ValueError(f"{digits} is too large for a number")
    return number


def parse_yaml(text: str, what: str) -> Any:
    """Read YAML of bounded size and depth that holds nothing but what JSON has a word for.

    Ten lines of aliases stand for a thousand million values, so the values are counted before any
    is made.

    Raises
    ------
    InputError
        For what is not YAML, stands for too many values or too deep ones, holds itself, or holds a
        date, a set or bytes.
    """
    import yaml

    with reading(f"{what} is not a YAML file", fix="Correct the file"):
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _weigh(root, what)
            tree = loader.construct_document(root)
        finally:
            loader.dispose()
    _only_plain(tree, what, "")
    return tree


_MOST_VALUES = 200_000
_DEEPEST = 50


def _weigh(root: Any, what: str) -> None:
    """Refuse a graph of YAML nodes that stands for too many values, without following it twice."""
    weight: dict[int, int] = {}
    open_now: set[int] = set()

    def visit(node: Any, depth: int) -> int:
        if id(node) in open_now:
            raise InputError(
                f"{what} cannot be read",
                got="a list or group that holds itself",
                fix="Take the alias (*) out",
            )
        if depth > _DEEPEST:
            raise InputError(
                f"{what} cannot be read",
                got=f"lists or groups more than {_DEEPEST} deep",
                fix="Correct the file",
            )
        if id(node) not in weight:
            parts = [] if isinstance(node.value, str) else node.value
            open_now.add(id(node))
            children = [n for part in parts for n in (part if isinstance(part, tuple) else (part,))]
            weight[id(node)] = 1 + sum(visit(child, depth + 1) for child in children)
            open_now.remove(id(node))
        return weight[id(node)]

    n = visit(root, 0)
    if n > _MOST_VALUES:
        raise InputError(
            f"{what} stands for too many values",
            got=f"{n:,}" if n < 10**12 else "more than 10^12",
            expected=f"at most {_MOST_VALUES:,}",
            fix="Write out what its aliases (*) stand for",
        )


def _only_plain(value: Any, what: str, where: str) -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            _only_plain(part, what, f"{where}.{key}" if where else f"{key}")
    elif isinstance(value, list):
        for part in value:
            _only_plain(part, what, where)
    elif isinstance(value, datetime.date):
        raise InputError(
            f"{what} has a date at {where or 'its beginning'}",
            got=value,
            expected="a text, a number, true or false, null, a list or a group",
            fix="A spreadsheet may have made it of the name of a gene, as 2-Sep of SEPT2: write "
            "the name of the gene; put quotes around a date that is meant",
        )
    elif not (value is None or isinstance(value, (str, int, float))):
        kind = {"bytes": "binary data"}.get(type(value).__name__, f"a {type(value).__name__}")
        raise InputError(
            f"{what} has {kind} at {where or 'its beginning'}",
            expected="a text, a number, true or false, null, a list or a group",
            fix="Correct the file",
        )


def load_npy(path: Path, what: str | None = None, *, mmap: bool = False) -> np.ndarray:
    """Read, or memory-map for reading, one array of numbers from a ``.npy`` file.

    Raises
    ------
    InputError
        As `check_file`; also for what is no such file (an ``.npz`` is none), holds objects, or has
        a header that claims more or less than the file holds.
    """
    import numpy as np

    what = what or path.name
    size = check_file(path, what)
    with reading(f"{what} cannot be read", expected="an npy file of numbers"):
        with path.open("rb") as file:
            npy = np.lib.format
            first = npy.read_magic(file) == (1, 0)
            read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
            shape, _, dtype = read(file)
            begins = file.tell()
        whole = all(isinstance(side, int) and side >= 0 for side in shape)
        if dtype.hasobject or not whole:
            raise ValueError(f"a header of {dtype} {shape}")
        claimed = begins + math.prod(shape) * dtype.itemsize
        if claimed != size:
            raise ValueError(f"{size:,} bytes, of which the header claims {claimed:,}")
        # An empty array cannot be mapped.
        mapped = mmap and 0 not in shape
        array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        return array


def check_zip(file: IO[bytes], what: str) -> None:
    """Refuse a zip whose members claim much more than it holds, before any is unpacked.

    Arrays and weights are stored as they are, or shrink by a tenth where somebody packed them.

    Raises
    ------
    zipfile.BadZipFile
        Where it is no whole zip.
    """
    with zipfile.ZipFile(file) as archive:
        claimed = sum(item.file_size for item in archive.infolist())
        held = file.seek(0, io.SEEK_END)
        file.seek(0)
    if claimed > _MB + _MOST_UNPACKED * held:
        raise InputError(
            f"{what} is too large to be read",
            got=f"{size_on_disk(claimed)} when unpacked",
            expected=f"about the {size_on_disk(held)} that it takes",
            fix="Check that it is the file you mean; a small one that unpacks to this is damaged",
        )


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
                got=f"more than {size_on_disk(self._limit)} when unpacked",
                expected=f"at most {size_on_disk(self._limit)}",
                fix="Check that it is the file you mean; a small one that unpacks to this is "
                "damaged",
            )
        ends = data.rfind(b"\n")
        self._line = self._line + len(data) if ends < 0 else len(data) - ends - 1
        if self._line > self._longest_line:
            raise InputError(
                f"{self._what} cannot be read",
                got=f"more than {size_on_disk(self._longest_line)} without the end of a line",
                expected="a table with a line for each row",
                fix="Check that it is the file you mean; it may be damaged",
            )
        buffer[: len(data)] = data
        return len(data)
