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
    from collections.abc import Callable
    from pathlib import Path

    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.model import Model
    from umpire_training.benchmark.genes import ScoredGenes
    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.sections import Measured
    from umpire_training.benchmark.shared import FoldWork
    from umpire_training.options.evaluation import MethodSettings

    Measure = Callable[[Model, FoldWork, Path, int], Any]

__all__ = ["check_method", "prediction_file", "pretrains", "run_row", "train_row"]


def check_method(method: MethodSettings) -> None:
    """Refuse settings that contradict each other, before any work."""
    from napari_umpire.errors import InputError
    from umpire_training.engine.plan import check_numbers
    from umpire_training.options.ranges import check_ranges
    from umpire_training.stages import finetune_checks
    from umpire_training.stages.align import check_settings

    check_ranges(method)
    if method.start:
        finetune_checks.check_settings(method.finetune)
        check_numbers(method.finetune.trainer, "finetune.trainer")
    else:
        check_settings(method.align, pretrained_later=method.first_stage)
        check_numbers(method.align.trainer, "align.trainer")
        if pretrains(method):
            check_numbers(method.pretrain.trainer, "pretrain.trainer")
    if method.prediction == "decoder" and method.start:
        raise InputError(
            "A fine-tuning trains no decoder to predict by",
            got=f"prediction decoder, start {method.start}",
            fix="Set prediction to retrieval, or leave start out",
        )
    if method.prediction == "decoder" and method.align.rec.weight <= 0:
        raise InputError(
            "There is no decoder to predict by",
            got="prediction decoder, rec.weight 0",
            fix="Set rec.weight above 0, or prediction to retrieval",
        )
    alone = not method.start and method.align.contrast.weight == 0
    if method.prediction == "retrieval" and alone:
        raise InputError(
            "A model that is trained by reconstruction alone cannot retrieve",
            got="prediction retrieval, contrast.weight 0",
            fix="Set prediction to decoder, or contrast.weight above 0",
        )


def pretrains(method: MethodSettings) -> bool:
    """Whether each fold has a gene encoder of its own to pre-train."""
    gene = method.align.gene
    own = gene.kind == "visiumformer" and not gene.pretrained and method.first_stage
    return own and method.align.contrast.weight > 0


def run_row(
    work: FoldWork,
    genes: ScoredGenes,
    method: Method,
    seed: int,
    folder: Path,
    *,
    start: Path | None = None,
    keep: bool = True,
    wanted: bool = False,
    measure: Measure | None = None,
) -> dict[str, Any]:
    """Run or read one training of a row.

    Parameters
    ----------
    folder
        Of this row and seed: align/, model/, row.json and, per held-out slide, the prediction.
    start
        The model folder that the row fine-tunes, if it does.
    keep
        Leave reference and checkpoints where they are; else the model alone stays.
    wanted
        Another row starts from the model: where it was removed, it is trained again.
    measure
        What else a table wants to know of the model, its folder and its seed given; must give
        what JSON can hold.

    Returns
    -------
    {"slides": slide -> `score_slide`, "decoded": name of the decoder's row, if there is one ->
    slide -> `score_slide`, "seed", "seconds", "parameters", "more"}.
    """
    done = folder / "row.json"
    if done.is_file() and not (wanted and not (folder / "model").is_dir()):
        return json.loads(done.read_text(encoding="utf-8"))
    started = time.monotonic()
    settings = method.settings
    path = train_row(work, settings, seed, folder, start)
    model = _with_reference(path, work, settings)
    slides, decoded = {}, {}
    for test in work.test:
        prediction = _predict(model, test, settings, genes.ids, work)
        if method.decoder_row:
            by_decoder = replace(settings, prediction="decoder")
            direct = _predict(model, test, by_decoder, genes.ids, work)
            decoded[test.name] = score_slide(direct, test.name, genes)
        with replace_file(prediction_file(folder, test.name)) as written:
            np.save(written, prediction)
        slides[test.name] = score_slide(prediction, test.name, genes)
    result = {
        "slides": slides,
        "decoded": {method.decoder_row: decoded} if method.decoder_row else {},
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "parameters": sum(p.numel() for p in model.module.parameters()),
        "more": measure(model, work, folder, seed) if measure is not None else None,
    }
    with replace_file(done) as written:
        written.write_text(json.dumps(result, indent=1), encoding="utf-8")
    if not keep:
        _thin(folder)
    said = (work.split.name, method.name, seed, result["seconds"])
    logger.info("fold %s, %s, seed %d: %.0f s", *said)
    return result


def train_row(
    work: FoldWork, method: MethodSettings, seed: int, folder: Path, start: str | Path | None
) -> Path:
    """The model folder of a row, trained on the fold's training slides."""
    from umpire_training.stages.align import align_model
    from umpire_training.stages.finetune import finetune_model

    held = " and ".join(m.name for m in work.test) or "nothing"
    common: dict[str, Any] = {
        "folder": folder / "align",
        "model_folder": folder / "model",
        "seed": seed,
        "resume": True,
        "description": f"One fold of an evaluation; {held} was held out.",
    }
    if start is not None:
        return finetune_model(start, work.pairs(method), method.finetune, **common)
    align = method.align
    if pretrains(method):
        encoder = work.encoder(method, seed)
        align = replace(align, gene=replace(align.gene, pretrained=str(encoder)))
    return align_model(work.pairs(method), align, **common)


def _predict(
    model: Model, test: Measured, method: MethodSettings, ids: list[str], work: FoldWork
) -> np.ndarray:
    """(n_test_spots, n_scored_genes) predicted log1p CP10k; NaN where a gene is not predicted."""
    slide = test.source.slide
    found = follow(
        model.predict(
            slide, method=method.prediction, k=method.k, weighting=method.weighting,
            cache=_cache(work, frozen=not (method.start or method.align.vision.train)),
        )
    )  # fmt: skip
    known = set(found.genes.index)
    nothing = np.full(slide.n_spots, np.nan, np.float32)
    return np.stack([found.gene_map(g) if g in known else nothing for g in ids], axis=1)


def prediction_file(folder: Path, slide: str) -> Path:
    """Where `run_row` keeps what it predicted of a slide, (n_spots, n_scored) float32."""
    from umpire_training.benchmark.places import place_name

    return folder / f"prediction-{place_name(slide)}.npy"


def _with_reference(path: Path, work: FoldWork, method: MethodSettings) -> Model:
    from napari_umpire.inference.model import MIN_GENES, load_model

    model = load_model(path, device=work.options.device)
    if method.prediction == "decoder" or model.reference is not None:
        return model
    slides = [m.source.slide for m in work.train]
    # A prediction needs no more; the images of the training slides would take minutes.
    follow(
        model.build_reference(
            slides, path / "reference", image_embeddings=False,
            # The spots are good as the evaluation's own bound has it.
            min_genes=min(MIN_GENES, work.options.qc.min_genes),
            cache=_cache(work, frozen=not (method.start or method.align.gene.train)),
        )
    )  # fmt: skip
    return load_model(path, device=work.options.device)


def _cache(work: FoldWork, *, frozen: bool) -> FeatureCache | None:
    """Features of a trained encoder are of no use to any other row."""
    return work.cache if frozen else None


def _thin(folder: Path) -> None:
    """Remove what only a killed training needs, and the references, which are large."""
    for found in [*folder.glob("align/**/checkpoints"), *folder.glob("align/**/tensorboard")]:
        shutil.rmtree(found, ignore_errors=True)
    shutil.rmtree(folder / "model" / "reference", ignore_errors=True)
