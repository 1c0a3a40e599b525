"""Space Ranger folders of every version, against what they were written from."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import open_slide, sniff


def _expected_counts(parts) -> np.ndarray:
    """Counts in the order of the positions file, through a dictionary."""
    row = {barcode: i for i, barcode in enumerate(parts.barcodes)}
    return parts.counts[[row[b] for b in parts.tissue["barcode"]]]


@pytest.mark.parametrize(
    ("positions", "header"),
    [
        pytest.param("tissue_positions_list.csv", False, id="1.x"),
        pytest.param("tissue_positions_list.csv", True, id="1.x-with-header"),
        pytest.param("tissue_positions.csv", True, id="2.x-3.x"),
        pytest.param("tissue_positions.parquet", True, id="parquet"),
    ],
)
def test_spots_of_every_positions_file(visium, assert_spots_on_ramp, positions, header):
    parts = visium(positions=positions, header=header)
    slide = open_slide(parts.folder)
    assert slide.name == "sample"
    assert slide.platform == "visium"
    assert list(slide.spots.index) == list(parts.tissue["barcode"])
    np.testing.assert_array_equal(
        slide.yx, parts.tissue[["pxl_row_in_fullres", "pxl_col_in_fullres"]]
    )
    np.testing.assert_array_equal(slide.spots["array_col"], parts.tissue["array_col"])
    assert slide.pyramid.extent == (1300, 1800)
    assert_spots_on_ramp(slide, atol=2)


@pytest.mark.parametrize(
    "counts",
    ["h5", "h5-v2", "features.tsv+gz", "features.tsv", "genes.tsv"],
)
def test_counts_of_every_layout_are_joined_by_barcode(visium, counts):
    parts = visium(counts=counts)
    slide = open_slide(parts.folder)
    assert slide.has_counts
    np.testing.assert_array_equal(slide.counts().toarray(), _expected_counts(parts))
    genes = slide.genes
    assert genes.index.is_unique
    assert list(genes["id"][:4]) == [f"ENSG{i:011d}" for i in range(4)]
    assert list(genes["symbol"][:4]) == ["ERBB2", "PIBF1", "TBCE", "TBCE"]


def test_scale_from_pitch_and_diameter(visium):
    scale = open_slide(visium().folder).scale
    assert scale.source == "spot pitch"
    assert scale.mpp == pytest.approx(100 / 120, rel=0.005)
    assert scale.candidates["spot diameter"] == pytest.approx(100 / 120)


def test_a_diameter_that_disagrees_with_the_pitch_is_a_warning(visium):
    parts = visium()
    path = parts.folder / "outs/spatial/scalefactors_json.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"spot_diameter_fullres": 66}))
    with pytest.warns(UmpireWarning, match="disagree"):
        open_slide(parts.folder)


@pytest.mark.parametrize("where", ["folder", "outs", "spatial"])
def test_each_way_to_name_the_folder(visium, where):
    parts = visium()
    path = {
        "folder": parts.folder,
        "outs": parts.folder / "outs",
        "spatial": parts.folder / "outs" / "spatial",
    }[where]
    assert sniff(path) == "spaceranger"
    assert open_slide(path).name == "sample"
    assert open_slide(path, name="mine").region == "mine"


def test_a_folder_without_outs(visium):
    assert open_slide(visium(outs=False).folder).n_spots > 0


def test_without_counts_the_slide_is_for_prediction(visium):
    slide = open_slide(visium(counts=None).folder)
    assert slide.table is None
    assert not slide.has_counts
    with pytest.raises(InputError, match="has no gene counts"):
        _ = slide.adata


def test_lowres_is_used_where_nothing_better_is_there(visium, assert_spots_on_ramp):
    slide = open_slide(visium(images=("lowres",)).folder)
    assert slide.pyramid.levels[0].downsample == pytest.approx(10)
    assert_spots_on_ramp(slide, atol=4)


@pytest.mark.parametrize("place", ["outs", "parent", "named"])
def test_a_full_resolution_image_is_found_or_named(visium, tmp_path, place, assert_spots_on_ramp):
    parts = visium()
    folder = {"outs": parts.folder / "outs", "parent": parts.folder, "named": tmp_path}[place]
    path = folder / "slide.tif"
    tifffile.imwrite(path, parts.image, tile=(256, 256), photometric="rgb")
    slide = open_slide(parts.folder, image=path if place == "named" else None)
    assert slide.pyramid.levels[0].downsample == 1
    assert slide.pyramid.levels[0].shape == (1300, 1800)
    assert list(slide.sdata.images) == ["sample_full_image"]
    assert_spots_on_ramp(slide, atol=1)


def test_the_scale_of_a_full_resolution_file_is_a_candidate(visium):
    parts = visium()
    tifffile.imwrite(
        parts.folder / "slide.tif",
        parts.image,
        photometric="rgb",
        resolution=(12000, 12000),
        resolutionunit=3,
    )
    candidates = open_slide(parts.folder).scale.candidates
    assert candidates["resolution tag"] == pytest.approx(1 / 1.2)


def test_another_image_beside_the_folder_is_not_taken_for_the_slide(visium):
    parts = visium()
    Image.new("RGB", (640, 480)).save(parts.folder / "notes.png")
    slide = open_slide(parts.folder)
    assert slide.pyramid.levels[0].downsample == pytest.approx(2)


def test_a_broken_image_beside_the_folder_is_left_out_with_a_word(visium):
    parts = visium()
    (parts.folder / "slide.tif").write_bytes(b"II*\x00")
    with pytest.warns(UmpireWarning, match="slide.tif beside the spots is left out"):
        slide = open_slide(parts.folder)
    assert slide.pyramid.levels[0].downsample == pytest.approx(2)


def test_a_resized_image_is_refused(visium, tmp_path):
    parts = visium()
    path = tmp_path / "small.png"
    Image.fromarray(parts.image[::2, ::2]).save(path)
    with pytest.raises(InputError, match=r"small.png is not the image.*650 x 900 px.*1300 x 1800"):
        open_slide(parts.folder, image=path)


def test_image_and_spots_that_do_not_overlap_are_refused(visium):
    parts = visium(images=("hires",))
    path = parts.folder / "outs/spatial/tissue_positions.csv"
    table = pd.read_csv(path)
    table["pxl_col_in_fullres"] += 5000
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"Image and spots of sample do not overlap.*x 5"):
        open_slide(parts.folder)


def test_spots_outside_of_the_full_resolution_image_are_refused(visium):
    parts = visium()
    tifffile.imwrite(parts.folder / "outs/a.tif", parts.image, tile=(256, 256), photometric="rgb")
    path = parts.folder / "outs/spatial/tissue_positions.csv"
    table = pd.read_csv(path)
    table["pxl_row_in_fullres"] += 5000
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"do not overlap.*y 5.*full-resolution image is 1300 px"):
        open_slide(parts.folder)


def test_a_blank_image_is_a_warning_and_a_transparent_one_is_white(visium):
    parts = visium()
    for kind, size in (("hires", (900, 650)), ("lowres", (180, 130))):
        path = parts.folder / f"outs/spatial/tissue_{kind}_image.png"
        Image.new("RGBA", size, (0, 0, 0, 0)).save(path)
    with pytest.warns(UmpireWarning, match="the hires image is blank"):
        slide = open_slide(parts.folder)
    assert (slide.pyramid.levels[0].read_tile(0, 0) == 255).all()


def test_lowres_is_shown_where_only_hires_is_blank(visium):
    parts = visium()
    path = parts.folder / "outs/spatial/tissue_hires_image.png"
    Image.new("RGB", (900, 650), "white").save(path)
    with pytest.warns(UmpireWarning, match="hires image is blank; the lowres image is shown"):
        slide = open_slide(parts.folder)
    assert list(slide.sdata.images) == ["sample_lowres_image"]


def test_barcodes_that_fall_out_are_counted(visium):
    parts = visium()
    path = parts.folder / "outs/spatial/tissue_positions.csv"
    table = pd.read_csv(path)
    table = table[table["barcode"] != parts.barcodes[3]]
    table.loc[table["barcode"] == parts.barcodes[5], "in_tissue"] = 0
    extra = table.index[table["in_tissue"] == 0][0]
    table.loc[extra, "in_tissue"] = 1
    table.to_csv(path, index=False)
    words = (
        "1 spots under tissue have no counts; 1 counted barcodes have no position; "
        "1 counted spots are not under tissue; "
    )
    with pytest.warns(UmpireWarning, match=words):
        slide = open_slide(parts.folder)
    assert slide.n_spots == len(parts.barcodes) - 2
    assert slide.counts().shape[0] == slide.n_spots


def test_a_raw_matrix_is_cut_to_the_tissue_without_a_word(visium):
    parts = visium()
    outs = parts.folder / "outs"
    (outs / "filtered_feature_bc_matrix.h5").rename(outs / "raw_feature_bc_matrix.h5")
    path = outs / "spatial/tissue_positions.csv"
    table = pd.read_csv(path)
    table.loc[table["barcode"].isin(parts.barcodes[:7]), "in_tissue"] = 0
    table.to_csv(path, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UmpireWarning)
        assert open_slide(parts.folder).n_spots == len(parts.barcodes) - 7


def test_counts_of_another_slide_are_refused(visium):
    parts = visium()
    path = parts.folder / "outs/spatial/tissue_positions.csv"
    path.write_text(path.read_text().replace("-1,", "-2,"))
    with pytest.raises(InputError, match=r"no barcode in common.*-1 in the counts.*-2 among"):
        open_slide(parts.folder)


def _cut(path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_h5_is_named(visium, keep):
    parts = visium()
    _cut(parts.folder / "outs/filtered_feature_bc_matrix.h5", keep)
    with pytest.raises(InputError, match="filtered_feature_bc_matrix.h5 cannot be read"):
        open_slide(parts.folder)


def test_an_h5_of_something_else_is_named(visium):
    import h5py

    parts = visium()
    path = parts.folder / "outs/filtered_feature_bc_matrix.h5"
    with h5py.File(path, "w") as f:
        f.create_group("matrix")["data"] = np.arange(4)
    with pytest.raises(InputError, match="filtered_feature_bc_matrix.h5 cannot be read"):
        open_slide(parts.folder)


@pytest.mark.parametrize("layout", ["h5", "h5-v2"])
@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_an_h5_whose_indices_point_outside_is_refused_and_ends_no_process(visium, layout, part):
    import h5py

    parts = visium(counts=layout)
    with h5py.File(parts.folder / "outs/filtered_feature_bc_matrix.h5", "r+") as f:
        next(iter(f.values()))[part][3] = 10**6
    with pytest.raises(InputError, match=r"counts in filtered_feature_bc_matrix.h5 are damaged"):
        open_slide(parts.folder)


def test_antibodies_are_left_out(visium):
    import h5py

    parts = visium()
    with h5py.File(parts.folder / "outs/filtered_feature_bc_matrix.h5", "r+") as f:
        del f["matrix/features/feature_type"]
        f["matrix/features/feature_type"] = [b"Antibody Capture"] * 3 + [b"Gene Expression"] * 9
    slide = open_slide(parts.folder)
    np.testing.assert_array_equal(slide.counts().toarray(), _expected_counts(parts)[:, 3:])


@pytest.mark.parametrize("name", ["matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz"])
def test_a_truncated_or_missing_part_of_mtx_is_named(visium, name):
    parts = visium(counts="features.tsv+gz")
    path = parts.folder / "outs/filtered_feature_bc_matrix" / name
    _cut(path, 0.5)
    with pytest.raises(InputError, match="filtered_feature_bc_matrix"):
        open_slide(parts.folder)
    if not name.startswith("matrix"):
        path.unlink()
        with pytest.raises(InputError, match=f"holds no {name.removesuffix('.gz')}"):
            open_slide(parts.folder)


def test_two_count_files_are_not_chosen_between(visium):
    parts = visium()
    outs = parts.folder / "outs"
    data = (outs / "filtered_feature_bc_matrix.h5").read_bytes()
    (outs / "A_filtered_feature_bc_matrix.h5").write_bytes(data)
    with pytest.raises(InputError, match="holds several count files"):
        open_slide(parts.folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scalefactors": False}, "sample|outs holds no scale factors.*scalefactors_json.json"),
        ({"positions": None}, "holds no spot positions.*tissue_positions.csv"),
        ({"images": ()}, "sample holds no tissue image.*image="),
    ],
)
def test_a_missing_part_is_named(visium, options, words):
    with pytest.raises(InputError, match=words):
        open_slide(visium(**options).folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", '{"tissue_hires_scalef": 0}', '{"tissue_hires_scalef": NaN}']
)
def test_broken_scale_factors_are_named(visium, text):
    parts = visium()
    (parts.folder / "outs/spatial/scalefactors_json.json").write_text(text)
    with pytest.raises(InputError, match=r"scalefactors_json.json (cannot be read|has an imposs)"):
        open_slide(parts.folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00\x01\x02",
        "a,b\n1,2\n",
        "A-1,1,0,0,12,\n",
        "A-1,1,0,0,12,x\n",
        "A-1,1,0,0,1,2\n" * 2,
    ],
)
def test_broken_positions_are_named(visium, text):
    parts = visium()
    (parts.folder / "outs/spatial/tissue_positions.csv").write_text(text)
    with pytest.raises(InputError, match="tissue_positions.csv"):
        open_slide(parts.folder)


def test_nothing_under_tissue_is_refused(visium):
    parts = visium()
    path = parts.folder / "outs/spatial/tissue_positions.csv"
    table = pd.read_csv(path)
    table["in_tissue"] = 0
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match="has no spot under tissue"):
        open_slide(parts.folder)


def test_visium_hd_asks_for_a_bin_size_and_opens_one(visium, tmp_path):
    parts = visium(outs=False, name="square_016um", positions="tissue_positions.parquet")
    run = tmp_path / "run"
    (run / "binned_outputs").mkdir(parents=True)
    home = run / "binned_outputs" / "square_016um"
    parts.folder.rename(home)
    with pytest.raises(InputError, match=r"several bin sizes. Got: square_016um"):
        open_slide(run)
    path = home / "spatial" / "scalefactors_json.json"
    told = json.loads(path.read_text()) | {"bin_size_um": 16, "microns_per_pixel": 0.5}
    path.write_text(json.dumps(told))
    slide = open_slide(home)
    assert (slide.mpp, slide.pitch_um, slide.spot_diameter_um) == (0.5, 16, 16)
