"""A scatter plot of many points, in which a drag draws a lasso."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal

from napari_umpire.plugin.layers.colours import ASKED

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

__all__ = ["LassoPlot"]

# Between the lightest and the darkest class, and without hue: every colour reads on it.
_BACKGROUND = "#a8a4ab"
_SELECTED = "#ffffff"  # a yellow ring would be lost in a class of that colour
_NONE = (70, 70, 70, 60)
_FEW = 2_000


class LassoPlot(pg.PlotWidget):
    """Shows points in given colours; the left button draws a lasso, the middle or right one moves.

    Signals
    -------
    lassoed(object, bool)
        (m, 2) float, the lasso's corners in the coordinates of the points; whether Shift was held,
        to add to what is selected.
    clicked(int)
        A point was clicked.
    """

    lassoed = Signal(object, bool)
    clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, viewBox=_LassoBox(self), background=_BACKGROUND)
        self.hideAxis("left")
        self.hideAxis("bottom")
        self.setAspectLocked(True)
        self.setMenuEnabled(False)
        self.points = pg.ScatterPlotItem(pen=None, size=5, pxMode=True)
        self.selected = pg.ScatterPlotItem(
            pen=pg.mkPen(_SELECTED, width=1.6), brush=None, size=8, pxMode=True
        )
        self.asked = pg.ScatterPlotItem(
            pen=pg.mkPen(ASKED, width=2.5), brush=None, size=13, pxMode=True
        )
        self.rope = pg.PlotCurveItem(pen=pg.mkPen(ASKED, width=1.5))
        for item in (self.points, self.selected, self.asked, self.rope):
            self.addItem(item)
        self.points.sigClicked.connect(self._on_clicked)
        self.xy = np.zeros((0, 2))

    def set_points(self, xy: np.ndarray) -> None:
        """Show other points, (n, 2), all in one colour until `colour_by`."""
        self.xy = np.asarray(xy, np.float64)
        size = 6 if len(xy) <= _FEW else 4 if len(xy) <= 10 * _FEW else 3
        self.points.setData(
            x=self.xy[:, 0], y=self.xy[:, 1], size=size, brush=pg.mkBrush(*_NONE), pen=None
        )
        for item in (self.selected, self.asked, self.rope):
            item.setData([], [])
        self.autoRange()

    def colour_by(self, codes: np.ndarray, rgb: np.ndarray) -> None:
        """Colour the points.

        Parameters
        ----------
        codes
            (n,) int, row of ``rgb``; -1: grey and faint.
        rgb
            (k, 3) uint8.
        """
        # One brush per colour, not per point: the plot then keeps one picture of each.
        brushes = np.empty(len(rgb) + 1, object)
        brushes[:-1] = [pg.mkBrush(*(int(v) for v in row), 215) for row in rgb]
        brushes[-1] = pg.mkBrush(*_NONE)
        if len(self.xy):
            self.points.setBrush(brushes[codes].tolist())

    def highlight(self, selected: np.ndarray, asked: np.ndarray) -> None:
        """Put rings around the selected points and the one that was asked about, (m,) int each."""
        self.selected.setData(x=self.xy[selected, 0], y=self.xy[selected, 1])
        self.asked.setData(x=self.xy[asked, 0], y=self.xy[asked, 1])

    def _on_clicked(self, _item: Any, points: Any, event: Any) -> None:
        if len(points):
            event.accept()
            self.clicked.emit(int(points[0].index()))


class _LassoBox(pg.ViewBox):
    """The plot's area: hears the drags."""

    def __init__(self, plot: LassoPlot) -> None:
        super().__init__(enableMenu=False)
        self._plot = plot
        self._corners: list[tuple[float, float]] = []

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:
        """Draw with the left button, move with the others."""
        if ev.button() != Qt.MouseButton.LeftButton:
            if ev.button() == Qt.MouseButton.RightButton:
                ev.accept()
                moved = self.mapToView(ev.lastPos()) - self.mapToView(ev.pos())
                self.translateBy(x=moved.x(), y=moved.y())
            else:
                super().mouseDragEvent(ev, axis)
            return
        ev.accept()
        if ev.isStart():
            first = self.mapToView(ev.buttonDownPos())
            self._corners = [(first.x(), first.y())]
        at = self.mapToView(ev.pos())
        self._corners.append((at.x(), at.y()))
        corners = np.array(self._corners)
        if ev.isFinish():
            self._plot.rope.setData([], [])
            adds = bool(ev.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._plot.lassoed.emit(corners, adds)
        else:
            closed = np.concatenate([corners, corners[:1]])
            self._plot.rope.setData(closed[:, 0], closed[:, 1])
