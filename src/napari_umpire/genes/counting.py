"""Which genes occur in how many spots, and their non-zero means, one table at a time."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.genes.aliases import GeneAliases
from napari_umpire.genes.checks import check_counts
from napari_umpire.genes.columns import clean_columns, sum_columns
from napari_umpire.genes.names import base_ensembl_id, split_genome
from napari_umpire.genes.spreadsheet import is_date

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CountedGenes"]


class CountedGenes:
    """Running sums over tables whose columns differ in order and names.

    Sums of counts are whole numbers in float64, so the result does not depend on the order of the
    tables (up to 2^53 counts per gene).
    """

    def __init__(self) -> None:
        self._spots: dict[str, int] = defaultdict(int)
        self._total: dict[str, float] = defaultdict(float)
        self._symbol: dict[str, str] = {}
        self._tables = 0

    def add(self, counts: Any, genes: pd.DataFrame, *, where: str) -> None:
        """Add one table of raw counts, (n_spots, n_columns), and its genes as ``Slide.genes``."""
        matrix = check_counts(counts, genes=genes.index, where=where)
        keys = self._identify(genes)
        unique, columns = np.unique(keys, return_inverse=True)
        if unique.size and unique[0] == "":
            unique, columns = unique[1:], columns - 1  # columns that are no gene are dropped
        summed = sum_columns(matrix, columns, len(unique))
        spots = np.bincount(summed.indices, minlength=len(unique))
        total = np.asarray(sp.csr_matrix(summed, dtype=np.float64).sum(axis=0)).ravel()
        for key, n, t in zip(unique, spots, total, strict=True):
            self._spots[str(key)] += int(n)
            self._total[str(key)] += float(t)
        self._tables += 1

    def sums(self) -> pd.DataFrame:
        """What was added so far, to be added to another by `add_sums`.

        Returns
        -------
        pandas.DataFrame
            ``gene`` (id, or name without one), ``symbol`` ("" where the id has none), ``spots``
            (how many have it) and ``total`` (its counts), int64; in the order of ``gene``.
        """
        import pandas as pd

        genes = sorted(self._spots)
        # A symbol may stand for an id that no table with counts had.
        rest = sorted(set(self._symbol) - set(genes))
        return pd.DataFrame(
            {
                "gene": [*genes, *rest],
                "symbol": [self._symbol.get(g, "") for g in (*genes, *rest)],
                "spots": np.array([*(self._spots[g] for g in genes), *(0 for _ in rest)], np.int64),
                "total": np.array(
                    [*(int(self._total[g]) for g in genes), *(0 for _ in rest)], np.int64
                ),
            }
        )

    def add_sums(self, sums: pd.DataFrame) -> None:
        """Add the sums of another count, made with `sums`; exactly what adding its tables gives."""
        columns = (sums[c].tolist() for c in ("gene", "symbol", "spots", "total"))
        for gene, symbol, spots, total in zip(*columns, strict=True):
            self._spots[gene] += int(spots)
            self._total[gene] += float(total)
            if symbol:
                self._symbol.setdefault(gene, symbol)
        self._tables += 1

    def result(self, min_spots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids in ascending order, symbols, and means (NaN where never seen)."""
        if not self._tables:
            raise InputError(
                "There are no counts to build a vocabulary from",
                expected="at least one table",
                fix="Name slides or tables that have counts",
            )
        self._join_symbols()
        ids = sorted(key for key, n in self._spots.items() if n >= min_spots)
        if not ids:
            raise InputError(
                "No gene is seen often enough for a vocabulary",
                got=f"at most {max(self._spots.values(), default=0):,} spots per gene",
                expected=f"{min_spots:,} spots",
                fix="Give more spots, or ask for fewer spots per gene",
            )
        spots = np.array([self._spots[i] for i in ids])
        total = np.array([self._total[i] for i in ids])
        symbols = [self._symbol.get(i, "" if base_ensembl_id(i) else i) for i in ids]
        means = np.divide(total, spots, out=np.full(len(ids), np.nan), where=spots > 0)
        return np.array(ids), np.array(symbols), means

    def _identify(self, genes: pd.DataFrame) -> np.ndarray:
        """The key of each column; "" where it is no gene of this table's genome, or a date."""
        clean = clean_columns(genes)
        by_symbol: dict[str, set[str]] = defaultdict(set)
        keys = []
        for name, gene, symbol in zip(clean.names, clean.ids, clean.symbols, strict=True):
            ensembl = base_ensembl_id(gene) or base_ensembl_id(name)
            key = ensembl or symbol or name
            if (clean.foreign and split_genome(name)[0]) or (clean.dates and is_date(key)):
                keys.append("")
                continue
            keys.append(key)
            if ensembl:
                by_symbol[symbol].add(ensembl)
                # The first table's symbol stays; a table without symbols adds none.
                if symbol:
                    self._symbol.setdefault(ensembl, symbol)
        # Within a table too, a column without id is the gene that its symbol's id names.
        return np.array(
            [next(iter(by_symbol[k])) if len(by_symbol.get(k, ())) == 1 else k for k in keys]
        )

    def _join_symbols(self) -> None:
        """Add what was counted under a symbol alone to the gene that another table called so."""
        by_symbol: dict[str, list[str]] = defaultdict(list)
        for gene, symbol in self._symbol.items():
            by_symbol[symbol].append(gene)
        for symbol, genes in by_symbol.items():
            if symbol in self._spots and len(genes) == 1:
                self._add_to(genes[0], symbol)
        # A retired symbol is no other gene's today, so tables of two years have it under two.
        now = GeneAliases.builtin().canonical
        current: dict[str, set[str]] = defaultdict(set)
        for gene in self._spots:
            symbol = self._symbol.get(gene, gene)
            if symbol:
                current[now(symbol)].add(gene)
        for symbol, found in current.items():
            named = [gene for gene in found if base_ensembl_id(gene)] or [symbol]
            if len(found) > 1 and len(named) == 1:
                for gene in found - set(named):
                    self._add_to(named[0], gene)

    def _add_to(self, gene: str, other: str) -> None:
        self._spots[gene] += self._spots.pop(other)
        self._total[gene] += self._total.pop(other)
