"""Expression over a vocabulary, scaled by all that was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

    from napari_umpire.genes import GeneMapping

__all__ = ["vocabulary_expression"]


def vocabulary_expression(counts: sp.csr_matrix, mapping: GeneMapping) -> sp.csr_matrix:
    """log1p CP10k of the vocabulary's genes, each spot scaled by its total over all its genes.

    Parameters
    ----------
    counts
        (n_spots, n_columns) raw counts of a source.
    mapping
        Of the source's genes to the vocabulary; columns of one gene are summed before the log.

    Returns
    -------
    (n_spots, n_genes of the vocabulary) CSR float32.
    """
    import scipy.sparse as sp

    from napari_umpire.genes.expression import expression

    mapped = mapping.apply(counts)
    # What the vocabulary lacks stays in the total, as one more column.
    rest = np.asarray(counts.sum(axis=1)) - np.asarray(mapped.sum(axis=1))
    whole = sp.hstack([mapped, sp.csr_matrix(rest)], format="csr")
    return expression(whole)[:, :-1].tocsr()
