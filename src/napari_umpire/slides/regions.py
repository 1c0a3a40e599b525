"""Which spots lie within what was drawn. Coordinates are (y, x), full-resolution px."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["spots_in_ellipse", "spots_within"]


def spots_within(yx: np.ndarray, polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Whether each spot's centre lies within a region bounded by rings.

    A point is within when a ray from it crosses the rings an odd number of times: a ring inside
    of another is a hole, and a lasso that crosses itself bounds what it looks like.

    Parameters
    ----------
    yx
        (n_spots, 2) spot centres.
    polygons
        Rings, (m, 2) each, closed or not; one of fewer than three corners bounds nothing.

    Returns
    -------
    (n_spots,) bool; False for a spot without a position.
    """
    import shapely

    yx = np.asarray(yx, np.float64).reshape(-1, 2)
    within = np.zeros(len(yx), bool)
    for ring in polygons:
        corners = np.asarray(ring, np.float64).reshape(-1, 2)
        if len(np.unique(corners, axis=0)) < 3 or not np.isfinite(corners).all():
            continue
        # A self-crossing ring is no valid polygon; its valid form keeps the odd parts, and what
        # of it is flat as lines.
        for area in shapely.get_parts(shapely.make_valid(shapely.Polygon(corners))):
            if shapely.area(area) > 0:
                shapely.prepare(area)
                within ^= shapely.contains_xy(area, yx[:, 0], yx[:, 1])
    return within


def spots_in_ellipse(yx: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Whether each spot's centre lies within an ellipse.

    Parameters
    ----------
    yx
        (n_spots, 2) spot centres.
    box
        (4, 2) corners, in order, of the rectangle (turned as it may be) that it fills.

    Returns
    -------
    (n_spots,) bool.
    """
    yx, box = np.asarray(yx, np.float64).reshape(-1, 2), np.asarray(box, np.float64)
    axes = np.stack([box[1] - box[0], box[3] - box[0]], axis=1) / 2
    if not np.isfinite(box).all() or abs(np.linalg.det(axes)) < 1e-12:
        return np.zeros(len(yx), bool)
    unit = np.linalg.solve(axes, (yx - box.mean(axis=0)).T)
    return np.asarray((unit**2).sum(axis=0) < 1.0)
