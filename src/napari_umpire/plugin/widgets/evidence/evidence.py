"""The Evidence widget: which reference spots the value under a click comes from."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.predictions.evidence import (
    Evidence,
    evidence_of,
    find_spot,
    read_spots_steps,
)
from napari_umpire.plugin.layers.spot_view import go_to_spot, reference_spot
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.evidence.evidence_pictures import EvidencePictures
from napari_umpire.plugin.widgets.evidence.picture_reader import PictureReader
from napari_umpire.plugin.widgets.parts.dock_size import dock_size
from napari_umpire.plugin.widgets.parts.enter_table import EnterTable
from napari_umpire.plugin.widgets.parts.form_parts import wrapping_label
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.widgets.parts.spot_keys import SPOT_KEYS, add_spot_keys
from napari_umpire.plugin.words.method import no_references

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["EvidenceWidget"]

_FORMATS = {"similarity": "{:.3f}", "weight": "{:.3f}"}
_TOOLTIPS = {
    "slide": "Slide of the reference",
    "spot": "Barcode of the reference spot",
    "similarity": "Cosine between this spot's image and the reference spot's genes, -1 to 1",
    "weight": "Share of the predicted value that comes from this reference; they sum to 1",
}


class EvidenceWidget(QWidget):
    """The K references behind the spot that was clicked, and behind the gene shown there.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._asked: tuple[str, int] | None = None
        self._went_to: tuple[str, int] | None = None
        self._evidence: Evidence | None = None
        self._unread = ""
        self.reading = Work(self)
        self.looking = PictureReader(self._session, self)
        self._build()
        Manners(self, self.search)
        add_spot_keys(self, self._session)
        self.reading.failed.connect(self._on_unread)
        self.reading.ended.connect(self._update)
        self.looking.changed.connect(self._fill_pictures)
        self.looking.failed.connect(self._say)
        self.search.returnPressed.connect(self._on_search)
        self.table.chosen.connect(self._on_row)
        self.table.gone.connect(self._go)
        self.gallery.current_changed.connect(self._on_picture)
        self.gallery.activated.connect(self._go)
        self.go.clicked.connect(self._go)
        self.back.clicked.connect(self._on_back)
        session = self._session
        listen(self, session.spot_changed, self._on_spot)
        for signal in (session.slides_changed, session.current_changed, session.values_changed):
            listen(self, signal, self._update)
        listen(self, session.gene_changed, self._update)
        self._on_spot()

    def sizeHint(self) -> QSize:
        """Room for the table and three pictures in a row."""
        return dock_size(640)

    def _build(self) -> None:
        self.slides = SlideCombo(self._session)
        self.search = QLineEdit()
        self.search.setPlaceholderText("barcode of a spot, or click one")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip(
            f"The beginning of a barcode is enough where no other begins so.\n{SPOT_KEYS}"
        )
        self.words = wrapping_label()
        self.pictures = EvidencePictures()
        self.gallery = self.pictures.gallery
        self.table = EnterTable()
        self.table.setAccessibleName("Reference spots")
        self.table.setMinimumHeight(90)
        self.table.setToolTip("Ctrl+C copies the chosen rows, with whole barcodes")
        self.go = QPushButton("Show on its slide")
        self.go.setToolTip("Go to the chosen reference spot, where its slide is open (Enter)")
        self.back = QPushButton("Back")
        self.problem = wrapping_label()
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.addWidget(self.pictures)
        self.split.addWidget(self.table)
        self.split.setChildrenCollapsible(False)
        buttons = QHBoxLayout()
        buttons.addWidget(self.go)
        buttons.addWidget(self.back)
        layout = QVBoxLayout(self)
        layout.addWidget(self.slides)
        layout.addWidget(self.search)
        layout.addWidget(self.words)
        layout.addWidget(self.split, 1)
        layout.addLayout(buttons)
        layout.addWidget(self.problem)

    # -- following the session ------------------------------------------------------------

    def _on_spot(self) -> None:
        """Another spot was asked about; one that we went to ourselves leaves all as it is."""
        spot = self._session.spot
        if spot is None or spot != self._went_to:
            self._asked, self._went_to = spot, None
        self._unread = ""
        self._update()

    def _on_unread(self, sentence: str) -> None:
        """The names of the references cannot be read; the next spot tries again, not the end."""
        self._unread = sentence

    @property
    def _state(self) -> SlideState | None:
        """The slide of the spot that was asked about."""
        return None if self._asked is None else self._session.slides.get(self._asked[0])

    def _update(self) -> None:
        state = self._state
        if state is None:
            self._asked = self._went_to = None
        self._evidence = None
        words = self._why_not(state)
        if not words and state is not None and self._asked is not None:
            self._evidence = self._find(state, self._asked[1])
            words = self._evidence.describe()
        self.words.setText(words)
        self.search.setEnabled(self._session.current is not None)
        self.go.setEnabled(self._evidence is not None)
        self.back.setVisible(self._went_to is not None)
        if self._asked is not None:
            self.back.setText(f"Back to {self._asked[0]}")
        self.problem.setVisible(bool(self.problem.text()))
        self.split.setVisible(self._evidence is not None)
        self._fill_table()
        self._fill_pictures()

    def _why_not(self, state: SlideState | None) -> str:
        """Why there is nothing to show; "" where there is."""
        if self._session.current is None:
            return "Drop a slide into the window to begin."
        if state is None or self._asked is None:
            if self._session.current.prediction is None:
                return "Predict the genes of the slide, then click a spot."
            return "Click a spot of the slide, type its barcode, or press Alt and an arrow key."
        if state.prediction is None:
            return f"Nothing is predicted on {state.name} yet: Plugins > Umpire > Predict."
        if state.retrieval is None:
            return no_references(state, "evidence")
        if not state.retrieval.reference.has_read_spots:
            if self._unread:
                return self._unread
            if not self.reading.running:
                self.reading.start(partial(read_spots_steps, state.retrieval.reference))
            return "Reading the reference's spots…"
        return ""

    def _find(self, state: SlideState, row: int) -> Evidence:
        gene, name, label, measured = self._session.gene, None, None, None
        if gene is not None and gene in state.genes:
            name = str(state.genes.frame.at[gene, "predicted"]) or None
            label = state.genes.label(gene)
            values = state.gene_maps(gene).get("measured")
            measured = None if values is None else float(values[row])
        assert state.retrieval is not None
        return evidence_of(state.retrieval, row, name, label=label, measured=measured)

    # -- what is shown --------------------------------------------------------------------

    def _fill_table(self) -> None:
        found = self._evidence
        if found is None:
            return
        frame = found.table[["slide", "similarity", "weight"]]
        formats, tooltips = dict(_FORMATS), dict(_TOOLTIPS)
        if found.gene is not None:
            frame = frame.assign(**{found.gene: found.table["value"]})
            formats[found.gene] = "{:.2f}"
            tooltips[found.gene] = f"Measured in the reference spot, {UNIT}; –: not measured"
        # The longest last: a barcode must not push the numbers out of a narrow dock.
        self.table.set_frame(frame.assign(spot=found.table["spot"]), formats, tooltips)
        self.table.fill_width()

    def _fill_pictures(self) -> None:
        """Show the pictures of the spot; they are read first where they are not at hand."""
        state, row = self._state, None if self._asked is None else self._asked[1]
        if self._evidence is not None and state is not None and row is not None:
            self.looking.ask(state, row)
        self.pictures.show_pictures(self._evidence, self.looking.pictures(state, row))

    # -- what the controls do -------------------------------------------------------------

    def _on_search(self) -> None:
        state = self._session.current
        if state is None:
            return
        try:
            row = find_spot(state.slide, self.search.text())
        except InputError as error:
            self._say(str(error))
            return
        self._say("")
        go_to_spot(self._session, state.name, row)

    def _on_row(self, rank: int) -> None:
        self.gallery.set_current(rank - 1 if rank <= len(self.gallery.items) else -1)

    def _on_picture(self, place: int) -> None:
        self.table.show_key(place + 1)

    def _go(self, *_: object) -> None:
        """Go to the chosen reference spot on its own slide."""
        found, state = self._evidence, self._state
        if found is None or state is None or state.retrieval is None:
            return
        reference_row = int(found.rows[(self.table.key or 1) - 1])
        try:
            where = reference_spot(self._session, state.retrieval.reference, reference_row)
        except InputError as error:
            self._say(str(error))
            return
        self._say("")
        self._went_to = where
        go_to_spot(self._session, *where)

    def _on_back(self) -> None:
        if self._asked is not None and self._state is not None:
            self._went_to = None
            go_to_spot(self._session, *self._asked)
            self._update()

    def _say(self, text: str) -> None:
        self.problem.setText(text)
        self.problem.setVisible(bool(text))
