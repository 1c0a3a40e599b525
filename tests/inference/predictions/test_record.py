from __future__ import annotations

import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.predictions.record import RunRecord, provenance


@pytest.fixture
def record():
    return RunRecord(
        slide="/data/C3.tsv.gz",
        model="org/name",
        k=30,
        weighting="similarity",
        mpp=0.1 + 0.2,
        seed=7,
        genes=("ERBB2", "NaN"),
        std=True,
        name="mine",
        provenance=provenance(model_digest="aa", slide_digest="bb", reference_digest=None),
    )


def test_yaml_round_trip_keeps_every_digit(record):
    assert RunRecord.from_yaml(record.to_yaml()) == record


def test_the_keys_are_flat_options_and_a_provenance(record):
    import yaml

    said = yaml.safe_load(record.to_yaml())
    assert said["k"] == 30
    assert said["weighting"] == "similarity"
    assert set(said) == {
        "slide", "model", "method", "k", "weighting", "mpp", "device", "batch_size", "seed",
        "genes", "std", "name", "provenance",
    }  # fmt: skip
    assert said["provenance"]["model_digest"] == "aa"
    assert "reference_digest" not in said["provenance"]
    assert {"created", "python", "napari_umpire", "torch"} <= set(said["provenance"])


def test_files(record, tmp_path):
    path = record.write(tmp_path / "run.yaml")
    assert RunRecord.read(path) == record
    with pytest.raises(InputError, match="already exists"):
        record.write(path)
    with pytest.raises(InputError, match="cannot be read"):
        RunRecord.read(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide: a\nmodel: b\nkk: 3", r"unknown keys \['kk'\]"),
        ("slide: a", r"missing keys \['model'\]"),
        ("slide: a\nmodel: b\nk: many", "k cannot be this.*whole number"),
        ("slide: a\nmodel: b\nk: true", "k cannot be this"),
        ("slide: a\nmodel: b\nmpp: .nan", "mpp cannot be this"),
        ("slide: a\nmodel: b\ngenes: ERBB2", "genes cannot be this.*list of names"),
        ("slide: a\nmodel: b\nweighting: mean", "softmax or similarity"),
        ("slide: a\nmodel: b\nmethod: auto", "retrieval or decoder"),
        ("slide: a\nmodel: b\nprovenance: [1]", "provenance cannot be this"),
        ("- 1", "not a mapping"),
        ("a: [", "not a YAML file"),
        ("!!python/object/apply:os.system ['true']", "not a YAML file"),
    ],
    ids=[
        "unknown",
        "missing",
        "k",
        "k bool",
        "mpp",
        "genes",
        "weighting",
        "method",
        "provenance",
        "list",
        "broken",
        "code",
    ],  # fmt: skip
)
def test_what_is_no_record_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        RunRecord.from_yaml(text)


def test_a_changed_model_is_an_error_or_a_warning(record):
    record.check(model_digest="aa", slide_digest="bb", reference_digest="new")
    with pytest.raises(InputError, match="model was aa and is cc"):
        record.check(model_digest="cc")
    with pytest.warns(UmpireWarning, match="slide was bb and is dd"):
        record.check(strict=False, slide_digest="dd")


def test_a_record_of_an_earlier_version_is_read():
    old = "slide: a\nmodel: b\nk: 5\nseed: 0\nprovenance: {model_digest: aa}\n"
    record = RunRecord.from_yaml(old)
    assert (record.genes, record.std, record.name) == ((), False, "umpire")
    assert record.method == "retrieval"
    assert "genes" not in record.to_dict()


def test_the_record_of_a_decoder_speaks_of_no_references():
    record = RunRecord("a", "b", method="decoder", genes=("ERBB2",))
    assert not {"k", "weighting", "reference"} & set(record.to_dict())
    assert RunRecord.from_yaml(record.to_yaml()) == record


def test_a_record_comes_back_from_a_table_in_a_store(record, tmp_path):
    import anndata as ad
    import numpy as np

    table = ad.AnnData(np.zeros((2, 1), np.float32), uns={"umpire": record.to_dict()})
    table.write_h5ad(tmp_path / "t.h5ad")
    assert RunRecord.from_dict(ad.read_h5ad(tmp_path / "t.h5ad").uns["umpire"]) == record
