"""How well predicted classes agree with given ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ClassScores", "Control", "FoldScore", "ProbeScores", "class_scores", "confusion"]


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores over some spots whose class is known.

    Attributes
    ----------
    confusion
        (k, k) int64: rows are the given classes, columns the predicted ones.
    recall
        (k,) share of a class's spots that were given it; NaN of a class without a spot.
    balanced_accuracy
        Mean recall of the classes that have spots.
    weighted_f1
        Mean F1 of the classes, each weighted by its spots.
    """

    confusion: np.ndarray
    recall: np.ndarray
    balanced_accuracy: float
    weighted_f1: float

    @property
    def n(self) -> int:
        """Number of spots."""
        return int(self.confusion.sum())


def confusion(given: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count pairs: (k, k) int64, rows are the given classes."""
    pairs = np.asarray(given) * n_classes + np.asarray(predicted)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def class_scores(table: np.ndarray) -> ClassScores:
    """Scores of a confusion matrix, (k, k), rows the given classes."""
    table = np.asarray(table, np.int64)
    hits, given, said = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    recall = np.divide(hits, given, out=np.full(len(table), np.nan), where=given > 0)
    f1 = np.divide(2 * hits, given + said, out=np.zeros(len(table)), where=given + said > 0)
    total = given.sum()
    return ClassScores(
        table,
        recall,
        float(recall[given > 0].mean()) if total else float("nan"),
        float((f1 * given).sum() / total) if total else float("nan"),
    )


@dataclass(frozen=True)
class FoldScore:
    """One fold: what was held out, of how many spots, and how it went."""

    name: str
    n_train: int
    n_test: int
    balanced_accuracy: float
    weighted_f1: float


@dataclass(frozen=True)
class Control:
    """What is reached without embeddings, in the same folds.

    Attributes
    ----------
    sd
        Standard deviation of the balanced accuracy over permutations; 0 of other controls.
    """

    name: str
    balanced_accuracy: float
    weighted_f1: float
    sd: float = 0.0


@dataclass(frozen=True, eq=False)
class ProbeScores:
    """Scores of a probe on held-out spots, each predicted once, pooled over all folds."""

    classes: tuple[str, ...]
    pooled: ClassScores
    folds: tuple[FoldScore, ...]
    controls: tuple[Control, ...]
    protocol: str

    def to_json(self) -> dict[str, Any]:
        """Everything as numbers, text and lists; a recall that is not defined is None."""
        pooled = self.pooled
        return {
            "classes": list(self.classes),
            "n": pooled.n,
            "balanced_accuracy": pooled.balanced_accuracy,
            "weighted_f1": pooled.weighted_f1,
            "recall": [None if np.isnan(r) else float(r) for r in pooled.recall],
            "confusion": pooled.confusion.tolist(),
            "folds": [vars(fold) for fold in self.folds],
            "controls": [vars(control) for control in self.controls],
            "protocol": self.protocol,
        }

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> ProbeScores:
        """What `to_json` gave; the scores are computed anew from the confusion matrix."""
        return cls(
            tuple(said["classes"]),
            class_scores(np.array(said["confusion"], np.int64)),
            tuple(FoldScore(**fold) for fold in said["folds"]),
            tuple(Control(**control) for control in said["controls"]),
            str(said["protocol"]),
        )
