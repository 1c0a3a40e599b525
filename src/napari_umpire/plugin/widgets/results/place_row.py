"""Where the table will be written: the slide's own place, or one that the user chose."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_umpire.plugin.runs.latest import Latest
from napari_umpire.plugin.runs.saving import Place, place_steps
from napari_umpire.plugin.widgets.parts.form_parts import line_of
from napari_umpire.plugin.words.paths import breakable

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["PlaceRow"]


class PlaceRow(QWidget):
    """Says the path before anything is written there; Elsewhere… and Back change it.

    Signals
    -------
    changed
        The user chose another place.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slide: Slide | None = None
        self.chosen: Path | None = None
        self.looking = Latest(self)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.elsewhere = QPushButton("Elsewhere…")
        self.elsewhere.setToolTip(
            "Choose another place: a new store (.zarr), or the table alone as .h5ad"
        )
        self.own = QPushButton("Back")
        self.own.setToolTip("Save into the slide's own store, or into the one beside it")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.words)
        layout.addWidget(line_of(self.elsewhere, self.own))
        self.elsewhere.clicked.connect(self._on_elsewhere)
        self.own.clicked.connect(self._on_own)
        self.looking.done.connect(self._on_found)
        self.looking.failed.connect(self.words.setText)

    def set_slide(self, slide: Slide | None) -> None:
        """Speak of another slide; what was chosen for the last one is not meant for it."""
        self._slide, self.chosen = slide, None
        self.look()

    def look(self) -> None:
        """Find out where the table goes now; what lies there is read in the thread."""
        if self._slide is None:
            self.looking.cancel()
            self._show("", "")
            return
        self._show("…", "")
        self.looking.ask(partial(place_steps, self._slide, self.chosen))

    def allow(self, *, choose: bool, back: bool) -> None:
        """Whether the place can be changed now."""
        self.elsewhere.setEnabled(choose)
        self.own.setEnabled(back and self.chosen is not None)

    def _on_found(self, place: Place) -> None:
        self._show(place.describe(), "" if place.path is None else str(place.path))

    def _show(self, words: str, path: str) -> None:
        self.words.setText(breakable(words))
        self.words.setToolTip(path)

    def _on_elsewhere(self) -> None:
        suggested = "" if self._slide is None else f"{self._slide.name}.zarr"
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the table as", suggested, "New store (*.zarr);;Table alone (*.h5ad)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )  # fmt: skip
        if path:
            chosen = Path(path)
            self._choose(chosen if chosen.suffix else chosen.with_suffix(".zarr"))

    def _on_own(self) -> None:
        self._choose(None)

    def _choose(self, path: Path | None) -> None:
        self.chosen = path
        self.look()
        self.changed.emit()
