"""Slides: what comes in (image, spots, counts, physical scale) and what is written back."""

from __future__ import annotations

from napari_umpire._lazy import attach

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
    "open_slide": "open",
    "open_slides": "open",
    "read_counts": "readers.legacy_st",
    "resolve_scale": "scale",
    "sniff": "open",
    "tissue_mask": "tissue",
    "write_results": "results",
    "write_slide": "convert",
    "write_spaceranger": "synthetic",
}
# The function `neighbours` has the name of its module, so it is imported from there.

__getattr__, __dir__ = attach(__name__, {k: f"{__name__}.{v}" for k, v in _NAMES.items()})
