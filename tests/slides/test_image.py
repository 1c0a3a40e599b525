"""Plain images: scale, gridded spots, vendor formats, and what is refused."""

from __future__ import annotations

import importlib.util
import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import open_slide
from napari_umpire.slides.images import load_image
from napari_umpire.slides.vendor import open_vendor


def _tissue(height: int = 1500, width: int = 2100) -> np.ndarray:
    """A pink blob on white, in the upper right of a slide that is wider than high."""
    y, x = np.mgrid[:height, :width]
    inside = ((y - 500) / 380) ** 2 + ((x - 1500) / 450) ** 2 < 1
    image = np.full((height, width, 3), 244, np.uint8)
    noise = np.random.default_rng(0).integers(-25, 25, (height, width, 1))
    image[inside] = np.clip(np.array([190, 90, 150]) + noise[inside], 0, 255)
    return image


@pytest.fixture
def tissue_tiff(tmp_path):
    path = tmp_path / "blob.ome.tif"
    meta = {"axes": "YXS", "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0}
    tifffile.imwrite(path, _tissue(), tile=(256, 256), photometric="rgb", metadata=meta)
    return path


def test_spots_lie_on_a_hexagonal_grid_over_the_tissue(tissue_tiff):
    slide = open_slide(tissue_tiff)
    assert (slide.name, slide.platform, slide.table) == ("blob", "image", None)
    assert (slide.mpp, slide.scale.source) == (1.0, "metadata")
    # The blob has an area of pi * 380 * 450 um^2; a spot has 100^2 * sqrt(3) / 2 um^2.
    expected = np.pi * 380 * 450 / (100**2 * np.sqrt(3) / 2)
    assert slide.n_spots == pytest.approx(expected, rel=0.2)
    away = ((slide.yx - (500, 1500)) / (380, 450)) ** 2
    assert (away.sum(axis=1) < 1.3).all()
    np.testing.assert_array_equal(
        slide.sdata.shapes[slide.region].geometry.y.to_numpy(), slide.yx[:, 0]
    )
    assert slide.sdata.images["blob_full_image"]["scale0"]["image"].shape == (3, 1500, 2100)


def test_without_a_scale_there_are_no_spots_until_the_user_tells_it(tmp_path):
    path = tmp_path / "blob.png"
    Image.fromarray(_tissue()).save(path, dpi=(72, 72))
    slide = open_slide(path)
    assert slide.n_spots == 0
    assert slide.scale.mpp is None
    with pytest.raises(InputError, match="physical scale of blob is not known"):
        _ = slide.mpp
    told = open_slide(path, mpp=2.0)
    assert told.scale.source == "user"
    assert told.n_spots > open_slide(path, mpp=1.0).n_spots > 0


def test_the_users_scale_beside_another_in_the_file_is_shown(tissue_tiff):
    with pytest.warns(UmpireWarning, match=r"you 0\.5, the file's metadata 1\b"):
        slide = open_slide(tissue_tiff, mpp=0.5)
    assert slide.mpp == 0.5


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPEG", "a.tif"])
def test_each_common_format_opens_with_its_pixels(tmp_path, ramp, name):
    path = tmp_path / name
    pixels = ramp(300, 500)
    kind = "JPEG" if name.lower().endswith(("jpg", "jpeg")) else None
    Image.fromarray(pixels).save(path, format=kind)
    expected = np.asarray(Image.open(path).convert("RGB"))
    slide = open_slide(path)
    assert slide.pyramid.extent == (300, 500)
    np.testing.assert_array_equal(slide.pyramid.levels[0].read(0, 0, 300, 500), expected)


def test_a_png_states_its_scale_in_px_per_metre(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(_tissue()).save(path, dpi=(25_400, 25_400))
    assert open_slide(path).mpp == pytest.approx(1.0, rel=1e-3)


def test_a_large_single_level_image_gets_a_pyramid(tissue_tiff):
    levels = open_slide(tissue_tiff).pyramid.levels
    assert [v.downsample for v in levels] == [1, 2, 4]
    assert max(levels[-1].shape) <= 1024


def test_an_image_beyond_pillows_limit_opens_and_leaves_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(_tissue()).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert open_slide(path).pyramid.extent == (1500, 2100)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_transparent_pixels_are_white(tmp_path):
    rgba = np.zeros((40, 60, 4), np.uint8)
    rgba[:, 30:] = (200, 100, 150, 255)
    path = tmp_path / "a.png"
    Image.fromarray(rgba).save(path)
    pixels = load_image(path).pyramid.levels[0].read(0, 0, 40, 60)
    assert (pixels[:, :30] == 255).all()
    assert (pixels[:, 30:] == (200, 100, 150)).all()


@pytest.mark.parametrize("mode", ["L", "I;16", "1"])
def test_a_grey_picture_is_refused(tmp_path, mode):
    path = tmp_path / "grey.png"
    Image.new(mode, (50, 40)).save(path)
    with pytest.raises(InputError, match="grey.png is not a colour image"):
        open_slide(path)


@pytest.mark.parametrize("keep", [0, 10, 2000])
def test_a_broken_picture_is_named(tmp_path, keep, ramp):
    path = tmp_path / "broken.jpg"
    Image.fromarray(ramp(300, 500)).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="broken.jpg cannot be read as an image"):
        open_slide(path).pyramid.levels[0].read(0, 0, 300, 500)


def test_an_empty_slide_says_that_it_has_no_tissue(tmp_path):
    path = tmp_path / "white.png"
    Image.new("RGB", (900, 700), "white").save(path)
    with pytest.warns(UmpireWarning, match="no tissue was found"):
        assert open_slide(path, mpp=1.0).n_spots == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 900)])
