"""The permuted control: the same ridge, trained on spots whose images and counts do not belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from umpire_training.baselines.ridge import colour_ridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from umpire_training.baselines.fold import ControlFold

__all__ = ["permuted_ridge", "permuted_rows"]


def permuted_rows(slides: np.ndarray, *, n: int, seed: int | Sequence[int]) -> Iterator[np.ndarray]:
    """Yield ``n`` orders of the rows, (n_rows,) int64, each permuted within its slide.

    What differs between slides is kept, so that only the pairing of image and counts is lost.

    Parameters
    ----------
    slides
        (n_rows,) slide of each row.
    """
    codes, _ = pd.factorize(slides)
    rng = np.random.default_rng(seed)
    for _ in range(n):
        order = np.arange(len(codes))
        for code in range(codes.max() + 1):
            rows = np.flatnonzero(codes == code)
            order[rows] = rng.permutation(rows)
        yield order


def permuted_ridge(
    fold: ControlFold, score: Callable[[np.ndarray], np.ndarray], *, n: int = 20, seed: int = 0
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
    orders = permuted_rows(fold.train_slides(), n=n, seed=seed)
    return np.array([score(colour_ridge(fold, order)) for order in orders])
