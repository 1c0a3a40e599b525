"""Columns of a count table: what they are called, and moving them to other places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.genes.names import is_ensembl_id

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sum_columns", "table_columns"]


def table_columns(genes: pd.DataFrame | Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Names, ids and symbols of a table's columns, stripped; "" where unknown."""
    if isinstance(genes, str):
        raise InputError("Gene names are a list, not one text", got=genes, expected="a list")
    if not isinstance(genes, pd.DataFrame):
        names = [str(g).strip() for g in genes]
        return names, [n if is_ensembl_id(n) else "" for n in names], names
    names = [str(g).strip() for g in genes.index]

    def column(name: str) -> list[str]:
        if name not in genes.columns:
            return [""] * len(names)
        return ["" if pd.isna(v) else str(v).strip() for v in genes[name]]

    return names, column("id"), column("symbol")


def sum_columns(matrix: sp.csr_matrix, index: np.ndarray, n_columns: int) -> sp.csr_matrix:
    """Move column j to ``index[j]`` (-1: drop), summing columns that meet; canonical CSR."""
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
