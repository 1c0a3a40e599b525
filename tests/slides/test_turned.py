"""Orientation tags of TIFF, JPEG and PNG, against Pillow's own turns."""

from __future__ import annotations

import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from napari_umpire.slides import open_slide
from napari_umpire.slides.images import load_image
from napari_umpire.slides.pyramid import ArrayLevel
from napari_umpire.slides.turned import TurnedLevel

from .sections import halved, section, write

EVERY = range(1, 9)


def _upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", EVERY)
def test_any_part_of_a_turned_level_is_that_of_the_turned_picture(ramp, orientation):
    stored = ramp(143, 211)
    expected = _upright(stored, orientation)
    level = TurnedLevel(ArrayLevel(stored, 2.0, tile=32), orientation)
    assert (level.shape, level.downsample) == (expected.shape[:2], 2.0)
    np.testing.assert_array_equal(level.read(0, 0, *level.shape), expected)
    for y0, x0, y1, x1 in ((5, 7, 90, 33), (100, 31, 143, 140), (64, 96, 65, 97)):
        np.testing.assert_array_equal(level.read(y0, x0, y1, x1), expected[y0:y1, x0:x1])


@pytest.mark.parametrize("orientation", EVERY)
@pytest.mark.parametrize("kind", ["tif", "jpg", "png"])
def test_each_format_is_shown_upright(tmp_path, orientation, kind):
    stored = section(425, 500)
    path = tmp_path / f"a.{kind}"
    if kind == "tif":
        write(path, stored, 0.9, extratags=[(274, "H", 1, orientation, True)])
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"quality": 100, "subsampling": 0} if kind == "jpg" else {}
        Image.fromarray(stored).save(path, exif=exif, dpi=(25_400 / 0.9,) * 2, **options)
    slide = open_slide(path)
    assert slide.mpp == pytest.approx(0.9, rel=1e-3)
    level = slide.pyramid.levels[0]
    expected = _upright(stored, orientation)
    shown = level.read(0, 0, *level.shape)
    assert shown.shape == expected.shape
    np.testing.assert_allclose(shown.astype(int), expected, atol=12 if kind == "jpg" else 0)
    copy = pickle.loads(pickle.dumps(level))
    np.testing.assert_array_equal(copy.read(0, 0, *copy.shape), shown)


def test_all_levels_of_a_turned_pyramid_are_turned(tmp_path):
    import tifffile

    stored = section(1200, 1400)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as out:
        common = {"photometric": "rgb", "tile": (128, 128), "metadata": None}
        out.write(stored, subifds=1, extratags=[(274, "H", 1, 6, True)], **common)
        out.write(halved(stored), subfiletype=1, **common)
    levels = load_image(path).pyramid.levels
    assert [v.shape for v in levels] == [(1400, 1200), (700, 600)]
    for level, pixels in zip(levels, (stored, halved(stored)), strict=True):
        np.testing.assert_array_equal(level.read(0, 0, *level.shape), _upright(pixels, 6))


def test_exif_after_the_pixels_of_a_png_counts(tmp_path):
    path = tmp_path / "a.png"
    stored = section(300, 425)
    Image.fromarray(stored).save(path)
    exif = Image.Exif()
    exif[0x0112] = 8
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + data
    whole = path.read_bytes()
    end = whole.index(b"IEND") - 4
    inserted = struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(whole[:end] + inserted + whole[end:])
    level = load_image(path).pyramid.levels[0]
    np.testing.assert_array_equal(level.read(0, 0, *level.shape), _upright(stored, 8))
