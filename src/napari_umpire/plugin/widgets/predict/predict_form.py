"""The controls of Predict, laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.inference.predictions.weights import WEIGHTINGS
from napari_umpire.plugin.preferences import DEVICES, preferences
from napari_umpire.plugin.widgets.parts.form_parts import line_of
from napari_umpire.plugin.widgets.parts.model_picker import ModelPicker
from napari_umpire.plugin.widgets.parts.progress_row import RESUMABLE, ProgressRow
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.widgets.parts.tall_area import TallArea
from napari_umpire.plugin.widgets.predict.opener import OpenButton
from napari_umpire.plugin.widgets.predict.scale_box import ScaleBox
from napari_umpire.plugin.widgets.predict.slide_card import SlideCardView
from napari_umpire.plugin.widgets.predict.surveyor import Surveyor
from napari_umpire.plugin.words.method import METHODS

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.record import RunRecord
    from napari_umpire.plugin.runs.workers import Work
    from napari_umpire.plugin.session.session import Session

__all__ = ["PredictForm"]


class PredictForm(QWidget):
    """Slide, model, card and settings of a run; what they do is `PredictWidget`'s to say."""

    def _build(self, session: Session, work: Work) -> None:
        chosen = preferences()
        self.slides = SlideCombo(session)
        self.opener = OpenButton()
        self.model = ModelPicker(session)
        self.card = SlideCardView()
        self.surveyor = Surveyor(session, self.card)
        self.scale = ScaleBox(session)
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.device.setCurrentText(chosen.device)
        self.device.setToolTip("Where to compute; auto takes a GPU if there is one")
        self.batch = QSpinBox()
        self.batch.setRange(1, 4096)
        self.batch.setValue(chosen.batch_size)
        self.batch.setPrefix("batch ")
        self.batch.setToolTip(
            "Patches at once; halved by itself where the device has too little memory"
        )
        self.method = QComboBox()
        for key, words in METHODS.items():
            self.method.addItem(words, key)
        self.method.setToolTip(
            "Retrieval averages the most similar reference spots, which can be looked at; the "
            "decoder computes its genes from the image alone, and nothing shows what they rest on"
        )
        self.k = QSpinBox()
        self.k.setRange(1, 10_000)
        self.k.setValue(chosen.k)
        self.k.setToolTip("How many reference spots each prediction is averaged over")
        self.weighting = QComboBox()
        for kind in WEIGHTINGS:
            self.weighting.addItem(kind, kind)
        self.weighting.setToolTip(
            "How those spots are weighted: softmax of their similarity at the model's learned "
            "temperature, or in proportion to similarity"
        )
        self.run = QPushButton("Run")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop after this batch; nothing is left behind, Run goes on later")
        self.progress = ProgressRow(work, cancelled=RESUMABLE)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", line_of(self.slides, self.opener, wide_first=True))
        form.addRow("Model", self.model)
        form.addRow(self.card)
        form.addRow("Scale", self.scale)
        form.addRow("Device", line_of(self.device, self.batch, wide_first=True))
        form.addRow("Method", self.method)
        self._references = line_of(self.k, self.weighting, wide_first=True)
        form.addRow("K, weights", self._references)
        form.addRow(line_of(self.run, self.cancel, wide_first=True))
        self._form = form
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(TallArea(inside))

    def show_record(self, record: RunRecord) -> None:
        """Set every control as it was for a run."""
        self.model.set_value(record.model)
        self.method.setCurrentIndex(max(0, self.method.findData(record.method)))
        self.k.setValue(record.k)
        self.weighting.setCurrentIndex(max(0, self.weighting.findData(record.weighting)))
        self.device.setCurrentIndex(max(0, self.device.findText(record.device.partition(":")[0])))
        self.batch.setValue(record.batch_size)

    def let_edit(self, free: bool) -> None:
        """Whether the settings can be changed: not while a run is made by them."""
        for part in (
            self.model, self.device, self.batch, self.method, self.k, self.weighting, self.scale,
            self.card.change,
        ):  # fmt: skip
            part.setEnabled(free)
