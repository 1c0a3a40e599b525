"""Fine-tuning: what is trained, what stays, from where it starts, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from umpire_training.cli import main

QUICK = [
    "--trainer.accelerator", "cpu", "--trainer.batch_size", "32", "--trainer.progress_bar", "false",
]  # fmt: skip
HEADS = [option.replace("--trainer", "--head_trainer") for option in QUICK]


def finetune(prepared, model, out, *more):
    argv = ["finetune", "--model", str(model), "--pairs", str(prepared / "pairs")]
    return main([*argv, "--output", str(out), *QUICK, *more])


def weights(model):
    from safetensors.torch import load_file

    return load_file(model / "model.safetensors")


def column(path, name):
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


@pytest.fixture(scope="module")
def context_model(prepared, tmp_path_factory):
    """A model whose image features stand in the context of their slide."""
    from napari_umpire.models.context import ContextConfig
    from napari_umpire.models.folder import save_model
    from napari_umpire.models.gene_mlp import GeneMLPConfig
    from napari_umpire.models.umpire import GeneConfig, Umpire, UmpireConfig
    from napari_umpire.models.vision_config import VisionConfig
    from umpire_training.corpus.paired import PairedSet

    pairs = PairedSet.open(prepared / "pairs")
    patches = pairs.facts["patches"]
    panel = tuple(str(i) for i in pairs.vocabulary.ids[5:45])
    torch.manual_seed(3)
    model = Umpire(
        UmpireConfig(
            gene=GeneConfig(
                kind="mlp", mlp=GeneMLPConfig(n_genes=40, hidden=(8,), dim=8, panel=panel)
            ),
            vision=VisionConfig(
                "umpire-small",
                patches["size_px"],
                patches["field_um"],
                kwargs={"widths": (4, 8), "norm": "batch"},
            ),
            dim=16,
            context=ContextConfig(neighbours=4, standardise=True),
        )
    )
    folder = tmp_path_factory.mktemp("context") / "model"
    return save_model(folder, model, pairs.vocabulary)


def changed(base, folder, what):
    before, after = weights(base), weights(folder)
    return {
        name
        for name, tensor in before.items()
        if name.startswith(what) and not torch.equal(tensor, after[name])
    }


def test_an_adapter_leaves_the_encoders_alone(prepared, model_folder, tmp_path):
    from napari_umpire.models.folder import load_model_folder, model_digest

    out = tmp_path / "run"
    code = finetune(
        prepared, model_folder, out, "--mode", "adapter", "--trainer.epochs", "8",
        "--optim.lr", "5e-3", "--trainer.log_every", "1", "--description", "For my tissue.",
    )  # fmt: skip
    assert code == 0
    assert not changed(model_folder, out / "model", ("visual_backbone", "spot_backbone"))
    assert not changed(model_folder, out / "model", "logit_scale")
    assert changed(model_folder, out / "model", "visual_projection")
    losses = column(out / "metrics.csv", "val_loss")
    assert losses[-1] < losses[0]
    loaded = load_model_folder(out / "model")
    assert loaded.config.adapter
    assert not load_model_folder(model_folder).config.adapter
    card = (out / "model" / "README.md").read_text()
    assert model_digest(model_folder) in card
    assert "For my tissue." in card
    assert "synthetic_5, synthetic_6" in card


@pytest.mark.parametrize("train_gene", ["true", "false"])
def test_full_trains_everything_or_all_but_the_gene_encoder(
    prepared, model_folder, tmp_path, train_gene
):
    out = tmp_path / "run"
    code = finetune(
        prepared, model_folder, out, "--train_gene", train_gene, "--trainer.epochs", "1",
        "--trainer.patience", "null",
    )  # fmt: skip
    assert code == 0
    for part in ("visual_backbone", "visual_projection", "spot_projection", "logit_scale"):
        assert changed(model_folder, out / "model", part), part
    assert bool(changed(model_folder, out / "model", "spot_backbone")) == (train_gene == "true")
    assert weights(model_folder).keys() == weights(out / "model").keys()


def test_it_starts_from_the_model_with_its_temperature(prepared, model_folder, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(model_folder, base)
    state = weights(base)
    from safetensors.torch import save_file

    state["logit_scale"] = torch.tensor(1.25)  # not what an alignment begins with
    save_file(state, base / "model.safetensors")
    code = finetune(
        prepared, base, tmp_path / "run", "--trainer.epochs", "null", "--trainer.max_steps", "2",
        "--trainer.patience", "null", "--optim.lr", "1e-9", "--optim.min_lr", "0",
        "--optim.weight_decay", "0",
    )  # fmt: skip
    assert code == 0
    after = weights(tmp_path / "run" / "model")
    for name, tensor in state.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=0)


def test_an_adapter_of_a_model_that_has_one_goes_on_from_it(prepared, model_folder, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    quick = ("--mode", "adapter", "--trainer.epochs", "1", "--trainer.patience", "null")
    assert finetune(prepared, model_folder, first, *quick) == 0
    code = finetune(
        prepared, first / "model", second, *quick, "--optim.lr", "1e-9",
        "--optim.min_lr", "0", "--optim.weight_decay", "0",
    )  # fmt: skip
    assert code == 0
    torch.testing.assert_close(
        weights(second / "model"), weights(first / "model"), atol=1e-6, rtol=0
    )


CONTEXT = [
    "--trainer.epochs", "3", "--trainer.patience", "1", "--head_trainer.epochs", "3",
    "--trainer.log_every", "1", "--optim.lr", "1e-2", *HEADS,
]  # fmt: skip


def test_a_model_with_context_is_tuned_in_two_phases_and_resumes(
    prepared, context_model, tmp_path, monkeypatch
):
    from umpire_training.engine.installed import ready_lightning

    ready_lightning()
    from umpire_training.objectives.alignment import Alignment

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert finetune(prepared, context_model, whole, *CONTEXT) == 0
    for part in ("visual_backbone", "spot_backbone", "visual_projection", "logit_scale"):
        assert changed(context_model, whole / "model", part), part

    step = Alignment.training_step
    for phase in ("encoder", "heads"):

        def killed(self, batch, batch_idx, phase=phase):
            second = "image_features" in batch
            if second == (phase == "heads") and self.trainer.global_step == 4:
                raise RuntimeError("power cut")
            return step(self, batch, batch_idx)

        monkeypatch.setattr(Alignment, "training_step", killed)
        more = ["--resume"] if cut.exists() else []
        with pytest.raises(RuntimeError, match="power cut"):
            finetune(prepared, context_model, cut, *CONTEXT, *more)
        monkeypatch.undo()
    assert not (cut / "model").exists()
    assert finetune(prepared, context_model, cut, *CONTEXT, "--resume") == 0
    a, b = weights(whole / "model"), weights(cut / "model")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_second_phase_is_looked_at_before_the_first(prepared, context_model, tmp_path, capsys):
    argv = [*CONTEXT, "--head_trainer.max_steps", "3"]
    assert finetune(prepared, context_model, tmp_path / "run", *argv) == 2
    assert "head_trainer.max_steps 3, head_trainer.epochs 3" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_adapter_on_a_model_with_context(prepared, context_model, tmp_path):
    quick = ("--mode", "adapter", "--trainer.epochs", "2", "--input_noise", "0.3")
    assert finetune(prepared, context_model, tmp_path / "run", *quick) == 0
    assert not changed(context_model, tmp_path / "run" / "model", ("visual_back", "spot_back"))


@pytest.mark.parametrize("name", ["umpire-small", "umpire-hybrid"])
def test_the_first_phase_starts_as_a_spot_without_neighbours(name):
    from napari_umpire.models.context import ContextConfig, slide_context
    from napari_umpire.models.gene_mlp import GeneMLPConfig
    from napari_umpire.models.umpire import GeneConfig, Umpire, UmpireConfig
    from napari_umpire.models.vision_config import VisionConfig
    from umpire_training.stages.phases import lone_patches

    torch.manual_seed(0)
    model = Umpire(
        UmpireConfig(
            gene=GeneConfig(kind="mlp", mlp=GeneMLPConfig(n_genes=6, hidden=(4,), dim=4)),
            vision=VisionConfig(name, 32, kwargs={"widths": (8, 8)}),
            dim=8,
            context=ContextConfig(neighbours=2),
        )
    ).eval()
    lone = lone_patches(model, from_own=True).eval()
    pixels = torch.randint(0, 255, (5, 3, 32, 32), dtype=torch.uint8)
    features = model.encode_image(pixels)
    features[:, : model.image_dim - lone.image_dim] = 0  # of the fixed part
    alone = slide_context(features, torch.full((5, 2), -1))
    torch.testing.assert_close(
        lone.project_image(lone.encode_image(pixels)), model.project_image(alone)
    )


def edited(model_folder, to, change):
    """A copy of the model with another configuration."""
    shutil.copytree(model_folder, to)
    config = json.loads((to / "config.json").read_text())
    change(config)
    (to / "config.json").write_text(json.dumps(config))
    return to


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["vision"].update(field_um=55.0), "--patches.field_um 55.0"),
        (lambda c: c["vision"].update(white_balance=True), "--patches.white_balance true"),
        (lambda c: c["tokens"].update(length=40), "tokens.length 40"),
        (lambda c: c["tokens"].update(rounding="published"), "--tokens.rounding published"),
    ],
)
def test_a_paired_set_made_for_another_model_is_refused(
    prepared, model_folder, tmp_path, capsys, change, said
):
    model = edited(model_folder, tmp_path / "model", change)
    assert finetune(prepared, model, tmp_path / "run") == 2
    err = capsys.readouterr().err
    assert "not prepared for the model" in err
    assert said in err
    assert not (tmp_path / "run").exists()


def test_another_vocabulary_is_refused(prepared, model_folder, tmp_path, capsys):
    model = edited(model_folder, tmp_path / "model", lambda config: None)
    lines = (model / "genes.csv").read_text().splitlines()
    (model / "genes.csv").write_text("\n".join([*lines[:-1], "ENSG9,X,1.5"]) + "\n")
    assert finetune(prepared, model, tmp_path / "run") == 2
    err = capsys.readouterr().err
    assert f"--vocabulary.path {model}" in err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--mode", "adapter", "--augment.dihedral"], "the image encoder is frozen"),
        (["--rec.weight", "1"], "rec.weight"),
        (["--contrast.kind", "margin", "--target.kind", "soft"], "not soft targets"),
        (["--contrast.chunk", "0"], "contrast.chunk must be at least 1"),
        (["--input_noise", "1"], "features of a frozen image encoder"),
        (["--trainer.val_fraction", "0"], "needs held-out spots"),
        (["--model", "nowhere"], "does not exist"),
    ],
)
def test_contradictions_are_refused_before_work(
    prepared, model_folder, tmp_path, capsys, more, said
):
    assert finetune(prepared, model_folder, tmp_path / "run", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_model_of_which_a_part_would_no_longer_fit_is_refused(model_folder):
    from napari_umpire.errors import InputError
    from napari_umpire.models.decoder import DecoderConfig
    from napari_umpire.models.folder import load_model_folder
    from umpire_training.options import FinetuneSettings
    from umpire_training.stages.finetune_checks import require_trainable

    config = load_model_folder(model_folder).config
    full, adapter = FinetuneSettings(), FinetuneSettings(mode="adapter")
    fixed = replace(config, gene=replace(config.gene, standardise=True))
    require_trainable(fixed, adapter, "x")
    require_trainable(fixed, FinetuneSettings(train_gene=False), "x")
    with pytest.raises(InputError, match="z-scores the gene features"):
        require_trainable(fixed, full, "x")
    decoder = replace(config, decoder=DecoderConfig(("A",)))
    require_trainable(decoder, adapter, "x")
    with pytest.raises(InputError, match="The decoder of the model"):
        require_trainable(decoder, full, "x")
    with pytest.raises(InputError, match="reconstruction alone"):
        require_trainable(replace(config, decoder=DecoderConfig(("A",), alone=True)), adapter, "x")


def test_a_run_does_not_go_on_from_another_model(prepared, model_folder, tmp_path, capsys):
    base, out = tmp_path / "base", tmp_path / "run"
    shutil.copytree(model_folder, base)
    quick = ("--mode", "adapter", "--trainer.epochs", "1", "--trainer.patience", "null")
    assert finetune(prepared, base, out, *quick) == 0
    (out / "done.yaml").unlink()
    shutil.rmtree(out / "model")
    from safetensors.torch import save_file

    state = weights(base)
    state["logit_scale"] = state["logit_scale"] + 1
    save_file(state, base / "model.safetensors")
    assert finetune(prepared, base, out, *quick, "--resume") == 2
    assert "is not the one that the run" in capsys.readouterr().err


def test_gene_statistics_of_the_model_stay(prepared, model_folder, tmp_path):
    from napari_umpire.models.folder import load_model_folder, save_model
    from napari_umpire.models.umpire import Umpire

    loaded = load_model_folder(model_folder)
    config = replace(loaded.config, gene=replace(loaded.config.gene, standardise=True))
    model = Umpire(config)
    model.set_gene_statistics(torch.full((model.gene_dim,), 0.25), torch.full((model.gene_dim,), 2))
    base = save_model(tmp_path / "base", model, loaded.vocabulary)
    quick = ("--mode", "adapter", "--trainer.epochs", "1", "--trainer.patience", "null")
    assert finetune(prepared, base, tmp_path / "run", *quick) == 0
    after = weights(tmp_path / "run" / "model")
    assert np.all(after["spot_mean"].numpy() == 0.25)
    assert np.all(after["spot_std"].numpy() == 2)
