"""Scores of a prediction of one held-out slide, as they go into the files of a fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umpire_training.benchmark.genes import ScoredGenes

__all__ = ["over_seeds", "score", "score_slide"]


def score(prediction: np.ndarray, truth: np.ndarray, columns: np.ndarray) -> dict[str, Any]:
    """Mean correlation over the genes ``columns``, and how many genes had none.

    A gene that a method does not predict (NaN at all spots) counts as 0, which is what a constant
    would be worth, and is told in ``n_missing``: without it, the mean would be over fewer genes
    than those of the other rows, as a rule easier ones.
    """
    from napari_umpire.inference.scores.metrics import score_fold

    missing = np.isnan(prediction[:, columns]).all(axis=0)
    kept, n_missing = columns[~missing], int(missing.sum())
    mean, n_constant = 0.0, 0
    if len(kept):
        found = score_fold("", prediction[:, kept], truth[:, kept])
        n_scored, n_constant = found.n_genes - found.n_constant, found.n_constant
        mean = found.mean * n_scored / (n_scored + n_missing) if n_scored else found.mean
    entry = {"mean": mean, "n_genes": len(columns), "n_constant": n_constant}
    return entry | ({"n_missing": n_missing} if n_missing else {})


def score_slide(prediction: np.ndarray, slide: str, genes: ScoredGenes) -> dict[str, Any]:
    """Correlation and squared error by set of genes, and correlation of the genes to show.

    Parameters
    ----------
    prediction
        (n_spots, n_scored) float; NaN where a gene is not predicted: its correlation counts as 0,
        its squared error as that of the training mean.

    Returns
    -------
    {"sets": set -> `score`, "error": set -> {"error", "training_mean"}, "shown": gene -> float}.
    """
    from napari_umpire.inference.scores.metrics import pcc_per_gene, squared_error

    truth = genes.test[slide]
    mean = np.concatenate(list(genes.train.values())).mean(axis=0)
    whole = np.where(np.isnan(prediction).all(axis=0), mean, prediction)
    errors: dict[str, Any] = {}
    for name, columns in genes.sets.items():
        found = squared_error(whole[:, columns], truth[:, columns], mean[columns])
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
        "n_missing": max(entry.get("n_missing", 0) for entry in entries),
    }
