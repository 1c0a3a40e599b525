"""A line to type a gene in, with the genes that fit under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QCompleter, QLineEdit, QWidget

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from napari_umpire.inference.genes.table import GeneTable

__all__ = ["GeneLine"]

_LIMIT = 30


class GeneLine(QLineEdit):
    """Type a part of a symbol, alias or id; the arrow keys and Enter take a gene that fits."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table: GeneTable | None = None
        self._hits = QStandardItemModel(self)
        completer = QCompleter(self._hits, self)
        # What fits is found by the genes' own search, which knows aliases.
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        completer.activated[QModelIndex].connect(self._on_taken)
        self.setCompleter(completer)
        self.setPlaceholderText("symbol, alias or Ensembl id")
        self.setClearButtonEnabled(True)
        self.textEdited.connect(self._on_edited)

    def set_table(self, table: GeneTable) -> None:
        """Offer these genes."""
        self._table = table

    @property
    def offered(self) -> list[str]:
        """What is listed under the line."""
        return [self._hits.index(row, 0).data() for row in range(self._hits.rowCount())]

    def _on_edited(self, text: str) -> None:
        self._hits.clear()
        if self._table is None:
            return
        for hit in self._table.index.search(text, _LIMIT):
            item = QStandardItem(hit.label)
            item.setData(hit.key, Qt.ItemDataRole.UserRole)
            self._hits.appendRow(item)

    def _on_taken(self, index: QModelIndex) -> None:
        key = index.data(Qt.ItemDataRole.UserRole)
        if key is not None and self._table is not None:
            self.setText(_name(self._table, str(key)))


def _name(table: GeneTable, key: str) -> str:
    """The symbol of a gene, or its key where others share the symbol."""
    label = table.label(key)
    try:
        return label if table.index.find(label) == key else key
    except InputError:
        return key
