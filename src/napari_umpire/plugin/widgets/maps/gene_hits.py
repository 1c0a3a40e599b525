"""The genes that fit what was typed, as a Qt list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt

from napari_umpire.genes.names import is_ensembl_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.inference.genes.table import GeneTable

__all__ = ["LIMIT", "GeneHits"]

LIMIT = 200
STAR = "★ "


class GeneHits(QAbstractListModel):
    """Rows of (key, label); all genes, or those of a list, while nothing is typed."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._table: GeneTable | None = None
        self._only: dict[str, None] | None = None
        self._starred: frozenset[str] = frozenset()
        self._found: list[tuple[str, str]] | None = None
        self._n = 0  # Qt asks twice per row to lay a list out

    @property
    def table(self) -> GeneTable | None:
        """The genes that are searched."""
        return self._table

    def set_table(self, table: GeneTable) -> None:
        """Search among other genes from the next `search`."""
        self._table = table

    def set_only(self, keys: Sequence[str] | None) -> None:
        """Search only among ``keys``, from the next `search`; None: among all."""
        self._only = None if keys is None else dict.fromkeys(keys)

    def set_starred(self, keys: frozenset[str]) -> None:
        """Mark favourites."""
        self._starred = keys
        if self.rowCount():
            self.dataChanged.emit(self.index(0), self.index(self.rowCount() - 1))

    def lacks_ids(self, text: str) -> bool:
        """Whether an Ensembl id was typed where no gene has one."""
        if self.table is None or not is_ensembl_id(text.strip()):
            return False
        return not self.table.frame["id"].astype(bool).any()

    def search(self, text: str) -> None:
        """List the genes that fit ``text``; all where it is empty."""
        self.beginResetModel()
        self._found = None
        table, only = self._table, self._only
        if table is not None and text.strip():
            hits = table.index.search(text, LIMIT if only is None else len(table))
            self._found = [(h.key, h.label) for h in hits if only is None or h.key in only][:LIMIT]
        elif table is not None and only is not None:
            self._found = [(key, table.label(key)) for key in only]
        self._n = len(self._found if self._found is not None else table or ())
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of hits."""
        return 0 if parent is not None and parent.isValid() else self._n

    def key(self, row: int) -> str:
        """Key of the gene in a row."""
        if self._found is not None:
            return self._found[row][0]
        assert self._table is not None
        return str(self._table.frame.index[row])

    def row_of(self, key: str) -> int:
        """Row of a gene, -1 where it is not listed."""
        if self._found is not None:
            return next((i for i, hit in enumerate(self._found) if hit[0] == key), -1)
        return -1 if self._table is None else self._table.row(key)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The label with a star before a favourite; the id and where it is known as a tooltip."""
        if not index.isValid() or self._table is None:
            return None
        key = self.key(index.row())
        if role == Qt.ItemDataRole.DisplayRole:
            label = self._table.label(key) if self._found is None else self._found[index.row()][1]
            return f"{STAR}{label}" if key in self._starred else label
        if role == Qt.ItemDataRole.ToolTipRole:
            row = self._table.frame.loc[key]
            have = [kind for kind in ("predicted", "measured") if row[kind]]
            return f"{row['id'] or key}: {' and '.join(have)}"
        return None
