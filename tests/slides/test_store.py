"""SpatialData stores as spatialdata-io and others write them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import open_slide, open_slides, sniff, write_slide
from napari_umpire.slides.elements import quiet_libraries

spatialdata = pytest.importorskip("spatialdata")


@pytest.fixture
def visium_sdata(visium):
    """What spatialdata-io makes of a written Space Ranger folder; hires and lowres images only."""
    from spatialdata_io import visium as read_visium

    def make(dataset_id: str = "S1", **options):
        parts = visium(name=dataset_id, **options)
        with quiet_libraries():
            sdata = read_visium(parts.folder / "outs", dataset_id=dataset_id)
        return parts, sdata

    return make


def _write(sdata, path, version: str = "v3"):
    with quiet_libraries():
        from spatialdata._io import format as formats

        kinds = {
            "v2": formats.SpatialDataContainerFormatV01,
            "v3": formats.SpatialDataContainerFormatV02,
        }
        sdata.write(path, sdata_formats=kinds[version]())
    return path


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_hires_only_store_in_both_zarr_versions(
    visium_sdata, tmp_path, version, assert_spots_on_ramp
):
    parts, sdata = visium_sdata()
    path = _write(sdata, tmp_path / "a.zarr", version)
    assert (path / ("zarr.json" if version == "v3" else ".zgroup")).exists()
    assert sniff(path) == "spatialdata"
    slide = open_slide(path)
    assert (slide.name, slide.region, slide.platform, slide.table) == (
        "S1",
        "S1",
        "visium",
        "table",
    )
    # The hires image is the full-resolution frame here: everything is halved, the um are the same.
    at = parts.array.set_index("barcode").loc[slide.spots.index]
    np.testing.assert_allclose(
        slide.yx, at[["pxl_row_in_fullres", "pxl_col_in_fullres"]] * 0.5, atol=1e-6
    )
    assert slide.pyramid.extent == (650, 900)
    assert slide.mpp == pytest.approx(2 * 100 / 120, rel=0.005)
    assert slide.scale.candidates["spot diameter"] == pytest.approx(2 * 100 / 120, rel=0.005)
    order = [parts.barcodes.index(b) for b in slide.spots.index]
    np.testing.assert_array_equal(slide.counts().toarray(), parts.counts[order])
    pixels = slide.pyramid.levels[0].read(0, 0, 650, 900)
    np.testing.assert_array_equal(pixels, parts.image[::2, ::2])
    yx = slide.yx.astype(int)
    np.testing.assert_allclose(pixels[yx[:, 0], yx[:, 1], 0], slide.yx[:, 0] * 255 / 650, atol=2)
    np.testing.assert_allclose(pixels[yx[:, 0], yx[:, 1], 1], slide.yx[:, 1] * 255 / 900, atol=2)


def test_the_full_resolution_image_is_preferred(visium_sdata, tmp_path, assert_spots_on_ramp):
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Identity

    parts, sdata = visium_sdata()
    sdata.images["S1_full_image"] = Image2DModel.parse(
        np.moveaxis(parts.image, 2, 0),
        dims=("c", "y", "x"),
        transformations={"S1": Identity()},
        scale_factors=[2, 2],
        chunks=(3, 200, 300),
    )
    slide = open_slide(_write(sdata, tmp_path / "a.zarr"))
    assert slide.pyramid.extent == (1300, 1800)
    assert [v.downsample for v in slide.pyramid.levels] == [1, 2, 4]
    assert slide.mpp == pytest.approx(100 / 120, rel=0.005)
    assert_spots_on_ramp(slide, atol=1)
    hires = open_slide(tmp_path / "a.zarr", image="S1_hires_image")
    assert hires.pyramid.extent == (650, 900)


@pytest.mark.parametrize("turn", ["scaled", "turned", "swapped"])
def test_transformations_are_followed_to_the_pixels(visium_sdata, tmp_path, turn):
    """The image is scaled, turned or transposed on disk; its transformation puts that right."""
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Affine, Scale

    parts, sdata = visium_sdata()
    del sdata.images["S1_hires_image"], sdata.images["S1_lowres_image"]
    image = parts.image
    if turn == "scaled":
        stored, move = image[::4, ::4], Scale([4.0, 4.0], axes=("x", "y"))
    elif turn == "turned":  # upside down: x -> 1800 - x, y -> 1300 - y
        matrix = [[-1, 0, 1800], [0, -1, 1300], [0, 0, 1]]
        stored, move = image[::-1, ::-1], Affine(matrix, ("x", "y"), ("x", "y"))
    else:  # rows are columns
        matrix = [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
        stored, move = image.transpose(1, 0, 2), Affine(matrix, ("x", "y"), ("x", "y"))
    sdata.images["S1_image"] = Image2DModel.parse(
        np.moveaxis(np.ascontiguousarray(stored), 2, 0),
        dims=("c", "y", "x"),
        transformations={"S1": move},
    )
    slide = open_slide(_write(sdata, tmp_path / "a.zarr"))
    at = parts.array.set_index("barcode").loc[slide.spots.index]
    pixels = slide.pyramid.levels[0].read(0, 0, *slide.pyramid.levels[0].shape)
    yx = slide.yx.astype(int)
    seen = pixels[yx[:, 0], yx[:, 1]].astype(int)
    np.testing.assert_allclose(seen[:, 0], at["pxl_row_in_fullres"] * 255 / 1300, atol=2)
    np.testing.assert_allclose(seen[:, 1], at["pxl_col_in_fullres"] * 255 / 1800, atol=2)
    assert slide.mpp == pytest.approx(100 / 120 * (4 if turn == "scaled" else 1), rel=0.005)


def test_several_regions_and_tables_of_one_store(visium_sdata, tmp_path):
    """One table of two regions, under keys of other names, and a table of results beside it."""
    import anndata
    from spatialdata.models import TableModel

    parts = {}
    whole = None
    tables = []
    for name in ("S1", "S2"):
        parts[name], sdata = visium_sdata(name)
        table = sdata.tables["table"]
        table.obs_names = [f"{name}_{b}" for b in table.obs_names]
        tables.append(table)
        del sdata.tables["table"]
        whole = sdata if whole is None else spatialdata.concatenate([whole, sdata])
    both = anndata.concat(tables)
    both.obs["where"] = pd.Categorical(both.obs.pop("region"))
    both.obs["which"] = both.obs.pop("spot_id").to_numpy()
    both.uns = {}
    both = both[np.random.default_rng(0).permutation(both.n_obs)].copy()
    keys = {"region": ["S1", "S2"], "region_key": "where", "instance_key": "which"}
    whole.tables["counted"] = TableModel.parse(both, **keys)
    results = TableModel.parse(both.copy(), **keys, overwrite_metadata=True)
    results.X = np.asarray(results.X.todense()) * 0.37
    results.uns["umpire"] = {"model": "x"}
    whole.tables["umpire_predicted"] = results
    path = _write(whole, tmp_path / "two.zarr")
    with pytest.raises(InputError, match=r"two.zarr holds 2 slides. Got: S1, S2.*region='S1'"):
        open_slide(path)
    slides = open_slides(path)
    assert [s.name for s in slides] == ["S1", "S2"]
    for slide in slides:
        assert slide.table == "counted"
        barcodes = [b.removeprefix(f"{slide.name}_") for b in slide.spots.index]
        order = [parts[slide.name].barcodes.index(b) for b in barcodes]
        np.testing.assert_array_equal(slide.counts().toarray(), parts[slide.name].counts[order])
    one = open_slide(path, region="S2")
    assert (one.region, list(one.spots.index)) == ("S2", list(slides[1].spots.index))
    with pytest.raises(InputError, match="no spots named 'S3'. Got: S1, S2"):
        open_slide(path, region="S3")


def test_samples_that_share_one_coordinate_system_keep_their_images(visium_sdata, tmp_path):
    from spatialdata.transformations import Identity, Scale, set_transformation

    whole = None
    for name in ("S1", "S2"):
        _, sdata = visium_sdata(name)
        table = sdata.tables["table"]
        del sdata.tables["table"], sdata.images[f"{name}_lowres_image"]
        sdata.tables[f"{name}_table"] = table
        set_transformation(sdata.shapes[name], {"global": Identity()}, set_all=True)
        two = Scale([2.0, 2.0], axes=("x", "y"))
        image = sdata.images[f"{name}_hires_image"]
        set_transformation(image, {"global": two}, set_all=True)
        whole = sdata if whole is None else spatialdata.concatenate([whole, sdata])
    path = _write(whole, tmp_path / "two.zarr")
    from napari_umpire.slides.readers.store_view import choose_view

    for slide in open_slides(path):
        xy = slide.yx[:, ::-1] * 2
        view = choose_view(slide.sdata, slide.region, xy, None, slide.name)
        assert view.image == f"{slide.region}_hires_image"
        assert slide.table == f"{slide.region}_table"


def test_transformed_counts_fall_back_to_the_layer_or_to_nothing(visium_sdata, tmp_path):
    parts, sdata = visium_sdata()
    table = sdata.tables["table"]
    table.layers["counts"] = table.X.copy()
    table.X = table.X.log1p()
    with pytest.warns(UmpireWarning, match="its layer 'counts' is used"):
        slide = open_slide(_write(sdata, tmp_path / "a.zarr"))
    order = [parts.barcodes.index(b) for b in slide.spots.index]
    np.testing.assert_array_equal(slide.counts().toarray(), parts.counts[order])
    del table.layers["counts"]
    with pytest.warns(UmpireWarning, match="opened as not measured"):
        slide = open_slide(_write(sdata, tmp_path / "b.zarr"))
    assert not slide.has_counts
    assert slide.n_spots == len(parts.barcodes)


def test_without_array_coordinates_a_hexagonal_store_is_visium_and_others_ask(
    visium_sdata, tmp_path
):
    from spatialdata.models import ShapesModel

    _, sdata = visium_sdata()
    sdata.tables["table"].obs.drop(columns=["array_row", "array_col"], inplace=True)
    slide = open_slide(_write(sdata, tmp_path / "a.zarr"))
    assert slide.scale.source == "spot pitch"
    assert slide.mpp == pytest.approx(2 * 100 / 120, rel=0.01)
    del sdata.tables["table"]
    grid = np.array([(x, y) for y in range(60, 640, 40) for x in range(50, 890, 40)], float)
    sdata.shapes["S1"] = ShapesModel.parse(grid, geometry=0, radius=10)
    del sdata.images["S1_hires_image"].attrs["transform"]["S1_downscaled_hires"]
    from spatialdata.transformations import Identity, set_transformation

    set_transformation(sdata.images["S1_hires_image"], {"global": Identity()}, set_all=True)
    path = _write(sdata, tmp_path / "b.zarr")
    slide = open_slide(path)
    with pytest.raises(InputError, match="physical scale of S1 is not known"):
        _ = slide.mpp
    told = open_slide(path, mpp=2.5)
    assert (told.mpp, told.pitch_um, told.spot_diameter_um) == (2.5, 100, 50)


def test_rows_without_spots_and_spots_without_rows_are_counted(visium_sdata, tmp_path):
    parts, sdata = visium_sdata()
    sdata.shapes["S1"] = sdata.shapes["S1"].iloc[4:]
    sdata.tables["table"] = sdata.tables["table"][:-3].copy()
    words = "3 spots have no row in the table and 4 rows no spot"
    with pytest.warns(UmpireWarning, match=words):
        slide = open_slide(_write(sdata, tmp_path / "a.zarr"))
    assert slide.n_spots == len(parts.barcodes) - 7
    assert slide.counts().shape[0] == slide.n_spots


def test_spots_off_tissue_are_left_out(visium_sdata, tmp_path):
    parts, sdata = visium_sdata()
    sdata.tables["table"].obs["in_tissue"] = [0] * 5 + [1] * (len(parts.barcodes) - 5)
    slide = open_slide(_write(sdata, tmp_path / "a.zarr"))
    assert slide.n_spots == slide.adata.n_obs == len(parts.barcodes) - 5


def test_stores_without_spots_image_or_common_system_are_refused(visium_sdata, tmp_path):
    from spatialdata.transformations import Identity, set_transformation

    _, sdata = visium_sdata()
    image = sdata.images["S1_hires_image"]
    del sdata.images["S1_lowres_image"]
    set_transformation(image, {"elsewhere": Identity()}, set_all=True)
    with pytest.raises(
        InputError, match=r"No image of a.zarr shares a coordinate system with 'S1'"
    ):
        open_slide(_write(sdata, tmp_path / "a.zarr"))
    del sdata.images["S1_hires_image"]
    with pytest.raises(InputError, match=r"b.zarr holds no H&E image for 'S1'. Got: no image"):
        open_slide(_write(sdata, tmp_path / "b.zarr"))
    alone = spatialdata.SpatialData(images={"x": image})
    with pytest.raises(InputError, match=r"c.zarr holds no spots. Got: shapes none"):
        open_slide(_write(alone, tmp_path / "c.zarr"))


def test_image_and_spots_that_do_not_overlap_are_refused(visium_sdata, tmp_path):
    from spatialdata.transformations import Translation, set_transformation

    _, sdata = visium_sdata()
    far = Translation([90_000.0, 0.0], axes=("x", "y"))
    set_transformation(sdata.shapes["S1"], {"S1": far}, set_all=True)
    with pytest.raises(InputError, match="Image and spots of S1 do not overlap"):
        open_slide(_write(sdata, tmp_path / "a.zarr"))


def test_a_damaged_store_is_named(visium_sdata, tmp_path):
    _, sdata = visium_sdata()
    path = _write(sdata, tmp_path / "a.zarr")
    shutil.rmtree(path / "tables" / "table" / "obs")
    with pytest.raises(InputError, match="The store a.zarr cannot be read"):
        open_slide(path)


def test_a_damaged_image_is_named(visium, tmp_path):
    path = write_slide(open_slide(visium().folder), tmp_path / "a.zarr")
    for chunk in (path / "images").rglob("c/*/*/*"):
        if chunk.is_file():
            chunk.write_bytes(b"junk")
    with pytest.raises(InputError, match="An image of the store cannot be decoded"):
        open_slide(path).pyramid.levels[0].read(0, 0, 50, 50)


def test_an_image_without_pixels_is_not_read_as_black(visium, tmp_path):
    path = write_slide(open_slide(visium().folder), tmp_path / "a.zarr")
    for scale in (path / "images/sample_image").iterdir():
        shutil.rmtree(scale / "c", ignore_errors=True)
    with pytest.raises(InputError, match=r"'sample_image' of the store a.zarr holds no pixels"):
        open_slide(path)


@pytest.mark.parametrize(
    ("text", "name"), [("../../a /b", "a_b"), ("..", "slide"), ("_x", "x"), ("é", "slide")]
)
def test_names_of_elements_are_legal_and_seen(text, name):
    from napari_umpire.slides.elements import element_name

    assert element_name(text) == name


@pytest.mark.parametrize(("part", "value"), [("indices", 10**6), ("indptr", 10**6)])
def test_counts_whose_indices_point_outside_are_refused(visium_sdata, tmp_path, part, value):
    import zarr

    _, sdata = visium_sdata()
    path = _write(sdata, tmp_path / "a.zarr")
    array = zarr.open_group(path / "tables/table/X", mode="r+")[part]
    values = array[:]
    values[3] = value
    array[:] = values
    with pytest.raises(InputError, match=r"counts in table 'table' of a.zarr are damaged"):
        open_slide(path)


def test_a_store_without_its_root_is_no_slide_and_no_folder_of_slides(visium_sdata, tmp_path):
    _, sdata = visium_sdata()
    path = _write(sdata, tmp_path / "a.zarr")
    (path / "zarr.json").unlink()
    with pytest.raises(InputError, match=r"The folder a.zarr holds no slide"):
        open_slide(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("platform"), "platform"),
        (lambda r: r.update(mpp="abc"), "mpp is 'abc'"),
        (lambda r: r.update(mpp=-3.0), "mpp is -3"),
        (lambda r: r.update(mpp_source="a guess"), "mpp_source is 'a guess'"),
        (lambda r: r.update(downsample=0), "downsample is 0"),
        (lambda r: r.update(name=None), "name is None"),
        (lambda r: r.update(platform="xenium"), "platform is 'xenium'"),
    ],
    ids=["missing", "text", "negative", "source", "zero", "name", "platform"],
)
def test_a_damaged_record_is_named(visium, tmp_path, change, said):
    path = write_slide(open_slide(visium().folder), tmp_path / "a.zarr")
    root = json.loads((path / "zarr.json").read_text())
    change(root["attributes"]["napari_umpire"]["slides"]["sample"])
    (path / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(InputError, match=rf"a.zarr records of the slide 'sample' .*{said}"):
        open_slide(path)


def test_a_recorded_table_without_counts_is_refused(visium, tmp_path):
    path = write_slide(open_slide(visium().folder), tmp_path / "a.zarr")
    shutil.rmtree(path / "tables/table/X")
    with pytest.raises(InputError, match=r"Table 'table' of a.zarr holds no counts"):
        open_slide(path)


def test_the_published_blobs_store_is_refused_in_words(data_dir):
    path = data_dir / "spatialdata_blobs" / "blobs.zarr"
    with pytest.raises(InputError, match=r"blobs.zarr holds no H&E image.*float64"):
        open_slide(path)
