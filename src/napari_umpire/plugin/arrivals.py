"""Slides on their way into a window: opened in a thread, shown once they can be drawn at once."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils import progress
from napari.utils.notifications import show_info
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_umpire.plugin.opening import add_slides, open_steps
from napari_umpire.plugin.runs.workers import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari import Viewer

    from napari_umpire.progress import Progress
    from napari_umpire.slides.slide import Slide

__all__ = ["Arrivals", "arrivals_of"]

_LONG_MS = 1000
"""What takes longer is announced, so that nobody drops a file a second time."""
_ONE_DROP_MS = 200
"""napari hands over the files of one drop one by one, and handles events in between."""


@dataclass
class _Drop:
    """What was handed over at once: the first of its slides is shown, the others wait."""

    shown: bool = False


@dataclass(frozen=True)
class _Order:
    path: Path
    drop: _Drop
    options: dict[str, Any] = field(default_factory=dict)


class Arrivals(QObject):
    """Opens slides for one viewer, one after the other; get it by `arrivals_of`.

    Signals
    -------
    opened(list[Slide])
        The slides of one path were opened, and are in the layer list.
    idle
        Nothing is left to open.

    Attributes
    ----------
    work
        What runs in the thread: its ``progressed``, ``failed`` and ``ended`` tell how it goes.
    stage
        What is being done, as the status line says until the pointer moves.
    """

    opened = Signal(object)
    idle = Signal()

    def __init__(self, viewer: Viewer) -> None:
        # It ends with the window, and with it the work; a viewer model has none.
        window = getattr(viewer, "window", None)
        super().__init__(None if window is None else window._qt_window)
        self._viewer = weakref.ref(viewer)
        self._waiting: deque[_Order] = deque()
        self._order: _Order | None = None
        self._drop: _Drop | None = None
        self._bar: Any = None
        self.stage = ""
        self.work = Work(self)
        self.work.progressed.connect(self._on_progress)
        self.work.done.connect(self._on_done)
        self.work.failed.connect(self._on_failed)
        self.work.cancelled.connect(self._waiting.clear)
        self.work.ended.connect(self._on_ended)
        self._patience, self._same_drop = QTimer(self), QTimer(self)
        for timer, ms in ((self._patience, _LONG_MS), (self._same_drop, _ONE_DROP_MS)):
            timer.setSingleShot(True)
            timer.setInterval(ms)
        self._patience.timeout.connect(self._announce)

    @property
    def running(self) -> bool:
        """Whether slides are being opened."""
        return self._order is not None

    def open(self, paths: Sequence[str | Path], **options: Any) -> None:
        """Open slides, as `open_slides` with ``options``, after those before them; returns at once.

        A path that is being opened already is not opened twice.
        """
        if self._drop is None or not self._same_drop.isActive():
            self._drop = _Drop()
        self._same_drop.start()
        for path in paths:
            order = _Order(Path(path), self._drop, options)
            if not any(self._same(order, other) for other in (self._order, *self._waiting)):
                self._waiting.append(order)
        if not self.running:
            self._next()

    def cancel(self) -> None:
        """Stop after the step under way, and forget what waits."""
        self._waiting.clear()
        self.work.cancel()

    @staticmethod
    def _same(order: _Order, other: _Order | None) -> bool:
        return other is not None and (order.path, order.options) == (other.path, other.options)

    def _next(self) -> None:
        self._order = self._waiting.popleft() if self._waiting else None
        if self._order is None:
            self.idle.emit()
            return
        self._bar = progress(total=0)
        self._say(f"Opening {self._order.path.name}")
        self._patience.start()
        self.work.start(partial(open_steps, self._order.path, **self._order.options))

    def _say(self, stage: str) -> None:
        self.stage = stage
        viewer = self._viewer()
        if viewer is not None:
            viewer.status = f"{stage}…"
        # Last: napari handles events here, among them the end of this very work.
        if self._bar is not None:
            self._bar.set_description(stage)

    def _announce(self) -> None:
        if self.running:
            show_info(f"{self.stage}…")

    def _on_progress(self, step: Progress) -> None:
        self._say(step.stage)

    def _on_done(self, slides: list[Slide]) -> None:
        viewer, order = self._viewer(), self._order
        if viewer is None or order is None:
            return
        add_slides(viewer, slides, show_first=not order.drop.shown)
        order.drop.shown = True
        viewer.status = f"Opened {', '.join(slide.name for slide in slides)}"
        self.opened.emit(slides)

    def _on_failed(self, _sentence: str) -> None:
        viewer, order = self._viewer(), self._order
        if viewer is not None and order is not None:
            viewer.status = f"{order.path.name} could not be opened"

    def _on_ended(self) -> None:
        self._patience.stop()
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._next()


_arrivals: weakref.WeakKeyDictionary[Viewer, Arrivals] = weakref.WeakKeyDictionary()


def arrivals_of(napari_viewer: Viewer) -> Arrivals:
    """The one `Arrivals` of a viewer, made when first asked for.

    Parameters
    ----------
    napari_viewer
        The viewer, or the proxy of it that napari hands to a plugin's widget.
    """
    viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
    found = _arrivals.get(viewer)
    if found is None or not isalive(found):
        found = _arrivals[viewer] = Arrivals(viewer)
    return found
