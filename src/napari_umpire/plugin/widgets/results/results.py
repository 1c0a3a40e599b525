"""The Results widget: keep what was predicted, as a table, a command, a record, a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.plugin.opening import is_record
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.dock_size import dock_size
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.widgets.predict.opener import dropped_paths
from napari_umpire.plugin.widgets.results.figure_form import FigureForm
from napari_umpire.plugin.widgets.results.save_form import SaveForm
from napari_umpire.plugin.words.record import record_words

if TYPE_CHECKING:
    from pathlib import Path

    from napari import Viewer
    from qtpy.QtGui import QDragEnterEvent, QDropEvent

__all__ = ["ResultsWidget"]

_WIDTH_PX = 300
"""Of a form with napari's style, so that nothing of it has to be scrolled for."""


class ResultsWidget(QWidget):
    """Saves tables and figures of the current slide; takes run records by button and by drop.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._session = session_of(napari_viewer)
        self.setAcceptDrops(True)
        self.slides = SlideCombo(self._session)
        self.save = SaveForm(self._session)
        self.figures = FigureForm(napari_viewer, self._session)
        self.load = QPushButton("Load run record…")
        self.load.setToolTip(
            "Fill the Predict form as it was for a saved run; a record can be dropped here too"
        )
        self.tabs = QTabWidget()
        for part, title in ((self.save, "&Table"), (self.figures, "&Figures")):
            scroll = QScrollArea()
            scroll.setWidgetResizable(True)
            scroll.setFrameShape(QScrollArea.Shape.NoFrame)
            scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            scroll.setWidget(part)
            scroll.setMinimumWidth(_WIDTH_PX)
            self.tabs.addTab(scroll, title)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", self.slides)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.load)
        self.load.clicked.connect(self._on_load)
        Manners(self, self.slides)

    def sizeHint(self) -> QSize:
        """Room for the form."""
        return dock_size(660)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take run records, leave other things to what lies below."""
        if event is None:
            return
        paths = dropped_paths(event.mimeData())
        if paths and is_record(paths[0]):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Load the record that was dropped."""
        paths = dropped_paths(event)
        if event is not None and paths:
            event.acceptProposedAction()
            self.load_record(paths[0])

    def load_record(self, path: str | Path) -> None:
        """Show the run of a record in Predict, ready to be run again."""
        from napari_umpire.inference.predictions.record import RunRecord

        try:
            record = RunRecord.read(path)
        except InputError as error:
            show_error(str(error))
            self.save.progress.say(str(error))
            return
        self.save.restore(record)
        self._session.restore_run(record)
        self._viewer.window.add_plugin_dock_widget("napari-umpire", "Predict", tabify=True)
        self.save.progress.say(f"Predict is as it was for that run.\n{record_words(record)}")

    def _on_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Load a run record", "", "Run record (*.yaml *.yml)"
        )
        if path:
            self.load_record(path)
