from __future__ import annotations

import csv
import errno
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from umpire_training.cli import main

TINY = [
    "--encoder.dim", "16", "--encoder.heads", "2", "--encoder.feedforward", "32",
    "--encoder.layers", "1", "--encoder.dropout", "0.1", "--optim.lr", "5e-3",
    "--trainer.accelerator", "cpu", "--trainer.batch_size", "16", "--trainer.max_steps", "12",
    "--trainer.round_steps", "4",
]  # fmt: skip


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "encoder" / "encoder.safetensors")


def column(path, name):
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def test_pretraining_lowers_the_held_out_loss(pretrained):
    losses = column(pretrained / "metrics.csv", "val_loss")
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert losses[-1] < np.log(630)  # better than knowing nothing about 630 tokens
    right = column(pretrained / "metrics.csv", "val_accuracy")
    assert len(right) == 3
    assert f"held-out accuracy {right[-1]:.2%}" in (pretrained / "run.log").read_text()
    assert (pretrained / "tensorboard").is_dir()
    assert (pretrained / "checkpoints" / "last.ckpt").is_file()


def test_the_accuracy_is_that_of_all_masked_tokens_at_once(prepared, tmp_path):
    """Loss and accuracy of the last round, again, by the head at every position."""
    from napari_umpire.models.masking import mask_tokens
    from umpire_training.corpus.tokens import TokenCorpus
    from umpire_training.engine.plan import make_plan
    from umpire_training.options import TrainerOptions
    from umpire_training.stages.pretrain import GeneEncoder

    out = tmp_path / "run"
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY]
    argv += ["--mask.probability", "0.5"]
    assert main([*argv, "--trainer.batch_size", "8", "--trainer.val_fraction", "0.2"]) == 0
    corpus, model = TokenCorpus.open(prepared / "corpus"), GeneEncoder.open(out).module.eval()
    options = TrainerOptions(max_steps=12, round_steps=4, batch_size=8, val_fraction=0.2)
    held = make_plan(len(corpus.tokens), options, 0).held
    right, losses = [], []
    for number in range(len(held) // 8):
        tokens = torch.from_numpy(corpus.tokens.gather(held[8 * number :][:8], np.int64))
        masks = torch.Generator().manual_seed(-1 - number)
        masked = mask_tokens(tokens, model.config.n_tokens, 0.5, "exact", masks)
        with torch.no_grad():
            said = model.classifier_head(model.hidden(masked.tokens))
        here = masked.selected
        right += (said.argmax(dim=2)[here] == tokens[here]).tolist()
        losses.append(float(torch.nn.functional.cross_entropy(said[here], tokens[here])))
    assert len(losses) >= 3
    metrics = out / "metrics.csv"
    assert np.mean(right) > 0
    assert column(metrics, "val_accuracy")[-1] == pytest.approx(np.mean(right))
    assert column(metrics, "val_loss")[-1] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("val_fraction", ["0.1", "0"])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(
    prepared, tmp_path, monkeypatch, val_fraction
):
    from umpire_training.objectives.mlm import MaskedTokens

    argv = ["pretrain", "--corpus", str(prepared / "corpus"), *TINY]
    # Eleven steps: the last round is a short one.
    argv += ["--trainer.val_fraction", val_fraction, "--trainer.max_steps", "11"]
    assert main([*argv, "--output", str(tmp_path / "whole")]) == 0

    step = MaskedTokens.training_step

    def killed(self, batch, batch_idx):
        if self.trainer.global_step == 9:  # in the middle of the third round
            raise RuntimeError("power cut")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(MaskedTokens, "training_step", killed)
    with pytest.raises(RuntimeError, match="power cut"):
        main([*argv, "--output", str(tmp_path / "cut")])
    monkeypatch.undo()
    assert not (tmp_path / "cut" / "encoder").exists()
    assert main([*argv, "--output", str(tmp_path / "cut"), "--resume"]) == 0
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[key], cut[key]) for key in whole)
    assert column(tmp_path / "whole" / "metrics.csv", "step") == column(
        tmp_path / "cut" / "metrics.csv", "step"
    )


