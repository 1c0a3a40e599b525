"""The Predict widget: a slide, a model, Run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.plugin.runs import Predicted, PredictOptions, predict_steps, rescale_steps
from napari_umpire.plugin.session import session_of
from napari_umpire.plugin.slide_words import slide_words
from napari_umpire.plugin.widgets.listening import listen
from napari_umpire.plugin.widgets.model_picker import ModelPicker
from napari_umpire.plugin.widgets.places import cache_folder
from napari_umpire.plugin.widgets.progress_row import ProgressRow
from napari_umpire.plugin.widgets.slide_combo import SlideCombo
from napari_umpire.plugin.workers import Work

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.slides.slide import Slide

__all__ = ["PredictWidget"]


class PredictWidget(QWidget):
    """Predicts the genes of a slide with a model; the result is shown as a map.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._viewer = napari_viewer
        self._target: str | None = None
        self.work = Work(self)
        self.scaling = Work(self)
        self._build()
        self.work.done.connect(self._on_predicted)
        self.work.ended.connect(self._update)
        self.scaling.done.connect(self._on_rescaled)
        self.scaling.ended.connect(self._update)
        self.model.changed.connect(self._update)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self._on_cancel)
        self.set_mpp.clicked.connect(self._on_set_mpp)
        listen(self, self._session.slides_changed, self._update)
        listen(self, self._session.current_changed, self._update)
        self._update()

    def _build(self) -> None:
        self.slides = SlideCombo(self._session)
        self.card = _words()
        self.mpp = QDoubleSpinBox()
        self.mpp.setRange(0.0, 50.0)
        self.mpp.setDecimals(4)
        self.mpp.setSingleStep(0.05)
        self.mpp.setSpecialValueText("?")
        self.mpp.setSuffix(" µm per px")
        self.mpp.setToolTip("0.25 for a 40x scan, 0.5 for a 20x scan, as a rule")
        self.set_mpp = QPushButton("Set")
        self.mpp_row = QWidget()
        _line(self.mpp_row, self.mpp, self.set_mpp)
        self.model = ModelPicker()
        self.wants = _words()
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.device.setToolTip("Where to compute; auto takes a GPU if there is one")
        self.k = QSpinBox()
        self.k.setRange(1, 10_000)
        self.k.setValue(50)
        self.k.setToolTip("How many reference spots each prediction is averaged over")
        self.weighting = QComboBox()
        self.weighting.addItem("softmax", "softmax")
        self.weighting.addItem("similarity", "similarity")
        self.weighting.setToolTip(
            "How those spots are weighted: softmax of their similarity at the model's learned "
            "temperature, or in proportion to similarity"
        )
        self.run = QPushButton("Run")
        self.cancel = QPushButton("Cancel")
        self.progress = ProgressRow(self.work)
        buttons, numbers = QWidget(), QWidget()
        _line(buttons, self.run, self.cancel)
        _line(numbers, self.k, self.weighting)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", self.slides)
        form.addRow(self.card)
        form.addRow("Scale", self.mpp_row)
        form.addRow("Model", self.model)
        form.addRow(self.wants)
        form.addRow("Device", self.device)
        form.addRow("K, weights", numbers)
        form.addRow(buttons)
        self._form = form
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addStretch(1)

    # -- what the form says ---------------------------------------------------------------

    @property
    def _slide(self) -> Slide | None:
        return None if self._session.current is None else self._session.current.slide

    def _update(self) -> None:
        slide, busy = self._slide, self.work.running or self.scaling.running
        self.card.setText(
            "Drop a slide into the window: a Space Ranger folder, a SpatialData store, a "
            "whole-slide file or a large picture."
            if slide is None
            else slide_words(slide)
        )
        unknown = slide is not None and slide.scale.mpp is None
        self._form.setRowVisible(self.mpp_row, unknown)
        self.wants.setText(self.model.describe(slide))
        ready = (
            slide is not None
            and not unknown
            and slide.n_spots > 0
            and self.model.usable
            and self.model.takes(slide)
        )
        self.run.setEnabled(ready and not busy)
        self.run.setToolTip("" if ready else "Needs a slide with a known scale, and a model for it")
        self.cancel.setEnabled(self.work.running)
        for part in (self.slides, self.model, self.device, self.k, self.weighting, self.mpp_row):
            part.setEnabled(not busy and (part is not self.slides or bool(self._session.slides)))

    # -- what the buttons do --------------------------------------------------------------

    def _on_set_mpp(self) -> None:
        state = self._session.current
        if state is None or self.mpp.value() <= 0 or self.scaling.running:
            return
        self._target = state.name
        self.card.setText("Finding the tissue…")
        self.scaling.start(partial(rescale_steps, state.slide, self.mpp.value()))
        self._update()

    def _on_rescaled(self, slide: Slide) -> None:
        if self._target in self._session.slides:
            self._session.replace_slide(self._target, slide)
        with QSignalBlocker(self.mpp):
            self.mpp.setValue(0.0)

    def _on_run(self) -> None:
        state = self._session.current
        if state is None or self.work.running:
            return
        options = PredictOptions(
            self.model.value, self.device.currentText(), self.k.value(),
            self.weighting.currentData(), cache_folder(),
        )  # fmt: skip
        self._target = state.name
        self.progress.begin("Starting")
        self.work.start(partial(predict_steps, state.slide, options, self._session.model))
        self._update()

    def _on_cancel(self) -> None:
        self.work.cancel()
        self.cancel.setEnabled(False)
        self.progress.say("Cancelling after this batch…")

    def _on_predicted(self, done: Predicted) -> None:
        self.model.remember()
        self._session.set_model(done.model)
        state = self._session.slides.get(self._target or "")
        if state is None:
            self.progress.say("Done, but the slide was removed meanwhile.")
            return
        prediction = done.prediction
        similarity = float(prediction.mean_similarity.mean())
        self.progress.say(
            f"Done: {state.slide.n_spots:,} spots, mean similarity to their "
            f"{prediction.indices.shape[1]} reference spots {similarity:.2f}."
        )
        self._session.set_prediction(state.name, prediction)
        self._session.set_current(state.name)
        if self._session.gene is None or self._session.gene not in state.genes:
            self._session.set_gene(state.genes.key_of_predicted(done.opening_gene))
        self._session.set_view(kind="predicted")
        self._viewer.window.add_plugin_dock_widget("napari-umpire", "Gene maps", tabify=True)


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label


def _line(parent: QWidget, *parts: QWidget) -> None:
    layout = QHBoxLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part, 1 if part is parts[0] else 0)
