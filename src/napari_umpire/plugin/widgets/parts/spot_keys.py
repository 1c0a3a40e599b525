"""Keys that ask about the spot beside the one that was asked about."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut

from napari_umpire.plugin.layers.spot_view import go_to_neighbour

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_umpire.plugin.session.session import Session

__all__ = ["SPOT_KEYS", "add_spot_keys"]

SPOT_KEYS = "Alt and an arrow key ask about the spot beside it"
_KEYS = {"Alt+Up": (-1, 0), "Alt+Down": (1, 0), "Alt+Left": (0, -1), "Alt+Right": (0, 1)}


def add_spot_keys(widget: QWidget, session: Session) -> None:
    """Let Alt and the arrow keys step from spot to spot while ``widget`` has the keyboard."""
    for key, way in _KEYS.items():
        shortcut = QShortcut(QKeySequence(key), widget)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(partial(go_to_neighbour, session, way))
