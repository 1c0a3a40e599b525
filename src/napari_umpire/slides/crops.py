"""Crops: small pictures of spots for people to look at, cut as the model's patches are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.slides.patches import PatchSpec, iter_patches

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["CROP_PX", "crop_spec", "crops"]

CROP_PX = 96
"""Edge of a crop that is kept or shown in a gallery, px."""


def crop_spec(field_um: float, size_px: int = CROP_PX) -> PatchSpec:
    """What a crop shows: the field of a patch, the slide's own colours, however coarse it is."""
    return PatchSpec(field_um, size_px, max_upsampling=np.inf)


def crops(
    slide: Slide, rows: np.ndarray, field_um: float = 112.0, size_px: int = CROP_PX
) -> np.ndarray:
    """Pictures of some spots, white outside of the image.

    Unlike a model, an eye can make something of an upsampled picture, so no image is too coarse.

    Parameters
    ----------
    rows
        Rows of ``slide.spots``, (m,) int, in any order; one may come more than once.
    field_um
        Edge of the square field, um; `PatchSpec.field_um` of a model shows what it saw.
    size_px
        Edge of each crop, px.

    Returns
    -------
    (m, size_px, size_px, 3) uint8 RGB, in the order of ``rows``.

    Raises
    ------
    InputError
        Where the slide's physical scale is not known, or no spot of it lies on its image.
    """
    unique, place = np.unique(np.asarray(rows, np.int64), return_inverse=True)
    out = np.empty((len(unique), size_px, size_px, 3), np.uint8)
    for batch in iter_patches(slide, crop_spec(field_um, size_px), spots=unique):
        out[np.searchsorted(unique, batch.rows)] = batch.pixels
    return out[place]
