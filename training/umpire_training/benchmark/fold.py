"""One fold: train on all slides but one, predict that one, score it beside the controls."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.files import replace_file
from umpire_training.baselines.fold import Fold, Section
from umpire_training.benchmark.controls import control_rows
from umpire_training.benchmark.genes import ScoredGenes, choose
from umpire_training.console import follow
from umpire_training.options import VocabularyOptions
from umpire_training.run_folder import logger

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.genes import GeneVocabulary
    from umpire_training.benchmark.sections import Measured
    from umpire_training.corpus.sources import Source
    from umpire_training.verbs.evaluate import Options

__all__ = ["MODEL_ROW", "run_fold"]

MODEL_ROW = "UMPIRE"


def run_fold(
    measured: list[Measured], held_out: int, extra: list[Source], folder: Path, options: Options
) -> dict[str, Any]:
    """Run or resume the fold whose held-out slide is ``measured[held_out]``.

    Vocabulary, pre-training, gene choice, alignment and reference see the training slides (and,
    for vocabulary and pre-training, ``extra`` counts) only.

    Returns
    -------
    What is written to ``folder``/scores.json.
    """
    done = folder / "scores.json"
    if done.is_file():
        return json.loads(done.read_text(encoding="utf-8"))
    started = time.monotonic()
    test = measured[held_out]
    train = [m for i, m in enumerate(measured) if i != held_out]
    logger.info("fold %s: training on %s", test.name, ", ".join(m.name for m in train))
    # Scored are the genes of the training slides, whether or not they become tokens.
    vocabulary = _vocabulary(train, [], replace(options, vocabulary=VocabularyOptions()))
    genes = choose(vocabulary, train, test, sizes=options.n_genes, show=options.show_genes)
    fold = Fold(
        tuple(Section(m.name, genes.train[m.name], m.colour, m.position) for m in train),
        Section(test.name, genes.test, test.colour, test.position),
    )
    rows: dict[str, Any] = {}
    predictions = {}
    if options.model:
        predictions[MODEL_ROW] = _train_and_predict(
            train, test, extra, _vocabulary(train, extra, options), genes, folder, options
        )
        rows[MODEL_ROW] = {
            name: score(predictions[MODEL_ROW], genes.test, columns)
            for name, columns in genes.sets.items()
        }
    rows |= control_rows(
        fold,
        test.counts,
        _columns_of(test, vocabulary, genes),
        genes.sets,
        score,
        permutations=options.permutations,
        seed=options.seed,
    )
    result = {
        "slide": test.name,
        "n_spots": len(genes.test),
        "train": {m.name: int(m.counts.shape[0]) for m in train},
        "genes": {
            name: [genes.symbols[i] or genes.ids[i] for i in columns]
            for name, columns in genes.sets.items()
        },
        "rows": rows,
        **_errors_and_shown(predictions, fold, genes),
        "seconds": round(time.monotonic() - started, 1),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(done) as written:
        written.write_text(json.dumps(result, indent=1), encoding="utf-8")
    logger.info("fold %s done in %.0f s: %s", test.name, result["seconds"], _brief(rows))
    return result


def score(prediction: np.ndarray, truth: np.ndarray, columns: np.ndarray) -> dict[str, Any]:
    """Mean correlation over the genes ``columns``, and how many genes had none."""
    from napari_umpire.inference.scores.metrics import score_fold

    found = score_fold("", prediction[:, columns], truth[:, columns])
    return {"mean": found.mean, "n_genes": found.n_genes, "n_constant": found.n_constant}


def _vocabulary(train: list[Measured], extra: list[Source], options: Options) -> GeneVocabulary:
    from umpire_training.corpus.vocabulary import make_vocabulary

    return make_vocabulary([*(m.source for m in train), *extra], options.vocabulary, options.qc)


def _train_and_predict(
    train: list[Measured],
    test: Measured,
    extra: list[Source],
    vocabulary: GeneVocabulary,
    genes: ScoredGenes,
    folder: Path,
    options: Options,
) -> np.ndarray:
    """(n_test_spots, n_scored_genes) predicted log1p CP10k."""
    from napari_umpire.inference.model import load_model
    from umpire_training.corpus.paired import PairedSet, build_paired
    from umpire_training.stages.align import align_model

    sources = [m.source for m in train]
    align = options.align
    if align.gene.kind == "visiumformer" and align.gene.pretrained is None:
        encoder = _pretrain([*sources, *extra], vocabulary, folder, options)
        align = replace(align, gene=replace(align.gene, pretrained=str(encoder)))
    pairs = folder / "pairs"
    if not pairs.is_dir():
        follow(
            build_paired(
                sources,
                vocabulary,
                pairs,
                patches=options.patches,
                tokens=options.tokens,
                qc=options.qc,
                patches_from={m.name: m.patches for m in train},
            )
        )
    path = align_model(
        PairedSet.open(pairs),
        align,
        folder=folder / "align",
        model_folder=folder / "model",
        seed=options.seed,
        resume=True,
        description=f"One fold of an evaluation; {test.name} was held out.",
    )
    model = load_model(path, device=options.device)
    if model.reference is None:
        slides = [m.source.slide for m in train]
        # A prediction needs no more; the images of the training slides would take minutes.
        follow(model.build_reference(slides, path / "reference", image_embeddings=False))
        model = load_model(path, device=options.device)
    prediction = follow(model.predict(test.source.slide, k=options.k, weighting=options.weighting))
    return np.stack([prediction.gene_map(gene) for gene in genes.ids], axis=1)


def _pretrain(
    sources: list[Source], vocabulary: GeneVocabulary, folder: Path, options: Options
) -> Path:
    from umpire_training.corpus.tokens import TokenCorpus, build_corpus
    from umpire_training.stages.pretrain import pretrain_encoder

    corpus = folder / "corpus"
    if not corpus.is_dir():
        follow(build_corpus(sources, vocabulary, corpus, tokens=options.tokens, qc=options.qc))
    return pretrain_encoder(
        TokenCorpus.open(corpus),
        options.pretrain,
        folder=folder / "pretrain",
        seed=options.seed,
        resume=True,
    )


def _columns_of(test: Measured, vocabulary: GeneVocabulary, genes: ScoredGenes) -> np.ndarray:
    """Column of each scored gene in the held-out counts; the first where several are one gene."""
    index = vocabulary.map(test.source.slide.genes).index
    first = {int(gene): column for column, gene in reversed(list(enumerate(index)))}
    return np.array([first[int(gene)] for gene in genes.indices])


def _errors_and_shown(
    predictions: dict[str, np.ndarray], fold: Fold, genes: ScoredGenes
) -> dict[str, Any]:
    """Squared error beside that of the training mean; correlation of the genes to show."""
    from napari_umpire.inference.scores.metrics import pcc_per_gene, squared_error
    from umpire_training.baselines.ridge import colour_ridge

    mean = fold.train_expression().mean(axis=0)
    predictions = {**predictions, "colour-feature ridge": colour_ridge(fold)}
    errors: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    for method, prediction in predictions.items():
        errors[method] = {}
        for name, columns in genes.sets.items():
            found = squared_error(prediction[:, columns], genes.test[:, columns], mean[columns])
            errors[method][name] = {"error": found.model, "training_mean": found.training_mean}
        pcc = pcc_per_gene(prediction, genes.test)
        shown[method] = {name: float(pcc[place]) for name, place in genes.shown.items()}
    return {"squared_error": errors, "shown_genes": shown}


def _brief(rows: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} " + " / ".join(f"{entry['mean']:.3f}" for entry in row.values())
        for name, row in rows.items()
        if "skipped" not in row
    )
