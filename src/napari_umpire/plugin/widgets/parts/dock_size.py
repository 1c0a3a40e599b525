"""How wide docks are: as narrow as their forms allow, for the slide is what is looked at."""

from __future__ import annotations

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QComboBox, QLayout, QSizePolicy

__all__ = ["DOCK_PX", "dock_size", "narrow", "slim"]

DOCK_PX = 340
"""Docks in one place of the window are all as wide as the widest of them asks for."""

_SLIM_PX = 4


def dock_size(height: int) -> QSize:
    """What a dock asks for, in px."""
    return QSize(DOCK_PX, height)


def slim(layout: QLayout) -> None:
    """Give a form with a line of buttons the room that its margins take at either side."""
    layout.setContentsMargins(_SLIM_PX, _SLIM_PX, _SLIM_PX, _SLIM_PX)


def narrow(combo: QComboBox) -> QComboBox:
    """Let a combo box be narrower than its longest item, which the open list shows whole."""
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return combo
