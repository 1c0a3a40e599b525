"""Ridge regression from image features to expression, the plain way to use colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from umpire_training.baselines.fold import ControlFold

__all__ = ["colour_ridge", "fit_ridge", "mean_rgb_ridge", "standardise"]

ALPHA = 100.0
LARGEST_Z = 5.0


def standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z-scores by the training rows, cut at +-5; a feature that is constant there becomes 0.

    A histogram bin that is empty in all training sections but not in the held-out one would
    otherwise be divided by nothing and rule the prediction.

    Parameters
    ----------
    train, test
        (n_train, n_features) and (n_test, n_features).

    Returns
    -------
    The z-scores of both, of the same shapes.
    """
    mean, std = train.mean(axis=0), train.std(axis=0)
    varies = std > 1e-8
    scale = np.where(varies, std, 1.0)

    def z(x: np.ndarray) -> np.ndarray:
        return np.where(varies, np.clip((x - mean) / scale, -LARGEST_Z, LARGEST_Z), 0.0)

    return z(train), z(test)


def fit_ridge(train: np.ndarray, expression: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predicted expression of ``test``, (n_test, n_genes), alpha 100 on standardised features.

    Parameters
    ----------
    train, expression
        (n_train, n_features) and (n_train, n_genes).
    test
        (n_test, n_features).
    """
    from sklearn.linear_model import Ridge

    train, test = standardise(train.astype(np.float64), test.astype(np.float64))
    return Ridge(ALPHA).fit(train, expression).predict(test)


def mean_rgb_ridge(fold: ControlFold) -> np.ndarray:
    """Ridge on the mean colour of the patch alone, (n_test, n_genes)."""
    return fit_ridge(fold.train_colour()[:, :3], fold.train_expression(), fold.test.colour[:, :3])


def colour_ridge(fold: ControlFold, order: np.ndarray | None = None) -> np.ndarray:
    """Ridge on all 62 colour features, (n_test, n_genes).

    Parameters
    ----------
    order
        (n_train_spots,) rows: spot i's image is trained with the expression of spot order[i], for
        the permuted control.
    """
    expression = fold.train_expression()
    if order is not None:
        expression = expression[order]
    return fit_ridge(fold.train_colour(), expression, fold.test.colour)
