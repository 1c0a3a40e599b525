"""TIFF levels against tifffile's own reader and against OpenSlide."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
import tifffile

from napari_umpire.errors import InputError
from napari_umpire.slides.tiff import TiffImage, tiff_images
from napari_umpire.slides.tiff_level import TiffLevel
from napari_umpire.slides.wholefile import WholeLevel


@pytest.fixture
def pixels(ramp) -> np.ndarray:
    return ramp(700, 1100)


def open_tiff(path) -> TiffImage:
    (image,) = tiff_images(path)
    return image


def _write(path, image, **kwargs):
    kwargs.setdefault("photometric", "rgb")
    tifffile.imwrite(path, image, **kwargs)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("a.tif", {"tile": (128, 256)}, id="tiles"),
        pytest.param("a.tif", {"tile": (128, 256), "bigtiff": True}, id="bigtiff"),
        pytest.param("a.tif", {"tile": (64, 64), "compression": "zlib", "predictor": 2}, id="zlib"),
        pytest.param("a.tif", {"tile": (64, 64), "compression": "lzw"}, id="lzw"),
        pytest.param("a.btf", {"tile": (64, 64), "byteorder": ">"}, id="big-endian"),
        pytest.param("a.tif", {"rowsperstrip": 7, "compression": "deflate"}, id="narrow-strips"),
        pytest.param("a.tif", {"rowsperstrip": 300}, id="strips"),
        pytest.param("a.tif", {}, id="one-strip"),
        pytest.param("a.tif", {"tile": (64, 64), "planarconfig": "separate"}, id="planar-tiles"),
        pytest.param("a.tif", {"planarconfig": "separate", "rowsperstrip": 50}, id="planar-strips"),
        pytest.param("a.tif", {"tile": (128, 128), "compression": "jpeg2000"}, id="jpeg2000"),
        pytest.param(
            "a.tif",
            {"tile": (128, 128), "compression": "jpeg", "compressionargs": {"level": 85}},
            id="jpeg",
        ),
        pytest.param("a.ome.tif", {"tile": (64, 64)}, id="ome"),
    ],
)
def test_pixels_are_those_of_tifffile(tmp_path, pixels, name, options):
    planar = options.get("planarconfig") == "separate"
    image = np.moveaxis(pixels, 2, 0) if planar else pixels
    path = _write(tmp_path / name, image, **options)
    expected = tifffile.imread(path)
    expected = np.moveaxis(expected, 0, 2) if planar else expected
    (level,) = open_tiff(path).levels
    np.testing.assert_array_equal(level.read(0, 0, 700, 1100), expected)
    np.testing.assert_array_equal(level.read(333, 500, 480, 1099), expected[333:480, 500:1099])
    if options.get("compression") not in ("jpeg", "jpeg2000"):
        np.testing.assert_array_equal(expected, pixels)


def test_16_bits_become_8(tmp_path, pixels):
    path = _write(tmp_path / "a.tif", pixels.astype(np.uint16) * 256 + 77, tile=(128, 128))
    (level,) = open_tiff(path).levels
    np.testing.assert_array_equal(level.read(0, 0, 700, 1100), pixels)


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_transparency_lies_over_white(tmp_path, pixels, kind):
    alpha = np.zeros((700, 1100, 1), np.uint8)
    alpha[:, 550:] = 255
    alpha[:100] = 51
    rgba = np.concatenate([pixels, alpha], axis=2)
    share = alpha / 255.0
    if kind == "assocalpha":
        rgba[..., :3] = np.rint(pixels * share)
    path = _write(tmp_path / "a.tif", rgba, tile=(128, 128), extrasamples=[kind])
    (level,) = open_tiff(path).levels
    expected = pixels * share + 255 * (1 - share)
    np.testing.assert_allclose(level.read(0, 0, 700, 1100), expected, atol=1)


def test_ycbcr_without_jpeg_is_turned_into_rgb(tmp_path, pixels):
    from PIL import Image

    ycc = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    path = _write(
        tmp_path / "a.tif",
        ycc,
        photometric="ycbcr",
        tile=(128, 128),
        compression="zlib",
        extratags=[(530, 3, 2, (1, 1), True)],
    )
    (level,) = open_tiff(path).levels
    np.testing.assert_allclose(level.read(0, 0, 700, 1100).astype(int), pixels, atol=3)


def test_tiles_left_out_by_the_scanner_are_white(tmp_path, pixels):
    path = tmp_path / "a.tif"

    def tiles():
        for row in range(0, 700, 128):
            for col in range(0, 1100, 128):
                if (row, col) == (128, 256):
                    yield None
                    continue
                tile = np.zeros((128, 128, 3), np.uint8)
                part = pixels[row : row + 128, col : col + 128]
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile

    _write(path, tiles(), shape=(700, 1100, 3), dtype=np.uint8, tile=(128, 128), compression="zlib")
    (level,) = open_tiff(path).levels
    assert (level.read(128, 256, 256, 384) == 255).all()
    np.testing.assert_array_equal(level.read(0, 0, 128, 1100), pixels[:128])


def _pyramid(path, pixels, resolution_tags=None, **options):
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        common = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"}
        tif.write(pixels, subifds=2, **common, **(resolution_tags or {}), **options)
        tif.write(pixels[::2, ::2], subfiletype=1, **common)
        tif.write(pixels[::4, ::4], subfiletype=1, **common)
    return path


def test_stored_levels_and_um_per_px_of_an_ome_pyramid(tmp_path, pixels):
    odd = pixels[:699, :1097]
    meta = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    image = open_tiff(_pyramid(tmp_path / "a.ome.tif", odd, metadata=meta))
    assert image.stated["metadata"] == 0.25
    assert [v.downsample for v in image.levels] == [1, 2, 4]
    for level, step in zip(image.levels, (1, 2, 4), strict=True):
        np.testing.assert_array_equal(level.read(0, 0, *level.shape), odd[::step, ::step])


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        pytest.param(
            {"resolution": (20000, 20000), "resolutionunit": 3}, {"resolution tag": 0.5}, id="cm"
        ),
        pytest.param(
            {"resolution": (50800, 50800), "resolutionunit": 2}, {"resolution tag": 0.5}, id="inch"
        ),
        pytest.param({"resolution": (72, 72), "resolutionunit": 2}, {}, id="72dpi"),
        pytest.param({"resolution": (96, 96), "resolutionunit": 2}, {}, id="96dpi"),
        pytest.param({"resolution": (300, 300), "resolutionunit": 2}, {}, id="300dpi"),
        pytest.param({"resolution": (20000, 20000), "resolutionunit": 1}, {}, id="no-unit"),
        pytest.param({"resolution": (20000, 10000), "resolutionunit": 3}, {}, id="uneven"),
        pytest.param(
            {"description": "Aperio x|AppMag = 20|MPP = 0.4990"},
            {"description": 0.499},
            id="aperio",
        ),
        pytest.param({}, {}, id="nothing"),
    ],
)
def test_um_per_px_is_believed_only_where_it_is_meant(tmp_path, pixels, options, stated):
    path = _write(tmp_path / "a.tif", pixels, tile=(128, 128), metadata=None, **options)
    assert open_tiff(path).stated == pytest.approx(stated)


def test_ome_units_are_read(tmp_path, pixels):
    meta = {"axes": "YXS", "PhysicalSizeX": 345.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 345}
    path = _write(tmp_path / "a.ome.tif", pixels, tile=(128, 128), metadata=meta)
    assert open_tiff(path).stated["metadata"] == pytest.approx(0.345)


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        pytest.param(
            np.zeros((3, 5, 60, 70), np.uint8), {"axes": "ZCYX"}, "several planes", id="stack"
        ),
        pytest.param(np.zeros((60, 70), np.uint8), {"axes": "YX"}, "a grey image", id="grey"),
        pytest.param(
            np.zeros((3, 60, 70), np.uint8), {"axes": "CYX"}, "several planes", id="channels"
        ),
    ],
)
def test_images_that_are_not_h_and_e_are_refused(tmp_path, image, options, words):
    path = _write(tmp_path / "a.ome.tif", image, photometric="minisblack", metadata=options)
    with pytest.raises(InputError, match=f"a.ome.tif holds no colour image. Got: {words}"):
        open_tiff(path)


def test_floating_point_rgb_is_refused(tmp_path):
    path = _write(tmp_path / "a.tif", np.zeros((60, 70, 3), np.float32))
    with pytest.raises(InputError, match="pixels of type float32"):
        open_tiff(path)


def test_a_file_cut_short_is_named_when_its_tile_is_read(tmp_path, pixels):
    path = _write(tmp_path / "cut.tif", pixels, tile=(128, 128), compression=None)
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tif:
        last = tif.pages[0].dataoffsets[-1]
    path.write_bytes(whole[: last + 50])
    (level,) = open_tiff(path).levels
    rows, cols = level.grid
    np.testing.assert_array_equal(level.read(0, 0, 128, 128), pixels[:128, :128])
    with pytest.raises(InputError, match="cut.tif is cut short"):
        level.read_tile(rows - 1, cols - 1)


def test_a_spoilt_tile_is_named(tmp_path, pixels):
    path = _write(tmp_path / "bad.tif", pixels, tile=(128, 128), compression="jpeg")
    with tifffile.TiffFile(path) as tif:
        at, count = tif.pages[0].dataoffsets[0], tif.pages[0].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[at : at + count] = b"\x00" * count
    path.write_bytes(data)
    (level,) = open_tiff(path).levels
    with pytest.raises(InputError, match=r"bad.tif holds a tile that cannot be decoded.*tile 0"):
        level.read_tile(0, 0)


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        pytest.param("TileOffsets", [2**63 + 5], id="place-beyond-any-file"),
        pytest.param("TileByteCounts", [2**63 + 5], id="size-beyond-any-memory"),
    ],
)
def test_a_table_of_tiles_that_claims_too_much_is_named(tmp_path, tag, values):
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, np.zeros((60, 70, 3), np.uint8), bigtiff=True, photometric="rgb",
                     tile=(64, 128), metadata=None)  # fmt: skip
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags[tag].overwrite(values, dtype=16)
    with pytest.raises(InputError, match="bad.tif is cut short"):
        open_tiff(path).levels[0].read_tile(0, 0)


def test_a_tile_with_fewer_colours_than_the_header_says_is_named(tmp_path, pixels):
    path = _write(tmp_path / "bad.tif", pixels, tile=(128, 128), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["PlanarConfiguration"].overwrite(0)
    with pytest.raises(InputError, match="bad.tif contradicts itself.*1 samples per pixel"):
        open_tiff(path).levels[0].read_tile(0, 0)


def test_a_fault_of_our_own_is_not_called_a_damaged_file(tmp_path, pixels, monkeypatch):
    from napari_umpire.slides import tiff

    def broken(*args):
        raise AttributeError("ours")

    monkeypatch.setattr(tiff, "tiff_statements", broken)
    with pytest.raises(AttributeError, match="ours"):
        open_tiff(_write(tmp_path / "a.tif", pixels))


@pytest.mark.parametrize("content", [b"", b"II*\x00", b"not a tiff at all" * 9])
def test_what_is_no_tiff_is_refused(tmp_path, content):
    path = tmp_path / "x.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match="x.tif cannot be read as a TIFF image"):
        open_tiff(path)


def test_one_segment_as_large_as_the_slide_is_cut_or_decoded_whole(tmp_path, pixels, monkeypatch):
    from napari_umpire.slides import tiff

    monkeypatch.setattr(tiff, "_SEGMENT_LIMIT_PX", 1000)
    raw = open_tiff(_write(tmp_path / "raw.tif", pixels, rowsperstrip=700)).levels[0]
    packed = open_tiff(
        _write(tmp_path / "packed.tif", pixels, rowsperstrip=700, compression="zlib")
    ).levels[0]
    assert isinstance(raw, TiffLevel)
    assert raw.tile[0] < 700
    assert isinstance(packed, WholeLevel)
    for level in (raw, packed):
        np.testing.assert_array_equal(level.read(0, 0, 700, 1100), pixels)


def test_threads_and_pickles_read_the_same(tmp_path, pixels):
    path = _write(tmp_path / "a.tif", pixels, tile=(64, 64), compression="zlib")
    (level,) = open_tiff(path).levels
    copy = pickle.loads(pickle.dumps(level))
    wrong = []

    def read(which):
        for row in range(which.grid[0]):
            for col in range(which.grid[1]):
                tile = which.read_tile(row, col)
                y, x = row * 64, col * 64
                if not np.array_equal(tile, pixels[y : y + 64, x : x + 64]):
                    wrong.append((row, col))

    threads = [threading.Thread(target=read, args=(v,)) for v in (level, level, copy, copy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_pixels_are_those_of_openslide(data_dir):
    openslide = pytest.importorskip("openslide")
    for name in ("CMU-1-Small-Region.svs", "openslide-boxes.tiff"):
        path = data_dir / "wsi" / name
        with openslide.OpenSlide(path) as slide:
            levels = open_tiff(path).levels
            assert [v.shape[::-1] for v in levels] == list(slide.level_dimensions)
            for i, level in enumerate(levels):
                theirs = np.asarray(slide.read_region((0, 0), i, slide.level_dimensions[i]))
                np.testing.assert_array_equal(level.read(0, 0, *level.shape), theirs[..., :3])
