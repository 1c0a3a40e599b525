"""Keep lists of genes, and show one as a signature."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.lists import FAVOURITES, GeneList, parse_genes, read_genes
from napari_umpire.inference.genes.signature import SCORES

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_umpire.inference.genes.signature import ScoreKind

__all__ = ["ListBox"]

_FILES = "Gene lists (*.csv *.tsv *.txt);;All files (*)"


class ListBox(QWidget):
    """Paste or open a list; forget the chosen one; show it as a signature.

    Signals
    -------
    kept(GeneList)
        A list to keep and to search in.
    dropped
        The list that is searched is to be forgotten.
    signature_wanted
        The list that is searched is to be shown by the score of `kind`.
    """

    kept = Signal(object)
    dropped = Signal()
    signature_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the list")
        self.text = QPlainTextEdit()
        self.text.setPlaceholderText("paste genes: symbols, aliases or Ensembl ids")
        self.text.setTabChangesFocus(True)
        self.text.setFixedHeight(52)
        self.keep, self.open = QPushButton("Keep"), QPushButton("Open…")
        self.keep.setToolTip("Keep what was pasted under this name, and search in it")
        self.open.setToolTip("A CSV, TSV or text file with one gene per row")
        self.drop = QPushButton("Forget")
        self.drop.setToolTip("Forget the list that is searched")
        self.score = QComboBox()
        self.score.addItems(SCORES)
        self.score.setToolTip(
            "mean: of log1p(CP10k)\nz-score: each gene standardised over the spots of this slide, "
            "then the mean; genes that do not vary are left out"
        )
        self.show_score = QPushButton("Show as signature")
        self.cancel_score = QPushButton("Cancel scoring")
        self.cancel_score.setToolTip("Score no more, and show the gene that was shown before")
        self.cancel_score.setVisible(False)
        self.words = QLabel()
        self.words.setWordWrap(True)
        top, under = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.name)
        top.addWidget(self.keep)
        top.addWidget(self.open)
        under.addWidget(self.score)
        under.addWidget(self.show_score)
        under.addWidget(self.cancel_score)
        under.addWidget(self.drop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 2)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addLayout(top)
        layout.addLayout(under)
        layout.addWidget(self.words)
        layout.addStretch()
        self.keep.clicked.connect(self._on_keep)
        self.open.clicked.connect(self._on_open)
        self.drop.clicked.connect(self.dropped)
        self.show_score.clicked.connect(self.signature_wanted)

    def set_chosen(self, name: str | None, words: str, *, known: int = 0) -> None:
        """Say what the list that is searched holds; None: all genes are.

        Parameters
        ----------
        known
            Number of its genes that the slide has: without any there is no score to show.
        """
        self.show_score.setEnabled(name is not None and known > 0)
        self.show_score.setToolTip(
            "None of its genes is known on this slide"
            if name is not None and not known
            else "Show the score of the list that is searched, like a gene"
        )
        self.drop.setEnabled(name not in (None, FAVOURITES))
        self.words.setText(words)

    def set_scoring(self, running: bool) -> None:
        """While a large list is scored, its button cancels that."""
        self.cancel_score.setVisible(running)
        self.show_score.setVisible(not running)

    @property
    def kind(self) -> ScoreKind:
        """The score that is chosen."""
        return SCORES[self.score.currentIndex()]

    def open_file(self, path: Path) -> None:
        """Read a list from a file and keep it."""
        self._announce(partial(read_genes, path))

    def _on_keep(self) -> None:
        def made() -> GeneList:
            name = self.name.text().strip() or "pasted"
            return GeneList(name, parse_genes(self.text.toPlainText()))

        if self._announce(made):
            self.text.clear()
            self.name.clear()

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a gene list", "", _FILES)
        if path:
            self.open_file(Path(path))

    def _announce(self, made: Callable[[], GeneList]) -> bool:
        try:
            one = made()
        except InputError as error:
            self.words.setText(str(error))
            show_error(str(error))
            return False
        self.kept.emit(one)
        return True
