"""Features kept on disk, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.bounded import check_file, load_npy, read_json
from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.faults import reading
from napari_umpire.inference.arrays import create_array, flush, replace_array

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CacheEntry", "FeatureCache"]

_FORMAT = "napari-umpire features 1"
_COMMIT_EVERY_S = 1.0  # what a kill may cost; more often would write the row list all the time
_DONE = np.uint64(1 << 32)


class FeatureCache:
    """A folder of features, one entry per slide, encoder and input; safe to delete at any time.

    Parameters
    ----------
    folder
        Made where it does not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def entry(self, *, n: int, dim: int, **digests: str) -> CacheEntry:
        """Open or begin the features of ``n`` spots, ``dim`` each.

        Parameters
        ----------
        digests
            What the features depend on: ``slide``, ``encoder`` and ``patches`` or another name of
            the input. Other digests, other entry.

        Raises
        ------
        InputError
            Where the folder cannot be written.
        """
        key = json.dumps(digests, sort_keys=True)
        name = hashlib.sha256(key.encode()).hexdigest()[:24]
        try:
            return CacheEntry(self.folder / name, n, dim, digests)
        except OSError as error:
            raise InputError(
                f"The cache {self.folder} cannot be written",
                got=error,
                fix="Choose another cache folder, or make room on the disk",
            ) from error

    def clear(self) -> None:
        """Delete all entries, and nothing else that may lie in the folder."""
        for about in self.folder.glob("*/entry.json"):
            shutil.rmtree(about.parent)


class CacheEntry:
    """Features of one slide by one encoder, row by row.

    ``features.npy`` (n, dim) float32 is written in place; ``rows.npy`` (n,) uint64 says which rows
    are complete, with a checksum of each, and is replaced as a whole after the features are on the
    disk. So whenever the process dies, a row that is called complete is.
    """

    def __init__(self, folder: Path, n: int, dim: int, digests: Mapping[str, str]) -> None:
        self._folder = folder
        self._about = {"format": _FORMAT, "n": n, "dim": dim, "digests": dict(digests)}
        self._committed = time.monotonic()
        if folder.exists() and self._open():
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._features = create_array(folder / "features.npy", (n, dim), np.float32)
        self._rows = np.zeros(n, np.uint64)
        replace_array(folder / "rows.npy", self._rows)
        # Last: a folder without it was never an entry.
        (folder / "entry.json").write_text(json.dumps(self._about), encoding="utf-8")

    @property
    def done(self) -> np.ndarray:
        """(n,) bool, which rows are there."""
        return self._rows != 0

    def write(self, rows: np.ndarray, features: np.ndarray) -> None:
        """Add complete rows; they survive a kill from the next `commit` on, at most 1 s later."""
        values = np.ascontiguousarray(features, np.float32)
        self._features[rows] = values
        self._rows[rows] = _checksums(values)
        if time.monotonic() - self._committed > _COMMIT_EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Bring what was written to the disk."""
        flush(self._features)
        replace_array(self._folder / "rows.npy", self._rows)
        self._committed = time.monotonic()

    def forget(self) -> None:
        """Take all rows back."""
        self._rows[:] = 0
        self.commit()

    def read(self) -> np.ndarray:
        """All features, (n, dim) float32; missing rows are 0."""
        return np.array(self._features)

    def _open(self) -> bool:
        """Open what is there; False, with a warning, where it is no use."""
        place = self._folder / "features.npy"
        try:
            with reading(f"{self._folder} cannot be read"):
                about = read_json(self._folder / "entry.json")
                rows = np.array(load_npy(self._folder / "rows.npy"))
                check_file(place)
                features = np.load(place, mmap_mode="r+", allow_pickle=False)
                shape = (self._about["n"], self._about["dim"])
                if about != self._about or (features.shape, rows.shape) != (shape, shape[:1]):
                    raise ValueError("it is of another slide or encoder")
                if features.dtype != np.float32 or rows.dtype != np.uint64:
                    raise ValueError("it is of another type")
        except InputError as error:
            _warn(f"The cached features in {self._folder} cannot be read ({error.got})")
            return False
        done = np.flatnonzero(rows)
        bad = done[_checksums(features[done]) != rows[done]]
        if len(bad):
            _warn(f"{len(bad)} of the cached features in {self._folder} are damaged")
            rows[bad] = 0
        self._features, self._rows = features, rows
        return True


def _checksums(features: np.ndarray) -> np.ndarray:
    sums = np.fromiter((zlib.crc32(row) for row in features), np.uint64, len(features))
    return sums | _DONE


def _warn(problem: str) -> None:
    warnings.warn(f"{problem}; they are computed again.", UmpireWarning, stacklevel=5)
