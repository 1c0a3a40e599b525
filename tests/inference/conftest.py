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
    from napari_umpire.inference.references.build import ReferencePart

    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 1.0, (n, len(genes))) * (rng.random((n, len(genes))) < density)
    values = np.minimum(values, 9.2)  # log1p CP10k ends at 9.21
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
    from napari_umpire.inference.references.database import ReferenceDatabase

    return ReferenceDatabase.build(tmp_path / "reference", parts, model_digest="model-1")


@pytest.fixture
def prediction(reference):
    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.inference.predictions.record import RunRecord, provenance
    from napari_umpire.inference.predictions.weights import weights

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


def save_tiny_model(
    folder,
    slides,
    *,
    kind="visiumformer",
    neighbours=6,
    standardise=True,
    context=None,
    decoder=0,
    alone=False,
):
    """A model folder with random weights that fits the slides; a decoder of so many genes."""
    import torch

    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.models import (
        ContextConfig,
        DecoderConfig,
        GeneConfig,
        GeneMLPConfig,
        TokensConfig,
        Umpire,
        UmpireConfig,
        ValueTransformerConfig,
        VisionConfig,
        VisiumformerConfig,
        save_model,
    )

    torch.manual_seed(0)
    vocabulary = GeneVocabulary.from_counts((s.counts(), s.genes) for s in slides)
    panel = tuple(str(gene) for gene in vocabulary.ids[:50])
    if kind == "mlp":
        gene = GeneConfig(kind="mlp", mlp=GeneMLPConfig(50, (32,), 16, panel=panel))
    elif kind == "trans":
        gene = GeneConfig(kind="trans", trans=ValueTransformerConfig(50, 16, 2, 32, 1, panel=panel))
    else:
        former = VisiumformerConfig(
            dim=32, heads=4, feedforward=48, layers=2, n_tokens=vocabulary.n_tokens, length=64
        )
        gene = GeneConfig(visiumformer=former)
    config = UmpireConfig(
        gene=gene,
        vision=VisionConfig(size_px=32, kwargs={"widths": [8, 16], "norm": "group"}),
        dim=16,
        context=context or ContextConfig(neighbours=neighbours, standardise=standardise),
        tokens=TokensConfig(length=64),
        decoder=DecoderConfig(tuple(vocabulary.ids[:decoder].tolist()), 8, alone)
        if decoder
        else None,
    )
    model = Umpire(config)
    if model.decoder is not None:
        model.decoder.set_statistics(torch.rand(decoder) + 0.5, torch.rand(decoder) + 0.5)
    return save_model(folder, model, vocabulary)


@pytest.fixture(scope="session")
def model_folder(slides, tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny", slides)


@pytest.fixture
def model(model_folder):
    from napari_umpire.inference.model import load_model

    return load_model(model_folder, device="cpu")


def make_case(slides, folder, *, seed=0, digest="other"):
    """Slide 0, its measurement without G0-G3, and a prediction that lacks G8-G11.

    Gene G12 was measured by the second reference slide only, G13 by the first only; the first 20
    spots look at the first reference slide only. G14 is constant in the reference, G15 on the
    slide, G16 was never seen on it. The first 6 spots hold next to nothing.
    """
    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.inference.predictions.record import RunRecord, provenance
    from napari_umpire.inference.references.build import ReferencePart
    from napari_umpire.inference.references.database import ReferenceDatabase

    rng = np.random.default_rng(seed)
    slide, names = slides[0], [f"G{i}" for i in range(130)]
    n = slide.n_spots

    def part(name, size, without):
        kept = [g for g in names if g not in without]
        values = rng.gamma(2.0, 1.0, (size, len(kept))) * (rng.random((size, len(kept))) < 0.5)
        values = np.minimum(values, 9.2)
        values[:, kept.index("G14")] = 1.5
        embeddings = rng.normal(size=(size, 8))
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        spots = pd.DataFrame(0.0, columns=["y", "x", "y_um", "x_um"], index=range(size))
        return ReferencePart(
            slide=name,
            digest=f"{digest if name == 'first' else name}",
            embeddings=embeddings.astype(np.float32),
            expression=sp.csr_matrix(values.astype(np.float32)),
            genes=pd.DataFrame({"id": "", "symbol": kept}, index=kept),
            spots=spots.set_axis([f"{name}{i}" for i in range(size)]),
        )

    lacks = [f"G{i}" for i in range(8, 12)]
    parts = [part("first", 60, [*lacks, "G12"]), part("second", 50, [*lacks, "G13"])]
    reference = ReferenceDatabase.build(folder / "reference", parts, model_digest="m")
    indices = np.stack([rng.choice(110, 7, replace=False) for _ in range(n)])
    indices[:20] = np.stack([rng.choice(60, 7, replace=False) for _ in range(20)])
    weight = rng.random((n, 7)).astype(np.float32)
    weight /= weight.sum(axis=1, keepdims=True)
    similarity = np.sort(rng.random((n, 7)).astype(np.float32), axis=1)[:, ::-1]
    prediction = Prediction(
        slide.name,
        slide.spots,
        reference,
        indices,
        similarity,
        weight,
        RunRecord(slide.name, "m", k=7, provenance=provenance(model_digest="m")),
    )
    kept = [g for g in names if g not in ("G0", "G1", "G2", "G3")]
    values = rng.gamma(2.0, 1.0, (n, len(kept))) * (rng.random((n, len(kept))) < 0.97)
    for number, gene in enumerate(kept[40:60], 40):  # some that agree with the prediction
        values[:, number] = np.maximum(
            0, prediction.gene_map(gene) + rng.normal(size=n) * number / 50
        )
    values[:, kept.index("G15")], values[:, kept.index("G16")] = 0.75, 0.0
    values[:6, 5:] = 0.0
    expression = sp.csc_matrix(values.astype(np.float32))
    genes = pd.DataFrame({"id": "", "symbol": kept}, index=kept)
    measured = Measured(expression, genes, np.diff(sp.csr_matrix(expression).indptr))
    assert ((measured.detected < 100) == (np.arange(n) < 6)).all()
    return slide, GeneTable.build(prediction.genes, genes), prediction, measured


@pytest.fixture
def case(slides, tmp_path):
    """Slide, gene table, prediction and measurement of `make_case`."""
    return make_case(slides, tmp_path)


@pytest.fixture
def case_in_reference(slides, tmp_path):
    """The same with the slide itself among the references."""
    return make_case(slides, tmp_path, digest=slides[0].digest)
