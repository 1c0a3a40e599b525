"""What a training learns from is what a prediction computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_umpire.inference.embed_slide import gene_features as predicted_genes
from napari_umpire.inference.embed_slide import image_features as predicted_images
from napari_umpire.inference.embed_slide import in_context
from napari_umpire.inference.genes.input import MeasuredGenes
from napari_umpire.inference.model import load_model
from napari_umpire.progress import run
from napari_umpire.slides.open import open_slide
from umpire_training.cli import main
from umpire_training.corpus.paired import PairedSet
from umpire_training.stages import frozen_features
from umpire_training.stages.align_data import PairRows

from ..conftest import QUICK


@pytest.fixture(scope="module")
def same_slide(pretrained, slide_paths, tmp_path_factory):
    """A slide, the paired set of all its spots, and a model that reads patches in context."""
    base = tmp_path_factory.mktemp("features")
    argv = ["prepare", "--make", "pairs", "--slides", slide_paths[1], "--output", str(base / "p")]
    argv += ["--qc.min_genes", "1", "--vocabulary.path", str(pretrained / "encoder")]
    assert main([*argv, "--tokens.length", "48", "--patches.size_px", "24"]) == 0
    argv = ["align", "--pairs", str(base / "p" / "pairs"), "--output", str(base / "run"), *QUICK]
    argv += ["--gene.pretrained", str(pretrained), "--gene.train", "false", "--dim", "16"]
    argv += ["--vision.kwargs", "{widths: [4, 8]}", "--trainer.epochs", "1"]
    argv += [
        "--vision.train",
        "false",
        "--context.neighbours",
        "6",
        "--context.standardise",
        "true",
    ]
    assert main(argv) == 0
    slide, pairs = open_slide(slide_paths[1]), PairedSet.open(base / "p" / "pairs")
    # Where quality control leaves out a spot, its neighbours have another context: not asked here.
    assert pairs.n_spots == slide.n_spots
    return load_model(base / "run" / "model", "cpu"), slide, pairs


def test_image_features(same_slide):
    model, slide, pairs = same_slide
    trained = frozen_features.image_features(model.module, pairs, torch.device("cpu"))
    features = run(predicted_images(model, slide, 64, None))
    np.testing.assert_allclose(trained, in_context(model, slide, features), rtol=1e-4, atol=1e-5)
    assert trained.shape == (slide.n_spots, 2 * model.module.image_dim)
    assert trained.std(axis=0).max() > 0.1


def test_gene_features(same_slide):
    model, slide, pairs = same_slide
    trained = frozen_features.gene_features(model.module, PairRows(pairs), torch.device("cpu"))
    measured = MeasuredGenes.of(slide, model.vocabulary)
    predicted = run(predicted_genes(model, slide, measured, 64, None))
    np.testing.assert_allclose(trained, predicted, rtol=1e-4, atol=1e-5)
