"""The Retrieve widget: what lies close to a gene, a list or a spot; and a patch to its genes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.plugin.layers.spot_view import go_to_spot, reference_spot
from napari_umpire.plugin.runs.retrieval import (
    ASKS,
    Found,
    ask_of,
    found_map,
    found_steps,
)
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.parts.dock_size import dock_size
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.long_words import LongWords
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.progress_row import ProgressRow
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.widgets.parts.slide_gone import EndWithSlide
from napari_umpire.plugin.widgets.parts.spot_keys import SPOT_KEYS, add_spot_keys
from napari_umpire.plugin.widgets.retrieve.gene_line import GeneLine
from napari_umpire.plugin.widgets.retrieve.patch_genes import PatchGenes
from napari_umpire.plugin.widgets.retrieve.retrieved_spots import RetrievedSpots
from napari_umpire.plugin.words.method import no_references

if TYPE_CHECKING:
    from napari import Viewer
    from qtpy.QtCore import QSize

    from napari_umpire.inference.predictions.prediction import Prediction

__all__ = ["RetrieveWidget"]


class RetrieveWidget(QWidget):
    """Searches the aligned space, shows a heat map and the closest spots.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._asked: tuple[str, Prediction | None] | None = None
        self._found: Found | None = None
        self._problem = ""
        self.work = Work(self)
        self._build()
        Manners(self, self.slides)
        add_spot_keys(self, self._session)
        self.kind.currentIndexChanged.connect(self._update)
        self.line.returnPressed.connect(self._on_run)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self.work.cancel)
        self.work.done.connect(self._on_found)
        self.work.failed.connect(self._on_failed)
        self.gone = EndWithSlide(self._session, self.work, self._on_failed)
        self.work.ended.connect(self._update)
        self.here.activated.connect(self._on_here)
        self.there.activated.connect(self._on_there)
        session = self._session
        for signal in (session.slides_changed, session.current_changed, session.values_changed):
            listen(self, signal, self._update)
        listen(self, session.spot_changed, self._update)
        listen(self, session.gene_changed, self._update)
        self._update()

    def sizeHint(self) -> QSize:
        """Room for four pictures in a row."""
        return dock_size(640)

    def _build(self) -> None:
        self.slides = SlideCombo(self._session)
        self.kind = QComboBox()
        for kind, words in ASKS.items():
            self.kind.addItem(words, kind)
        self.kind.setToolTip("What the patches are to lie close to")
        self.kind.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.line = GeneLine()
        self.list = QPlainTextEdit()
        self.list.setPlaceholderText("paste genes: symbols, aliases or Ensembl ids")
        self.list.setTabChangesFocus(True)
        self.list.setFixedHeight(56)
        self.subject = QLabel()
        self.subject.setWordWrap(True)
        self.run, self.cancel = QPushButton("Run"), QPushButton("Cancel")
        self.progress = ProgressRow(self.work)
        self.words = LongWords(7)
        self.here = RetrievedSpots("Go to the spot: double click or Enter")
        self.there = RetrievedSpots("Go to the spot where its slide is open: double click or Enter")
        self.genes = PatchGenes(self._session)
        search = QWidget()
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Like", self.kind)
        self._form.addRow("Gene", self.line)
        self._form.addRow("Genes", self.list)
        self._form.addRow(self.subject)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run)
        buttons.addWidget(self.cancel)
        self.closest = QTabWidget()
        self.closest.addTab(self.here, "Closest here")
        self.closest.addTab(self.there, "Closest in the reference")
        inside = QVBoxLayout(search)
        inside.setContentsMargins(0, 4, 0, 0)
        inside.addLayout(self._form)
        inside.addLayout(buttons)
        inside.addWidget(self.progress)
        inside.addWidget(self.words)
        inside.addWidget(self.closest, 1)
        self.tabs = QTabWidget()
        self.tabs.addTab(search, "Genes or a spot to patches")
        self.tabs.addTab(self.genes, "A patch to its genes")
        layout = QVBoxLayout(self)
        layout.addWidget(self.slides)
        layout.addWidget(self.tabs, 1)

    # -- following the session ------------------------------------------------------------

    @property
    def _row(self) -> int | None:
        """The spot that was asked about, where it is of the current slide."""
        spot, state = self._session.spot, self._session.current
        return spot[1] if spot is not None and state is not None and spot[0] == state.name else None

    def _update(self) -> None:
        state, busy = self._session.current, self.work.running
        kind = self.kind.currentData()
        self._form.setRowVisible(self.line, kind == "gene")
        self._form.setRowVisible(self.list, kind == "list")
        self._form.setRowVisible(self.subject, kind not in ("gene", "list"))
        predicted = state is not None and state.retrieval is not None
        if state is not None:
            self.line.set_table(state.genes)
        self.subject.setText(self._subject(kind))
        self.run.setEnabled(predicted and not busy)
        self.run.setToolTip("" if predicted else "Needs a slide that was predicted by retrieval")
        self.cancel.setEnabled(busy)
        self.progress.setVisible(busy)
        if self._found is None or not self._still_there():
            self._found = None
            self.here.show_spots([], None)
            self.there.show_spots([], None)
            self.words.say(self.gone.words or self._why_not() or self._problem)

    def _still_there(self) -> bool:
        """Whether what was found is of a slide and a prediction that are still there."""
        if self._asked is None:
            return False
        state = self._session.slides.get(self._asked[0])
        return state is not None and state.prediction is self._asked[1]

    def _why_not(self) -> str:
        state = self._session.current
        if state is None:
            return "Drop a slide into the window to begin."
        if state.prediction is None:
            return "Predict the genes of the slide first: Plugins > Umpire > Predict."
        return no_references(state, "space to search in")

    def _subject(self, kind: str) -> str:
        state = self._session.current
        if state is None:
            return ""
        if kind == "shown":
            gene = self._session.gene
            known = gene is not None and state.knows(gene)
            return f"Shown: {state.label(gene)}" if known and gene is not None else "None is shown."
        row = self._row
        if row is None:
            return "Click a spot, or press Alt and an arrow key."
        return f"Spot {state.slide.spots.index[row]}. {SPOT_KEYS}."

    # -- what the controls do -------------------------------------------------------------

    def _on_run(self) -> None:
        state, session = self._session.current, self._session
        if state is None or self.work.running:
            return
        kind = self.kind.currentData()
        text = self.line.text() if kind == "gene" else self.list.toPlainText()
        try:
            ask = ask_of(state, kind, text=text, gene=session.gene, row=self._row)
        except InputError as error:
            self._found, self._problem = None, str(error)
            self._update()
            return
        self._problem = ""
        prediction = state.retrieval
        assert prediction is not None  # `ask_of` saw to it
        self._asked, self._found = (state.name, prediction), None
        self.progress.begin("Starting")
        self.work.start(
            partial(
                found_steps,
                ask,
                state.slide,
                prediction,
                state.measured,
                model_source=session.model_path or prediction.record.model,
                loaded=session.model,
            )  # fmt: skip
        )
        self.gone.watch([state.slide])
        self._update()

    def _on_found(self, found: Found) -> None:
        if not self._still_there() or self._asked is None:
            return
        name = self._asked[0]
        state = self._session.slides[name]
        self._found = found
        if found.measured is not None and state.measured is None:
            self._session.set_measured(name, found.measured)
        retrieved = found.retrieved
        self.words.say(found.describe())
        self.here.show_spots(
            [(name, str(state.slide.spots.index[r]), float(retrieved.similarity[r]))
             for r in retrieved.rows],
            found.pictures, found.field_um,
        )  # fmt: skip
        assert state.retrieval is not None
        lines = state.retrieval.reference.spots.iloc[retrieved.reference_rows]
        self.there.show_spots(
            list(zip(lines["slide"], lines["spot"], retrieved.reference_similarity, strict=True)),
            found.reference_pictures, found.field_um,
        )  # fmt: skip
        self._session.set_map(name, found_map(found))

    def _on_failed(self, sentence: str) -> None:
        self._problem = sentence

    def _on_here(self, place: int) -> None:
        if self._found is not None and self._asked is not None and self._still_there():
            go_to_spot(self._session, self._asked[0], int(self._found.retrieved.rows[place]))

    def _on_there(self, place: int) -> None:
        if self._found is None or self._asked is None or not self._still_there():
            return
        prediction = self._session.slides[self._asked[0]].retrieval
        assert prediction is not None
        row = int(self._found.retrieved.reference_rows[place])
        try:
            where = reference_spot(self._session, prediction.reference, row)
        except InputError as error:
            self.there.say(str(error))
            return
        self.there.say("")
        go_to_spot(self._session, *where)
