"""How a probe did on spots that it had not seen, beside controls, with its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_umpire.inference.classes.scores import ProbeScores
from napari_umpire.inference.classes.words import (
    confusion_frame,
    folds_frame,
    score_frame,
    scores_words,
)
from napari_umpire.plugin.widgets.classes.score_tables import SmallTable
from napari_umpire.plugin.widgets.parts.form_parts import wrapping_label

if TYPE_CHECKING:
    from napari_umpire.inference.classes.probe import LinearProbe

__all__ = ["ScoreTab"]


class ScoreTab(QWidget):
    """Shows the scores of one probe."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.headline, self.protocol = wrapping_label(), wrapping_label()
        self.scores, self.confusion, self.folds = SmallTable(), SmallTable(), SmallTable()
        self._parts: list[QWidget] = []
        layout = QVBoxLayout(self)
        layout.addWidget(self.headline)
        for title, table in (
            ("The probe and its controls", self.scores),
            ("Given classes (rows) and predicted ones (columns)", self.confusion),
            ("What was held out", self.folds),
        ):
            label = wrapping_label(f"<b>{title}</b>")  # in one line it would widen the dock
            layout.addWidget(label)
            layout.addWidget(table)
            self._parts += [label, table]
        layout.addWidget(self.protocol)
        layout.addStretch(1)
        self.show_probe(None)

    def show_probe(self, probe: LinearProbe | None) -> None:
        """Show the scores of a probe; None: there is none yet."""
        tested = probe is not None and bool(probe.scores)
        for part in self._parts:
            part.setVisible(tested)
        if probe is None:
            self.headline.setText("No probe yet: train one, or choose a saved one in Apply.")
            self.protocol.clear()
            return
        self.protocol.setText(probe.protocol)
        if not tested:
            self.headline.setText(f"{probe.name}: trained, but not tested.")
            return
        scores = ProbeScores.from_json(probe.scores)
        self.headline.setText(f"{probe.name}: {scores_words(scores)}")
        self.scores.show_frame(score_frame(scores), tip="On held-out spots")
        table, share = confusion_frame(scores)
        self.confusion.show_frame(table, share, "Rows: given class; columns: predicted class")
        self.folds.show_frame(folds_frame(scores), tip="Spots, or scores on held-out spots")
