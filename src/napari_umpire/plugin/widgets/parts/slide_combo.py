"""The slide that all widgets of a viewer speak of, as a combo box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from napari_umpire.plugin.widgets.parts.listening import listen

if TYPE_CHECKING:
    from napari_umpire.plugin.session.session import Session

__all__ = ["SlideCombo"]


class SlideCombo(QComboBox):
    """Lists the slides of a session and chooses its current one."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setToolTip("The slide to work on: drop one into the window to add it")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.activated.connect(self._on_activated)
        listen(self, session.slides_changed, self._fill)
        listen(self, session.current_changed, self._fill)
        self._fill()

    def _fill(self) -> None:
        names = list(self._session.slides)
        current = self._session.current
        with QSignalBlocker(self):
            self.clear()
            self.addItems(names or ["no slide yet: drop one into the window"])
            if current is not None:
                self.setCurrentText(current.name)
        self.setEnabled(bool(names))

    def _on_activated(self, number: int) -> None:
        self._session.set_current(self.itemText(number))
