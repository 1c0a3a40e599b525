"""`GeneShelf`: favourites and gene lists of the user, kept between sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.list_file import read_lists, set_aside, write_lists
from napari_umpire.inference.genes.lists import FAVOURITES, GeneList, Resolved, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_umpire.inference.genes.table import GeneTable

__all__ = ["GeneShelf", "shelf_file"]


def shelf_file() -> Path:
    """Where this user's lists lie: beside the settings."""
    from pathlib import Path

    from napari_umpire.plugin.widgets.parts.places import settings

    return Path(settings().fileName()).parent / "gene-lists.json"


class GeneShelf:
    """The lists in a file, written anew at each change.

    A damaged file does no harm: there are no lists then, `trouble` says so, and the file is put
    aside, not overwritten, once a list is kept.

    Signals
    -------
    changed
        A list came, went or changed.
    """

    changed = Signal()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lists: dict[str, GeneList] = {}
        self.trouble = ""
        self._unsaved = False
        self._read()

    @property
    def lists(self) -> Mapping[str, GeneList]:
        """Name -> list; the favourites come first, and are always there."""
        rest = {name: one for name, one in self._lists.items() if name != FAVOURITES}
        return {FAVOURITES: self.favourites, **rest}

    @property
    def favourites(self) -> GeneList:
        """The genes with a star."""
        return self._lists.get(FAVOURITES, GeneList(FAVOURITES, ()))

    def resolve(self, name: str, table: GeneTable) -> Resolved:
        """The genes of a list among those of a slide; of a list that is gone, none."""
        genes = self.lists.get(name, GeneList(name, ())).genes
        return resolve(genes, table.index) if genes else Resolved(())

    def toggle_favourite(self, key: str, table: GeneTable) -> None:
        """Make a gene of a slide a favourite, or none any more."""
        names = [n for n in self.favourites.genes if table.index.keys(n) == (key,)]
        if names:
            self.keep(self.favourites.without(names))
            return
        # By symbol, which other slides know too; where two genes bear it, by id.
        label = table.label(key)
        name = label if table.index.keys(label) == (key,) else key
        self.keep(self.favourites.with_gene(name))

    def keep_new(self, one: GeneList) -> GeneList:
        """Keep a list under a name that is free, so that no other list is lost; return it."""
        name, number = one.name, 2
        while name == FAVOURITES or self.lists.get(name, one).genes != one.genes:
            name, number = f"{one.name} ({number})", number + 1
        new = GeneList(name, one.genes)
        self.keep(new)
        return new

    def keep(self, one: GeneList) -> None:
        """Keep a list, in place of that of the same name.

        Raises
        ------
        InputError
            Where the disk refuses; the list is there until the program ends.
        """
        self._change(one.name, one)

    def drop(self, name: str) -> None:
        """Forget a list."""
        self._change(name, None)

    def _change(self, name: str, one: GeneList | None) -> None:
        kept = self._lists  # those stay if the file is damaged meanwhile
        self._read()  # another window may have kept a list since
        lists = {**(kept if self.trouble or self._unsaved else {}), **self._lists}
        if one is None:
            lists.pop(name, None)
        else:
            lists[name] = one
        self._lists, self._unsaved = lists, True
        try:
            if self.trouble:
                set_aside(self._path)
                self.trouble = ""
            write_lists(self._path, lists.values())
            self._unsaved = False
        except OSError as error:
            raise InputError(
                f"The gene lists cannot be kept in {self._path}",
                got=error,
                fix="Make the folder writable; until then they are forgotten at the end",
            ) from error
        finally:
            self.changed.emit()

    def _read(self) -> None:
        try:
            self._lists, self.trouble = read_lists(self._path), ""
        except InputError as error:
            self._lists, self.trouble = {}, str(error)
