"""Synthetic Visium slides: for the demonstration, the tests and the sample data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire._lazy import attach

if TYPE_CHECKING:
    from napari_umpire.slides.synthetic.files import make_slides as make_slides
    from napari_umpire.slides.synthetic.files import write_spaceranger as write_spaceranger
    from napari_umpire.slides.synthetic.section import SyntheticTissue as SyntheticTissue
    from napari_umpire.slides.synthetic.section import make_slide as make_slide
    from napari_umpire.slides.synthetic.section import make_tissue as make_tissue

__all__ = ["SyntheticTissue", "make_slide", "make_slides", "make_tissue", "write_spaceranger"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "SyntheticTissue": "napari_umpire.slides.synthetic.section",
        "make_slide": "napari_umpire.slides.synthetic.section",
        "make_slides": "napari_umpire.slides.synthetic.files",
        "make_tissue": "napari_umpire.slides.synthetic.section",
        "write_spaceranger": "napari_umpire.slides.synthetic.files",
    },
)
