"""The Embedding widget: spots as points beside the slide, selected here and there alike."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.inference.classes.point_groups import (
    PointGroups,
    groups_by_class,
    groups_by_slide,
)
from napari_umpire.inference.classes.projection import METHODS
from napari_umpire.plugin.preferences import preferences
from napari_umpire.plugin.runs.embedding import keep, request
from napari_umpire.plugin.runs.projection import (
    LaidOut,
    gene_colours,
    lay_out_steps,
    score_steps,
)
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.embedding.lasso_plot import LassoPlot
from napari_umpire.plugin.widgets.embedding.point_legend import PointLegend
from napari_umpire.plugin.widgets.parts.form_parts import line_of, wrapping_label
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.model_picker import ModelPicker
from napari_umpire.plugin.widgets.parts.places import cache_folder
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.slides.regions import spots_within

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.inference.classes.cluster_scores import GroupScores
    from napari_umpire.inference.classes.projection import Projection

__all__ = ["EmbeddingWidget"]

_SLIDE, _GENE = "slide", "gene that is shown"
_CLASS = "class: "


class EmbeddingWidget(QWidget):
    """Lays the embeddings of spots of one or more slides out in two dimensions.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._shown: LaidOut | None = None
        self._groups: PointGroups | None = None
        self._score_later = False
        self.work, self.scoring = Work(self), Work(self)
        self._build()
        Manners(self, self.slides)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self._on_cancel)
        self.clear.clicked.connect(self._on_clear)
        self.slides.itemChanged.connect(self._update_buttons)
        self.by.activated.connect(self._colour)
        self.plot.lassoed.connect(self._on_lasso)
        self.plot.clicked.connect(self._on_point)
        self.legend.activated.connect(self._on_group)
        self.work.done.connect(self._on_done)
        self.work.ended.connect(self._update_buttons)
        self.scoring.done.connect(self._on_scores)
        self.scoring.failed.connect(self._on_no_scores)
        self.scoring.ended.connect(self._on_scored)
        session = self._session
        listen(self, session.slides_changed, self._on_slides)
        listen(self, session.labels_changed, self._on_labels)
        listen(self, session.gene_changed, self._on_gene)
        listen(self, session.view_changed, self._on_gene)
        listen(self, session.values_changed, self._on_gene)
        listen(self, session.selection_changed, self._highlight)
        listen(self, session.spot_changed, self._highlight)
        self._on_slides()

    def sizeHint(self) -> QSize:
        """Room for the plot."""
        return QSize(400, 720)

    def _build(self) -> None:
        self.slides = QListWidget()
        self.slides.setFixedHeight(66)
        self.slides.setToolTip("Slides whose spots are laid out together")
        self.model = ModelPicker(self._session)
        self.kind = QComboBox()
        self.kind.addItem("of the image", "image")
        self.kind.addItem("of the measured genes", "genes")
        self.method = QComboBox()
        self.method.addItems(METHODS)
        self.method.setToolTip(
            "PCA is exact and at once; UMAP and t-SNE keep neighbours together, and their "
            "distances mean little"
        )
        self.run = QPushButton("Lay out")
        self.cancel = QPushButton("Cancel")
        self.by = QComboBox()
        self.by.setToolTip("What the colours are")
        self.clear = QPushButton("Select none")
        self.plot = LassoPlot()
        self.plot.setMinimumHeight(200)
        self.plot.setToolTip(
            "Drag: lasso, with Shift to add. Click: ask about a spot. Wheel: zoom. Right button: "
            "move. The axes have no unit."
        )
        self.legend = PointLegend()
        self.scores, self.words, self.picked = wrapping_label(), wrapping_label(), wrapping_label()
        self.scores.setToolTip(
            "Silhouette: -1 to 1, higher is further apart. Davies-Bouldin: lower is further apart. "
            "Both in all dimensions of the embeddings, not in the picture"
        )
        self.progress = ProgressRow(self.work)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slides", self.slides)
        form.addRow("Model", self.model)
        form.addRow("Embeddings", self.kind)
        form.addRow("Method", line_of(self.method, self.run, self.cancel, wide_first=True))
        form.addRow("Colour", line_of(self.by, self.clear, wide_first=True))
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addWidget(self.plot, 1)
        for part in (self.picked, self.legend, self.scores, self.words):
            layout.addWidget(part)

    @property
    def projection(self) -> Projection | None:
        """What is shown, None for nothing yet."""
        return None if self._shown is None else self._shown.projection

    # -- following the session ------------------------------------------------------------

    def _on_slides(self) -> None:
        """Slides came or went; points of one that went, or was replaced, mean nothing more."""
        items = (self.slides.item(i) for i in range(self.slides.count()))
        off = [
            i.text() for i in items if i is not None and i.checkState() == Qt.CheckState.Unchecked
        ]
        with QSignalBlocker(self.slides):
            self.slides.clear()
            for name in self._session.slides:
                item = QListWidgetItem(name)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(
                    Qt.CheckState.Unchecked if name in off else Qt.CheckState.Checked
                )
                self.slides.addItem(item)
        if self._shown is not None and not self._is_current(self._shown):
            self._shown = self._groups = None
            self.plot.set_points(np.zeros((0, 2)))
            self.legend.clear()
            self.scores.clear()
            self.picked.clear()
        self._fill_colours()
        self._update_buttons()

    def _is_current(self, shown: LaidOut) -> bool:
        now = self._session.slides
        return all(
            name in now and now[name].slide is slide
            for name, slide in shown.embedded.slides.items()
        )

    def _fill_colours(self) -> None:
        names = dict.fromkeys(
            name for state in self._session.slides.values() for name in state.labels
        )
        before = self.by.currentText()
        with QSignalBlocker(self.by):
            self.by.clear()
            self.by.addItems([_SLIDE, _GENE, *(f"{_CLASS}{name}" for name in names)])
            self.by.setCurrentText(before)

    def _on_labels(self) -> None:
        self._fill_colours()
        if self.by.currentText().startswith(_CLASS):
            self._colour()

    def _on_gene(self) -> None:
        if self.by.currentText() == _GENE:
            self._colour()

    @property
    def ticked(self) -> list[str]:
        """Names of the slides to lay out."""
        items = (self.slides.item(i) for i in range(self.slides.count()))
        return [
            i.text() for i in items if i is not None and i.checkState() == Qt.CheckState.Checked
        ]

    def _update_buttons(self) -> None:
        running = self.work.running
        self.run.setEnabled(bool(self.ticked) and not running)
        self.cancel.setEnabled(running)
        # A sentence on how it ended stays; the room of an idle bar is the plot's.
        self.progress.setVisible(running or bool(self.progress.text.text()))
        self.clear.setEnabled(self._shown is not None)
        if not self._session.slides:
            self.words.setText("Open one or more slides, choose a model, and lay their spots out.")
        elif self._shown is None:
            self.words.setText("Tick slides, and press Lay out: each point will be a spot.")

    # -- laying out -----------------------------------------------------------------------

    def _on_run(self) -> None:
        if self.work.running or not self.ticked:
            return
        chosen = preferences()
        asked = request(
            self._session,
            self.ticked,
            self.kind.currentData(),
            device=chosen.device,
            batch_size=chosen.batch_size,
            cache=cache_folder(),
        )
        self.progress.begin("Starting")
        method = next(m for m in METHODS if m == self.method.currentText())
        self.work.start(partial(lay_out_steps, asked, method))
        self._update_buttons()

    def _on_cancel(self) -> None:
        self.work.cancel()
        self.cancel.setEnabled(False)
        self.progress.say("Cancelling after this stage…")

    def _on_done(self, done: LaidOut) -> None:
        keep(self._session, done.embedded)
        if not self._is_current(done):
            self.progress.say("Done, but a slide was removed or changed meanwhile.")
            return
        self._shown = done
        self.progress.say("")
        self.plot.set_points(done.projection.xy)
        self.words.setText(done.projection.words)
        self._colour()
        self._highlight()

    # -- colours and scores ---------------------------------------------------------------

    def _colour(self) -> None:
        projection = self.projection
        if projection is None:
            return
        by = self.by.currentText()
        self._groups = None
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
        self._groups = groups
        rgb = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in groups.colours]
        self.plot.colour_by(groups.codes, np.array(rgb, np.uint8).reshape(-1, 3))
        self.legend.show_groups(groups)
        self._score()

    def _colour_by_gene(self, projection: Projection) -> None:
        colours = gene_colours(self._session, projection)
        if colours is None:
            self.plot.colour_by(np.full(projection.n, -1), np.zeros((0, 3), np.uint8))
            self.legend.clear()
            self.legend.say("No gene is shown that these slides have: choose one in Gene maps.")
            return
        self.plot.colour_by(colours.codes, colours.rgb)
        self.legend.show_bar(colours.rgb, colours.words)

    def _score(self) -> None:
        if self.scoring.running:
            self._score_later = True
            self.scoring.cancel()
            return
        if self._groups is not None and self.projection is not None:
            self.scores.setText("Scoring…")
            self.scoring.start(partial(score_steps, self.projection, self._groups))

    def _on_scored(self) -> None:
        """The colours changed while others were scored: these come now."""
        if self._score_later:
            self._score_later = False
            self._score()

    def _on_scores(self, scores: GroupScores) -> None:
        if self._groups is not None and scores.by == self._groups.by:
            self.scores.setText(f"{scores.words} In the space of embeddings, not in the picture.")

    def _on_no_scores(self, sentence: str) -> None:
        self.scores.setText(sentence)

    # -- selecting ------------------------------------------------------------------------

    def _on_lasso(self, corners: np.ndarray, adds: bool) -> None:
        self._select(np.flatnonzero(spots_within(self.plot.xy, [corners])), adds)

    def _on_group(self, number: int) -> None:
        if self._groups is not None:
            self._select(np.flatnonzero(self._groups.codes == number), adds=False)

    def _select(self, points: np.ndarray, adds: bool) -> None:
        if self.projection is None:
            return
        rows = self.projection.rows_by_slide(points)
        if adds:
            for name, more in self._session.selection.items():
                rows[name] = np.union1d(rows.get(name, np.zeros(0, np.int64)), more)
        self._session.select(rows)

    def _on_clear(self) -> None:
        self._session.select({})

    def _on_point(self, point: int) -> None:
        if self.projection is not None:
            name = self.projection.slide_names[self.projection.slide[point]]
            self._session.set_current(name)
            self._session.set_spot(int(self.projection.row[point]), name)

    def _highlight(self) -> None:
        if self.projection is None:
            return
        selection = self._session.selection
        points = self.projection.points_of(selection)
        spot = self._session.spot
        asked = {} if spot is None else {spot[0]: np.array([spot[1]])}
        self.plot.highlight(points, self.projection.points_of(asked))
        said = ", ".join(f"{len(rows):,} of {name}" for name, rows in selection.items())
        total = sum(map(len, selection.values()))
        hidden = f" {total - len(points):,} of them are not in the picture." * (total > len(points))
        self.picked.setText(f"Selected: {said}.{hidden}" if said else "")
