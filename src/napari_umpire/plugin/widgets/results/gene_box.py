"""Genes for a form: pasted, typed, or taken from one of the user's lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QPlainTextEdit, QVBoxLayout, QWidget

from napari_umpire.plugin.widgets.parts.listening import listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QKeyEvent

    from napari_umpire.plugin.session.session import Session

__all__ = ["GeneBox"]

_LINES = 3


class GeneBox(QWidget):
    """``names`` are the genes as written; ``changed`` tells of an edit."""

    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.lists = QComboBox()
        self.lists.setToolTip("Take the genes of one of your lists")
        self.text = _Text()
        self.text.setPlaceholderText("ERBB2, GNAS, FASN …")
        self.text.setToolTip("Symbols or Ensembl ids, parted by commas, blanks or line ends")
        self.text.setFixedHeight((_LINES + 1) * self.text.fontMetrics().lineSpacing())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.lists)
        layout.addWidget(self.text)
        self.text.textChanged.connect(self.changed)
        self.lists.activated.connect(self._on_list)
        listen(self, session.shelf.changed, self._fill)
        self._fill()

    @property
    def names(self) -> tuple[str, ...]:
        """The genes as written, none for an empty box; `InputError` for what is no list."""
        from napari_umpire.inference.genes.lists import parse_genes

        text = self.text.toPlainText()
        return parse_genes(text) if text.strip() else ()

    def set_names(self, names: Sequence[str]) -> None:
        """Write genes into the box."""
        self.text.setPlainText(", ".join(names))

    def _fill(self) -> None:
        with QSignalBlocker(self.lists):
            self.lists.clear()
            self.lists.addItem("from a list…")
            for name, one in self._session.shelf.lists.items():
                self.lists.addItem(f"{name} ({len(one.genes)})", name)

    def _on_list(self, number: int) -> None:
        name = self.lists.itemData(number)
        if name is not None:
            self.set_names(self._session.shelf.lists[name].genes)


class _Text(QPlainTextEdit):
    """Tab leaves it, as it leaves every other part of a form."""

    def __init__(self) -> None:
        super().__init__()
        self.setTabChangesFocus(True)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Keep the keys of the text from the window's shortcuts."""
        if event is not None:
            super().keyPressEvent(event)
            event.accept()
