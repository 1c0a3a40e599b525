"""Images that are stored turned or mirrored, with a tag that says how they stand upright.

Orientation is a number from 1 to 8 (TIFF tag 274, and EXIF in JPEG and PNG): which side of the
slide the first row and the first column of the stored pixels are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.slides.pyramid import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TURN_WORDS", "TurnedLevel", "is_on_its_side", "upright", "upright_points"]

# Of a number: whether the upright rows, and then columns, run backwards in the stored ones, and
# whether rows and columns are exchanged.
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (True, True, False),
    4: (True, False, False),
    5: (False, False, True),
    6: (False, True, True),
    7: (True, True, True),
    8: (True, False, True),
}

TURN_WORDS = {
    1: "as they are",
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored along the diagonal (rows and columns exchanged)",
    6: "turned by 90 degrees clockwise",
    7: "mirrored along the other diagonal",
    8: "turned by 90 degrees anticlockwise",
}
"""What `upright` does with a picture of each orientation."""


def is_on_its_side(orientation: int) -> bool:
    """Whether rows and columns are exchanged."""
    return _TURNS[orientation][2]


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels (h, w, ...) as they are to be shown."""
    rows, columns, exchanged = _TURNS[orientation]
    if exchanged:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def upright_points(yx: np.ndarray, extent: tuple[float, float], orientation: int) -> np.ndarray:
    """Where points of the stored image lie in the upright one.

    Parameters
    ----------
    yx
        (n, 2) points, px of the stored image.
    extent
        (height, width) of the upright image, px.
    """
    rows, columns, exchanged = _TURNS[orientation]
    y, x = np.asarray(yx, np.float64)[:, :: -1 if exchanged else 1].T
    height, width = extent
    return np.stack([height - y if rows else y, width - x if columns else x], axis=1)


class TurnedLevel(Level):
    """A level shown upright; its tiles are turned when they are read."""

    def __init__(self, stored: Level, orientation: int) -> None:
        self.stored, self.orientation = stored, orientation
        self.downsample = stored.downsample
        self.shape, self.tile = stored.shape, stored.tile
        if is_on_its_side(orientation):
            self.shape, self.tile = _exchanged(self.shape), _exchanged(self.tile)

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        rows, columns, exchanged = _TURNS[self.orientation]
        box = []
        for at, edge, size, backwards in zip(
            (row, col), self.tile, self.shape, (rows, columns), strict=True
        ):
            start, end = at * edge, min((at + 1) * edge, size)
            box.append((size - end, size - start) if backwards else (start, end))
        (y0, y1), (x0, x1) = box[::-1] if exchanged else box
        return np.ascontiguousarray(upright(self.stored.read(y0, x0, y1, x1), self.orientation))


def _exchanged(pair: Sequence[int]) -> tuple[int, int]:
    return pair[1], pair[0]
