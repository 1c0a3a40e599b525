"""The slide card: what was read, and what the model wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from napari_umpire.plugin.words.slide import SlideCard

__all__ = ["SlideCardView"]

_WARN_ON_DARK, _WARN_ON_LIGHT = "#ffb454", "#9a5200"
_QUIET_ON_DARK, _QUIET_ON_LIGHT = "#a8adb5", "#5b6068"


class SlideCardView(QFrame):
    """Shows a `SlideCard`, with switches for what can be drawn of the slide."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card: SlideCard | str = ""
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.outline = QCheckBox("Tissue outline")
        self.outline.setToolTip("Draw where the tissue was found")
        self.spots = QCheckBox("Spots")
        self.spots.setToolTip("Draw the spots that a run would predict")
        self.switches = QWidget()
        line = QHBoxLayout(self.switches)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.outline)
        line.addWidget(self.spots)
        line.addStretch(1)
        self.change = QPushButton("Set scale…")
        self.change.setToolTip("Say how many µm a pixel covers, where the file is wrong")
        line.addWidget(self.change)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(2)
        layout.addWidget(self.words)
        layout.addWidget(self.switches)

    def show_card(self, card: SlideCard) -> None:
        """Show what is known of a slide."""
        self._card = card
        dark = self.palette().color(QPalette.ColorRole.WindowText).lightness() > 127
        self.words.setText(
            card.html(
                _WARN_ON_DARK if dark else _WARN_ON_LIGHT,
                _QUIET_ON_DARK if dark else _QUIET_ON_LIGHT,
            )
        )
        self.switches.setVisible(not card.asks_scale)

    def changeEvent(self, event: QEvent | None) -> None:
        """Take colours that suit the window, which the card may come into later."""
        super().changeEvent(event)
        changes = (QEvent.Type.StyleChange, QEvent.Type.PaletteChange)
        if event is not None and event.type() in changes and not isinstance(self._card, str):
            self.show_card(self._card)

    def say(self, text: str) -> None:
        """Show a sentence instead of a slide."""
        self._card = text
        self.words.setText(text)
        self.switches.setVisible(False)

    @property
    def text(self) -> str:
        """What is shown, as plain lines."""
        return self._card if isinstance(self._card, str) else self._card.text
