"""The legend of a plot of points: a colour, a name and a number per group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from napari_umpire.inference.classes.point_groups import PointGroups

__all__ = ["PointLegend"]

_BAR_PX = (220, 12)


class PointLegend(QWidget):
    """Lists groups, or shows a colour bar.

    Signals
    -------
    activated(int)
        A group was chosen by double click or Enter.
    """

    activated = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.groups = QListWidget()
        self.groups.setToolTip("Double click or Enter selects the spots of a group")
        self.groups.setMaximumHeight(92)
        self.groups.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.groups.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.bar = QLabel()
        # Of whatever width: the picture must not widen the dock.
        self.bar.setScaledContents(True)
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.words = QLabel()
        self.words.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.groups, self.bar, self.words):
            layout.addWidget(part)
        self.groups.itemActivated.connect(self._on_activated)
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self.groups.clear()
        self.groups.hide()
        self.bar.hide()
        self.words.hide()

    def show_groups(self, groups: PointGroups) -> None:
        """List groups with the number of their points."""
        self.clear()
        for name, colour, n in zip(groups.names, groups.colours, groups.counts, strict=True):
            swatch = QPixmap(14, 14)
            swatch.fill(QColor(colour))
            item = QListWidgetItem(QIcon(swatch), f"{name} ({n:,})")
            item.setToolTip(f"{name}: {n:,} spots. Double click or Enter selects them")
            self.groups.addItem(item)
        none = int((groups.codes < 0).sum())
        if none:
            self.say(f"{none:,} spots have no class, and are grey.")
        self.groups.show()

    def show_bar(self, rgb: np.ndarray, words: str) -> None:
        """Show a colour bar, (levels, 3) uint8 from low to high, and what it is of."""
        self.clear()
        row = np.ascontiguousarray(rgb, np.uint8)[None]
        image = QImage(row.tobytes(), len(rgb), 1, 3 * len(rgb), QImage.Format.Format_RGB888)
        self.bar.setPixmap(
            QPixmap.fromImage(image).scaled(*_BAR_PX, Qt.AspectRatioMode.IgnoreAspectRatio)
        )
        self.bar.show()
        self.say(words)

    def say(self, words: str) -> None:
        """Show a sentence below."""
        self.words.setText(words)
        self.words.setVisible(bool(words))

    def _on_activated(self, item: QListWidgetItem) -> None:
        self.activated.emit(self.groups.row(item))
