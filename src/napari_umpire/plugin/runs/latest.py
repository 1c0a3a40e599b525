"""Work of which only the answer to the last question matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_umpire.plugin.runs.workers import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_umpire.progress import Steps

__all__ = ["Latest"]


class Latest(QObject):
    """Asks one question at a time in the thread; a new one takes the place of the old.

    Signals, all emitted in the GUI thread:

    ``done(object)``: the answer to the last question; ``failed(str)``: why there is none;
    ``cancelled()``: `cancel` was called, and no question came after.
    """

    done = Signal(object)
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.work = Work(self)
        self._next: Callable[[], Steps[Any]] | None = None
        self._current = False
        self.work.done.connect(self._on_done)
        self.work.failed.connect(self._on_failed)
        self.work.cancelled.connect(self._on_cancelled)
        self.work.ended.connect(self._on_ended)

    @property
    def running(self) -> bool:
        """Whether an answer is still to come."""
        return self._current or self._next is not None

    def ask(self, make_steps: Callable[[], Steps[Any]]) -> None:
        """Ask; what was asked before is not answered any more."""
        if self.work.running:
            self._next, self._current = make_steps, False
            self.work.cancel()
            return
        self._next, self._current = None, True
        self.work.start(make_steps)

    def cancel(self) -> None:
        """Want no answer any more."""
        if self.running:
            self._next, self._current = None, False
            self.work.cancel()
            self.cancelled.emit()

    def _on_done(self, result: object) -> None:
        if self._current:
            self._current = False
            self.done.emit(result)

    def _on_failed(self, sentence: str) -> None:
        if self._current:
            self._current = False
            self.failed.emit(sentence)

    def _on_cancelled(self) -> None:
        self._current = False

    def _on_ended(self) -> None:
        if self._next is not None and not self.work.running:
            self.ask(self._next)
