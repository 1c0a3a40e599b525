"""The image of a slide: levels of tiles, each tile readable on its own.

The frame of all coordinates is the full-resolution pixel grid of the slide, in (y, x), where
pixel ``i`` covers ``[i, i + 1)`` (the convention of SpatialData). A level with ``downsample`` d
has one pixel per d x d full-resolution pixels, so its coordinate is the full-resolution one
divided by d. Level 0 need not be full resolution: a Space Ranger folder may hold only the
"hires" image.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from napari_umpire.errors import UmpireWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array as da
    from numpy.typing import DTypeLike

__all__ = [
    "ArrayLevel",
    "Level",
    "Pyramid",
    "block_means",
    "downsample_between",
    "fitting_levels",
    "over_white",
    "usable_levels",
]


class Level(ABC):
    """One resolution of a slide image, RGB uint8, read tile by tile.

    Attributes
    ----------
    shape
        (height, width) of the level in its own pixels.
    tile
        (height, width) of one tile; tiles at the right and lower edge may be smaller.
    downsample
        Full-resolution pixels per pixel of this level, >= some positive number.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    downsample: float

    @property
    def grid(self) -> tuple[int, int]:
        """Number of tile rows and tile columns."""
        return (-(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1]))

    def read_tile(self, row: int, col: int) -> np.ndarray:
        """Return tile (row, col) as uint8 (h, w, 3), cut at the image edge."""
        rows, cols = self.grid
        if not (0 <= row < rows and 0 <= col < cols):
            raise IndexError(f"tile ({row}, {col}) outside a grid of {rows} x {cols} tiles")
        return self._read_tile(row, col)

    @abstractmethod
    def _read_tile(self, row: int, col: int) -> np.ndarray: ...

    def read(self, y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
        """Return the region [y0, y1) x [x0, x1) of the level's pixels, inside the image."""
        if not (0 <= y0 < y1 <= self.shape[0] and 0 <= x0 < x1 <= self.shape[1]):
            raise IndexError(f"region ({y0}:{y1}, {x0}:{x1}) outside a level of {self.shape}")
        out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
        th, tw = self.tile
        for row in range(y0 // th, (y1 - 1) // th + 1):
            for col in range(x0 // tw, (x1 - 1) // tw + 1):
                tile = self.read_tile(row, col)
                ty, tx = row * th, col * tw
                a, b = max(y0, ty), min(y1, ty + tile.shape[0])
                c, d = max(x0, tx), min(x1, tx + tile.shape[1])
                out[a - y0 : b - y0, c - x0 : d - x0] = tile[a - ty : b - ty, c - tx : d - tx]
        return out

    def as_dask(self, chunk: int = 1024) -> da.Array:
        """Return the level as a lazy (y, x, 3) uint8 array.

        Parameters
        ----------
        chunk
            Chunks are whole tiles, as many as fit in this many px each way, so that a large slide
            of small tiles does not become a graph of a million tasks.
        """
        import dask.array as da

        chunks = tuple(
            min(n, t * max(1, chunk // t)) for n, t in zip(self.shape, self.tile, strict=True)
        )
        return da.from_array(
            _Sliceable(self),
            chunks=(*chunks, 3),
            name=f"level-{uuid4().hex}",
            asarray=False,
            fancy=False,
            meta=np.empty((0, 0, 0), np.uint8),
        )


class _Sliceable:
    """What dask needs to see of an array: shape, dtype and contiguous slices."""

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, level: Level) -> None:
        self.level = level
        self.shape = (*level.shape, 3)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> np.ndarray:
        (y0, y1, sy), (x0, x1, sx), _ = (
            s.indices(n) for s, n in zip(index, self.shape, strict=True)
        )
        if y1 <= y0 or x1 <= x0:
            return np.empty((max(0, y1 - y0), max(0, x1 - x0), 3), np.uint8)[:, :, index[2]]
        return self.level.read(y0, x0, y1, x1)[::sy, ::sx, index[2]]


class ArrayLevel(Level):
    """A level held in memory, uint8 (height, width, 3)."""

    def __init__(self, pixels: np.ndarray, downsample: float, tile: int = 1024) -> None:
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise TypeError(f"pixels must be uint8 (h, w, 3), got {pixels.dtype} {pixels.shape}")
        self.pixels = pixels
        self.shape = (pixels.shape[0], pixels.shape[1])
        self.tile = (tile, tile)
        self.downsample = float(downsample)

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        th, tw = self.tile
        return self.pixels[row * th : (row + 1) * th, col * tw : (col + 1) * tw]


@dataclass(frozen=True, eq=False)
class Pyramid:
    """The levels of a slide image, finest first; equal to itself only."""

    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        downs = [level.downsample for level in self.levels]
        if not downs or downs != sorted(downs):
            raise ValueError(f"levels must be given finest first, got downsamples {downs}")

    @property
    def extent(self) -> tuple[float, float]:
        """(height, width) of the image in full-resolution pixels."""
        first = self.levels[0]
        return (first.shape[0] * first.downsample, first.shape[1] * first.downsample)

    def level_for(self, downsample: float) -> int:
        """Index of the coarsest level that is still at least as fine as ``downsample``.

        Level 0 where none is: the caller then resamples upward, or refuses.
        """
        fit = [i for i, v in enumerate(self.levels) if v.downsample <= downsample * (1 + 1e-6)]
        return fit[-1] if fit else 0


def downsample_between(fine: tuple[int, int], coarse: tuple[int, int]) -> float | None:
    """Pixels of the ``fine`` image per pixel of its reduced copy, sizes as (height, width).

    Sizes are rounded to whole px; a whole factor that rounding explains is the factor that was
    meant. None where no factor explains both sides: the copy is then cropped or padded, and would
    show things at a wrong place.
    """
    ratio = sum(fine) / sum(coarse)
    for factor in (float(round(ratio)), ratio):
        if factor > 0 and all(abs(n / factor - m) < 1 for n, m in zip(fine, coarse, strict=True)):
            return factor
    return None


def fitting_levels(
    sizes: Sequence[tuple[int, int]],
) -> tuple[list[tuple[int, float]], str | None]:
    """Which stored copies of an image make a pyramid, and their downsamples.

    A file may keep its copies in any order, more than once, or padded to whole tiles.

    Parameters
    ----------
    sizes
        (height, width) of each stored copy, px, as the file lists them.

    Returns
    -------
    list of (int, float)
        Place in ``sizes`` and full-resolution px per px of that copy, finest first. The finest is
        the largest of those that are copies of the first, and has downsample 1.
    str | None
        What is left out, in words.
    """
    alike = [
        i
        for i, size in enumerate(sizes)
        if downsample_between(sizes[0], size) or downsample_between(size, sizes[0])
    ]
    full = max(alike, key=lambda i: (math.prod(sizes[i]), -i))
    found: dict[float, int] = {1.0: full}
    left_out = []
    for i, size in enumerate(sizes):
        factor = downsample_between(sizes[full], size)
        if i == full:
            continue
        if factor is None or factor < 1:
            left_out.append(f"{_by(size)} px (its sides do not fit)")
        elif factor in found:
            left_out.append(f"{_by(size)} px (there twice)")
        else:
            found[factor] = i
    levels = [(found[factor], factor) for factor in sorted(found)]
    if not left_out:
        return levels, None
    return levels, (
        f"of the reduced copies of its image of {_by(sizes[full])} px (height x width) these are "
        f"left out: {', '.join(left_out)}"
    )


def usable_levels(sizes: Sequence[tuple[int, int]], *, name: str) -> list[tuple[int, float]]:
    """As `fitting_levels`, with a warning about what the image ``name`` leaves out."""
    levels, left_out = fitting_levels(sizes)
    if left_out is not None:
        warnings.warn(f"{name}: {left_out}", UmpireWarning, stacklevel=2)
    return levels


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def block_means(level: Level, step: int, dtype: DTypeLike = np.float32) -> np.ndarray:
    """The level as means of ``step`` x ``step`` px, read by tile rows: (h, w, 3) of ``dtype``.

    Rows and columns that do not fill a block at the lower and right edge are left out, unless
    there are no others.
    """
    step = min(step, *level.shape)
    height, width = level.shape[0] // step, level.shape[1] // step
    strip = max(1, level.tile[0] // step)
    out = np.empty((height, width, 3), dtype)
    for top in range(0, height, strip):
        end = min(top + strip, height)
        block = level.read(top * step, 0, end * step, width * step)
        block = block.reshape(end - top, step, width, step, 3)
        out[top:end] = block.mean(axis=(1, 3), dtype=np.float32)
    return out


def over_white(samples: np.ndarray, *, premultiplied: bool = False) -> np.ndarray:
    """(h, w, 4) uint8 with alpha last -> (h, w, 3) uint8 as seen on white paper.

    Parameters
    ----------
    premultiplied
        Whether the colours have been multiplied by alpha already.
    """
    alpha = samples[:, :, 3:].astype(np.uint16)
    colour = samples[:, :, :3].astype(np.uint16)
    if not premultiplied:
        colour = (colour * alpha + 127) // 255
    return np.minimum(colour + 255 - alpha, 255).astype(np.uint8)
