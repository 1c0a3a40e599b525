"""A ring around the control that has the keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QPoint, QRect, Qt
from qtpy.QtGui import QColor, QGuiApplication, QPainter, QPen
from qtpy.QtWidgets import QAbstractScrollArea, QApplication, QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

__all__ = ["FocusRing"]

_MOVES = (
    QEvent.Type.Move,
    QEvent.Type.Resize,
    QEvent.Type.Show,
    QEvent.Type.Hide,
    QEvent.Type.LayoutRequest,
)
_WIDTH_PX = 2


class FocusRing(QWidget):
    """Lies over ``inside`` and frames the part of it that the keyboard was moved to.

    A click needs no ring: who clicks knows where.
    """

    def __init__(self, inside: QWidget) -> None:
        super().__init__(inside)
        self._inside = inside
        self._control: QWidget | None = None
        self._heard: list[QWidget] = []
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._on_focus)

    @property
    def control(self) -> QWidget | None:
        """What is framed."""
        return self._control if self.isVisible() else None

    def _on_focus(self, _old: QWidget | None, new: QWidget | None) -> None:
        for widget in self._heard:
            if isalive(widget):
                widget.removeEventFilter(self)
        self._heard, self._control = [], None
        clicked = QGuiApplication.mouseButtons() != Qt.MouseButton.NoButton
        if new is None or clicked or new is self._inside or not self._inside.isAncestorOf(new):
            self.hide()
            return
        self._control = new
        above: QWidget | None = new
        while above is not None and above is not self._inside:
            above.installEventFilter(self)
            self._heard.append(above)
            above = above.parentWidget()
        self._place()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stay with the control where its form is scrolled or laid out anew."""
        if event is not None and event.type() in _MOVES:
            self._place()
        return super().eventFilter(watched, event)

    def _place(self) -> None:
        control = self._control
        if control is None or not isalive(control) or not control.isVisible():
            self.hide()
            return
        room = QRect(control.mapTo(self._inside, QPoint(0, 0)), control.size())
        room.adjust(-_WIDTH_PX, -_WIDTH_PX, _WIDTH_PX, _WIDTH_PX)
        above = control.parentWidget()
        while above is not None and above is not self._inside:
            if isinstance(above.parentWidget(), QAbstractScrollArea):  # what is scrolled out
                room &= QRect(above.mapTo(self._inside, QPoint(0, 0)), above.size())
            above = above.parentWidget()
        self.setGeometry(room & self._inside.rect())
        self.raise_()
        self.show()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the ring."""
        painter = QPainter(self)
        colour = QColor(get_theme(get_settings().appearance.theme).text.as_hex())
        painter.setPen(QPen(colour, _WIDTH_PX))
        painter.setOpacity(0.75)
        painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
