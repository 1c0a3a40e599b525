"""`Ruler`: a line that the user draws over a slide, for as long as its length is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_umpire.plugin.layers.make import KEY, world

if TYPE_CHECKING:
    from napari.layers import Shapes

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["Ruler"]

_COLOUR = "#0b3dff"
"""Away from the stain, the outline of the tissue and the maps."""
_WIDTH = 3
"""Of the line, px of the screen when it is laid down."""


class Ruler(QObject):
    """Lets the user draw one line; a further line takes its place.

    Signals
    -------
    measured(float)
        A line was drawn, or its end was moved: its length in full-resolution px.
    ended
        The user removed the layer.
    """

    measured = Signal(float)
    ended = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._layer: Shapes | None = None
        self._active: Any = None
        parent.destroyed.connect(self.stop)

    @property
    def laid(self) -> bool:
        """Whether the layer is there to draw on."""
        return self._layer is not None

    def start(self, state: SlideState) -> None:
        """Lay an empty layer over the slide, with napari's line tool chosen."""
        from napari.layers import Shapes

        self.stop()
        viewer = self._session.viewer
        if viewer is None:
            return
        unit, name = world(state.slide)
        layer = Shapes(
            ndim=2,
            name=f"Ruler: {state.name}",
            edge_color=_COLOUR,
            edge_width=_WIDTH / (viewer.scene.camera.zoom * unit),
            # Full-resolution px, where pixel i covers [i, i + 1), as outlines of tissue have them.
            scale=(unit, unit),
            units=(name, name),
            metadata={KEY: {"slide": state.slide, "role": "ruler"}},
        )
        self._active = viewer.layers.selection.active
        self._layer = viewer.add_layer(layer)
        layer.mode = "add_line"
        layer.events.data.connect(self._on_drawn)
        viewer.layers.events.removed.connect(self._on_removed)

    def stop(self) -> None:
        """Take the layer away; what was active before is active again."""
        layer, self._layer = self._layer, None
        viewer = self._session.viewer
        if layer is None or viewer is None:
            return
        viewer.layers.events.removed.disconnect(self._on_removed)
        layer.events.data.disconnect(self._on_drawn)
        if layer in viewer.layers:
            viewer.layers.remove(layer)
        if self._active in viewer.layers:
            viewer.layers.selection.active = self._active

    def _on_drawn(self, _event: Any) -> None:
        # napari tells it before a change and after, and is not done with the shape yet.
        QTimer.singleShot(0, self._measure)

    def _measure(self) -> None:
        layer = self._layer
        if layer is None or not layer.nshapes or layer._is_creating:
            return
        if layer.nshapes > 1:
            layer.selected_data = set(range(layer.nshapes - 1))
            layer.remove_selected()
        line = np.asarray(layer.data[-1], np.float64)[:, -2:]
        length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
        if length > 0:
            self.measured.emit(length)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self.stop()
            self.ended.emit()
