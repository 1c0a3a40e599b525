"""Classes of a slide's spots from what lies in the viewer: its table, drawn regions, paint."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.label_sources import (
    LabelReading,
    label_columns,
    labels_of_column,
    labels_of_painted,
    labels_of_regions,
)
from napari_umpire.inference.classes.labels import PALETTE
from napari_umpire.plugin.layers.drawing import drawn_layers, region_colour, region_rows
from napari_umpire.plugin.layers.make import KEY, placement, world

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Labels, Layer

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.slides.slide import Slide

__all__ = [
    "LabelSource",
    "label_sources",
    "paint",
    "painted_values",
    "place_painted",
    "read_source",
]

_ROLE = "paint"
_PX_PER_SPOT = 12
_MAX_SIDE = 8192


@dataclass(frozen=True)
class LabelSource:
    """Where classes can be read from.

    Attributes
    ----------
    sort
        What it is.
    name
        Of the column or the layer.
    """

    sort: Literal["column", "regions", "painted"]
    name: str

    @property
    def title(self) -> str:
        """What the user chooses by; a layer of ours says itself what it is."""
        said = {"column": "Table column", "regions": "Regions", "painted": "Painted"}[self.sort]
        own = self.sort != "column" and self.name.startswith(said)
        return self.name if own else f"{said}: {self.name}"


_columns: weakref.WeakKeyDictionary[Slide, list[str]] = weakref.WeakKeyDictionary()


def label_sources(viewer: Viewer | None, state: SlideState | None) -> list[LabelSource]:
    """What classes of a slide can be read from now."""
    if state is None or viewer is None:
        return []
    columns = _columns.get(state.slide)
    if columns is None:  # asked with each layer that comes or goes, so looked at once
        columns = _columns[state.slide] = label_columns(state.slide)
    found = [LabelSource("column", name) for name in columns]
    found += [LabelSource("regions", layer.name) for layer in drawn_layers(viewer, state)]
    found += [LabelSource("painted", layer.name) for layer in _painted(viewer, state)]
    return found


def read_source(viewer: Viewer, state: SlideState, source: LabelSource) -> LabelReading:
    """Read the classes of the slide's spots.

    Raises
    ------
    InputError
        Where the layer is gone, or holds no class for any spot.
    """
    if source.sort == "column":
        return labels_of_column(state.slide, source.name)
    layers: list[Any] = (
        list(drawn_layers(viewer, state))
        if source.sort == "regions"
        else list(_painted(viewer, state))
    )
    layer = next((v for v in layers if v.name == source.name), None)
    if layer is None:
        raise InputError(f"The layer {source.name!r} is gone", fix="Choose another source")
    if source.sort == "regions":
        rows = region_rows(state, layer)
        colours = {name: region_colour(layer, name) for name in rows}
        return labels_of_regions("regions", state.slide.n_spots, rows, colours)
    values = painted_values(state, layer)
    return labels_of_painted("painted", values, _names(layer), _colours(layer, values))


def painted_values(state: SlideState, layer: Labels) -> np.ndarray:
    """Value of the painted layer under each spot's centre, (n_spots,) int64; 0 beside it.

    Spot and layer meet in world coordinates, so the layer may have any scale, place and angle.
    """
    unit, _ = world(state.slide)
    # World to data is affine: three points of it say all, and a layer has no faster public way.
    origin = np.asarray(layer.world_to_data((0.0, 0.0)), np.float64)
    step = 1e3
    columns = [
        (np.asarray(layer.world_to_data(point), np.float64) - origin) / step
        for point in ((step, 0.0), (0.0, step))
    ]
    at = state.slide.yx * unit @ np.stack(columns) + origin
    # The centre of a pixel has whole coordinates.
    rows, cols = np.floor(at + 0.5).astype(np.int64).T
    data = layer.data
    inside = (rows >= 0) & (rows < data.shape[0]) & (cols >= 0) & (cols < data.shape[1])
    values = np.zeros(len(rows), np.int64)
    values[inside] = np.asarray(data[rows[inside], cols[inside]])
    return values


def paint(session: Session, name: str) -> Labels:
    """Let the brush paint the class ``name`` on the current slide's layer, made where missing."""
    from napari.utils import DirectLabelColormap

    state, viewer = session.current, session.viewer
    if state is None or viewer is None:
        raise ValueError("there is no slide to paint on")
    layer = next(
        (v for v in _painted(viewer, state) if v.metadata.get(KEY, {}).get("state") is state), None
    )
    if layer is None:
        layer = _new_layer(state)
        viewer.add_layer(layer)
    names: dict[int, str] = layer.metadata[KEY]["classes"]
    value = next((v for v, known in names.items() if known == name), max(names, default=0) + 1)
    names[value] = name
    colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    colours |= {v: PALETTE[(v - 1) % len(PALETTE)] for v in names}
    layer.colormap = DirectLabelColormap(color_dict=colours)
    layer.selected_label = value
    layer.mode = "paint"
    viewer.layers.selection.active = layer
    return layer


def _painted(viewer: Viewer, state: SlideState) -> list[Labels]:
    """Flat painted layers: those made for this slide first, then those the user made."""
    from napari.layers import Labels

    flat = [
        v for v in viewer.layers
        if isinstance(v, Labels) and v.ndim == 2 and not v.multiscale
    ]  # fmt: skip
    mine = [v for v in flat if v.metadata.get(KEY, {}).get("state") is state]
    return mine + [v for v in flat if KEY not in v.metadata]


def _new_layer(state: SlideState) -> Labels:
    from napari.layers import Labels

    height, width = state.slide.pyramid.extent
    # Pixels fine enough to paint around a spot, in a layer that is no burden on a large slide.
    step = max(1.0, state.raster.diameter / _PX_PER_SPOT, max(height, width) / _MAX_SIDE)
    shape = (int(np.ceil(height / step)), int(np.ceil(width / step)))
    layer = Labels(
        np.zeros(shape, np.uint8),
        name=f"Painted classes: {state.name}",
        opacity=0.5,
        metadata={
            KEY: {"role": _ROLE, "state": state, "slide": state.slide, "classes": {}, "step": step}
        },
        **placement(state.slide, step),
    )
    layer.brush_size = 3 * _PX_PER_SPOT
    return layer


def place_painted(viewer: Viewer, state: SlideState) -> None:
    """Put the painted classes of a slide over it again: it has another scale."""
    for layer in _painted(viewer, state):
        if layer.metadata.get(KEY, {}).get("state") is state:
            for name, value in placement(state.slide, layer.metadata[KEY]["step"]).items():
                setattr(layer, name, value)


def _names(layer: Layer) -> dict[int, str]:
    """Names of painted values: those given here, or a column of the layer's features."""
    ours = layer.metadata.get(KEY, {}).get("classes")
    if ours:
        return dict(ours)
    features = getattr(layer, "features", None)
    if features is None or "index" not in features:
        return {}
    for column in ("class", "name", "label"):
        if column in features:
            return {
                int(i): str(v)
                for i, v in zip(features["index"], features[column], strict=True)
                if str(v).strip()
            }
    return {}


def _colours(layer: Labels, values: np.ndarray) -> dict[int, str]:
    found = {}
    for value in np.unique(values[values != 0]):
        colour = layer.get_color(int(value))
        if colour is not None and colour[3] > 0:
            found[int(value)] = "#" + "".join(f"{round(255 * float(c)):02x}" for c in colour[:3])
    return found
