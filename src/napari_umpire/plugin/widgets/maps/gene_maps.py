"""The Gene maps widget: which gene, which map of it, which range, how sure."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.inference.genes.table import index_steps
from napari_umpire.plugin.layers.make import KINDS
from napari_umpire.plugin.layers.ranges import range_words
from napari_umpire.plugin.runs.predict import measured_steps
from napari_umpire.plugin.runs.workers import Work
from napari_umpire.plugin.session.session import session_of
from napari_umpire.plugin.widgets.maps.fixed_scale import FixedScale
from napari_umpire.plugin.widgets.maps.gene_search import GeneSearch
from napari_umpire.plugin.widgets.maps.list_box import ListBox
from napari_umpire.plugin.widgets.maps.list_choice import ListChoice
from napari_umpire.plugin.widgets.maps.look_box import LookBox
from napari_umpire.plugin.widgets.maps.range_box import RangeBox
from napari_umpire.plugin.widgets.maps.trust_box import TrustBox
from napari_umpire.plugin.widgets.parts.dock_size import dock_size, slim
from napari_umpire.plugin.widgets.parts.listening import listen
from napari_umpire.plugin.widgets.parts.manners import Manners
from napari_umpire.plugin.widgets.parts.slide_combo import SlideCombo
from napari_umpire.plugin.words.gene import gene_words
from napari_umpire.plugin.words.look import look_words

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.plugin.layers.colours import Look
    from napari_umpire.plugin.layers.make import Kind
    from napari_umpire.plugin.layers.ranges import RangeChoice
    from napari_umpire.slides.slide import Slide

__all__ = ["GeneMapsWidget"]

_TABS_PX = 225

_TIPS: dict[Kind, str] = {
    "predicted": "Weighted mean over the reference spots that look most like a spot",
    "measured": "What was counted on this slide",
    "difference": "Predicted minus measured",
    "spread": (
        "How far the references of a spot disagree about the gene: weighted standard deviation, "
        "log1p(CP10k); bright is sure"
    ),
}


class GeneMapsWidget(QWidget):
    """Shows a gene or a signature of a slide, and how far to trust it.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        # By object, not by name: a slide may go, and another of its name come, meanwhile.
        self._reading: Slide | None = None
        self._unreadable: WeakSet[Slide] = WeakSet()
        self._table: GeneTable | None = None
        self.work, self.naming = Work(self), Work(self)
        self._build()
        Manners(self, self.search.line)
        self.search.chosen.connect(self._session.set_gene)
        self.range.changed.connect(self._on_range)
        self.range.lock_wanted.connect(self._on_lock)
        self.look.changed.connect(self._on_look)
        self.beside.toggled.connect(self._on_beside)
        self.kinds.buttonClicked.connect(self._on_kind)
        self.work.done.connect(self._on_measured)
        self.work.failed.connect(self._on_failed)
        self.work.ended.connect(self._update)
        self.naming.done.connect(self._on_named)
        session = self._session
        for signal in (session.slides_changed, session.current_changed, session.values_changed):
            listen(self, signal, self._update)
        listen(self, session.gene_changed, self._update_gene)
        listen(self, session.view_changed, self._update_gene)
        self._update()

    def sizeHint(self) -> QSize:
        """Room for some genes above the tabs."""
        return dock_size(640)

    def _build(self) -> None:
        session = self._session
        self.slides = SlideCombo(session)
        self.search = GeneSearch()
        self.kinds = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(2)
        self.buttons: dict[Kind, QPushButton] = {}
        for kind in KINDS:
            button = QPushButton(kind.capitalize())
            button.setCheckable(True)
            button.setToolTip(_TIPS[kind])
            self.kinds.addButton(button)
            self.buttons[kind] = button
            row.addWidget(button)
        self.beside = QCheckBox("measured beside predicted")
        self.beside.setToolTip("Two panes of the same tissue; pan and zoom are linked")
        self.range, self.look = RangeBox(session.range), LookBox(session.look)
        self.lists, self.trust = ListBox(), TrustBox(session)
        self.choice = ListChoice(session, self.search, self.lists)
        self.scale = FixedScale(session, self.range, self.choice)
        self.tabs = QTabWidget()
        pages = (
            ("Range", self.range, "What the ends of the colour bar stand for"),
            ("Look", self.look, "Colormap and opacity"),
            ("Lists", self.lists, "Favourites, gene lists and signatures"),
            ("Trust", self.trust, "Where the reference can say little"),
        )
        for title, page, tip in pages:
            inside = QScrollArea()
            inside.setWidget(page)
            inside.setWidgetResizable(True)
            inside.setFrameShape(QFrame.Shape.NoFrame)
            inside.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            inside.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            self.tabs.addTab(inside, title)
            self.tabs.setTabToolTip(self.tabs.count() - 1, tip)
        # Of one height: the list of genes must not jump with the words of a page.
        self.tabs.setFixedHeight(_TABS_PX)
        self.words = QLabel()
        self.words.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", self.slides)
        layout = QVBoxLayout(self)
        layout.setSpacing(4)
        slim(layout)
        layout.addLayout(form)
        layout.addWidget(self.search, 1)
        layout.addLayout(row)
        layout.addWidget(self.beside)
        layout.addWidget(self.words)
        layout.addWidget(self.tabs)

    # -- following the session ------------------------------------------------------------

    def _update(self) -> None:
        """The slide or its values changed."""
        state = self._session.current
        self._read_counts()
        table = None if state is None else state.genes
        if table is not None and table is not self._table:
            self._table = table
            self.search.set_table(table)
            self._read_names()
        self._open_with_a_gene()
        self._update_gene()

    def _update_gene(self) -> None:
        """The gene or the way it is shown changed."""
        session, state = self._session, self._session.current
        kinds = () if state is None else state.kinds
        kind = session.kind if session.kind in kinds else next(iter(kinds), None)
        on_gene = not session.beside and (state is None or session.shown_map not in state.maps)
        # An exclusive group would keep the last button down while another map is shown.
        self.kinds.setExclusive(False)
        for one, button in self.buttons.items():
            with QSignalBlocker(button):
                button.setEnabled(one in kinds and not session.beside)
                button.setChecked(one == kind and on_gene)
        self.kinds.setExclusive(True)
        both = {"predicted", "measured"} <= set(kinds)
        with QSignalBlocker(self.beside):
            self.beside.setEnabled(both)
            self.beside.setChecked(both and session.beside)
        self.range.shared.setEnabled(both)
        self.range.set_choice(session.range)
        self.look.set_look(session.look)
        self.search.set_gene(session.gene)
        words = gene_words(state, session.gene, kind or "predicted", reading=self.work.running)
        if state is not None and session.shown_map in state.maps:
            words = "Another map is shown now; a gene or one of these buttons shows the gene again."
        self.words.setText(words)
        self.look.words.setText(look_words(state, session.look))
        values = None
        if state is not None and session.gene is not None and kind is not None:
            values = state.gene_maps(session.gene).get(kind)
        said = "" if values is None else range_words(values, session.range)
        told = " ".join(part for part in (self.scale.words, said) if part)
        self.range.words.setText("" if state is None else told)

    def _read_counts(self) -> None:
        """Start reading the counts of the current slide, once, in the thread."""
        state = self._session.current
        if (
            state is None
            or not state.slide.has_counts
            or state.measured is not None
            or state.slide in self._unreadable
            or self.work.running
        ):
            return
        self._reading = state.slide
        self.work.start(partial(measured_steps, state.slide))

    def _read_names(self) -> None:
        """Make the search ready in the thread; lists are looked up once it is."""
        if self._table is not None and not self.naming.running:
            self.naming.start(partial(index_steps, self._table))

    def _open_with_a_gene(self) -> None:
        """Where no gene was chosen yet, begin with one that shows something."""
        state = self._session.current
        if state is not None and state.measured is not None and self._session.gene is None:
            self._session.set_gene(state.genes.key_of_measured(state.measured.most_variable()))

    # -- what the controls do -------------------------------------------------------------

    def _on_named(self, table: GeneTable) -> None:
        if table is self._table:
            self.choice.refresh()
        else:
            self._read_names()

    def _on_measured(self, measured: Measured) -> None:
        # Kept aside: what is told here may start to read the next slide at once.
        slide = self._reading
        for state in list(self._session.slides.values()):
            if state.slide is slide:
                self._session.set_measured(state.name, measured)

    def _on_failed(self, _sentence: str) -> None:
        if self._reading is not None:
            self._unreadable.add(self._reading)

    def _on_range(self, choice: RangeChoice) -> None:
        self._session.set_view(range=choice)

    def _on_lock(self) -> None:
        """Freeze the ends that are seen, also those that the user dragged in the layer's own."""
        session, state = self._session, self._session.current
        kinds = () if state is None else state.kinds
        kind = session.kind if session.kind in kinds else next(iter(kinds), "predicted")
        layer = session.display.layer("predicted" if session.beside else kind)
        if layer is None:
            self.range.set_choice(session.range)
            return
        low, high = (float(v) for v in layer.contrast_limits)
        if kind == "difference":
            low = 0.0  # a difference's range is drawn symmetric about 0
        session.set_view(range=replace(session.range, mode="locked", absolute=(low, high)))

    def _on_look(self, look: Look) -> None:
        self._session.set_view(look=look)

    def _on_beside(self, on: bool) -> None:
        self._session.set_view(beside=on)

    def _on_kind(self, clicked: QPushButton) -> None:
        kind = next(k for k, button in self.buttons.items() if button is clicked)
        self._session.set_view(kind=kind)
