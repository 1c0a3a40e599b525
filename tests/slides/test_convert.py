"""Any slide written as a store opens as the same slide."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import convert, open_slide, write_slide


def _assert_same(a, b) -> None:
    assert b.name == a.name
    assert (b.platform, b.pitch_um, b.spot_diameter_um) == (
        a.platform,
        a.pitch_um,
        a.spot_diameter_um,
    )
    assert b.scale == a.scale
    columns = list(a.spots.columns)
    assert list(b.spots.index) == list(a.spots.index)
    np.testing.assert_array_equal(b.spots[columns].to_numpy(), a.spots.to_numpy())
    assert [v.downsample for v in b.pyramid.levels] == [v.downsample for v in a.pyramid.levels]
    for ours, theirs in zip(b.pyramid.levels, a.pyramid.levels, strict=True):
        np.testing.assert_array_equal(
            ours.read(0, 0, *ours.shape), theirs.read(0, 0, *theirs.shape)
        )
    assert b.has_counts == a.has_counts
    if a.has_counts:
        assert (b.counts() != a.counts()).nnz == 0
        assert b.genes.equals(a.genes)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="measured"),
        pytest.param({"counts": None}, id="not-measured"),
        pytest.param({"images": ("lowres",)}, id="lowres"),
    ],
)
def test_round_trip_of_space_ranger(visium, tmp_path, options):
    slide = open_slide(visium(**options).folder)
    path = write_slide(slide, tmp_path / "out.zarr")
    _assert_same(slide, open_slide(path))
    assert open_slide(path, name="other").name == "other"


def test_round_trip_of_an_image_with_gridded_spots(tmp_path):
    pixels = np.full((1200, 1900, 3), 245, np.uint8)
    pixels[200:900, 300:1700] = np.random.default_rng(0).integers(80, 200, (700, 1400, 1))
    pixels[200:900, 300:1700, 1] //= 2
    path = tmp_path / "he.png"
    Image.fromarray(pixels).save(path)
    slide = open_slide(path, mpp=1.5)
    assert slide.n_spots > 20
    again = open_slide(write_slide(slide, tmp_path / "he.zarr"))
    _assert_same(slide, again)
    assert again.scale.source == "user"


def test_the_users_scale_is_set_beside_the_recorded_one(visium, tmp_path):
    slide = open_slide(visium().folder)
    path = write_slide(slide, tmp_path / "out.zarr")
    with pytest.warns(UmpireWarning, match="disagree"):
        again = open_slide(path, mpp=1.0)
    assert again.mpp == 1.0
    assert again.scale.candidates["spot pitch"] == slide.mpp


def test_the_store_is_plain_spatialdata_in_one_coordinate_system(visium, tmp_path):
    import spatialdata
    from spatialdata.transformations import get_transformation

    slide = open_slide(visium().folder)
    sdata = spatialdata.read_zarr(write_slide(slide, tmp_path / "out.zarr"))
    assert sdata.coordinate_systems == ["global"]
    assert list(sdata.images) == ["sample_image"]
    table = sdata.tables["table"]
    assert table.uns["spatialdata_attrs"] == {
        "region": "sample",
        "region_key": "region",
        "instance_key": "spot_id",
    }
    joined = spatialdata.match_element_to_table(sdata, "sample", "table")[1]
    np.testing.assert_array_equal(joined.X.toarray(), slide.counts().toarray())
    # Image px -> global is the reduction of the hires image; the spots are in global as they are.
    image = get_transformation(sdata.images["sample_image"])
    np.testing.assert_allclose(
        image.to_affine_matrix(("x", "y"), ("x", "y")), np.diag([2.0, 2.0, 1.0])
    )
    circles = sdata.shapes["sample"]
    np.testing.assert_array_equal(circles.geometry.x, slide.spots["x"])
    assert circles["radius"].iloc[0] == pytest.approx(55 / 2 / slide.mpp)


def test_an_existing_path_is_left_alone(visium, tmp_path):
    slide = open_slide(visium().folder)
    path = tmp_path / "out.zarr"
    path.mkdir()
    (path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="already exists"):
        write_slide(slide, path)
    assert [p.name for p in path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("name", "words"), [("out.tif", "not a name for a store"), ("no/where.zarr", "does not exist")]
)
def test_impossible_targets_are_refused(visium, tmp_path, name, words):
    slide = open_slide(visium().folder)
    with pytest.raises(InputError, match=words):
        write_slide(slide, tmp_path / name)


def test_a_run_that_breaks_leaves_nothing_behind(visium, tmp_path, monkeypatch):
    slide = open_slide(visium().folder)
    home = tmp_path / "out"
    home.mkdir()
    broken = slide.pyramid.levels[0]

    def fail(row: int, col: int) -> np.ndarray:
        raise InputError("he.png cannot be read as an image")

    monkeypatch.setattr(broken, "_read_tile", fail)
    with pytest.raises(InputError, match=r"he.png cannot be read"):
        write_slide(slide, home / "out.zarr")
    assert list(home.iterdir()) == []


def test_a_disk_that_refuses_is_a_sentence(visium, tmp_path, monkeypatch):
    slide = open_slide(visium().folder)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert.os, "rename", full)
    with pytest.raises(InputError, match="cannot be written. Got: No space left on device"):
        write_slide(slide, tmp_path / "out.zarr")


@pytest.mark.slow
def test_round_trip_of_a_real_section(her2st, tmp_path):
    with pytest.warns(UmpireWarning, match="no counts"):
        slide = open_slide(her2st / "ST-cnts" / "C3.tsv.gz")
    again = open_slide(write_slide(slide, tmp_path / "C3.zarr"))
    assert again.spots.equals(slide.spots)
    assert again.scale == slide.scale
    assert (again.counts() != slide.counts()).nnz == 0
    box = (4000, 3000, 4600, 3900)
    np.testing.assert_array_equal(
        again.pyramid.levels[0].read(*box), slide.pyramid.levels[0].read(*box)
    )
