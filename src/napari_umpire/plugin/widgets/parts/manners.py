"""What every dock does beside its work: it is found, and used, without a mouse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLabel,
    QLineEdit,
    QMainWindow,
    QPlainTextEdit,
    QWidget,
)

from napari_umpire.plugin.widgets.parts.focus_ring import FocusRing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Manners", "controls", "name_controls"]

_CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
)
_WHOLE = (QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit)
"""What is inside these is part of one control."""
_FIRST = 1
"""Qt's HighEventPriority, which the bindings take as a number."""
_OURS = "napari_umpire_dock"


class Manners(QObject):
    """Ties a dock's widget to the window that it is shown in.

    When the dock is opened it joins the tabs of those that are open already, as stacked forms do
    not fit a laptop; it comes to the front, and the keyboard is on its first control. The control
    that has the keyboard wears a ring, which napari's style leaves out, and each has a name that
    a screen reader can say.

    Parameters
    ----------
    widget
        What the dock shows.
    first
        The control that has the keyboard at first.
    """

    def __init__(self, widget: QWidget, first: QWidget) -> None:
        super().__init__(widget)
        self._widget, self._first = widget, first
        self._opened = False
        self.ring = FocusRing(widget)
        widget.setProperty(_OURS, True)
        widget.installEventFilter(self)
        # The keyboard and the front are the last opened one's, and napari is not done with it yet.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._arrive)
        self._left: QWidget | None = None
        self._return = QTimer(self)
        self._return.setSingleShot(True)
        self._return.timeout.connect(self._keep_keys)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._on_focus)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the dock as it is opened, and opened again."""
        if event is not None and watched is self._widget and not event.spontaneous():
            if event.type() == QEvent.Type.ParentChange:
                # Before all else that waits: a window that has seen forms stacked has grown.
                QCoreApplication.postEvent(self, QEvent(QEvent.Type.User), _FIRST)
            elif event.type() == QEvent.Type.Show:
                self._later.start(0)
            elif event.type() == QEvent.Type.Hide:
                self._later.stop()
        return super().eventFilter(watched, event)

    def customEvent(self, event: QEvent | None) -> None:
        """Napari has put the widget into a dock, and that into the window."""
        dock = _dock_of(self._widget)
        if dock is not None and not self._opened:
            self._opened = True
            _join_tabs(dock)

    def _arrive(self) -> None:
        name_controls(self._widget)
        dock = _dock_of(self._widget)
        if dock is None:
            return
        dock.raise_()
        ready = (c for c in (self._first, *controls(self._widget)) if _takes_keys(c))
        control = next(ready, None)
        if control is not None:
            control.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_focus(self, old: QWidget | None, new: QWidget | None) -> None:
        """A button that works by being pressed, such as Run, hands the keyboard to whatever."""
        inside = old is not None and isalive(old) and self._widget.isAncestorOf(old)
        if inside and old is not None and not old.isEnabled():
            self._left = old
            self._return.start(0)  # Cancel is not ready yet

    def _keep_keys(self) -> None:
        left, self._left = self._left, None
        if left is None or not isalive(left) or not self._widget.isVisible():
            return
        line = [c for c in controls(self._widget) if c is left or _takes_keys(c)]
        place = line.index(left) if left in line else 0
        after = [c for c in line[place:] + line[:place][::-1] if c is not left]
        beside = [c for c in after if c.parentWidget() is left.parentWidget()]
        for control in (*beside, *after)[:1]:
            control.setFocus(Qt.FocusReason.OtherFocusReason)


def controls(widget: QWidget) -> Iterator[QWidget]:
    """Everything in ``widget`` that a user can operate, seen at the moment or not."""
    for part in widget.findChildren(QWidget):
        above = part.parentWidget()
        while above is not None and above is not widget and not isinstance(above, _WHOLE):
            above = above.parentWidget()
        if isinstance(part, _CONTROLS) and not isinstance(above, _WHOLE):
            yield part


def name_controls(widget: QWidget) -> None:
    """Give each control that shows no text of its own a name: its label's, or of its tooltip."""
    labels = _labels(widget)
    for control in controls(widget):
        shown = control.text() if isinstance(control, QAbstractButton) else ""
        if control.accessibleName() or re.search(r"\w", shown):
            continue
        name = labels.get(control) or re.split(r"[:;,.(\n]", control.toolTip())[0]
        if not name and isinstance(control, QLineEdit | QPlainTextEdit):
            name = control.placeholderText()
        control.setAccessibleName(name.strip())


def _labels(widget: QWidget) -> dict[QWidget, str]:
    """What stands before a control: a label, of several in a line that of the first."""
    found = {}
    for label in widget.findChildren(QLabel):
        buddy = label.buddy()
        if buddy is None:
            continue
        first = buddy if isinstance(buddy, _CONTROLS) else next(controls(buddy), None)
        if first is not None:
            found[first] = label.text().replace("&", "")
    return found


def _takes_keys(control: QWidget) -> bool:
    by_tab = control.focusPolicy() & Qt.FocusPolicy.TabFocus
    return bool(by_tab) and control.isVisible() and control.isEnabled()


def _dock_of(widget: QWidget) -> QDockWidget | None:
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QDockWidget):
        above = above.parentWidget()
    return above


def _join_tabs(dock: QDockWidget) -> None:
    """Lay a dock over the others of ours in its part of the window."""
    window = dock.parentWidget()
    if not isinstance(window, QMainWindow) or dock.isFloating():
        return
    here = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        inside = other.widget()
        if (
            other is not dock
            and inside is not None
            and inside.property(_OURS)
            and window.dockWidgetArea(other) == here
            and not other.isFloating()
            and not other.isHidden()
        ):
            if dock not in window.tabifiedDockWidgets(other):
                window.tabifyDockWidget(other, dock)
            return
