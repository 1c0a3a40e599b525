"""The genes that can be shown on a slide: what was predicted and what was measured, matched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from napari_umpire.genes.columns import gene_table
from napari_umpire.inference.genes.measured import gene_keys
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_umpire.inference.genes.search import GeneIndex

__all__ = ["GeneTable", "index_steps"]


@dataclass(frozen=True, eq=False)
class GeneTable:
    """One row per gene.

    Attributes
    ----------
    frame
        Index = key; columns ``symbol``, ``id``, ``predicted`` and ``measured``: the gene's key in
        the prediction and in the measurement, "" where it is not in it. In order of symbol.
    """

    frame: pd.DataFrame

    @classmethod
    def build(cls, predicted: pd.DataFrame | None, measured: pd.DataFrame | None) -> GeneTable:
        """Match two lists of genes by Ensembl id, and by symbol where one side has no id.

        Parameters
        ----------
        predicted
            Genes of a prediction: index = the name that it answers to, columns ``symbol`` and,
            where known, ``id``; an index of Ensembl ids serves as ``id``.
        measured
            Genes of a `Measured`: index = key, columns ``id``, ``symbol``.
        """
        p, m = _normalised(predicted), _normalised(measured)
        by_key = {key: row for row, key in enumerate(p.key)}
        times = Counter(p.symbol)
        by_symbol = {s: row for row, s in enumerate(p.symbol) if s and times[s] == 1}
        found: dict[int, str] = {}
        rest = []
        for number, (key, symbol) in enumerate(zip(m.key, m.symbol, strict=True)):
            row = by_key.get(key)
            if row is None:
                same = by_symbol.get(symbol)
                row = same if same is not None and "" in (m.id[number], p.id[same]) else None
            if row is not None and row not in found:
                found[row] = m.name[number]
            elif key not in by_key:  # two measured genes may match one predicted: the first is it
                rest.append(number)
        none, more = np.full(len(rest), "", object), np.array(rest, np.int64)
        matched = np.full(len(p.key), "", object)
        matched[list(found)] = list(found.values())
        keys, symbols = (_joined(*pair, more) for pair in ((p.key, m.key), (p.symbol, m.symbol)))
        columns = {
            "symbol": symbols,
            "id": _joined(p.id, m.id, more),
            "predicted": np.concatenate([_objects(p.name), none]),
            "measured": _joined(matched, m.name, more),
        }
        low = [(s or key).lower() for s, key in zip(symbols.tolist(), keys.tolist(), strict=True)]
        order = sorted(range(len(low)), key=low.__getitem__)
        frame = pd.DataFrame({name: column[order] for name, column in columns.items()})
        return cls(frame.set_axis(pd.Index(keys[order], dtype=object), axis=0))

    @cached_property
    def index(self) -> GeneIndex:
        """Type-ahead search over all of them, also by retired symbols and names of stains."""
        from napari_umpire.genes.aliases import GeneAliases
        from napari_umpire.inference.genes.search import GeneIndex, other_names

        sources = GeneAliases.builtin(), GeneAliases.stains()
        return GeneIndex(self.frame, other_names(self.frame, *sources))

    def row(self, key: str) -> int:
        """Place of a gene in the list, -1 where it is not in it."""
        return self._rows.get(key, -1)

    def label(self, key: str) -> str:
        """The symbol of a gene, or its key where it has none or is no gene of this table."""
        return str(self.frame.at[key, "symbol"] or key) if key in self else key

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {str(key): row for row, key in enumerate(self.frame.index)}

    def key_of_predicted(self, name: str) -> str:
        """The key of the gene that a prediction knows as ``name``."""
        return str(self.frame.index[self.frame["predicted"] == name][0])

    def key_of_measured(self, name: str) -> str:
        """The key of the gene that the measurement knows as ``name``."""
        return str(self.frame.index[self.frame["measured"] == name][0])

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self.frame)


def index_steps(table: GeneTable) -> Steps[GeneTable]:
    """Make the search over 20,000 genes ready, a tenth of a second that no window should wait."""
    yield Progress("Reading the names of the genes", 0, len(table), "genes")
    table.index.keys("")
    return table


def _objects(values: list[str] | np.ndarray) -> np.ndarray:
    return np.array(values, dtype=object)


def _joined(first: list[str] | np.ndarray, second: list[str], rows: np.ndarray) -> np.ndarray:
    """All of the first, then some rows of the second, object."""
    return np.concatenate([_objects(first), _objects(second)[rows]])


class _Genes(NamedTuple):
    """A list of genes, each key once; lists, because pandas takes three times as long here."""

    key: list[str]
    name: list[str]
    id: list[str]
    symbol: list[str]


def _normalised(genes: pd.DataFrame | None) -> _Genes:
    if genes is None or not len(genes):
        return _Genes([], [], [], [])
    table = gene_table(genes)
    lists = (gene_keys(table), table.index, table["id"], table["symbol"])
    keys, names, ids, symbols = (values.tolist() for values in lists)
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    if len(first) == len(keys):
        return _Genes(keys, names, ids, symbols)
    kept = sorted(first.values())
    return _Genes(*([values[i] for i in kept] for values in (keys, names, ids, symbols)))
