"""How well a predicted gene agrees with what was measured on the same slide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.scores.metrics import pcc_per_gene

__all__ = ["MIN_GENES", "Agreement", "agreement"]

MIN_GENES = 100
"""Spots with fewer genes are nearly empty and count for nothing."""


@dataclass(frozen=True)
class Agreement:
    """Pearson correlation of one gene over the spots of one slide.

    Attributes
    ----------
    pcc
        NaN where the gene does not vary.
    n_spots, n_left_out
        Spots that count, and nearly empty ones that do not: a single count in one of them
        would be worth more than any real difference.
    """

    pcc: float
    n_spots: int
    n_left_out: int

    def describe(self, unit: str = UNIT) -> str:
        """The number and its protocol; ``unit`` of the values."""
        where = f"{self.n_spots:,} spots of this slide with ≥ {MIN_GENES} genes"
        if self.n_left_out:
            where += f" ({self.n_left_out:,} left out)"
        if np.isnan(self.pcc):
            return f"No correlation: the gene does not vary over {where}."
        return f"Pearson correlation {self.pcc:.2f} over {where}, {unit}."


def agreement(predicted: np.ndarray, measured: np.ndarray, detected: np.ndarray) -> Agreement:
    """Correlate one gene.

    Parameters
    ----------
    predicted, measured
        (n_spots,) log1p CP10k.
    detected
        (n_spots,) number of genes seen in each spot.
    """
    good = (detected >= MIN_GENES) & np.isfinite(predicted) & np.isfinite(measured)
    pcc = pcc_per_gene(predicted[good, None], measured[good, None])
    return Agreement(float(pcc[0]), int(good.sum()), int((~good).sum()))
