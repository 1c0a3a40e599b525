"""Sentences that may be longer than the room there is for them."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QWidget

__all__ = ["LongWords"]


class LongWords(QScrollArea):
    """Text that wraps, scrolls, and can be copied.

    Parameters
    ----------
    lines
        Lines to see without scrolling, at least.
    """

    def __init__(self, lines: int = 3, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(self.label)
        self.setMinimumHeight(lines * self.fontMetrics().lineSpacing() + 6)

    def say(self, text: str) -> None:
        """Show ``text`` from its beginning."""
        if text != self.label.text():
            self.label.setText(text)
            bar = self.verticalScrollBar()
            if bar is not None:
                bar.setValue(0)

    def text(self) -> str:
        """What is shown."""
        return self.label.text()
