"""Several images in one file: each is a slide, reduced copies and photographs of the glass not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tifffile

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import open_slide, open_slides
from napari_umpire.slides.tiff_level import TiffLevel
from napari_umpire.slides.wholefile import WholeLevel

from .sections import TILED, halved, section, write_levels


def _write(path, images, *, ome: bool = True):
    """Images as (name, pixels, um per px)."""
    with tifffile.TiffWriter(path, ome=ome) as out:
        for name, pixels, mpp in images:
            meta = {"axes": "YXS", "Name": name, "PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
            options = TILED | {"metadata": meta} if ome else TILED
            tag = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
            out.write(pixels, **options, **({} if ome else tag))
    return path


def _pixels(slide) -> np.ndarray:
    level = slide.pyramid.levels[0]
    return level.read(0, 0, *level.shape)


@pytest.fixture
def scenes(tmp_path):
    """Two sections of one size, and one of half the size that is no copy of the first."""
    parts = [("left", section(seed=1), 0.9), ("right", section(seed=2), 0.45)]
    parts.append(("small", section(425, 500, seed=3), 0.9))
    return _write(tmp_path / "a.ome.tif", parts), parts


def test_each_scene_is_a_slide_with_its_own_scale(scenes):
    path, parts = scenes
    slides = open_slides(path)
    assert [slide.name for slide in slides] == ["a left", "a right", "a small"]
    assert len({slide.region for slide in slides}) == len({s.digest for s in slides}) == 3
    for slide, (_, pixels, mpp) in zip(slides, parts, strict=True):
        assert slide.mpp == mpp
        np.testing.assert_array_equal(_pixels(slide), pixels)
        copy = pickle.loads(pickle.dumps(slide.pyramid.levels[0]))
        np.testing.assert_array_equal(copy.read(0, 0, *copy.shape), pixels)


def test_one_of_several_scenes_must_be_named(scenes):
    path, parts = scenes
    with pytest.raises(InputError, match="holds 3 slides.*2: a right.*image="):
        open_slide(path)
    region = open_slides(path)[1].region
    for given in ({"image": "right"}, {"image": "2"}, {"region": region}):
        slide = open_slide(path, **given)
        assert slide.name == "a right"
        np.testing.assert_array_equal(_pixels(slide), parts[1][1])
    named = open_slide(path, image="right", name="mine")
    assert (named.name, named.region) == ("mine", region)
    with pytest.raises(InputError, match=r"Got: top\. Expected: one of 1 \(left\), 2 \(right\)"):
        open_slide(path, image="top")


def test_results_of_each_scene_have_a_place_of_their_own(scenes):
    from napari_umpire.slides.result_place import store_beside

    path, _ = scenes
    places = [store_beside(slide) for slide in open_slides(path)]
    assert [p.name for p in places] == ["a_left.zarr", "a_right.zarr", "a_small.zarr"]


def test_pages_of_a_plain_tiff_are_scenes(tmp_path):
    images = [("", section(seed=i), 0.9) for i in range(3)]
    path = _write(tmp_path / "a.tif", [*images, ("", section(425, 500, 4), 0.9)], ome=False)
    slides = open_slides(path)
    assert [s.name for s in slides] == ["a image 1", "a image 2", "a image 3", "a image 4"]
    np.testing.assert_array_equal(_pixels(slides[2]), images[2][1])


def test_labels_and_photographs_of_the_glass_are_no_scenes(tmp_path):
    image = section()
    path = _write(
        tmp_path / "a.ome.tif",
        [
            ("macro image", section(1300, 700, 5), 9.0),
            ("tissue", image, 0.9),
            ("label image", section(300, 300, 6), 30.0),
        ],
    )
    slide = open_slide(path)
    assert (slide.name, slide.mpp) == ("a", 0.9)
    np.testing.assert_array_equal(_pixels(slide), image)


@pytest.mark.parametrize("name", ["label-free", "Macro ROI 2", "Overview of nerves"])
def test_a_scan_named_somewhat_like_a_photograph_is_a_slide(tmp_path, name):
    parts = [("tissue", section(seed=1), 0.9), (name, section(seed=2), 0.9)]
    slides = open_slides(_write(tmp_path / "a.ome.tif", parts))
    assert [slide.name for slide in slides] == ["a tissue", f"a {name}"]


def test_a_photograph_with_words_of_its_own_is_left_out_with_a_word(tmp_path):
    parts = [("tissue", section(seed=1), 0.9), ("case 12 overview", section(700, 600, 2), 9.0)]
    with pytest.warns(UmpireWarning, match="'case 12 overview' of 700 x 600 px .* left out"):
        (slide,) = open_slides(_write(tmp_path / "a.ome.tif", parts))
    assert slide.name == "a"


@pytest.mark.parametrize("ome", [True, False])
@pytest.mark.parametrize("order", [(1, 2, 4), (4, 2, 1), (2, 4, 1)])
def test_copies_stored_as_images_of_their_own_are_levels(tmp_path, ome, order):
    image = section(1200, 1400)
    copies = [(f"level {s}", halved(image, s) if s > 1 else image, 0.9 * s) for s in order]
    slide = open_slide(_write(tmp_path / "a.ome.tif", copies, ome=ome))
    assert slide.mpp == pytest.approx(0.9)
    assert [v.downsample for v in slide.pyramid.levels] == [1, 2, 4]
    np.testing.assert_array_equal(_pixels(slide), image)
    third = slide.pyramid.levels[2]
    np.testing.assert_array_equal(third.read(0, 0, *third.shape), halved(image, 4))


def test_copies_that_are_one_segment_each_are_not_mistaken_for_each_other(tmp_path, monkeypatch):
    from napari_umpire.slides import tiff

    monkeypatch.setattr(tiff, "_SEGMENT_LIMIT_PX", 1000)
    image, path = section(1200, 1400), tmp_path / "packed.tif"
    with tifffile.TiffWriter(path) as out:
        for step in (1, 2):
            pixels = halved(image, step) if step > 1 else image
            out.write(
                pixels, photometric="rgb", compression="zlib", rowsperstrip=1200, metadata=None
            )
    (slide,) = open_slides(path, mpp=0.5)
    for level, step in zip(slide.pyramid.levels[:2], (1, 2), strict=True):
        expected = halved(image, step) if step > 1 else image
        assert level.downsample == step
        for one in (level, pickle.loads(pickle.dumps(level))):
            np.testing.assert_array_equal(one.read(0, 0, *one.shape), expected)
        assert isinstance(level, WholeLevel)


def test_copies_of_a_scan_written_again_without_its_thumbnail_are_levels(tmp_path):
    image, path = section(), tmp_path / "again.svs"
    with tifffile.TiffWriter(path) as out:
        for i, step in enumerate((1, 2, 4)):
            words = f"Aperio Image Library v1\n{1000 // step}x{850 // step} Q=70|MPP = 0.5"
            out.write(halved(image, step), **TILED, subfiletype=min(i, 1), description=words)
    (slide,) = open_slides(path)
    assert [v.downsample for v in slide.pyramid.levels] == [1.0, 2.0, 4.0]
    assert all(isinstance(v, TiffLevel) for v in slide.pyramid.levels)


def test_a_scene_of_half_the_size_stays_one_where_all_places_show_glass(tmp_path):
    """Fragments so small that no place that is compared shows them."""
    a, b = (np.full((n, n, 3), 244, np.uint8) for n in (2400, 1200))
    a[700:760, 700:760] = b[900:930, 60:90] = (110, 60, 140)
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as out:
        for image in (a, b):
            size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
            out.write(image, **TILED | {"metadata": size})
    with pytest.warns(UmpireWarning, match="no tissue"):
        slides = open_slides(path)
    assert [s.pyramid.extent for s in slides] == [(2400, 2400), (1200, 1200)]


def test_pages_coarsest_first_have_the_scale_of_the_finest(tmp_path):
    image, path = section(848, 1000), tmp_path / "coarse-first.tif"
    with tifffile.TiffWriter(path) as out:
        for i, step in enumerate((4, 2, 1)):
            per_cm = (10_000 / (0.5 * step),) * 2
            out.write(
                halved(image, step), **TILED, subfiletype=min(i, 1), resolution=per_cm,
                resolutionunit="CENTIMETER",
            )  # fmt: skip
    (slide,) = open_slides(path)
    assert slide.mpp == pytest.approx(0.5)
    assert [v.downsample for v in slide.pyramid.levels] == [1.0, 2.0, 4.0]


def test_levels_in_any_order_are_sorted(tmp_path):
    image = section(1200, 1400)
    path = write_levels(tmp_path / "a.tif", [image, halved(image, 4), halved(image)])
    levels = open_slide(path).pyramid.levels
    assert [v.downsample for v in levels] == [1, 2, 4]
    for level, step in zip(levels, (1, 2, 4), strict=True):
        expected = image if step == 1 else halved(image, step)
        np.testing.assert_array_equal(level.read(0, 0, *level.shape), expected)


@pytest.mark.parametrize("size", [(1200, 1400), (1300, 1300)], ids=["oblong", "square"])
def test_a_copy_padded_to_whole_tiles_is_left_out(tmp_path, size):
    image = section(*size)
    image[-200:-180, -180:-160] = (0, 0, 255)
    padded = np.full((768, 768, 3), 255, np.uint8)
    half = halved(image)
    padded[: half.shape[0], : half.shape[1]] = half
    path = write_levels(tmp_path / "a.tif", [image, padded])
    with pytest.warns(UmpireWarning, match="768 x 768 px .*left out"):
        slide = open_slide(path)
    for level in slide.pyramid.levels:
        y, x = (int((n - 190 + d) / level.downsample) for n, d in zip(size, (0, 20), strict=True))
        assert level.read(y, x, y + 1, x + 1)[0, 0, 2] > 230
        assert level.read(y, x, y + 1, x + 1)[0, 0, 0] < 30


def test_a_copy_of_any_factor_is_used_where_it_shows_the_same(tmp_path):
    from PIL import Image

    image = section(1200, 1500)
    small = Image.fromarray(image).resize((1000, 800), Image.Resampling.BOX)
    path = write_levels(tmp_path / "a.tif", [image, np.asarray(small)])
    assert [v.downsample for v in open_slide(path).pyramid.levels[:2]] == [1, 1.5]


def test_pages_in_other_files_are_not_followed(tmp_path):
    meta = {"axes": "YXS"}
    tifffile.imwrite(tmp_path / "other.ome.tif", section(seed=1), photometric="rgb", metadata=meta)
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, section(), photometric="rgb", metadata=meta)
    text = tifffile.tiffcomment(path)
    moved = text.replace("</TiffData>", "").replace(
        '<TiffData IFD="0" PlaneCount="1"',
        '<TiffData IFD="0" PlaneCount="1"><UUID FileName="other.ome.tif">urn:uuid:1</UUID>'
        "</TiffData><TiffData",
    )
    assert moved != text
    tifffile.tiffcomment(path, moved.encode())
    np.testing.assert_array_equal(_pixels(open_slide(path)), section())
