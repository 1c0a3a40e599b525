"""A picture of a slide that fits a page: the part with spots, at the resolution of a print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["OverviewPicture", "overview_picture"]


@dataclass(frozen=True, eq=False)
class OverviewPicture:
    """Part of a slide's image.

    Attributes
    ----------
    pixels
        (height, width, 3) uint8 RGB.
    box
        (y0, x0, y1, x1) that the pixels cover, full-resolution px.
    """

    pixels: np.ndarray
    box: tuple[float, float, float, float]


def overview_picture(slide: Slide, longest_px: int = 1000) -> OverviewPicture:
    """The part of the image around the spots, or all of it where there are none.

    Parameters
    ----------
    longest_px
        The longer side has at least so many px where the image is that fine, and under twice as
        many.
    """
    height, width = slide.pyramid.extent
    y0, x0, y1, x1 = 0.0, 0.0, height, width
    if slide.n_spots:
        low, high = slide.yx.min(0), slide.yx.max(0)
        # A tenth around, and never less than what a spot and its neighbour take.
        margin = max(0.1 * float((high - low).max()), 0.02 * max(height, width))
        y0, x0 = (max(0.0, v - margin) for v in low)
        y1, x1 = min(height, high[0] + margin), min(width, high[1] + margin)
    levels = slide.pyramid.levels
    level = levels[slide.pyramid.level_for(max(y1 - y0, x1 - x0) / longest_px)]
    step = level.downsample
    top, left = int(y0 / step), int(x0 / step)
    bottom = min(level.shape[0], int(np.ceil(y1 / step)))
    right = min(level.shape[1], int(np.ceil(x1 / step)))
    pixels = level.read(top, left, bottom, right)
    thin = max(1, int(max(pixels.shape[:2]) / longest_px))
    rows, columns = (n // thin * thin for n in pixels.shape[:2])
    box = (top * step, left * step, (top + rows) * step, (left + columns) * step)
    return OverviewPicture(_means(pixels[:rows, :columns], thin), box)


def _means(pixels: np.ndarray, step: int) -> np.ndarray:
    """Means of blocks of ``step`` px, for an image without coarse levels."""
    if step == 1:
        return pixels
    h, w = pixels.shape[0] // step, pixels.shape[1] // step
    blocks = pixels.reshape(h, step, w, step, 3)
    return np.round(blocks.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)
