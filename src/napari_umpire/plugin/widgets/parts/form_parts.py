"""Small parts that most forms have: a sentence that wraps, and widgets in one line."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

__all__ = ["line_of", "wrapping_label"]


def wrapping_label(text: str = "") -> QLabel:
    """Text that wraps and can be copied; `LongWords` where it may outgrow its room."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.LinksAccessibleByMouse
    )
    return label


def line_of(*parts: QWidget, wide_first: bool = False) -> QWidget:
    """The parts side by side, as one widget.

    Parameters
    ----------
    wide_first
        Whether the first part takes all room that the others do not need.
    """
    line = QWidget()
    layout = QHBoxLayout(line)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part, 1 if wide_first and part is parts[0] else 0)
    return line
