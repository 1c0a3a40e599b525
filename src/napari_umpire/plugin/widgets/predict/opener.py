"""Open slides from a button or by dropping them on a widget, and run records likewise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from napari_umpire.plugin.opening import is_record, slide_paths
from napari_umpire.plugin.widgets.parts.places import settings

if TYPE_CHECKING:
    from qtpy.QtCore import QMimeData
    from qtpy.QtGui import QDragEnterEvent

__all__ = ["OpenButton", "accept_paths", "dropped_paths"]

_SLIDES = (
    "Slides (*.svs *.tif *.tiff *.ndpi *.mrxs *.scn *.bif *.btf *.svslide *.vms *.png *.jpg *.jpeg "
    "*.tsv.gz)"
)


class OpenButton(QPushButton):
    """Asks for slides; ``chosen(list[Path])`` gives them."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText("Open…")
        self.setToolTip(
            "Open a slide with this plugin, without napari's question which reader to use.\n"
            "Slides can be dropped on this widget too."
        )
        menu = QMenu(self)
        for text, slot in (
            ("Slide &file…", self.ask),
            ("Space Ranger folder or SpatialData &store…", self.ask_folder),
        ):
            action = menu.addAction(text)
            assert action is not None
            action.triggered.connect(slot)
        self.setMenu(menu)

    def ask(self) -> None:
        """Ask for files."""
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Open slides", _last(), f"{_SLIDES};;All files (*)"
        )
        self._give(paths)

    def ask_folder(self) -> None:
        """Ask for a folder: SpatialData stores are folders too."""
        folder = QFileDialog.getExistingDirectory(
            self, "Open a Space Ranger folder or a SpatialData store", _last()
        )
        self._give([folder] if folder else [])

    def _give(self, paths: list[str]) -> None:
        if paths:
            settings().setValue("open_folder", str(Path(paths[0]).parent))
            self.chosen.emit([Path(p) for p in paths])


def accept_paths(event: QDragEnterEvent) -> None:
    """Accept a drag that carries slides or a run record, leave others to what lies below."""
    paths = dropped_paths(event.mimeData())
    if paths and (is_record(paths[0]) or slide_paths(paths)):
        event.acceptProposedAction()
    else:
        event.ignore()


def dropped_paths(source: QMimeData | QDropEvent | None) -> list[Path]:
    """Local files and folders of a drop."""
    mime = source.mimeData() if isinstance(source, QDropEvent) else source
    if mime is None:
        return []
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def _last() -> str:
    return str(settings().value("open_folder", ""))
