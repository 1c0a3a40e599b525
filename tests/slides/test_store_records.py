"""Our record in a store is believed as long as image and circles are those it was written about."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from spatialdata.transformations import Scale, get_transformation, set_transformation

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.elements import quiet_libraries
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.pyramid import ArrayLevel, Pyramid
from napari_umpire.slides.scale import PhysicalScale
from napari_umpire.slides.synthetic import make_slide

from .written import read

XY = ("x", "y")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    slide = make_slide(2, rows=8, cols=7, mpp=0.9)
    return slide, write_slide(slide, tmp_path_factory.mktemp("records") / "s.zarr")


@pytest.fixture
def store(written, tmp_path):
    return Path(shutil.copytree(written[1], tmp_path / "s.zarr"))


def again(store, change=lambda sdata: None):
    """The store as spatialdata writes it again, attributes and all."""
    with quiet_libraries():
        sdata = read(store)
        sdata = change(sdata) or sdata
        path = store.with_name("again.zarr")
        sdata.write(path)
    return path


def edit(store, **values):
    root = json.loads((store / "zarr.json").read_text())
    for record in root["attributes"]["napari_umpire"]["slides"].values():
        record.update(values)
    (store / "zarr.json").write_text(json.dumps(root))


def test_a_store_that_was_only_written_again_keeps_its_record(written, store):
    slide = open_slide(again(store))
    assert slide.scale == written[0].scale
    assert slide.name == written[0].name


def test_a_store_that_was_brought_to_half_its_size_is_measured_anew(written, store):
    def half(sdata):
        for element in (*sdata.images.values(), *sdata.shapes.values()):
            set_transformation(element, Scale([0.5, 0.5], XY), "half")
        return sdata.transform_to_coordinate_system("half")

    with pytest.warns(UmpireWarning, match=r"are ignored, because .* changed since"):
        slide = open_slide(again(store, half))
    assert slide.mpp == pytest.approx(2 * written[0].mpp, rel=0.01)
    assert slide.scale.source == "spot pitch"


def test_spots_that_were_moved_by_their_transformation_alone_are_measured_anew(written, store):
    def moved(sdata):
        (circles,) = sdata.shapes.values()
        set_transformation(circles, Scale([0.8, 0.8], XY))

    with pytest.warns(UmpireWarning, match="because image or spots have been moved since"):
        slide = open_slide(again(store, moved))
    assert slide.mpp == pytest.approx(written[0].mpp / 0.8, rel=0.01)


def test_another_image_of_the_same_size_drops_the_record(store):
    def darker(sdata):
        (name,) = sdata.images
        image = sdata.images[name]
        changed = image // 2
        changed.attrs = image.attrs
        del sdata.images[name]
        sdata.images[name] = changed
        assert get_transformation(sdata.images[name])

    with pytest.warns(UmpireWarning) as said:
        open_slide(again(store, darker))
    assert "has been changed since" in str(said[0].message)


def test_a_renamed_image_drops_the_record(store):
    def rename(sdata):
        (name,) = sdata.images
        sdata.images["he"] = sdata.images[name]
        del sdata.images[name]

    with pytest.warns(UmpireWarning, match="because the image .* has been removed since"):
        assert open_slide(again(store, rename)).scale.source == "spot pitch"


def test_a_recorded_scale_that_the_spots_contradict_is_shown_and_not_believed(written, store):
    edit(store, mpp=1.8, mpp_candidates={"spot pitch": 1.8})
    with pytest.warns(UmpireWarning, match=r"disagree.*the record in the store 1.8"):
        slide = open_slide(store)
    assert slide.mpp == pytest.approx(written[0].mpp, rel=0.01)


def test_a_record_without_digests_is_one_candidate(written, store):
    unbound = {"image_digest": None, "circles_digest": None}
    edit(store, mpp=1.8, mpp_source="metadata", mpp_candidates={"metadata": 1.8}, **unbound)
    with pytest.warns(UmpireWarning, match=r"the spot pitch 0.8998, the record in the store 1.8"):
        slide = open_slide(store)
    assert slide.scale.source == "spot pitch"
    edit(store, mpp=0.91)
    slide = open_slide(store)
    assert slide.scale.candidates["record"] == 0.91
    assert slide.mpp == pytest.approx(written[0].mpp, rel=0.01)


def test_what_the_user_once_said_stays_his_word(written, tmp_path):
    slide = written[0].with_scale(PhysicalScale(0.9, "user", {"user": 0.9, "description": 0.88}))
    opened = open_slide(write_slide(slide, tmp_path / "told.zarr"))
    assert opened.scale.source == "user"
    assert opened.scale.candidates["description"] == 0.88


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9, 1e-9, True, "1"])
def test_a_scale_that_no_slide_has_is_refused(store, value):
    edit(store, mpp=value)
    with pytest.raises(InputError, match="records of the slide .* is damaged. Got: mpp is"):
        open_slide(store)


@pytest.mark.parametrize(
    "values",
    [
        {"pitch_um": float("inf")},
        {"spot_diameter_um": -1.0},
        {"downsample": float("nan")},
        {"downsample": 1e9},
        {"mpp_candidates": {"a guess": 1.0}},
        {"mpp_candidates": {"spot pitch": float("nan")}},
        {"table": 3},
    ],
    ids=lambda v: next(iter(v)),
)
def test_nonsense_in_a_record_is_refused(store, values):
    edit(store, **values)
    with pytest.raises(InputError, match="records of the slide .* is damaged"):
        open_slide(store)


def black_corner(tmp_path):
    """A slide of 2 x 3 pieces, of which one is black."""
    slide = make_slide(2, rows=8, cols=7)
    pixels = np.random.default_rng(0).integers(30, 250, (1000, 1500, 3)).astype(np.uint8)
    pixels[512:, 1024:] = 0
    from dataclasses import replace

    slide = replace(slide, pyramid=Pyramid((ArrayLevel(pixels, 1.0),)))
    return pixels, write_slide(slide, tmp_path / "s.zarr")


def test_black_pieces_may_be_left_out_by_who_writes_the_store_again(tmp_path):
    pixels, store = black_corner(tmp_path)
    path = again(store)
    count = [sum(1 for p in s.rglob("c/*/*/*") if p.is_file()) for s in (store, path)]
    assert count[1] < count[0]
    np.testing.assert_array_equal(open_slide(path).pyramid.levels[0].read(0, 0, 1000, 1500), pixels)


def test_a_copy_that_lost_a_piece_is_refused(tmp_path):
    _, store = black_corner(tmp_path)
    copy = Path(shutil.copytree(store, tmp_path / "copy.zarr"))
    next(p for p in copy.rglob("c/*/*/*") if p.is_file()).unlink()
    with pytest.raises(InputError, match=r"of the store copy.zarr is not whole. Got: 5 of 6"):
        open_slide(copy)


def test_a_slide_without_scale_or_size_of_spots_is_stored(tmp_path):
    from dataclasses import replace

    unknown = replace(
        make_slide(2, rows=8, cols=7),
        scale=PhysicalScale(),
        platform="image",
        pitch_um=float("nan"),
        spot_diameter_um=float("nan"),
    )
    store = write_slide(unknown, tmp_path / "s.zarr")
    assert "NaN" not in (store / "zarr.json").read_text()
    slide = open_slide(store)
    assert slide.scale.mpp is None
    assert np.isnan(slide.spot_diameter_um)


def test_gridded_spots_of_a_store_lie_further_apart_at_a_larger_scale(tmp_path):
    import tifffile

    from .sections import section

    path = tmp_path / "he.tif"
    tifffile.imwrite(
        path, section(850, 1000), photometric="rgb", resolution=(5000, 5000),
        resolutionunit="CENTIMETER", metadata=None,
    )  # fmt: skip
    store = write_slide(open_slide(path), tmp_path / "he.zarr")
    with pytest.warns(UmpireWarning, match="disagree"):
        slide = open_slide(store, mpp=4.0)
    px = np.linalg.norm(slide.yx[:, None] - slide.yx[None], axis=2)
    assert slide.pitch_um == pytest.approx(4.0 * px[px > 0].min(), rel=0.01)
    assert slide.pitch_um == pytest.approx(200.0)
