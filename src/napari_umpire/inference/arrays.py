"""Array files that are filled piece by piece."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike

__all__ = ["create_array", "flush", "replace_array"]


def create_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Make a new ``.npy`` file of zeros and return it memory-mapped for writing.

    Raises
    ------
    OSError
        Also where the disk has no room for all of it: found now, because writing to a mapped page
        that the disk cannot hold kills the process.
    """
    if 0 in shape:  # an empty file cannot be mapped
        np.save(path, np.empty(shape, dtype), allow_pickle=False)
        return np.empty(shape, dtype)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def flush(array: np.ndarray) -> None:
    """Bring a mapped array to the disk."""
    if isinstance(array, np.memmap):
        array.flush()


def replace_array(path: Path, array: np.ndarray) -> None:
    """Write ``path`` anew such that a reader, or a later run, finds the old or the new whole."""
    with replace_file(path) as written:
        np.save(written, array, allow_pickle=False)
