"""`FrameTable`: a pandas table of 20,000 rows for Qt, sorted without asking every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtCore import QObject

__all__ = ["FrameTable"]

_Index = QModelIndex | QPersistentModelIndex
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class FrameTable(QAbstractTableModel):
    """A Qt model over a `pandas.DataFrame`; only the cells in view are ever made into text.

    The index of the frame holds the keys of its rows; it is not shown.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._clear()

    def _clear(self) -> None:
        self._frame = pd.DataFrame()
        self._columns: list[np.ndarray] = []
        self._formats: list[Callable[[Any], str]] = []
        self._tooltips: dict[str, str] = {}
        self._order = np.empty(0, np.int64)
        self._place = np.empty(0, np.int64)

    # -- what it holds --------------------------------------------------------------------

    @property
    def frame(self) -> pd.DataFrame:
        """The table as it was given."""
        return self._frame

    @property
    def sorted_frame(self) -> pd.DataFrame:
        """The table in the order that is shown."""
        return self._frame.iloc[self._order]

    def set_frame(
        self,
        frame: pd.DataFrame,
        formats: Mapping[str, str] | None = None,
        tooltips: Mapping[str, str] | None = None,
    ) -> None:
        """Show ``frame``, in its own order until a header is clicked.

        Parameters
        ----------
        frame
            Index = key of the row, unique.
        formats
            How the numbers of a column read, such as ``{"pcc": "{:.2f}"}``; NaN reads "–".
        tooltips
            What a column means and in which unit, said over its header.
        """
        if not frame.index.is_unique:
            raise ValueError("the keys of the rows must be unique")
        formats = formats or {}
        self.beginResetModel()
        self._frame = frame
        self._columns = [frame[name].to_numpy() for name in frame.columns]
        self._formats = [_text(formats.get(str(name)), frame[name]) for name in frame.columns]
        self._tooltips = dict(tooltips or {})
        self._set_order(np.arange(len(frame)))
        self.endResetModel()

    def row_key(self, view_row: int) -> Any:
        """The key of the row that is shown at ``view_row``."""
        return self._frame.index[self._order[view_row]]

    def view_row(self, key: object) -> int:
        """Where the row of ``key`` is shown, -1 where there is none."""
        if key not in self._frame.index:
            return -1
        return int(self._place[self._frame.index.get_loc(key)])

    def find(self, text: str, start: int) -> int:
        """The first row from ``start`` on, round the end, whose first cell begins with ``text``."""
        if not len(self._order) or not self._columns:
            return -1
        text, n = text.casefold(), len(self._order)
        first = self._columns[0]
        for step in range(n):
            row = (start + step) % n
            if str(first[self._order[row]]).casefold().startswith(text):
                return row
        return -1

    # -- what Qt asks ---------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Number of rows."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text of a cell, and on which side it stands."""
        if not index.isValid():
            return None
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._formats[column](self._columns[column][self._order[index.row()]])
        if role == Qt.ItemDataRole.TextAlignmentRole and self._is_number(column):
            return int(_RIGHT)
        if role == Qt.ItemDataRole.ToolTipRole and not self._is_number(column):
            return str(self._columns[column][self._order[index.row()]])  # may be cut in the cell
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Name of a column, and what it means."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        name = str(self._frame.columns[section])
        if role == Qt.ItemDataRole.DisplayRole:
            return name.replace(" ", "\n")  # a column as narrow as its longest word
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltips.get(name)
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column, what has no value last; -1: as the table was given."""
        if column >= len(self._columns):
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        rows = [self._order[index.row()] for index in before]
        if column < 0:
            self._set_order(np.arange(len(self._frame)))
        else:
            falling = order == Qt.SortOrder.DescendingOrder
            self._set_order(_sorted(self._columns[column], falling=falling))
        after = [
            self.index(int(self._place[row]), index.column())
            for row, index in zip(rows, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _is_number(self, column: int) -> bool:
        return self._columns[column].dtype.kind in "fiu"

    def _set_order(self, order: np.ndarray) -> None:
        self._order = order
        self._place = np.empty_like(order)
        self._place[order] = np.arange(len(order))


def _text(form: str | None, column: pd.Series) -> Callable[[Any], str]:
    """How the cells of a column read."""
    if column.dtype.kind in "iu":
        form = form or "{:,}"
    elif column.dtype.kind == "f":
        form = form or "{:.3g}"
    else:
        form = None  # words

    def text(value: Any) -> str:
        if value is None or value != value:  # NaN
            return "–"
        return str(value) if form is None else form.format(value)

    return text


def _sorted(values: np.ndarray, *, falling: bool) -> np.ndarray:
    """Order of the rows, (n,) int64: stable, NaN and None last whichever way."""
    codes: np.ndarray
    if values.dtype.kind in "fiub":
        codes = values.astype(np.float64)
        missing = np.isnan(codes)
    else:
        missing = pd.isna(values)
        folded = [str(v).casefold() for v in values]
        codes = np.unique(np.asarray(folded, dtype=object), return_inverse=True)[1].astype(float)
    there = np.flatnonzero(~missing)
    order = there[np.argsort(-codes[there] if falling else codes[there], kind="stable")]
    return np.concatenate([order, np.flatnonzero(missing)])
