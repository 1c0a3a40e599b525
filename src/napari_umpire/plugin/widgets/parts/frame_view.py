"""`FrameView`: a pandas table to choose from, by mouse or keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtGui import QGuiApplication, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_umpire.plugin.widgets.parts.frame_table import FrameTable
from napari_umpire.plugin.widgets.parts.sort_menu import add_sort_menu

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from qtpy.QtGui import QKeyEvent, QResizeEvent

__all__ = ["FrameView"]

_WIDEST_PX, _MARGIN_PX, _ARROW_PX = 170, 14, 10
_LEAST_PX = 90
"""Of a last column that fills the width: the beginning and the end of a barcode."""
_TRIED_ROWS = 100


class FrameView(QTableView):
    """Shows a `FrameTable`: choose a row by mouse, arrows or letters; copy; sort by a header.

    Signals
    -------
    chosen(object)
        Key of the row that the user went to, or pressed Enter on.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = FrameTable(self)
        self._quiet = self._fills = False
        self._typed, self._typed_at = "", 0
        self.setModel(self.table)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)  # Tab goes on to the next control
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # barcodes differ at their ends
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.setVisible(False)
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # or Qt asks every row
        rows.setDefaultSectionSize(self.fontMetrics().height() + 6)
        columns.setStyleSheet("QHeaderView::section { padding: 2px 4px; }")  # napari's is wide
        columns.setHighlightSections(False)
        columns.setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        self.setSortingEnabled(True)
        add_sort_menu(self)

    def set_frame(
        self,
        frame: pd.DataFrame,
        formats: Mapping[str, str] | None = None,
        tooltips: Mapping[str, str] | None = None,
    ) -> None:
        """Show another table, see `FrameTable.set_frame`; a chosen sorting is kept."""
        header = self.horizontalHeader()
        assert header is not None
        column, order = header.sortIndicatorSection(), header.sortIndicatorOrder()
        same = list(map(str, frame.columns)) == list(map(str, self.table.frame.columns))
        key = self.key
        self._quiet = True
        try:
            self.table.set_frame(frame, formats, tooltips)
            if same and column >= 0:
                self.table.sort(column, order)
            else:
                header.setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
                self._fit_columns()
        finally:
            self._quiet = False
        if key is not None:
            self.show_key(key)

    @property
    def key(self) -> Any:
        """Key of the row that the user is at, None where there is none."""
        row = self.currentIndex().row()
        return self.table.row_key(row) if 0 <= row < self.table.rowCount() else None

    def show_key(self, key: object) -> None:
        """Go to a row without saying that it was chosen; to none where ``key`` is not there."""
        row = self.table.view_row(key)
        self._quiet = True
        try:
            if row < 0:
                self.clearSelection()
                self.setCurrentIndex(QModelIndex())
            elif self.currentIndex().row() != row:
                self.selectRow(row)
                self.scrollTo(self.table.index(row, 0))
        finally:
            self._quiet = False

    def copy(self) -> str:
        """Put the selected rows on the clipboard, with headers, separated by tabs; return them."""
        selection = self.selectionModel()
        assert selection is not None
        rows = sorted(index.row() for index in selection.selectedRows())
        text = self.table.sorted_frame.iloc[rows].to_csv(sep="\t", index=False)
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(text)
        return text

    def fill_width(self) -> None:
        """Let the last column have what the others leave, and so much that its ends can be read."""
        self._fills = True
        self._fill()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the last column its room anew."""
        super().resizeEvent(event)
        self._fill()

    def _fill(self) -> None:
        viewport, last = self.viewport(), self.table.columnCount() - 1
        if self._fills and viewport is not None and last >= 0:
            others = sum(self.columnWidth(column) for column in range(last))
            self.setColumnWidth(last, max(viewport.width() - others, _LEAST_PX))

    def _fit_columns(self) -> None:
        """As wide as their words and first cells; Qt's own answer counts a style's wide margins."""
        measure = self.fontMetrics().horizontalAdvance
        rows = range(min(self.table.rowCount(), _TRIED_ROWS))
        for column, name in enumerate(self.table.frame.columns):
            heads = [measure(word) + _ARROW_PX for word in str(name).split()]
            cells = [measure(self.table.data(self.table.index(row, column))) for row in rows]
            self.setColumnWidth(column, min(max([*heads, *cells, 0]) + _MARGIN_PX, _WIDEST_PX))

    # -- what the user does ---------------------------------------------------------------

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:
        """Say which row the user went to."""
        super().currentChanged(current, previous)
        moved = current.isValid() and current.row() != previous.row()
        if moved and not self._quiet:
            self.chosen.emit(self.table.row_key(current.row()))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter chooses the row again, copying puts the selected ones on the clipboard."""
        assert event is not None
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.key is not None:
            self.chosen.emit(self.key)
        else:
            super().keyPressEvent(event)

    def keyboardSearch(self, search: str | None) -> None:
        """Letters typed go to the first row that begins with them; Qt would ask every cell."""
        from qtpy.QtCore import QDateTime

        now = QDateTime.currentMSecsSinceEpoch()
        hints = QGuiApplication.styleHints()
        assert hints is not None
        goes_on = now - self._typed_at < hints.keyboardInputInterval()
        self._typed, self._typed_at = (self._typed if goes_on else "") + (search or ""), now
        row = self.table.find(self._typed, max(0, self.currentIndex().row()))
        if row >= 0:
            self.setCurrentIndex(self.table.index(row, max(0, self.currentIndex().column())))
