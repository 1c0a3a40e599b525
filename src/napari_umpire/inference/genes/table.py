"""The genes that can be shown on a slide: what was predicted and what was measured, matched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

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
        by_key = pd.Series(p.index, index=p["key"])
        symbols = p[(p["symbol"] != "") & ~p["symbol"].duplicated(keep=False)]
        by_symbol = pd.Series(symbols.index, index=symbols["symbol"])
        by_id = m["key"].map(by_key)
        no_id = (m["id"] == "") | m["symbol"].map(by_symbol).map(p["id"] == "").eq(True)
        found = by_id.fillna(m["symbol"].where(no_id).map(by_symbol))
        # Two measured genes may match one predicted gene; the first keeps it.
        found = found.mask(found.duplicated()).dropna()
        rows = p.assign(predicted=p.index, measured="").set_index("key", drop=False)
        rows.loc[p.loc[found, "key"], "measured"] = found.index.to_numpy()
        rest = m[~m.index.isin(found.index)]
        rest = rest.assign(predicted="", measured=rest.index).set_index("key", drop=False)
        frame = pd.concat([rows, rest[~rest.index.isin(rows.index)]])
        frame = frame[["symbol", "id", "predicted", "measured"]]
        order = frame["symbol"].where(frame["symbol"] != "", frame.index.to_series()).str.lower()
        return cls(frame.iloc[order.argsort(kind="stable").to_numpy()].rename_axis(None))

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


def _normalised(genes: pd.DataFrame | None) -> pd.DataFrame:
    """Index = name as given (str), columns key, id, symbol; genes that share a key once."""
    if genes is None or not len(genes):
        return pd.DataFrame({"key": [], "id": [], "symbol": []}, dtype=object)
    out = gene_table(genes)
    out["key"] = gene_keys(out).to_numpy()
    return out[~out["key"].duplicated()]