def test_a_picture_of_a_few_pixels_has_no_tissue(tmp_path, size):
    path = tmp_path / "dot.png"
    Image.new("RGB", size, (180, 90, 160)).save(path)
    with pytest.warns(UmpireWarning, match="no tissue was found"):
        assert open_slide(path, mpp=1.0).n_spots == 0


def test_image_and_region_make_no_sense_for_an_image(tissue_tiff):
    with pytest.raises(InputError, match="is an image itself"):
        open_slide(tissue_tiff, region="a")


def test_scanner_formats_ask_for_the_extra_where_it_is_absent(tmp_path, monkeypatch):
    path = tmp_path / "scan.ndpi"
    path.write_bytes(b"x")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "openslide" else find(name)
    )
    with pytest.raises(InputError, match=r'pip install "napari-umpire\[wsi\]"'):
        open_slide(path)


def test_a_broken_scanner_file_is_named(tmp_path):
    pytest.importorskip("openslide")
    path = tmp_path / "scan.ndpi"
    path.write_bytes(b"no slide")
    with pytest.raises(InputError, match="scan.ndpi cannot be read by OpenSlide"):
        open_slide(path)


def test_openslide_levels_show_what_tiff_levels_show(data_dir):
    pytest.importorskip("openslide")
    path = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    levels, mpp = open_vendor(path)
    ours = load_image(path)
    assert mpp == pytest.approx(ours.stated["description"])
    np.testing.assert_array_equal(
        levels[0].read(0, 0, *levels[0].shape),
        ours.pyramid.levels[0].read(0, 0, *levels[0].shape),
    )


def test_a_real_scan_has_spots_on_its_tissue(data_dir):
    slide = open_slide(data_dir / "wsi" / "CMU-1-Small-Region.svs")
    assert (slide.mpp, slide.scale.source) == (0.499, "description")
    assert slide.n_spots > 40


def _png_header(path, width: int, height: int, colour: int = 2) -> None:
    """A PNG of a few bytes that claims to be large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + palette + pixels + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("width", "height", "colour"), [(200_000, 200_000, 2), (30_000, 29_000, 2), (30_000, 29_000, 3)]
)
def test_a_png_that_claims_too_much_is_refused_by_its_header(tmp_path, width, height, colour):
    path = tmp_path / "a.png"
    _png_header(path, width, height, colour)
    with pytest.raises(InputError, match=rf"{height:,} x {width:,} px.*vips tiffsave"):
        open_slide(path)


def test_a_tiff_of_one_strip_that_claims_too_much_is_refused_by_its_header(tmp_path):
    path = tmp_path / "a.tif"
    tags = {"photometric": "rgb", "compression": "zlib", "rowsperstrip": 64, "metadata": None}
    tifffile.imwrite(path, np.zeros((64, 70, 3), np.uint8), **tags)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tif.pages[0].tags[name].overwrite(60_000)
    with pytest.raises(InputError, match="60,000 x 60,000 px.*10.8 GB.*vips tiffsave"):
        open_slide(path)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_memory_that_ends_while_an_image_is_decoded_is_said(tmp_path, monkeypatch, name):
    from napari_umpire.slides import tiff

    monkeypatch.setattr(tiff, "_SEGMENT_LIMIT_PX", 1000)
    path = tmp_path / name
    if name == "a.png":
        Image.fromarray(_tissue(300, 400)).save(path)
    else:
        options = {"photometric": "rgb", "rowsperstrip": 300, "compression": "zlib"}
        tifffile.imwrite(path, _tissue(300, 400), **options)
    level = load_image(path).pyramid.levels[0]

    def empty(*args, **kwargs):
        raise MemoryError("Unable to allocate 3.64 TiB")

    monkeypatch.setattr(np, "empty", empty)
    with pytest.raises(InputError, match=rf"{name} cannot be (decoded|read).*3.64 TiB"):
        level.pixels  # noqa: B018


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ndpi"])
def test_a_named_pipe_is_no_image(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="a named pipe"):
        load_image(tmp_path / name)


@pytest.mark.parametrize(
    ("x", "y", "mpp", "words"),
    [
        ("0.25", "0.2505", 0.25025, None),
        ("0.5", "0.25", None, "0.5 um wide, 0.25 um high"),
        ("abc", "0.25", None, None),
        ("1e400", "1e400", None, None),
        (None, None, None, None),
    ],
)
def test_the_scanners_scale_is_that_of_both_axes(data_dir, monkeypatch, x, y, mpp, words):
    openslide = pytest.importorskip("openslide")
    told = {"openslide.mpp-x": x, "openslide.mpp-y": y}
    properties = {k: v for k, v in told.items() if v is not None}
    monkeypatch.setattr(openslide.OpenSlide, "properties", properties)
    path = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    if words is None:
        assert open_vendor(path)[1] == (None if mpp is None else pytest.approx(mpp))
    else:
        with pytest.warns(UmpireWarning, match=words):
            assert open_vendor(path)[1] is None
