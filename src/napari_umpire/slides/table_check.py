"""Whether a table may be written, and whether the one that was read back is the one written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

__all__ = ["check_numbers", "differences"]

_ROWS = 4096


def check_numbers(table: AnnData, *, name: str) -> None:
    """Refuse a table whose values are no result: infinite ones, or nothing but NaN.

    A gene that was not measured in the reference is NaN by right, as are its spots.

    Raises
    ------
    InputError
        Names the gene and the spot, and the slide ``name``.
    """
    import scipy.sparse as sp

    if table.X is None or 0 in table.shape:
        return
    fix = "Check the model and its reference; nothing was written"
    if sp.issparse(table.X):
        some = not len(table.X.data) or bool(np.isfinite(table.X.data).any())
        infinite = bool(np.isinf(table.X.data).any())
        where = ""
    else:
        some, infinite, where = False, False, ""
        for start in range(0, table.n_obs, _ROWS):
            values = np.asarray(table.X[start : start + _ROWS], np.float64)
            some = some or bool(np.isfinite(values).any())
            if np.isinf(values).any():
                row, column = np.argwhere(np.isinf(values))[0]
                infinite = True
                where = f" for {table.var_names[column]} at {table.obs_names[start + row]}"
                break
    if infinite:
        raise InputError(
            f"The result for {name} holds values that are no expression",
            got=f"an infinite value{where}",
            expected="finite values",
            fix=fix,
        )
    if not some:
        raise InputError(
            f"The result for {name} holds no number",
            got=f"{table.n_obs:,} spots and {table.n_vars:,} genes, all NaN",
            expected="values of at least one gene",
            fix=fix,
        )


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
