"""One side of a comparison: which spots, and a button to draw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.plugin.session.spot_groups import SpotGroup

__all__ = ["GroupRow"]

_ICON_PX = 12


class GroupRow(QWidget):
    """Chooses one of the groups of spots there are.

    The region that bears the side's own name is offered always, drawn or not.

    Signals
    -------
    changed()
        The user chose another group.
    draw()
        The user wants to draw.
    """

    changed = Signal()
    draw = Signal()

    def __init__(self, side: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.side = side
        self._own = ("own", side)
        self.combo = QComboBox()
        self.combo.setToolTip(f"The spots of {side}: drawn, selected, of a class")
        self.combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.button = QPushButton("Draw")
        self.button.setCheckable(True)
        self.button.setToolTip(
            f"Draw {side} on the slide: click its corners, end with a double click. "
            "Several shapes of one name are one region"
        )
        label = QLabel(side)
        label.setBuddy(self.combo)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label)
        row.addWidget(self.combo, 1)
        row.addWidget(self.button)
        self.combo.activated.connect(self.changed)
        self.button.clicked.connect(self.draw)

    @property
    def key(self) -> tuple[str, ...]:
        """Key of the chosen group; of the own region before it was drawn, ("own", side)."""
        key = self.combo.currentData()
        return self._own if key is None else tuple(key)

    def set_colour(self, colour: str) -> None:
        """Show the colour that the region has on the slide."""
        pixmap = QPixmap(_ICON_PX, _ICON_PX)
        pixmap.fill(QColor(colour))
        self.button.setIcon(QIcon(pixmap))

    def set_groups(self, groups: Sequence[SpotGroup], own: tuple[str, ...]) -> None:
        """Offer these groups; the chosen one stays chosen while it is there.

        Parameters
        ----------
        own
            Key of the region that bears the side's name.
        """
        chosen = own if self.key == self._own else self.key
        with QSignalBlocker(self.combo):
            self.combo.clear()
            if own not in [group.key for group in groups]:
                self.combo.addItem(f"{self.side}, not drawn yet", self._own)
            for group in groups:
                n = len(group.rows)
                self.combo.addItem(f"{group.source} ({n:,} spot{'' if n == 1 else 's'})", group.key)
            place = next(
                (i for i in range(self.combo.count()) if tuple(self.combo.itemData(i)) == chosen),
                0,
            )
            self.combo.setCurrentIndex(place)

    def choose(self, key: tuple[str, ...]) -> None:
        """Choose a group, as the user would."""
        for place in range(self.combo.count()):
            if tuple(self.combo.itemData(place)) == key:
                self.combo.setCurrentIndex(place)
                self.changed.emit()
                return
