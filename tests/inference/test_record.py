from __future__ import annotations

import pytest

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.record import RunRecord, provenance


@pytest.fixture
def record():
    return RunRecord(
        slide="/data/C3.tsv.gz",
        model="org/name",
        k=30,
        weighting="similarity",
        mpp=0.1 + 0.2,
        seed=7,
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
        "slide", "model", "k", "weighting", "mpp", "device", "batch_size", "seed", "provenance"
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
        ("- 1", "not a mapping"),
        ("a: [", "not readable YAML"),
        ("!!python/object/apply:os.system ['true']", "not readable YAML"),
    ],
    ids=["unknown", "missing", "list", "broken", "code"],
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