def test_a_checkpoint_cut_short_is_refused_in_words(prepared, tmp_path, capsys):
    out = tmp_path / "run"
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY]
    assert main(argv) == 0
    (out / "done.yaml").unlink()
    shutil.rmtree(out / "encoder")
    last = out / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()
    assert main([*argv, "--resume"]) == 2
    assert "last.ckpt is damaged" in capsys.readouterr().err
    last.unlink()
    assert main([*argv, "--resume"]) == 0


def test_a_checkpoint_is_written_beside_its_place_and_renamed(tmp_path, monkeypatch):
    from umpire_training.engine.callbacks import WholeCheckpoints

    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"step": 1}, path)

    def half(self, data):
        with self.open("wb") as file:
            file.write(bytes(data)[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(path), "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        WholeCheckpoints().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]


def test_nan_stops_with_a_sentence_and_keeps_the_last_checkpoint(
    prepared, tmp_path, monkeypatch, capsys
):
    from umpire_training.corpus.tokens import TokenCorpus
    from umpire_training.engine.sampler import split_rows
    from umpire_training.objectives.mlm import MaskedTokens

    step = MaskedTokens.training_step

    def diverges(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        return loss * float("nan") if self.trainer.global_step == 6 else loss

    monkeypatch.setattr(MaskedTokens, "training_step", diverges)
    out = tmp_path / "run"
    code = main(["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY])
    assert code == 1
    err = capsys.readouterr().err
    assert "The loss became nan at step 7, step 3 of round 2, on a batch of 16 (rows " in err
    assert "last.ckpt" in err
    log = (out / "run.log").read_text()
    rows = np.array(json.loads(re.search(r"rows of the batch: (\[.*\])", log)[1]))
    # An oracle of its own: the seventh batch of 16 rows in the order of seed 0, first pass or
    # second, as there are 107 training rows.
    corpus = TokenCorpus.open(prepared / "corpus")
    train = split_rows(len(corpus.tokens), 0.1, 0)[0]
    turn, place = divmod(6, len(train) // 16)
    order = train[np.random.default_rng([0, turn]).permutation(len(train))]
    np.testing.assert_array_equal(rows, order[place * 16 : place * 16 + 16])
    sources = corpus.spots(["source"])["source"].to_numpy()[rows]
    for name, n in zip(*np.unique(sources, return_counts=True), strict=True):
        assert f"{n} of {name}" in err
    assert not (out / "encoder").exists()
    state = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 4
    assert all(torch.isfinite(v).all() for v in state["state_dict"].values())


@pytest.mark.parametrize("val_fraction", ["0.1", "0"])
def test_weights_that_are_no_numbers_do_not_reach_a_checkpoint(
    prepared, tmp_path, monkeypatch, capsys, val_fraction
):
    from umpire_training.objectives.mlm import MaskedTokens

    def spoil(self, optimizer):
        if self.trainer.global_step == 7:  # the last step of the second round; its loss is fine
            self.encoder.classifier_head.bias.grad.fill_(float("inf"))

    monkeypatch.setattr(MaskedTokens, "on_before_optimizer_step", spoil)
    out = tmp_path / "run"
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY]
    assert main([*argv, "--trainer.val_fraction", val_fraction]) == 1
    err = capsys.readouterr().err
    assert "classifier_head.bias are no longer numbers after step 8, the end of round 2" in err
    state = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 4
    assert all(torch.isfinite(v).all() for v in state["state_dict"].values())


def test_a_full_disk_at_a_checkpoint_loses_nothing(prepared, tmp_path, monkeypatch, capsys):
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), *TINY]
    assert main([*argv, "--output", str(tmp_path / "whole")]) == 0
    out = tmp_path / "cut"
    kept = out / "checkpoints" / "last.ckpt"
    write = Path.write_bytes

    def full(self, data):
        if self.name.endswith("last.ckpt") and kept.is_file():
            write(self, bytes(data)[:1000])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    capsys.readouterr()
    assert main([*argv, "--output", str(out)]) == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert "start again with --resume to go on" in err
    assert torch.load(kept, weights_only=True)["global_step"] == 4
    assert sorted(p.name for p in kept.parent.iterdir()) == ["best.ckpt", "last.ckpt"]
    monkeypatch.undo()
    assert main([*argv, "--output", str(out), "--resume"]) == 0
    whole, cut = weights(tmp_path / "whole"), weights(out)
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


def test_another_recipe_is_not_resumed(prepared, tmp_path, capsys):
    out = tmp_path / "run"
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY]
    assert main(argv) == 0
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    capsys.readouterr()
    assert main([*argv, "--resume", "--optim.lr", "0.25", "--trainer.accumulate", "2"]) == 2
    err = capsys.readouterr().err
    assert "optim.lr was 0.005, is 0.25; trainer.accumulate was 1, is 2" in err
    assert main(argv) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--trainer.accelerator", "mps"], "cannot be set up on this computer"),
        (["--trainer.strategy", "fsdp"], "there is one"),
        (["--trainer.strategy", "fspd"], "Unknown trainer.strategy"),
        (["--trainer.precision", "bf16-mixd"], "trainer.precision cannot take this value"),
        (["--trainer.accumulate", "0"], "trainer.accumulate must be at least 1"),
    ],
)
def test_engines_that_cannot_run_are_refused_before_work(prepared, tmp_path, capsys, more, said):
    out = tmp_path / "run"
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY]
    assert main([*argv, *more]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert not out.exists()


def test_a_shard_cut_short_is_said_before_training(prepared, tmp_path, capsys):
    corpus = tmp_path / "corpus"
    shutil.copytree(prepared / "corpus", corpus)
    shard = next((corpus / "tokens").glob("*.npy"))
    shard.write_bytes(shard.read_bytes()[:-100])
    out = tmp_path / "run"
    assert main(["pretrain", "--corpus", str(corpus), "--output", str(out), *TINY]) == 2
    err = capsys.readouterr().err
    assert f"{shard.name} is damaged" in err
    assert "cut short" in err
    assert not out.exists()


def test_early_stopping_keeps_the_best_weights(prepared, tmp_path):
    out = tmp_path / "run"
    argv = ["pretrain", "--corpus", str(prepared / "corpus"), "--output", str(out), *TINY]
    # A rate this high makes the loss rise again.
    argv += ["--trainer.patience", "1", "--trainer.max_steps", "60", "--optim.lr", "0.5"]
    assert main(argv) == 0
    assert column(out / "metrics.csv", "step")[-1] < 60
    best = torch.load(out / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    kept = weights(out)
    assert all(torch.equal(best[f"encoder.{key}"], kept[key]) for key in kept)


def test_a_frozen_gene_encoder_is_the_pretrained_one(model_folder, pretrained):
    from napari_umpire.models.folder import load_model_folder

    loaded = load_model_folder(model_folder)
    before = weights(pretrained)
    after = loaded.model.spot_backbone.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert loaded.config.vision.size_px == 24
    assert loaded.config.tokens.length == 48
    card = (model_folder / "README.md").read_text()
    assert "synthetic_5, synthetic_6" in card
    assert "Research use only" in card
    assert "nothing else" not in card
    digest = hashlib.sha256((pretrained / "encoder" / "encoder.safetensors").read_bytes())
    assert f"pre-trained: run, digest {digest.hexdigest()}; frozen" in card


def align(prepared, out, *more):
    argv = ["align", "--pairs", str(prepared / "pairs"), "--output", str(out), "--dim", "16"]
    argv += ["--vision.kwargs", "{widths: [4, 8]}", "--trainer.accelerator", "cpu"]
    argv += ["--trainer.batch_size", "32", "--gene.kind", "mlp", "--gene.panel_genes", "60"]
    argv += ["--gene.hidden", "[16]", "--gene.features", "8"]
    return main([*argv, *more])


def test_two_phases_with_all_options_learn(prepared, tmp_path):
    from napari_umpire.models.folder import load_model_folder

    out = tmp_path / "run"
    code = align(
        prepared, out, "--trainer.epochs", "2", "--trainer.val_fraction", "0",
        "--context.standardise", "--context.neighbours", "6", "--target.kind", "soft",
        "--target.space", "expression", "--target.genes", "80", "--target.components", "5",
        "--rec.weight", "0.5", "--rec.genes", "40", "--rec.hidden", "8", "--augment.dihedral",
        "--augment.stain", "0.05", "--input_noise", "0.3", "--head_trainer.epochs", "25",
        "--head_trainer.accelerator", "cpu", "--head_trainer.batch_size", "32",
        "--head_trainer.log_every", "1", "--head_optim.lr", "5e-3",
    )  # fmt: skip
    assert code == 0
    losses = column(out / "metrics.csv", "train_loss")
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert (out / "encoder" / "checkpoints" / "last.ckpt").is_file()
    loaded = load_model_folder(out / "model")
    assert loaded.config.context.neighbours == 6
    assert loaded.model.visual_projection.in_features == 2 * loaded.model.image_dim
    panel = loaded.config.gene.mlp.panel
    assert len(panel) == 60
    assert loaded.model.spot_backbone.mean.shape == (60,)


def test_the_panel_and_its_statistics_come_from_the_training_spots(prepared):
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.stages.align_data import Columns, PairRows

    pairs = PairedSet.open(prepared / "pairs")
    data = PairRows(pairs)
    train = np.arange(0, len(data), 3)
    expression = [slide.expression() for slide in pairs.slides]
    columns = Columns.of(expression, np.array([3, 50, 7]), data.by_slide(train), data.measured)
    whole = np.vstack([e.toarray() for e in expression])[:, [3, 50, 7]]
    np.testing.assert_allclose(columns.mean, whole[train].mean(0), rtol=1e-5)
    np.testing.assert_allclose(columns.std, whole[train].std(0), rtol=1e-4)
    rows = np.array([len(data) - 1, 0, 5])
    np.testing.assert_allclose(columns.rows(*data.locate(rows)), whole[rows])
    patches = np.concatenate([slide.patches for slide in pairs.slides])
    np.testing.assert_array_equal(data[rows]["pixels"].numpy(), patches[rows])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--gene.kind", "visiumformer", "--gene.train", "false"], "frozen but not pre-trained"),
        (["--vision.train", "false", "--augment.dihedral"], "augmented but the image encoder"),
        (["--gene.train", "false"], "no pre-training to freeze"),
        (["--input_noise", "1"], "features of a frozen image encoder"),
        (["--trainer.epochs", "1", "--trainer.max_steps", "1"], "How long to train"),
        ([], "How long to train"),
        (["--trainer.epochs", "1", "--gene.panel_genes", "99999"], "Lower gene.panel_genes"),
        (["--trainer.epochs", "1", "--rec.weight", "1", "--rec.genes", "601"], "Lower rec.genes"),
        (["--trainer.epochs", "1", "--trainer.batch_size", "1"], "a batch of 1 has none"),
        (["--trainer.epochs", "1", "--vision.name", "umpire-smal"], "Unknown image encoder"),
        (["--trainer.epochs", "1", "--vision.kwargs", "{widths: []}"], "Impossible widths"),
        (["--trainer.epochs", "1", "--context.neighbours", "6"], "head_trainer.max_steps None"),
        (["--trainer.epochs", "1", "--context.standardise", "--head_trainer.epochs", "1",
          "--head_trainer.patience", "1", "--head_trainer.val_fraction", "0"],
         "Raise head_trainer.val_fraction"),
        (["--trainer.epochs", "1", "--trainer.patience", "1", "--trainer.val_fraction", "0"],
         "needs held-out spots"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_before_work(prepared, tmp_path, capsys, more, said):
    assert align(prepared, tmp_path / "run", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_vocabulary_is_refused(prepared, pretrained, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(pretrained / "encoder", other)
    lines = (other / "genes.csv").read_text().splitlines()
    (other / "genes.csv").write_text("\n".join([*lines[:-1], "ENSG9,X,1.5"]) + "\n")
    assert align(prepared, tmp_path / "a", "--gene.kind", "visiumformer", "--gene.pretrained",
                 str(other), "--trainer.epochs", "1") == 2  # fmt: skip
    assert "vocabulary of the gene encoder" in capsys.readouterr().err
