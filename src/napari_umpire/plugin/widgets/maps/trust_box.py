"""Ask how sure: similarity to the reference, and spots that look like nothing in it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_umpire.inference.predictions.trust import calibrate, out_of_reference
from napari_umpire.plugin.layers.trust_maps import (
    OUT,
    SIMILARITY,
    in_reference_words,
    out_map,
    similarity_map,
)
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.plugin.words.method import no_references

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.prediction import GenePrediction, Prediction
    from napari_umpire.inference.predictions.trust import Calibration
    from napari_umpire.plugin.session.session import Session

__all__ = ["TrustBox"]


class TrustBox(QWidget):
    """Two maps of a prediction, in place of the gene's until a gene or a kind is chosen."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._asked: tuple[str, int] | None = None
        self._of: dict[str, GenePrediction | None] = {}
        self.work = Work(self)
        self.similarity, self.out = QPushButton("Similarity"), QPushButton("Out of reference")
        self.similarity.setToolTip("Mean cosine similarity of a spot to its K reference spots")
        self.out.setToolTip(
            "A veil over spots whose similarity lies below a quantile of the similarity of the "
            "reference's own spots"
        )
        for button in (self.similarity, self.out):
            button.setCheckable(True)
        self.quantile = QDoubleSpinBox()
        self.quantile.setRange(0.1, 50.0)
        self.quantile.setDecimals(1)
        self.quantile.setValue(5.0)
        self.quantile.setSuffix(" %")
        self.quantile.setKeyboardTracking(False)
        self.quantile.setToolTip(
            "The share of the reference's own spots that lies below the bound, in percent"
        )
        self.cancel = QPushButton("Cancel")
        self.cancel.setVisible(False)
        self.progress = ProgressRow(self.work)
        self.progress.text.setMinimumHeight(0)
        self.progress.setVisible(False)
        self.words = QLabel()
        self.words.setWordWrap(True)
        top, under = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.similarity)
        top.addWidget(self.out)
        under.addWidget(QLabel("quantile"))
        under.addWidget(self.quantile)
        under.addStretch()
        under.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 2)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addLayout(under)
        layout.addWidget(self.progress)
        layout.addWidget(self.words)
        layout.addStretch()
        self.similarity.clicked.connect(self._on_similarity)
        self.out.clicked.connect(self._on_out)
        self.quantile.valueChanged.connect(self._on_quantile)
        self.cancel.clicked.connect(self.work.cancel)
        self.work.done.connect(self._on_calibrated)
        self.work.ended.connect(self._on_ended)
        for signal in (session.current_changed, session.slides_changed, session.values_changed):
            listen(self, signal, self._on_values)
        listen(self, session.view_changed, self._update)
        listen(self, session.maps_changed, self._update)
        self._on_values()

    @property
    def _prediction(self) -> Prediction | None:
        state = self._session.current
        return None if state is None else state.retrieval

    @property
    def _calibration(self) -> Calibration | None:
        found = self._prediction
        key = None if found is None else (found.reference.digest, found.k)
        return None if key is None else self._session.calibrations.get(key)

    # -- following the session ------------------------------------------------------------

    def _on_values(self) -> None:
        """A map of an older prediction says nothing of the new one."""
        for name, state in self._session.slides.items():
            if name in self._of and self._of[name] is not state.prediction:
                for key in (SIMILARITY, OUT):
                    self._session.drop_map(name, key)
            self._of[name] = state.prediction
        self._update()

    def _update(self) -> None:
        state, shown = self._session.current, self._session.shown_map
        there = self._prediction is not None
        for key, button in ((SIMILARITY, self.similarity), (OUT, self.out)):
            with QSignalBlocker(button):
                button.setEnabled(there and not (self.work.running and key == OUT))
                button.setChecked(
                    there and shown == key and state is not None and key in state.maps
                )
        self.quantile.setEnabled(there)
        found = self._prediction
        if found is None or state is None:
            self.words.setText(
                no_references(state, "measure of how sure it is")
                or "Predict the slide's genes first. How sure a prediction is comes from the "
                "references that it was made from."
            )
            return
        said = in_reference_words(state)
        known = self._calibration
        if known is not None:
            out = out_of_reference(found.mean_similarity, known, self.quantile.value() / 100)
            said = "\n\n".join(part for part in (out.describe(), said, known.describe()) if part)
        self.words.setText(said)

    # -- what the controls do -------------------------------------------------------------

    def _on_similarity(self, on: bool) -> None:
        state = self._session.current
        if not on:
            self._session.show_map(None)
        elif state is not None:
            self._session.set_map(state.name, similarity_map(state))
        self._update()

    def _on_out(self, on: bool) -> None:
        found = self._prediction
        if not on:
            self._session.show_map(None)
        elif self._calibration is not None:
            self._show_out()
        elif found is not None and not self.work.running:
            self._asked = (found.reference.digest, found.k)
            self.cancel.setVisible(True)
            self.progress.setVisible(True)
            self.progress.begin("Asking the reference about its own spots…")
            self.work.start(partial(calibrate, found.reference, found.k))
        self._update()

    def _on_quantile(self, _: float) -> None:
        if self._session.shown_map == OUT and self._calibration is not None:
            self._show_out()
        self._update()

    def _show_out(self) -> None:
        state, found = self._session.current, self._calibration
        if state is None or state.retrieval is None or found is None:
            return
        out = out_of_reference(state.retrieval.mean_similarity, found, self.quantile.value() / 100)
        self._session.set_map(state.name, out_map(state, out))

    def _on_calibrated(self, calibration: Calibration) -> None:
        assert self._asked is not None
        self._session.calibrations[self._asked] = calibration
        self.progress.setVisible(False)
        self._show_out()

    def _on_ended(self) -> None:
        self.cancel.setVisible(False)
        self._update()
