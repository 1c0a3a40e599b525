"""Windows of one level in an order, and with a cache, that decode each tile once.

Windows are visited stripe by stripe, in a stripe one row of tiles after the other, from left to
right. A tile is let go when no window needs it any more, so that what is held is about one row of
tiles of a stripe. Stripes are as wide as the cache allows; only tiles on the seam of two stripes
may be decoded twice, and a slide whose row of tiles fits the cache has one stripe.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_umpire.slides.pyramid import Level

__all__ = ["WindowReader", "tile_order"]


def tile_order(level: Level, first: np.ndarray, last: np.ndarray, cache_bytes: int) -> np.ndarray:
    """Return the order in which to read windows, (n,) int64.

    Parameters
    ----------
    level
        The level the windows lie in.
    first, last
        (n, 2) int64, windows from y, x ``first`` up to and without ``last``, px of the level; may
        reach outside the image.
    cache_bytes
        Room for decoded tiles.
    """
    (th, tw), (rows, cols) = level.tile, level.grid
    (y0, x0), (y1, x1) = first.T, last.T
    first_row, first_col = np.clip(y0 // th, 0, rows - 1), np.clip(x0 // tw, 0, cols - 1)
    spans = np.clip((y1 - 1) // th, 0, rows - 1) - first_row + 1
    tall = int(spans.max(initial=1))
    wide = int((np.clip((x1 - 1) // tw, 0, cols - 1) - first_col + 1).max(initial=1))
    room = cache_bytes // (min(th, level.shape[0]) * min(tw, level.shape[1]) * 3)
    # A stripe holds the tiles of its own columns and those its last windows reach into.
    stripe = max(1, int(room) // tall - (wide - 1))
    return np.lexsort((y0, x0, first_col, first_row, first_col // stripe))


class WindowReader:
    """Reads windows of a level, told beforehand which ones and in which order.

    Parameters
    ----------
    level
        The level to read.
    first, last
        (n, 2) int64, the windows in the order in which they will be read, as in `tile_order`.
    cache_bytes
        Tiles beyond this are let go, least recently used first, and decoded again when needed;
        the tiles of the window being read are always held.
    """

    def __init__(
        self,
        level: Level,
        first: np.ndarray,
        last: np.ndarray,
        cache_bytes: int,
    ) -> None:
        self.level = level
        self.cache_bytes = cache_bytes
        height, width = level.shape
        self._windows = [
            (y0, x0, y1, x1)
            for (y0, x0), (y1, x1) in zip(first.tolist(), last.tolist(), strict=True)
        ]
        self._inside = [
            (max(a, 0), max(b, 0), min(c, height), min(d, width)) for a, b, c, d in self._windows
        ]
        self._uses: dict[tuple[int, int], int] = {}
        for window in self._inside:
            for tile in self._tiles(window):
                self._uses[tile] = self._uses.get(tile, 0) + 1
        self._held: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._held_bytes = 0
        self.peak_bytes = 0
        """Most bytes of decoded tiles held at one time."""

    def read(self, i: int, out: np.ndarray | None = None) -> np.ndarray:
        """Return window ``i``, (h, w, 3) uint8, white (255) outside the image.

        Parameters
        ----------
        out
            Where to put it; made where not given.
        """
        y0, x0, y1, x1 = self._windows[i]
        a, b, c, d = inside = self._inside[i]
        if out is None:
            out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
        if inside != (y0, x0, y1, x1):
            out[:] = 255
        th, tw = self.level.tile
        for tile in self._tiles(inside):
            pixels = self._take(tile)
            top, left = tile[0] * th, tile[1] * tw
            ya, yb = max(a, top), min(c, top + th)
            xa, xb = max(b, left), min(d, left + tw)
            out[ya - y0 : yb - y0, xa - x0 : xb - x0] = pixels[
                ya - top : yb - top, xa - left : xb - left
            ]
        self._let_go()
        return out

    def _tiles(self, inside: tuple[int, int, int, int]) -> list[tuple[int, int]]:
        y0, x0, y1, x1 = inside
        if y0 >= y1 or x0 >= x1:
            return []
        th, tw = self.level.tile
        return [
            (row, col)
            for row in range(y0 // th, (y1 - 1) // th + 1)
            for col in range(x0 // tw, (x1 - 1) // tw + 1)
        ]

    def _take(self, tile: tuple[int, int]) -> np.ndarray:
        self._uses[tile] -= 1
        if tile in self._held:
            self._held.move_to_end(tile)
            pixels = self._held[tile]
        else:
            pixels = self.level.read_tile(*tile)
            self._held[tile] = pixels
            self._held_bytes += pixels.nbytes
            self.peak_bytes = max(self.peak_bytes, self._held_bytes)
        if self._uses[tile] == 0:
            del self._held[tile]
            self._held_bytes -= pixels.nbytes
        return pixels

    def _let_go(self) -> None:
        while self._held_bytes > self.cache_bytes and self._held:
            _, pixels = self._held.popitem(last=False)
            self._held_bytes -= pixels.nbytes
