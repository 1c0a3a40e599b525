"""Bringing a spot into view, of the slide shown or of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.inference.predictions.evidence import find_spot, open_slide_of
from napari_umpire.plugin.layers.make import world
from napari_umpire.slides.neighbourhood import spot_beside

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.inference.references.database import ReferenceDatabase
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["centre_on", "centre_on_spot", "go_to_neighbour", "go_to_spot", "reference_spot"]

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


def go_to_neighbour(session: Session, way: tuple[int, int]) -> None:
    """Ask about the spot beside the one that was asked about, else about the middlemost in view.

    Parameters
    ----------
    way
        (y, x), -1, 0 or 1: down and right are positive.
    """
    state, viewer, spot = session.current, session.viewer, session.spot
    if state is None or viewer is None or not state.slide.n_spots:
        return
    if spot is not None and spot[0] == state.name:
        row = spot_beside(state.slide.yx, spot[1], way)
    else:
        unit, _ = world(state.slide)
        middle = np.asarray(viewer.scene.camera.center[-2:], float) / unit
        row = int(np.argmin(((state.slide.yx - middle) ** 2).sum(1)))
    if row is not None:
        go_to_spot(session, state.name, row)


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
