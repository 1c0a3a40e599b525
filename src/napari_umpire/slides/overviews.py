"""Coarser levels of an image that has too few of its own, computed when they are looked at."""

from __future__ import annotations

import threading

import numpy as np

from napari_umpire.slides.pyramid import Level, Pyramid

__all__ = ["ReducedLevel", "with_overviews"]

_KEEP_PX = 4_000_000
_TILE = 512


class ReducedLevel(Level):
    """Every 2 x 2 pixels of a finer level as their mean, rounded half up.

    An odd last row or column is averaged with itself, so that nothing of the image is lost and the
    downsample is exactly twice the finer one. A level of up to 4 million px is kept in memory
    once computed, because looking at it means having read the whole slide.
    """

    def __init__(self, finer: Level) -> None:
        self.finer = finer
        self.shape = (-(-finer.shape[0] // 2), -(-finer.shape[1] // 2))
        self.tile = (_TILE, _TILE)
        self.downsample = 2 * finer.downsample
        self._kept: dict[tuple[int, int], np.ndarray] | None = None
        if self.shape[0] * self.shape[1] <= _KEEP_PX:
            self._kept = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        state = self.__dict__.copy()
        state["_kept"] = None if self._kept is None else {}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        if self._kept is None:
            return self._reduce(row, col)
        # One thread computes a tile that others also want: it may cost a read of the whole slide.
        with self._lock:
            if (row, col) not in self._kept:
                self._kept[row, col] = self._reduce(row, col)
            return self._kept[row, col]

    def _reduce(self, row: int, col: int) -> np.ndarray:
        y0, x0 = 2 * row * _TILE, 2 * col * _TILE
        y1 = min(y0 + 2 * _TILE, self.finer.shape[0])
        x1 = min(x0 + 2 * _TILE, self.finer.shape[1])
        fine = self.finer.read(y0, x0, y1, x1)
        if fine.shape[0] % 2 or fine.shape[1] % 2:
            odd = [(0, n % 2) for n in fine.shape[:2]]
            fine = np.pad(fine, (*odd, (0, 0)), mode="edge")
        wide = fine.astype(np.uint16)
        rows = wide[0::2] + wide[1::2]
        return ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)


def with_overviews(levels: list[Level], smallest_px: int = 1024) -> Pyramid:
    """Return the pyramid of ``levels``, halved further until its last level is small.

    Parameters
    ----------
    levels
        Finest first.
    smallest_px
        Longest side of the coarsest level, px of that level, at most.
    """
    out = list(levels)
    while max(out[-1].shape) > smallest_px:
        out.append(ReducedLevel(out[-1]))
    return Pyramid(tuple(out))
