"""Small tables of text that are read, not sorted, with shaded cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QColor, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QApplication, QTableWidget, QTableWidgetItem, QWidget

if TYPE_CHECKING:
    import pandas as pd
    from qtpy.QtGui import QKeyEvent

__all__ = ["SmallTable"]

_DARKEST = (0.0, 0.35, 0.60)
_MIN_ROWS, _MAX_ROWS = 2, 10
_MAX_COLUMN_PX = 120


class SmallTable(QTableWidget):
    """Shows a frame of text whole, as high as its rows; Ctrl+C copies it tab-separated."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        rows = self.verticalHeader()
        assert rows is not None
        rows.setDefaultSectionSize(21)
        rows.setMaximumWidth(130)

    def show_frame(
        self, frame: pd.DataFrame, shade: np.ndarray | None = None, tip: str = ""
    ) -> None:
        """Show a frame of text.

        Parameters
        ----------
        shade
            0 to 1 per cell, how dark it is; NaN: plain.
        tip
            Of every cell, with the names of its row and column before it.
        """
        self.clear()
        self.setRowCount(len(frame))
        self.setColumnCount(len(frame.columns))
        self.setHorizontalHeaderLabels([str(c) for c in frame.columns])
        self.setVerticalHeaderLabels([str(i) for i in frame.index])
        for r in range(len(frame)):
            for c in range(len(frame.columns)):
                item = QTableWidgetItem(str(frame.iat[r, c]))
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                item.setToolTip(f"{frame.index[r]}, {frame.columns[c]}. {tip}".strip())
                if shade is not None and np.isfinite(shade[r, c]):
                    _shade(item, float(shade[r, c]))
                self.setItem(r, c, item)
        self.resizeColumnsToContents()
        for c in range(self.columnCount()):
            self.setColumnWidth(c, min(self.columnWidth(c), _MAX_COLUMN_PX))
        self._fit_height()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Copy the whole table with Ctrl+C."""
        if event is not None and event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
            return
        super().keyPressEvent(event)

    def copy(self) -> None:
        """Put the table on the clipboard, tab-separated."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text())

    def text(self) -> str:
        """The table with its headers, tab-separated."""
        columns, rows = range(self.columnCount()), range(self.rowCount())
        head = [h.text() if (h := self.horizontalHeaderItem(c)) else "" for c in columns]
        lines = ["\t".join(["", *head])]
        for r in rows:
            name = h.text() if (h := self.verticalHeaderItem(r)) else ""
            cells = [i.text() if (i := self.item(r, c)) else "" for c in columns]
            lines.append("\t".join([name, *cells]))
        return "\n".join(lines)

    def _fit_height(self) -> None:
        head, bar = self.horizontalHeader(), self.horizontalScrollBar()
        assert head is not None
        assert bar is not None
        rows = min(max(self.rowCount(), _MIN_ROWS), _MAX_ROWS)
        height = head.sizeHint().height() + rows * 21 + bar.sizeHint().height() + 4
        self.setFixedHeight(height)


def _shade(item: QTableWidgetItem, share: float) -> None:
    colour = [1 - share * (1 - dark) for dark in _DARKEST]
    item.setBackground(QBrush(QColor.fromRgbF(*colour)))
    item.setForeground(QBrush(QColor("white" if share > 0.55 else "black")))
