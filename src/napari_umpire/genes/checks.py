"""Counts are raw counts, or they are refused with the file, the gene and the spot named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["MOST_COUNTS", "check_counts", "check_sparse"]

MOST_COUNTS = 10_000_000
"""Molecules of one gene in one spot beyond which a number is no count: a spot holds at most some
100,000 of all genes, and float32 counts exactly up to 16.7 million. -1 in a type without a sign is
4,294,967,295."""

_PROBLEMS = (
    ("not a number", "Repair or leave out that spot"),
    ("infinite", "Repair or leave out that spot"),
    ("negative", "Give raw counts, not centred or scaled values"),
    (
        "not a whole number",
        "Give raw counts, not normalised or logarithmic values; look in the layers and in 'raw'",
    ),
    (
        f"above {MOST_COUNTS:,}",
        "Give raw counts; a negative number in a type without a sign looks like this",
    ),
)


def check_counts(
    counts: Any,
    *,
    genes: Sequence[str] | pd.Index | None = None,
    spots: Sequence[str] | pd.Index | None = None,
    where: object = "the counts",
) -> sp.csr_matrix:
    """Canonical CSR of raw counts: sorted, without duplicates and explicit zeros.

    Parameters
    ----------
    counts
        (n_spots, n_genes) sparse or dense, any number type. Never changed in place.
    genes, spots
        Names of columns and rows, for the message; their numbers where absent.
    where
        The file or slide, for the message.

    Raises
    ------
    InputError
        The first entry that is negative, NaN, infinite, not an integer or above `MOST_COUNTS`, with
        its gene and spot and how many more there are; counts that are not a table of numbers; names
        that do not fit.
    """
    matrix = _as_csr(counts, where)
    _check_names(matrix, genes, spots, where)
    data = matrix.data
    if np.issubdtype(data.dtype, np.floating):
        nan, infinite = np.isnan(data), np.isinf(data)
        negative = (data < 0) & ~infinite
        with np.errstate(invalid="ignore"):
            fraction = ~(nan | infinite | negative) & (data != np.floor(data))
        found = (nan, infinite, negative, fraction, ~infinite & (data > MOST_COUNTS))
    else:
        no = np.zeros(data.shape, bool)
        found = (no, no, data < 0, no, data > MOST_COUNTS)
    for bad, (problem, fix) in zip(found, _PROBLEMS, strict=True):
        if bad.any():
            _refuse(matrix, bad, problem, fix, genes, spots, where)
    if not matrix.has_canonical_format or not np.all(data):
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    return matrix


def check_sparse(matrix: Any, *, where: object) -> None:
    """Refuse a compressed sparse matrix whose indices point outside of it; pass anything else.

    Neither scipy nor the readers of files look, and one wrong number ends the process. So this is
    called on what came from a file before it is sliced, converted or summed.

    Raises
    ------
    InputError
        Naming ``where``.
    """
    if not (sp.issparse(matrix) and matrix.format in ("csr", "csc")):
        return
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise InputError(
            f"The counts in {where} are damaged",
            got=error,
            expected="a sparse matrix whose indices fit its shape",
            fix="Copy the file again from its source",
        ) from error


def _as_csr(counts: Any, where: object) -> sp.csr_matrix:
    check_sparse(counts, where=where)
    dtype = getattr(counts, "dtype", None)
    if dtype is None:
        counts = np.asarray(counts)
        dtype = counts.dtype
    if getattr(counts, "ndim", 2) != 2:
        raise InputError(
            f"The counts in {where} are not a table",
            got=f"{counts.ndim} dimensions",
            expected="spots x genes",
        )
    if dtype == np.bool_:
        return sp.csr_matrix(counts, dtype=np.int32)
    if not (np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.floating)):
        raise InputError(
            f"The counts in {where} are not numbers", got=f"data type {dtype}", expected="counts"
        )
    if dtype == np.float16:  # scipy.sparse has no half precision
        counts = counts.astype(np.float32)
    return sp.csr_matrix(counts)


def _check_names(
    matrix: sp.csr_matrix,
    genes: Sequence[str] | pd.Index | None,
    spots: Sequence[str] | pd.Index | None,
    where: object,
) -> None:
    for what, names, n in (("gene", genes, matrix.shape[1]), ("spot", spots, matrix.shape[0])):
        if names is not None and len(names) != n:
            raise InputError(
                f"The {what} names in {where} do not fit the counts",
                got=f"{len(names):,} names",
                expected=f"{n:,}",
            )


def _refuse(
    matrix: sp.csr_matrix,
    bad: np.ndarray,
    problem: str,
    fix: str,
    genes: Sequence[str] | pd.Index | None,
    spots: Sequence[str] | pd.Index | None,
    where: object,
) -> None:
    at = int(np.flatnonzero(bad)[0])
    row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
    column = int(matrix.indices[at])
    gene = f"gene {genes[column]}" if genes is not None else f"gene column {column}"
    spot = f"spot {spots[row]}" if spots is not None else f"spot row {row}"
    more = f" (and {int(bad.sum()) - 1:,} more)" if bad.sum() > 1 else ""
    raise InputError(
        f"A count in {where} is {problem}: {gene} at {spot}{more}",
        got=matrix.data[at],
        expected="raw counts: whole numbers, 0 or more",
        fix=fix,
    )
