"""Colour features of a patch: what a model must beat to have learned more than stain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide

__all__ = ["FIELD_UM", "N_FEATURES", "SIZE_PX", "colour_features", "slide_features"]

FIELD_UM, SIZE_PX = 165.0, 224
"""The patch: 224 px at 20x, a little more than a legacy spot."""
_BINS = 16
N_FEATURES = 6 + 3 * _BINS + 6 + 2


def colour_features(patch: np.ndarray) -> np.ndarray:
    """62 numbers of one patch.

    Mean and standard deviation of R, G, B; a histogram of 16 bins for each (shares); mean and
    standard deviation of haematoxylin, eosin and DAB; mean and standard deviation of the gradient
    magnitude of the grey image.

    Parameters
    ----------
    patch
        (h, w, 3) uint8.

    Returns
    -------
    (62,) float32.
    """
    from skimage.color import rgb2hed

    flat = patch.reshape(-1, 3)
    unit = flat / np.float32(255)
    bins = [np.bincount(flat[:, c] // (256 // _BINS), minlength=_BINS) for c in range(3)]
    hed = rgb2hed(patch).reshape(-1, 3)
    grey = patch.mean(axis=2, dtype=np.float32)
    steepness = np.hypot(*np.gradient(grey))
    return np.concatenate(
        [
            unit.mean(axis=0),
            unit.std(axis=0),
            np.concatenate(bins) / len(flat),
            hed.mean(axis=0),
            hed.std(axis=0),
            [steepness.mean(), steepness.std()],
        ]
    ).astype(np.float32)


def slide_features(slide: Slide) -> Steps[np.ndarray]:
    """Features of every spot's patch, (n_spots, 62) float32."""
    from napari_umpire.progress import Progress
    from napari_umpire.slides.patches import PatchSpec, iter_patches

    # A coarse image still has colours: it is enlarged rather than refused.
    spec = PatchSpec(FIELD_UM, SIZE_PX, max_upsampling=16.0)
    out = np.empty((slide.n_spots, N_FEATURES), np.float32)
    done = 0
    for batch in iter_patches(slide, spec):
        out[batch.rows] = [colour_features(patch) for patch in batch.pixels]
        done += len(batch.rows)
        yield Progress(f"colour of {slide.name}", done, slide.n_spots)
    return out
