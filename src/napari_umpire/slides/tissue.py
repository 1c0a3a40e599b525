"""Where the tissue lies on a slide, and a grid of spots over it for slides without measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import ndimage

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from napari_umpire.slides.pyramid import Level, Pyramid

__all__ = ["TissueMask", "grid_spots", "tissue_mask"]

_MASK_UM = 8.0
# Pieces and holes below this are dust, and lumens or fat cells: the area of two and a half spots.
_SMALL_MM2 = 0.02
# Bridges the empty middle of fat cells, 60 um wide.
_CLOSE_UM = 32.0
# Green light that tissue takes away, as natural optical density over glass: Otsu's threshold is
# kept in these bounds, because it splits glass noise on a blank slide and tissue on a full one.
_LEAST_OD, _MOST_OD = 0.06, 0.25
# Grey things (dust, the edge of the cover slip, shadow) take all colours alike.
_LEAST_COLOUR_OD = 0.03
_BLACK = 12


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
        inside = ((cell >= 0) & (cell < self.mask.shape)).all(axis=1)
        cell = np.where(inside[:, None], cell, 0)
        return inside & self.mask[cell[:, 0], cell[:, 1]]

    def outlines(self) -> list[np.ndarray]:
        """Return the borders of pieces and of holes: closed rings (n, 2), full-resolution y, x."""
        from skimage.measure import find_contours

        rings = find_contours(np.pad(self.mask, 1).astype(np.float32), 0.5)
        # A contour counts from pixel centres, and the padding moved it by one.
        return [(ring - 0.5) * self.downsample for ring in rings]


def tissue_mask(pyramid: Pyramid, mpp: float) -> TissueMask:
    """Find the tissue by the green light it takes away, on the level nearest to 8 um per px.

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
    level = min(pyramid.levels, key=lambda v: abs(np.log(v.downsample * mpp / _MASK_UM)))
    um = level.downsample * mpp
    step = max(1, round(_MASK_UM / um))
    rgb = _read_reduced(level, step)
    um, downsample = um * step, level.downsample * step
    mask = _separate(rgb)
    close = int(np.ceil(_CLOSE_UM / um))
    if close > 0:
        y, x = np.mgrid[-close : close + 1, -close : close + 1]
        disc = y**2 + x**2 <= close**2
        padded = np.pad(mask, close)
        mask = ndimage.binary_closing(padded, disc)[close:-close, close:-close]
    small = _SMALL_MM2 * 1e6 / um**2
    mask = ~_without_small(~_without_small(mask, small), small)
    return TissueMask(mask, downsample)


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


def _read_reduced(level: Level, step: int) -> np.ndarray:
    """Return the level at every ``step`` px, means of blocks, read by tile rows: (h, w, 3) uint8.

    Rows and columns that do not fill a block at the lower and right edge are left out.
    """
    if step == 1:
        return level.read(0, 0, *level.shape)
    height, width = level.shape[0] // step, level.shape[1] // step
    strip = max(1, level.tile[0] // step)
    out = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, strip):
        end = min(top + strip, height)
        block = level.read(top * step, 0, end * step, width * step)
        block = block.reshape(end - top, step, width, step, 3)
        out[top:end] = block.mean(axis=(1, 3), dtype=np.float32)
    return out


def _separate(rgb: np.ndarray) -> np.ndarray:
    """Return what is stained, (h, w) bool."""
    from skimage.filters import threshold_otsu

    light = np.stack(
        [ndimage.gaussian_filter(rgb[..., c].astype(np.float32), 1.0) for c in range(3)]
    )
    # Scanners fill what they did not scan with black.
    scanned = rgb.max(axis=-1) > _BLACK
    if not scanned.any():
        return scanned
    glass = np.percentile(light[:, scanned], 99, axis=1)
    density = -np.log((light + 1.0) / (np.maximum(glass, 200.0) + 1.0)[:, None, None])
    green = density[1]
    values = green[scanned]
    otsu = threshold_otsu(values) if values.min() < values.max() else _MOST_OD
    colour = density.max(axis=0) - density.min(axis=0)
    limit = np.clip(otsu, _LEAST_OD, _MOST_OD)
    return scanned & (green > limit) & (colour > _LEAST_COLOUR_OD)


def _without_small(mask: np.ndarray, size: float) -> np.ndarray:
    """Return ``mask`` without its connected pieces of fewer than ``size`` pixels."""
    pieces, _ = ndimage.label(mask)
    keep = np.bincount(pieces.ravel()) >= size
    keep[0] = False
    return keep[pieces]
