"""The control rows of one fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.inference.scores.reliability import half_expression
from umpire_training.baselines.fold import Skipped
from umpire_training.baselines.permuted import permuted_ridge
from umpire_training.baselines.position import nearest_in_position
from umpire_training.baselines.ridge import colour_ridge, mean_rgb_ridge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import scipy.sparse as sp

    from umpire_training.baselines.fold import ControlFold

__all__ = ["CONTROLS", "control_rows"]

CONTROLS = (
    "permuted training rows",
    "mean-RGB ridge",
    "colour-feature ridge",
    "position only, 8-NN",
    "half-split reliability",
)
"""Names of the rows, in the order of the table."""

Rows = dict[str, dict[str, Any]]


def control_rows(
    fold: ControlFold,
    counts: sp.csr_matrix,
    columns: np.ndarray,
    sets: Mapping[str, np.ndarray],
    score: Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, Any]],
    *,
    permutations: int,
    seed: int,
) -> Rows:
    """Score every control on the held-out section.

    Parameters
    ----------
    counts, columns
        Raw counts of the held-out section over all its genes, and the columns of the scored ones.
    sets
        Name of a set of genes -> its columns among the scored genes.
    score
        (prediction, truth, columns) -> the entry of the table.

    Returns
    -------
    Row -> set -> entry; a row that cannot be had holds {"skipped": reason}.
    """
    truth = fold.test.expression
    rows: Rows = {}

    def add(name: str, prediction: np.ndarray, against: np.ndarray) -> None:
        rows[name] = {s: score(prediction, against, genes) for s, genes in sets.items()}

    def means(prediction: np.ndarray) -> np.ndarray:
        return np.array([score(prediction, truth, g)["mean"] for g in sets.values()])

    if permutations:
        values = permuted_ridge(fold, means, n=permutations, seed=seed)
        rows[CONTROLS[0]] = {
            name: {"mean": float(column.mean()), "values": column.tolist()}
            for name, column in zip(sets, values.T, strict=True)
        }
    add(CONTROLS[1], mean_rgb_ridge(fold), truth)
    add(CONTROLS[2], colour_ridge(fold), truth)
    try:
        add(CONTROLS[3], nearest_in_position(fold), truth)
    except Skipped as reason:
        rows[CONTROLS[3]] = {"skipped": str(reason)}
    add(CONTROLS[4], *half_expression(counts, columns, seed=seed))
    return rows
