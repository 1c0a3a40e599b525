"""Which genes are searched: all, the favourites or a list; and its signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.signature import Signature
from napari_umpire.plugin.widgets.maps.gene_search import ALL_GENES, GeneSearch
from napari_umpire.plugin.widgets.parts.listening import listen

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_umpire.inference.genes.lists import GeneList
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.widgets.maps.list_box import ListBox

__all__ = ["ListChoice"]

T = TypeVar("T")


class ListChoice(QObject):
    """Ties the search and the tab of lists to the user's shelf of lists."""

    def __init__(self, session: Session, search: GeneSearch, box: ListBox) -> None:
        super().__init__(box)
        self._session, self._search, self._box = session, search, box
        self.name: str | None = None
        search.list_chosen.connect(self._on_chosen)
        search.starred.connect(self._on_starred)
        box.kept.connect(self._on_kept)
        box.dropped.connect(self._on_dropped)
        box.signature_wanted.connect(self._on_signature)
        box.cancel_score.clicked.connect(session.scoring.cancel)
        session.scoring.changed.connect(self._on_scoring)
        listen(self, session.shelf.changed, self.refresh)
        if session.shelf.trouble:
            show_warning(session.shelf.trouble)
        self.refresh()

    @property
    def _table(self) -> GeneTable | None:
        state = self._session.current
        return None if state is None else state.genes

    @property
    def keys(self) -> tuple[str, ...]:
        """Genes of the chosen list on the current slide; none for all genes."""
        if self.name is None or self._table is None:
            return ()
        return self._session.shelf.resolve(self.name, self._table).keys

    def refresh(self) -> None:
        """The lists or the genes of the slide have changed."""
        shelf, table = self._session.shelf, self._table
        if self.name is not None and self.name not in shelf.lists:
            self.name = None
        self._search.set_lists(list(shelf.lists), self.name or ALL_GENES)
        if table is None:
            self._box.set_chosen(self.name, shelf.trouble)
            return
        starred = shelf.resolve(shelf.favourites.name, table).keys
        self._search.set_favourites(frozenset(starred))
        words = shelf.trouble or "Choose a list under the search to show its score."
        keys: tuple[str, ...] | None = None
        if self.name is not None:
            found = shelf.resolve(self.name, table)
            keys, words = found.keys, f"{self.name}: {found.describe()}"
            if not shelf.lists[self.name].genes:
                words = "No favourite yet: the star beside the search makes the gene shown one."
        self._search.set_only(keys)
        self._search.set_gene(self._session.gene)
        self._box.set_chosen(self.name, words, known=len(keys or ()))

    def _on_chosen(self, name: str) -> None:
        self.name = None if name == ALL_GENES else name
        self.refresh()

    def _on_starred(self, key: str) -> None:
        table = self._table
        if table is not None:
            self._try(lambda: self._session.shelf.toggle_favourite(key, table))

    def _on_kept(self, one: GeneList) -> None:
        new = self._try(lambda: self._session.shelf.keep_new(one))
        self.name = one.name if new is None else new.name
        self._search.forget_search()  # it would hide genes of the list that was just kept
        self.refresh()

    def _on_dropped(self) -> None:
        name = self.name
        if name is not None:
            self._try(lambda: self._session.shelf.drop(name))

    def _on_signature(self) -> None:
        table, name = self._table, self.name
        if table is None or name is None or not self.keys:
            return
        # With the genes that this slide lacks, for slides that have them.
        genes = self._session.shelf.lists[name].genes
        self._session.show_signature(Signature(name, genes, self._box.kind))

    def _on_scoring(self) -> None:
        self._box.set_scoring(self._session.scoring.running)

    def _try(self, change: Callable[[], T]) -> T | None:
        try:
            return change()
        except InputError as error:
            show_error(str(error))
            return None
