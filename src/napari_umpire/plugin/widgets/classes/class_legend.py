"""The legend of classes: colour, name and number of spots; an eye to hide a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QColorDialog, QHeaderView, QTableView, QWidget

if TYPE_CHECKING:
    from qtpy.QtCore import QObject
    from qtpy.QtGui import QKeyEvent

    from napari_umpire.inference.classes.labels import SpotLabels

__all__ = ["ClassLegend", "LegendModel"]

_Index = QModelIndex | QPersistentModelIndex
_EYE, _COLOUR, _NAME, _SPOTS = range(4)
_HEADERS = ("", "", "class", "spots")
_TIPS = (
    "Whether the class is shown; Space",
    "Double click or Enter to choose another colour",
    "Name of the class",
    "Number of spots of this class on the current slide",
)


class LegendModel(QAbstractTableModel):
    """A Qt model over `SpotLabels`; what is hidden is kept by name, over changes of the labels.

    Signals
    -------
    shown_changed
        Another class was hidden, or shown again.
    """

    shown_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.labels: SpotLabels | None = None
        self._hidden: set[str] = set()

    def set_labels(self, labels: SpotLabels | None) -> None:
        """Show other labels."""
        self.beginResetModel()
        self.labels = labels
        self._counts = [] if labels is None else labels.counts.tolist()
        self.endResetModel()

    @property
    def shown(self) -> list[bool]:
        """Whether each class is shown."""
        if self.labels is None:
            return []
        return [name not in self._hidden for name in self.labels.categories]

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """Number of classes."""
        return 0 if parent.isValid() or self.labels is None else len(self.labels.categories)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Eye, colour, name, spots."""
        return 0 if parent.isValid() else len(_HEADERS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Names of the columns, and what they do."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _HEADERS[section]
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """The eye can be checked."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.column() == _EYE else flags

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a cell shows."""
        if self.labels is None or not index.isValid():
            return None
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.labels.categories[row] if column == _NAME else _TIPS[column]
        if role == Qt.ItemDataRole.CheckStateRole and column == _EYE:
            shown = self.shown[row]
            return Qt.CheckState.Checked if shown else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.BackgroundRole and column == _COLOUR:
            return QColor(self.labels.colours[row])
        if role == Qt.ItemDataRole.TextAlignmentRole and column == _SPOTS:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.DisplayRole and column in (_NAME, _SPOTS):
            return self.labels.categories[row] if column == _NAME else f"{self._counts[row]:,}"
        if role == Qt.ItemDataRole.AccessibleTextRole and column == _COLOUR:
            return self.labels.colours[row]
        return None

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Open or close an eye."""
        if self.labels is None or role != Qt.ItemDataRole.CheckStateRole:
            return False
        name = self.labels.categories[index.row()]
        if Qt.CheckState(value) == Qt.CheckState.Checked:
            self._hidden.discard(name)
        else:
            self._hidden.add(name)
        self.dataChanged.emit(index, index, [role])
        self.shown_changed.emit()
        return True


class ClassLegend(QTableView):
    """Shows a `LegendModel`, and asks for a class's colour.

    Signals
    -------
    recoloured(int, str)
        The user chose "#rrggbb" for the class of that number.
    """

    recoloured = Signal(int, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Legend of classes")
        self.classes = LegendModel(self)
        self.setModel(self.classes)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.hide()
        rows.setDefaultSectionSize(22)
        columns.setMinimumSectionSize(20)
        for column, width in ((_EYE, 26), (_COLOUR, 26), (_SPOTS, 70)):
            columns.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, width)
        columns.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.doubleClicked.connect(self._on_double_click)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter asks for a colour, Space opens and closes the eye of the row."""
        row = self.currentIndex().row()
        if event is not None and row >= 0:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.ask_colour(row)
                return
            if event.key() == Qt.Key.Key_Space:
                eye = self.classes.index(row, _EYE)
                shown = self.classes.shown[row]
                new = Qt.CheckState.Unchecked if shown else Qt.CheckState.Checked
                self.classes.setData(eye, new, Qt.ItemDataRole.CheckStateRole)
                return
        super().keyPressEvent(event)

    def ask_colour(self, row: int) -> None:
        """Let the user choose the colour of a class."""
        labels = self.classes.labels
        if labels is None:
            return
        title = f"Colour of {labels.categories[row]}"
        chosen = QColorDialog.getColor(QColor(labels.colours[row]), self, title)
        if chosen.isValid():
            self.recoloured.emit(row, chosen.name())

    def _on_double_click(self, index: QModelIndex) -> None:
        if index.column() != _EYE:
            self.ask_colour(index.row())
