"""Trains a probe on labelled spots."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.inference.classes.probe import ProbeOptions
from napari_umpire.plugin.preferences import preferences
from napari_umpire.plugin.runs.classes import Applied, local_folder, train_steps
from napari_umpire.plugin.runs.embedding import keep, request
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.widgets.parts.dock_size import narrow
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.places import cache_folder
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.words.scale import scale_asked

if TYPE_CHECKING:
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import EmbeddingKind

__all__ = ["TrainTab"]

_CHOSEN = "chosen inside the folds"


class TrainTab(QWidget):
    """Which labels of which slides, by which embeddings; and Train.

    Signals
    -------
    started()
        Work is under way.
    trained(Applied)
        The probe, and the classes it gives to the slides that it learned from.
    said(str)
        A sentence for the user.
    """

    started = Signal()
    trained = Signal(object)
    said = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.work = Work(self)
        self._build()
        self.labels.currentTextChanged.connect(self._fill_slides)
        self.slides.itemChanged.connect(self._update_button)
        self.kind.currentIndexChanged.connect(self._update_button)
        self.train.clicked.connect(self._on_train)
        self.gone = EndWithSlide(session, self.work, self.said.emit)
        self.work.done.connect(self._on_trained)
        self.work.ended.connect(self._update_button)
        listen(self, session.labels_changed, self._update)
        listen(self, session.slides_changed, self._update)
        self._update()

    def _build(self) -> None:
        self.labels = narrow(QComboBox())
        self.labels.setToolTip("Which classes to learn")
        self.slides = QListWidget()
        self.slides.setFixedHeight(66)
        self.slides.setToolTip("Slides to learn from; two or more are held out one by one")
        self.kind = narrow(QComboBox())
        self.kind.addItem("of the image", "image")
        self.kind.addItem("of the measured genes", "genes")
        self.kind.setToolTip("What the classes are told by: embeddings by the chosen model")
        self.c = narrow(QComboBox())
        self.c.addItem(_CHOSEN, None)
        for value in (0.001, 0.01, 0.1, 1.0, 10.0):
            self.c.addItem(f"{value:g}", value)
        self.c.setToolTip("Inverse strength of the penalty on the probe's weights")
        self.balanced = QCheckBox("each class weighs the same")
        self.balanced.setChecked(True)
        self.balanced.setToolTip("Otherwise each spot weighs the same, and rare classes little")
        self.train = QPushButton("Train and test")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Classes", self.labels)
        form.addRow("Slides", self.slides)
        form.addRow("Embeddings", self.kind)
        form.addRow("C", self.c)
        form.addRow(self.balanced)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.train)
        layout.addStretch(1)

    # -- what can be learned --------------------------------------------------------------

    def _update(self) -> None:
        given = [
            name
            for state in self._session.slides.values()
            for name, labels in state.labels.items()
            if labels.probability is None
        ]
        before = self.labels.currentText()
        with QSignalBlocker(self.labels):
            self.labels.clear()
            self.labels.addItems(list(dict.fromkeys(given)))
            self.labels.setCurrentText(before)
        self._fill_slides()

    def choose(self, name: str) -> None:
        """Choose the labels to learn."""
        self.labels.setCurrentText(name)

    def _fill_slides(self) -> None:
        name = self.labels.currentText()
        off = [key for key, ticked in self._items() if not ticked]
        with QSignalBlocker(self.slides):
            self.slides.clear()
            for key, state in self._session.slides.items():
                if name not in state.labels:
                    continue
                n = int(state.labels[name].counts.sum())
                item = QListWidgetItem(f"{key}: {n:,} labelled spots")
                item.setData(Qt.ItemDataRole.UserRole, key)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(Qt.CheckState.Unchecked if key in off else Qt.CheckState.Checked)
                self.slides.addItem(item)
        self._update_button()

    @property
    def ticked(self) -> list[str]:
        """Names of the slides to learn from."""
        return [key for key, ticked in self._items() if ticked]

    def _items(self) -> list[tuple[str, bool]]:
        items = (self.slides.item(i) for i in range(self.slides.count()))
        return [
            (str(item.data(Qt.ItemDataRole.UserRole)), item.checkState() == Qt.CheckState.Checked)
            for item in items
            if item is not None
        ]

    def _update_button(self) -> None:
        ready, asked = bool(self.ticked), ""
        if self.kind.currentData() == "image":
            slides = self._session.slides
            asked = scale_asked(slides[name] for name in self.ticked if name in slides)
        self.train.setEnabled(ready and not self.work.running and not asked)
        self.train.setToolTip(
            asked
            or "Tests in folds that hold out whole slides, or parts of one; then learns from all"
            if ready
            else "Give spots classes first, in the tab Labels"
        )

    # -- training -------------------------------------------------------------------------

    def _on_train(self) -> None:
        name, ticked = self.labels.currentText(), self.ticked
        if not ticked or self.work.running:
            return
        chosen = preferences()
        kind: EmbeddingKind = self.kind.currentData()
        asked = request(
            self._session,
            ticked,
            kind,
            device=chosen.device,
            batch_size=chosen.batch_size,
            cache=cache_folder(),
        )
        labels = {key: self._session.slides[key].labels[name] for key in ticked}
        options = ProbeOptions(c=self.c.currentData(), balanced=self.balanced.isChecked())
        folder = local_folder(self._session)
        self.work.start(partial(train_steps, asked, labels, name, options, folder))
        self.gone.watch(self._session.slides[key].slide for key in ticked)
        self.started.emit()
        self._update_button()

    def _on_trained(self, done: Applied) -> None:
        keep(self._session, done.embedded)
        self.trained.emit(done)
