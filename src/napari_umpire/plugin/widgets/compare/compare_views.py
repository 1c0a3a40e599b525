"""Which of the two maps to look at, and how: measured, predicted, both, blinking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QShortcut,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.plugin.layers.blink import BLINK_KEY, blink, can_blink
from napari_umpire.plugin.widgets.parts.listening import listen

if TYPE_CHECKING:
    from napari_umpire.plugin.layers.make import Kind
    from napari_umpire.plugin.session.session import Session

__all__ = ["CompareViews"]

_BLINK_MS = 900
_VIEWS: dict[str, tuple[Kind | None, str]] = {
    "Measured": ("measured", "The measured map"),
    "Predicted": ("predicted", "The predicted map"),
    "Difference": ("difference", "Predicted minus measured"),
    "Side by side": (None, "Two panes of the same tissue; pan and zoom are linked"),
}


class CompareViews(QWidget):
    """Buttons that change what the session shows, and follow it."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.group = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout()
        grid.setSpacing(1)
        for place, (name, (_, tip)) in enumerate(_VIEWS.items()):
            button = QPushButton(name)
            button.setCheckable(True)
            button.setToolTip(tip)
            self.group.addButton(button)
            self.buttons[name] = button
            grid.addWidget(button, 0, place)
        self.blink = QPushButton("Blink (b)")
        self.blink.setToolTip(
            "Measured and predicted in turn on the same tissue; the key b does it too"
        )
        self.by_itself = QCheckBox("by itself")
        self.by_itself.setToolTip(f"Blink every {_BLINK_MS / 1000:g} s")
        self.shared = QCheckBox("one range")
        self.shared.setToolTip("Measured and predicted map of a gene get the same colours")
        row = QHBoxLayout()
        for part in (self.blink, self.by_itself, self.shared):
            row.addWidget(part)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(_BLINK_MS)
        self._timer.timeout.connect(self._on_timer)
        self.group.buttonClicked.connect(self._on_view)
        self.blink.clicked.connect(self._on_blink)
        self.by_itself.toggled.connect(self._on_by_itself)
        self.shared.toggled.connect(self._on_shared)
        for signal in (
            session.gene_changed,
            session.view_changed,
            session.current_changed,
            session.slides_changed,
            session.values_changed,
        ):
            listen(self, signal, self.update_views)
        self.update_views()

    def add_key(self, widget: QWidget) -> None:
        """Let the key b blink while ``widget`` or a part of it has the keyboard."""
        shortcut = QShortcut(QKeySequence(BLINK_KEY), widget)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self._on_blink)

    def update_views(self) -> None:
        """Show what the session shows."""
        session, state = self._session, self._session.current
        kinds = () if state is None else state.kinds
        both = {"predicted", "measured"} <= set(kinds)
        shown = session.kind if session.kind in kinds else next(iter(kinds), None)
        other = state is not None and session.shown_map in state.maps
        self.group.setExclusive(False)
        for name, (kind, _) in _VIEWS.items():
            button = self.buttons[name]
            button.setEnabled(both if kind is None else kind in kinds)
            if kind is None:
                button.setChecked(both and session.beside and not other)
            else:
                button.setChecked(kind == shown and not (both and session.beside) and not other)
        self.group.setExclusive(True)
        with QSignalBlocker(self.shared):
            self.shared.setChecked(session.range.shared)
        ready = can_blink(session)
        self.shared.setEnabled(both)
        self.blink.setEnabled(ready)
        self.by_itself.setEnabled(ready or self.by_itself.isChecked())

    def _on_view(self, button: QPushButton) -> None:
        self.by_itself.setChecked(False)
        kind, _ = _VIEWS[button.text()]
        if kind is None:
            self._session.set_view(beside=True)
        else:
            self._session.set_view(kind=kind, beside=False)

    def _on_blink(self) -> None:
        blink(self._session)

    def _on_by_itself(self, on: bool) -> None:
        if on:
            self._timer.start()
        else:
            self._timer.stop()

    def _on_timer(self) -> None:
        if self.isVisible():
            blink(self._session)
        else:
            self.by_itself.setChecked(False)

    def _on_shared(self, on: bool) -> None:
        self._session.set_view(range=replace(self._session.range, shared=on))
