"""One range for many genes, so that a colour means the same value in all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.signature import values_of_genes
from napari_umpire.progress import Progress, Steps
from napari_umpire.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.inference.predictions.prediction import GenePrediction

__all__ = ["FixedRange", "fixed_range"]

_GENES = 50
_TRIED = 400
_BLOCK = 50
_PERCENTILE = 99.0


@dataclass(frozen=True)
class FixedRange:
    """0 to the 99th percentile of the values of several genes.

    Attributes
    ----------
    high
        Upper end, log1p CP10k, rounded up to a tenth.
    genes
        Keys of the genes.
    what
        What they are, in words.
    sides
        "predicted", "measured" or both: whose values are pooled.
    """

    high: float
    genes: tuple[str, ...]
    what: str
    sides: tuple[str, ...]

    def describe(self) -> str:
        """The range and where it comes from."""
        return (
            f"Fixed scale, 0 to {self.high:.1f}: 99th percentile of {' and '.join(self.sides)} "
            f"values of {self.what} on this slide."
        )


def fixed_range(
    table: GeneTable,
    prediction: GenePrediction | None,
    measured: Measured | None,
    genes: Sequence[str] = (),
    name: str = "",
) -> Steps[FixedRange]:
    """Find a range that suits several genes of one slide.

    Parameters
    ----------
    genes
        Keys of the genes to compare. Where there are none: the 50 that vary most over the spots
        of the slide, of 400 drawn evenly from the list.
    name
        What these genes are called.

    Raises
    ------
    InputError
        Where nothing was predicted or measured, or no gene varies.
    """
    sources = {"predicted": prediction, "measured": measured}
    there = {side: source for side, source in sources.items() if source is not None}
    keys = [gene for gene in genes if gene in table]
    named, what = bool(keys), f"the {counted(len(keys), 'gene')} of {name}"
    if not named:
        place = np.unique(np.linspace(0, len(table) - 1, min(_TRIED, len(table))).astype(int))
        keys = [str(table.frame.index[i]) for i in place] if len(table) else []
    if not there or not keys:
        raise InputError(
            "There is no gene to find a range from", fix="Predict the slide's genes first"
        )
    columns: dict[str, list[np.ndarray]] = {key: [] for key in keys}
    for side, source in there.items():
        names = table.frame.loc[keys, side]
        known = [key for key in keys if names[key] != ""]
        for a in range(0, len(known), _BLOCK):
            yield Progress("Looking at several genes", a, len(known), "genes")
            some = known[a : a + _BLOCK]
            values = values_of_genes(source, [str(names[key]) for key in some])
            for key, column in zip(some, values.T, strict=True):
                columns[key].append(column)
    if not named:
        chosen = sorted(keys, key=lambda key: -_deviation(columns[key]))[:_GENES]
        keys, what = chosen, f"the {len(chosen):,} genes that vary most, of {len(keys):,} tried,"
    pooled = np.concatenate([column for key in keys for column in columns[key]])
    pooled = pooled[np.isfinite(pooled)]
    high = float(np.percentile(pooled, _PERCENTILE)) if len(pooled) else 0.0
    if high <= 0 and len(pooled):
        high = float(pooled.max())
    if high <= 0:
        raise InputError(
            "These genes are seen in no spot of this slide", fix="Set the range by hand (absolute)"
        )
    return FixedRange(float(np.ceil(high * 10 - 1e-6) / 10), tuple(keys), what, tuple(there))


def _deviation(columns: list[np.ndarray]) -> float:
    """Largest standard deviation over the spots, of the predicted or the measured map."""
    with np.errstate(invalid="ignore"):
        found = [float(c[np.isfinite(c)].std()) for c in columns if np.isfinite(c).any()]
    return max(found, default=0.0)
