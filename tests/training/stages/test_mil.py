"""`umpire-train mil` on tiny slides: a head in the model, resumed runs, bad input."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from umpire_training.cli import main

TINY = [
    "--device", "cpu", "--trainer.accelerator", "cpu", "--trainer.progress_bar", "false",
    "--trainer.epochs", "4", "--validation.permutations", "1", "--head.attention", "4",
    "--optim.lr", "1e-2", "--tiles.field_um", "128", "--name", "grade",
]  # fmt: skip


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    """Five small stores of four patients, and their labels."""
    from napari_umpire.slides.convert import write_slide
    from napari_umpire.slides.synthetic import make_slide

    folder = tmp_path_factory.mktemp("sections")
    paths = []
    for i, name in enumerate(("A1", "A2", "B1", "C1", "D1")):
        more = {"immune": 1.5} if name[0] in "AC" else {"immune": -0.5}
        slide = make_slide(60 + i, rows=8, cols=6, mpp=2.0, name=name, more=more)
        paths.append(str(write_slide(slide, folder / f"{name}.zarr")))
    labels = pd.DataFrame({"slide": ["A1", "A2", "B1", "C1", "D1"]})
    labels["patient"] = labels["slide"].str[0]
    labels["label"] = np.where(labels["patient"].isin(["A", "C"]), "hot", "cold")
    labels.to_csv(folder / "labels.csv", index=False)
    return paths, folder / "labels.csv"


@pytest.fixture
def model(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def call(model, sections, output, *more):
    paths, labels = sections
    return main(
        ["mil", "--model", str(model), "--labels", str(labels), "--output", str(output), *TINY]
        + [*more, "--slides", *paths]
    )


def weights(model):
    return load_file(model / "slide_status" / "grade" / "status.safetensors")


@pytest.mark.slow
def test_a_head_is_trained_validated_and_asked(model, sections, tmp_path, capsys):
    from napari_umpire.inference.model import load_model
    from napari_umpire.inference.status.slide_status import slide_status
    from napari_umpire.inference.status.words import describe
    from napari_umpire.models.status_config import list_heads, read_status
    from napari_umpire.progress import run
    from napari_umpire.slides.open import open_slide

    assert call(model, sections, tmp_path / "run") == 0
    (folder,) = list_heads(model)
    config = read_status(folder)
    scores = config.scores
    assert config.classes == ("cold", "hot")
    assert (scores.patients, scores.n_slides) == ((2, 2), 5)
    assert "leaving one of 4 patients out" in scores.scheme
    assert len(scores.f1_permuted) == 1
    assert scores.auc_interval is None
    assert config.abmil.clip == 10
    assert config.farthest > 0
    assert set(config.trained_on) == {"A1", "A2", "B1", "C1", "D1"}
    predictions = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert predictions["patient"].tolist() == list("ABCD")
    np.testing.assert_allclose(
        predictions["probability_cold"] + predictions["probability_hot"], 1, atol=1e-5
    )
    text = (tmp_path / "run" / "status.md").read_text()
    assert "permuted labels 1" in text
    assert "Few patients" in text
    loaded = load_model(model, "cpu")
    status = run(slide_status(loaded, folder, open_slide(sections[0][0])))
    assert status.probability.sum() == pytest.approx(1)
    assert "4 patients (2 cold, 2 hot" in describe(status)
    assert "trained on this very slide" in describe(status)
    # One of the run's own caches, cleared in the end; the bags stay.
    assert not (tmp_path / "run" / "features").exists()
    assert len(list((tmp_path / "run" / "tiles").glob("*.npy"))) == 5
    # A head is never replaced; the run that made it says that it is done.
    before = (folder / "status.safetensors").read_bytes()
    assert call(model, sections, tmp_path / "other") == 2
    assert "already exists" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    assert call(model, sections, tmp_path / "run", "--resume") == 0
    assert (folder / "status.safetensors").read_bytes() == before


@pytest.mark.slow
def test_a_run_that_was_killed_twice_ends_as_one_that_was_not(
    model_folder, sections, tmp_path, monkeypatch
):
    from umpire_training.objectives.bags import BagClassifier

    whole, cut = (shutil.copytree(model_folder, tmp_path / name) for name in ("whole", "cut"))
    assert call(whole, sections, tmp_path / "run_whole") == 0
    step, calls = BagClassifier.training_step, []

    def killed(self, batch, batch_idx):
        calls.append(1)
        if len(calls) in (20, 45):
            raise RuntimeError("power cut")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(BagClassifier, "training_step", killed)
    for more in ([], ["--resume"]):
        with pytest.raises(RuntimeError, match="power cut"):
            call(cut, sections, tmp_path / "run_cut", *more)
        assert not (cut / "slide_status").exists()
    assert call(cut, sections, tmp_path / "run_cut", "--resume") == 0
    a, b = weights(whole), weights(cut)
    assert all(torch.equal(a[key], b[key]) for key in a)
    for name in ("predictions.csv", "status.md"):
        texts = [(tmp_path / r / name).read_text() for r in ("run_whole", "run_cut")]
        assert texts[0].replace("run_whole", "") == texts[1].replace("run_cut", "")


def test_a_loss_that_is_no_number_ends_in_a_sentence(
    model, sections, tmp_path, monkeypatch, capsys
):
    from umpire_training.objectives.bags import BagClassifier

    step = BagClassifier.training_step
    monkeypatch.setattr(
        BagClassifier, "training_step", lambda self, b, i: step(self, b, i) * float("nan")
    )
    assert call(model, sections, tmp_path / "run") == 1
    assert "The loss became nan" in capsys.readouterr().err
    assert not (model / "slide_status").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="label"), "lacks the column label"),
        (lambda t: t.assign(slide=t["slide"].replace("B1", "Z9")), "no slide is called Z9"),
        (lambda t: t.assign(label=["hot", "cold", *t["label"][2:]]), "patient A has the labels"),
        (lambda t: t.assign(label="hot"), "only one class"),
        (lambda t: t.assign(label=["x", "x", "y", "x", "x"]), "one patient only"),
    ],
    ids=["column", "slide", "two labels", "one class", "one patient"],
)
def test_bad_labels_are_refused_before_any_work(model, sections, tmp_path, capsys, change, said):
    path = tmp_path / "labels.csv"
    change(pd.read_csv(sections[1])).to_csv(path, index=False)
    assert call(model, (sections[0], path), tmp_path / "run") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_other_labels_do_not_continue_a_run(model, sections, tmp_path, monkeypatch, capsys):
    path = tmp_path / "labels.csv"
    shutil.copy(sections[1], path)
    from umpire_training.objectives.bags import BagClassifier

    def killed(self, batch, batch_idx):
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(BagClassifier, "training_step", killed)
        with pytest.raises(RuntimeError, match="power cut"):
            call(model, (sections[0], path), tmp_path / "run")
    table = pd.read_csv(path)
    table["label"] = table["label"].replace({"hot": "warm"})
    table.to_csv(path, index=False)
    capsys.readouterr()
    assert call(model, (sections[0], path), tmp_path / "run", "--resume") == 2
    assert f"The table of labels {path} is not the one" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["slide", "model"])
def test_other_slides_or_models_at_the_same_place_do_not_continue_a_run(
    model, sections, tmp_path, monkeypatch, capsys, what
):
    from napari_umpire.slides.convert import write_slide
    from napari_umpire.slides.synthetic import make_slide
    from umpire_training.stages import mil

    paths = [str(shutil.copytree(path, tmp_path / Path(path).name)) for path in sections[0]]
    keep, kept = mil._keep, []

    def cut(path, tree):
        keep(path, tree)
        kept.append(path)
        if len(kept) == 2:
            raise RuntimeError("power cut")

    monkeypatch.setattr(mil, "_keep", cut)
    with pytest.raises(RuntimeError, match="power cut"):
        call(model, (paths, sections[1]), tmp_path / "run")
    monkeypatch.undo()
    if what == "slide":
        shutil.rmtree(tmp_path / "B1.zarr")
        write_slide(make_slide(99, rows=8, cols=6, mpp=2.0, name="B1"), tmp_path / "B1.zarr")
    else:
        state = load_file(model / "model.safetensors")
        state["visual_projection.bias"] = state["visual_projection.bias"] + 1
        save_file(state, model / "model.safetensors")
    capsys.readouterr()
    assert call(model, (paths, sections[1]), tmp_path / "run", "--resume") == 2
    said = "The slide B1 is not the one" if what == "slide" else f"The model {model} is not the one"
    assert said in capsys.readouterr().err
    assert not (model / "slide_status").exists()


@pytest.mark.parametrize(
    "lock",
    [
        lambda model: (model / "slide_status").write_text("in the way"),
        pytest.param(
            lambda model: model.chmod(0o500),
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere"),
        ),
    ],
    ids=["file", "rights"],
)
def test_a_model_that_takes_no_head_is_refused_before_any_work(
    model, sections, tmp_path, capsys, lock
):
    lock(model)
    assert call(model, sections, tmp_path / "run") == 2
    model.chmod(0o700)
    assert "The head cannot be written to" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--name", "../up"], "becomes a folder"),
        (["--trainer.devices", "2"], "one device"),
        (["--tiles.kind", "hexagons"], "square or spots"),
        (["--tiles.field_um", "4"], "too coarse"),
    ],
)
def test_bad_options_are_refused_before_any_work(model, sections, tmp_path, capsys, more, said):
    assert call(model, sections, tmp_path / "run", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
