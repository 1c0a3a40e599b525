"""Rows of token files brought into a batch: read from files, or copied from mapped ones."""

from __future__ import annotations

from typing import no_type_check

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from napari_umpire.compiled import compiled

__all__ = ["announce_rows", "copy_rows", "read_rows"]

# The system's own calls, found by name when the loop is linked. An offset is 64 bits wide on every
# system that has them.
_pread = types.ExternalFunction(
    "pread", types.intp(types.int32, types.voidptr, types.uintp, types.int64)
)
_fadvise = types.ExternalFunction(
    "posix_fadvise", types.int32(types.int32, types.int64, types.int64, types.int32)
)
_WILL_NEED = 3


@intrinsic
@no_type_check
def _at(typing_context, address):
    """The address as a pointer to uint16."""
    pointer = types.CPointer(types.uint16)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(types.uint64), generate


@no_type_check
def _read(files, starts, shard_rows, rows, row, out):
    """Fill ``out`` (n, length); return the place that could not be read, or -1, and the largest."""
    n_bytes, largest = row.nbytes, np.uint16(0)
    for i in range(len(rows)):
        shard = rows[i] // shard_rows
        place = starts[shard] + (rows[i] - shard * shard_rows) * n_bytes
        if _pread(files[shard], row.ctypes, n_bytes, place) != n_bytes:
            return i, largest
        for j in range(len(row)):
            out[i, j] = row[j]
            largest = max(largest, row[j])
    return -1, largest


@no_type_check
def _announce(files, starts, shard_rows, rows, n_bytes):
    """Tell the system which rows are read next, so that a disk serves many at a time."""
    for i in range(len(rows)):
        shard = rows[i] // shard_rows
        place = starts[shard] + (rows[i] - shard * shard_rows) * n_bytes
        _fadvise(files[shard], place, n_bytes, _WILL_NEED)


@no_type_check
def _copy(addresses, shard_rows, rows, length, out):
    n_bytes, largest = length * 2, np.uint16(0)
    for i in range(len(rows)):
        shard = rows[i] // shard_rows
        place = np.uint64((rows[i] - shard * shard_rows) * n_bytes)
        row = numba.carray(_at(addresses[shard] + place), (length,))
        for j in range(length):
            out[i, j] = row[j]
            largest = max(largest, row[j])
    return largest


_read = compiled(_read)
_announce = compiled(_announce)
_copy = compiled(_copy)


def read_rows(
    files: np.ndarray, starts: np.ndarray, shard_rows: int, rows: np.ndarray, out: np.ndarray
) -> tuple[int, int]:
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

    Returns
    -------
    The place in ``rows`` that could not be read, -1 where all were; and the largest value.
    """
    row = np.empty(out.shape[1], np.uint16)
    bad, largest = _read(files, starts, shard_rows, rows, row, out)
    return int(bad), int(largest)


def announce_rows(
    files: np.ndarray, starts: np.ndarray, shard_rows: int, rows: np.ndarray, length: int
) -> None:
    """Have all rows fetched at once that are not in memory; as `read_rows`."""
    _announce(files, starts, shard_rows, rows, length * 2)


def copy_rows(addresses: np.ndarray, shard_rows: int, rows: np.ndarray, out: np.ndarray) -> int:
    """Copy the given rows of mapped shards into ``out``; as `read_rows`, the largest value alone.

    Parameters
    ----------
    addresses
        (n_shards,) uint64, of the first row of each. Rows outside of the shards end the process.
    """
    return int(_copy(addresses, shard_rows, rows, out.shape[1], out))
