"""Drawing one side of a comparison on the slide: which tool, and when to stop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from napari_umpire.plugin.layers.drawing import draw, find_region_layer, region_colour, region_layer
from napari_umpire.plugin.layers.region_watch import region_watch_of
from napari_umpire.plugin.widgets.parts.listening import listen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Shapes

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.widgets.regions.group_row import GroupRow

__all__ = ["RegionPen"]

_TOOLS = {
    "Polygon": ("add_polygon", "Click the corners, end with a double click"),
    "Lasso": ("add_polygon_lasso", "Drag round the region"),
    "Box": ("add_rectangle", "Drag from corner to corner"),
    "Ellipse": ("add_ellipse", "Drag from corner to corner of its box"),
}


class RegionPen(QWidget):
    """A line of tools; the Draw button of a row lets the user draw that side with the chosen one.

    Parameters
    ----------
    rows
        The sides by name.
    """

    def __init__(self, session: Session, rows: Mapping[str, GroupRow]) -> None:
        super().__init__()
        self._session, self._rows = session, rows
        self._drawing: Shapes | None = None
        self.tools = QButtonGroup(self)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2)
        for name, (_, tip) in _TOOLS.items():
            button = QPushButton(name)
            button.setCheckable(True)
            button.setChecked(name == "Polygon")
            button.setToolTip(tip)
            self.tools.addButton(button)
            line.addWidget(button)
        self.tools.buttonClicked.connect(self._on_tool)
        for row in rows.values():
            row.draw.connect(partial(self.draw, row.side))
        listen(self, region_watch_of(session).finished, self._on_finished)

    def follow(self) -> Shapes | None:
        """The layer of regions of the current slide; drawing on that of another slide ends."""
        state, viewer = self._session.current, self._session.viewer
        layer = None if state is None or viewer is None else find_region_layer(viewer, state)
        if self._drawing is not None and self._drawing is not layer:
            self.stop()
        for side, row in self._rows.items():
            row.button.setChecked(layer is not None and _draws(layer, side))
            if layer is not None:
                row.set_colour(region_colour(layer, side))
        return layer

    def draw(self, side: str) -> None:
        """Let the user draw; where its button was pressed again, stop."""
        if self._session.current is None:
            return
        layer = region_layer(self._session, list(self._rows))
        if not self._rows[side].button.isChecked():
            self.stop()
            return
        viewer = self._session.viewer
        assert viewer is not None
        self._session.set_view(beside=False)
        layer.visible = True
        viewer.layers.selection.active = layer
        tool = self.tools.checkedButton()
        assert tool is not None
        draw(layer, side, _TOOLS[tool.text()][0])
        self._drawing = layer
        for other, row in self._rows.items():
            row.button.setChecked(other == side)
            row.set_colour(region_colour(layer, other))
        self._rows[side].choose(("drawn", layer.name, side))

    def stop(self) -> None:
        """Let clicks ask about spots again, and drags move the slide."""
        layer, self._drawing = self._drawing, None
        if layer is not None and layer.mode.startswith("add_"):
            layer.mode = "pan_zoom"
        for row in self._rows.values():
            row.button.setChecked(False)

    def _on_finished(self) -> None:
        """A shape is complete."""
        if self._drawing is not None:
            QTimer.singleShot(0, self.stop)  # napari is not done with the shape yet

    def _on_tool(self, _button: QPushButton) -> None:
        for side, row in self._rows.items():
            if row.button.isChecked():
                self.draw(side)


def _draws(layer: Shapes, side: str) -> bool:
    """Whether the next shape drawn on the layer belongs to ``side``."""
    return layer.mode.startswith("add_") and str(layer.feature_defaults["region"][0]) == side
