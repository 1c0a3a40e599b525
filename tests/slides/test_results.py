"""A result in a store that is there: new, complete, and nothing else changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import zarr
from spatialdata.models import TableModel

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.elements import quiet_libraries
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.results import WrittenResult, write_results
from napari_umpire.slides.synthetic import make_slide

from .written import assert_holds, fingerprints, prediction_of, read

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.slides.slide import Slide


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
    with pytest.warns(UmpireWarning, match="ignored, because the spots have been changed since"):
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
