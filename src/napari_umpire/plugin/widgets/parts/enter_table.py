"""A table in which arrows only choose a row; Enter and a double click go to what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, Qt, Signal

from napari_umpire.plugin.widgets.parts.frame_view import FrameView

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent
    from qtpy.QtWidgets import QWidget

__all__ = ["EnterTable"]


class EnterTable(FrameView):
    """A `FrameView` with ``gone(object)``: the key of the row to go to."""

    gone = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.doubleClicked.connect(self._on_double_click)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter goes to the chosen row."""
        if event is None or event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
        elif self.key is not None:
            self.gone.emit(self.key)

    def _on_double_click(self, index: QModelIndex) -> None:
        if index.isValid():
            self.gone.emit(self.table.row_key(index.row()))
