"""The colour of a slide's bare glass, and pixels seen against it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import UmpireWarning
from napari_umpire.slides.pyramid import block_means

if TYPE_CHECKING:
    from napari_umpire.slides.pyramid import Pyramid

__all__ = ["BALANCE_RULES", "background", "balance_table", "balanced"]

BALANCE_RULES = "white 1"
"""Part of the digest of patches: raise it when the same slide gives other pixels."""

# Read at every 16th pixel, which averages out the grain; a large slide at about this many px.
_DOWNSAMPLE = 16.0
_LARGEST_PX = 2048
_BRIGHTEST = 0.1
# Light through bare glass is brighter than this in each channel, or the slide is not brightfield.
_DARKEST_GLASS = 100.0


def background(pyramid: Pyramid) -> np.ndarray:
    """Median of each channel over the brightest tenth of a thumbnail, (3,) float64 in 0..255.

    Brightness is the mean of the channels. The thumbnail has 1 px for 16 x 16 full-resolution
    px, or fewer where that would be more than 2,048 px across.
    """
    downsample = max(_DOWNSAMPLE, max(pyramid.extent) / _LARGEST_PX)
    level = pyramid.levels[pyramid.level_for(downsample)]
    rgb = block_means(level, max(1, round(downsample / level.downsample))).reshape(-1, 3)
    brightness = rgb.mean(axis=1)
    limit = np.percentile(brightness, 100 * (1 - _BRIGHTEST))
    return np.median(rgb[brightness >= limit], axis=0).astype(np.float64)


def balance_table(glass: np.ndarray, name: str) -> np.ndarray | None:
    """What each value of each channel becomes: (p + 1) / (glass + 1) * 256 - 1, (3, 256) uint8.

    In optical density this takes the glass's away from all. None, with a warning,
    where ``glass`` is too dark to be glass, so that a slide of nothing but tissue or without light
    is not bleached.

    Parameters
    ----------
    glass
        (3,), from `background`.
    name
        Of the slide, for the warning.
    """
    if glass.min() < _DARKEST_GLASS:
        warnings.warn(
            f"{name} shows no bare glass: its brightest parts are red, green, blue "
            f"{', '.join(f'{v:.0f}' for v in glass)}; its patches are not white-balanced",
            UmpireWarning,
            stacklevel=2,
        )
        return None
    values = (np.arange(256) + 1) / (glass[:, None] + 1) * 256 - 1
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def balanced(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """``pixels`` (..., 3) uint8 through ``table``, as `balance_table` gives it."""
    return np.stack([table[c][pixels[..., c]] for c in range(3)], axis=-1)
