"""Pearson correlation of many columns, each centred once and used several times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Centred", "centre", "correlate"]

# Relative to float32, in which expression is kept: smaller ranges are rounding, not variation.
_CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Centred:
    """Columns with their means taken off.

    Attributes
    ----------
    values
        (n, m) float32.
    norm
        (m,) float64, root of the sum of squares of each column; NaN where the column has NaN.
    mean
        (m,) float64.
    constant
        (m,) bool, whether the column does not vary.
    """

    values: np.ndarray
    norm: np.ndarray
    mean: np.ndarray
    constant: np.ndarray

    def take(self, columns: np.ndarray) -> Centred:
        """Some of the columns: their numbers, or a (m,) mask."""
        return Centred(
            np.ascontiguousarray(self.values[:, columns]),
            self.norm[columns],
            self.mean[columns],
            self.constant[columns],
        )


def centre(block: np.ndarray) -> Centred:
    """Centre the columns of ``block``, (n, m) float32 with n above 0."""
    high, low = block.max(axis=0), block.min(axis=0)
    constant = (high - low) <= _CONSTANT * np.maximum(np.abs(high), np.abs(low))
    mean = block.mean(axis=0, dtype=np.float64)
    values = block - mean.astype(np.float32)
    norm = np.sqrt(np.einsum("ng,ng->g", values, values, dtype=np.float64))
    return Centred(values, norm, mean, constant)


def correlate(a: Centred, b: Centred, order: np.ndarray | None = None) -> np.ndarray:
    """Correlation of column i of ``a`` with column i of ``b``, (m,) float64.

    NaN where one of them is constant or has NaN.

    Parameters
    ----------
    order
        Rows of ``b`` in another order, (n,) int64: the permuted control.
    """
    other = b.values if order is None else b.values[order]
    product = np.einsum("ng,ng->g", a.values, other, dtype=np.float64)
    out = np.full(len(product), np.nan)
    defined = ~(a.constant | b.constant) & np.isfinite(a.norm * b.norm) & (a.norm * b.norm > 0)
    np.divide(product, a.norm * b.norm, out=out, where=defined)
    return np.clip(out, -1.0, 1.0)
