"""Full disks, kills and runs at the same time: no store is harmed, no result is half."""

from __future__ import annotations

import errno
from dataclasses import replace
from shutil import rmtree
from typing import TYPE_CHECKING

import anndata as ad
import pytest
from PIL import Image

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides import results, store_listing
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.results import WrittenResult, write_results

from .written import assert_holds, fingerprints, picture, prediction_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.slides.slide import Slide


def test_two_runs_that_make_one_store_at_once_both_keep_their_result(
    tmp_path: Path, synthetic: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, insert = tmp_path / "a.zarr", results._insert
    tables = [prediction_of(synthetic, seed) for seed in (1, 2)]

    def other_run_is_faster(
        store: Path, table: ad.AnnData, name: str, record: str | None
    ) -> WrittenResult:
        monkeypatch.setattr(results, "_insert", insert)
        write_results(synthetic, tables[0], name="umpire", store=path)
        return insert(store, table, name, record)

    monkeypatch.setattr(results, "_insert", other_run_is_faster)
    mine = write_results(synthetic, tables[1], name="umpire", store=path)
    assert mine == WrittenResult(path, "umpire_2")
    assert_holds(mine, synthetic, tables[1])
    assert_holds(WrittenResult(path, "umpire"), synthetic, tables[0])
    assert list(tmp_path.iterdir()) == [path]


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_result_are_never_written(
    tmp_path: Path, synthetic: Slide, value: float
) -> None:
    slide = open_slide(write_slide(synthetic, tmp_path / "a.zarr"))
    before = fingerprints(tmp_path)
    table = prediction_of(slide)
    if value == float("inf"):
        table.X[1, 2] = value
        said = f"infinite value for x/y at {slide.spots.index[1]}"
    else:
        table.X[:] = value
        said = "holds no number.*all NaN"
    with pytest.raises(InputError, match=said):
        write_results(slide, table, name="r")
    assert fingerprints(tmp_path) == before


def test_a_root_that_turned_to_garbage_is_told_and_nothing_is_written(
    tmp_path: Path, synthetic: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_slide(synthetic, tmp_path / "a.zarr")
    slide = open_slide(store)
    verify = results._verify

    def then_spoil(table: ad.AnnData, written: Path) -> None:
        verify(table, written)
        (store / "zarr.json").write_text("{")

    before = fingerprints(tmp_path)
    monkeypatch.setattr(results, "_verify", then_spoil)
    with pytest.raises(InputError, match=r"The store a.zarr cannot be read.*Got: "):
        write_results(slide, prediction_of(slide), name="r", record="k: 1\n")
    after = fingerprints(tmp_path)
    assert {k for k in after if after[k] != before.get(k)} == {"a.zarr/zarr.json"}


def test_a_result_that_cannot_be_listed_is_told_and_the_store_opens(
    tmp_path: Path, synthetic: Slide
) -> None:
    store = write_slide(synthetic, tmp_path / "a.zarr")
    root = (store / "zarr.json").read_text()
    written = write_results(open_slide(store), prediction_of(synthetic), name="r")
    (store / "zarr.json").write_text(root)  # as a run that was killed before it leaves it
    about = store / "tables" / written.element / "obs" / "zarr.json"
    about.write_text("{")
    with pytest.warns(UmpireWarning, match=r"A result stays unlisted: The store a.zarr cannot"):
        slide = open_slide(store)
    assert slide.n_spots == synthetic.n_spots
    assert (store / "zarr.json").read_text() == root


def test_a_fault_of_the_program_is_not_taken_for_a_damaged_store(
    tmp_path: Path, synthetic: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = open_slide(write_slide(synthetic, tmp_path / "a.zarr"))

    def wrong(*_: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(store_listing, "_copy_described", wrong)
    with pytest.raises(TypeError, match="a bug"):
        write_results(slide, prediction_of(slide), name="r")


def test_a_store_without_tables_gets_them_with_their_first(
    tmp_path: Path, synthetic: Slide
) -> None:
    store = write_slide(replace(synthetic, table=None), tmp_path / "a.zarr")
    for name in ("tables", "labels", "points"):
        rmtree(store / name, ignore_errors=True)
    slide = open_slide(store)
    result = write_results(slide, prediction_of(slide), name="r", record="k: 1\n")
    assert_holds(result, slide, prediction_of(slide))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.r.yaml", "a.zarr"]


@pytest.mark.parametrize("letters", [247, 251])
def test_a_name_of_the_greatest_length_has_a_store_and_a_record(
    tmp_path: Path, synthetic: Slide, letters: int
) -> None:
    level = synthetic.pyramid.levels[0]
    path = tmp_path / ("n" * letters + ".png")
    Image.fromarray(level.read(0, 0, *level.shape)).save(path, compress_level=1)
    slide = open_slide(path, mpp=1.0)
    first = write_results(slide, prediction_of(slide), name="r", record="k: 1\n")
    second = write_results(slide, prediction_of(slide), name="r", record="k: 1\n")
    assert (first.path, first.element, second.element) == (second.path, "r", "r_2")
    assert len({first.record, second.record}) == 2
    assert len(list(tmp_path.iterdir())) == 4
