"""From a patch to its genes: what is predicted at a spot beyond what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from napari_umpire.inference.genes.blocks import PredictedBlocks, block_size, blocks
from napari_umpire.progress import Progress

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.progress import Steps

__all__ = [
    "LEAST_HERE",
    "LEAST_USUAL",
    "USUAL",
    "Against",
    "Usual",
    "genes_of_patch_steps",
    "usual_steps",
]

Against = Literal["slide", "reference"]
USUAL: dict[Against, str] = {
    "slide": "mean and standard deviation of the predicted values over this slide's spots",
    "reference": "mean and standard deviation of the measured values over the reference spots",
}
LEAST_USUAL, LEAST_HERE = 0.1, 0.5
"""log1p CP10k: of a gene that is below both, one count in one reference would make the z."""
_CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class Usual:
    """What is usual of each gene, in the order of the prediction's genes.

    Attributes
    ----------
    against
        Of what: see `USUAL`.
    mean, sd
        (n_genes,) float64 log1p CP10k, n in the denominator; NaN where nothing is known.
    """

    against: Against
    mean: np.ndarray
    sd: np.ndarray


def usual_steps(prediction: Prediction, against: Against) -> Steps[Usual]:
    """Mean and standard deviation of every gene; the same for all spots of the slide."""
    keys = list(prediction.genes.index)
    mean, sd = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    stage = "Finding what is usual"
    if against == "reference":
        reference = prediction.reference
        for number, key in enumerate(keys):
            if number % 100 == 0:
                yield Progress(stage, number, len(keys), "genes")
            values, measured = reference.column(key), reference.measured_by(key)
            known = values if measured is None else values[measured]
            mean[number] = known.mean(dtype=np.float64)
            sd[number] = known.std(dtype=np.float64)
        return Usual(against, mean, sd)
    predicted = PredictedBlocks(prediction)
    for part in blocks(len(keys), block_size(predicted.n_spots, predicted.n_used)):
        yield Progress(stage, part.start, len(keys), "genes")
        values = predicted.block(keys[part]).astype(np.float64)
        there = np.isfinite(values)
        count = there.sum(axis=0)
        total = np.where(there, values, 0.0).sum(axis=0)
        centre = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        apart = np.where(there, values - centre, 0.0)
        mean[part] = centre
        sd[part] = np.sqrt((apart**2).sum(axis=0) / np.maximum(count, 1))
    return Usual(against, mean, sd)


def genes_of_patch_steps(prediction: Prediction, row: int, usual: Usual) -> Steps[pd.DataFrame]:
    """All genes, those first whose predicted value at a spot is furthest above what is usual.

    Returns
    -------
    Index = the prediction's gene key; columns ``gene``, ``z``: (predicted - mean) / sd, NaN for a
    gene that does not vary, is not predicted there, or is below `LEAST_USUAL` as a rule and below
    `LEAST_HERE` here; ``predicted``, ``usual``: log1p CP10k.
    """
    keys = list(prediction.genes.index)
    value = np.empty(len(keys))
    predicted = PredictedBlocks(prediction, np.array([row]))
    for part in blocks(len(keys), 512):
        yield Progress("Reading the genes of the patch", part.start, len(keys), "genes")
        value[part] = predicted.block(keys[part])[0]
    varies = usual.sd > _CONSTANT * np.maximum(1.0, np.abs(usual.mean))
    enough = (usual.mean >= LEAST_USUAL) | (value >= LEAST_HERE)
    z = np.full(len(keys), np.nan)
    np.divide(value - usual.mean, usual.sd, out=z, where=varies & enough)
    symbols = prediction.genes["symbol"].astype(str).to_numpy()
    frame = pd.DataFrame(
        {
            "gene": np.where(symbols != "", symbols, np.array(keys, object)),
            "z": z,
            "predicted": value,
            "usual": usual.mean,
        },
        index=prediction.genes.index,
    )
    return frame.sort_values("z", ascending=False, kind="stable", na_position="last")
