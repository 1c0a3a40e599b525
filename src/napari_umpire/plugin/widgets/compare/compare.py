"""The Compare widget: how well each gene of a slide was predicted, and a closer look at one."""

from __future__ import annotations

import weakref
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSplitter, QVBoxLayout, QWidget

from napari_umpire.inference.scores.pair_scatter import pair_scatter
from napari_umpire.inference.scores.table import COLUMNS
from napari_umpire.plugin.layers.blink import bind_blink
from napari_umpire.plugin.runs.genes import Scored, score_steps
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.compare.compare_views import CompareViews
from napari_umpire.plugin.widgets.compare.spot_scatter import SpotScatter
from napari_umpire.plugin.widgets.parts.dock_size import dock_size, slim
from napari_umpire.plugin.widgets.parts.frame_view import FrameView
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.long_words import LongWords
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.plugin.widgets.parts.save_table import save_table
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.slides.slide import Slide

__all__ = ["CompareWidget"]

_AT_ONCE = 200_000_000  # spots x genes that take seconds; more waits for the button
_FORMATS = {
    "PCC": "{:.3f}",
    "mean measured": "{:.2f}",
    "mean predicted": "{:.2f}",
    "seen %": "{:.0f}",
    "neighbours": "{:.3f}",
    "half counts": "{:.3f}",
}
_NO_SLIDE = "Drop a slide into the window to begin."
_NOTHING = (
    "Nothing was measured on this slide, and nothing was predicted yet. Predict its genes first: "
    "Plugins > Umpire > Predict."
)


