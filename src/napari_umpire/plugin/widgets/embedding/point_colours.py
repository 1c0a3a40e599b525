"""What the points of a plot are coloured by: the choice, the legend, how far apart groups are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QSignalBlocker
from qtpy.QtWidgets import QComboBox

from napari_umpire.inference.classes.point_groups import (
    PointGroups,
    groups_by_class,
    groups_by_slide,
)
from napari_umpire.plugin.runs.projection import gene_colours, score_steps
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.widgets.embedding.point_legend import PointLegend
from napari_umpire.plugin.widgets.parts.dock_size import narrow
from napari_umpire.plugin.widgets.parts.form_parts import wrapping_label
from napari_umpire.plugin.widgets.parts.listening import listen

if TYPE_CHECKING:
    from napari_umpire.inference.classes.cluster_scores import GroupScores
    from napari_umpire.inference.classes.projection import Projection
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.widgets.embedding.lasso_plot import LassoPlot

__all__ = ["PointColours"]

_SLIDE, _GENE = "slide", "gene that is shown"
_CLASS = "class: "


class PointColours(QObject):
    """Colours the points of ``plot`` as ``by`` says, and follows the session.

    Attributes
    ----------
    by, legend, scores
        The choice, what the colours mean, silhouette and Davies-Bouldin: to be laid out.
    groups
        Which group each point is in; None while colours are those of a gene.
    """

    def __init__(self, session: Session, plot: LassoPlot, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._plot = session, plot
        self._projection: Projection | None = None
        self._score_later = False
        self.groups: PointGroups | None = None
        self.scoring = Work(self)
        self.by = narrow(QComboBox())
        self.by.setToolTip("What the colours are")
        self.legend = PointLegend()
        self.scores = wrapping_label()
        self.scores.setToolTip(
            "Silhouette: -1 to 1, higher is further apart. Davies-Bouldin: lower is further apart. "
            "Both in all dimensions of the embeddings, not in the picture"
        )
        self.by.activated.connect(self.colour)
        self.scoring.done.connect(self._on_scores)
        self.scoring.failed.connect(self.scores.setText)
        self.scoring.ended.connect(self._on_scored)
        listen(self, session.labels_changed, self._on_labels)
        for signal in (session.gene_changed, session.view_changed, session.values_changed):
            listen(self, signal, self._on_gene)

    def show(self, projection: Projection | None) -> None:
        """Colour the points of another picture; None: there is none."""
        self._projection = projection
        if projection is None:
            self.groups = None
            self.legend.clear()
            self.scores.clear()
        self.colour()

    def fill(self) -> None:
        """Offer the slide, the gene, and the classes that the open slides have."""
        names = dict.fromkeys(
            name for state in self._session.slides.values() for name in state.labels
        )
        before = self.by.currentText()
        with QSignalBlocker(self.by):
            self.by.clear()
            self.by.addItems([_SLIDE, _GENE, *(f"{_CLASS}{name}" for name in names)])
            self.by.setCurrentText(before)

    def colour(self) -> None:
        """Colour the points as is chosen now, and score their groups."""
        projection = self._projection
        if projection is None:
            return
        by = self.by.currentText()
        self.groups = None
        self.scores.clear()
        if by == _GENE:
            self._colour_by_gene(projection)
            return
        if by.startswith(_CLASS):
            name = by.removeprefix(_CLASS)
            found = {
                n: self._session.slides[n].labels[name]
                for n in projection.slide_names
                if name in self._session.slides[n].labels
            }
            groups = groups_by_class(projection, found)
        else:
            groups = groups_by_slide(projection)
        self.groups = groups
        rgb = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in groups.colours]
        self._plot.colour_by(groups.codes, np.array(rgb, np.uint8).reshape(-1, 3))
        self.legend.show_groups(groups)
        self._score()

    def _colour_by_gene(self, projection: Projection) -> None:
        colours = gene_colours(self._session, projection)
        if colours is None:
            self._plot.colour_by(np.full(projection.n, -1), np.zeros((0, 3), np.uint8))
            self.legend.clear()
            self.legend.say("No gene is shown that these slides have: choose one in Gene maps.")
            return
        self._plot.colour_by(colours.codes, colours.rgb)
        self.legend.show_bar(colours.rgb, colours.words)

    def _on_labels(self) -> None:
        self.fill()
        if self.by.currentText().startswith(_CLASS):
            self.colour()

    def _on_gene(self) -> None:
        if self.by.currentText() == _GENE:
            self.colour()

    def _score(self) -> None:
        if self.scoring.running:
            self._score_later = True
            self.scoring.cancel()
            return
        if self.groups is not None and self._projection is not None:
            self.scores.setText("Scoring…")
            self.scoring.start(partial(score_steps, self._projection, self.groups))

    def _on_scored(self) -> None:
        """The colours changed while others were scored: these come now."""
        if self._score_later:
            self._score_later = False
            self._score()

    def _on_scores(self, scores: GroupScores) -> None:
        if self.groups is not None and scores.by == self.groups.by:
            self.scores.setText(f"{scores.words} In the space of embeddings, not in the picture.")
