"""Type-ahead over the genes of a slide: a line to type in, and the list of hits under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.plugin.widgets.maps.gene_hits import LIMIT, GeneHits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QKeyEvent

    from napari_umpire.inference.genes.table import GeneTable

__all__ = ["ALL_GENES", "PAUSE_MS", "GeneSearch"]

ALL_GENES = "all genes"
PAUSE_MS = 250
"""So long after the last key the best hit is shown; a map that jumps at each key is no help."""


_STAR_KEY = QKeySequence("Ctrl+B")


class _Line(QLineEdit):
    """A line whose arrow keys step through the list under it."""

    stepped = Signal(int)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is None:
            return
        steps: dict[int, int] = {
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_PageDown: 10,
            Qt.Key.Key_PageUp: -10,
        }
        if event.key() in steps:
            self.stepped.emit(steps[event.key()])
        else:
            super().keyPressEvent(event)


class GeneSearch(QWidget):
    """Choose a gene by typing, by arrow keys or by a click.

    Signals
    -------
    chosen(str)
        Key of the gene to show: after a pause in typing, or at once by Enter, an arrow or a click.
    starred(str)
        Key of the gene to make a favourite, or to make none.
    list_chosen(str)
        Name of the list to search in, or `ALL_GENES`.
    """

    chosen = Signal(str)
    starred = Signal(str)
    list_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = _Line()
        self.line.setPlaceholderText("symbol, alias or Ensembl id")
        self.line.setClearButtonEnabled(True)
        self.line.setToolTip(
            "Type a part of a name; ↑ and ↓ step through the genes found, Enter shows the first"
        )
        self.star = QToolButton()
        self.star.setText("☆")
        self.star.setCheckable(True)
        self.star.setToolTip("Favourite: keep the gene that is shown, or forget it (Ctrl+B)")
        self.lists = QComboBox()
        self.lists.addItem(ALL_GENES)
        self.lists.setToolTip("Search in all genes, in your favourites or in one of your lists")
        self.lists.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.hits = GeneHits(self)
        self.list = QListView()
        self.list.setAccessibleName("Genes found")
        self.list.setModel(self.hits)
        self.list.setUniformItemSizes(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setMinimumHeight(70)
        self.count = QLabel()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._arrange()
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._show_best)
        self.star.clicked.connect(self._on_star)
        self.lists.activated.connect(lambda row: self.list_chosen.emit(self.lists.itemText(row)))
        self.line.textEdited.connect(self._on_edited)
        self.line.textChanged.connect(self._on_changed)
        self.line.stepped.connect(self._on_step)
        self.line.returnPressed.connect(self._show_best)
        selection = self.list.selectionModel()
        assert selection is not None
        selection.currentChanged.connect(self._on_current)
        self._quiet = False
        self._searched = ""
        self._gene: str | None = None
        self._favourites: frozenset[str] = frozenset()

    def _arrange(self) -> None:
        top, under = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.line, 1)
        top.addWidget(self.star)
        under.addWidget(self.lists, 1)
        under.addWidget(self.count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.list)
        layout.addLayout(under)

    # -- what is searched -----------------------------------------------------------------

    def set_table(self, table: GeneTable) -> None:
        """Search among other genes; what was typed stays."""
        self.hits.set_table(table)
        self._search(self.line.text())

    def set_lists(self, names: Sequence[str], chosen: str) -> None:
        """Offer these lists beside all genes."""
        with QSignalBlocker(self.lists):
            self.lists.clear()
            self.lists.addItems([ALL_GENES, *names])
            self.lists.setCurrentText(chosen)

    def forget_search(self) -> None:
        """Empty the line: what was typed was meant for other genes."""
        self.line.clear()

    def set_only(self, keys: Sequence[str] | None) -> None:
        """Search only among ``keys``; None: among all."""
        self.hits.set_only(keys)
        self._search(self.line.text())

    def set_favourites(self, keys: frozenset[str]) -> None:
        """Mark these with a star."""
        self._favourites = keys
        self.hits.set_starred(keys)
        self._mark_star()

    def set_gene(self, key: str | None) -> None:
        """Mark a gene in the list without choosing it anew."""
        self._gene = key
        row = -1 if key is None else self.hits.row_of(key)
        self._quiet = True
        try:
            at = self.hits.index(row) if row >= 0 else QModelIndex()
            if at != self.list.currentIndex():
                self.list.setCurrentIndex(at)
                self.list.scrollTo(at, QAbstractItemView.ScrollHint.PositionAtCenter)
        finally:
            self._quiet = False
        self._mark_star()

    def _mark_star(self) -> None:
        on = self._gene in self._favourites
        with QSignalBlocker(self.star):
            self.star.setChecked(on)
        self.star.setText("★" if on else "☆")
        table = self.hits.table
        self.star.setEnabled(table is not None and self._gene in table)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Take the key of favourites, which line and list leave to their parent."""
        if event is not None and QKeySequence(event.keyCombination()) == _STAR_KEY:
            self._on_star()
        else:
            super().keyPressEvent(event)

    # -- what the user does ---------------------------------------------------------------

    def _search(self, text: str) -> None:
        self._searched = text
        self._quiet = True
        try:
            self.hits.search(text)
        finally:
            self._quiet = False
        n = self.hits.rowCount()
        more = " or more" if text.strip() and n == LIMIT else ""
        said = f"{n:,}{more} gene{'' if n == 1 else 's'}" + (" found" if text else "")
        if not n and self.hits.lacks_ids(text):
            said = "no Ensembl ids here"
        self.count.setText(said)

    def _on_edited(self, text: str) -> None:
        self._on_changed(text)  # Qt tells of it only after this
        if text.strip() and self.hits.rowCount():
            self.list.scrollToTop()
            self._pause.start()
        else:
            self._pause.stop()

    def _on_changed(self, text: str) -> None:
        """The list is that of the line, whoever wrote there."""
        if text == self._searched:
            return
        self._search(text)
        if not text:
            self._pause.stop()
            self.set_gene(self._gene)

    def _on_step(self, step: int) -> None:
        self._pause.stop()
        n, here = self.hits.rowCount(), self.list.currentIndex()
        if n:
            # The first arrow after typing goes to the best hit, whichever way it points.
            row = min(max(here.row() + step, 0), n - 1) if here.isValid() else 0
            self.list.setCurrentIndex(self.hits.index(row))

    def _show_best(self) -> None:
        """Show the first hit, unless the user has stepped to another."""
        self._pause.stop()
        if self.hits.rowCount() and not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self.hits.index(0))

    def _on_star(self) -> None:
        self._mark_star()  # as it is until the session says otherwise
        if self._gene is not None and self.star.isEnabled():
            self.starred.emit(self._gene)

    def _on_current(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid() and not self._quiet:
            self._pause.stop()
            self.chosen.emit(self.hits.key(current.row()))
