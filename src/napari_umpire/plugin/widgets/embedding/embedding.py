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

from napari_umpire.inference.classes.projection import METHODS
from napari_umpire.plugin.preferences import preferences
from napari_umpire.plugin.runs.embedding import keep, request
from napari_umpire.plugin.runs.projection import LaidOut, lay_out_steps
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.embedding.lasso_plot import LassoPlot
from napari_umpire.plugin.widgets.embedding.point_colours import PointColours
from napari_umpire.plugin.widgets.parts.dock_size import dock_size, narrow
from napari_umpire.plugin.widgets.parts.form_parts import line_of, wrapping_label
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.model_picker import ModelPicker
from napari_umpire.plugin.widgets.parts.places import cache_folder
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.words.scale import scale_asked
from napari_umpire.slides.regions import spots_within

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.inference.classes.projection import Projection

__all__ = ["EmbeddingWidget"]


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
        self.work = Work(self)
        self._build()
        Manners(self, self.slides)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self._on_cancel)
        self.clear.clicked.connect(self._on_clear)
        self.slides.itemChanged.connect(self._update_buttons)
        self.kind.currentIndexChanged.connect(self._update_buttons)
        self.plot.lassoed.connect(self._on_lasso)
        self.plot.clicked.connect(self._on_point)
        self.legend.activated.connect(self._on_group)
        self.gone = EndWithSlide(self._session, self.work, self.progress.say)
        self.work.done.connect(self._on_done)
        self.work.ended.connect(self._update_buttons)
        session = self._session
        listen(self, session.slides_changed, self._on_slides)
        listen(self, session.selection_changed, self._highlight)
        listen(self, session.spot_changed, self._highlight)
        self._on_slides()

    def sizeHint(self) -> QSize:
        """Room for the plot."""
        return dock_size(720)

    def _build(self) -> None:
        self.slides = QListWidget()
        self.slides.setFixedHeight(66)
        self.slides.setToolTip("Slides whose spots are laid out together")
        self.model = ModelPicker(self._session)
        self.kind = narrow(QComboBox())
        self.kind.addItem("of the image", "image")
        self.kind.addItem("of the measured genes", "genes")
        self.method = narrow(QComboBox())
        self.method.addItems(METHODS)
        self.method.setToolTip(
            "PCA is exact and at once; UMAP and t-SNE keep neighbours together, and their "
            "distances mean little"
        )
        self.run = QPushButton("Lay out")
        self.cancel = QPushButton("Cancel")
        self.clear = QPushButton("Select none")
        self.plot = LassoPlot()
        self.plot.setMinimumHeight(200)
        self.plot.setToolTip(
            "Drag: lasso, with Shift to add. Click: ask about a spot. Wheel: zoom. Right button: "
            "move. The axes have no unit."
        )
        self.colours = PointColours(self._session, self.plot, self)
        self.by, self.legend = self.colours.by, self.colours.legend
        self.scores, self.scoring = self.colours.scores, self.colours.scoring
        self.words, self.picked = wrapping_label(), wrapping_label()
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
            self._shown = None
            self.plot.set_points(np.zeros((0, 2)))
            self.colours.show(None)
            self.picked.clear()
        self.colours.fill()
        self._update_buttons()

    def _is_current(self, shown: LaidOut) -> bool:
        now = self._session.slides
        return all(
            name in now and now[name].slide is slide
            for name, slide in shown.embedded.slides.items()
        )

    @property
    def ticked(self) -> list[str]:
        """Names of the slides to lay out."""
        items = (self.slides.item(i) for i in range(self.slides.count()))
        return [
            i.text() for i in items if i is not None and i.checkState() == Qt.CheckState.Checked
        ]

    def _update_buttons(self) -> None:
        running, asked = self.work.running, self._scale_asked
        self.run.setEnabled(bool(self.ticked) and not running and not asked)
        self.run.setToolTip(asked)
        self.cancel.setEnabled(running)
        # A sentence on how it ended stays; the room of an idle bar is the plot's.
        self.progress.setVisible(running or bool(self.progress.text.text()))
        self.clear.setEnabled(self._shown is not None)
        if not self._session.slides:
            self.words.setText("Open one or more slides, choose a model, and lay their spots out.")
        elif asked:
            self.words.setText(f"{asked} Or untick it.")
        elif self._shown is None:
            self.words.setText("Tick slides, and press Lay out: each point will be a spot.")

    @property
    def _scale_asked(self) -> str:
        if self.kind.currentData() != "image":
            return ""
        return scale_asked(
            self._session.slides[n] for n in self.ticked if n in self._session.slides
        )

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
        self.gone.watch(self._session.slides[name].slide for name in self.ticked)
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
        self.colours.show(done.projection)
        self._highlight()

    # -- selecting ------------------------------------------------------------------------

    def _on_lasso(self, corners: np.ndarray, adds: bool) -> None:
        self._select(np.flatnonzero(spots_within(self.plot.xy, [corners])), adds)

    def _on_group(self, number: int) -> None:
        if self.colours.groups is not None:
            self._select(np.flatnonzero(self.colours.groups.codes == number), adds=False)

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
