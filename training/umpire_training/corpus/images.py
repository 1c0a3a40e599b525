"""The image half of a section: a patch for each of its spots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide
    from umpire_training.options import PatchOptions

__all__ = ["SlideImages", "SpotImages", "write_patches"]


class SpotImages(ABC):
    """What a paired set needs to know of a section's image.

    Attributes
    ----------
    name
        Of the section.
    spots
        Index = spot id; columns ``y``, ``x`` in full-resolution px.
    mpp, pitch_px
        um per full-resolution px, distance of neighbouring spots.
    mpp_source
        Where the scale comes from, in words.
    """

    name: str
    spots: pd.DataFrame
    mpp: float
    pitch_px: float
    mpp_source: str

    def which(self, ids: np.ndarray) -> np.ndarray:
        """(n,) bool: which of the spots have a patch."""
        return np.isin(ids, self.spots.index.to_numpy().astype(str))

    @abstractmethod
    def digest(self, ids: np.ndarray) -> str:
        """16 hex digits of the image and the given spots."""

    @abstractmethod
    def write(self, ids: np.ndarray, path: Path, options: PatchOptions) -> Steps[None]:
        """Write the patches of the given spots into one .npy, (n, px, px, 3) uint8."""


class SlideImages(SpotImages):
    """Patches cut from a slide's image."""

    def __init__(self, slide: Slide) -> None:
        self.slide, self.name, self.spots = slide, slide.name, slide.spots
        self.mpp, self.mpp_source = slide.mpp, slide.scale.describe()
        self.pitch_px = slide.pitch_um / slide.mpp

    def _of(self, ids: np.ndarray) -> Slide:
        if len(ids) == len(self.spots) and (self.spots.index == ids).all():
            return self.slide
        return replace(self.slide, spots=self.spots.loc[ids])

    def digest(self, ids: np.ndarray) -> str:
        """`Slide.digest` of the spots."""
        return self._of(ids).digest

    def write(self, ids: np.ndarray, path: Path, options: PatchOptions) -> Steps[None]:
        """Cut them."""
        yield from write_patches(self._of(ids), path, options)


def write_patches(slide: Slide, path: Path, options: PatchOptions) -> Steps[None]:
    """Cut the patch of every spot into one .npy, (n_spots, px, px, 3) uint8."""
    from napari_umpire.inference.arrays import create_array, flush
    from napari_umpire.slides.patches import PatchSpec, iter_patches

    spec = PatchSpec(
        options.field_um,
        options.size_px,
        options.max_upsampling,
        white_balance=options.white_balance,
    )
    px = options.size_px
    out = create_array(path, (slide.n_spots, px, px, 3), np.uint8)
    done = 0
    for batch in iter_patches(slide, spec):
        out[batch.rows] = batch.pixels
        done += len(batch.rows)
        yield Progress(f"patches of {slide.name}", done, slide.n_spots)
    flush(out)
