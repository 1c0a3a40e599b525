"""The coarse levels of a slide in memory, so that napari's first look at it decodes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import dask.array as da
    import numpy as np

    from napari_umpire.slides.pyramid import Pyramid

__all__ = ["drawn_levels", "prepare_overview"]

_KEEP_PX = 8_000_000
"""A window of 1,400 px asks for a level of up to four times its width where each level has a
quarter of the one before, as scanners write them."""

_kept: WeakKeyDictionary[Pyramid, dict[int, np.ndarray]] = WeakKeyDictionary()


def prepare_overview(pyramid: Pyramid) -> None:
    """Decode what a window shows first: the coarse levels, and pictures that have no tiles.

    Such a picture can only be decoded whole, and would be so in the middle of a zoom. Call it in a
    worker thread, before `drawn_levels`.
    """
    from napari_umpire.slides.turned import TurnedLevel
    from napari_umpire.slides.wholefile import WholeLevel

    for level in reversed(pyramid.levels):
        stored = level.stored if isinstance(level, TurnedLevel) else level
        if isinstance(stored, WholeLevel):
            stored.read_tile(0, 0)
    if pyramid not in _kept:
        _kept[pyramid] = {
            i: level.read(0, 0, *level.shape)
            for i, level in enumerate(pyramid.levels)
            if level.shape[0] * level.shape[1] <= _KEEP_PX
        }


def drawn_levels(pyramid: Pyramid) -> list[np.ndarray | da.Array]:
    """The levels for a napari layer, finest first: in memory where prepared, else lazy."""
    kept = _kept.get(pyramid, {})
    return [kept[i] if i in kept else v.as_dask() for i, v in enumerate(pyramid.levels)]
