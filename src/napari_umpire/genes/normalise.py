"""Expression: log1p of counts scaled to 10,000 per spot over all genes given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from napari_umpire.genes.mapping import GeneMapping

__all__ = [
    "LARGEST",
    "TARGET_SUM",
    "UNIT",
    "expression",
    "is_expression",
    "vocabulary_expression",
]

TARGET_SUM = 10_000.0
LARGEST = math.log1p(TARGET_SUM)
"""Of a spot whose counts are all of one gene: 9.21."""
_ROUNDING = 1e-3
UNIT = "log1p(CP10k)"
"""The unit of expression, as it stands beside colour bars and in tables."""


def expression(counts: Any) -> sp.csr_matrix:
    """log1p(CP10k) of each spot, (n_spots, n_genes) CSR float32.

    Parameters
    ----------
    counts
        (n_spots, n_genes) raw counts, sparse or dense; give all measured genes, because each spot
        is scaled by its total over the columns given. A spot without counts stays all 0.
    """
    matrix = sp.csr_matrix(counts, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    totals = np.asarray(matrix.sum(axis=1)).ravel()
    factors = TARGET_SUM / np.where(totals == 0, 1.0, totals)
    matrix.data *= np.repeat(factors, np.diff(matrix.indptr))
    np.log1p(matrix.data, out=matrix.data)
    return matrix.astype(np.float32)


def is_expression(values: np.ndarray) -> bool:
    """Whether all values can be log1p CP10k: from 0 to `LARGEST`, but for rounding; none NaN."""
    return bool(((values >= 0) & (values <= LARGEST + _ROUNDING)).all())


def vocabulary_expression(counts: sp.csr_matrix, mapping: GeneMapping) -> sp.csr_matrix:
    """log1p CP10k of the vocabulary's genes, each spot scaled by its total over all its genes.

    Parameters
    ----------
    counts
        (n_spots, n_columns) raw counts of a table.
    mapping
        Of the table's genes to the vocabulary; columns of one gene are summed before the log.

    Returns
    -------
    (n_spots, n_genes of the vocabulary) CSR float32.
    """
    mapped = mapping.apply(counts)
    # What the vocabulary lacks stays in the total, as one more column.
    rest = np.asarray(counts.sum(axis=1)) - np.asarray(mapped.sum(axis=1))
    whole = sp.hstack([mapped, sp.csr_matrix(rest)], format="csr")
    return expression(whole)[:, :-1].tocsr()
