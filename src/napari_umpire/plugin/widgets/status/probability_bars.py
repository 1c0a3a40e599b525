"""The probability of each class as a bar with its number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent

__all__ = ["ProbabilityBars"]

_GAP_PX = 6
_LONGEST_NAME = 0.4
"""Share of the width that names may take."""


class ProbabilityBars(QWidget):
    """One line per class: name, bar in the class's colour, probability."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: list[tuple[str, str, float]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Probability of each class; they sum to 1")

    def show_values(
        self, names: Sequence[str], colours: Sequence[str], values: Sequence[float]
    ) -> None:
        """Show one line per class; ``values`` lie in 0..1."""
        self._lines = [(n, c, float(v)) for n, c, v in zip(names, colours, values, strict=True)]
        self.setAccessibleDescription(", ".join(f"{n} {v:.2f}" for n, _, v in self._lines))
        self.updateGeometry()
        self.update()

    def bar(self, line: int) -> QRect:
        """Where the bar of a class lies, empty part and all."""
        metrics, height = self.fontMetrics(), self._line_px
        widest = max(metrics.horizontalAdvance(name) for name, _, _ in self._lines)
        left = min(widest, int(self.width() * _LONGEST_NAME)) + _GAP_PX
        right = self.width() - metrics.horizontalAdvance("0.00") - _GAP_PX
        return QRect(left, line * height + 3, max(1, right - left), height - 6)

    @property
    def _line_px(self) -> int:
        return self.fontMetrics().lineSpacing() + 8

    def sizeHint(self) -> QSize:
        """As high as its lines."""
        return QSize(200, self._line_px * max(1, len(self._lines)))

    def minimumSizeHint(self) -> QSize:
        """Lines are never cut."""
        return QSize(120, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the lines."""
        painter = QPainter(self)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        for i, (name, colour, value) in enumerate(self._lines):
            bar, metrics = self.bar(i), self.fontMetrics()
            faint = QColor(text)
            faint.setAlpha(40)
            painter.fillRect(bar, faint)
            filled = QRect(bar)
            filled.setWidth(round(bar.width() * value))
            painter.fillRect(filled, QColor(colour))
            painter.setPen(text)
            flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
            room = bar.left() - _GAP_PX
            short = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room)
            painter.drawText(QRect(0, bar.top(), room, bar.height()), flags, short)
            left = bar.right() + _GAP_PX
            number = QRect(left, bar.top(), self.width() - left, bar.height())
            painter.drawText(number, flags, f"{value:.2f}")
