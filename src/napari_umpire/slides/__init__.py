"""Slides: what comes in (image, spots, counts, physical scale) and what is written back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire._lazy import attach

if TYPE_CHECKING:
    from napari_umpire.slides.convert import write_slide as write_slide
    from napari_umpire.slides.neighbourhood import neighbours as neighbours
    from napari_umpire.slides.open import open_slide as open_slide
    from napari_umpire.slides.open import open_slides as open_slides
    from napari_umpire.slides.open import sniff as sniff
    from napari_umpire.slides.patches import PatchBatch as PatchBatch
    from napari_umpire.slides.patches import PatchSpec as PatchSpec
    from napari_umpire.slides.patches import iter_patches as iter_patches
    from napari_umpire.slides.pyramid import ArrayLevel as ArrayLevel
    from napari_umpire.slides.pyramid import Level as Level
    from napari_umpire.slides.pyramid import Pyramid as Pyramid
    from napari_umpire.slides.readers.counts_table import read_counts as read_counts
    from napari_umpire.slides.results import WrittenResult as WrittenResult
    from napari_umpire.slides.results import write_results as write_results
    from napari_umpire.slides.scale import PhysicalScale as PhysicalScale
    from napari_umpire.slides.scale import resolve_scale as resolve_scale
    from napari_umpire.slides.slide import Slide as Slide
    from napari_umpire.slides.synthetic import SyntheticTissue as SyntheticTissue
    from napari_umpire.slides.synthetic import make_slide as make_slide
    from napari_umpire.slides.synthetic import make_slides as make_slides
    from napari_umpire.slides.synthetic import write_spaceranger as write_spaceranger
    from napari_umpire.slides.tissue import TissueMask as TissueMask
    from napari_umpire.slides.tissue import grid_spots as grid_spots
    from napari_umpire.slides.tissue import tissue_mask as tissue_mask

_NAMES = {
    "Level": "pyramid",
    "ArrayLevel": "pyramid",
    "PatchBatch": "patches",
    "PatchSpec": "patches",
    "PhysicalScale": "scale",
    "Pyramid": "pyramid",
    "Slide": "slide",
    "SyntheticTissue": "synthetic",
    "TissueMask": "tissue",
    "WrittenResult": "results",
    "grid_spots": "tissue",
    "iter_patches": "patches",
    "make_slide": "synthetic",
    "make_slides": "synthetic",
    "neighbours": "neighbourhood",
    "open_slide": "open",
    "open_slides": "open",
    "read_counts": "readers.counts_table",
    "resolve_scale": "scale",
    "sniff": "open",
    "tissue_mask": "tissue",
    "write_results": "results",
    "write_slide": "convert",
    "write_spaceranger": "synthetic",
}
__all__ = [
    "ArrayLevel",
    "Level",
    "PatchBatch",
    "PatchSpec",
    "PhysicalScale",
    "Pyramid",
    "Slide",
    "SyntheticTissue",
    "TissueMask",
    "WrittenResult",
    "grid_spots",
    "iter_patches",
    "make_slide",
    "make_slides",
    "neighbours",
    "open_slide",
    "open_slides",
    "read_counts",
    "resolve_scale",
    "sniff",
    "tissue_mask",
    "write_results",
    "write_slide",
    "write_spaceranger",
]

__getattr__, __dir__ = attach(__name__, {k: f"{__name__}.{v}" for k, v in _NAMES.items()})
