"""A form that may be taller than its dock, and is never wider."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_umpire.plugin.widgets.parts.dock_size import DOCK_PX

__all__ = ["TallArea"]

_CHANGES = (QEvent.Type.LayoutRequest, QEvent.Type.StyleChange, QEvent.Type.Show)


class TallArea(QScrollArea):
    """Scrolls ``inside`` up and down where the window is too low for it."""

    def __init__(self, inside: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # it follows the control that has the keys
        # Once per turn of the event loop: in the middle of a change of style or rows, what is
        # inside may say that it needs half as much again.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        # Not yet: without the window's style a form asks for far too much, and the dock that it is
        # put into never gives that room back.
        self._later.timeout.connect(self._fit)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the form: it grows once the window's style is known, and when rows appear."""
        if event is not None and event.type() in _CHANGES:
            self._later.start(0)
        return super().eventFilter(watched, event)

    def sizeHint(self) -> QSize:
        """Wide enough to read."""
        return QSize(max(self.minimumWidth(), DOCK_PX), super().sizeHint().height())

    def _fit(self) -> None:
        inside, bar = self.widget(), self.verticalScrollBar()
        if inside is not None and bar is not None:
            self.setMinimumWidth(inside.minimumSizeHint().width() + bar.sizeHint().width())
