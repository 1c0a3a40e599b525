"""Stores that lack something or that another program changes while they are open: one sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.cache import FeatureCache
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide, open_slides
from napari_umpire.slides.results import write_results
from napari_umpire.slides.synthetic import make_slide

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    slide = make_slide(1, rows=12, cols=9, mpp=2.0)
    return slide, write_slide(slide, tmp_path_factory.mktemp("stores") / "brain.zarr")


@pytest.fixture
def store(written, tmp_path):
    return Path(shutil.copytree(written[1], tmp_path / "brain.zarr"))


def image_of(store):
    (image,) = (p for p in (store / "images").iterdir() if p.is_dir())
    return image


def chunks_of(store):
    finest = sorted(p for p in image_of(store).iterdir() if p.is_dir())[0]
    return sorted(p for p in finest.rglob("*") if p.is_file() and p.name != "zarr.json")


def one_sentence(caught):
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def test_a_black_piece_is_written_so_that_a_lost_one_is_seen(tmp_path):
    from dataclasses import replace

    from napari_umpire.slides.pyramid import ArrayLevel, Pyramid

    slide = make_slide(1, rows=12, cols=9, mpp=2.0)
    pixels = np.zeros((700, 1100, 3), np.uint8)  # black all over but for one corner
    pixels[:40, :40] = 200
    slide = replace(slide, pyramid=Pyramid((ArrayLevel(pixels, 1.0),)))
    store = write_slide(slide, tmp_path / "black.zarr")
    level = open_slide(store).pyramid.levels[0]
    np.testing.assert_array_equal(level.read(0, 0, 700, 1100), pixels)
    chunks = chunks_of(store)
    assert len(chunks) == 2 * 3
    chunks[-1].unlink()
    with pytest.raises(InputError, match="is not whole. Got: 5 of 6 pieces") as caught:
        open_slide(store)
    assert "Copy the store again" in one_sentence(caught)


def test_pieces_that_go_while_the_slide_is_open_stop_the_next_run(store):
    slide = open_slide(store)
    slide.check_source()
    chunks_of(store)[0].unlink()
    with pytest.raises(InputError, match="changed by another program") as caught:
        slide.check_source()
    assert "Open the slide again" in one_sentence(caught)


@pytest.mark.parametrize("what", ["pixels", "spots", "counts"])
def test_what_is_written_again_is_noticed(store, what):
    slide = open_slide(store)
    files = {
        "pixels": lambda: chunks_of(store)[0],
        "spots": lambda: next((store / "shapes").rglob("*.parquet")),
        "counts": lambda: next((store / "tables").rglob("c/0")),
    }
    os.utime(files[what](), ns=(0, 2**62))
    with pytest.raises(InputError, match="files that were written again"):
        slide.check_source()


def test_our_own_results_are_no_change(store):
    slide = open_slide(store)
    table = slide.adata.copy()
    first = write_results(slide, table, name="umpire_test")
    again = write_results(slide, table, name="umpire_test")
    assert (first.element, again.element) == ("umpire_test", "umpire_test_2")
    slide.check_source()


def test_results_are_not_written_beside_spots_that_are_no_longer_those(store):
    slide = open_slide(store)
    table = slide.adata.copy()
    shutil.rmtree(store / "shapes" / slide.region)
    before = sorted(p.name for p in (store / "tables").iterdir())
    with pytest.raises(InputError, match="since it was opened"):
        write_results(slide, table, name="umpire_test")
    assert sorted(p.name for p in (store / "tables").iterdir()) == before
    assert not [p for p in store.parent.iterdir() if p != store]


def test_features_read_from_a_store_that_changed_meanwhile_are_not_kept(store, tmp_path):
    from types import SimpleNamespace

    from napari_umpire.inference.embed_slide import image_features
    from napari_umpire.slides.patches import PatchSpec

    slide = open_slide(store)
    model = SimpleNamespace(
        patch_spec=PatchSpec(112.0, 16),
        image_digest="x",
        device="cpu",
        bf16=False,
        module=SimpleNamespace(
            image_dim=3, encode_image=lambda batch: batch.float().mean(dim=(1, 2))
        ),
    )
    cache = FeatureCache(tmp_path / "features")
    steps = image_features(model, slide, 16, cache)
    for _ in range(3):
        next(steps)
    chunks_of(store)[-1].touch()
    with pytest.raises(InputError, match="changed by another program"):
        for _ in steps:
            pass
    (folder,) = cache.folder.iterdir()
    assert not np.load(folder / "rows.npy").any()


def test_spots_without_a_transform_are_refused(store):
    slide = open_slide(store)
    file = store / "shapes" / slide.region / "zarr.json"
    about = json.loads(file.read_text())
    about["attributes"].pop("coordinateTransformations")
    file.write_text(json.dumps(about))
    drop_consolidated(store)
    said = f"The shape {slide.region!r} of brain.zarr has no coordinate transformation"
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        open_slide(store)
    one_sentence(caught)


def test_an_image_without_a_transform_is_refused(store):
    file = image_of(store) / "zarr.json"
    about = json.loads(file.read_text())
    (scales,) = about["attributes"]["ome"]["multiscales"]
    scales.pop("coordinateTransformations", None)
    for scale in scales["datasets"]:
        scale.pop("coordinateTransformations")
    file.write_text(json.dumps(about))
    drop_consolidated(store)
    said = f"The image {image_of(store).name!r} of brain.zarr has no coordinate transformation"
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        open_slide(store)
    one_sentence(caught)


def test_another_element_of_the_name_of_the_spots_does_not_take_their_place(store):
    slide = open_slide(store)
    (store / "labels").mkdir(exist_ok=True)
    shutil.copytree(image_of(store), store / "labels" / slide.region)
    drop_consolidated(store)
    again = open_slide(store)
    np.testing.assert_array_equal(again.yx, slide.yx)
    np.testing.assert_array_equal(again.counts().toarray(), slide.counts().toarray())


def test_a_region_that_two_tables_call_their_own_is_told_which_one_is_used(store):
    slide = open_slide(store)
    shutil.copytree(store / "tables" / "table", store / "tables" / "table_copy")
    drop_consolidated(store)
    file = store / "zarr.json"
    about = json.loads(file.read_text())
    record = about["attributes"].pop("napari_umpire", None)
    assert record is not None
    file.write_text(json.dumps(about))
    with pytest.warns(UmpireWarning, match="Several tables hold counts .* 'table' is used"):
        (opened,) = open_slides(store)
    assert opened.table == "table"
    np.testing.assert_array_equal(opened.counts().toarray(), slide.counts().toarray())


def drop_consolidated(store):
    """As another program that edits a store leaves it."""
    file = store / "zarr.json"
    about = json.loads(file.read_text())
    about.pop("consolidated_metadata", None)
    file.write_text(json.dumps(about))
