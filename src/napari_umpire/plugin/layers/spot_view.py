"""Bringing a spot into view, of the slide shown or of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.inference.predictions.evidence import find_spot, open_slide_of
from napari_umpire.plugin.layers.make import world

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.inference.references.database import ReferenceDatabase
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["centre_on", "centre_on_spot", "go_to_spot", "reference_spot"]

_SMALLEST_PX = 28.0
"""A spot should be so wide on the screen, or nobody finds its ring."""


def centre_on_spot(viewer: Viewer, state: SlideState, row: int) -> None:
    """Put a spot of a slide in the middle of the canvas, near enough to see its ring."""
    centre_on(viewer, state, state.slide.yx[row])


def centre_on(viewer: Viewer, state: SlideState, yx: np.ndarray) -> None:
    """The same for any place of a slide, (y, x) in full-resolution px."""
    unit, _ = world(state.slide)
    y, x = (float(v) * unit for v in yx)
    camera = viewer.scene.camera
    camera.center = (0.0, y, x)
    across = state.raster.diameter * unit * camera.zoom
    if np.isfinite(across) and 0 < across < _SMALLEST_PX:
        camera.zoom *= _SMALLEST_PX / across


def go_to_spot(session: Session, name: str, row: int) -> None:
    """Make a slide current, ask about a spot of it, and bring it into view."""
    session.set_current(name)
    session.set_spot(row, name)
    if session.viewer is not None:
        centre_on_spot(session.viewer, session.slides[name], row)


def reference_spot(session: Session, reference: ReferenceDatabase, row: int) -> tuple[str, int]:
    """Where a reference spot is among the open slides: name of the slide, row of its spots.

    Raises
    ------
    InputError
        Where its slide is not open, or another one of that name is.
    """
    line = reference.spots.iloc[row]
    slides = {name: state.slide for name, state in session.slides.items()}
    name = open_slide_of(reference, str(line["slide"]), slides)
    return name, find_spot(slides[name], str(line["spot"]))
