"""The neighbours of each spot: the tissue context that some models look at."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["neighbours", "spot_beside"]


def neighbours(yx: np.ndarray, pitch_px: float, k: int = 8, reach: float = 1.6) -> np.ndarray:
    """Return the nearest other spots of each spot, (n, k) int64, -1 where there are fewer.

    Parameters
    ----------
    yx
        (n, 2) spot centres, px.
    pitch_px
        Distance of neighbouring spots, px.
    k
        At most so many, nearest first, and among equals the lower row first.
    reach
        Only within so many pitches. 1.6 holds the 6 of a hexagonal grid and the 8 of a square one.
    """
    yx = np.asarray(yx, np.float64).reshape(-1, 2)
    n = len(yx)
    if n == 0:
        return np.empty((0, k), np.int64)
    # A few more than asked for, so that ties at the last place are settled by row, not by the tree.
    bound = reach * pitch_px
    distance, other = cKDTree(yx).query(yx, k=range(1, k + 10), distance_upper_bound=bound)
    # The spot itself comes last, with those that the tree did not find (numbered n).
    distance[other == np.arange(n)[:, None]] = np.inf
    order = np.lexsort((other, np.round(distance / pitch_px, 6)), axis=1)[:, :k]
    distance = np.take_along_axis(distance, order, axis=1)
    return np.where(np.isfinite(distance), np.take_along_axis(other, order, axis=1), -1)


def spot_beside(yx: np.ndarray, row: int, way: tuple[int, int]) -> int | None:
    """Return the next spot above, below, left or right of one, None at the edge of the tissue.

    Parameters
    ----------
    yx
        (n, 2) spot centres, px.
    way
        (y, x), one of them 0 and the other -1 or 1; down and right are positive.
    """
    away = np.asarray(yx, np.float64) - yx[row]
    along = away @ np.asarray(way, np.float64)
    across = np.abs(away @ np.asarray(way[::-1], np.float64))
    # Within 45 degrees of the way, so that no spot is nobody's; what lies straight ahead first.
    fits = np.flatnonzero((along > 0) & (across <= along))
    if not len(fits):
        return None
    return int(fits[np.argmin(along[fits] + across[fits])])
