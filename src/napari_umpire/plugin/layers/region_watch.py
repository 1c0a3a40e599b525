"""`RegionWatch`: tells when what is drawn over the slides of a viewer changes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from psygnal import Signal

if TYPE_CHECKING:
    from napari.layers import Shapes

    from napari_umpire.plugin.session.session import Session

__all__ = ["RegionWatch", "region_watch_of"]


class RegionWatch:
    """Hears every Shapes layer of a viewer, those added later too.

    Signals
    -------
    changed
        A shape came, went, moved or got another name; often many times while one is drawn.
    finished
        A shape is complete, or got another name.
    """

    changed = Signal()
    finished = Signal()

    def __init__(self, session: Session) -> None:
        self._heard: weakref.WeakSet[Shapes] = weakref.WeakSet()
        if session.viewer is not None:
            session.viewer.layers.events.inserted.connect(self._on_inserted)
            session.viewer.layers.events.removed.connect(self._on_changed)
            for layer in session.viewer.layers:
                self._hear(layer)

    def _on_inserted(self, event: Any) -> None:
        self._hear(event.value)

    def _hear(self, layer: Any) -> None:
        from napari.layers import Shapes

        if isinstance(layer, Shapes) and layer not in self._heard:
            self._heard.add(layer)
            layer.events.data.connect(self._on_changed)
            layer.events.features.connect(self._on_finished)
            self.changed.emit()

    def _on_changed(self, _event: Any = None) -> None:
        self.changed.emit()

    def _on_finished(self, _event: Any = None) -> None:
        self.changed.emit()
        self.finished.emit()


_watches: weakref.WeakKeyDictionary[Session, RegionWatch] = weakref.WeakKeyDictionary()


def region_watch_of(session: Session) -> RegionWatch:
    """The one watch of a session, made when first asked for."""
    if session not in _watches:
        _watches[session] = RegionWatch(session)
    return _watches[session]
