"""A Nicheformer checkpoint from its file to a prediction, on the command line."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import spatialdata as sd
import torch
from torch import nn

from umpire_training.cli import main
from umpire_training.stages.pretrain import GeneEncoder

N_GENES, POSITIONS = 600, 51


def nicheformer(n_tokens=N_GENES + 30):
    """The attributes of the published module, in stock torch parts: width 32, one head."""
    torch.manual_seed(0)
    module = nn.Module()
    module.embeddings = nn.Embedding(n_tokens + 5, 32, padding_idx=1)
    module.positional_embedding = nn.Embedding(POSITIONS, 32)
    module.encoder_layer = nn.TransformerEncoderLayer(
        32, 1, 48, dropout=0.0, batch_first=True, layer_norm_eps=1e-12
    )
    module.encoder = nn.TransformerEncoder(module.encoder_layer, 2, enable_nested_tensor=False)
    module.classifier_head = nn.Linear(32, n_tokens)
    module.pooler_head, module.cls_head = nn.Linear(32, 32), nn.Linear(32, 164)
    return module


@pytest.fixture(scope="module")
def files(prepared, tmp_path_factory):
    """A checkpoint as Lightning writes it, its gene order and the means of a technology."""
    from napari_umpire.genes import GeneVocabulary

    folder = tmp_path_factory.mktemp("nicheformer")
    genes = GeneVocabulary.read_csv(prepared / "corpus" / "genes.csv")
    assert genes.n_genes == N_GENES
    order = [f"{i}\t{s}" for i, s in zip(genes.ids, genes.symbols, strict=True)]
    (folder / "order.tsv").write_text("\n".join(["gene_id\tsymbol", *order]) + "\n")
    means = np.linspace(0.4, 6, N_GENES)
    means[5] = np.nan
    np.save(folder / "means.npy", means)
    np.save(folder / "few.npy", means[:-1])
    (folder / "short.tsv").write_text("\n".join(order[:-1]) + "\n")
    rate = np.float64(1e-5)
    torch.save(
        {
            "state_dict": {**nicheformer().state_dict(), "queue": torch.zeros(2)},
            "lr_schedulers": [{"_last_lr": [rate]}],
        },
        folder / "nicheformer.ckpt",
    )
    return folder


def bring_in(files, out, *more, kind="nicheformer", order="order.tsv", means="means.npy"):
    argv = ["import", "--weights", str(files / "nicheformer.ckpt"), "--output", str(out)]
    argv += ["--kind", kind] if kind else []
    argv += ["--gene_order", str(files / order)] if order else []
    argv += ["--means", str(files / means)] if means else []
    return main([*argv, *more])


@pytest.fixture(scope="module")
def encoder(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("encoder") / "nicheformer"
    assert bring_in(files, out) == 0
    return out


def test_what_is_assumed_and_what_did_not_fit_is_said(files, tmp_path, capsys):
    assert bring_in(files, tmp_path / "a") == 0
    said = capsys.readouterr().err
    assert "before the genes of each spot stand human (5), 10x 3' (15), spatial (4)" in said
    assert "without a place: queue" in said
    assert "never used: encoder_layer.linear1.weight" in said
    assert bring_in(files, tmp_path / "b", "--context.assay", "Xenium") == 0
    assert "Xenium (9)" in capsys.readouterr().err
    assert bring_in(files, tmp_path / "c", kind="visiumformer") == 0
    assert "no context tokens" in capsys.readouterr().err
    contexts = [GeneEncoder.open(tmp_path / n).module.config.context_tokens for n in "abc"]
    assert contexts == [(5, 15, 4), (5, 9, 4), ()]
    assert bring_in(files, tmp_path / "a") == 2
    assert "already exists" in capsys.readouterr().err
    assert bring_in(files, tmp_path / "a", "--overwrite") == 0


def test_it_aligns_and_predicts(files, encoder, slide_paths, tmp_path, capsys):
    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run
    from napari_umpire.slides.open import open_slide

    pairs, out = tmp_path / "pairs", tmp_path / "run"
    argv = ["prepare", "--make", "pairs", "--output", str(pairs), "--slides", *slide_paths[:2]]
    argv += ["--vocabulary.path", str(encoder), "--patches.size_px", "24"]
    argv += ["--tokens.length", str(POSITIONS - 3), "--tokens.rounding", "published"]
    assert main(argv) == 0
    argv = ["align", "--pairs", str(pairs / "pairs"), "--output", str(out), "--dim", "16"]
    argv += ["--gene.pretrained", str(encoder), "--gene.train", "false", "--trainer.epochs", "1"]
    argv += ["--vision.kwargs", "{widths: [4, 8]}", "--trainer.accelerator", "cpu"]
    assert main(argv) == 0
    folder = str(out / "model")
    assert main(["reference", "--model", folder, *slide_paths[:2]]) == 0
    argv = ["predict", "--model", folder, slide_paths[2], "--output", str(tmp_path / "p")]
    assert main([*argv, "--device", "cpu"]) == 0
    table = sd.read_zarr(next((tmp_path / "p").glob("*.zarr"))).tables["umpire"]
    assert np.isfinite(np.asarray(table.X)).all()
    assert "Nicheformer, 2 layers of width 32" in (out / "model" / "README.md").read_text()

    # The embedding of a slide, by torch's layers and the steps as the authors take them.
    model, slide = load_model(folder, "cpu"), open_slide(slide_paths[0])
    means = np.load(files / "means.npy")
    rounded = np.nan_to_num(np.floor(means + 0.5))
    divisor = np.where(rounded == 0, 1, rounded)
    raw = model.vocabulary.map(slide.genes).apply(slide.counts()).toarray().astype(float)
    tokens = np.ones((3, POSITIONS), np.int64)
    for row in range(3):
        value = raw[row] / raw[row].sum() * 10_000 / divisor
        found = np.flatnonzero(value)
        ranked = found[np.argsort(-np.round(value[found], 9), kind="stable")] + 30
        line = np.concatenate([[5, 15, 4], ranked])[:POSITIONS]
        tokens[row, : len(line)] = line
    theirs, ids = nicheformer(), torch.from_numpy(tokens)
    x = theirs.embeddings(ids) + theirs.positional_embedding.weight
    for layer in theirs.encoder.layers:
        x = layer(x, src_key_padding_mask=ids == 1)
    expected = model.module.project_gene(x[:, 3:].mean(dim=1)).detach().numpy()
    np.testing.assert_allclose(run(model.embed_genes(slide))[:3], expected, atol=2e-5)


def test_tokens_of_another_length_are_refused(encoder, slide_paths, prepared, tmp_path, capsys):
    pairs = tmp_path / "pairs"
    argv = ["prepare", "--make", "pairs", "--output", str(pairs), "--slides", *slide_paths[:1]]
    argv += ["--vocabulary.path", str(encoder), "--patches.size_px", "24"]
    assert main([*argv, "--tokens.length", str(POSITIONS), "--tokens.rounding", "published"]) == 0
    argv = ["align", "--pairs", str(pairs / "pairs"), "--output", str(tmp_path / "run")]
    argv += ["--gene.pretrained", str(encoder), "--trainer.epochs", "1"]
    assert main(argv) == 2
    assert "tokenised differently" in capsys.readouterr().err
    argv[2] = str(prepared / "pairs")
    assert main(argv) == 2
    assert "different vocabularies" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        ({"order": "short.tsv", "means": "few.npy"}, [], "599 genes. Expected: 600 genes"),
        ({"means": "few.npy"}, [], "599 means. Expected: 600, one per gene"),
        ({"means": None}, [], "does not tell the mean"),
        ({"order": None}, [], "must be told once"),
        ({"order": "nothing.h5ad"}, [], "gene order file was not found"),
        ({}, ["--context.assay", "Visium"], "no token for the assay Visium"),
        ({}, ["--vision", "uni"], "no use for vision"),
        ({"kind": "visiumformer"}, ["--context.species", "mouse"], "no use for context"),
        ({"kind": None}, [], "kind umpire has no use for gene_order, means"),
        ({"kind": None, "means": None, "order": None}, ["--vocabulary", "{here}"],
         "gene encoder alone: import it with --kind nicheformer"),
    ],
)  # fmt: skip
def test_bad_input_is_a_sentence(files, tmp_path, capsys, change, more, said):
    more = [text.format(here=files) for text in more]
    assert bring_in(files, tmp_path / "x", *more, **change) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


def test_an_order_in_an_h5ad_and_a_gene_table_are_read(files, prepared, tmp_path):
    import anndata as ad
    import pandas as pd

    from napari_umpire.genes.gene_order import vocabulary_of

    ids = vocabulary_of(files / "order.tsv", files / "means.npy").ids
    ad.AnnData(np.zeros((1, N_GENES)), var=pd.DataFrame(index=ids)).write_h5ad(
        tmp_path / "model.h5ad"
    )
    from_h5ad = vocabulary_of(tmp_path / "model.h5ad", files / "means.npy")
    assert list(from_h5ad.ids) == list(ids)
    assert not from_h5ad.symbols.any()
    shutil.copy(prepared / "corpus" / "genes.csv", tmp_path / "genes.csv")
    ours = vocabulary_of(tmp_path / "genes.csv")
    assert list(ours.ids) == list(ids)
    assert np.nanmax(np.abs(ours.means - from_h5ad.means)) > 0
    swapped = vocabulary_of(tmp_path / "genes.csv", files / "means.npy")
    np.testing.assert_array_equal(swapped.means, from_h5ad.means)
    assert swapped.symbols.all()
