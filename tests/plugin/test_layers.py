"""Image and maps lie on each other to the pixel, in the window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.plugin.layers.make import (
    KEY,
    gene_colormap,
    gene_layer,
    show_values,
    slide_layer,
)
from napari_umpire.plugin.layers.overview import prepare_overview
from napari_umpire.plugin.layers.raster import raster_of
from napari_umpire.slides.pyramid import Pyramid
from napari_umpire.slides.scale import PhysicalScale
from napari_umpire.slides.turned import TurnedLevel
from napari_umpire.slides.wholefile import WholeLevel


def world_edges(layer, level_shape):
    """World coordinates of the outer edges of a layer's finest level: pixel i is [i-.5, i+.5]."""
    low = layer.data_to_world((-0.5, -0.5))
    high = layer.data_to_world(np.subtract(level_shape, 0.5))
    return np.array([low, high])


@pytest.mark.parametrize("mpp", [0.5, None])
def test_full_resolution_pixel_i_covers_i_to_i_plus_one(flat_slide, mpp):
    from napari.layers import Image

    scale = PhysicalScale() if mpp is None else PhysicalScale(mpp, "user")
    slide = flat_slide.with_scale(scale)
    levels, attributes, _ = slide_layer(slide)
    image = Image(levels, **attributes)
    unit = mpp or 1.0
    np.testing.assert_allclose(
        world_edges(image, (300, 520)), [(0, 0), (300 * unit, 520 * unit)], atol=1e-9
    )
    raster = raster_of(slide)
    layer = gene_layer(slide, raster, "measured")
    low = np.array(raster.origin) * unit
    high = low + np.array(raster.index.shape) * raster.step * unit
    np.testing.assert_allclose(world_edges(layer, raster.index.shape), [low, high])
    # The world position of a spot's centre is the spot's, in the map too.
    for number, yx in enumerate(slide.yx):
        row, col = np.round(layer.world_to_data(yx * unit)).astype(int)
        assert raster.index[row, col] == number


def test_the_window_shows_image_and_map_where_they_belong(flat_slide, open_viewer, canvas):
    viewer = open_viewer(flat_slide)
    layer = gene_layer(flat_slide, raster_of(flat_slide), "predicted")
    layer.colorbar.visible = layer.name_overlay.visible = False
    viewer.add_layer(layer)
    values = np.array([0.0, 1.0, 3.0], np.float32)
    show_values(
        layer, values, (0.0, 3.0), slide=flat_slide, gene="g", label="G", run=None
    )  # fmt: skip
    viewer.reset_view(margin=0.2)
    seen = canvas(viewer)
    colours = gene_colormap("predicted").map(values / 3)[:, :3] * 255
    for (y, x), colour in zip(flat_slide.yx * 0.5, colours, strict=True):
        # Disc of 10 um radius in a black square of 15 um half side on white; y down, x right.
        assert np.abs(seen.at(y, x) - colour).max() <= 3
        for dy, dx in ((8.5, 0), (-8.5, 0), (0, 8.5), (0, -8.5)):
            assert np.abs(seen.at(y + dy, x + dx) - colour).max() <= 3
        for dy, dx in ((12, 0), (-12, 0), (0, 12), (0, -12), (9, 9)):
            assert seen.at(y + dy, x + dx).max() <= 3
        for dy, dx in ((17, 0), (-17, 0), (0, 17), (0, -17)):
            assert seen.at(y + dy, x + dx).min() >= 252


def test_a_switch_refills_the_same_layer_and_tells_what_it_is(flat_slide):
    layer = gene_layer(flat_slide, raster_of(flat_slide), "measured")
    level = layer.data[0]
    for gene, values in (("A", [0.0, 1.0, 2.0]), ("B", [5.0, np.nan, 7.0])):
        values = np.array(values, np.float32)
        show_values(
            layer, values, (0.0, 6.0), slide=flat_slide, gene=gene, label=gene, run="digest"
        )  # fmt: skip
        assert layer.data[0] is level
        shown = np.asarray(level)
        index = raster_of(flat_slide).index
        for number, value in enumerate(values):
            np.testing.assert_array_equal(np.unique(shown[index == number]), value)
        assert np.isnan(shown[index < 0]).all()
        assert layer.contrast_limits == [0.0, 6.0]
        assert layer.name == f"{gene} (measured), log1p(CP10k): flat"
        ours = layer.metadata[KEY]
        assert (ours["gene"], ours["unit"], ours["run"]) == (gene, "log1p(CP10k)", "digest")
        assert layer.metadata["sdata"] is flat_slide.sdata
    assert layer.contrast_limits_range == [0.0, 7.0]


@pytest.mark.parametrize("kind", ["predicted", "difference"])
def test_no_colour_of_a_map_is_pink_or_purple(kind):
    """Eosin and haematoxylin lie between blue-violet and pink-red; a map must not."""
    import colorsys

    for colour in gene_colormap(kind).map(np.linspace(0, 1, 64))[:, :3]:
        hue, saturation, _ = colorsys.rgb_to_hsv(*colour)
        assert saturation < 0.15 or not 250 / 360 < hue < 355 / 360


def test_the_expression_map_grows_lighter_evenly():
    from skimage.color import rgb2lab

    rgb = gene_colormap("predicted").map(np.linspace(0, 1, 33))[:, :3]
    steps = np.diff(rgb2lab(rgb)[:, 0])
    assert (steps > 0.5).all()
    assert steps.max() < 3 * steps.min()


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_picture_without_tiles_is_decoded_beforehand_also_where_it_is_turned(orientation):
    decoded = []

    def decode():
        decoded.append(orientation)
        return np.full((2100, 4000, 3), 200, np.uint8)

    level = WholeLevel(("overview", orientation), (2100, 4000), decode)
    shown = level if orientation == 1 else TurnedLevel(level, orientation)
    prepare_overview(Pyramid((shown,)))
    assert decoded == [orientation]
