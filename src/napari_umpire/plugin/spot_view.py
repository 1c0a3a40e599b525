"""Bringing a spot into view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.plugin.layers import world

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.plugin.slide_state import SlideState

__all__ = ["centre_on_spot"]

_SMALLEST_PX = 28.0
"""A spot should be so wide on the screen, or nobody finds its ring."""


def centre_on_spot(viewer: Viewer, state: SlideState, row: int) -> None:
    """Put a spot of a slide in the middle of the canvas, near enough to see its ring."""
    unit, _ = world(state.slide)
    y, x = (float(v) * unit for v in state.slide.yx[row])
    camera = viewer.scene.camera
    camera.center = (0.0, y, x)
    across = state.raster.diameter * unit * camera.zoom
    if np.isfinite(across) and 0 < across < _SMALLEST_PX:
        camera.zoom *= _SMALLEST_PX / across
