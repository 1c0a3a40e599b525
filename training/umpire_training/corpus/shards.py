"""Tokens of millions of spots in a few files, read by rows in any order.

Every shard but the last holds the same number of rows, so that a row's place is a division. A
corpus that fits the machine's memory is mapped; what was ever touched of it then counts as memory
of files, which the system takes back when it needs it. A larger one is read, which is slower, and
no part of it counts. Either way this process has no copy of its own but the batch.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError
from umpire_training.corpus.npy import open_npy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["TokenShards"]

MAPPED_SHARE = 0.6
"""Up to this share of the memory that this process may use a corpus is mapped."""

# A row that comes from memory takes about 1 us, one from a disk 20 us and more. Only a hint: what
# the system counts is asked first, but it does not count what comes over every kind of network.
_COLD_SECONDS = 2e-5

_CAN_ADVISE = hasattr(os, "posix_fadvise")


class TokenShards:
    """(n_spots, length) uint16 over several .npy files; indexed by rows like an array.

    Parameters
    ----------
    paths
        The files in order.
    shape
        Rows and columns of all together.
    shard_rows
        Rows of each file but the last.
    n_tokens
        Token ids there are; a batch with another one is refused. None: any.

    Raises
    ------
    InputError
        Where a file is missing, cut short or of another shape.
    """

    dtype = np.dtype(np.uint16)
    ndim = 2

    def __init__(
        self,
        paths: Sequence[Path],
        shape: tuple[int, int],
        shard_rows: int,
        *,
        mapped: bool | None = None,
        n_tokens: int | None = None,
    ) -> None:
        self.paths, self.shape, self.shard_rows = tuple(paths), shape, shard_rows
        self.n_tokens = n_tokens
        starts = [_check(path, self._shape_of(i)) for i, path in enumerate(self.paths)]
        self._starts = np.array(starts, np.int64)
        if mapped is None:
            # What a scheduler or container allows, where that is less than the machine has.
            from distributed.system import memory_limit

            mapped = shape[0] * shape[1] * 2 <= MAPPED_SHARE * memory_limit()
        self.mapped = mapped or not _CAN_ADVISE
        self._forget()

    def _shape_of(self, shard: int) -> tuple[int, int]:
        left = self.shape[0] - shard * self.shard_rows
        return max(0, min(self.shard_rows, left)), self.shape[1]

    def _forget(self) -> None:
        self._arrays: list[np.ndarray] = []
        self._addresses: np.ndarray | None = None
        self._files: np.ndarray | None = None
        # Until the first batch tells: nothing is in memory.
        self._cold = True
        # Threads that read ahead open the files once.
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        own = ("_arrays", "_addresses", "_files", "_cold", "_lock")
        return {k: v for k, v in self.__dict__.items() if k not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Rows as (n, length) uint16; (length,) for a single number."""
        if isinstance(rows, (int, np.integer)):
            return self.gather(np.array([rows]))[0]
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        return self.gather(np.flatnonzero(rows) if rows.dtype == bool else rows)

    def gather(self, rows: np.ndarray, dtype: Any = np.uint16) -> np.ndarray:
        """The given rows, (n, length) of ``dtype``; negative numbers count from the end.

        Raises
        ------
        IndexError
            A row that is not there.
        InputError
            A shard that was cut short or taken away since it was opened, or that holds a token
            that is none.
        """
        rows = np.asarray(rows, np.int64).ravel()
        rows = np.where(rows < 0, rows + len(self), rows)
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows up to {rows.max()} of {len(self)}")
        out = np.empty((len(rows), self.shape[1]), dtype)
        if not len(rows):
            return out
        copied = self.mapped and not (self._cold and _CAN_ADVISE)
        fetched, started = _fetched(), time.perf_counter()
        if copied:
            largest = self._copy(rows, out)
        else:
            # A page that a mapping misses is waited for alone, with its neighbours: 10x slower.
            if self._cold:
                self._announce(rows)
            largest = self._read(rows, out)
        slow = time.perf_counter() - started > _COLD_SECONDS * len(rows)
        # Copying is slow as well where other programs have the processor: only the count tells.
        self._cold = (slow and not copied) or _fetched() > fetched
        if self.n_tokens is not None and largest >= self.n_tokens:
            self._refuse(rows, out)
        return out

    def _refuse(self, rows: np.ndarray, out: np.ndarray) -> None:
        row, column = np.argwhere(out >= self.n_tokens)[0]
        shard, inside = divmod(int(rows[row]), self.shard_rows)
        raise _damaged(
            self.paths[shard],
            f"token {out[row, column]} in row {inside}",
            expected=f"tokens below {self.n_tokens}",
        )

    def _copy(self, rows: np.ndarray, out: np.ndarray) -> int:
        from umpire_training.corpus._gather import copy_rows

        with self._lock:
            if self._addresses is None:
                self._arrays = [open_npy(path) for path in self.paths]
                self._addresses = np.array([a.ctypes.data for a in self._arrays], np.uint64)
        return copy_rows(self._addresses, self.shard_rows, rows, out)

    def _read(self, rows: np.ndarray, out: np.ndarray) -> int:
        from umpire_training.corpus._gather import read_rows

        bad, largest = read_rows(self._open_files(), self._starts, self.shard_rows, rows, out)
        if bad >= 0:
            raise _damaged(self.paths[int(rows[bad] // self.shard_rows)], "it ends too early")
        return largest

    def _announce(self, rows: np.ndarray) -> None:
        from umpire_training.corpus._gather import announce_rows

        announce_rows(self._open_files(), self._starts, self.shard_rows, rows, self.shape[1])

    def _open_files(self) -> np.ndarray:
        with self._lock:
            if self._files is None:
                self._files = np.array([_open(path) for path in self.paths], np.int32)
            return self._files

    def __del__(self) -> None:
        files = self.__dict__.get("_files")
        if files is not None:
            for file in files.tolist():
                os.close(file)


def _fetched() -> int:
    """How often this thread had to wait for a disk, or had it read something, so far."""
    if not _CAN_ADVISE:
        return 0
    import resource

    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_majflt + used.ru_inblock


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise _damaged(path, error) from error


def _check(path: Path, shape: tuple[int, int]) -> int:
    """Bytes before the first row, of a file that is what it should be."""
    if not path.is_file():
        raise InputError(f"{path} is missing", fix="Copy it again, or prepare the corpus again")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version)
            if read is None:
                raise _damaged(path, f"npy version {version}")
            found, fortran, dtype = read(file)
            start, size = file.tell(), file.seek(0, os.SEEK_END)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    wanted = start + shape[0] * shape[1] * dtype.itemsize
    if size < wanted:
        raise _damaged(path, f"cut short, {size:,} of {wanted:,} bytes")
    if tuple(found) != shape or dtype != TokenShards.dtype or fortran:
        raise _damaged(path, f"{found} {dtype}", expected=f"{shape} uint16")
    return start


def _damaged(path: Path, got: object, expected: object = None) -> InputError:
    return InputError(
        f"The shard {path} is damaged",
        got=got,
        expected=expected,
        fix="Copy it again from where it was made (SHA256SUMS beside it tells whether a copy is "
        "whole), or prepare the corpus again",
    )
