"""How well the counts agree with themselves: the correlation of two halves of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["half_expression", "halves"]


def halves(counts: sp.csr_matrix, *, seed: int) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Each count is dealt to one of two halves; log1p CP10k of each half, CSR.

    The correlation between the halves is that of half the counts, so it is not a strict ceiling
    for a prediction of all of them.

    Parameters
    ----------
    counts
        (n_spots, n_all_genes) canonical CSR of raw counts: all genes, for the totals.
    """
    from napari_umpire.genes.normalise import expression

    rng = np.random.default_rng(seed)
    first = counts.copy()
    first.data = rng.binomial(counts.data.astype(np.int64), 0.5).astype(np.float64)
    second = counts.copy()
    second.data = counts.data - first.data
    return expression(first), expression(second)


def half_expression(
    counts: sp.csr_matrix, columns: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Some genes of both `halves`, two (n_spots, n) float32."""
    a, b = halves(counts, seed=seed)
    return a[:, columns].toarray(), b[:, columns].toarray()
