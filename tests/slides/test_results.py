from __future__ import annotations

import errno
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import spatialdata
import zarr
from PIL import Image
from spatialdata.models import TableModel

from napari_umpire.errors import InputError
from napari_umpire.slides import results
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.elements import quiet_libraries
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.results import WrittenResult, write_results
from napari_umpire.slides.synthetic import make_slide, write_spaceranger

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.slides.slide import Slide


@pytest.fixture(scope="module")
def synthetic() -> Slide:
    return make_slide(2, rows=8, cols=7)


def prediction_of(slide: Slide, seed: int = 0) -> ad.AnnData:
    rng = np.random.default_rng(seed)
    n = slide.n_spots
    x = rng.random((n, 3)).astype(np.float32)
    x[0, 1] = np.nan
    table = ad.AnnData(
        x,
        obs=pd.DataFrame({"top_similarity": rng.random(n)}, index=slide.spots.index),
        var=pd.DataFrame({"gene_ids": ["ENSG1", "ENSG2", ""]}, index=["PIBF1", "HLA-A", "x/y"]),
    )
    table.obs["umpire_class"] = pd.Categorical(["a", "b"] * (n // 2) + ["b"] * (n % 2))
    table.obsm["X_umpire"] = rng.random((n, 8)).astype(np.float32)
    table.layers["std"] = x / 2
    table.uns["umpire"] = {
        "model": "her2st",
        "k": 50,
        "mpp": 0.5,
        "genes": ["PIBF1", "HLA-A"],
        "provenance": {"torch": "2", "slide_digest": "ab"},
    }
    return table


def read(path: Path) -> spatialdata.SpatialData:
    with quiet_libraries():
        return spatialdata.read_zarr(path)


def assert_holds(result: WrittenResult, slide: Slide, table: ad.AnnData) -> None:
    """What is on disk is ``table``, row by row by spot id, and annotates the slide's shapes."""
    sdata = read(result.path)
    got = sdata.tables[result.element]
    assert list(got.obs_names) == list(table.obs_names)
    assert list(got.var_names) == list(table.var_names)
    np.testing.assert_array_equal(got.X, table.X)
    np.testing.assert_array_equal(got.layers["std"], table.layers["std"])
    np.testing.assert_array_equal(got.obsm["X_umpire"], table.obsm["X_umpire"])
    np.testing.assert_array_equal(got.obs["top_similarity"], table.obs["top_similarity"])
    assert list(got.obs["umpire_class"]) == list(table.obs["umpire_class"])
    assert got.uns["umpire"]["provenance"] == {"torch": "2", "slide_digest": "ab"}
    assert got.uns["umpire"]["k"] == 50
    assert [str(g) for g in got.uns["umpire"]["genes"]] == ["PIBF1", "HLA-A"]
    keys = got.uns["spatialdata_attrs"]
    region = keys["region"] if isinstance(keys["region"], str) else keys["region"][0]
    assert set(got.obs[keys["region_key"]]) == {region}
    circles = sdata.shapes[region].loc[got.obs[keys["instance_key"]]]
    # The row's spot id and the place of the circle it points to belong together.
    spots = slide.spots.loc[got.obs_names]
    np.testing.assert_allclose(circles.geometry.x, spots["x"], atol=1e-6)
    np.testing.assert_allclose(circles.geometry.y, spots["y"], atol=1e-6)


def fingerprints(store: Path) -> dict[str, str]:
    return {
        str(p.relative_to(store)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(store.rglob("*"))
        if p.is_file()
    }


def test_a_store_gets_a_new_table_and_nothing_else_changes(
    tmp_path: Path, synthetic: Slide
) -> None:
    store = write_slide(synthetic, tmp_path / "a.zarr")
    before = fingerprints(store)
    slide = open_slide(store)
    table = prediction_of(slide)
    result = write_results(slide, table, name="umpire_predicted")
    assert result == WrittenResult(store, "umpire_predicted")
    assert_holds(result, slide, table)
    after = fingerprints(store)
    changed = {k for k in before if after[k] != before[k]}
    assert changed <= {"zarr.json"}  # the consolidated metadata of the root
    assert all(k.startswith("tables/umpire_predicted/") for k in set(after) - set(before))
    assert "tables/umpire_predicted" in zarr.open_consolidated(store)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr"]
    # The caller's table is as it was, and the slide opens with its counts as before.
    assert list(table.obs) == ["top_similarity", "umpire_class"]
    again = open_slide(store)
    assert again.table == "table"
    assert (again.counts() != synthetic.counts()).nnz == 0


def test_a_taken_name_gets_a_number_whatever_its_case(tmp_path: Path, synthetic: Slide) -> None:
    slide = open_slide(write_slide(synthetic, tmp_path / "a.zarr"))
    tables = [prediction_of(slide, seed) for seed in range(4)]
    names = ["umpire_predicted", "umpire_predicted", "Umpire_Predicted", slide.region]
    written = [write_results(slide, t, name=n) for t, n in zip(tables, names, strict=True)]
    assert [w.element for w in written] == [
        "umpire_predicted",
        "umpire_predicted_2",
        "Umpire_Predicted_3",
        f"{slide.region}_2",
    ]
    for result, table in zip(written, tables, strict=True):
        assert_holds(result, slide, table)


def test_names_and_keys_become_legal(tmp_path: Path, synthetic: Slide) -> None:
    slide = open_slide(write_slide(synthetic, tmp_path / "a.zarr"))
    table = prediction_of(slide)
    table.obs["top similarity (cos)"] = 1.0
    table.obsm["X_my/model"] = table.obsm["X_umpire"]
    result = write_results(slide, table, name="PIBF1 (pred)")
    assert result.element == "PIBF1_pred_"
    assert_holds(result, slide, table)
    got = read(result.path).tables[result.element]
    assert "top_similarity__cos_" in got.obs
    assert {"X_umpire", "X_my_model"} <= set(got.obsm)


def test_some_rows_in_any_order(tmp_path: Path, synthetic: Slide) -> None:
    slide = open_slide(write_slide(synthetic, tmp_path / "a.zarr"))
    order = np.random.default_rng(0).permutation(slide.n_spots)[:5]
    table = prediction_of(slide)[order].copy()
    assert_holds(write_results(slide, table, name="some"), slide, table)


def test_the_slides_own_keys_are_used(tmp_path: Path, synthetic: Slide) -> None:
    """Other readers name the keys otherwise, and number spots as they like."""
    store = write_slide(synthetic, tmp_path / "a.zarr")
    sdata = read(store)
    circles, table = sdata.shapes[synthetic.region], sdata.tables["table"]
    circles.index = circles.index.to_numpy()[::-1] * 7 + 1000
    del table.uns["spatialdata_attrs"]
    table.obs = table.obs.drop(columns=["region", "spot_id"])
    table.obs["sample"] = pd.Categorical([synthetic.region] * table.n_obs)
    table.obs["number"] = circles.index.to_numpy()
    table = TableModel.parse(
        table, region=synthetic.region, region_key="sample", instance_key="number"
    )
    del sdata.tables["table"]
    sdata.tables["table"] = table
    other = tmp_path / "b.zarr"
    with quiet_libraries():
        sdata.write(other)
    slide = open_slide(other)
    result = write_results(slide, prediction_of(slide), name="r")
    got = read(other).tables["r"]
    assert got.uns["spatialdata_attrs"]["instance_key"] == "number"
    assert got.uns["spatialdata_attrs"]["region_key"] == "sample"
    assert_holds(result, slide, prediction_of(slide))


def test_a_zarr_v2_store_stays_one(tmp_path: Path, synthetic: Slide) -> None:
    from spatialdata._io.format import SpatialDataContainerFormatV01

    store = tmp_path / "v2.zarr"
    with quiet_libraries():
        read(write_slide(synthetic, tmp_path / "a.zarr")).write(
            store, sdata_formats=[SpatialDataContainerFormatV01()]
        )
    slide = open_slide(store)
    table = prediction_of(slide)
    assert_holds(write_results(slide, table, name="r"), slide, table)
    assert not list(store.rglob("zarr.json"))
    assert open_slide(store).table == "table"


def picture(tmp_path: Path, synthetic: Slide) -> Path:
    level = synthetic.pyramid.levels[0]
    path = tmp_path / "section 7.png"
    Image.fromarray(level.read(0, 0, *level.shape)).save(path, compress_level=1)
    return path


def test_an_image_gets_a_store_beside_it(tmp_path: Path, synthetic: Slide) -> None:
    slide = open_slide(picture(tmp_path, synthetic), mpp=1.0)
    table = prediction_of(slide)
    result = write_results(slide, table, name="umpire_predicted")
    assert result == WrittenResult(tmp_path / "section 7.zarr", "umpire_predicted")
    assert_holds(result, slide, table)
    again = open_slide(result.path)
    assert again.mpp == 1.0
    assert again.platform == "image"
    assert not again.has_counts
    np.testing.assert_allclose(again.yx, slide.yx)
    assert again.spots.index.equals(slide.spots.index)
    # A second result goes to the same store.
    second = write_results(slide, table, name="umpire_predicted")
    assert second == WrittenResult(result.path, "umpire_predicted_2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["section 7.png", "section 7.zarr"]


def test_a_store_that_is_anothers_is_left_alone(tmp_path: Path, synthetic: Slide) -> None:
    path = picture(tmp_path, synthetic)
    (tmp_path / "section 7.zarr").mkdir()
    write_slide(make_slide(3, rows=8, cols=7), tmp_path / "section 7_2.zarr")
    slide = open_slide(path, mpp=1.0)
    result = write_results(slide, prediction_of(slide), name="r")
    assert result.path == tmp_path / "section 7_3.zarr"
    assert list((tmp_path / "section 7.zarr").iterdir()) == []
    # Another scale gives other spots, so that store is not this slide's either.
    coarser = open_slide(path, mpp=1.2)
    assert write_results(coarser, prediction_of(coarser), name="r").path.name == "section 7_4.zarr"


def test_the_overview_is_small_and_lies_under_the_spots(tmp_path: Path) -> None:
    slide = make_slide(4, rows=26, cols=12)
    assert max(slide.pyramid.levels[0].shape) > 2000
    result = write_results(slide, prediction_of(slide), name="r", store=tmp_path / "x.zarr")
    again = open_slide(result.path)
    level = again.pyramid.levels[0]
    assert max(level.shape) <= 2000
    assert level.downsample == 2
    np.testing.assert_allclose(again.yx, slide.yx, atol=1e-6)
    np.testing.assert_array_equal(
        level.read(0, 0, *level.shape),
        slide.pyramid.levels[1].read(0, 0, *slide.pyramid.levels[1].shape),
    )
    # SpatialData itself places it: its transformation to "global" is the factor of two.
    sdata = read(result.path)
    from spatialdata.transformations import get_transformation

    (image,) = sdata.images.values()
    matrix = get_transformation(image).to_affine_matrix(("x", "y"), ("x", "y"))
    np.testing.assert_allclose(matrix, np.diag([2, 2, 1]))


def test_a_space_ranger_folder_gets_a_store_with_its_counts(
    tmp_path: Path, synthetic: Slide
) -> None:
    slide = open_slide(write_spaceranger(synthetic, tmp_path / "sample"))
    table = prediction_of(slide)
    result = write_results(slide, table, name="r")
    assert result.path == tmp_path / "sample.zarr"
    assert_holds(result, slide, table)
    again = open_slide(result.path)
    assert (again.counts() != slide.counts()).nnz == 0
    assert again.scale == slide.scale


def test_a_slide_in_memory_needs_a_place(tmp_path: Path, synthetic: Slide) -> None:
    with pytest.raises(InputError, match="store="):
        write_results(synthetic, prediction_of(synthetic), name="r")
    result = write_results(synthetic, prediction_of(synthetic), name="r", store=tmp_path / "m.zarr")
    assert_holds(result, synthetic, prediction_of(synthetic))
    again = write_results(synthetic, prediction_of(synthetic), name="r", store=tmp_path / "m.zarr")
    assert again.element == "r_2"


def test_two_runs_that_make_one_store_at_once_both_keep_their_result(
    tmp_path: Path, synthetic: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, insert = tmp_path / "a.zarr", results._insert
    tables = [prediction_of(synthetic, seed) for seed in (1, 2)]

    def other_run_is_faster(store: Path, table: ad.AnnData, name: str) -> str:
        monkeypatch.setattr(results, "_insert", insert)
        write_results(synthetic, tables[0], name="umpire", store=path)
        return insert(store, table, name)

    monkeypatch.setattr(results, "_insert", other_run_is_faster)
    mine = write_results(synthetic, tables[1], name="umpire", store=path)
    assert mine == WrittenResult(path, "umpire_2")
    assert_holds(mine, synthetic, tables[1])
    assert_holds(WrittenResult(path, "umpire"), synthetic, tables[0])
    assert list(tmp_path.iterdir()) == [path]


def test_another_slides_store_is_refused(tmp_path: Path, synthetic: Slide) -> None:
    store = write_slide(make_slide(3, rows=8, cols=7, name=synthetic.name), tmp_path / "o.zarr")
    before = fingerprints(store)
    with pytest.raises(InputError, match="does not hold the spots"):
        write_results(synthetic, prediction_of(synthetic), name="r", store=store)
    assert fingerprints(store) == before


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@pytest.mark.parametrize(
    ("rows", "problem"),
    [([0, 1, 1], "each spot once"), ([], "no rows"), (None, "no spots of")],
    ids=["twice", "none", "foreign"],
)
def test_rows_that_are_not_the_slides_are_refused(
    tmp_path: Path, synthetic: Slide, rows: list[int] | None, problem: str
) -> None:
    table = prediction_of(synthetic)
    if rows is None:
        table.obs_names = [f"other_{i}" for i in range(table.n_obs)]
    else:
        table = table[[0, 1, 2][: len(rows)]].copy()
        table.obs_names = table.obs_names[rows]
    with pytest.raises(InputError, match=problem):
        write_results(synthetic, table, name="r", store=tmp_path / "x.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["into a store", "beside an image"])
def test_a_full_disk_leaves_everything_as_it_was(
    tmp_path: Path, synthetic: Slide, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "into a store":
        slide = open_slide(write_slide(synthetic, tmp_path / "a.zarr"))
    else:
        slide = open_slide(picture(tmp_path, synthetic), mpp=1.0)
    before = fingerprints(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(results.os, "rename", full)
        with pytest.raises(InputError, match="No space left on device.*Free space"):
            write_results(slide, prediction_of(slide), name="r")
    assert fingerprints(tmp_path) == before
    assert open_slide(slide.path, mpp=1.0).n_spots == slide.n_spots


def test_a_folder_that_cannot_be_written_to_is_told(
    tmp_path: Path, synthetic: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = open_slide(picture(tmp_path, synthetic), mpp=1.0)

    def denied(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", denied)
    with pytest.raises(InputError, match="section 7.zarr.*Permission denied.*save elsewhere"):
        write_results(slide, prediction_of(slide), name="r")
    assert [p.name for p in tmp_path.iterdir()] == ["section 7.png"]


def test_a_killed_run_leaves_the_store_readable(
    tmp_path: Path, synthetic: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_slide(synthetic, tmp_path / "a.zarr")
    slide = open_slide(store)
    before = fingerprints(store)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(results, "_move", killed)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # no time to tidy up
        with pytest.raises(KeyboardInterrupt):
            write_results(slide, prediction_of(slide), name="r")
    assert fingerprints(store) == before
    result = write_results(open_slide(store), prediction_of(slide), name="r")
    assert result.element == "r"
    assert_holds(result, slide, prediction_of(slide))


@pytest.mark.parametrize("part", ["X", "obs", "obsm", "uns", "layers"])
def test_what_comes_back_otherwise_is_not_taken(
    tmp_path: Path, synthetic: Slide, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    store = write_slide(synthetic, tmp_path / "a.zarr")
    slide = open_slide(store)
    genuine = ad.read_zarr

    def bad_disk(path: Path) -> ad.AnnData:
        table = genuine(path)
        if part == "X":
            table.X[3, 2] += 1e-3
        elif part == "obs":
            table.obs.loc[table.obs_names[1], "top_similarity"] = -1.0
        elif part == "uns":
            table.uns["umpire"]["provenance"]["torch"] = "3"
        elif part == "obsm":
            table.obsm["X_umpire"] = table.obsm["X_umpire"][::-1]
        else:
            del table.layers["std"]
        return table

    monkeypatch.setattr(ad, "read_zarr", bad_disk)
    with pytest.raises(InputError, match=f"differs.*{part}"):
        write_results(slide, prediction_of(slide), name="r")
    assert not (store / "tables" / "r").exists()


def test_a_real_section(tmp_path: Path, her2st: Path) -> None:
    with pytest.warns(match="no counts"):
        slide = open_slide(her2st / "ST-cnts" / "C3.tsv.gz")
    table = prediction_of(slide)
    result = write_results(slide, table, name="r", store=tmp_path / "C3.zarr")
    assert_holds(result, slide, table)
    again = open_slide(result.path)
    assert again.platform == "st"
    assert again.mpp == slide.mpp
    assert (again.counts() != slide.counts()).nnz == 0


def test_sections_of_one_collection_do_not_share_a_store(tmp_path: Path, synthetic: Slide) -> None:
    folder = tmp_path / "her2st"
    folder.mkdir()
    for name in ("C3", "C4"):
        slide = replace(synthetic, name=name, path=folder, platform="st")
        result = write_results(slide, prediction_of(slide), name="r")
        assert result.path == tmp_path / f"her2st_{name}.zarr"
