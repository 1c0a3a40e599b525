"""Scores of predicted expression, each with the protocol that gives it a meaning.

A correlation without its protocol (which genes, chosen on which slides, per slide or pooled, of
which values) says nothing, so `Score` cannot be made or shown without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FoldScore",
    "Protocol",
    "Score",
    "SquaredError",
    "markdown_table",
    "pcc_per_gene",
    "score_fold",
    "squared_error",
]

# Relative to float32, in which expression is kept: smaller ranges are rounding, not variation.
_CONSTANT = 1e-6


def _is_constant(values: np.ndarray) -> np.ndarray:
    high, low = values.max(axis=0), values.min(axis=0)
    return (high - low) <= _CONSTANT * np.maximum(np.abs(high), np.abs(low))


def pcc_per_gene(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pearson correlation of every gene over the spots of one slide.

    UMPIRE's eq. 10 divides by variances; that is not a correlation, so this divides by standard
    deviations.

    Parameters
    ----------
    prediction, truth
        (n_spots, n_genes), rows and columns alike, dense.

    Returns
    -------
    (n_genes,) float64; NaN where the gene is constant in the truth or in the prediction.
    """
    p, t = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    if p.shape != t.shape or p.ndim != 2:
        raise ValueError(f"prediction {p.shape} and truth {t.shape} must be the same matrix shape")
    if len(p) < 2:
        return np.full(p.shape[1], np.nan)
    undefined = _is_constant(p) | _is_constant(t) | ~np.isfinite(p + t).all(axis=0)
    p, t = p - p.mean(axis=0), t - t.mean(axis=0)
    norm = np.sqrt((p * p).sum(axis=0) * (t * t).sum(axis=0))
    out = np.full(len(norm), np.nan)
    np.divide((p * t).sum(axis=0), norm, out=out, where=~undefined)
    return np.clip(out, -1.0, 1.0)


@dataclass(frozen=True)
class Protocol:
    """What a score is a score of.

    Attributes
    ----------
    genes
        How the genes were chosen, such as "HEG50".
    chosen_on
        Names of the slides whose counts chose the genes; empty where each fold chose on its own
        training slides.
    unit
        Over what a correlation runs: the spots of one slide, or of all slides pooled.
    values
        What is compared.
    min_genes
        Spots with fewer detected genes were left out of training and scoring.
    split
        How slides were held out.
    """

    genes: str
    chosen_on: tuple[str, ...] = ()
    unit: str = "per gene within the held-out slide"
    values: str = "log1p CP10k over all genes"
    min_genes: int = 100
    split: str = "leave one section out"

    def describe(self) -> str:
        """The protocol in one sentence."""
        where = ", ".join(self.chosen_on) if self.chosen_on else "each fold's training slides"
        return (
            f"Pearson correlation {self.unit}, {self.genes} genes chosen on {where}, "
            f"{self.values}, spots with >= {self.min_genes} genes, {self.split}."
        )


@dataclass(frozen=True)
class FoldScore:
    """The mean correlation of one held-out slide.

    Attributes
    ----------
    mean
        Over the genes whose correlation is defined; NaN where none is.
    n_genes
        How many were asked for.
    n_constant
        How many had none: constant in truth or prediction, and left out of `mean`.
    """

    slide: str
    mean: float
    n_genes: int
    n_constant: int


def score_fold(slide: str, prediction: np.ndarray, truth: np.ndarray) -> FoldScore:
    """Score one held-out slide on already chosen genes; arguments as `pcc_per_gene`."""
    pcc = pcc_per_gene(prediction, truth)
    defined = pcc[np.isfinite(pcc)]
    mean = float(defined.mean()) if len(defined) else float("nan")
    return FoldScore(slide, mean, len(pcc), len(pcc) - len(defined))


@dataclass(frozen=True)
class Score:
    """One row of a comparison: a method's folds under one protocol."""

    method: str
    protocol: Protocol
    folds: tuple[FoldScore, ...]

    def __post_init__(self) -> None:
        if not self.folds:
            raise ValueError(f"a score of {self.method!r} needs at least one fold")

    @property
    def mean(self) -> float:
        """Mean over folds; NaN where a fold has no defined correlation."""
        return float(np.mean([fold.mean for fold in self.folds]))

    @property
    def std(self) -> float:
        """Standard deviation over folds (n - 1); NaN for a single fold."""
        values = [fold.mean for fold in self.folds]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    @property
    def n_constant(self) -> int:
        """Left-out genes, summed over folds."""
        return sum(fold.n_constant for fold in self.folds)

    def to_frame(self) -> pd.DataFrame:
        """One row per fold, the protocol repeated in each, so that no number travels alone."""
        frame = pd.DataFrame([vars(fold) for fold in self.folds])
        frame.insert(0, "method", self.method)
        frame.insert(1, "genes", self.protocol.genes)
        return frame.assign(protocol=self.protocol.describe())


def markdown_table(scores: Sequence[Score]) -> str:
    """A Markdown table, methods x gene sets, mean +- std over folds, protocols stated below it."""
    genes = list(dict.fromkeys(s.protocol.genes for s in scores))
    methods = list(dict.fromkeys(s.method for s in scores))
    cell = {(s.method, s.protocol.genes): s for s in scores}
    lines = [f"| method | {' | '.join(genes)} |", "|---" * (len(genes) + 1) + "|"]
    for method in methods:
        row = []
        for kind in genes:
            score = cell.get((method, kind))
            row.append("" if score is None else _cell(score))
        lines.append(f"| {method} | {' | '.join(row)} |")
    stated = dict.fromkeys(s.protocol.describe() for s in scores)
    lines += ["", "Mean ± standard deviation over folds; (n const.) genes had no correlation."]
    return "\n".join([*lines, *(f"- {sentence}" for sentence in stated)]) + "\n"


def _cell(score: Score) -> str:
    text = f"{score.mean:.3f} ± {score.std:.3f}" if len(score.folds) > 1 else f"{score.mean:.3f}"
    return text + (f" ({score.n_constant} const.)" if score.n_constant else "")


@dataclass(frozen=True)
class SquaredError:
    """Mean squared error of a prediction beside that of always saying the training mean."""

    model: float
    training_mean: float


def squared_error(
    prediction: np.ndarray, truth: np.ndarray, training_mean: np.ndarray
) -> SquaredError:
    """Squared error over spots and genes.

    Parameters
    ----------
    prediction, truth
        (n_spots, n_genes).
    training_mean
        (n_genes,) mean over the training spots.
    """
    p, t = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    mean = np.asarray(training_mean, np.float64)
    return SquaredError(float(np.mean((p - t) ** 2)), float(np.mean((mean[None, :] - t) ** 2)))
