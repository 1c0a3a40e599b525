"""Batches whose gradients add up to that of one large batch."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from umpire_training.cli import main

TINY = [
    "--encoder.dim", "16", "--encoder.heads", "2", "--encoder.feedforward", "32",
    "--encoder.layers", "1", "--trainer.accelerator", "cpu", "--trainer.max_steps", "7",
    "--trainer.round_steps", "3", "--trainer.log_every", "1", "--optim.lr", "0.3",
]  # fmt: skip
LARGE = ["--trainer.batch_size", "24"]
SMALL = ["--trainer.batch_size", "6", "--trainer.accumulate", "4"]


@pytest.fixture
def _sgd(monkeypatch):
    """AdamW would divide rounding errors by their own size."""
    from umpire_training.engine.installed import ready_lightning

    ready_lightning()
    from umpire_training.objectives import mlm

    monkeypatch.setattr(
        mlm, "make_optimizer", lambda parameters, total, o: torch.optim.SGD(parameters, lr=o.lr)
    )


def pretrain(prepared, out, *more):
    from safetensors.torch import load_file

    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY, *more]
    assert main(argv) == 0
    with (out / "metrics.csv").open() as file:
        losses = [
            (r["step"], float(r["train_loss"])) for r in csv.DictReader(file) if r["train_loss"]
        ]
    return load_file(out / "encoder" / "encoder.safetensors"), dict(losses)


@pytest.mark.usefixtures("_sgd")
@pytest.mark.parametrize("clip", [[], ["--optim.clip_norm", "0.01"]], ids=["free", "clipped"])
def test_small_batches_train_as_the_large_one(prepared, tmp_path, clip):
    large, losses = pretrain(prepared, tmp_path / "large", *LARGE, *clip)
    small, again = pretrain(prepared, tmp_path / "small", *SMALL, *clip)
    assert list(losses) == list(again) == [str(i + 1) for i in range(7)]
    for step, loss in losses.items():
        assert again[step] == pytest.approx(loss, abs=1e-5)
    for key in large:
        torch.testing.assert_close(small[key], large[key], atol=1e-6, rtol=0, msg=key)
    none = ["--optim.lr", "1e-12", "--optim.min_lr", "0"]
    start, _ = pretrain(prepared, tmp_path / "start", *LARGE, *none)
    assert max(float((large[k] - start[k]).abs().max()) for k in large) > 1e-4


def test_a_run_with_small_batches_resumes_bit_for_bit(prepared, tmp_path, monkeypatch):
    from umpire_training.objectives.mlm import MaskedTokens

    more = [*SMALL, "--encoder.dropout", "0.1", "--optim.lr", "1e-3"]
    whole, losses = pretrain(prepared, tmp_path / "whole", *more)
    step = MaskedTokens.training_step

    def killed(self, batch, batch_idx):
        if self.trainer.global_step == 4 and batch_idx % 4 == 2:  # in the middle of a step
            raise RuntimeError("power cut")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(MaskedTokens, "training_step", killed)
    with pytest.raises(RuntimeError, match="power cut"):
        pretrain(prepared, tmp_path / "cut", *more)
    monkeypatch.undo()
    cut, again = pretrain(prepared, tmp_path / "cut", *more, "--resume")
    assert all(torch.equal(whole[key], cut[key]) for key in whole)
    assert losses == again


def test_more_batches_than_spots_are_refused(prepared, tmp_path, capsys):
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(tmp_path / "run")]
    assert main([*argv, *TINY, "--trainer.accumulate", "5000"]) == 2
    assert "more batches than there are spots" in capsys.readouterr().err


def test_the_candidates_of_a_contrast_are_not_cut_into_batches(prepared, tmp_path, capsys):
    argv = ["align", "--pairs", str(prepared / "pairs"), "--output", str(tmp_path / "run")]
    assert main([*argv, "--trainer.epochs", "1", "--trainer.accumulate", "2"]) == 2
    err = capsys.readouterr().err
    assert "candidates" in err
    assert "contrast.chunk" in err
    in_context = ["--context.standardise", "--head_trainer.epochs", "1"]
    argv += ["--trainer.epochs", "1", *in_context, "--head_trainer.accumulate", "2"]
    assert main(argv) == 2
    assert "which head_trainer.accumulate would make small" in capsys.readouterr().err


def test_a_phase_that_there_is_not_needs_no_candidates():
    from umpire_training.options import AlignSettings, TrainerOptions
    from umpire_training.stages.align import check_settings

    for head in (TrainerOptions(accumulate=4), TrainerOptions(batch_size=1)):
        check_settings(AlignSettings(head_trainer=head))


def test_a_reconstruction_in_small_batches_trains_as_in_the_large_one(
    prepared, tmp_path, monkeypatch
):
    from safetensors.torch import load_file

    from umpire_training.engine.installed import ready_lightning

    ready_lightning()
    from umpire_training.objectives import alignment

    monkeypatch.setattr(
        alignment, "make_optimizer", lambda parameters, total, o: torch.optim.SGD(parameters, o.lr)
    )
    found = {}
    argv = ["align", "--pairs", str(prepared / "pairs"), "--contrast.weight", "0"]
    argv += ["--rec.weight", "1", "--rec.genes", "30", "--rec.hidden", "8", "--vision.kwargs"]
    argv += ["{widths: [4, 8]}", "--vision.train", "false", "--trainer.max_steps", "6"]
    argv += ["--trainer.accelerator", "cpu", "--optim.lr", "0.3"]
    for name, size in (("large", LARGE), ("small", SMALL), ("start", [*LARGE, "--optim.lr=1e-9"])):
        more = ["--optim.min_lr", "0", "--output", str(tmp_path / name), *size]
        assert main([*argv, *more]) == 0
        found[name] = load_file(tmp_path / name / "model" / "model.safetensors")
    decoder = [key for key in found["large"] if key.startswith("decoder.layers")]
    for key in decoder:
        torch.testing.assert_close(found["small"][key], found["large"][key], atol=1e-5, rtol=0)
    moved = max(float((found["large"][k] - found["start"][k]).abs().max()) for k in decoder)
    assert moved > 1e-3


def test_spots_of_like_length_resume_bit_for_bit(prepared, tmp_path, monkeypatch):
    from umpire_training.corpus.tokens import TokenCorpus
    from umpire_training.objectives.mlm import MaskedTokens

    corpus = TokenCorpus.open(prepared / "corpus")
    lengths = np.random.default_rng(0).integers(5, 48, len(corpus.tokens))
    # The synthetic spots all have more genes than the corpus keeps.
    monkeypatch.setattr(TokenCorpus, "n_tokens", lambda self: lengths)
    more = ["--trainer.batch_size", "8", "--length_buckets", "--optim.lr", "1e-3"]
    whole, losses = pretrain(prepared, tmp_path / "whole", *more)
    plain, _ = pretrain(prepared, tmp_path / "plain", *more, "--length_buckets", "false")
    assert not all(torch.equal(whole[key], plain[key]) for key in whole)
    step = MaskedTokens.training_step

    def killed(self, batch, batch_idx):
        if self.trainer.global_step == 4:
            raise RuntimeError("power cut")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(MaskedTokens, "training_step", killed)
        with pytest.raises(RuntimeError, match="power cut"):
            pretrain(prepared, tmp_path / "cut", *more)
    cut, again = pretrain(prepared, tmp_path / "cut", *more, "--resume")
    assert all(torch.equal(whole[key], cut[key]) for key in whole)
    assert losses == again
