"""Pictures at thumbnail size: whether two show the same section in the same orientation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.slides.pyramid import block_means
from napari_umpire.slides.tissue import BLACK
from napari_umpire.slides.turned import TURN_WORDS, upright

if TYPE_CHECKING:
    from napari_umpire.slides.pyramid import Pyramid

__all__ = ["Likeness", "likeness", "thumbnail"]

# A lowres image has 600 px, more than twice as many.
_EDGE = 128
# Softens what a px more or less at the border, or another interpolation, would change.
_BLUR_PX = 1.0
# Density of what is hardly more than the noise of glass.
_FLAT_OD = 0.01
# Measured on six real sections: a copy of the same scan has 0.95 or more, also with another
# contrast, blurred, or shifted by a hundredth of its size; neighbouring sections of one block have
# up to 0.82.
_ALIKE = 0.9
_BETTER = 0.02


@dataclass(frozen=True)
class Likeness:
    """How alike two pictures are, as correlations of their optical densities (-1 to 1).

    Attributes
    ----------
    as_it_is
        Of the pictures as they are.
    turned
        The best of the 7 other turns and mirror images of the first.
    how
        What was done to it.
    """

    as_it_is: float
    turned: float
    how: str

    @property
    def same(self) -> bool:
        """Whether they show the same, and no other turn fits better."""
        return self.as_it_is >= _ALIKE and self.turned <= self.as_it_is + _BETTER

    def __str__(self) -> str:
        if self.turned >= _ALIKE and self.turned > self.as_it_is + _BETTER:
            return (
                f"correlation {self.as_it_is:.2f} as it is, {self.turned:.2f} when it is {self.how}"
            )
        return f"correlation {self.as_it_is:.2f}, where copies of one picture reach 0.95"


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


def likeness(picture: Pyramid, other: Pyramid) -> Likeness | None:
    """Compare two pictures of one field; None where both are blank.

    Correlation of densities does not mind other contrast, brightness or sharpness. Both are brought
    to one square, so that the turns that exchange height and width can be compared too.
    """
    mine, theirs = _density(picture), _density(other)
    if mine.std() < _FLAT_OD and theirs.std() < _FLAT_OD:
        return None
    others = {turn: words for turn, words in TURN_WORDS.items() if turn != 1}
    found = {how: _correlation(upright(mine, turn), theirs) for turn, how in others.items()}
    how = max(found, key=found.__getitem__)
    return Likeness(_correlation(mine, theirs), found[how], how)


def _density(pyramid: Pyramid) -> np.ndarray:
    """Optical density of green, (128, 128) float; 0 where the scanner saw nothing."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    pixels, _ = thumbnail(pyramid, 2 * _EDGE)
    green = pixels[..., 1].astype(np.float32) + 1
    scanned = pixels.max(axis=-1) > BLACK
    density = np.zeros_like(green)
    if scanned.any():
        density[scanned] = -np.log(green[scanned] / np.percentile(green[scanned], 95))
    small = Image.fromarray(density).resize((_EDGE, _EDGE), Image.Resampling.BOX)
    return gaussian_filter(np.asarray(small, np.float64), _BLUR_PX)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
