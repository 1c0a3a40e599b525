"""`TissueLayers`: the outline of the tissue, and the spots that a run would predict."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from qtpy.QtCore import QTimer

from napari_umpire.plugin.layers.make import KEY, spot_layer, world
from napari_umpire.plugin.layers.map_display import set_visible
from napari_umpire.plugin.layers.spot_picture import SpotPicture

if TYPE_CHECKING:
    from napari.layers import Layer, Shapes

    from napari_umpire.inference.survey import TissueFacts
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.slides.slide import Slide

__all__ = ["Part", "TissueLayers"]

Part = Literal["tissue", "spots"]

_OUTLINE = "#00a7c4"
"""Away from the pink and the purple of the stain, and from the colours of the maps."""
_SPOT = (0, 120, 150, 95)
# Of the longer side of the slide: two pixels or so when the slide fills the window.
_WIDTH = 1 / 350


class TissueLayers:
    """At most one layer of each part per slide; those of the current slide are shown.

    They go with their slide, and a slide at another scale gets new ones.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._wishes: weakref.WeakKeyDictionary[Slide, dict[Part, bool]] = (
            weakref.WeakKeyDictionary()
        )
        session.slides_changed.connect(self._follow)
        session.current_changed.connect(self._follow)

    def layer(self, state: SlideState, part: Part) -> Layer | None:
        """The layer of a part, None where it is not in the viewer."""
        found = (v for v, slide, role in self._ours() if slide is state.slide and role == part)
        return next(found, None)

    def wanted(self, state: SlideState, part: Part) -> bool:
        """Whether a part is to be seen: of a slide without spots of its own the outline is."""
        default = part == "tissue" and state.slide.platform == "image"
        return self._wishes.get(state.slide, {}).get(part, default)

    def want(self, state: SlideState, part: Part, wanted: bool) -> None:
        """Keep the user's wish; taking a part out of sight needs no more."""
        self._wishes.setdefault(state.slide, {})[part] = wanted
        layer = self.layer(state, part)
        if layer is not None:
            set_visible(layer, wanted)

    def show_tissue(self, state: SlideState, tissue: TissueFacts) -> None:
        """Draw the outline, above the slide and below its maps."""
        layer = self.layer(state, "tissue")
        if layer is None and tissue.outlines:
            self._add(state, _outline(state.slide, tissue))
        elif layer is not None:
            set_visible(layer, True)

    def show_spots(self, state: SlideState) -> None:
        """Draw the spots, whose raster is known by now."""
        layer = self.layer(state, "spots")
        if layer is None:
            picture = SpotPicture(state.raster, colours=True)
            picture.set(np.tile(np.array(_SPOT, np.uint8), (state.slide.n_spots, 1)))
            layer = spot_layer(state.slide, state.raster, picture, role="spots", colormap=None)
            layer.name = f"Spots: {state.slide.name}"
            layer.name_overlay.visible = False
            self._add(state, layer)
        else:
            set_visible(layer, True)

    def _ours(self) -> list[tuple[Layer, Slide, Part]]:
        viewer = self._session.viewer
        found = []
        for layer in () if viewer is None else viewer.layers:
            about = layer.metadata.get(KEY, {})
            if about.get("role") in get_args(Part):
                found.append((layer, about["slide"], about["role"]))
        return found

    def _follow(self) -> None:
        """Drop what is of a slide that went, hide what is of another than the current one."""
        current = self._session.current
        states = {state.slide: state for state in self._session.slides.values()}
        gone = []
        for layer, slide, part in self._ours():
            if slide not in states:
                gone.append(layer)
            elif current is not None and slide is current.slide:
                set_visible(layer, self.wanted(current, part))
            else:
                set_visible(layer, False)
        if gone and self._session.viewer is not None:
            # The layer list may be in the middle of being cleared.
            QTimer.singleShot(0, partial(_remove, weakref.ref(self._session.viewer), gone))

    def _add(self, state: SlideState, layer: Layer) -> None:
        viewer = self._session.viewer
        if viewer is None or state.image not in viewer.layers:
            return
        active = viewer.layers.selection.active
        viewer.layers.insert(viewer.layers.index(state.image) + 1, layer)
        layer.editable = False  # the viewer makes a layer editable when it takes it
        # The user goes on with what was active: this is for looking at.
        viewer.layers.selection.active = active


def _remove(viewer: weakref.ref, layers: list[Layer]) -> None:
    alive = viewer()
    for layer in layers:
        if alive is not None and layer in alive.layers:
            alive.layers.remove(layer)


def _outline(slide: Slide, tissue: TissueFacts) -> Shapes:
    from napari.layers import Shapes

    unit, name = world(slide)
    return Shapes(
        list(tissue.outlines),
        shape_type="path",
        edge_color=_OUTLINE,
        edge_width=max(slide.pyramid.extent) * _WIDTH,
        name=f"Tissue: {slide.name}",
        # Full-resolution px, where pixel i covers [i, i + 1): no half pixel to add, unlike images.
        scale=(unit, unit),
        units=(name, name),
        metadata={"sdata": slide.sdata, KEY: {"slide": slide, "role": "tissue"}},
    )
