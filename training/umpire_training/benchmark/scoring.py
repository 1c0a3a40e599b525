"""Scores of a prediction of one held-out slide, as they go into the files of a fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umpire_training.benchmark.genes import ScoredGenes

__all__ = ["over_seeds", "score", "score_slide"]


def score(prediction: np.ndarray, truth: np.ndarray, columns: np.ndarray) -> dict[str, Any]:
    """Mean correlation over the genes ``columns``, and how many genes had none."""
    from napari_umpire.inference.scores.metrics import score_fold

    found = score_fold("", prediction[:, columns], truth[:, columns])
    return {"mean": found.mean, "n_genes": found.n_genes, "n_constant": found.n_constant}


def score_slide(prediction: np.ndarray, slide: str, genes: ScoredGenes) -> dict[str, Any]:
    """Correlation and squared error by set of genes, and correlation of the genes to show.

    Parameters
    ----------
    prediction
        (n_spots, n_scored) float; NaN where a gene is not predicted: it counts as one without a
        correlation, and the squared error is that of the others.

    Returns
    -------
    {"sets": set -> `score`, "error": set -> {"error", "training_mean"}, "shown": gene -> float}.
    """
    from napari_umpire.inference.scores.metrics import pcc_per_gene, squared_error

    truth = genes.test[slide]
    mean = np.concatenate(list(genes.train.values())).mean(axis=0)
    there = np.isfinite(prediction).all(axis=0)
    errors: dict[str, Any] = {}
    for name, columns in genes.sets.items():
        kept = columns[there[columns]]
        if len(kept):
            found = squared_error(prediction[:, kept], truth[:, kept], mean[kept])
            errors[name] = {"error": found.model, "training_mean": found.training_mean}
    pcc = pcc_per_gene(prediction, truth)
    return {
        "sets": {name: score(prediction, truth, columns) for name, columns in genes.sets.items()},
        "error": errors,
        "shown": {name: float(pcc[place]) for name, place in genes.shown.items()},
    }


def over_seeds(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Entries of the same slide and set by several seeds as one: their mean, and each value."""
    values = [entry["mean"] for entry in entries]
    return {
        "mean": float(np.mean(values)),
        "values": values,
        "n_genes": entries[0]["n_genes"],
        "n_constant": max(entry["n_constant"] for entry in entries),
    }
