"""Regions drawn on a slide: one Shapes layer per slide, a name and a colour per region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.plugin.layers.make import KEY, placed_as, world
from napari_umpire.slides.regions import spots_in_ellipse, spots_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari import Viewer
    from napari.layers import Shapes

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = [
    "UNNAMED",
    "draw",
    "drawn_layers",
    "find_region_layer",
    "place_regions",
    "recolour",
    "region_colour",
    "region_layer",
    "region_names",
    "region_rows",
    "show_regions_of",
]

COLUMN = "region"
UNNAMED = "unnamed"
_ROLE = "regions"
# Told apart with any colour vision, none of them as stained tissue is, none that of a ring.
_PALETTE = (
    "#d55e00", "#0072b2", "#1a1a1a", "#009e73", "#e69f00", "#56b4e9", "#7fd34e", "#003f7d",
)  # fmt: skip
_FACE_ALPHA = "00"  # a tint would change the colours of the map below


def region_layer(session: Session, names: Sequence[str]) -> Shapes:
    """The layer for drawing regions of these names on the current slide; made where missing.

    Parameters
    ----------
    names
        Each gets a colour of its own, in this order where it is new.
    """
    state, viewer = session.current, session.viewer
    if state is None or viewer is None:
        raise ValueError("there is no slide to draw on")
    layer = find_region_layer(viewer, state)
    if layer is None:
        layer = _new_layer(state)
        active = viewer.layers.selection.active
        viewer.add_layer(layer)
        viewer.layers.selection.active = active
        layer.events.features.connect(lambda _=None: recolour(layer))
    for name in names:
        region_colour(layer, name)
    place_regions(layer, state)
    return layer


def find_region_layer(viewer: Viewer, state: SlideState) -> Shapes | None:
    """The layer that holds the regions of a slide, None where none was made yet."""
    for layer in viewer.layers:
        ours = layer.metadata.get(KEY, {})
        if ours.get("role") == _ROLE and ours.get("state") is state:
            return layer
    return None


def show_regions_of(viewer: Viewer, state: SlideState) -> None:
    """Show the regions of one slide and hide those of others, which lie on other tissue."""
    for layer in viewer.layers:
        ours = layer.metadata.get(KEY, {})
        if ours.get("role") == _ROLE and layer.visible != (ours.get("state") is state):
            layer.visible = not layer.visible


def drawn_layers(viewer: Viewer, state: SlideState) -> list[Shapes]:
    """Layers whose shapes may be regions of a slide: ours first, then those the user made."""
    from napari.layers import Shapes

    ours = find_region_layer(viewer, state)
    others = [v for v in viewer.layers if isinstance(v, Shapes) and KEY not in v.metadata]
    return others if ours is None else [ours, *others]


def draw(layer: Shapes, name: str, mode: str = "add_polygon") -> None:
    """Let the next shape that is drawn belong to the region ``name``."""
    layer.selected_data = set()  # or the selected shape would take the new name and colour
    layer.feature_defaults = {COLUMN: name}
    layer.current_edge_color = region_colour(layer, name)
    layer.current_face_color = region_colour(layer, name) + _FACE_ALPHA
    layer.mode = mode


def region_colour(layer: Shapes, name: str) -> str:
    """The "#rrggbb" of a region, the same as long as the layer lives."""
    colours: dict[str, str] = layer.metadata.setdefault(KEY, {}).setdefault("colours", {})
    if name not in colours:
        free = [c for c in _PALETTE if c not in colours.values()]
        colours[name] = free[0] if free else _PALETTE[len(colours) % len(_PALETTE)]
    return colours[name]


def recolour(layer: Shapes) -> None:
    """Give every shape the colour of its region, also where the table of features was edited."""
    if not layer.nshapes:
        return
    wanted = [region_colour(layer, name) for name in region_names(layer)]
    layer.edge_color = wanted
    layer.face_color = [colour + _FACE_ALPHA for colour in wanted]


def place_regions(layer: Shapes, state: SlideState) -> None:
    """Put the layer over the slide: its data are full-resolution px, its world the slide's."""
    if not placed_as(layer, state.slide, 1.0):
        unit, name = world(state.slide)
        layer.scale, layer.units = (unit, unit), (name, name)


def region_names(layer: Shapes) -> list[str]:
    """The region of each shape; of a layer without such a column each shape is one by itself."""
    features = layer.features
    if COLUMN not in features:
        return [f"{layer.name} {number}" for number in range(1, layer.nshapes + 1)]
    return [UNNAMED if pd.isna(v) or not str(v).strip() else str(v) for v in features[COLUMN]]


def region_rows(state: SlideState, layer: Shapes) -> dict[str, np.ndarray]:
    """Rows of the spots whose centre lies within each region, int64 ascending.

    Polygons, rectangles, ellipses and closed paths count, lines bound nothing. Shapes of one name
    are one region: a spot within any of them is in it. A region without spots is there, empty; a
    spot may be in several regions.
    """
    unit, _ = world(state.slide)
    mine = layer.metadata.get(KEY, {}).get("role") == _ROLE
    yx = state.slide.yx
    within: dict[str, np.ndarray] = {}
    # Read one by one: a shape that is being drawn right now may not have its features yet.
    shapes = zip(region_names(layer), layer.data, layer.shape_type, strict=False)
    for name, data, kind in shapes:
        corners = np.asarray(data, np.float64)
        if not mine:
            corners = np.array([layer.data_to_world(corner) for corner in corners]) / unit
        corners = corners[:, -2:]
        hit = _spots_in(yx, corners, str(kind))
        within[name] = within[name] | hit if name in within else hit
    return {name: np.flatnonzero(hit) for name, hit in within.items()}


def _spots_in(yx: np.ndarray, corners: np.ndarray, kind: str) -> np.ndarray:
    if kind == "line":
        return np.zeros(len(yx), bool)
    if kind == "ellipse":
        return spots_in_ellipse(yx, corners)
    return spots_within(yx, [corners])


def _new_layer(state: SlideState) -> Shapes:
    from napari.layers import Shapes

    layer = Shapes(
        ndim=2,
        features=pd.DataFrame({COLUMN: pd.Series([], dtype=object)}),
        feature_defaults={COLUMN: "A"},
        edge_width=max(1.0, state.raster.diameter * 0.2),
        opacity=1.0,
        name=f"Regions: {state.name}",
        text={"string": "{region}", "size": 16, "color": "black", "anchor": "upper_left"},
        metadata={KEY: {"role": _ROLE, "state": state, "slide": state.slide, "colours": {}}},
    )
    place_regions(layer, state)
    return layer
