"""A progress bar with the rate of a run, and Cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from napari_umpire.plugin.runs.rate import RateMeter

if TYPE_CHECKING:
    from napari_umpire.plugin.runs.workers import Work
    from napari_umpire.progress import Progress

__all__ = ["GOES_ON", "RESUMABLE", "UNWRITTEN", "ProgressRow"]


RESUMABLE = "Cancelled. Nothing was changed; Run goes on where it stopped."
GOES_ON = "Once it is open again, Run goes on where it stopped."
UNWRITTEN = "Cancelled. Nothing was written."


class ProgressRow(QWidget):
    """Shows how far a `Work` is, in spots per second and time left.

    Parameters
    ----------
    cancelled
        What is said of a cancelled run.
    """

    def __init__(
        self,
        work: Work,
        parent: QWidget | None = None,
        *,
        cancelled: str = "Cancelled. Nothing was changed.",
    ) -> None:
        super().__init__(parent)
        self._work = work
        self.cancelled = cancelled
        self._meter = RateMeter()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setVisible(False)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        # A path cannot be wrapped, and must not widen the dock; the notification shows it whole.
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        # Room for two lines (and the style's margins) at once: a form that jumps cannot be read.
        self.text.setMinimumHeight(3 * self.text.fontMetrics().lineSpacing())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.bar)
        layout.addWidget(self.text)
        work.progressed.connect(self._on_progress)
        work.cancelled.connect(self.say_cancelled)
        work.failed.connect(self._on_failed)
        work.ended.connect(self._on_ended)

    def begin(self, text: str) -> None:
        """Show that work starts."""
        self._meter = RateMeter()
        self.bar.setRange(0, 0)
        self.bar.setVisible(True)
        self.text.setText(text)

    def say(self, text: str) -> None:
        """Show how it ended."""
        self.text.setText(text)

    def say_cancelled(self) -> None:
        """Show that it was cancelled."""
        self.text.setText(self.cancelled)

    @property
    def resumed(self) -> str:
        """What a run before this one had done already, in words; "" for nothing."""
        return self._meter.resumed

    def _on_progress(self, progress: Progress) -> None:
        self.bar.setRange(0, max(0, progress.total))
        self.bar.setValue(progress.done)
        self.text.setText(self._meter.describe(progress))

    def _on_failed(self, sentence: str) -> None:
        self.text.setText(sentence)

    def _on_ended(self) -> None:
        self.bar.setVisible(False)
