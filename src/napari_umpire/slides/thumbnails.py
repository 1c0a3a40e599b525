"""A picture at thumbnail size, to be compared with others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.slides.pyramid import block_means

if TYPE_CHECKING:
    from napari_umpire.slides.pyramid import Pyramid

__all__ = ["thumbnail"]


def thumbnail(pyramid: Pyramid, longest_px: int) -> tuple[np.ndarray, float]:
    """The whole picture, and how many full-resolution px one of its px covers.

    Parameters
    ----------
    longest_px
        The longer side has at least so many px where the image is that fine, and under twice as
        many.

    Returns
    -------
    (height, width, 3) uint8 RGB, and full-resolution px per px.
    """
    level = pyramid.levels[pyramid.level_for(max(pyramid.extent) / longest_px)]
    step = max(1, max(level.shape) // longest_px)
    return block_means(level, step, np.uint8), level.downsample * min(step, *level.shape)
