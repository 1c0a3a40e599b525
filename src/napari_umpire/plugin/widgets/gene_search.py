"""Type-ahead over the genes of a slide: a line to type in, and the list of hits under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QLineEdit,
    QListView,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent

    from napari_umpire.inference.gene_table import GeneTable

__all__ = ["GeneSearch"]

_LIMIT = 200


class _Hits(QAbstractListModel):
    """Rows of (key, label); all genes of the table while nothing is typed."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._table: GeneTable | None = None
        self._found: list[tuple[str, str]] | None = None

    def set_table(self, table: GeneTable) -> None:
        self._table = table

    def search(self, text: str) -> None:
        self.beginResetModel()
        self._found = None
        if self._table is not None and text.strip():
            hits = self._table.index.search(text, _LIMIT)
            self._found = [(hit.key, hit.label) for hit in hits]
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        if parent is not None and parent.isValid():
            return 0
        if self._found is not None:
            return len(self._found)
        return 0 if self._table is None else len(self._table)

    def key(self, row: int) -> str:
        if self._found is not None:
            return self._found[row][0]
        assert self._table is not None
        return str(self._table.frame.index[row])

    def row_of(self, key: str) -> int:
        if self._found is not None:
            return next((i for i, (found, _) in enumerate(self._found) if found == key), -1)
        return -1 if self._table is None else self._table.row(key)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or self._table is None:
            return None
        key = self.key(index.row())
        if role == Qt.ItemDataRole.DisplayRole:
            if self._found is not None:
                return self._found[index.row()][1]
            return self._table.label(key)
        if role == Qt.ItemDataRole.ToolTipRole:
            row = self._table.frame.loc[key]
            have = [kind for kind in ("predicted", "measured") if row[kind]]
            return f"{row['id'] or key}: {' and '.join(have)}"
        return None


class _Line(QLineEdit):
    """A line whose arrow keys step through the list under it."""

    stepped = Signal(int)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is None:
            return
        steps: dict[int, int] = {
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_PageDown: 10,
            Qt.Key.Key_PageUp: -10,
        }
        if event.key() in steps:
            self.stepped.emit(steps[event.key()])
        else:
            super().keyPressEvent(event)


class GeneSearch(QWidget):
    """Choose a gene by typing, by arrow keys or by a click; ``chosen(str)`` gives its key."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = _Line()
        self.line.setPlaceholderText("gene symbol or Ensembl id")
        self.line.setClearButtonEnabled(True)
        self.line.setToolTip("Type a part of a name; ↑ and ↓ step through the genes found")
        self.hits = _Hits(self)
        self.list = QListView()
        self.list.setModel(self.hits)
        self.list.setUniformItemSizes(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setMinimumHeight(90)
        self.count = QLabel()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.line)
        layout.addWidget(self.list)
        layout.addWidget(self.count)
        self.line.textEdited.connect(self._on_edited)
        self.line.textChanged.connect(self._on_changed)
        self.line.stepped.connect(self._on_step)
        self.line.returnPressed.connect(self._on_return)
        selection = self.list.selectionModel()
        assert selection is not None
        selection.currentChanged.connect(self._on_current)
        self._quiet = False

    def set_table(self, table: GeneTable) -> None:
        """Search among other genes; what was typed stays."""
        self.hits.set_table(table)
        self._search(self.line.text())

    def set_gene(self, key: str | None) -> None:
        """Mark a gene in the list without choosing it anew."""
        row = -1 if key is None else self.hits.row_of(key)
        self._quiet = True
        try:
            at = self.hits.index(row) if row >= 0 else QModelIndex()
            if at != self.list.currentIndex():
                self.list.setCurrentIndex(at)
                self.list.scrollTo(at, QAbstractItemView.ScrollHint.PositionAtCenter)
        finally:
            self._quiet = False

    def _search(self, text: str) -> None:
        self._quiet = True
        try:
            self.hits.search(text)
        finally:
            self._quiet = False
        n = self.hits.rowCount()
        more = " or more" if text.strip() and n == _LIMIT else ""
        self.count.setText(f"{n:,}{more} gene{'' if n == 1 else 's'}" + (" found" if text else ""))

    def _on_edited(self, text: str) -> None:
        self._search(text)
        # The best hit is shown at once: looking is cheap.
        if text.strip() and self.hits.rowCount():
            self.list.setCurrentIndex(self.hits.index(0))

    def _on_changed(self, text: str) -> None:
        if not text:
            self._search("")

    def _on_step(self, step: int) -> None:
        n = self.hits.rowCount()
        if n:
            here = self.list.currentIndex().row()
            row = min(max(here + step, 0), n - 1)
            self.list.setCurrentIndex(self.hits.index(row))

    def _on_return(self) -> None:
        if self.hits.rowCount() and not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self.hits.index(0))

    def _on_current(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid() and not self._quiet:
            self.chosen.emit(self.hits.key(current.row()))
