"""A gallery of pictures of spots: captions, tooltips, mouse and keyboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListView, QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QKeyEvent

__all__ = ["Gallery", "GalleryItem", "pixmap"]

_SHOWN_PX = 84
_MARGIN_PX = 10


@dataclass(frozen=True, eq=False)
class GalleryItem:
    """One picture of a gallery.

    Attributes
    ----------
    image
        (h, w, 3) uint8 RGB.
    caption
        Shown under it: a few characters, such as a weight.
    tooltip
        What is to be known of it, with units.
    """

    image: np.ndarray
    caption: str = ""
    tooltip: str = ""


class Gallery(QWidget):
    """Pictures in rows that follow the width of the widget.

    ``activated(int)``: double click or Enter on a picture; ``current_changed(int)``: another
    picture was chosen by mouse or arrow keys. Both give its place in what `show_items` got.

    Parameters
    ----------
    shown_px
        Edge of a picture on the screen; larger ones are made smaller.
    """

    activated = Signal(int)
    current_changed = Signal(int)

    def __init__(self, parent: QWidget | None = None, *, shown_px: int = _SHOWN_PX) -> None:
        super().__init__(parent)
        self._model = _Pictures(self, shown_px)
        self.view = _View()
        self.view.setModel(self._model)
        self.view.setIconSize(QSize(shown_px, shown_px))
        line = self.view.fontMetrics().lineSpacing()
        self.view.setGridSize(QSize(shown_px + _MARGIN_PX, shown_px + line + _MARGIN_PX))
        self.view.setMinimumHeight(shown_px + line + 2 * _MARGIN_PX)
        self.view.entered_key.connect(self._on_activated)
        self.view.doubleClicked.connect(self._on_activated)
        selection = self.view.selectionModel()
        assert selection is not None
        selection.currentChanged.connect(self._on_current)
        self._quiet = False
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        self.setFocusProxy(self.view)

    def show_items(self, items: Sequence[GalleryItem]) -> None:
        """Show these pictures, and no others."""
        self._quiet = True
        try:
            self._model.set_items(items)
        finally:
            self._quiet = False
        self.view.scrollToTop()

    @property
    def items(self) -> Sequence[GalleryItem]:
        """What is shown."""
        return self._model.items

    @property
    def current(self) -> int:
        """Place of the chosen picture, -1 where none is."""
        return self.view.currentIndex().row()

    def set_current(self, place: int) -> None:
        """Choose a picture, without `current_changed`; -1: none."""
        self._quiet = True
        try:
            at = self._model.index(place) if place >= 0 else QModelIndex()
            self.view.setCurrentIndex(at)
            if at.isValid():
                self.view.scrollTo(at)
        finally:
            self._quiet = False

    def _on_activated(self, index: QModelIndex) -> None:
        if index.isValid():
            self.activated.emit(index.row())

    def _on_current(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid() and not self._quiet:
            self.current_changed.emit(current.row())


def pixmap(image: np.ndarray, edge: int | None = None) -> QPixmap:
    """An (h, w, 3) uint8 picture for Qt, made to fit ``edge`` px where that is given."""
    data = np.ascontiguousarray(image)
    height, width, _ = data.shape
    held = data.tobytes()  # Qt reads this memory, so it is held until the pixmap, a copy, is made
    image_format = QImage.Format.Format_RGB888
    made = QPixmap.fromImage(QImage(held, width, height, 3 * width, image_format))
    if edge is None or max(height, width) == edge:
        return made
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    return made.scaled(edge, edge, keep, smooth)


class _View(QListView):
    """Icons in rows; Enter speaks of the chosen one."""

    entered_key = Signal(QModelIndex)

    def __init__(self) -> None:
        super().__init__()
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered_key.emit(self.currentIndex())
            return
        super().keyPressEvent(event)


class _Pictures(QAbstractListModel):
    """Rows of `GalleryItem`; a picture is made for Qt when it is first drawn."""

    def __init__(self, parent: QObject, shown_px: int) -> None:
        super().__init__(parent)
        self._shown_px = shown_px
        self.items: Sequence[GalleryItem] = ()
        self._made: dict[int, QPixmap] = {}

    def set_items(self, items: Sequence[GalleryItem]) -> None:
        self.beginResetModel()
        self.items, self._made = tuple(items), {}
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.items)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = index.row()
        item = self.items[row]
        if role == Qt.ItemDataRole.DisplayRole:
            return item.caption
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return item.tooltip or item.caption
        if role == Qt.ItemDataRole.DecorationRole:
            if row not in self._made:
                self._made[row] = pixmap(item.image, self._shown_px)
            return self._made[row]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignCenter
        return None
