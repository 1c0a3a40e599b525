from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.slides.crops import crops
from napari_umpire.slides.patches import PatchSpec, iter_patches
from napari_umpire.slides.pyramid import ArrayLevel

from .test_patches import HEIGHT, WIDTH, coded, slide_of


def coded_slide(yx, mpp=0.5):
    return slide_of([ArrayLevel(coded(), 1.0, 64)], np.asarray(yx, float), mpp)


def test_crops_are_the_pixels_around_the_spots_in_the_order_asked_for():
    yx = [[100, 900], [350, 60], [600, 500], [200, 200]]
    slide, pixels = coded_slide(yx), coded()
    rows = [2, 0, 3, 0]
    found = crops(slide, np.array(rows), field_um=48.0, size_px=96)  # 96 px: a plain copy
    for row, crop in zip(rows, found, strict=True):
        y, x = yx[row]
        np.testing.assert_array_equal(crop, pixels[y - 48 : y + 48, x - 48 : x + 48])


def test_outside_of_the_image_is_white():
    slide = coded_slide([[10, 1090], [HEIGHT + 20, 300], [-500, -500], [300, 300]])
    corner, below, far = crops(slide, np.array([0, 1, 2]), field_um=48.0, size_px=96)
    pixels = coded()
    expected = np.full((96, 96, 3), 255, np.uint8)
    expected[38:, :58] = pixels[:58, WIDTH - 58 :]
    np.testing.assert_array_equal(corner, expected)
    np.testing.assert_array_equal(below[:28], pixels[HEIGHT - 28 :, 252:348])
    assert (below[28:] == 255).all()
    assert (far == 255).all()


def test_crops_are_what_the_model_sees_at_its_own_size():
    slide = coded_slide([[300, 500], [320, 700]])
    (batch,) = iter_patches(slide, PatchSpec(112.0, 80), spots=np.array([0, 1]))
    expected = batch.pixels[np.argsort(batch.rows)]
    np.testing.assert_array_equal(crops(slide, np.array([0, 1]), 112.0, 80), expected)


def test_no_image_is_too_coarse_to_look_at():
    slide = coded_slide([[300, 500]], mpp=20.0)
    crop = crops(slide, np.array([0]))[0]
    # 112 um are 5.6 px: red rises with y and green with x, by that much over the crop.
    assert 3 <= int(crop[80, 48, 0]) - int(crop[15, 48, 0]) <= 5
    assert 3 <= int(crop[48, 80, 1]) - int(crop[48, 15, 1]) <= 5


def test_no_rows_make_no_crops_and_no_scale_is_refused():
    assert crops(coded_slide([[300, 500]]), np.array([], int)).shape == (0, 96, 96, 3)
    with pytest.raises(InputError, match="scale|um per"):
        crops(coded_slide([[300, 500]], mpp=None), np.array([0]))
