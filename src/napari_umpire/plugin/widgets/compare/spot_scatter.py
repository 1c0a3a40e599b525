"""`SpotScatter`: spots as points of a plot, where a lasso or a box selects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtGui import QPainterPath
from qtpy.QtWidgets import (
    QButtonGroup,
    QGraphicsPathItem,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.plugin.layers.colours import ASKED, SELECTED
from napari_umpire.slides.regions import spots_within

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent

__all__ = ["SpotScatter"]

_POINT = "#4aa3df"
_SIZE_PX = 6
_MODES = {
    "Lasso": "Drag round spots to select them; Shift adds to the selection, Esc clears it",
    "Box": "Drag a box over spots to select them; Shift adds to the selection, Esc clears it",
    "Move": "Drag to move the plot, turn the wheel to zoom; a double click shows all",
}


class _View(pg.ViewBox):
    """A view whose left button draws a ring, unless it is there to move the plot."""

    ringed = Signal(object, bool)
    reset = Signal()

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.tool = "Lasso"
        self._path: list[QPointF] = []
        self._line = QGraphicsPathItem()
        self._line.setPen(pg.mkPen(SELECTED, width=1.5, style=Qt.PenStyle.DashLine))
        self._line.setZValue(1e6)
        self.addItem(self._line, ignoreBounds=True)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:
        """Draw the ring, and say so when it is closed."""
        if self.tool == "Move" or axis is not None or ev.button() != Qt.MouseButton.LeftButton:
            super().mouseDragEvent(ev, axis)
            return
        ev.accept()
        start, here = (
            self.mapToView(p) for p in (ev.buttonDownPos(Qt.MouseButton.LeftButton), ev.pos())
        )
        if self.tool == "Box":
            x, y = (start.x(), here.x()), (start.y(), here.y())
            corners = ((0, 0), (1, 0), (1, 1), (0, 1))
            self._path = [QPointF(x[i], y[j]) for i, j in corners]
        else:
            self._path = [start, here] if ev.isStart() else [*self._path, here]
        outline = QPainterPath()
        if not ev.isFinish():
            outline.moveTo(self._path[0])
            for point in self._path[1:]:
                outline.lineTo(point)
            outline.closeSubpath()
        self._line.setPath(outline)
        if ev.isFinish():
            ring = np.array([(p.x(), p.y()) for p in self._path])
            self._path = []
            self.ringed.emit(ring, bool(ev.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def mouseDoubleClickEvent(self, ev: Any) -> None:
        """Show everything again."""
        ev.accept()
        self.reset.emit()


class SpotScatter(QWidget):
    """A scatter plot of spots.

    Signals
    -------
    selected(object)
        (n,) int64 rows of the spots that the user selected here; empty: none.
    asked(int)
        Row of the spot that the user clicked on.
    """

    selected = Signal(object)
    asked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme = get_theme(get_settings().appearance.theme)
        text = theme.text.as_hex()
        self._rows = np.empty(0, np.int64)
        self._xy = np.empty((0, 2))
        self._selection = np.empty(0, np.int64)
        self._limits: tuple[tuple[float, float], tuple[float, float]] | None = None
        self.view = _View()
        self.plot = pg.PlotWidget(viewBox=self.view, background=theme.background.as_hex())
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setMinimumHeight(150)
        item = self.plot.getPlotItem()
        item.hideButtons()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(text)
            axis.setTextPen(text)
        self._diagonal = pg.InfiniteLine(angle=45, pen=pg.mkPen(text, style=Qt.PenStyle.DashLine))
        self._diagonal.setVisible(False)
        self._points = pg.ScatterPlotItem(size=_SIZE_PX, pen=None, brush=pg.mkBrush(_POINT + "b0"))
        self._chosen = pg.ScatterPlotItem(
            size=_SIZE_PX + 2, pen=pg.mkPen("k", width=0.5), brush=pg.mkBrush(SELECTED)
        )
        self._asked = pg.ScatterPlotItem(
            size=_SIZE_PX + 8, pen=pg.mkPen(ASKED, width=2), brush=pg.mkBrush(None)
        )
        for part in (self._diagonal, self._points, self._chosen, self._asked):
            self.plot.addItem(part, ignoreBounds=part is self._diagonal)
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.tools = QButtonGroup(self)
        row = QHBoxLayout()
        row.addWidget(self.title, 1)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for name, tip in _MODES.items():
            button = QPushButton(name)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.setChecked(name == self.view.tool)
            self.tools.addButton(button)
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.note)
        self.tools.buttonClicked.connect(self._on_tool)
        self.view.ringed.connect(self._on_ring)
        self.view.reset.connect(self.show_all)
        self._points.sigClicked.connect(self._on_clicked)

    # -- what it shows --------------------------------------------------------------------

    def set_axes(self, x: str, y: str, unit: str, *, diagonal: bool = False) -> None:
        """Name the axes.

        Parameters
        ----------
        diagonal
            Whether to draw the line where both are equal.
        """
        for side, name in (("bottom", x), ("left", y)):
            axis = self.plot.getPlotItem().getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setLabel(f"{name}, {unit}" if unit else name)
        self._diagonal.setVisible(diagonal)

    def set_points(
        self,
        xy: np.ndarray,
        rows: np.ndarray,
        shown: np.ndarray | None = None,
        *,
        limits: tuple[float, float] | None = None,
        colours: np.ndarray | None = None,
    ) -> None:
        """Show these spots.

        Parameters
        ----------
        xy
            (n, 2) places in the plot.
        rows
            (n,) rows of the spots; a lasso selects among all of them.
        shown
            Places of those to draw, where they are too many; None: all.
        limits
            Of both axes; None: what the points need.
        colours
            (n, 4) uint8, RGBA; None: one colour.
        """
        self._xy, self._rows = np.asarray(xy, np.float64).reshape(-1, 2), np.asarray(rows)
        self._limits = None if limits is None else (limits, limits)
        which = np.arange(len(self._rows)) if shown is None else shown
        brush = pg.mkBrush(_POINT + "b0")
        if colours is not None:
            brush = [pg.mkBrush(*map(int, colour)) for colour in colours[which]]
        part = self._xy[which]
        self._points.setData(x=part[:, 0], y=part[:, 1], data=self._rows[which], brush=brush)
        self.highlight(self._selection)
        self.show_all()

    def clear(self, why: str) -> None:
        """Show nothing, and say why."""
        self.title.setText(why)
        self.note.setText("")
        self.set_points(np.empty((0, 2)), np.empty(0, np.int64))

    def highlight(self, rows: np.ndarray) -> None:
        """Mark the selected spots, also those that were not drawn."""
        self._selection = np.asarray(rows, np.int64)
        part = self._xy[_among(self._rows, self._selection)]
        self._chosen.setData(x=part[:, 0], y=part[:, 1])

    def mark(self, row: int | None) -> None:
        """Mark the spot that was asked about."""
        part = self._xy[self._rows == row] if row is not None else np.empty((0, 2))
        self._asked.setData(x=part[:, 0], y=part[:, 1])

    @property
    def highlighted(self) -> int:
        """Number of selected spots that are marked."""
        return len(self._chosen.data)

    @property
    def drawn(self) -> int:
        """Number of points."""
        return len(self._points.data)

    def show_all(self) -> None:
        """Zoom out to all points."""
        if self._limits is not None:
            self.view.setRange(xRange=self._limits[0], yRange=self._limits[1], padding=0.05)
        else:
            self.view.autoRange(items=[self._points])

    # -- what the user does ---------------------------------------------------------------

    def _on_tool(self, button: QPushButton) -> None:
        self.view.tool = button.text()

    def _on_ring(self, ring: np.ndarray, add: bool) -> None:
        self.setFocus()
        rows = self._rows[spots_within(self._xy, [ring])]
        self.selected.emit(np.union1d(self._selection, rows) if add else rows)

    def _on_clicked(self, _item: object, points: list[Any], _event: object = None) -> None:
        if len(points):
            self.asked.emit(int(points[0].data()))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Esc clears the selection."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.selected.emit(np.empty(0, np.int64))
        else:
            super().keyPressEvent(event)


def _among(rows: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Which of the rows, numbers from 0, are among ``some``, (n,) bool."""
    if not len(rows) or not len(some):
        return np.zeros(len(rows), bool)
    table = np.zeros(max(rows.max(), some.max()) + 1, bool)
    table[some] = True
    return table[rows]
