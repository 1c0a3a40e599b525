"""Small references made of random numbers, and a tiny model on synthetic slides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp


@pytest.fixture(autouse=True)
def two_threads():
    import torch

    torch.set_num_threads(2)


def unit_rows(rng, n, dim):
    x = rng.normal(size=(n, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def make_part(seed, name, n, genes, dim=16, density=0.4):
    """A `ReferencePart` of random spots and sparse expression of the genes named."""
    from napari_umpire.inference.reference_build import ReferencePart

    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 1.0, (n, len(genes))) * (rng.random((n, len(genes))) < density)
    y, x = rng.uniform(0, 1000, (2, n))
    return ReferencePart(
        slide=name,
        digest=f"digest-{name}",
        embeddings=unit_rows(rng, n, dim),
        expression=sp.csr_matrix(values.astype(np.float32)),
        genes=pd.DataFrame({"id": "", "symbol": genes}, index=list(genes)),
        spots=pd.DataFrame(
            {"y": y, "x": x, "y_um": y / 2, "x_um": x / 2},
            index=[f"{name}_{i}" for i in range(n)],
        ),
    )


GENES_A = [f"G{i}" for i in range(40)]
GENES_B = [f"G{i}" for i in range(30, 70)]  # G0-G29 only on A, G40-G69 only on B


@pytest.fixture(scope="session")
def parts():
    return [make_part(1, "A", 120, GENES_A), make_part(2, "B", 90, GENES_B)]


@pytest.fixture
def reference(parts, tmp_path):
    from napari_umpire.inference.reference import ReferenceDatabase

    return ReferenceDatabase.build(tmp_path / "reference", parts, model_digest="model-1")


@pytest.fixture
def prediction(reference):
    from napari_umpire.inference.prediction import Prediction
    from napari_umpire.inference.record import RunRecord, provenance
    from napari_umpire.inference.weights import weights

    rng = np.random.default_rng(5)
    queries = unit_rows(rng, 25, 16)
    indices, similarity = reference.top_k(queries, 12)
    spots = pd.DataFrame(
        rng.uniform(0, 500, (25, 2)), columns=["y", "x"], index=[f"s{i}" for i in range(25)]
    )
    return Prediction(
        slide_name="query",
        spots=spots,
        reference=reference,
        indices=indices,
        similarity=similarity,
        weight=weights(similarity, "softmax", 10.0),
        record=RunRecord("query", "model", k=12, provenance=provenance(model_digest="model-1")),
        embeddings=queries,
    )


@pytest.fixture(scope="session")
def slides():
    from napari_umpire.slides.synthetic import make_slide

    return [make_slide(seed, rows=14, cols=10, mpp=2.0) for seed in range(3)]


def save_tiny_model(folder, slides, *, kind="visiumformer", neighbours=6, standardise=True):
    """A model folder with random weights that fits the slides."""
    import torch

    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.models import (
        ContextConfig,
        GeneConfig,
        GeneMLPConfig,
        TokensConfig,
        Umpire,
        UmpireConfig,
        VisionConfig,
        VisiumformerConfig,
        save_model,
    )

    torch.manual_seed(0)
    vocabulary = GeneVocabulary.from_counts((s.counts(), s.genes) for s in slides)
    if kind == "mlp":
        panel = tuple(str(gene) for gene in vocabulary.ids[:50])
        gene = GeneConfig(kind="mlp", mlp=GeneMLPConfig(50, (32,), 16, panel=panel))
    else:
        former = VisiumformerConfig(
            dim=32, heads=4, feedforward=48, layers=2, n_tokens=vocabulary.n_tokens, length=64
        )
        gene = GeneConfig(visiumformer=former)
    config = UmpireConfig(
        gene=gene,
        vision=VisionConfig(size_px=32, kwargs={"widths": [8, 16], "norm": "group"}),
        dim=16,
        context=ContextConfig(neighbours=neighbours, standardise=standardise),
        tokens=TokensConfig(length=64),
    )
    return save_model(folder, Umpire(config), vocabulary)


@pytest.fixture(scope="session")
def model_folder(slides, tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny", slides)


@pytest.fixture
def model(model_folder):
    from napari_umpire.inference.model import load_model

    return load_model(model_folder, device="cpu")
