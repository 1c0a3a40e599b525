"""Columns that a saved table gets beside the genes: classes and maps, each with a tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ExtrasList"]

_LINES = 5


class ExtrasList(QListWidget):
    """Offers columns by key and title; a new one is ticked, a known one stays as it was."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip("Columns of obs: classes with their colours, and maps of the spots")
        self.setMaximumHeight(_LINES * self.fontMetrics().lineSpacing())

    def offer(self, columns: Mapping[str, str]) -> None:
        """List these columns, key -> title."""
        old = {_key(item): item.checkState() for item in self._items()}
        with QSignalBlocker(self):
            self.clear()
            for key, title in columns.items():
                item = QListWidgetItem(title, self)
                item.setData(Qt.ItemDataRole.UserRole, key)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(old.get(key, Qt.CheckState.Checked))

    @property
    def ticked(self) -> list[str]:
        """Keys of the columns that are wanted."""
        wanted = Qt.CheckState.Checked
        return [_key(item) for item in self._items() if item.checkState() == wanted]

    def _items(self) -> list[QListWidgetItem]:
        items = (self.item(i) for i in range(self.count()))
        return [item for item in items if item is not None]


def _key(item: QListWidgetItem) -> str:
    return str(item.data(Qt.ItemDataRole.UserRole))
