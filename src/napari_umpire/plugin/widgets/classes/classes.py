"""The Classes widget: classes of spots, a probe that learns them, its classes on other slides."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, QSize
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.inference.classes.words import labels_words
from napari_umpire.plugin.layers.class_maps import class_map, class_map_key
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.classes.apply_tab import ApplyTab
from napari_umpire.plugin.widgets.classes.class_legend import ClassLegend
from napari_umpire.plugin.widgets.classes.label_tab import LabelTab
from napari_umpire.plugin.widgets.classes.score_tab import ScoreTab
from napari_umpire.plugin.widgets.classes.train_tab import TrainTab
from napari_umpire.plugin.widgets.parts.dock_size import dock_size
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.model_picker import ModelPicker
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.widgets.parts.tall_area import TallArea

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.inference.classes.label_sources import LabelReading
    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.plugin.runs.classes import Applied

__all__ = ["ClassesWidget"]

_NOTHING = (
    "Open a slide, then give its spots classes: from a column of its table, from a file, or by "
    "drawing or painting."
)


class ClassesWidget(QWidget):
    """Gives spots classes, trains a linear probe on them, and shows both over the slide.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._name: str | None = None
        self._build()
        Manners(self, self.slides)
        self.shown.activated.connect(self._on_shown)
        self.faint.toggled.connect(self._draw)
        self.legend.classes.shown_changed.connect(self._draw)
        self.legend.recoloured.connect(self._on_recoloured)
        self.label_tab.read.connect(self._on_read)
        self.label_tab.said.connect(self._say)
        self.train_tab.trained.connect(self._on_trained)
        self.apply_tab.applied.connect(self._on_applied)
        self.apply_tab.said.connect(self._say)
        self.train_tab.said.connect(self._say)
        self.apply_tab.chosen.connect(self.score_tab.show_probe)
        self.cancel.clicked.connect(self._on_cancel)
        for tab, row in ((self.train_tab, self.training), (self.apply_tab, self.applying)):
            tab.started.connect(partial(row.begin, "Starting"))
            tab.started.connect(self._on_working)
            tab.work.cancelled.connect(partial(self._say, row.cancelled))
            tab.work.failed.connect(self._say)
            tab.work.ended.connect(self._on_working)
        session = self._session
        listen(self, session.slides_changed, self._update)
        listen(self, session.current_changed, self._update)
        listen(self, session.labels_changed, self._update)
        listen(self, session.view_changed, self._on_view)
        self._update()
        self._on_working()

    def sizeHint(self) -> QSize:
        """Wide enough for a matrix of five classes."""
        return dock_size(700)

    def _build(self) -> None:
        self.slides = SlideCombo(self._session)
        self.model = ModelPicker(self._session)
        self.shown = QComboBox()
        self.shown.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.shown.setToolTip("Which classes lie over the slide; they are drawn over its spots")
        self.faint = QCheckBox("by probability")
        self.faint.setToolTip("Opacity is the probability of the predicted class")
        self.legend = ClassLegend()
        self.legend.setMinimumHeight(118)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.label_tab = LabelTab(self._session)
        self.train_tab = TrainTab(self._session)
        self.apply_tab = ApplyTab(self._session)
        self.score_tab = ScoreTab()
        self.tabs = QTabWidget()
        self.tabs.addTab(TallArea(self.label_tab), "Labels")
        self.tabs.addTab(TallArea(self.train_tab), "Train")
        self.scores_page = TallArea(self.score_tab)
        self.tabs.addTab(self.scores_page, "Scores")
        self.tabs.addTab(TallArea(self.apply_tab), "Apply")
        self.training = ProgressRow(self.train_tab.work)
        self.applying = ProgressRow(self.apply_tab.work)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop after this step; nothing is changed")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", self.slides)
        form.addRow("Model", self.model)
        line = QHBoxLayout()
        line.addWidget(self.shown, 1)
        line.addWidget(self.faint)
        form.addRow("Shown", line)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.legend, 2)
        layout.addWidget(self.words)
        layout.addWidget(self.tabs, 5)
        layout.addWidget(self.training)
        layout.addWidget(self.applying)
        layout.addWidget(self.cancel)

    # -- following the session ------------------------------------------------------------

    @property
    def labels(self) -> SpotLabels | None:
        """The classes of the current slide that the legend speaks of."""
        state = self._session.current
        return None if state is None or self._name is None else state.labels.get(self._name)

    def _update(self) -> None:
        state = self._session.current
        names = [] if state is None else list(state.labels)
        if self._name not in names:
            self._name = names[-1] if names else None
        with QSignalBlocker(self.shown):
            self.shown.clear()
            self.shown.addItems(names or ["no classes yet"])
            if self._name is not None:
                self.shown.setCurrentText(self._name)
        self.shown.setEnabled(bool(names))
        self.legend.classes.set_labels(self.labels)
        predicted = self.labels is not None and self.labels.probability is not None
        self.faint.setEnabled(predicted)
        if self.labels is not None:
            self.words.setText(labels_words(self.labels))
            if self._session.shown_map is not None and self._session.shown_map.startswith(
                "classes: "
            ):
                self._draw()
        else:
            self.words.setText(
                _NOTHING if state is None else "The spots of this slide have no classes yet."
            )

    def _on_view(self) -> None:
        """Another widget may have laid classes over the slide."""
        shown = self._session.shown_map
        state = self._session.current
        if state is None or shown is None:
            return
        name = next((n for n in state.labels if class_map_key(n) == shown), None)
        if name is not None and name != self._name:
            self._name = name
            self._update()

    def _draw(self) -> None:
        """Lay the classes of the legend over the current slide."""
        state, labels = self._session.current, self.labels
        if state is not None and labels is not None:
            shown, faint = self.legend.classes.shown, self.faint.isChecked()
            spot_map = class_map(labels, shown, by_probability=faint)
            self._session.set_map(state.name, spot_map)

    def _show(self, name: str) -> None:
        self._name = name
        self._update()
        self._draw()

    def _say(self, sentence: str) -> None:
        self.words.setText(sentence)

    # -- what the controls do -------------------------------------------------------------

    def _on_shown(self) -> None:
        self._show(self.shown.currentText())

    def _on_recoloured(self, number: int, colour: str) -> None:
        """A class has one colour, on all slides and in what was predicted."""
        if self.labels is None:
            return
        name = self.labels.categories[number]
        for state in self._session.slides.values():
            for labels in list(state.labels.values()):
                if name in labels.categories:
                    place = labels.categories.index(name)
                    self._session.set_labels(state.name, labels.with_colour(place, colour))
        self._draw()

    def _on_read(self, name: str, reading: LabelReading) -> None:
        self._session.set_labels(name, reading.labels)
        state = self._session.current
        if state is not None and state.name == name:
            self._show(reading.labels.name)
            self.train_tab.choose(reading.labels.name)
            self._say(" ".join([labels_words(reading.labels), *reading.notes]))

    def _on_trained(self, done: Applied) -> None:
        self.apply_tab.set_trained(done.probe)
        self.tabs.setCurrentWidget(self.scores_page)
        self._on_applied(done)

    def _on_applied(self, done: Applied) -> None:
        for name, labels in done.classes.items():
            state = self._session.slides.get(name)
            if state is not None and state.slide is done.embedded.slides[name]:
                self._session.set_labels(name, labels)
        state = self._session.current
        if state is None or state.name not in done.classes:
            return
        labels = done.classes[state.name]
        self._show(labels.name)
        if any(part.get("digest") == state.slide.digest for part in done.probe.training):
            self._say(
                f"{labels_words(labels)} The probe learned from this slide: agreement with its "
                "labels here is no test."
            )

    def _on_cancel(self) -> None:
        for tab in (self.train_tab, self.apply_tab):
            tab.work.cancel()
        self.cancel.setEnabled(False)

    def _on_working(self) -> None:
        self.training.setVisible(self.train_tab.work.running)
        self.applying.setVisible(self.apply_tab.work.running)
        running = self.train_tab.work.running or self.apply_tab.work.running
        self.cancel.setVisible(running)
        self.cancel.setEnabled(running)
