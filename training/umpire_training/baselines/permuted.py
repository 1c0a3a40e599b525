"""The permuted control: the same ridge, trained on spots whose images and counts do not belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from umpire_training.baselines.ridge import colour_ridge

if TYPE_CHECKING:
    from collections.abc import Callable

    from umpire_training.baselines.fold import Fold

__all__ = ["permuted_ridge"]


def permuted_ridge(
    fold: Fold, score: Callable[[np.ndarray], np.ndarray], *, n: int = 20, seed: int = 0
) -> np.ndarray:
    """Scores of ``n`` permutations of the training rows within their slides.

    The chosen genes move together, so one permutation is far from 0; quote mean and spread.

    Parameters
    ----------
    score
        Takes the predicted expression (n_test, n_genes), returns (n_scores,).

    Returns
    -------
    (n, n_scores).
    """
    from napari_umpire.inference.controls import permutation_control

    rows: list[np.ndarray] = []

    def one(order: np.ndarray) -> float:
        rows.append(score(colour_ridge(fold, order)))
        return float(rows[-1].mean())

    permutation_control(one, fold.train_slides(), n=n, seed=seed)
    return np.array(rows)
