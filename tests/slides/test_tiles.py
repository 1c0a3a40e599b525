"""Tiles over the tissue of a slide that is taller than wide."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.slides.scale import PhysicalScale
from napari_umpire.slides.synthetic import make_slide
from napari_umpire.slides.tiles import tile_of, tiled
from napari_umpire.slides.tissue import tissue_mask


@pytest.fixture(scope="module")
def slide():
    return make_slide(3, rows=14, cols=8, mpp=2.0)


def test_tiles_cover_the_tissue_edge_to_edge(slide):
    tiles = tiled(slide, 128.0)
    pitch = 64.0
    assert not tiles.has_counts
    assert tiles.pitch_um == 128.0
    np.testing.assert_allclose(np.mod(tiles.yx, pitch), pitch / 2)
    assert len(np.unique(tiles.yx, axis=0)) == tiles.n_spots
    mask = tissue_mask(slide.pyramid, slide.mpp)
    height, width = slide.pyramid.extent
    expected = sum(
        bool(mask.contains(np.array([[y, x]]))[0])
        for y in np.arange(pitch / 2, height, pitch)
        for x in np.arange(pitch / 2, width, pitch)
    )
    assert tiles.n_spots == expected > 20
    assert tiles.digest != slide.digest


def test_a_point_belongs_to_the_tile_whose_square_it_lies_in(slide):
    tiles = tiled(slide, 128.0)
    rng = np.random.default_rng(0)
    points = rng.uniform(0, slide.pyramid.extent, (300, 2))
    inside = np.abs(points[:, None] - tiles.yx[None]).max(axis=2) < 32.0
    wanted = np.where(inside.any(axis=1), inside.argmax(axis=1), -1)
    np.testing.assert_array_equal(tile_of(tiles, points), wanted)
    assert (wanted >= 0).any()
    assert (wanted < 0).any()
    assert tile_of(tiles, np.empty((0, 2))).shape == (0,)


def test_without_scale_or_tissue_there_is_a_sentence(slide):
    with pytest.raises(InputError, match="um per"):
        tiled(slide.with_scale(PhysicalScale(None, None, {})), 128.0)
    with pytest.raises(InputError, match="No tissue"):
        tiled(slide, 1e6)
