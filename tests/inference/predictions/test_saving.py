"""A prediction saved, read back, and refused a place in words; repeated runs are the same bits."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import spatialdata as sd

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.inference.model import load_model
from napari_umpire.inference.predictions import saving
from napari_umpire.inference.predictions.record import RunRecord
from napari_umpire.inference.predictions.saving import save_steps
from napari_umpire.progress import run
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide


@pytest.fixture(scope="module")
def with_reference(model_folder, slides, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saving") / "tiny"
    shutil.copytree(model_folder, folder)
    run(load_model(folder, "cpu").build_reference(slides[1:], folder / "reference"))
    return folder


@pytest.fixture
def stored(slides, tmp_path):
    """A slide opened from a store of its own."""
    return open_slide(write_slide(slides[0], tmp_path / "stored" / "slide.zarr"))


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    (tmp_path / "stored").mkdir()


@pytest.fixture
def predicted(stored, with_reference):
    return run(load_model(with_reference, "cpu").predict(stored, k=9, batch_size=16))


def files(folder):
    return {p: p.stat().st_mtime_ns for p in Path(folder).rglob("*") if p.is_file()}


def test_table_classes_values_and_record(stored, predicted):
    codes = np.arange(stored.n_spots) % 3 - 1
    ratio = np.linspace(0, 1, stored.n_spots)
    labels = SpotLabels(
        "predicted tissue", codes, ("tumour", "stroma"), ("#ff0000", "#00aa00"), ratio
    )
    record = replace(predicted.record, genes=("ERBB2", "GNAS"), std=True, name="mine")
    steps = save_steps(
        stored, predicted, record, labels=[labels], columns={"top_similarity": ratio}
    )
    saved = run(steps)
    assert saved.store == stored.path
    table = sd.read_zarr(saved.store).tables[saved.element]
    assert saved.element == "mine"
    assert table.var["symbol"].tolist() == ["ERBB2", "GNAS"]
    np.testing.assert_array_equal(table.X[:, 1], predicted.gene_map("GNAS"))
    np.testing.assert_array_equal(table.layers["std"][:, 0], predicted.spread("ERBB2"))
    column = table.obs["predicted_tissue"]
    assert column.cat.categories.tolist() == ["tumour", "stroma"]
    np.testing.assert_array_equal(column.cat.codes, codes)
    assert list(table.uns["predicted_tissue_colors"]) == ["#ff0000", "#00aa00"]
    np.testing.assert_allclose(table.obs["predicted_tissue_probability"], ratio)
    # A name that the table has already is not overwritten.
    np.testing.assert_allclose(table.obs["top_similarity_2"], ratio)
    np.testing.assert_allclose(table.obs["top_similarity"], predicted.top_similarity)
    assert RunRecord.read(saved.record) == record
    assert RunRecord.from_dict(table.uns["umpire"]) == record
    assert saved.record.name == "slide.mine.yaml"


def test_the_shell_repeats_it_bit_for_bit_with_genes_and_spread(stored, predicted, tmp_path):
    from umpire_training.cli import main

    record = replace(predicted.record, genes=("ERBB2", "GNAS"), std=True, name="mine")
    saved = run(save_steps(stored, predicted, record))
    assert main(["predict", "--config", str(saved.record)]) == 0
    tables = sd.read_zarr(saved.store).tables
    assert tables["mine_2"].shape == (stored.n_spots, 2)
    np.testing.assert_array_equal(tables["mine"].X, tables["mine_2"].X)
    np.testing.assert_array_equal(tables["mine"].layers["std"], tables["mine_2"].layers["std"])
    again = RunRecord.read(saved.record.with_name("slide.mine_2.yaml"))
    when = {"created": "now", "mpp_source": "given back by the record"}
    assert replace(again, provenance=again.provenance | when) == replace(
        record, provenance=record.provenance | when
    )


def test_a_table_alone_as_a_file(stored, predicted, tmp_path):
    record = replace(predicted.record, genes=("ERBB2",))
    saved = run(save_steps(stored, predicted, record, store=tmp_path / "alone.h5ad"))
    table = ad.read_h5ad(tmp_path / "alone.h5ad")
    np.testing.assert_array_equal(table.X[:, 0], predicted.gene_map("ERBB2"))
    assert RunRecord.read(saved.record) == record
    with pytest.raises(InputError, match="already exists"):
        run(save_steps(stored, predicted, record, store=tmp_path / "alone.h5ad"))


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_another_program_made_meanwhile_is_kept(
    stored, predicted, tmp_path, monkeypatch, links
):
    path, read = tmp_path / "alone.h5ad", ad.read_h5ad

    def while_another_writes(part):
        path.write_text("theirs")
        return read(part)

    def no_links(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(ad, "read_h5ad", while_another_writes)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    record = replace(predicted.record, genes=("ERBB2",))
    with pytest.raises(InputError, match="alone.h5ad already exists"):
        run(save_steps(stored, predicted, record, store=path))
    assert path.read_text() == "theirs"
    assert [p.name for p in tmp_path.iterdir() if "alone" in p.name] == ["alone.h5ad"]


def test_a_table_is_written_to_a_disk_without_links(stored, predicted, tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    record = replace(predicted.record, genes=("ERBB2",))
    run(save_steps(stored, predicted, record, store=tmp_path / "alone.h5ad"))
    assert ad.read_h5ad(tmp_path / "alone.h5ad").n_vars == 1


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES], ids=["mount", "rights"])
def test_a_read_only_store_is_told_before_the_work(stored, predicted, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, "refused")

    before = files(stored.path.parent)
    monkeypatch.setattr(saving.tempfile, "TemporaryFile", refuse)
    steps = save_steps(stored, predicted, predicted.record)
    assert next(steps).stage == "Looking at the place"
    with pytest.raises(InputError, match=r"read-only.*Save it elsewhere"):
        next(steps)  # no gene was computed
    assert files(stored.path.parent) == before


def test_too_little_room_is_told_before_the_work(stored, predicted, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1_500_000))
    before = files(stored.path.parent)
    with pytest.raises(InputError, match=r"too little room.*Got: 2 MB free.*Expected: 3\d MB"):
        run(save_steps(stored, predicted, predicted.record))
    assert files(stored.path.parent) == before


def test_a_disk_that_fills_up_meanwhile_leaves_nothing_behind(stored, predicted, monkeypatch):
    import zarr.storage

    write = zarr.storage.LocalStore.set
    calls = []

    async def full(self, key, value, *args):
        calls.append(key)
        if len(calls) > 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        await write(self, key, value, *args)

    before = files(stored.path.parent)
    monkeypatch.setattr(zarr.storage.LocalStore, "set", full)
    with pytest.raises(InputError, match="No space left"):
        run(save_steps(stored, predicted, predicted.record))
    assert files(stored.path.parent) == before
    monkeypatch.undo()
    assert run(save_steps(stored, predicted, predicted.record)).element == "umpire"


def test_a_record_that_finds_no_room_leaves_nothing_behind(stored, predicted, monkeypatch):
    rename = os.rename

    def full(source, target):
        if str(target).endswith(".yaml"):
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    before = files(stored.path.parent)
    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(InputError, match="No space left on device"):
        run(save_steps(stored, predicted, predicted.record))
    assert files(stored.path.parent) == before


def test_a_store_that_another_program_changed(stored, predicted, tmp_path):
    record = replace(predicted.record, genes=("ERBB2",))
    (stored.path / "labels" / "Umpire").mkdir(parents=True)  # an element appeared: the next name
    assert run(save_steps(stored, predicted, record)).element == "umpire_2"
    shutil.rmtree(stored.path / "tables" / stored.table)  # the counts have gone
    with pytest.raises(InputError, match=r"changed by another program.*Save elsewhere"):
        run(save_steps(stored, predicted, record))
    shapes = stored.path / "shapes" / stored.region
    shutil.move(shapes, tmp_path / "shapes")
    with pytest.raises(InputError, match=r"has lost the spots.*Save elsewhere"):
        run(save_steps(stored, predicted, record))
    shutil.rmtree(stored.path)
    with pytest.raises(InputError, match=r"is gone since.*Save elsewhere"):
        run(save_steps(stored, predicted, record))
    assert not stored.path.exists()
    # Its values are still there to be kept.
    saved = run(save_steps(stored, predicted, record, store=tmp_path / "kept.h5ad"))
    np.testing.assert_array_equal(ad.read_h5ad(saved.store).X[:, 0], predicted.gene_map("ERBB2"))


def test_a_cancelled_save_leaves_nothing(stored, predicted):
    before = files(stored.path.parent)
    steps = save_steps(stored, predicted, predicted.record)
    while next(steps).stage != "Writing and reading back":
        pass
    steps.close()
    assert files(stored.path.parent) == before


def test_sizes_in_words():
    from napari_umpire.words import size_on_disk

    assert size_on_disk(999) == "999 bytes"
    assert size_on_disk(1_500_000) == "2 MB"
    assert size_on_disk(2_340_000_000) == "2.3 GB"
