"""How well the counts agree with themselves: the correlation of two halves of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.genes.normalise import TARGET_SUM
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["half_correlations", "half_expression", "halves"]

_AT_ONCE = 1 << 19  # counts; what is made of them stays in the cache of the processor


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


def half_correlations(counts: sp.csr_matrix, rows: np.ndarray, *, seed: int) -> Steps[np.ndarray]:
    """Pearson correlation of every gene between the two `halves`, (n_genes,) float64.

    From sums over the counts: the halves are never laid out as tables of all genes. NaN where a
    gene does not vary in one of them.

    Parameters
    ----------
    counts
        As `halves` takes them.
    rows
        Spots that the correlation runs over, (n,) int64.
    """
    rng = np.random.default_rng(seed)
    n_spots, n_genes = counts.shape
    counted = np.zeros(n_spots, bool)
    counted[rows] = True
    sums = np.zeros((5, n_genes))
    ends = counts.indptr
    start = 0
    while start < n_spots:
        yield Progress("Splitting the counts", start, n_spots)
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] + _AT_ONCE, "right")) - 1)
        part = slice(ends[start], ends[stop])
        whole = counts.data[part]
        first = rng.binomial(whole.astype(np.int64), 0.5).astype(np.float64)
        spot = np.repeat(np.arange(stop - start), np.diff(ends[start : stop + 1]))
        a, b = (_scaled(half, spot, stop - start) for half in (first, whole - first))
        used = counted[start:stop][spot]
        a, b, gene = a[used], b[used], counts.indices[part][used]
        for total, values in zip(sums, (a, b, a * a, b * b, a * b), strict=True):
            total += np.bincount(gene, values, n_genes)
        start = stop
    return _correlation(sums, len(rows))


def _scaled(half: np.ndarray, spot: np.ndarray, n_spots: int) -> np.ndarray:
    """log1p CP10k of one half of some counts, (n,) float64, each of the spot named, as float32."""
    total = np.bincount(spot, half, n_spots)
    factors = TARGET_SUM / np.where(total == 0, 1.0, total)
    return np.log1p(half * factors[spot]).astype(np.float32).astype(np.float64)


def _correlation(sums: np.ndarray, n: int) -> np.ndarray:
    """From sums of a, b, a a, b b, a b over ``n`` spots, (5, n_genes) float64."""
    a, b, aa, bb, ab = sums
    variances = np.stack([aa - a * a / n, bb - b * b / n])
    # Less than this is the rounding of float32, in which expression is kept.
    varies = (variances > 1e-12 * np.stack([aa, bb])).all(axis=0)
    out = np.full(len(a), np.nan)
    norm = np.sqrt(np.where(varies, variances[0] * variances[1], 1.0))
    np.divide(ab - a * b / n, norm, out=out, where=varies)
    return np.clip(out, -1.0, 1.0)
