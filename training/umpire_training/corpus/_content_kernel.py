"""A number per spot, of its largest counts."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from napari_umpire.compiled import compiled

__all__ = ["spot_keys"]


@no_type_check
def _spot_keys(data, indptr, largest):
    """See `spot_keys`. FNV-1a over the counts in falling order, each as one 64-bit step."""
    n = len(indptr) - 1
    out = np.empty(n, np.uint64)
    top = np.empty(largest, np.int64)
    for row in range(n):
        kept = 0
        for i in range(indptr[row], indptr[row + 1]):
            count = data[i]
            if kept < largest:
                place = kept
                kept += 1
            elif count > top[largest - 1]:
                place = largest - 1
            else:
                continue
            while place > 0 and top[place - 1] < count:
                top[place] = top[place - 1]
                place -= 1
            top[place] = count
        h = np.uint64(14695981039346656037)
        for i in range(kept):
            h = (h ^ np.uint64(top[i])) * np.uint64(1099511628211)
            h ^= h >> np.uint64(29)
        out[row] = h
    return out


_spot_keys = compiled(_spot_keys)


def spot_keys(data: np.ndarray, indptr: np.ndarray, largest: int) -> np.ndarray:
    """A key of the ``largest`` counts of each row, in order.

    Parameters
    ----------
    data, indptr
        Of a CSR matrix, int64.

    Returns
    -------
    (n_rows,) uint64.
    """
    return _spot_keys(data, indptr, largest)
