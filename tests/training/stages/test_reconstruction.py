"""UMPIRE-REC: a decoder that is trained alone or beside the contrastive loss, and stays."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.model import load_model
from napari_umpire.inference.predictions.direct import DirectPrediction
from napari_umpire.progress import run
from napari_umpire.slides.open import open_slide
from umpire_training.cli import main

from ..conftest import QUICK

VISION = ["--vision.kwargs", "{widths: [4, 8]}"]
REC = ["--rec.weight", "1", "--rec.genes", "40", "--rec.hidden", "8", "--optim.lr", "5e-3"]


def align(prepared, out, *more):
    argv = ["align", "--pairs", str(prepared / "pairs"), "--output", str(out), *QUICK, *VISION]
    assert main([*argv, *REC, *more]) == 0
    return out / "model"


@pytest.fixture(scope="module", params=["mse", "l1"])
def alone(request, prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("rec") / request.param
    error = ["--contrast.weight", "0", "--rec.error", request.param, "--trainer.epochs", "6"]
    return align(prepared, out, *error)


def test_a_reconstruction_alone_learns_and_leaves_a_decoder(alone, prepared, slide_paths):
    from safetensors.torch import load_file

    with (alone.parent / "metrics.csv").open() as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file) if row["val_loss"]]
    assert losses[-1] < losses[0]
    names = {name.split(".")[0] for name in load_file(alone / "model.safetensors")}
    assert names == {"visual_backbone", "decoder"}
    model = load_model(alone, "cpu")
    assert model.methods == ("decoder",)
    slide = open_slide(slide_paths[2])  # neither of the two that it has seen
    prediction = run(model.predict(slide))
    assert isinstance(prediction, DirectPrediction)
    assert len(prediction.genes) == 40
    with pytest.raises(InputError, match="trained by reconstruction alone"):
        run(model.predict(slide, method="retrieval"))
    card = (alone / "README.md").read_text()
    assert "40 most variable genes" in card
    assert "Contrastive targets" not in card


def test_mean_and_sd_are_those_of_the_training_spots(alone, prepared):
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.engine.plan import make_plan
    from umpire_training.options import TrainerOptions

    pairs = PairedSet.open(prepared / "pairs")
    model = load_model(alone, "cpu")
    place = {gene: i for i, gene in enumerate(pairs.vocabulary.ids)}
    columns = [place[gene] for gene in model.config.decoder.genes]
    x = np.concatenate([s.expression()[:, columns].toarray() for s in pairs.slides])
    plan = make_plan(pairs.n_spots, TrainerOptions(epochs=6, batch_size=32), 0)
    x = x[plan.train].astype(np.float64)
    decoder = model.module.decoder
    np.testing.assert_allclose(decoder.mean, x.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(decoder.std, x.std(axis=0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("weight", ["1", "0"], ids=["beside the contrast", "alone"])
def test_two_phases_train_the_decoder_on_features_in_context(
    prepared, pretrained, slide_paths, tmp_path, weight
):
    context = ["--vision.train", "true", "--context.neighbours", "6", "--context.standardise"]
    phases = ["--trainer.epochs", "1", "--head_trainer.epochs", "30", "--contrast.weight", weight]
    phases += ["--head_optim.lr", "5e-3"]
    gene = ["--gene.pretrained", str(pretrained), "--gene.train", "false", "--dim", "16"]
    quick = [option.replace("--trainer", "--head_trainer") for option in QUICK]
    out = tmp_path / "run"
    path = align(prepared, out, *context, "true", *phases, *gene, *quick)
    model = load_model(path, "cpu")
    width = 2 * model.module.image_dim
    assert model.module.decoder.layers[0].weight.shape == (8, width)
    assert model.config.aligned is (weight == "1")
    assert model.config.decoder.alone is (weight == "0")
    # Taken out of its fold it predicts: better than the mean of the training spots does.
    slide = open_slide(slide_paths[2])
    prediction = run(model.predict(slide, method="decoder"))
    from napari_umpire.genes.normalise import expression

    mapped = model.vocabulary.map(slide.genes).apply(expression(slide.counts()))
    place = {gene: i for i, gene in enumerate(model.vocabulary.ids)}
    columns = [place[gene] for gene in prediction.genes.index]
    truth = mapped[:, columns].toarray()
    mean = model.module.decoder.mean.numpy()
    assert ((prediction.values - truth) ** 2).mean() < ((mean - truth) ** 2).mean()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["--contrast.weight", "0"], "no loss to train with"),
        (["--contrast.weight", "-1", "--rec.weight", "1"], "contrast.weight must be at least 0"),
        (["--rec.weight", "1", "--rec.genes", "0"], "rec.genes must be at least 1"),
    ],
)
def test_settings_without_a_loss_are_refused(prepared, tmp_path, capsys, weights, message):
    argv = ["align", "--pairs", str(prepared / "pairs"), "--output", str(tmp_path / "run")]
    assert main([*argv, *weights]) == 2
    assert message in capsys.readouterr().err


def test_an_evaluation_scores_the_decoder_beside_the_retrieval(slide_paths, tmp_path):
    """Both rows are of one training; correlation and squared error by hand, from the folder."""
    from scipy.stats import pearsonr

    out = tmp_path / "run"
    quick = [f"--align.{option[2:]}" if option[0] == "-" else option for option in QUICK]
    argv = ["evaluate", "--output", str(out), "--slides", *slide_paths, "--folds", "[synthetic_5]"]
    argv += ["--n_genes", "[8]", "--permutations", "0", "--patches.size_px", "24", *quick]
    argv += ["--align.gene.kind", "mlp", "--align.gene.panel_genes", "50", "--align.dim", "8"]
    argv += ["--align.vision.kwargs", "{widths: [4, 8]}", "--align.trainer.epochs", "4"]
    argv += ["--align.rec.weight", "1", "--align.rec.genes", "60", "--align.optim.lr", "5e-3"]
    assert main([*argv, "--decoder_row", "true"]) == 0
    place = out / "folds" / "synthetic_5"
    result = json.loads((place / "scores.json").read_text())
    assert {"UMPIRE", "UMPIRE-REC"} <= set(result["rows"])
    assert result["rows"]["UMPIRE"] != result["rows"]["UMPIRE-REC"]
    slide = open_slide(slide_paths[0])
    found = run(load_model(place / "model", "cpu").predict(slide, method="decoder"))
    counts = slide.counts().toarray()
    truth = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    names, good = slide.genes["symbol"].tolist(), (counts > 0).sum(1) >= 100
    genes = result["genes"]["VAR8"]
    pairs = [(found.gene_map(g)[good], truth[good, names.index(g)]) for g in genes]
    by_hand = np.mean([pearsonr(*pair)[0] for pair in pairs])
    assert result["rows"]["UMPIRE-REC"]["VAR8"]["mean"] == pytest.approx(by_hand, abs=1e-4)
    error = np.mean([((p - t) ** 2).mean() for p, t in pairs])
    assert result["squared_error"]["UMPIRE-REC"]["VAR8"]["error"] == pytest.approx(error, rel=1e-4)
    table = (out / "evaluation.md").read_text()
    assert "| UMPIRE-REC |" in table
    lacks = sum(gene not in set(found.genes["symbol"]) for gene in result["genes"]["HEG8"])
    assert result["rows"]["UMPIRE-REC"]["HEG8"].get("n_missing", 0) == lacks
    assert ("does not predict" in table) is (lacks > 0)


def test_all_genes_of_the_vocabulary_can_be_reconstructed(prepared, tmp_path):
    more = ["--contrast.weight", "0", "--trainer.epochs", "1", "--rec.genes", "null"]
    model = load_model(align(prepared, tmp_path / "run", *more), "cpu")
    assert model.config.decoder.genes == tuple(model.vocabulary.ids)
    assert "all genes" in (model.path / "README.md").read_text()


def test_a_gene_that_a_method_does_not_predict_counts_as_nothing():
    from scipy.stats import pearsonr

    from umpire_training.benchmark.scoring import score

    rng = np.random.default_rng(0)
    truth = rng.normal(size=(30, 4))
    prediction = truth + rng.normal(size=(30, 4))
    prediction[:, 2] = np.nan
    found = score(prediction, truth, np.arange(4))
    known = [pearsonr(prediction[:, i], truth[:, i])[0] for i in (0, 1, 3)]
    assert found["mean"] == pytest.approx(sum(known) / 4)
    assert (found["n_genes"], found["n_missing"], found["n_constant"]) == (4, 1, 0)
    assert score(prediction, truth, np.array([2]))["mean"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--decoder_row", "true"], "no decoder to predict by"),
        (["--align.contrast.weight", "0", "--align.rec.weight", "1"], "cannot retrieve"),
    ],
)
def test_an_evaluation_refuses_a_row_that_cannot_be(
    slide_paths, tmp_path, capsys, options, message
):
    argv = ["evaluate", "--output", str(tmp_path / "run"), "--slides", *slide_paths]
    steps = ["--align.trainer.max_steps", "1", "--pretrain.trainer.max_steps", "1"]
    assert main([*argv, *steps, *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
