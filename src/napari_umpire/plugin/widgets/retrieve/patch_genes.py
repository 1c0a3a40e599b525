"""From a patch to its genes: a table of what is predicted at a spot beyond what is usual."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.retrieval.patch_genes import (
    LEAST_HERE,
    LEAST_USUAL,
    USUAL,
    Usual,
    genes_of_patch_steps,
    usual_steps,
)
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.widgets.parts.frame_view import FrameView
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.words.method import FROM_IMAGE, no_references

if TYPE_CHECKING:
    import pandas as pd

    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.progress import Steps

__all__ = ["PatchGenes"]

_FORMATS = {"z": "{:+.2f}", "predicted": "{:.2f}", "usual": "{:.2f}"}


class PatchGenes(QWidget):
    """The genes of the spot that was asked about; a row shows the gene's map."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._usual: tuple[Prediction, Usual] | None = None
        self._target: str | None = None
        self._shown: Prediction | None = None
        self.work = Work(self)
        self.against = QComboBox()
        for key, words in USUAL.items():
            short = "this slide, predicted" if key == "slide" else "the reference, measured"
            self.against.addItem(short, key)
            last = self.against.count() - 1
            self.against.setItemData(last, words, Qt.ItemDataRole.ToolTipRole)
        self.against.setToolTip("What the predicted value is compared with")
        self.against.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.ask = QPushButton("Find its genes")
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.table = FrameView()
        self.table.setAccessibleName("Genes of the patch")
        self.progress = ProgressRow(self.work)
        self.progress.setVisible(False)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Against", self.against)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.ask)
        layout.addWidget(self.words)
        layout.addWidget(self.progress)
        layout.addWidget(self.table, 1)
        self.ask.clicked.connect(self._on_find)
        self.table.chosen.connect(self._on_gene)
        self.work.done.connect(self._on_done)
        self.work.failed.connect(self.words.setText)
        self.work.ended.connect(self._update)
        self.gone = EndWithSlide(session, self.work, self.words.setText)
        for signal in (session.spot_changed, session.values_changed, session.slides_changed):
            listen(self, signal, self._update)
        self._update()

    def _update(self) -> None:
        asked, prediction = self._asked()
        running = self.work.running
        lacks = no_references(self._state_asked, "usual value to hold its genes against")
        if lacks and not running:
            self.words.setText(lacks)
        elif self.words.text().startswith(FROM_IMAGE):
            self.words.clear()
        if self._shown is not None and not self._is_current(self._shown):
            self._shown = None
            self.words.clear()
            self.table.set_frame(self.table.table.frame.iloc[:0])
        self.ask.setEnabled(running or prediction is not None)
        self.progress.setVisible(running)
        if running:
            self.ask.setText("Cancel")
        elif prediction is None or asked is None:
            self.ask.setText("Find its genes")
            self.ask.setToolTip("Needs a slide predicted by retrieval, and a spot of it: click one")
        else:
            state = self._session.slides[asked[0]]
            self.ask.setText(f"Find the genes of spot {state.slide.spots.index[asked[1]]}")
            self.ask.setToolTip("All genes, by how far the prediction lies above what is usual")

    def _is_current(self, prediction: Prediction) -> bool:
        """Whether what was found is of a slide and a prediction that are still there."""
        state = self._session.slides.get(self._target or "")
        return state is not None and state.prediction is prediction

    @property
    def _state_asked(self) -> SlideState | None:
        spot = self._session.spot
        return self._session.current if spot is None else self._session.slides.get(spot[0])

    def _asked(self) -> tuple[tuple[str, int] | None, Prediction | None]:
        spot = self._session.spot
        state = None if spot is None else self._session.slides.get(spot[0])
        return spot, None if state is None else state.retrieval

    def _on_find(self) -> None:
        if self.work.running:
            self.work.cancel()
            return
        spot, prediction = self._asked()
        if spot is None or prediction is None:
            return
        self._target = spot[0]
        usual = None
        if self._usual is not None and self._usual[0] is prediction:
            usual = self._usual[1]
        self.progress.begin("Starting")
        against = self.against.currentData()
        self.work.start(partial(_steps, prediction, spot[1], against, usual))
        self.gone.watch([self._session.slides[spot[0]].slide])
        self._update()

    def _on_done(self, done: tuple[Prediction, Usual, int, pd.DataFrame]) -> None:
        prediction, usual, row, frame = done
        if not self._is_current(prediction):
            return
        self._usual, self._shown = (prediction, usual), prediction
        spot = prediction.spots.index[row]
        self.words.setText(
            f"Spot {spot}: z = (predicted - mean) / sd, {UNIT}, against {USUAL[usual.against]}. "
            f"Genes below {LEAST_USUAL:g} as a rule and below {LEAST_HERE:g} here have no z."
        )
        tips = {
            "z": "How far the predicted value lies above what is usual, in standard deviations",
            "predicted": f"At this spot, {UNIT}",
            "usual": f"The mean that it is compared with, {UNIT}",
        }
        self.table.set_frame(frame, _FORMATS, tips)

    def _on_gene(self, name: str) -> None:
        state = self._session.slides.get(self._target or "")
        if state is not None and state.prediction is not None:
            self._session.set_gene(state.genes.key_of_predicted(name))


def _steps(
    prediction: Prediction, row: int, against: str, usual: Usual | None
) -> Steps[tuple[Prediction, Usual, int, pd.DataFrame]]:
    if usual is None or usual.against != against:
        usual = yield from usual_steps(prediction, "reference" if against != "slide" else "slide")
    frame = yield from genes_of_patch_steps(prediction, row, usual)
    return prediction, usual, row, frame
