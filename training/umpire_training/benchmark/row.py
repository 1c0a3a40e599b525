"""One row of one fold: train, predict the held-out slides, score; kept, so that it is done once."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.files import replace_file
from umpire_training.benchmark.scoring import score_slide
from umpire_training.console import follow
from umpire_training.run_folder import logger

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.inference.model import Model
    from umpire_training.benchmark.genes import ScoredGenes
    from umpire_training.benchmark.sections import Measured
    from umpire_training.benchmark.shared import FoldWork
    from umpire_training.options.evaluation import MethodSettings

__all__ = ["check_method", "prediction_file", "run_row", "train_row"]


def check_method(method: MethodSettings) -> None:
    """Refuse settings that contradict each other, before any work."""
    from napari_umpire.errors import InputError
    from umpire_training.stages.align import check_settings

    check_settings(method.align, pretrained_later=method.first_stage)
    if method.read == "decoder" and method.align.rec.weight <= 0:
        raise InputError(
            "There is no decoder to read expression with",
            got="read decoder, align.rec.weight 0",
            fix="Set align.rec.weight above 0, or read from the reference",
        )


def run_row(
    work: FoldWork,
    genes: ScoredGenes,
    name: str,
    method: MethodSettings,
    seed: int,
    folder: Path,
    *,
    keep_model: bool,
) -> dict[str, Any]:
    """Run or read one training of a row.

    Parameters
    ----------
    folder
        Of this row and seed: align/, model/, scores.json and, per held-out slide, the prediction.
    keep_model
        Leave reference and checkpoints where they are; else only scores and predictions stay.

    Returns
    -------
    {"slides": slide -> scores of `score_slide`, "seconds", "parameters": trained and whole}.
    """
    done = folder / "row.json"
    if done.is_file():
        return json.loads(done.read_text(encoding="utf-8"))
    started = time.monotonic()
    path = train_row(work, method, seed, folder)
    model = _with_reference(path, work, method)
    slides = {}
    for test in work.test:
        prediction = predict(model, test, method, genes.ids, work)
        with replace_file(prediction_file(folder, test.name)) as written:
            np.save(written, prediction)
        slides[test.name] = score_slide(prediction, test.name, genes)
    result = {
        "slides": slides,
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "parameters": sum(p.numel() for p in model.module.parameters()),
    }
    with replace_file(done) as written:
        written.write_text(json.dumps(result, indent=1), encoding="utf-8")
    if not keep_model:
        _thin(folder)
    logger.info("fold %s, %s, seed %d: %.0f s", work.split.name, name, seed, result["seconds"])
    return result


def train_row(work: FoldWork, method: MethodSettings, seed: int, folder: Path) -> Path:
    """The model folder of a row, trained on the fold's training slides."""
    from umpire_training.stages.align import align_model

    align = method.align
    gene = align.gene
    if gene.kind == "visiumformer" and gene.pretrained is None and method.first_stage:
        encoder = work.encoder(method, seed)
        align = replace(align, gene=replace(gene, pretrained=str(encoder)))
    held = " and ".join(m.name for m in work.test)
    return align_model(
        work.pairs(method.tokens),
        align,
        folder=folder / "align",
        model_folder=folder / "model",
        seed=seed,
        resume=True,
        description=f"One fold of an evaluation; {held} was held out.",
    )


def predict(
    model: Model, test: Measured, method: MethodSettings, ids: list[str], work: FoldWork
) -> np.ndarray:
    """(n_test_spots, n_scored_genes) predicted log1p CP10k; NaN where a gene is not predicted."""
    slide = test.source.slide
    cache = None if method.align.vision.train else work.cache
    found: Any
    if method.read == "decoder":
        found = follow(model.predict(slide, method="decoder", cache=cache))
    else:
        found = follow(model.predict(slide, k=method.k, weighting=method.weighting, cache=cache))
    known = set(found.genes.index)
    nothing = np.full(slide.n_spots, np.nan, np.float32)
    return np.stack([found.gene_map(g) if g in known else nothing for g in ids], axis=1)


def prediction_file(folder: Path, slide: str) -> Path:
    """Where `run_row` keeps what it predicted of a slide, (n_spots, n_scored) float32."""
    from napari_umpire.slides.elements import element_name

    return folder / f"prediction-{element_name(slide)}.npy"


def _with_reference(path: Path, work: FoldWork, method: MethodSettings) -> Model:
    from napari_umpire.inference.model import load_model

    model = load_model(path, device=work.options.device)
    if method.read == "decoder" or model.reference is not None:
        return model
    slides = [m.source.slide for m in work.train]
    # A prediction needs no more; the images of the training slides would take minutes.
    follow(model.build_reference(slides, path / "reference", image_embeddings=False))
    return load_model(path, device=work.options.device)


def _thin(folder: Path) -> None:
    """Remove what only a killed training needs, and the references, which are large."""
    for found in [*folder.glob("align/**/checkpoints"), *folder.glob("align/**/tensorboard")]:
        shutil.rmtree(found, ignore_errors=True)
    shutil.rmtree(folder / "model" / "reference", ignore_errors=True)
