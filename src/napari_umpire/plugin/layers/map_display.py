"""`MapDisplay`: layers for what can be laid over a slide beside genes, such as classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.plugin.layers.make import KEY, add_below_marks, palette_colormap, spot_layer
from napari_umpire.plugin.layers.spot_picture import SpotPicture
from napari_umpire.plugin.layers.titles import MapTitle, set_title

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer

    from napari_umpire.plugin.layers.spot_map import SpotMap
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["MapDisplay", "colours", "set_visible"]


class MapDisplay:
    """One layer per slide and map; only the one that the session shows is visible.

    A map whose layer the user removes is forgotten.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._layers: dict[tuple[SlideState, str], tuple[SpotMap, Image]] = {}
        if session.viewer is not None:
            session.viewer.layers.events.removed.connect(self._on_removed)

    def layer(self, key: str) -> Image | None:
        """The layer of a map of the current slide."""
        state = self._session.current
        found = None if state is None else self._layers.get((state, key))
        return None if found is None else found[1]

    def refresh(self, viewer: Viewer, state: SlideState | None) -> Image | None:
        """Make the layers of ``state``, the current slide, what the session says.

        Returns
        -------
        The layer that is shown; None where none is.
        """
        self._drop_old(viewer)
        shown = self._session.shown_map
        for (owner, key), (_, layer) in self._layers.items():
            if owner is not state or key != shown:
                set_visible(layer, False)
        if state is None or shown not in state.maps:
            return None
        spot_map = state.maps[shown]
        before = self._layers.get((state, shown))
        if before is None:
            layer = _new_layer(state, spot_map)
            self._layers[state, shown] = (spot_map, layer)
            add_below_marks(viewer, layer)
        elif before[0] is not spot_map:
            layer = before[1]
            self._layers[state, shown] = (spot_map, layer)
        layer = self._layers[state, shown][1]
        if before is None or before[0] is not spot_map:
            _fill(layer, spot_map)
        set_visible(layer, True)
        return layer

    def forget(self, viewer: Viewer, state: SlideState) -> None:
        """Remove all layers of a slide, which has moved or gone."""
        for key in [key for key in self._layers if key[0] is state]:
            _, layer = self._layers.pop(key)
            if layer in viewer.layers:
                viewer.layers.remove(layer)

    def _drop_old(self, viewer: Viewer) -> None:
        """Remove layers whose map is gone, or is of the other sort now: values, colours."""
        states = list(self._session.slides.values())
        for state, key in list(self._layers):
            old, layer = self._layers[state, key]
            new = state.maps.get(key) if state in states else None
            if new is None or new.is_coloured != old.is_coloured:
                del self._layers[state, key]
                if layer in viewer.layers and (new is not None or state in states):
                    viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        for (state, key), (_, layer) in list(self._layers.items()):
            if layer is event.value:
                del self._layers[state, key]
                if state.name in self._session.slides:
                    self._session.drop_map(state.name, key)


def colours(spot_map: SpotMap) -> np.ndarray:
    """Colour of each spot, (n_spots, 4) uint8 RGBA; clear where there is no value or class."""
    if spot_map.labels is not None:
        rgba = spot_map.labels.rgba()
    else:
        values = np.asarray(spot_map.values, np.float64)
        low, high = spot_map.range
        there = np.isfinite(values)
        scaled = np.clip((np.where(there, values, low) - low) / (high - low), 0, 1)
        rgba = np.round(palette_colormap(spot_map.palette).map(scaled) * 255).astype(np.uint8)
        rgba[~there] = 0
    if spot_map.opacity is not None:
        opacity = np.clip(np.nan_to_num(spot_map.opacity), 0, 1)
        rgba[:, 3] = np.round(rgba[:, 3] * opacity)
    return rgba


def _new_layer(state: SlideState, spot_map: SpotMap) -> Image:
    picture = SpotPicture(state.raster, colours=spot_map.is_coloured)
    colormap = None if spot_map.is_coloured else palette_colormap(spot_map.palette)
    return spot_layer(state.slide, state.raster, picture, role="map", colormap=colormap)


def _fill(layer: Image, spot_map: SpotMap) -> None:
    ours = layer.metadata[KEY]
    unit = f", {spot_map.unit}" if spot_map.unit else ""
    set_title(layer, MapTitle(spot_map.title, unit, ours["slide"].name))
    ours |= {"map_key": spot_map.key, "unit": spot_map.unit}
    if spot_map.is_coloured:
        ours["map"].set(colours(spot_map))
    else:
        ours["map"].set(np.asarray(spot_map.values, np.float32))
        low, high = spot_map.range
        finite = ours["map"].values[np.isfinite(ours["map"].values)]
        ends = (*((finite.min(), finite.max()) if len(finite) else ()), low, high)
        layer.contrast_limits_range = (float(min(ends)), float(max(ends)))
        layer.contrast_limits = (low, high)
        layer.colormap = palette_colormap(spot_map.palette)
    layer.refresh(extent=False, highlight=False)


def set_visible(layer: Layer, visible: bool) -> None:
    """Napari draws everything anew even where nothing changes."""
    if layer.visible != visible:
        layer.visible = visible
