"""What lies in a run folder, or beside it, when a run goes on: changed, damaged or gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from umpire_training.cli import main

from ..conftest import QUICK


def align(pairs, encoder, out, *more):
    return main(
        ["align", "--pairs", str(pairs), "--output", str(out), *QUICK, *more]
        + ["--gene.pretrained", str(encoder), "--gene.train", "false", "--dim", "8"]
        + ["--vision.kwargs", "{widths: [4, 8]}", "--trainer.max_steps", "4"]
    )


@pytest.fixture(scope="module")
def aligned(prepared, pretrained, tmp_path_factory):
    """A paired set, a gene encoder and a run of align on them, all in one folder."""
    base = tmp_path_factory.mktemp("aligned")
    shutil.copytree(prepared / "pairs", base / "pairs")
    shutil.copytree(pretrained / "encoder", base / "encoder")
    assert align(base / "pairs", base / "encoder", base / "run") == 0
    return base


@pytest.fixture
def cut(aligned):
    """The same, killed before its model was written; afterwards whole again."""
    run = aligned / "run"
    kept = {p: p.read_bytes() for p in aligned.rglob("*") if p.is_file()}
    (run / "done.yaml").unlink()
    shutil.rmtree(run / "model")
    yield aligned
    for path, content in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def go_on(base):
    return align(base / "pairs", base / "encoder", base / "run", "--resume")


def test_other_pairs_at_the_same_place_are_refused(cut, capsys):
    place = cut / "pairs" / "pairs.json"
    facts = json.loads(place.read_text())
    facts["slides"][0]["digest"] = "0" * 16
    place.write_text(json.dumps(facts))
    assert go_on(cut) == 2
    err = capsys.readouterr().err
    assert f"The paired set {cut / 'pairs'} is not the one that the run" in err
    assert not (cut / "run" / "model").exists()


def test_another_gene_encoder_at_the_same_place_is_refused(cut, capsys):
    from safetensors.numpy import load_file, save_file

    place = cut / "encoder" / "encoder.safetensors"
    state = load_file(place)
    name = next(iter(state))
    state[name] = state[name] + np.float32(1)
    save_file(state, place)
    assert go_on(cut) == 2
    assert "The gene encoder" in capsys.readouterr().err


def test_a_finished_run_whose_model_is_gone_makes_it_again(aligned, capsys):
    weights = aligned / "run" / "model" / "model.safetensors"
    before = weights.read_bytes()
    shutil.rmtree(weights.parent)
    assert go_on(aligned) == 0
    assert "what it made is no longer there: model" in capsys.readouterr().err
    assert weights.read_bytes() == before
    assert go_on(aligned) == 0
    assert "finished already" in capsys.readouterr().err


@pytest.mark.parametrize("where", [60, 0.5])
def test_a_checkpoint_with_other_bytes_is_refused_in_words(cut, capsys, where):
    last = cut / "run" / "checkpoints" / "last.ckpt"
    data = bytearray(last.read_bytes())
    start = where if isinstance(where, int) else int(where * len(data))
    data[start : start + 2000] = bytes(2000)
    last.write_bytes(data)
    assert go_on(cut) == 2
    assert "last.ckpt is damaged" in capsys.readouterr().err


def test_a_checkpoint_of_code_is_refused_and_not_run(cut, capsys, tmp_path):
    import torch

    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return Path.touch, (ran,)

    torch.save({"state_dict": Payload()}, cut / "run" / "checkpoints" / "last.ckpt")
    assert go_on(cut) == 2
    err = capsys.readouterr().err
    assert "last.ckpt cannot be read" in err
    assert "weights_only" not in err
    assert not ran.exists()


@pytest.mark.parametrize("text", [": [", "", "- a\n"])
def test_options_that_cannot_be_read_are_a_sentence(cut, capsys, text):
    (cut / "run" / "config.yaml").write_text(text)
    assert go_on(cut) == 2
    assert "config.yaml is damaged" in capsys.readouterr().err


def test_what_makes_a_gene_encoder_is_named(prepared, tmp_path, capsys):
    assert align(prepared / "pairs", tmp_path / "none", tmp_path / "run") == 2
    assert "Make one with: umpire-train pretrain" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_early_stopping_needs_its_best_checkpoint(prepared, tmp_path, capsys):
    out = tmp_path / "run"
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *QUICK]
    argv += ["--encoder.dim", "8", "--encoder.heads", "1", "--encoder.feedforward", "8"]
    argv += ["--encoder.layers", "1", "--trainer.max_steps", "2", "--trainer.patience", "5"]
    assert main(argv) == 0
    (out / "done.yaml").unlink()
    shutil.rmtree(out / "encoder")
    (out / "checkpoints" / "best.ckpt").unlink()
    capsys.readouterr()
    assert main([*argv, "--resume"]) == 2
    assert "best.ckpt is missing" in capsys.readouterr().err
    shutil.rmtree(out / "checkpoints")
    assert main([*argv, "--resume"]) == 0
