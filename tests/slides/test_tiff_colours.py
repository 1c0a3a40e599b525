"""Samples of a TIFF or PNG file as red, green and blue of 8 bits."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.images import load_image

from .sections import TILED, ome_xml, section, write

SIZE = 'SizeX="1000" SizeY="850"'


def _pixels(path) -> np.ndarray:
    level = load_image(path).pyramid.levels[0]
    return level.read(0, 0, *level.shape)


def _camera(bits: int) -> np.ndarray:
    """The section as a camera of ``bits`` gives it, in samples of 16 bits."""
    return (section().astype(np.uint16) << (bits - 8)) + 1


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_depth_of_a_camera_is_what_the_file_says(tmp_path, bits):
    pixels = f'{SIZE} SignificantBits="{bits}"'
    for name, options in (
        ("a.ome.tif", {"description": ome_xml(pixels)}),
        ("b.tif", {"extratags": [(341, "H", 3, (2**bits - 1,) * 3, True)]}),
        # The largest value that occurs, as some programs note it.
        ("c.tif", {"extratags": [(281, "H", 3, (int(_camera(bits).max()),) * 3, True)]}),
    ):
        path = write(tmp_path / name, _camera(bits), **options)
        np.testing.assert_array_equal(_pixels(path), section(), err_msg=name)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_depth_that_nothing_says_is_asked_for(tmp_path, bits):
    words = f"no value above {int(_camera(bits).max()):,}, as of a camera of {bits} bits"
    said_wrong = ome_xml(f'{SIZE} SignificantBits="16"')
    for name, text in (("a.tif", None), ("a.ome.tif", said_wrong)):
        path = write(tmp_path / name, _camera(bits), description=text)
        with pytest.raises(InputError, match=words):
            load_image(path)


def test_a_dark_image_of_16_bits_stays_dark(tmp_path):
    dark = section().astype(np.uint16) * 90
    path = write(tmp_path / "a.tif", dark, extratags=[(281, "H", 3, (21960,) * 3, True)])
    np.testing.assert_array_equal(_pixels(path), dark >> 8)


def test_values_beyond_the_stated_depth_are_a_contradiction(tmp_path):
    tags = [(341, "H", 3, (4095,) * 3, True)]
    path = write(tmp_path / "a.tif", section().astype(np.uint16) * 257, extratags=tags)
    with pytest.raises(InputError, match="values above 4,095 where it says that 12 bits"):
        load_image(path)


def test_a_png_of_16_bits_is_shown_or_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(section().astype(np.uint16) * 257))
    np.testing.assert_array_equal(_pixels(path), section())
    path.write_bytes(imagecodecs.png_encode(_camera(12)))
    with pytest.raises(InputError, match="shown nearly black.*a camera of 12 bits"):
        _pixels(path)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("value", [0, 90])
def test_a_fourth_sample_is_transparency_only_where_the_file_says_so(tmp_path, planar, value):
    fourth = np.full((*section().shape[:2], 1), value, np.uint8)
    image = np.concatenate([section(), fourth], axis=2)
    options = {"extrasamples": ["UNSPECIFIED"]}
    if planar:
        image, options = np.moveaxis(image, 2, 0), options | {"planarconfig": "separate"}
    path = write(tmp_path / "a.tif", image, **options)
    with pytest.warns(UmpireWarning, match="fourth sample is not said to be transparency"):
        np.testing.assert_array_equal(_pixels(path), section())


def _channels(*names: str) -> str:
    return "".join(
        f'<Channel ID="Channel:0:{i}" Name="{name}" SamplesPerPixel="1"/>'
        for i, name in enumerate(names)
    )


@pytest.mark.parametrize(
    "names", [("Red", "Green", "Blue"), ("r", "g", "b"), ("", "", ""), ("0", "1", "2")]
)
def test_channels_named_as_colours_are_colours(tmp_path, names):
    text = ome_xml(("HE", SIZE, _channels(*names)))
    path = write(tmp_path / "a.ome.tif", section(), description=text)
    np.testing.assert_array_equal(_pixels(path), section())


@pytest.mark.parametrize("name", ["Brightfield", "H&amp;E", "RGB", "CFProtected", "Scan 2"])
def test_a_single_channel_for_all_colours_may_have_any_other_name(tmp_path, name):
    channel = f'<Channel ID="Channel:0:0" SamplesPerPixel="3" Name="{name}"/>'
    path = write(tmp_path / "a.ome.tif", section(), description=ome_xml(("HE", SIZE, channel)))
    np.testing.assert_array_equal(_pixels(path), section())


def test_the_depth_of_a_fourth_sample_says_nothing_of_the_colours(tmp_path):
    image = np.dstack([_camera(12), np.full(section().shape[:2], 65535, np.uint16)])
    tags = [(341, "H", 4, (4095, 4095, 4095, 65535), True)]
    path = write(tmp_path / "a.tif", image, extrasamples=["UNSPECIFIED"], extratags=tags)
    with pytest.warns(UmpireWarning, match="fourth sample"):
        np.testing.assert_array_equal(_pixels(path), section())


def test_colours_in_another_order_are_put_in_theirs(tmp_path):
    text = ome_xml(("HE", SIZE, _channels("B", "G", "R")))
    path = write(tmp_path / "a.ome.tif", section()[:, :, ::-1], description=text)
    np.testing.assert_array_equal(_pixels(path), section())


@pytest.mark.parametrize(
    "channels",
    [
        _channels("DAPI", "CD3", "PanCK"),
        _channels("R", "G", "DAPI"),
        '<Channel ID="Channel:0:0" SamplesPerPixel="3" ContrastMethod="Fluorescence"/>',
        '<Channel ID="Channel:0:0" SamplesPerPixel="3" Name="Cy5"/>',
        '<Channel ID="Channel:0:0" SamplesPerPixel="3" Name="DAPI (385)"/>',
    ],
)
def test_fluorescence_is_no_h_and_e_image(tmp_path, channels):
    text = ome_xml(("IF", SIZE, channels))
    path = write(tmp_path / "a.ome.tif", section(), description=text)
    with pytest.raises(InputError, match="holds no colour image"):
        load_image(path)


def test_an_h_and_e_image_is_found_beside_fluorescence(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as out:
        text = ome_xml(
            ("IF", 'SizeX="1400" SizeY="1200"', _channels("DAPI", "CD3", "PanCK")),
            ("HE", SIZE, ""),
        )
        common = {"photometric": "rgb", "tile": (128, 128), "metadata": None}
        out.write(section(1200, 1400, 1), description=text, **common)
        out.write(section(), **common)
    np.testing.assert_array_equal(_pixels(path), section())


def test_copies_without_tags_are_of_the_depth_of_the_first_page(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as out:
        tags = [(341, "H", 3, (4095,) * 3, True)]
        out.write(_camera(12), subifds=1, extratags=tags, **TILED)
        out.write(_camera(12)[::2, ::2], subfiletype=1, **TILED)
    level = load_image(path).pyramid.levels[1]
    np.testing.assert_array_equal(level.read(0, 0, *level.shape), section()[::2, ::2])


@pytest.mark.parametrize("factor", [16, 257])
def test_one_strip_of_16_bits_is_looked_at_when_it_is_decoded(tmp_path, monkeypatch, factor):
    from napari_umpire.slides import tiff

    monkeypatch.setattr(tiff, "_SEGMENT_LIMIT_PX", 1000)
    deep = section().astype(np.uint16) * factor
    path = write(tmp_path / "a.tif", deep, tile=None, rowsperstrip=850)
    if factor == 257:
        np.testing.assert_array_equal(_pixels(path), section())
    else:
        with pytest.raises(InputError, match="shown nearly black.*12 bits"):
            _pixels(path)
