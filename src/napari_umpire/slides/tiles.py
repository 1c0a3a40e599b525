"""Tiles: a square grid of fields over the tissue of any slide, measured or not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.slides.slide import tidy_spots
from napari_umpire.slides.tissue import grid_spots

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["tile_of", "tiled"]


def tiled(slide: Slide, pitch_um: float) -> Slide:
    """The slide with a square grid of tiles over its tissue in place of its spots.

    Nothing was measured on the tiles. The grid starts at the corner of the image, so the same
    image gives the same tiles.

    Parameters
    ----------
    pitch_um
        Distance of neighbouring centres, um.

    Raises
    ------
    InputError
        Where the physical scale is not known, or no tissue was found.
    """
    mask = slide.tissue
    tiles = grid_spots(slide.pyramid, mask, slide.mpp, pitch_um=pitch_um, kind="square")
    if tiles.empty:
        raise InputError(
            f"No tissue was found on {slide.name}",
            got="no tile with its centre on tissue",
            fix="Check its um per px: with a wrong scale no tile fits on the tissue",
        )
    tiles = tiles.set_axis([f"tile_{i + 1:05d}" for i in range(len(tiles))])
    return replace(
        slide,
        spots=tidy_spots(tiles),
        pitch_um=pitch_um,
        spot_diameter_um=pitch_um,
        platform="image",
        table=None,
    )


def tile_of(tiles: Slide, yx: np.ndarray) -> np.ndarray:
    """The tile whose square each point lies in, (m,) int64 rows of ``tiles.spots``; -1: in none.

    Parameters
    ----------
    tiles
        As `tiled` gives it.
    yx
        (m, 2) points, full-resolution px.
    """
    pitch = tiles.pitch_um / tiles.mpp
    places = {
        tuple(p): i for i, p in enumerate(np.floor(tiles.yx / pitch).astype(np.int64).tolist())
    }
    cells = np.floor(np.asarray(yx, np.float64) / pitch).astype(np.int64).tolist()
    return np.array([places.get(tuple(cell), -1) for cell in cells], np.int64).reshape(-1)
