"""Where the tissue lies on a slide, and a grid of spots over it for slides without measurement."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from scipy import ndimage

from napari_umpire.errors import InputError
from napari_umpire.slides.pyramid import block_means

if TYPE_CHECKING:
    from napari_umpire.slides.pyramid import Pyramid

__all__ = ["BLACK", "TissueMask", "grid_spots", "tissue_mask", "tissue_of"]

_READ_UM, _MASK_UM = 4.0, 8.0
# Pieces and holes below this are dust, and lumens or fat cells: the area of two and a half spots.
_SMALL_MM2 = 0.02
# Bridges the empty middle of fat cells, 60 um wide.
_CLOSE_UM = 32.0
# Green light that tissue takes away, as natural optical density over glass: Otsu's threshold is
# kept in these bounds, because it splits glass noise on a blank slide and tissue on a full one.
_LEAST_OD, _MOST_OD = 0.06, 0.18
# Grey things (dust, the edge of the cover slip, shadow) take all colours alike.
_LEAST_COLOUR_OD = 0.03
BLACK = 12
"""Scanners fill what they did not scan with at most this value in each channel."""


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue on a coarse grid.

    Attributes
    ----------
    mask
        (rows, cols) bool, True on tissue.
    downsample
        Full-resolution px per pixel of ``mask``.
    """

    mask: np.ndarray
    downsample: float

    def contains(self, yx: np.ndarray) -> np.ndarray:
        """Whether each point lies on tissue, (n,) bool.

        Parameters
        ----------
        yx
            (n, 2) points, full-resolution px.
        """
        cell = np.floor(np.asarray(yx, np.float64) / self.downsample).astype(np.int64)
        inside = np.all((cell >= 0) & (cell < self.mask.shape), axis=1)
        cell = np.where(inside[:, None], cell, 0)
        return inside & self.mask[cell[:, 0], cell[:, 1]]

    def outlines(self) -> list[np.ndarray]:
        """Return the borders of pieces and of holes: closed rings (n, 2), full-resolution y, x."""
        from skimage.measure import find_contours

        rings = find_contours(np.pad(self.mask, 1).astype(np.float32), 0.5)
        # A contour counts from pixel centres, and the padding moved it by one.
        return [(ring - 0.5) * self.downsample for ring in rings]


def tissue_mask(pyramid: Pyramid, mpp: float) -> TissueMask:
    """Find the tissue by the green light it takes away, on a grid of about 8 um.

    Parameters
    ----------
    pyramid
        The image.
    mpp
        Um per full-resolution px.

    Returns
    -------
    TissueMask
        All False where the slide is blank.
    """
    level = min(pyramid.levels, key=lambda v: abs(np.log(v.downsample * mpp / _READ_UM)))
    step = max(1, round(_READ_UM / (level.downsample * mpp)))
    rgb = block_means(level, step, np.uint8)
    pool = max(1, round(_MASK_UM / (level.downsample * step * mpp)))
    mask = _separate(rgb, pool)
    downsample = level.downsample * step * pool
    um = downsample * mpp
    close = int(np.ceil(_CLOSE_UM / um))
    if close > 0:
        y, x = np.mgrid[-close : close + 1, -close : close + 1]
        disc = y**2 + x**2 <= close**2
        padded = np.pad(mask, close)
        mask = ndimage.binary_closing(padded, disc)[close:-close, close:-close]
    small = _SMALL_MM2 * 1e6 / um**2
    mask = np.invert(_without_small(np.invert(_without_small(mask, small)), small))
    return TissueMask(mask, downsample)


_masks: WeakKeyDictionary[Pyramid, dict[float, TissueMask]] = WeakKeyDictionary()
_masks_lock = threading.Lock()


def tissue_of(pyramid: Pyramid, mpp: float) -> TissueMask:
    """As `tissue_mask`, computed once for an image and a scale and kept as long as the image."""
    with _masks_lock:
        kept = _masks.setdefault(pyramid, {})
    if mpp not in kept:
        kept[mpp] = tissue_mask(pyramid, mpp)
    return kept[mpp]


