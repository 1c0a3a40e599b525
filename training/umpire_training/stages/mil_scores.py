"""Scores of a slide status: AUC and weighted F1, pooled and by fold, beside permuted labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["auc", "auc_interval", "majority_f1", "weighted_f1"]

_DRAWS = 1000
_LEAST_FOR_INTERVAL = 5


def auc(codes: np.ndarray, probability: np.ndarray) -> float | None:
    """Area under the ROC curve of the second class, or macro mean of one class against the rest.

    Parameters
    ----------
    codes
        (n,) true classes.
    probability
        (n, n_classes), rows sum to 1.

    Returns
    -------
    None where a class is missing, so that nothing can be ranked above it.
    """
    from sklearn.metrics import roc_auc_score

    n_classes = probability.shape[1]
    if len(np.unique(codes)) < n_classes:
        return None
    ones = [codes == c for c in range(n_classes)]
    which = [1] if n_classes == 2 else range(n_classes)
    return float(np.mean([roc_auc_score(ones[c], probability[:, c]) for c in which]))


def weighted_f1(codes: np.ndarray, probability: np.ndarray) -> float:
    """F1 of the most probable class, averaged over classes by their patients.

    Parameters as in `auc`.
    """
    from sklearn.metrics import f1_score

    called = probability.argmax(axis=1)
    return float(f1_score(codes, called, average="weighted", zero_division=0.0))


def majority_f1(codes: np.ndarray) -> float:
    """Weighted F1 of calling everything the most frequent class: p * 2p / (1 + p), p its share.

    Parameters
    ----------
    codes
        (n,) true classes.
    """
    share = np.bincount(codes).max() / len(codes)
    return float(share * 2 * share / (1 + share))


def auc_interval(
    codes: np.ndarray, probability: np.ndarray, seed: int
) -> tuple[float, float] | None:
    """95 % interval of `auc` by resampling patients within their classes, with replacement.

    None where a class has fewer than five patients: so few say nothing of their own spread.

    Parameters
    ----------
    codes, probability
        (n,) and (n, n_classes), as in `auc`.
    """
    groups = [np.flatnonzero(codes == c) for c in range(probability.shape[1])]
    if min(map(len, groups)) < _LEAST_FOR_INTERVAL:
        return None
    rng = np.random.default_rng([seed, 0xB007])

    def drawn(score: Callable[..., float | None]) -> list[float]:
        values = []
        for _ in range(_DRAWS):
            rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
            value = score(codes[rows], probability[rows])
            assert value is not None  # every class is drawn from
            values.append(value)
        return values

    low, high = np.percentile(drawn(auc), [2.5, 97.5])
    return float(low), float(high)
