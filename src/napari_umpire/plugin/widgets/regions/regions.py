"""The Regions widget: draw A and B, and see which genes differ between them."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_umpire.inference.scores.region_genes import table_words
from napari_umpire.plugin.layers.region_watch import region_watch_of
from napari_umpire.plugin.runs.genes import Compared, compare_steps
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.session.spot_groups import (
    REST,
    SpotGroup,
    group_problem,
    pair_words,
    rest_of,
    spot_groups,
)
from napari_umpire.plugin.widgets.parts.dock_size import dock_size
from napari_umpire.plugin.widgets.parts.frame_view import FrameView
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.long_words import LongWords
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.plugin.widgets.parts.save_table import save_table
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.widgets.regions.group_row import GroupRow
from napari_umpire.plugin.widgets.regions.region_pen import RegionPen

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.plugin.session.slide_state import SlideState
    from napari_umpire.slides.slide import Slide

__all__ = ["RegionsWidget"]

_SETTLE_MS = 120
_NO_SLIDE = "Drop a slide into the window to begin."
_NOTHING = (
    "Nothing was measured on this slide, and nothing was predicted yet. Predict its genes first: "
    "Plugins > Umpire > Predict."
)
_STALE = "The groups have changed since this was computed; Compare again.\n"


@dataclass(frozen=True, eq=False)
class _Result:
    """What was computed, and for which spots and prediction."""

    compared: Compared
    a: np.ndarray
    b: np.ndarray


class RegionsWidget(QWidget):
    """Two groups of spots, and a table of all genes by how much they differ.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._groups: dict[tuple[str, ...], SpotGroup] = {}
        self._compared: weakref.WeakKeyDictionary[SlideState, _Result] = weakref.WeakKeyDictionary()
        self._running: tuple[SlideState, Slide, SpotGroup, SpotGroup] | None = None
        self._shown: Compared | None = None
        self.work = Work(self)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._update)
        self._build()
        Manners(self, self.slides)
        for row in self.rows.values():
            row.changed.connect(self._update_pair)
        self.work.done.connect(self._on_compared)
        self.work.ended.connect(self._update)
        self.gone = EndWithSlide(self._session, self.work, self.progress.say)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self.work.cancel)
        self.save.clicked.connect(self._on_save)
        self.table.chosen.connect(self._session.set_gene)
        session = self._session
        for signal in (session.slides_changed, session.current_changed, session.values_changed):
            listen(self, signal, self._update)
        listen(self, session.labels_changed, self._update)
        listen(self, session.selection_changed, self._soon)
        listen(self, region_watch_of(session).changed, self._soon)
        listen(self, session.gene_changed, self._on_gene)
        self._update()

    def sizeHint(self) -> QSize:
        """Room for the first columns, on a laptop."""
        return dock_size(640)

    def _build(self) -> None:
        self.slides = SlideCombo(self._session)
        self.rows = {side: GroupRow(side) for side in "AB"}
        self.pen = RegionPen(self._session, self.rows)
        self.counts = LongWords(2)
        self.counts.setFixedHeight(int(3.4 * self.fontMetrics().lineSpacing()))
        self.run = QPushButton("Compare A with B")
        self.cancel = QPushButton("Cancel")
        self.save = QPushButton("Save CSV…")
        self.save.setToolTip("The table of genes, with what it says and does not say above it")
        self.progress = ProgressRow(self.work)
        self.table = FrameView()
        self.table.setAccessibleName("Genes by difference")
        self.table.setToolTip("Choose a row to see its map: mouse, arrows, or first letters")
        self.words = LongWords(5)
        buttons = QHBoxLayout()
        for part in (self.run, self.cancel, self.save):
            buttons.addWidget(part)
        layout = QVBoxLayout(self)
        layout.addWidget(self.slides)
        for row in self.rows.values():
            layout.addWidget(row)
        layout.addWidget(self.pen)
        layout.addWidget(self.counts)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.table, 3)
        layout.addWidget(self.words, 1)

    # -- following the session ------------------------------------------------------------

    def _soon(self) -> None:
        """Something is being drawn: look once it has settled."""
        self._settle.start()

    def _update(self) -> None:
        """The slide, its values or its groups changed."""
        state = self._session.current
        self._groups = {} if state is None else spot_groups(self._session, state)
        layer = self.pen.follow()
        for side, row in self.rows.items():
            listed = list(self._groups.values())
            if side == "B" and state is not None:
                listed.append(rest_of(self._group("A"), state.slide.n_spots))
            own = ("drawn", "" if layer is None else layer.name, side)
            row.set_groups(listed, own)
            row.setEnabled(state is not None)
        self._update_pair()

    def _group(self, side: str) -> SpotGroup | None:
        key = self.rows[side].key
        if key == REST:
            state = self._session.current
            return None if state is None else rest_of(self._group("A"), state.slide.n_spots)
        return self._groups.get(key)

    def _update_pair(self) -> None:
        """Other groups were chosen."""
        state, running = self._session.current, self.work.running
        a, b = self._group("A"), self._group("B")
        can = state is not None and bool(state.kinds)
        if state is None:
            self.counts.say(_NO_SLIDE)
        elif not can:
            self.counts.say(_NOTHING)
        else:
            self.counts.say(pair_words(a, b))
        problem = group_problem("A", a) or group_problem("B", b)
        self.run.setEnabled(can and not problem and not running)
        self.run.setToolTip(problem or "Rank all genes by how much A and B differ")
        self.cancel.setEnabled(running)
        self.progress.setVisible(running or bool(self.progress.text.text()))
        self._update_table(state, a, b)

    def _update_table(
        self, state: SlideState | None, a: SpotGroup | None, b: SpotGroup | None
    ) -> None:
        result = None if state is None else self._compared.get(state)
        if result is not None and state is not None:
            # Another prediction has other values, and may have other genes.
            result = result if result.compared.prediction is state.prediction else None
        compared = None if result is None else result.compared
        if compared is not self._shown:
            self._shown = compared
            if compared is None:
                self.table.set_frame(self.table.table.frame.iloc[:0])
            else:
                frame = compared.result.frame
                words = table_words(compared.result)
                self.table.set_frame(frame, _formats(list(frame.columns)), words)
                self.table.show_key(self._session.gene)
                # The largest differences first, wherever the gene that is shown stands.
                self.table.scrollToTop()
        stale = result is not None and not (_same(result.a, a) and _same(result.b, b))
        told = "" if compared is None else compared.result.describe()
        self.words.say((_STALE if stale else "") + told)
        self.save.setEnabled(compared is not None)

    def _on_gene(self) -> None:
        self.table.show_key(self._session.gene)

    # -- what the controls do -------------------------------------------------------------

    def _on_run(self) -> None:
        state, a, b = self._session.current, self._group("A"), self._group("B")
        if state is None or a is None or b is None or self.work.running:
            return
        self._running = (state, state.slide, a, b)
        self.progress.begin("Starting")
        sides = (a.name, a.rows), (b.name, b.rows)
        self.work.start(
            partial(compare_steps, state.slide, state.prediction, state.measured, *sides)
        )
        self.gone.watch([state.slide])
        self._update_pair()

    def _on_compared(self, compared: Compared) -> None:
        assert self._running is not None
        state, slide, a, b = self._running
        self.progress.say("")
        if self._session.slides.get(state.name) is not state or state.slide is not slide:
            return
        self._compared[state] = _Result(compared, a.rows, b.rows)
        if state.measured is None and compared.measured is not None:
            self._session.set_measured(state.name, compared.measured)

    def _on_save(self) -> None:
        if self._shown is not None:
            result = self._shown.result
            name = f"{result.slide}_{result.a}_against_{result.b}"
            save_table(self, result.frame, name, result.describe())


def _same(rows: np.ndarray, group: SpotGroup | None) -> bool:
    return group is not None and np.array_equal(rows, group.rows)


def _formats(columns: list[str]) -> dict[str, str]:
    """How the numbers read: sizes whole, the others to two digits."""
    return {name: "{:.0f}" if " n " in name else "{:.2f}" for name in columns}
