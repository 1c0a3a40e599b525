"""Whether what a gene's query found agrees with what was measured on the slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.genes.blocks import blocks
from napari_umpire.inference.scores.agreement import MIN_GENES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import scipy.sparse as sp

    from napari_umpire.inference.genes.measured import Measured

__all__ = ["Control", "retrieval_control"]

_CONSTANT = 1e-6


@dataclass(frozen=True)
class Control:
    """Correlation of a heat map with the measured expression of the genes it was asked for.

    Attributes
    ----------
    name
        What the genes are called.
    spearman, pearson
        NaN where either side does not vary.
    n_spots, n_left_out
        Spots that count; nearly empty ones that do not.
    n_higher, n_tested
        Of the genes measured here that vary, how many correlate more with the map (Pearson).
    in_reference
        Whether the slide is among the references: then nothing is tested.
    """

    name: str
    spearman: float
    pearson: float
    n_spots: int
    n_left_out: int
    n_higher: int
    n_tested: int
    in_reference: bool = False

    def describe(self) -> str:
        """The numbers and their protocol."""
        where = f"{self.n_spots:,} spots of this slide with ≥ {MIN_GENES} genes"
        if self.n_left_out:
            where += f" ({self.n_left_out:,} left out)"
        if np.isnan(self.pearson):
            return f"Control: none, because {self.name} or the map does not vary over {where}."
        said = (
            f"Control: the map against the measured {self.name} ({UNIT}) over {where}: Pearson "
            f"correlation {self.pearson:.2f}, Spearman {self.spearman:.2f}. Of the "
            f"{self.n_tested:,} genes that vary here {self.n_higher:,} correlate better."
        )
        if self.in_reference:
            said += " The slide is itself in the reference, so this tests nothing."
        return said


def retrieval_control(
    similarity: np.ndarray,
    measured: Measured,
    genes: Sequence[str],
    name: str,
    *,
    in_reference: bool = False,
) -> Control | None:
    """Compare a heat map with what was measured; None where none of the genes was.

    Of several genes the mean of their standardised expression counts, each over the spots used.

    Parameters
    ----------
    similarity
        (n_spots,) the heat map.
    genes
        Keys of ``measured``.
    """
    from scipy.stats import spearmanr

    columns = measured.genes.index.get_indexer(pd.Index(list(genes)))
    columns = columns[columns >= 0]
    if not len(columns):
        return None
    good = (measured.detected >= MIN_GENES) & np.isfinite(similarity)
    n, left_out = int(good.sum()), int((~good).sum())
    nothing = Control(name, np.nan, np.nan, n, left_out, 0, 0, in_reference)
    if n < 3:
        return nothing
    heat = similarity[good].astype(np.float64)
    expression = measured.expression[good]
    x = expression[:, columns].toarray().astype(np.float64)
    if len(columns) > 1:
        sd = x.std(axis=0)
        varies = sd > _CONSTANT
        x = (x[:, varies] - x[:, varies].mean(axis=0)) / sd[varies]
    if not x.shape[1]:
        return nothing
    target = x.mean(axis=1)
    heat = heat - heat.mean()
    if target.std() <= _CONSTANT or heat.std() <= 1e-9:
        return nothing
    pearson = _pearson(heat, target)
    others = _with_all(heat, expression)
    vary = np.isfinite(others)
    own = np.zeros(len(vary), bool)
    own[columns] = True
    higher = int((others[vary & ~own] > pearson).sum())
    spearman = float(spearmanr(heat, target).statistic)
    return Control(name, spearman, pearson, n, left_out, higher, int(vary.sum()), in_reference)


def _with_all(heat: np.ndarray, expression: sp.csc_matrix) -> np.ndarray:
    """Pearson of a centred map with every gene, (n_genes,) float64; NaN where one is constant."""
    n, genes = expression.shape
    out = np.full(genes, np.nan)
    for part in blocks(genes, 512):
        x = expression[:, part].astype(np.float64)
        mean = np.asarray(x.mean(axis=0)).ravel()
        square = np.asarray(x.multiply(x).mean(axis=0)).ravel()
        # Centring the map is enough: sum (h - mean h)(x - mean x) = sum (h - mean h) x.
        product = np.asarray(x.T @ heat).ravel()
        variance = square - mean**2
        scale = np.linalg.norm(heat) * np.sqrt(n * np.maximum(variance, 0.0))
        varies = variance > _CONSTANT * np.maximum(square, _CONSTANT)
        np.divide(product, scale, out=out[part], where=varies)
    return out


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
