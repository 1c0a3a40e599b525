"""Files of a paired set or a token corpus that were damaged, or are of another slide."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from napari_umpire.errors import InputError
from umpire_training.cli import main
from umpire_training.corpus.paired import PairedSet
from umpire_training.corpus.tokens import TokenCorpus

from ..conftest import QUICK


@pytest.fixture
def pairs(prepared, tmp_path):
    return shutil.copytree(prepared / "pairs", tmp_path / "pairs")


def folder(pairs, number=0):
    return sorted((pairs / "slides").iterdir())[number]


def change(path, edit):
    array = np.load(path)
    edit(array)
    np.save(path, array)


def shorter(path):
    np.save(path, np.load(path)[:-1])


@pytest.mark.parametrize("part", ["patches", "tokens", "expression_indptr", "measured"])
def test_a_part_with_another_number_of_rows_is_named_when_the_set_is_opened(pairs, part):
    shorter(folder(pairs) / f"{part}.npy")
    with pytest.raises(InputError, match=rf"{part}\.npy is damaged, or of another slide"):
        PairedSet.open(pairs)


def test_expression_of_another_slide_is_found(pairs):
    facts = json.loads((pairs / "pairs.json").read_text())
    counts = [slide["n_spots"] for slide in facts["slides"]]
    assert counts[0] != counts[1]
    for part in ("data", "indices", "indptr"):
        name = f"expression_{part}.npy"
        shutil.copy(folder(pairs, 1) / name, folder(pairs, 0) / name)
    with pytest.raises(InputError, match=rf"Got: {counts[1] + 1}.*Expected: {counts[0] + 1}"):
        PairedSet.open(pairs)


def test_a_table_of_other_spots_is_found(pairs):
    shutil.copy(folder(pairs, 1) / "spots.csv", folder(pairs, 0) / "spots.csv")
    with pytest.raises(InputError, match=r"spots\.csv is damaged, or of another slide"):
        PairedSet.open(pairs)
    (folder(pairs) / "spots.csv").write_text('a,"b\n')
    with pytest.raises(InputError, match=r"spots\.csv is missing or damaged"):
        PairedSet.open(pairs)


@pytest.mark.parametrize(
    ("part", "edit", "said"),
    [
        ("indices", lambda a: a.__setitem__(7, a[7] ^ (1 << 30)), "to 1.07"),
        ("indices", lambda a: a.__setitem__(7, -1), "values from -1"),
        ("indptr", lambda a: a.__setitem__(3, a[2] - 1), "numbers that fall"),
        ("indptr", lambda a: a.__setitem__(0, 1), "numbers that fall"),
        ("data", lambda a: a.__setitem__(5, np.nan), "values from nan"),
        ("data", lambda a: a.__setitem__(5, 1e30), "to 1e"),
    ],
)
def test_one_wrong_number_of_the_expression_is_a_sentence(pairs, part, edit, said):
    """With scipy alone the first of these ends the process."""
    change(folder(pairs) / f"expression_{part}.npy", edit)
    slide = PairedSet.open(pairs).slides[0]
    with pytest.raises(InputError, match=rf"expression_{part}\.npy is damaged.*{said}"):
        slide.expression()


def test_align_names_file_and_row_of_a_token_that_is_none(pairs, tmp_path, capsys):
    change(folder(pairs) / "tokens.npy", lambda a: a.__setitem__((4, 2), 60_000))
    argv = ["align", "--pairs", str(pairs), "--output", str(tmp_path / "run"), *QUICK]
    assert main([*argv, "--trainer.epochs", "1"]) == 2
    err = capsys.readouterr().err
    assert "tokens.npy is damaged. Got: token 60000 in row 4." in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_pretrain_names_file_and_row_of_a_token_that_is_none(prepared, tmp_path, capsys, workers):
    corpus = shutil.copytree(prepared / "corpus", tmp_path / "corpus")
    (shard,) = (corpus / "tokens").glob("*.npy")
    change(shard, lambda a: a.__setitem__((slice(11, None), 2), 60_000))
    argv = ["pretrain", "--corpus", str(corpus), "--output", str(tmp_path / "run"), *QUICK]
    argv += ["--encoder.dim", "8", "--encoder.heads", "1", "--encoder.layers", "1"]
    assert main([*argv, "--trainer.max_steps", "4", "--trainer.workers", workers]) == 2
    err = capsys.readouterr().err
    assert f"{shard.name} is damaged. Got: token 60000 in row" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("key", ["sources", "shards", "n_spots"])
def test_a_corpus_that_lacks_a_fact_is_damaged(prepared, tmp_path, key):
    corpus = shutil.copytree(prepared / "corpus", tmp_path / "corpus")
    facts = json.loads((corpus / "corpus.json").read_text())
    del facts[key]
    (corpus / "corpus.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=rf"corpus\.json is damaged.*no {key} in it"):
        TokenCorpus.open(corpus)


def test_a_paired_set_that_lacks_a_fact_is_damaged(pairs):
    facts = json.loads((pairs / "pairs.json").read_text())
    del facts["slides"]
    (pairs / "pairs.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"pairs\.json is damaged.*no slides in it"):
        PairedSet.open(pairs)
