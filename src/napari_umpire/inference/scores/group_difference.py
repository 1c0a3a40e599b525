"""Two groups of spots, gene by gene: means, difference, effect size, AUC."""

from __future__ import annotations

import numpy as np

__all__ = ["SIDES", "compare_groups"]

SIDES = ("difference", "d", "AUC", "mean A", "mean B", "n A", "n B", "why")
"""What is found for each gene."""

_CONSTANT = 1e-6


def compare_groups(a: np.ndarray, b: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Compare each column of ``a`` with that of ``b``; NaN is left out.

    Cohen's d is the difference of the means over the pooled standard deviation,
    ``sqrt(((n_a - 1) s_a^2 + (n_b - 1) s_b^2) / (n_a + n_b - 2))``; the AUC is P(a > b) plus half
    of P(a = b).

    Parameters
    ----------
    a, b
        (n_a, m) and (n_b, m) float.

    Returns
    -------
    `SIDES` without "why", each (m,) float64, and why a gene has no d, (m,) str, "" where it has.
    """
    n_a, n_b = np.isfinite(a).sum(axis=0), np.isfinite(b).sum(axis=0)
    mean_a, squares_a = _moments(a, n_a)
    mean_b, squares_b = _moments(b, n_b)
    difference = mean_a - mean_b
    enough = (n_a >= 2) & (n_b >= 2)
    high = np.fmax(_most(a), _most(b))
    pooled = np.sqrt((squares_a + squares_b) / np.maximum(n_a + n_b - 2, 1))
    # Against rounding: expression is kept as float32.
    varies = pooled > _CONSTANT * np.nan_to_num(high)
    d = np.full(a.shape[1], np.nan)
    np.divide(difference, pooled, out=d, where=enough & varies)
    why = np.full(a.shape[1], "", object)
    why[~varies] = "constant within both"
    why[~enough] = "fewer than 2 spots of one side"
    why[(n_a == 0) | (n_b == 0)] = "no value on one side"
    auc = _auc(a, b)
    # One value throughout, but for rounding: neither side is above.
    auc[~varies & (np.abs(difference) <= _CONSTANT * high)] = 0.5
    numbers = {
        "difference": difference,
        "d": d,
        "AUC": auc,
        "mean A": mean_a,
        "mean B": mean_b,
        "n A": n_a.astype(float),
        "n B": n_b.astype(float),
    }
    return numbers, why


def _moments(x: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, NaN where there is no value, and sum of squared deviations, of each column."""
    total = np.nansum(x, axis=0, dtype=np.float64)
    mean = np.full(x.shape[1], np.nan)
    np.divide(total, n, out=mean, where=n > 0)
    centred = np.nan_to_num(x - mean.astype(x.dtype))
    return mean, np.einsum("ng,ng->g", centred, centred, dtype=np.float64)


def _most(x: np.ndarray) -> np.ndarray:
    return np.abs(np.nan_to_num(x)).max(axis=0, initial=0.0)


def _auc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often a value of ``a`` is above one of ``b``, ties half; NaN where a side is empty."""
    # The smaller side is looked up in the larger one, both sorted; NaN sorts last.
    flipped = len(a) > len(b)
    few, many = (b, a) if flipped else (a, b)
    few, many = np.sort(few.T, axis=1), np.sort(many.T, axis=1)
    out = np.full(len(few), np.nan)
    for gene, (one, other) in enumerate(zip(few, many, strict=True)):
        one = one[: len(one) - np.count_nonzero(np.isnan(one))]
        other = other[: len(other) - np.count_nonzero(np.isnan(other))]
        if len(one) and len(other):
            below = np.searchsorted(other, one).sum(dtype=np.float64)
            not_above = np.searchsorted(other, one, side="right").sum(dtype=np.float64)
            out[gene] = (below + not_above) / 2 / (len(one) * len(other))
    return 1.0 - out if flipped else out
