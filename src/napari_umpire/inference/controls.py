"""What chance scores: the control that stands beside every score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Control", "permutation_control"]


@dataclass(frozen=True)
class Control:
    """Scores after the pairing of images and counts was destroyed.

    One permutation is not "about 0", because the chosen genes move together: quote the spread.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over permutations."""
        return float(np.mean(self.values))

    @property
    def std(self) -> float:
        """Standard deviation over permutations (n - 1)."""
        return float(np.std(self.values, ddof=1))

    @property
    def highest(self) -> float:
        """The best that chance did."""
        return max(self.values)


def permutation_control(
    score: Callable[[np.ndarray], float],
    groups: Sequence[object] | np.ndarray,
    *,
    n: int = 20,
    seed: int = 0,
) -> Control:
    """Score ``n`` times with training rows permuted within their slide.

    Parameters
    ----------
    score
        Takes row numbers (n_rows,) int64, such that row i's image is to be trained with the counts
        of row ``order[i]``; trains, predicts and returns one number.
    groups
        (n_rows,) slide of each row: permuting within slides keeps what differs between slides.
    """
    if n < 2:
        raise ValueError("a control needs at least two permutations, its spread is the point")
    codes, _ = pd.factorize(np.asarray(groups))
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(n):
        order = np.arange(len(codes))
        for code in range(codes.max() + 1):
            rows = np.flatnonzero(codes == code)
            order[rows] = rng.permutation(rows)
        values.append(float(score(order)))
    return Control(tuple(values))
