"""Whether a table that was read back is the table that was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

__all__ = ["differences"]


def differences(written: AnnData, read: AnnData) -> list[str]:
    """Return the parts in which two tables differ, such as "X" or "obsm X_umpire"; none if equal.

    Types of text columns may differ, as stores have one type of text; values may not. NaN equals
    NaN.
    """
    found = [] if _same(written.X, read.X) else ["X"]
    for part in ("obs", "var"):
        if not _same(getattr(written, part), getattr(read, part)):
            found.append(part)
    for part in ("obsm", "varm", "layers", "uns"):
        found += _compare(part, getattr(written, part), getattr(read, part))
    return found


def _compare(part: str, written: Mapping, read: Mapping) -> list[str]:
    keys = sorted(set(written) | set(read))
    return [
        f"{part} {key}"
        for key in keys
        if key not in written or key not in read or not _same(written[key], read[key])
    ]


def _same(a: Any, b: Any) -> bool:
    import scipy.sparse as sp

    if sp.issparse(a) or sp.issparse(b):
        if not (sp.issparse(a) and sp.issparse(b) and a.shape == b.shape):
            return False
        a, b = (_canonical(m) for m in (a, b))
        return all(_same(getattr(a, p), getattr(b, p)) for p in ("indptr", "indices", "data"))
    if isinstance(a, pd.DataFrame) and isinstance(b, pd.DataFrame):
        return (
            list(a.columns) == list(b.columns)
            and _same(a.index.to_numpy(), b.index.to_numpy())
            and all(_same(_plain(a[c]), _plain(b[c])) for c in a.columns)
        )
    if hasattr(a, "items") and hasattr(b, "items"):
        return not _compare("", a, b)
    if a is None or b is None:
        return a is b
    x, y = np.asarray(a), np.asarray(b)
    if x.shape != y.shape:
        return False
    if x.dtype.kind in "fc" and y.dtype.kind in "fc":
        return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=True)
    if x.dtype.kind in "OUST" or y.dtype.kind in "OUST":
        return [str(v) for v in x.ravel()] == [str(v) for v in y.ravel()]
    return np.array_equal(x, y)


def _canonical(matrix: Any) -> Any:
    import scipy.sparse as sp

    rows = sp.csr_matrix(matrix, copy=True)
    rows.sum_duplicates()
    rows.sort_indices()
    return rows


def _plain(column: pd.Series) -> np.ndarray:
    return np.asarray(column.astype(object) if column.dtype == "category" else column)
