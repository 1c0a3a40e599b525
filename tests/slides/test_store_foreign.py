"""Stores by other hands: names of channels, keys, columns and places are read before they are used.

Every store here is a synthetic slide of ours, without our record, that spatialdata wrote again
after a change.
"""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from spatialdata.models import Image2DModel, ShapesModel, TableModel
from spatialdata.transformations import Affine, Identity, Scale, Translation, set_transformation

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.elements import quiet_libraries
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.results import write_results
from napari_umpire.slides.synthetic import make_slide

from .written import assert_holds, prediction_of, read

XY = ("x", "y")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The slide, and a store of it."""
    slide = make_slide(2, rows=8, cols=7)
    return slide, write_slide(slide, tmp_path_factory.mktemp("plain") / "s.zarr")


@pytest.fixture
def changed(plain, tmp_path):
    """Write the store again after a change of its elements: image "he", spots and table."""

    def make(change, name="a.zarr"):
        with quiet_libraries():
            sdata = read(plain[1])
            sdata.attrs.clear()
            (image,) = sdata.images
            (region,) = sdata.shapes
            stored = np.moveaxis(pixels(plain[0]), 2, 0)
            sdata.images["he"] = Image2DModel.parse(stored, c_coords=["r", "g", "b"])
            sdata.shapes["spots"] = sdata.shapes[region]
            table = sdata.tables["table"]
            table.obs["region"] = pd.Categorical(["spots"] * table.n_obs)
            del sdata.images[image], sdata.shapes[region], sdata.tables["table"]
            sdata.tables["table"] = annotated(table)
            change(sdata)
            sdata.write(tmp_path / name)
        return tmp_path / name

    return make


def annotated(table, **keys):
    table.uns.pop("spatialdata_attrs", None)
    keys = {"region": "spots", "region_key": "region", "instance_key": "spot_id"} | keys
    return TableModel.parse(table, **keys)


def set_obs(column, values):
    def change(sdata):
        table = sdata.tables["table"]
        table.obs[column] = values(table) if callable(values) else values

    return change


def pixels(slide):
    level = slide.pyramid.levels[0]
    return level.read(0, 0, *level.shape)


def replace_image(sdata, name, samples, names, step=1):
    sdata.images[name] = Image2DModel.parse(samples, c_coords=names)
    set_transformation(sdata.images[name], Scale([step, step], XY))


# ---- channels --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["R", "G", "B"], [0, 1, 2]),
        (["blue", "green", "red"], [2, 1, 0]),
        (["G", "b", "Red"], [2, 0, 1]),
        ([0, 1, 2], [0, 1, 2]),
        (["Channel 0", "Channel 1", "Channel 2"], [0, 1, 2]),
    ],
    ids=lambda v: "-".join(map(str, v)),
)
def test_colours_are_found_by_name(plain, changed, names, order):
    wanted = pixels(plain[0])

    def change(sdata):
        stored = np.empty_like(np.moveaxis(wanted, 2, 0))
        # ``order`` says which stored channel is red, which green, which blue.
        stored[order] = np.moveaxis(wanted, 2, 0)
        replace_image(sdata, "he", stored, names)

    np.testing.assert_array_equal(pixels(open_slide(changed(change))), wanted)


@pytest.mark.parametrize("names", [["DAPI", "CD3", "PanCK"], ["r", "g", "DAPI"], ["r", "r", "b"]])
def test_other_channels_are_no_stain_of_tissue(changed, names):
    def change(sdata):
        stored = np.asarray(sdata.images["he"])
        replace_image(sdata, "he", stored, names)

    with pytest.raises(InputError, match=f"no H&E image.*channels {' '.join(names)}"):
        open_slide(changed(change))


def test_a_finer_fluorescence_image_does_not_take_the_place_of_the_stained_one(plain, changed):
    def change(sdata):
        stored = np.asarray(sdata.images["he"])
        replace_image(sdata, "if", 255 - stored, ["DAPI", "CD3", "PanCK"])
        replace_image(sdata, "he", stored[:, ::2, ::2], ["r", "g", "b"], step=2)

    np.testing.assert_array_equal(pixels(open_slide(changed(change))), pixels(plain[0])[::2, ::2])


@pytest.mark.parametrize(
    ("name", "warned"), [("alpha", None), ("A", None), ("IR", "'IR'"), (3, "4, which has no name")]
)
def test_a_fourth_channel_is_transparency_only_by_its_name(plain, changed, name, warned):
    wanted = pixels(plain[0])
    names = [0, 1, 2, 3] if name == 3 else ["r", "g", "b", name]

    def change(sdata):
        fourth = np.zeros((1, *wanted.shape[:2]), np.uint8)
        replace_image(sdata, "he", np.concatenate([np.moveaxis(wanted, 2, 0), fourth]), names)

    path = changed(change)
    if warned is None:
        assert (pixels(open_slide(path)) == 255).all()
        return
    with pytest.warns(UmpireWarning, match=f"channel {warned}.* is ignored"):
        slide = open_slide(path)
    np.testing.assert_array_equal(pixels(slide), wanted)


# ---- place -----------------------------------------------------------------------------------


def test_two_systems_that_disagree_are_refused_with_both_places(changed):
    def change(sdata):
        both = {"global": Identity(), "aligned": Translation([60, -80], XY)}
        set_transformation(sdata.images["he"], both, set_all=True)
        set_transformation(
            sdata.shapes["spots"], {"global": Identity(), "aligned": Identity()}, set_all=True
        )

    said = r"disagree.*by 'aligned' and .* by 'global' \(100 px apart.*remove_transformation"
    with pytest.raises(InputError, match=said):
        open_slide(changed(change))


def test_two_systems_that_agree_and_turn_the_slide_are_fine(plain, changed):
    turn = Affine([[0, -2, 500], [2, 0, 10], [0, 0, 1]], XY, XY)

    def change(sdata):
        for element in (sdata.images["he"], sdata.shapes["spots"]):
            set_transformation(element, {"global": Identity(), "turned": turn}, set_all=True)

    np.testing.assert_allclose(open_slide(changed(change)).yx, plain[0].yx)


@pytest.mark.parametrize("which", ["he", "spots"])
@pytest.mark.parametrize(
    "matrix",
    [np.diag([0.0, 0.0, 1.0]), np.diag([1.0, 0.0, 1.0]), np.diag([1e9, 1e9, 1.0])],
    ids=["no-size", "a-line", "1e9"],
)
def test_a_transformation_that_places_nothing_is_refused(changed, which, matrix):
    def change(sdata):
        element = sdata.images["he"] if which == "he" else sdata.shapes["spots"]
        set_transformation(element, Affine(matrix, XY, XY))

    with pytest.raises(InputError, match=f"transformation of '{which}'.*cannot be used"):
        open_slide(changed(change))


def test_pixels_that_are_not_square_are_refused(plain, changed):
    def change(sdata):
        stretched = np.repeat(np.asarray(sdata.images["he"]), 2, axis=1)
        sdata.images["he"] = Image2DModel.parse(stretched, c_coords=["r", "g", "b"])
        set_transformation(sdata.images["he"], Scale([1, 0.5], XY))

    with pytest.raises(InputError, match="pixels under the spots are not square"):
        open_slide(changed(change))


def test_spots_at_one_place_are_refused(changed):
    def change(sdata):
        n = len(sdata.shapes["spots"])
        index = sdata.shapes["spots"].index
        sdata.shapes["spots"] = ShapesModel.parse(
            np.full((n, 2), 300.0), geometry=0, radius=20, index=index
        )

    with pytest.raises(InputError, match="All spots lie at one place"):
        open_slide(changed(change))


def test_spots_without_a_place_are_left_out_with_a_word(plain, changed):
    def change(sdata):
        circles = sdata.shapes["spots"]
        xy = np.column_stack([circles.geometry.x, circles.geometry.y])
        xy[3] = np.nan
        sdata.shapes["spots"] = ShapesModel.parse(
            xy, geometry=0, radius=circles["radius"].to_numpy(), index=circles.index
        )

    with pytest.warns(UmpireWarning) as said:
        slide = open_slide(changed(change))
    assert "1 spot has no finite position and is left out" in str(said[0].message)
    assert slide.n_spots == plain[0].n_spots - 1


# ---- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["table", "shapes"])
def test_numbers_and_text_join_and_results_join_the_shapes(plain, changed, whose):
    def change(sdata):
        circles, table = sdata.shapes["spots"], sdata.tables["table"]
        numbers = np.arange(len(circles)) * 3 + 1
        circles.index = numbers.astype(str) if whose == "shapes" else numbers
        table.obs["spot_id"] = numbers.astype(str) if whose == "table" else numbers

    slide = open_slide(changed(change))
    assert (slide.counts() != plain[0].counts()).nnz == 0
    table = prediction_of(slide)
    assert_holds(write_results(slide, table, name="r"), slide, table)


def test_ids_of_types_that_do_not_join_are_named(changed):
    def change(sdata):
        sdata.shapes["spots"].index = np.arange(len(sdata.shapes["spots"]))
        table = sdata.tables["table"]
        table.obs["spot_id"] = [f"S{i}" for i in range(table.n_obs)]

    said = "text such as 'S0' in the table, numbers such as 0 in the shapes"
    with pytest.raises(InputError, match=said):
        open_slide(changed(change))


@pytest.mark.parametrize("table", [True, False], ids=["measured", "bare"])
def test_an_index_that_repeats_is_refused(changed, table):
    def change(sdata):
        n = len(sdata.shapes["spots"])
        sdata.shapes["spots"].index = np.arange(n) % (n - 2)
        sdata.tables["table"].obs["spot_id"] = np.arange(n)
        if not table:
            del sdata.tables["table"]

    with pytest.raises(InputError, match=r"An id occurs twice in the spots.* Got: 0 and 1 more"):
        open_slide(changed(change))


# ---- tables and columns ----------------------------------------------------------------------


def test_counts_that_annotate_nothing_are_named(changed):
    def change(sdata):
        table = sdata.tables["table"]
        del sdata.tables["table"], table.uns["spatialdata_attrs"]
        sdata.tables["mine"] = TableModel.parse(table)

    said = "Table 'mine' of a.zarr holds counts, but annotates nothing.*TableModel.parse"
    with pytest.warns(UmpireWarning, match=said):
        slide = open_slide(changed(change))
    assert not slide.has_counts


def test_counts_of_a_region_of_another_name_are_named(changed):
    def change(sdata):
        circles = sdata.shapes["spots"]
        del sdata.shapes["spots"]
        sdata.shapes["circles"] = circles

    with pytest.warns(UmpireWarning, match="but annotates spots, which is not there"):
        slide = open_slide(changed(change))
    assert not slide.has_counts


@pytest.mark.parametrize(
    "values",
    [
        lambda n: np.r_[False, np.ones(n - 1, bool)],
        lambda n: ["False", *["True"] * (n - 1)],
        lambda n: pd.Categorical(["0", *["1"] * (n - 1)]),
        lambda n: np.r_[0.0, np.ones(n - 1)],
    ],
    ids=["bool", "text", "category", "float"],
)
def test_in_tissue_is_read_however_it_is_written(plain, changed, values):
    slide = open_slide(changed(set_obs("in_tissue", lambda t: values(t.n_obs))))
    assert list(slide.spots.index) == list(plain[0].spots.index[1:])


@pytest.mark.parametrize("odd", [None, "perhaps"], ids=["gap", "word"])
def test_a_spot_of_which_in_tissue_says_nothing_is_kept_with_a_word(plain, changed, odd):
    def values(table):
        return pd.Series([odd, *[1.0] * (table.n_obs - 1)], index=table.obs_names).astype(
            float if odd is None else str
        )

    with pytest.warns(UmpireWarning, match="is neither 1 nor 0 for 1 spot"):
        slide = open_slide(changed(set_obs("in_tissue", values)))
    assert slide.n_spots == plain[0].n_spots


@pytest.mark.parametrize("odd", [np.nan, 1e30, 2.5], ids=["gap", "huge", "broken"])
def test_array_columns_beyond_sense_go_and_the_scale_stays(plain, changed, odd):
    def values(table):
        return np.r_[odd, table.obs["array_row"].to_numpy(float)[1:]]

    with pytest.warns(UmpireWarning, match="1 spot has no sensible place in array_row"):
        slide = open_slide(changed(set_obs("array_row", values)))
    assert not {"array_row", "array_col"} & set(slide.spots)
    assert slide.n_spots == plain[0].n_spots
    assert slide.mpp == pytest.approx(plain[0].mpp, rel=0.01)


def test_array_columns_in_which_spots_share_a_place_go_with_a_word(plain, changed):
    with pytest.warns(UmpireWarning, match="spots share their place in array_row"):
        slide = open_slide(changed(set_obs("array_row", 0)))
    assert "array_row" not in slide.spots
    assert slide.n_spots == plain[0].n_spots


# ---- damage ----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_in_a_store_is_refused_at_once(changed):
    path = changed(lambda sdata: None)
    piece = next(p for p in (path / "images").rglob("c/*/*/*") if p.is_file())
    piece.unlink()
    os.mkfifo(piece)
    with pytest.raises(InputError, match=r"neither a file nor a folder. Got: images"):
        open_slide(path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tables/table/obs/zarr.json", '{"attributes": {"encoding-version": "NaN.0"}}'),
        ("images/he/zarr.json", "[" * 100_000),
        ("shapes/spots/zarr.json", '{"zarr_format": 3, "node_type": "group", "attributes": 7}'),
        ("zarr.json", "9" * 5000),
    ],
    ids=["encoding", "deep", "attributes", "long-number"],
)
def test_nonsense_in_what_describes_a_store_is_one_sentence(changed, file, text):
    path = changed(lambda sdata: None)
    (path / file).write_text(text)
    if file != "zarr.json":
        import json

        root = json.loads((path / "zarr.json").read_text())
        del root["consolidated_metadata"]
        (path / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(InputError, match=r"a.zarr"):
        open_slide(path)
