"""`FadedMap`: a map whose spots are as opaque as they are sure.

napari has one opacity for a layer, and no colour bar for a layer of colours. So the map's own
layer stays, clear, for its bar, its limits, and the value under the cursor; over it lies a picture
of the same colours with an opacity for each spot, which follows what the user sets on the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.plugin.layers.make import KEY, spot_layer
from napari_umpire.plugin.layers.spot_picture import SpotPicture

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["FadedMap"]


class FadedMap:
    """Lies over a map of `make.gene_layer` until removed."""

    def __init__(self, viewer: Viewer, state: SlideState, base: Image) -> None:
        self.base = base
        self._opacity = np.ones(state.slide.n_spots)
        self._before = base.opacity
        picture = SpotPicture(state.raster, colours=True)
        self.layer = spot_layer(state.slide, state.raster, picture, role="faded", colormap=None)
        self.layer.name_overlay.visible = False
        self.layer.visible = base.visible
        active = viewer.layers.selection.active
        viewer.layers.insert(viewer.layers.index(base) + 1, self.layer)
        # The controls that the user sees stay those of the layer with the colour bar.
        viewer.layers.selection.active = active
        base.opacity = 0.0
        for event in ("contrast_limits", "colormap", "gamma"):
            getattr(base.events, event).connect(self._draw)
        base.events.visible.connect(self._follow)
        base.events.name.connect(self._follow)

    def set(self, opacity: np.ndarray) -> None:
        """Draw the values that the map has now, (n_spots,) opacities from 0 to 1."""
        self._opacity = opacity
        self._follow()
        self._draw()

    def remove(self, viewer: Viewer) -> None:
        """Give the map its opacity back."""
        for event in ("contrast_limits", "colormap", "gamma"):
            getattr(self.base.events, event).disconnect(self._draw)
        self.base.events.visible.disconnect(self._follow)
        self.base.events.name.disconnect(self._follow)
        self.base.opacity = self._before
        if self.layer in viewer.layers:
            viewer.layers.remove(self.layer)

    def _follow(self) -> None:
        self.layer.visible = self.base.visible
        self.layer.name = f"{self.base.name}, opaque where sure"

    def _draw(self) -> None:
        values = self.base.metadata[KEY]["map"].values.astype(np.float64)
        low, high = self.base.contrast_limits
        there = np.isfinite(values)
        scaled = np.clip((np.where(there, values, low) - low) / (high - low), 0, 1)
        rgba = self.base.colormap.map(scaled**self.base.gamma)
        rgba[:, 3] *= np.where(there, self._opacity, 0)
        self.layer.metadata[KEY]["map"].set(np.round(rgba * 255).astype(np.uint8))
        self.layer.refresh(extent=False, highlight=False)
