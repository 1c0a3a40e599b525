"""Every kind of gene encoder from alignment to prediction, on the command line."""

from __future__ import annotations

import numpy as np
import pytest
import spatialdata as sd
import torch

from napari_umpire.errors import InputError
from umpire_training.cli import main

CPU = [
    "--trainer.accelerator", "cpu", "--trainer.batch_size", "32", "--trainer.val_fraction", "0",
]  # fmt: skip
SHAPE = [
    "--gene.shape.dim", "16", "--gene.shape.heads", "2", "--gene.shape.feedforward", "32",
    "--gene.shape.layers", "1",
]  # fmt: skip
KINDS = {
    "visiumformer": SHAPE,
    "mlp": ["--gene.panel_genes", "60", "--gene.hidden", "[16]", "--gene.features", "8"],
    "trans": [*SHAPE, "--gene.panel_genes", "60", "--gene.panel_choice", "HVG"],
}


def align(prepared, out, kind, *more):
    argv = ["align", "--pairs", str(prepared / "pairs"), "--output", str(out), "--dim", "16"]
    argv += ["--vision.kwargs", "{widths: [4, 8]}", "--gene.kind", kind, *KINDS[kind], *CPU]
    return main([*argv, *more])


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_trained_and_predicts(prepared, slide_paths, tmp_path, capsys, kind):
    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run
    from napari_umpire.slides.open import open_slide

    out = tmp_path / "run"
    assert align(prepared, out, kind, "--trainer.epochs", "2", "--optim.lr", "1e-3") == 0
    folder = str(out / "model")
    assert main(["reference", "--model", folder, *slide_paths[:2]]) == 0
    argv = ["predict", "--model", folder, slide_paths[2], "--output", str(tmp_path / "p")]
    assert main([*argv, "--device", "cpu"]) == 0
    table = sd.read_zarr(next((tmp_path / "p").glob("*.zarr"))).tables["umpire"]
    assert np.isfinite(np.asarray(table.X)).all()
    assert np.asarray(table.X).std(axis=0).max() > 0

    model = load_model(folder, "cpu")
    slide = open_slide(slide_paths[2])
    genes = run(model.embed_genes(slide))
    np.testing.assert_allclose(np.linalg.norm(genes, axis=1), 1, atol=1e-5)
    assert genes.std(axis=0).max() > 1e-3
    assert main(["doctor", "--model", folder]) == 0
    assert "PASS  Model" in capsys.readouterr().out

    reads = "rank tokens" if kind == "visiumformer" else "log expression of 60 genes"
    assert reads in model.describe()


def test_fine_tuning_keeps_the_panel_of_a_trans(prepared, tmp_path):
    from napari_umpire.models.folder import load_model_folder

    out, tuned = tmp_path / "run", tmp_path / "tuned"
    assert align(prepared, out, "trans", "--trainer.max_steps", "1") == 0
    argv = ["finetune", "--model", str(out / "model"), "--pairs", str(prepared / "pairs")]
    argv += ["--output", str(tuned), "--trainer.accelerator", "cpu", "--trainer.epochs", "1"]
    assert main(argv) == 0
    before, after = (load_model_folder(folder / "model") for folder in (out, tuned))
    assert after.config.gene == before.config.gene
    a, b = (loaded.model.spot_backbone for loaded in (before, after))
    assert torch.equal(a.mean, b.mean)
    assert not torch.equal(a.value_embedding, b.value_embedding)


def test_what_trains_is_what_a_slide_gives_later(prepared, slide_paths, tmp_path):
    """The panel that training reads from the paired set is the one that a slide is turned into."""
    from napari_umpire.inference.genes.choice import choose_genes
    from napari_umpire.inference.genes.input import MeasuredGenes
    from napari_umpire.models.folder import load_model_folder
    from napari_umpire.slides.open import open_slide
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.stages.align_data import Columns, PairRows

    out = tmp_path / "run"
    assert align(prepared, out, "trans", "--trainer.max_steps", "1") == 0
    loaded = load_model_folder(out / "model")
    panel = loaded.config.gene.trans.panel
    pairs = PairedSet.open(prepared / "pairs")
    expression = [slide.expression() for slide in pairs.slides]
    genes = np.sort(choose_genes(expression, "HVG", 60))
    assert list(panel) == [pairs.vocabulary.ids[i] for i in genes]
    data = PairRows(pairs)
    rows = data.by_slide(np.arange(len(data)))
    data.panel = Columns.of(expression, genes, rows, data.measured)
    torch.testing.assert_close(
        loaded.model.spot_backbone.mean, torch.from_numpy(data.panel.mean), rtol=1e-5, atol=1e-6
    )
    first = pairs.slides[0]
    slide = next(s for s in map(open_slide, slide_paths) if s.name == first.name)
    inputs = MeasuredGenes.of(slide, loaded.vocabulary).inputs(loaded.config)
    rows = slide.spots.index.get_indexer(first.spots().index)
    np.testing.assert_allclose(
        inputs.rows(rows), data.gene_inputs(np.arange(len(rows))), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("trans", ["--gene.train", "false"], "kind trans has no pre-training"),
        ("mlp", ["--gene.pretrained", "x"], "kind mlp has no pre-training"),
        ("trans", ["--gene.shape.pooling", "published"], "a panel has none"),
        ("trans", ["--gene.standardise"], "frozen encoder's features"),
        ("trans", ["--gene.panel_genes", "99999"], "Too few genes to choose the HVG99999"),
        ("trans", ["--gene.shape.heads", "3"], "dim 16, heads 3"),
    ],
)
def test_contradictions_are_refused(prepared, tmp_path, capsys, kind, more, said):
    assert align(prepared, tmp_path / "run", kind, "--trainer.epochs", "1", *more) == 2
    assert said in capsys.readouterr().err


def test_another_kind_is_refused_where_it_is_made(prepared, tmp_path):
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.options import AlignSettings, GeneOptions, TrainerOptions
    from umpire_training.stages.align import align_model

    settings = AlignSettings(
        gene=GeneOptions(kind="cnn", panel_genes=20), trainer=TrainerOptions(epochs=1)
    )
    pairs = PairedSet.open(prepared / "pairs")
    with pytest.raises(InputError, match="visiumformer, mlp or trans"):
        align_model(
            pairs, settings, folder=tmp_path / "run", model_folder=tmp_path / "model", seed=0
        )