class CompareWidget(QWidget):
    """A table of genes with their correlation, a scatter of the chosen one, and ways to look.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._scored: weakref.WeakKeyDictionary[SlideState, Scored] = weakref.WeakKeyDictionary()
        self._problems: weakref.WeakKeyDictionary[SlideState, str] = weakref.WeakKeyDictionary()
        self._target: tuple[SlideState, Slide] | None = None
        self._shown: Scored | None = None
        self.work = Work(self)
        self._build()
        Manners(self, self.slides)
        bind_blink(napari_viewer)
        self.work.done.connect(self._on_scored)
        self.work.cancelled.connect(self._on_cancelled)
        self.work.failed.connect(self._on_failed)
        self.work.ended.connect(self._update)
        self.gone = EndWithSlide(self._session, self.work, self.progress.say)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self.work.cancel)
        self.save.clicked.connect(self._on_save)
        self.table.chosen.connect(self._session.set_gene)
        self.scatter.selected.connect(self._on_selected)
        self.scatter.asked.connect(self._session.set_spot)
        session = self._session
        for signal in (session.slides_changed, session.current_changed, session.values_changed):
            listen(self, signal, self._update)
        listen(self, session.gene_changed, self._update_gene)
        listen(self, session.selection_changed, self._update_spots)
        listen(self, session.spot_changed, self._update_spots)
        self._update()

    def sizeHint(self) -> QSize:
        """Room for the first columns, on a laptop."""
        return dock_size(640)

    def _build(self) -> None:
        self.slides = SlideCombo(self._session)
        self.run = QPushButton("Score genes")
        self.run.setToolTip("Correlate every gene's predicted map with what was measured")
        self.cancel = QPushButton("Cancel")
        self.save = QPushButton("Save CSV…")
        self.save.setToolTip("The table of genes, with its protocol above it")
        self.progress = ProgressRow(self.work)
        self.words = LongWords(4)
        self.table = FrameView()
        self.table.setAccessibleName("Genes by score")
        self.table.setToolTip("Choose a row to see its map: mouse, arrows, or first letters")
        self.scatter = SpotScatter()
        self.views = CompareViews(self._session)
        self.views.add_key(self.scatter)
        buttons = QHBoxLayout()
        for part in (self.run, self.cancel, self.save):
            buttons.addWidget(part)
        self.split = QSplitter(Qt.Orientation.Vertical)
        for widget in (self.words, self.table, self.scatter):
            self.split.addWidget(widget)
        self.split.setSizes([80, 200, 240])
        self.split.setChildrenCollapsible(False)
        self.table.setMinimumHeight(100)
        layout = QVBoxLayout(self)
        slim(layout)
        layout.addWidget(self.slides)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.split, 1)
        layout.addWidget(self.views)

    # -- following the session ------------------------------------------------------------

    def _update(self) -> None:
        """The slide or its values changed."""
        state = self._session.current
        scored = None if state is None else self._valid(state)
        if state is not None and scored is None and self._may_start(state):
            self._start(state)
        if scored is not self._shown:
            self._shown = scored
            if scored is None:
                self.table.set_frame(self.table.table.frame.iloc[:0])
            else:
                self.table.set_frame(scored.scores.frame, _FORMATS, COLUMNS)
        self.words.say(self._words(state, scored))
        running = self.work.running
        self.progress.setVisible(running or bool(self.gone.words))
        self.run.setEnabled(state is not None and bool(state.kinds) and not running)
        self.cancel.setEnabled(running)
        self.save.setEnabled(scored is not None)
        self._update_gene()

    def _valid(self, state: SlideState) -> Scored | None:
        """The scores of a slide, unless its prediction or measurement has changed since."""
        scored = self._scored.get(state)
        if scored is None or scored.prediction is not state.prediction:
            return None
        return scored if scored.measured is state.measured else None

    def _may_start(self, state: SlideState) -> bool:
        if self.work.running or state in self._problems or not state.kinds:
            return False
        genes = 20_000 if state.prediction is None else len(state.prediction.genes)
        return state.slide.n_spots * genes <= _AT_ONCE

    def _words(self, state: SlideState | None, scored: Scored | None) -> str:
        if state is None:
            return _NO_SLIDE
        if not state.kinds:
            return _NOTHING
        if scored is not None:
            return scored.scores.describe()
        if self.work.running:
            return "Scoring the genes…"
        if state in self._problems:
            return self._problems[state]
        return f"{state.slide.n_spots:,} spots: press “Score genes”; it can be cancelled."

    def _update_gene(self) -> None:
        """The gene changed, or its values."""
        state, gene = self._session.current, self._session.gene
        self.table.show_key(gene)
        if state is None or gene is None:
            self.scatter.clear("No gene is shown." if state is not None else "")
            return
        maps = state.gene_maps(gene)
        if state.measured is None or not {"predicted", "measured"} <= set(maps):
            self.scatter.clear(self._why_no_scatter(state, gene))
            return
        pairs = pair_scatter(
            maps["predicted"], maps["measured"], state.measured.detected, state.label(gene)
        )
        self.scatter.set_axes("measured", "predicted", state.unit(gene), diagonal=True)
        self.scatter.title.setText(pairs.title)
        self.scatter.note.setText(pairs.note)
        self.scatter.set_points(
            np.column_stack([pairs.measured, pairs.predicted]),
            pairs.rows,
            pairs.shown,
            limits=pairs.limits,
        )
        self._update_spots()

    def _why_no_scatter(self, state: SlideState, gene: str) -> str:
        if not state.knows(gene):
            return "The gene chosen last is not known on this slide."
        label = state.label(gene)
        if not state.slide.has_counts:
            return f"{label}: nothing to compare with, nothing was measured on this slide."
        if state.measured is None:
            return f"{label}: nothing to compare with, the slide's counts were not read."
        missing = "predicted" if "predicted" not in state.gene_maps(gene) else "measured"
        whose = "reference" if state.retrieval is not None else "decoder"
        why = f"not in the {whose}" if missing == "predicted" and state.prediction else ""
        return f"{label} was not {missing}{', it is ' + why if why else ''}: no scatter."

    def _update_spots(self) -> None:
        """The selection, or the spot that was asked about, changed."""
        state, spot = self._session.current, self._session.spot
        if state is None:
            return
        self.scatter.highlight(self._session.selection.get(state.name, np.empty(0, np.int64)))
        self.scatter.mark(spot[1] if spot is not None and spot[0] == state.name else None)

    # -- what the controls do -------------------------------------------------------------

    def _on_run(self) -> None:
        state = self._session.current
        if state is not None and not self.work.running:
            self._start(state)
            self._update()

    def _start(self, state: SlideState) -> None:
        self._problems.pop(state, None)
        self._target = (state, state.slide)
        self.progress.begin("Starting")
        self.work.start(partial(score_steps, state.slide, state.prediction, state.measured))
        self.gone.watch([state.slide])

    def _on_scored(self, scored: Scored) -> None:
        assert self._target is not None
        state, slide = self._target
        session = self._session
        if session.slides.get(state.name) is not state or state.slide is not slide:
            return
        # Another widget may have read the same counts meanwhile.
        self._scored[state] = replace(scored, measured=state.measured or scored.measured)
        if state.measured is None and scored.measured is not None:
            session.set_measured(state.name, scored.measured)
        if session.gene is None and state is session.current and len(scored.scores.frame):
            session.set_gene(str(scored.scores.frame.index[0]))

    def _on_cancelled(self) -> None:
        self._note("Cancelled. Press “Score genes” to begin again.")

    def _on_failed(self, sentence: str) -> None:
        self._note(sentence)

    def _note(self, problem: str) -> None:
        """Why a slide has no scores; it is not tried again by itself."""
        if self._target is not None:
            self._problems[self._target[0]] = problem

    def _on_selected(self, rows: np.ndarray) -> None:
        state = self._session.current
        if state is not None:
            self._session.select({**self._session.selection, state.name: rows})

    def _on_save(self) -> None:
        if self._shown is not None:
            scores = self._shown.scores
            save_table(self, scores.frame, f"{scores.slide}_genes", scores.describe())
