"""A slide in words, for the card of the Predict widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["slide_words"]

_OVERVIEW = 1.5
"""Full-resolution px per px of the finest level, above which it is no longer the full image."""


def slide_words(slide: Slide) -> str:
    """Size, scale and where it came from, spots and counts, in one short paragraph."""
    height, width = slide.pyramid.extent
    size = f"{width:,.0f} × {height:,.0f} px"
    if slide.scale.mpp is None:
        return f"{size}. The file does not say how many µm a pixel covers: please enter it."
    mm = (v * slide.scale.mpp / 1000 for v in (width, height))
    size += " ({:.1f} × {:.1f} mm)".format(*mm)
    scale = slide.scale.describe().replace("um per px", "µm per px")
    measured = "with measured counts" if slide.has_counts else "none measured"
    spots = f"{slide.n_spots:,} spots, {measured}"
    if slide.platform == "image":
        spots = f"A grid of {slide.n_spots:,} spots covers the tissue; nothing was measured"
    finest = slide.pyramid.levels[0]
    if finest.downsample > _OVERVIEW:
        there = f"{finest.shape[1]:,} × {finest.shape[0]:,} px"
        spots += f". Of the image only an overview of {there} is there"
    return f"{size}, {scale}. {spots}."
