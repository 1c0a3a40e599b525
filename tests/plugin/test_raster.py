"""The spot-index raster against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.plugin.layers.raster import NO_SPOT, SpotRaster, raster_of
from napari_umpire.plugin.layers.spot_picture import SpotPicture

from ..steps import interpreted


def brute_force(raster, yx, diameter):
    """Nearest spot within half a diameter of each pixel's centre, by all distances."""
    rows, cols = np.indices(raster.index.shape)
    y = raster.origin[0] + (rows + 0.5) * raster.step
    x = raster.origin[1] + (cols + 0.5) * raster.step
    squared = (y[..., None] - yx[:, 0]) ** 2 + (x[..., None] - yx[:, 1]) ** 2
    nearest = squared.argmin(-1)
    return np.where(squared.min(-1) < (diameter / 2) ** 2, nearest, NO_SPOT), squared


@pytest.mark.parametrize("overlap", [False, True], ids=["apart", "overlapping"])
def test_each_pixel_belongs_to_the_nearest_spot_that_covers_it(overlap):
    rng = np.random.default_rng(3)
    yx = rng.uniform((100, 2000), (900, 2300), (12, 2))
    diameter = 150.0 if overlap else 20.0
    raster = SpotRaster.build(yx, diameter)
    expected, squared = brute_force(raster, yx, diameter)
    assert raster.index.dtype == np.int32
    differs = raster.index != expected
    # Only where two centres are equally far, to float32, may they differ.
    two = np.sort(squared, -1)[..., :2]
    assert np.allclose(two[differs][:, 0], two[differs][:, 1], rtol=1e-5)
    assert differs.mean() < 1e-4
    assert len(np.unique(raster.index)) == 13


def test_spots_at_one_place_do_not_hang():
    raster = SpotRaster.build(np.array([[5.0, 5.0], [5.0, 5.0], [5.0, 5.2]]), 4.0)
    assert raster.spot_at(5.0, 3.9) in (0, 1)
    assert raster.spot_at(5.0, 6.8) == 2


def test_discs_get_24_px_until_memory_bounds_them():
    yx = np.array([[0.0, 0.0], [700.0, 1900.0]])
    assert 55.0 / SpotRaster.build(yx, 55.0).step == pytest.approx(24)
    bounded = SpotRaster.build(yx, 55.0, max_px=100_000)
    assert bounded.index.size < 140_000
    assert 4 <= 55.0 / bounded.step < 24
    assert 55.0 / SpotRaster.build(yx, 55.0, max_px=10).step == pytest.approx(4)


def test_a_position_finds_its_spot_and_the_outside_none(slide):
    raster = raster_of(slide)
    for number in (0, 7, slide.n_spots - 1):
        y, x = slide.yx[number]
        reach = slide.spot_diameter_um / slide.mpp / 2
        assert raster.spot_at(y, x) == number
        assert raster.spot_at(y, x + 0.9 * reach) == number
        assert raster.spot_at(y + 1.2 * reach, x) == NO_SPOT
    assert raster.spot_at(-1e6, 0) == NO_SPOT


def test_no_spots_make_an_empty_raster():
    raster = SpotRaster.build(np.empty((0, 2)), 10.0)
    assert (raster.index == NO_SPOT).all()
    assert np.isnan(np.asarray(SpotPicture(raster).levels[0])).all()


@pytest.mark.parametrize("diameter", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_diameter_is_refused(diameter):
    with pytest.raises(ValueError, match="diameter above 0"):
        SpotRaster.build(np.zeros((1, 2)), diameter)


def test_all_levels_show_the_same_discs_at_the_same_place():
    rng = np.random.default_rng(0)
    yx = rng.uniform(0, (9000, 4000), (60, 2))
    raster = SpotRaster.build(yx, 120.0)
    assert len(raster.levels) >= 3
    gene_map = SpotPicture(raster)
    values = rng.normal(size=60).astype(np.float32)
    gene_map.set(values)
    for number, level in enumerate(gene_map.levels):
        stride = 2**number
        assert tuple(n * stride for n in level.shape) == raster.index.shape
        step = raster.step * stride
        at = np.floor((yx - raster.origin) / step).astype(int)
        if step < 60:
            shown = np.asarray(level)[at[:, 0], at[:, 1]]
            assert np.array_equal(shown, values)


def test_a_map_is_computed_only_where_asked_and_follows_its_values():
    raster = SpotRaster.build(np.array([[10.0, 10.0], [10.0, 40.0]]), 12.0)
    gene_map = SpotPicture(raster)
    coarsest = gene_map.levels[-1]
    part = (slice(8, 30), slice(0, 50))
    for values in (np.array([1.5, -2.0]), np.array([np.nan, 7.0])):
        gene_map.set(values.astype(np.float32))
        index = raster.index[part]
        expected = np.full(index.shape, np.nan, np.float32)
        expected[index >= 0] = values[index[index >= 0]]
        np.testing.assert_array_equal(gene_map.levels[0][part], expected)
        # napari never asks for the coarsest level twice.
        assert gene_map.levels[-1] is coarsest
        np.testing.assert_array_equal(coarsest[raster.levels[-1] == 1], np.float32(values[1]))
    with pytest.raises(ValueError, match=r"expected \(2,\)"):
        gene_map.set(np.zeros(3))


@pytest.mark.slow
def test_half_a_million_spots_are_rasterised_together():
    rows, cols = np.indices((600, 840))
    yx = np.column_stack([rows.ravel() * 173.2, cols.ravel() * 200.0 + (rows.ravel() % 2) * 100])
    made = []
    assert interpreted(lambda: made.append(SpotRaster.build(yx, 110.0))) < len(yx) / 10
    (raster,) = made
    assert np.array_equal(np.unique(raster.index), np.arange(-1, len(yx)))
