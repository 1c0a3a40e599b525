"""The score of a list of genes per spot, shown like a gene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.genes.blocks import PredictedBlocks, blocks
from napari_umpire.inference.genes.lists import resolve
from napari_umpire.progress import Progress, Steps, run
from napari_umpire.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.inference.predictions.prediction import GenePrediction

__all__ = [
    "SCORES",
    "Score",
    "ScoreKind",
    "Signature",
    "score",
    "signature_scores",
    "signature_steps",
    "values_of_genes",
]

ScoreKind = Literal["mean", "z-score"]
SCORES: tuple[ScoreKind, ...] = get_args(ScoreKind)

_BLOCK = 128
"""Genes between two reports: a run can be cancelled after each."""


@dataclass(frozen=True)
class Signature:
    """Genes that are shown as one.

    Attributes
    ----------
    name
        What it is called.
    genes
        Names as the user gave them; each slide finds its own genes by them (`resolve`).
    kind
        "mean": of log1p CP10k; "z-score": each gene standardised over the spots of the slide, then
        the mean.
    """

    name: str
    genes: tuple[str, ...]
    kind: ScoreKind = "mean"

    @property
    def key(self) -> str:
        """By which it is asked for in place of a gene; no gene is called so."""
        return f"signature:{self.name} ({self.kind})"

    @property
    def unit(self) -> str:
        """Of the score."""
        return f"mean {UNIT}" if self.kind == "mean" else "mean z-score"


@dataclass(frozen=True, eq=False)
class Score:
    """A signature on one slide.

    Attributes
    ----------
    values
        (n_spots,) float32; NaN where none of the genes has a value.
    n_genes
        How many genes count.
    n_constant
        Genes left out of a z-score, because they are the same in all spots.
    n_absent
        Names of the signature without a gene in the prediction, or in the measurement.
    """

    values: np.ndarray
    n_genes: int
    n_constant: int = 0
    n_absent: int = 0

    def describe(self) -> str:
        """How many genes count, and why others do not."""
        total = self.n_genes + self.n_constant + self.n_absent
        if self.n_genes == total:
            return counted(total, "gene")
        left = []
        if self.n_constant:
            left.append(f"{self.n_constant:,} do not vary")
        if self.n_absent:
            left.append(f"{self.n_absent:,} not there")
        return f"{self.n_genes:,} of {counted(total, 'gene')} ({', '.join(left)})"


def score(values: np.ndarray, kind: ScoreKind) -> Score:
    """Score of each spot.

    mean: s_i = mean_g x_ig; z-score: s_i = mean_g (x_ig - mean_g) / std_g, with mean and standard
    deviation (n in the denominator) of the gene over the spots that have a value. A gene without
    a value in a spot does not count there.

    Parameters
    ----------
    values
        (n_spots, n_genes) log1p CP10k, NaN where there is no value.
    """
    there = np.isfinite(values)
    if not there.any():
        return Score(np.full(len(values), np.nan, np.float32), 0, n_constant=values.shape[1])
    if there.all():
        return _score_complete(values, kind)
    x = np.where(there, values, 0.0).astype(np.float64)
    count = there.sum(axis=0)
    used = count > 0
    if kind == "z-score":
        centre = x.sum(axis=0) / np.maximum(count, 1)
        x = np.where(there, x - centre, 0.0)
        deviation = np.sqrt((x * x).sum(axis=0) / np.maximum(count, 1))
        used = deviation > _least(centre)
        x /= np.where(used, deviation, 1.0)
    total, n = x[:, used].sum(axis=1), there[:, used].sum(axis=1)
    scores = np.full(len(x), np.nan)
    np.divide(total, n, out=scores, where=n > 0)
    return Score(scores.astype(np.float32), int(used.sum()), int((~used).sum()))


def _score_complete(values: np.ndarray, kind: ScoreKind) -> Score:
    """`score` where no value is missing, without copies of the whole."""
    n, genes = values.shape
    if kind == "mean":
        return Score(values.mean(axis=1, dtype=np.float64).astype(np.float32), genes)
    centre = values.mean(axis=0, dtype=np.float64)
    deviation = np.sqrt(np.square(values - centre.astype(values.dtype)).mean(axis=0, dtype=float))
    used = deviation > _least(centre)
    if not used.any():
        return Score(np.full(n, np.nan, np.float32), 0, genes)
    scale = np.zeros(genes)
    scale[used] = 1.0 / (deviation[used] * used.sum())
    scores = values.astype(np.float64) @ scale - centre @ scale
    return Score(scores.astype(np.float32), int(used.sum()), int((~used).sum()))


def _least(centre: np.ndarray) -> np.ndarray:
    """Deviation that float32 rounding can leave in a gene that does not vary."""
    return 1e-6 * np.maximum(np.abs(centre), 1.0)


def values_of_genes(source: GenePrediction | Measured, keys: Sequence[str]) -> np.ndarray:
    """Values of some genes, (n_spots, n_genes) float32 log1p CP10k, as gene by gene but faster.

    Parameters
    ----------
    keys
        As ``source`` knows them.
    """
    return run(_value_steps(source, keys, len(keys)))


def _value_steps(
    source: GenePrediction | Measured, keys: Sequence[str], size: int
) -> Steps[np.ndarray]:
    """The values of `values_of_genes`, ``size`` genes at a time."""
    from napari_umpire.inference.genes.measured import Measured

    taken = None if isinstance(source, Measured) else PredictedBlocks(source)
    parts = []
    for part in blocks(len(keys), max(1, size)):
        yield Progress("Scoring", part.start, len(keys), "genes")
        names = list(keys[part])
        if taken is not None:
            parts.append(taken.block(names))
        else:
            assert isinstance(source, Measured)
            columns = source.genes.index.get_indexer(pd.Index(names))
            if (columns < 0).any():
                raise KeyError(names[int(np.argmin(columns))])
            parts.append(source.expression[:, columns].toarray())
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def signature_scores(
    signature: Signature,
    table: GeneTable,
    prediction: GenePrediction | None,
    measured: Measured | None,
) -> dict[str, Score]:
    """Scores by kind, as `signature_steps`, at once."""
    return run(signature_steps(signature, table, prediction, measured))


def signature_steps(
    signature: Signature,
    table: GeneTable,
    prediction: GenePrediction | None,
    measured: Measured | None,
) -> Steps[dict[str, Score]]:
    """Scores by kind: "predicted", "measured", and "difference" where there are both.

    The difference is taken over the genes that both have, so that it is of one thing; the other
    two are over all genes that each has.
    """
    found = resolve(signature.genes, table.index)
    rows = table.frame.loc[list(found.keys)]
    sides: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for kind, source in (("predicted", prediction), ("measured", measured)):
        if source is not None:
            there = (rows[kind] != "").to_numpy()
            if there.any():
                names = list(rows[kind][there])
                sides[kind] = there, (yield from _value_steps(source, names, _BLOCK))
    n = len(found.keys) + len(found.missing) + len(found.ambiguous or ())
    scores = {
        kind: replace(score(values, signature.kind), n_absent=n - int(there.sum()))
        for kind, (there, values) in sides.items()
    }
    if len(sides) == 2:
        both = sides["predicted"][0] & sides["measured"][0]
        if both.any():
            shared = [values[:, both[there]] for there, values in sides.values()]
            if signature.kind == "z-score":
                vary = np.all([_varies(side) for side in shared], axis=0)
                shared = [side[:, vary] for side in shared]
            predicted, real = (score(side, signature.kind) for side in shared)
            scores["difference"] = Score(
                predicted.values - real.values,
                predicted.n_genes,
                int(both.sum()) - predicted.n_genes,
                n - int(both.sum()),
            )
    return scores


def _varies(values: np.ndarray) -> np.ndarray:
    """Which genes vary over the spots, as `score` counts them, (n_genes,) bool."""
    there = np.isfinite(values)
    count = np.maximum(there.sum(axis=0), 1)
    x = np.where(there, values, 0.0).astype(np.float64)
    centre = x.sum(axis=0) / count
    deviation = np.sqrt(np.where(there, (x - centre) ** 2, 0.0).sum(axis=0) / count)
    return deviation > _least(centre)
