"""Rows of token files read straight into a batch, without mapping the files into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, no_type_check

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["gather_rows"]

# The system's own calls, found by name when the loop is linked. An offset is 64 bits wide on every
# system that has them.
_pread = types.ExternalFunction(
    "pread", types.intp(types.int32, types.voidptr, types.uintp, types.int64)
)
_fadvise = types.ExternalFunction(
    "posix_fadvise", types.int32(types.int32, types.int64, types.int64, types.int32)
)
_WILL_NEED = 3


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no writable place for the cache
        return numba.njit(nogil=True)(function)


@no_type_check
def _gather(files, starts, shard_rows, rows, row, out):
    """Fill ``out`` (n, length); return the place in ``rows`` that could not be read, or -1."""
    n_bytes = row.nbytes
    for i in range(len(rows)):
        shard = rows[i] // shard_rows
        at = starts[shard] + (rows[i] - shard * shard_rows) * n_bytes
        if _pread(files[shard], row.ctypes, n_bytes, at) != n_bytes:
            return i
        for j in range(len(row)):
            out[i, j] = row[j]
    return -1


@no_type_check
def _announce(files, starts, shard_rows, rows, n_bytes):
    """Tell the system which rows are read next, so that a disk serves many at a time."""
    for i in range(len(rows)):
        shard = rows[i] // shard_rows
        at = starts[shard] + (rows[i] - shard * shard_rows) * n_bytes
        _fadvise(files[shard], at, n_bytes, _WILL_NEED)


_gather = _compiled(_gather)
_announce = _compiled(_announce)


def gather_rows(
    files: np.ndarray,
    starts: np.ndarray,
    shard_rows: int,
    rows: np.ndarray,
    out: np.ndarray,
    *,
    announce: bool,
) -> int:
    """Read the given rows of uint16 into ``out``.

    Parameters
    ----------
    files, starts
        (n_shards,) int32 open files, int64 bytes before the first row of each.
    shard_rows
        Rows of each shard but the last.
    rows
        (n,) int64, row numbers over all shards.
    out
        (n, length) of any integer type.
    announce
        Ask for all rows before the first is read: of use where they are not in memory yet.

    Returns
    -------
    The place in ``rows`` that could not be read, -1 where all were.
    """
    row = np.empty(out.shape[1], np.uint16)
    if announce:
        _announce(files, starts, shard_rows, rows, row.nbytes)
    return int(_gather(files, starts, shard_rows, rows, row, out))
