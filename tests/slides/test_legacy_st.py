"""Legacy Spatial Transcriptomics sections: a written one, and the real her2st."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import open_slide, open_slides, read_counts, sniff

PITCH_PX = 100.0


@pytest.fixture
def collection(tmp_path, ramp):
    """Sections A1 (whole) and A2 (counts and spots only) in the her2st layout."""
    root = tmp_path / "her"
    for folder in ("ST-cnts", "ST-spotfiles", "ST-imgs/A/A1"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(2, 16), np.arange(3, 11))
    spots = pd.DataFrame({"x": x.ravel(), "y": y.ravel()})
    spots["new_x"], spots["new_y"] = spots["x"] + 0.01, spots["y"] - 0.01
    # Shaken by a tenth of the pitch, as real ones are.
    spots["pixel_x"] = spots["x"] * PITCH_PX + rng.normal(0, 5, len(spots)) + 40
    spots["pixel_y"] = spots["y"] * PITCH_PX + rng.normal(0, 5, len(spots)) + 90
    spots = spots.round(2)
    spots["selected"] = (spots["x"] > 3).astype(int)
    ids = spots["x"].astype(str) + "x" + spots["y"].astype(str)
    counts = pd.DataFrame(
        rng.poisson(3, (len(spots), 4)), index=ids, columns=["ERBB2", "PIBF1", "A.1", "B"]
    )
    counts = counts.sample(frac=1, random_state=1).drop(index=["5x5", "6x9"])
    for name in ("A1", "A2"):
        spots.to_csv(root / f"ST-spotfiles/{name}_selection.tsv", sep="\t", index=False)
        counts.to_csv(root / f"ST-cnts/{name}.tsv.gz", sep="\t")
    Image.fromarray(ramp(1300, 1800)).save(root / "ST-imgs/A/A1/HE.png")
    return root, spots, counts


@pytest.mark.parametrize("given", ["ST-cnts/A1.tsv.gz", "ST-imgs/A/A1/HE.png"])
def test_a_section_opens_by_its_counts_and_by_its_image(collection, given, assert_spots_on_ramp):
    root, spots, counts = collection
    assert sniff(root / given) == "st"
    with pytest.warns(UmpireWarning, match="2 selected spots have no counts"):
        slide = open_slide(root / given)
    assert (slide.name, slide.platform, slide.region) == ("A1", "st", "A1")
    kept = spots[spots["selected"] == 1]
    ids = kept["x"].astype(str) + "x" + kept["y"].astype(str)
    kept = kept.set_index(ids)[lambda t: t.index.isin(counts.index)]
    assert list(slide.spots.index) == list(kept.index)
    np.testing.assert_array_equal(slide.yx, kept[["pixel_y", "pixel_x"]])
    np.testing.assert_array_equal(slide.spots["array_row"], kept["y"])
    np.testing.assert_array_equal(slide.counts().toarray(), counts.loc[kept.index])
    assert list(slide.genes["symbol"]) == ["ERBB2", "PIBF1", "A.1", "B"]
    assert_spots_on_ramp(slide, atol=2)


@pytest.mark.filterwarnings("ignore:.*selected spots:napari_umpire.errors.UmpireWarning")
def test_scale_is_200_um_over_the_pitch_and_dpi_is_ignored(collection):
    root, _, _ = collection
    path = root / "ST-imgs/A/A1/HE.png"
    Image.open(path).save(path, dpi=(72, 72))
    slide = open_slide(path)
    assert slide.scale.source == "spot pitch"
    assert slide.mpp == pytest.approx(2.0, rel=0.01)
    assert (slide.pitch_um, slide.spot_diameter_um) == (200, 100)


@pytest.mark.filterwarnings("ignore:.*selected spots:napari_umpire.errors.UmpireWarning")
def test_a_collection_opens_section_by_section(collection):
    root, _, _ = collection
    assert [s.name for s in open_slides(root)] == ["A1"]
    assert open_slide(root, region="A1").name == "A1"
    with pytest.raises(InputError, match="has no section 'Z9'"):
        open_slide(root, region="Z9")


@pytest.mark.filterwarnings("ignore:.*selected spots:napari_umpire.errors.UmpireWarning")
def test_a_section_that_cannot_be_read_leaves_the_others(collection):
    root, _, _ = collection
    (root / "ST-imgs/A/A2").mkdir()
    (root / "ST-imgs/A/A2/HE.png").write_bytes((root / "ST-imgs/A/A1/HE.png").read_bytes())
    (root / "ST-spotfiles/A2_selection.tsv").write_text("x\ty\n1\t2\n")
    with pytest.warns(UmpireWarning, match=r"A section of her is left out: .*A2_selection.tsv"):
        assert [s.name for s in open_slides(root)] == ["A1"]
    with pytest.raises(InputError, match="A2_selection.tsv cannot be read"):
        open_slide(root, region="A2")
    (root / "ST-spotfiles/A1_selection.tsv").write_text("x\ty\n1\t2\n")
    with pytest.raises(InputError, match="A1_selection.tsv cannot be read"):
        open_slides(root)


@pytest.mark.filterwarnings("ignore:.*selected spots:napari_umpire.errors.UmpireWarning")
def test_a_named_section_of_a_collection_keeps_its_region(collection):
    root, _, _ = collection
    slide = open_slide(root, region="A1", name="mine")
    assert (slide.name, slide.region) == ("mine", "A1")


def test_a_section_without_image_says_so_but_its_counts_can_be_read(collection):
    root, _, counts = collection
    path = root / "ST-cnts/A2.tsv.gz"
    with pytest.raises(InputError, match=r"The image of section A2 is missing.*pre-training"):
        open_slide(path)
    adata = read_counts(path)
    assert list(adata.obs_names) == list(counts.index)
    np.testing.assert_array_equal(adata.X.toarray(), counts)


@pytest.mark.filterwarnings("ignore:.*selected spots:napari_umpire.errors.UmpireWarning")
def test_the_image_may_be_named(collection):
    root, _, _ = collection
    image = root / "ST-imgs/A/A1/HE.png"
    assert open_slide(root / "ST-cnts/A2.tsv.gz", image=image).name == "A2"


def test_spots_that_are_not_on_the_image_are_refused(collection):
    root, _, _ = collection
    path = root / "ST-imgs/A/A1/HE.png"
    Image.new("RGB", (300, 200)).save(path)
    with (
        pytest.warns(UmpireWarning, match="selected spots"),
        pytest.raises(InputError, match="Image and spots of A1 do not overlap"),
    ):
        open_slide(path)


def test_missing_spot_positions_are_named(collection):
    root, _, _ = collection
    (root / "ST-spotfiles/A1_selection.tsv").unlink()
    with pytest.raises(InputError, match="spot positions of section A1 are missing"):
        open_slide(root / "ST-cnts/A1.tsv.gz")


@pytest.mark.parametrize("text", ["", "x\ty\n1\t2\n", "x\ty\tpixel_x\tpixel_y\n1\t2\tq\t3\n"])
def test_broken_spot_positions_are_named(collection, text):
    root, _, _ = collection
    (root / "ST-spotfiles/A1_selection.tsv").write_text(text)
    with pytest.raises(InputError, match="A1_selection.tsv cannot be read"):
        open_slide(root / "ST-cnts/A1.tsv.gz")


def test_broken_counts_are_named(collection):
    root, _, _ = collection
    path = root / "ST-cnts/A1.tsv.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="The counts A1.tsv.gz cannot be read"):
        read_counts(path)
    path.write_bytes(gzip.compress(b"\tG1\tG2\n1x1\t3\tmany\n"))
    with pytest.raises(InputError, match="words in the column G2"):
        read_counts(path)


def test_real_section(her2st):
    with pytest.warns(UmpireWarning, match="2 selected spots have no counts"):
        slide = open_slide(her2st / "ST-cnts" / "C3.tsv.gz")
    assert (slide.n_spots, len(slide.genes)) == (180, 15821)
    assert np.median(np.asarray(slide.counts().sum(axis=1))) == 9549
    # 200 um over the median distance of array neighbours, 290 px. The nearest neighbour of a
    # spot is 271 px away in the median, because the spots are shaken and it is the nearest of four.
    assert slide.mpp == pytest.approx(0.688, abs=0.002)
    assert slide.pyramid.levels[0].shape == (9936, 9270)
    assert slide.spots.loc["22x5", ["x", "y"]].tolist() == [6066.06, 1159.01]


def test_real_counts_without_an_image(her2st):
    with pytest.raises(InputError, match="The image of section A1 is missing"):
        open_slide(her2st / "ST-cnts" / "A1.tsv.gz")
    assert read_counts(her2st / "ST-cnts" / "A1.tsv.gz").n_obs > 300
