"""Where classes come from: a table's column, a file, drawn regions, a painted layer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.label_file import class_column, class_columns, labels_of_file
from napari_umpire.plugin.layers.drawing import draw, region_layer
from napari_umpire.plugin.layers.labels import LabelSource, label_sources, paint, read_source
from napari_umpire.plugin.widgets.parts.listening import listen

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_umpire.inference.classes.label_sources import LabelReading
    from napari_umpire.plugin.session.session import Session

__all__ = ["LabelTab"]


class LabelTab(QWidget):
    """Reads classes, and gives brush and pencil a class.

    Signals
    -------
    read(str, LabelReading)
        Classes of the slide of that name were read.
    said(str)
        A sentence for the user.
    """

    read = Signal(str, object)
    said = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._found: list[LabelSource] = []
        self.sources = QComboBox()
        self.sources.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.sources.setToolTip("Columns of the slide's table; layers of regions; painted layers")
        self.take = QPushButton("Read")
        self.take.setToolTip(
            "Give each spot its class: of a column, on every open slide that has it; of a layer, "
            "on this slide"
        )
        self.file = QPushButton("From a file…")
        self.file.setToolTip("CSV or TSV with a column of spot ids (or x and y) and one of classes")
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of a class, such as tumour")
        self.name.setToolTip("What the next region or stroke is of")
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Draw a region of this class; double click or Enter closes it")
        self.paint = QPushButton("Paint")
        self.paint.setToolTip("Paint this class over the centres of spots")
        self._build()
        self.take.clicked.connect(self._on_read)
        self.file.clicked.connect(self._on_file)
        self.draw.clicked.connect(self._on_draw)
        self.paint.clicked.connect(self._on_paint)
        self.name.returnPressed.connect(self._on_draw)
        listen(self, session.slides_changed, self._update)
        listen(self, session.current_changed, self._update)
        listen(self, session.layers_changed, self._update)
        self._update()

    def _build(self) -> None:
        have, make = QGroupBox("Classes that are there"), QGroupBox("Draw or paint classes")
        rows = QVBoxLayout(have)
        line = QHBoxLayout()
        line.addWidget(self.sources, 1)
        line.addWidget(self.take)
        rows.addLayout(line)
        rows.addWidget(self.file)
        rows = QVBoxLayout(make)
        line = QHBoxLayout()
        line.addWidget(self.name, 1)
        line.addWidget(self.draw)
        line.addWidget(self.paint)
        rows.addLayout(line)
        how = QLabel("Then choose the layer above and press Read. Do so again after each change.")
        how.setWordWrap(True)
        rows.addWidget(how)
        layout = QVBoxLayout(self)
        layout.addWidget(have)
        layout.addWidget(make)
        layout.addStretch(1)

    def _update(self) -> None:
        state = self._session.current
        before = self.sources.currentText()
        self._found = label_sources(self._session.viewer, state)
        with QSignalBlocker(self.sources):
            self.sources.clear()
            self.sources.addItems([source.title for source in self._found])
            self.sources.setCurrentText(before)
        if not self._found:
            self.sources.setPlaceholderText("no column of classes, no region, no paint")
        self.take.setEnabled(bool(self._found))
        for part in (self.file, self.name, self.draw, self.paint):
            part.setEnabled(state is not None)

    def choose(self, title: str) -> None:
        """Choose a source by its title."""
        self.sources.setCurrentText(title)

    # -- what the buttons do --------------------------------------------------------------

    def _on_read(self) -> None:
        state, viewer = self._session.current, self._session.viewer
        number = self.sources.currentIndex()
        if state is None or viewer is None or number < 0:
            return
        source = self._found[number]
        self._try(state.name, partial(read_source, viewer, state, source))
        if source.sort == "column":
            for other in list(self._session.slides.values()):
                if other is not state and source in label_sources(viewer, other):
                    self._try(other.name, partial(read_source, viewer, other, source))

    def _on_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "File with a class per spot", "", "Tables (*.csv *.tsv *.txt *.gz);;All files (*)"
        )
        if path:
            self.read_file(path)

    def read_file(self, path: str) -> None:
        """Read the classes of the current slide; where several columns could be, ask which."""
        state = self._session.current
        if state is None:
            return
        try:
            column = class_column(path)
            if column is None and (columns := class_columns(path)):
                column, chosen = QInputDialog.getItem(
                    self, "Classes", "Which column holds the classes?", columns, 0, False
                )
                if not chosen:
                    return
        except InputError as error:
            self._refuse(error)
            return
        self._try(state.name, partial(labels_of_file, state.slide, path, column))

    def _try(self, name: str, read: Callable[[], LabelReading]) -> None:
        try:
            reading = read()
        except InputError as error:
            self._refuse(error)
        else:
            self.read.emit(name, reading)

    def _refuse(self, error: InputError) -> None:
        show_error(str(error))
        self.said.emit(str(error))

    def _on_draw(self) -> None:
        name = self._class_name()
        if name:
            layer = region_layer(self._session, [name])
            draw(layer, name)
            viewer = self._session.viewer
            if viewer is not None:
                viewer.layers.selection.active = layer
            self._update()
            self.choose(LabelSource("regions", layer.name).title)
            self.said.emit(f"Draw around spots of {name}; double click closes the region.")

    def _on_paint(self) -> None:
        name = self._class_name()
        if name:
            layer = paint(self._session, name)
            self._update()
            self.choose(LabelSource("painted", layer.name).title)
            self.said.emit(f"Paint over the centres of spots of {name}; [ and ] size the brush.")

    def _class_name(self) -> str:
        name = self.name.text().strip()
        if self._session.current is None:
            return ""
        if not name:
            self.said.emit("Type the name of the class first.")
            self.name.setFocus()
        return name
