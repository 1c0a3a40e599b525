"""Rank tokens: the genes of a spot, highest relative count first (UMPIRE, Algorithm 1).

The order is defined exactly, so that tokens are the same on every machine. For a spot with count
``c_g`` of gene g and divisor ``d_g``::

    value_g = c_g / d_g        one IEEE 754 float64 division, d_g = mean_g, or 1 where NaN or 0

The genes with ``c_g > 0`` are ordered by value descending, equal values by vocabulary index
ascending; the first `length` of them, each plus `FIRST_GENE_ID`, are the spot's tokens, padded on
the right with `PAD_ID`. The published order also scales each spot to 10,000 counts, which cannot
change a spot's order but adds rounding noise, so it is left out; and it sorts unstably, so that
among equal values it differs between processors.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.sparse as sp

from napari_umpire.errors import InputError, UmpireWarning

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CLS_ID",
    "FIRST_GENE_ID",
    "MASK_ID",
    "MAX_GENES",
    "PAD_ID",
    "divisors",
    "rank_tokens",
    "rank_tokens_reference",
]

MASK_ID = 0
PAD_ID = 1
CLS_ID = 2
FIRST_GENE_ID = 30
MAX_GENES = int(np.iinfo(np.uint16).max) + 1 - FIRST_GENE_ID
"""The largest vocabulary whose tokens fit uint16: 65,506 genes."""


def rank_tokens(
    counts: sp.csr_matrix | sp.csr_array,
    means: ArrayLike,
    *,
    length: int = 1500,
    rounding: Literal["none", "published"] = "none",
) -> NDArray[np.uint16]:
    """Tokens of each spot, highest count relative to the gene's mean first.

    Parameters
    ----------
    counts
        (n_spots, n_genes), columns in vocabulary order; raw counts, finite and not negative.
    means
        (n_genes,) non-zero mean of each gene; NaN where never seen.
    length
        Tokens per spot; shorter spots are padded with `PAD_ID`.
    rounding
        "none": divide by the mean as it is (the paper's Algorithm 1). "published": by the mean
        rounded half up, at least 1 (the authors' tokenizer, which the published weights saw).

    Returns
    -------
    (n_spots, length) uint16

    Raises
    ------
    InputError
        Counts that are negative, NaN or infinite; shapes that do not fit; too many genes.
    """
    matrix, divisor = _prepare(counts, means, length, rounding)
    try:
        from napari_umpire.genes._rank_kernel import rank_rows
    except ImportError as error:  # numba lags behind new releases of numpy and Python
        warnings.warn(
            f"numba cannot be imported ({error}); tokens are made by the slower numpy path",
            UmpireWarning,
            stacklevel=2,
        )
        return _rank_numpy(matrix, divisor, length)
    out = np.full((matrix.shape[0], length), PAD_ID, np.uint16)
    crowded = np.zeros(matrix.shape[0], np.bool_)
    bad = rank_rows(
        matrix.data, matrix.indices, matrix.indptr, divisor, FIRST_GENE_ID, out, crowded
    )
    if bad >= 0:
        _refuse(matrix, int(bad))
    if crowded.any():
        out[crowded] = _rank_numpy(matrix[crowded], divisor, length)
    return out


def rank_tokens_reference(
    counts: sp.csr_matrix | sp.csr_array,
    means: ArrayLike,
    *,
    length: int = 1500,
    rounding: Literal["none", "published"] = "none",
) -> NDArray[np.uint16]:
    """The same as `rank_tokens`, bit for bit, in plain numpy."""
    return _rank_numpy(*_prepare(counts, means, length, rounding), length)


def divisors(means: ArrayLike, rounding: str = "none") -> NDArray[np.float64]:
    """What counts are divided by, (n_genes,) float64, all above 0.

    Raises
    ------
    InputError
        A negative or infinite mean, or a rounding that is not "none" or "published".
    """
    mean = np.asarray(means, np.float64)
    if mean.ndim != 1 or np.any(mean < 0) or np.any(np.isinf(mean)):
        raise InputError(
            "The gene means are not usable",
            got=f"shape {mean.shape}, {int(np.sum(mean < 0))} negative, "
            f"{int(np.sum(np.isinf(mean)))} infinite",
            expected="one mean per gene, positive, or NaN for a gene never seen",
        )
    if rounding == "published":
        # Half up, not numpy's half to even.
        mean = np.floor(mean + 0.5)
    elif rounding != "none":
        raise InputError(
            "Unknown rounding of the gene means", got=rounding, expected='"none" or "published"'
        )
    return np.where(np.isnan(mean) | (mean == 0), 1.0, mean)


def _prepare(
    counts: sp.csr_matrix | sp.csr_array, means: ArrayLike, length: int, rounding: str
) -> tuple[sp.csr_matrix, NDArray[np.float64]]:
    if length < 1:
        raise InputError("The token length is too small", got=length, expected="at least 1")
    matrix = sp.csr_matrix(counts)
    divisor = divisors(means, rounding)
    if matrix.shape[1] > MAX_GENES:
        raise InputError(
            "The vocabulary is too large for 16-bit tokens",
            got=f"{matrix.shape[1]:,} genes",
            expected=f"at most {MAX_GENES:,}",
            fix="Leave out genes seen in few spots",
        )
    if divisor.size != matrix.shape[1]:
        raise InputError(
            "Counts and gene means do not belong together",
            got=f"{matrix.shape[1]:,} columns and {divisor.size:,} means",
            expected="one mean per column",
            fix="Map the counts onto the vocabulary first",
        )
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if matrix.dtype not in (np.float32, np.float64):
        # Exact up to 2^53, and the kernel is compiled for two types instead of ten.
        matrix = matrix.astype(np.float64)
    return matrix, divisor


def _rank_numpy(
    matrix: sp.csr_matrix, divisor: NDArray[np.float64], length: int
) -> NDArray[np.uint16]:
    out = np.full((matrix.shape[0], length), PAD_ID, np.uint16)
    for row, (start, end) in enumerate(zip(matrix.indptr, matrix.indptr[1:], strict=False)):
        data = matrix.data[start:end].astype(np.float64)
        if not (np.all(data >= 0) and np.all(data < np.inf)):
            _refuse(matrix, row)
        seen = data > 0
        genes = matrix.indices[start:end][seen]
        values = data[seen] / divisor[genes]
        if values.size > length:
            chosen = values >= np.partition(values, values.size - length)[values.size - length]
            genes, values = genes[chosen], values[chosen]
        # Columns ascend within a row, so a stable sort breaks ties by vocabulary index.
        order = np.argsort(-values, kind="stable")[:length]
        out[row, : order.size] = genes[order] + FIRST_GENE_ID
    return out


def _refuse(matrix: sp.csr_matrix, row: int) -> None:
    part = slice(matrix.indptr[row], matrix.indptr[row + 1])
    data = matrix.data[part]
    at = int(np.flatnonzero(~((data >= 0) & (data < np.inf)))[0])
    raise InputError(
        f"The count of gene {matrix.indices[part][at]} at spot {row} (both counted from 0) "
        "cannot be ranked",
        got=data[at],
        expected="a finite count, 0 or more",
        fix="Check the counts when the slide is read",
    )
