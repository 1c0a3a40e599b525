"""Columns of a count table: what they are called, and moving them to other places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.genes.clean import CleanNames, clean_names
from napari_umpire.genes.names import is_ensembl_id, split_genome

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["clean_columns", "gene_table", "sum_columns", "table_columns"]

_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id", "id")
_SYMBOL_COLUMNS = (
    "symbol",
    "gene_symbol",
    "gene_symbols",
    "feature_name",
    "gene_name",
    "gene_names",
)
_GENOME_COLUMN = "genome"


def gene_table(var: pd.DataFrame) -> pd.DataFrame:
    """The genes of a table's columns: index = name, columns ``id`` and ``symbol``, "" if unknown.

    Ids and symbols are without the prefix of the table's own genome, and those of other genomes
    have one, as `genes.clean` says.

    Parameters
    ----------
    var
        ``var`` of an AnnData: ids and symbols under the names that scanpy, CELLxGENE and others
        give them. Where it has no such column, names that are Ensembl ids are ids, others symbols.
    """
    names = var.index.astype(str)
    plain = [split_genome(name)[1] for name in names]

    def column(candidates: tuple[str, ...], ensembl: bool) -> np.ndarray:
        found = next((c for c in candidates if c in var), None)
        if found is None:
            told = zip(names, plain, strict=True)
            return np.array([n if is_ensembl_id(p) is ensembl else "" for n, p in told], "O")
        return _texts(var[found])

    ids = column(_ID_COLUMNS, ensembl=True)
    symbols = column(_SYMBOL_COLUMNS, ensembl=False)
    genomes = _texts(var[_GENOME_COLUMN]).tolist() if _GENOME_COLUMN in var else ()
    clean = clean_names(names.tolist(), ids.tolist(), symbols.tolist(), genomes)
    if clean.foreign:
        # By its bare name a gene of another genome would be taken for one of the table's own.
        apart = zip(names, clean.names, strict=True)
        names = pd.Index([now if split_genome(now)[0] else n for n, now in apart], dtype=object)
    return pd.DataFrame({"id": clean.ids, "symbol": clean.symbols}, index=names, dtype=object)


def table_columns(genes: pd.DataFrame | Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Names, ids and symbols of a table's columns, stripped; "" where unknown.

    Without genomes and dates: see `clean_columns`.
    """
    clean = clean_columns(genes)
    return clean.names, clean.ids, clean.symbols


def clean_columns(genes: pd.DataFrame | Sequence[str]) -> CleanNames:
    """As `table_columns`, with what was taken out of the names."""
    if isinstance(genes, str):
        raise InputError("Gene names are a list, not one text", got=genes, expected="a list")
    if not isinstance(genes, pd.DataFrame):
        names = [str(g).strip() for g in genes]
        ids = [n if is_ensembl_id(split_genome(n)[1]) else "" for n in names]
        return clean_names(names, ids, names)
    names = [str(g).strip() for g in genes.index]

    def column(name: str) -> list[str]:
        if name not in genes.columns:
            return [""] * len(names)
        return ["" if pd.isna(v) else str(v).strip() for v in genes[name]]

    return clean_names(names, column("id"), column("symbol"))


def _texts(values: pd.Series) -> np.ndarray:
    values = values.astype(object)
    if set(map(type, values.tolist())) == {str}:
        return values.to_numpy(object)
    return values.where(values.notna(), "").map(str).to_numpy(object)


def sum_columns(matrix: sp.csr_matrix, index: np.ndarray, n_columns: int) -> sp.csr_matrix:
    """Move column j to ``index[j]`` (-1: drop), summing columns that meet; canonical CSR."""
    if matrix.has_canonical_format and np.array_equal(index, np.arange(n_columns)):
        return matrix.copy()
    target = np.asarray(index, np.int64)[matrix.indices]
    kept = target >= 0
    ends = np.concatenate(([0], np.cumsum(kept)))[matrix.indptr]
    data = matrix.data[kept]
    mapped = index[index >= 0]
    if np.issubdtype(data.dtype, np.integer) and np.unique(mapped).size < mapped.size:
        data = data.astype(np.int64)  # a sum of 8- or 16-bit counts may not fit their type
    moved = sp.csr_matrix((data, target[kept], ends), shape=(matrix.shape[0], n_columns))
    moved.sum_duplicates()
    return moved