def grid_spots(
    pyramid: Pyramid,
    mask: TissueMask,
    mpp: float,
    pitch_um: float = 100.0,
    kind: Literal["hex", "square"] = "hex",
) -> pd.DataFrame:
    """Lay a grid of spots over the tissue.

    Parameters
    ----------
    pyramid
        The image.
    mask
        Its tissue; spots are those whose centre lies on it.
    mpp
        Um per full-resolution px.
    pitch_um
        Distance of neighbouring centres, um.
    kind
        "hex" as Visium has it (odd rows are shifted by half a pitch; array columns count half
        pitches), or "square".

    Returns
    -------
    DataFrame
        As `Slide.spots`: index "spot_00001" and on, row by row.

    Raises
    ------
    InputError
        Where the pitch is not positive.
    """
    if not (np.isfinite(pitch_um) and pitch_um > 0):
        raise InputError("The spot pitch must be positive", got=f"{pitch_um} um")
    pitch = pitch_um / mpp
    step = pitch * np.sqrt(0.75) if kind == "hex" else pitch
    height, width = pyramid.extent
    row, col = (g.ravel() for g in np.mgrid[: int(height / step) + 1, : int(width / pitch) + 1])
    shift = (row % 2) / 2 if kind == "hex" else 0.0
    y, x = (row + 0.5) * step, (col + 0.5 + shift) * pitch
    on = mask.contains(np.stack([y, x], axis=1)) & (y < height) & (x < width)
    n = int(on.sum())
    return pd.DataFrame(
        {
            "y": y[on],
            "x": x[on],
            "instance_id": np.arange(n),
            "array_row": row[on],
            "array_col": (2 * col + row % 2 if kind == "hex" else col)[on],
        },
        index=pd.Index([f"spot_{i + 1:05d}" for i in range(n)], dtype=object),
    )


def _separate(rgb: np.ndarray, pool: int) -> np.ndarray:
    """Return what is stained in blocks of ``pool`` x ``pool`` pixels, (h, w) bool.

    The darkest pixel of a block speaks for it, so that the thin walls of fat cells count; pixels
    that do not fill a block at the lower and right edge repeat the last ones.
    """
    from skimage.filters import threshold_otsu

    light = ndimage.gaussian_filter(rgb.astype(np.float32), (0.7, 0.7, 0.0))
    scanned = rgb.max(axis=-1) > BLACK
    if not scanned.any():
        return _blocks(scanned, pool).max(axis=(1, 3))
    glass = np.percentile(light[scanned], 99, axis=0)
    density = -np.log((light + 1.0) / (np.maximum(glass, 200.0) + 1.0))
    density *= scanned[..., None]
    colour = _blocks(density.max(axis=-1) - density.min(axis=-1), pool).max(axis=(1, 3))
    green = _blocks(density[..., 1], pool).max(axis=(1, 3))
    values = green[_blocks(scanned, pool).all(axis=(1, 3))]
    otsu = threshold_otsu(values) if values.size and values.min() < values.max() else _MOST_OD
    limit = np.clip(otsu, _LEAST_OD, _MOST_OD)
    return np.logical_and(green > limit, colour > _LEAST_COLOUR_OD)


def _blocks(field: np.ndarray, edge: int) -> np.ndarray:
    """Return (h, w) as (h / edge, edge, w / edge, edge), the last row and column repeated."""
    h, w = field.shape
    padded = np.pad(field, ((0, -h % edge), (0, -w % edge)), mode="edge")
    return padded.reshape(padded.shape[0] // edge, edge, padded.shape[1] // edge, edge)


def _without_small(mask: np.ndarray, size: float) -> np.ndarray:
    """Return ``mask`` without its connected pieces of fewer than ``size`` pixels."""
    pieces, _ = ndimage.label(mask)
    keep: np.ndarray = np.greater_equal(np.bincount(pieces.ravel(), minlength=1), size)
    keep[0] = False
    return keep[pieces]
