"""Long work beside the window: a generator runs in a thread, its reports arrive in the GUI thread.

The thread never sees a layer or a widget: it gets a function that makes the steps, and hands back
their result.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.qt.threading import GeneratorWorker, create_worker
from napari.utils.notifications import notification_manager, show_error, show_warning
from qtpy.QtCore import QObject, Signal

from napari_umpire.errors import InputError, UmpireWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_umpire.progress import Progress, Steps

__all__ = ["Work"]


@dataclass(frozen=True)
class _Outcome:
    """How a run ended."""

    result: object = None
    error: Exception | None = None
    cancelled: bool = False


def _drive(
    make_steps: Callable[[], Steps[Any]], stop: threading.Event
) -> Generator[Progress, None, _Outcome]:
    """Run the steps to their end, in the worker thread."""
    try:
        steps = make_steps()
        try:
            while not stop.is_set():
                try:
                    progress = next(steps)
                except StopIteration as end:
                    return _Outcome(result=end.value)
                yield progress
            return _Outcome(cancelled=True)
        finally:
            steps.close()
    except Exception as error:  # noqa: BLE001 - handed to the GUI thread, which shows it
        # The worker itself would swallow a RuntimeError, torch's usual one, and never finish.
        return _Outcome(error=error)


class _Worker(GeneratorWorker):
    """A worker that, told to quit, lets the steps be closed in its own thread.

    napari tells so when its window closes. The worker's own way is to drop the generator, which
    then ends whenever, and in whatever thread, the garbage is collected.
    """

    stop: threading.Event

    def quit(self) -> None:
        """End after the step under way."""
        self.stop.set()


class Work(QObject):
    """One piece of long work at a time, with progress and Cancel.

    Signals, all emitted in the GUI thread:

    ``progressed(Progress)``; ``done(object)``: the result; ``cancelled()``;
    ``failed(str)``: the sentence that was also shown as a notification; ``ended()``: after each
    of the three.
    """

    progressed = Signal(object)
    done = Signal(object)
    cancelled = Signal()
    failed = Signal(str)
    ended = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._worker: Any = None
        self._stop = threading.Event()
        self._warned: set[str] = set()

    @property
    def running(self) -> bool:
        """Whether work is under way."""
        return self._worker is not None

    def start(self, make_steps: Callable[[], Steps[Any]]) -> None:
        """Run the steps that ``make_steps``, called in the thread, returns."""
        if self.running:
            raise RuntimeError("the last work has not ended")
        self._stop = threading.Event()
        worker: Any = create_worker(
            _drive, make_steps, self._stop, _worker_class=_Worker, _ignore_errors=True
        )
        worker.stop = self._stop
        # A dock that is closed during a run leaves nobody to press Cancel.
        self.destroyed.connect(self._stop.set)
        # Bound methods only: Qt drops them when this object goes, so that a worker that outlives
        # its viewer speaks to nobody.
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(self._on_outcome)
        worker.warned.connect(self._on_warning)
        self._warned.clear()
        self._worker = worker
        worker.start()

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._stop.set()

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)

    def _on_warning(self, warning: tuple) -> None:
        """What the user should know, once a run; what libraries tell their developers is not it."""
        text = str(warning[0])
        if issubclass(warning[1], UmpireWarning) and text not in self._warned:
            self._warned.add(text)
            show_warning(text)

    def _on_outcome(self, outcome: _Outcome) -> None:
        self._worker = None
        if outcome.cancelled:
            self.cancelled.emit()
        elif isinstance(outcome.error, InputError):
            show_error(str(outcome.error))
            self.failed.emit(str(outcome.error))
        elif outcome.error is not None:
            # Not the user's doing: napari's own notification offers the traceback for a report.
            error = outcome.error
            notification_manager.receive_error(type(error), error, error.__traceback__)
            self.failed.emit(f"{type(error).__name__}: {error}")
        else:
            self.done.emit(outcome.result)
        self.ended.emit()
