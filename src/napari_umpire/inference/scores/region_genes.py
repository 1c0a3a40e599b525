"""Genes that differ between two regions of a slide, predicted and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.genes.blocks import (
    MeasuredBlocks,
    PredictedBlocks,
    block_size,
    blocks,
)
from napari_umpire.inference.scores.agreement import MIN_GENES
from napari_umpire.inference.scores.group_difference import SIDES, compare_groups
from napari_umpire.progress import Progress, Steps
from napari_umpire.words import counted

if TYPE_CHECKING:
    import pandas as pd

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.inference.predictions.prediction import GenePrediction

__all__ = ["RegionGenes", "region_genes", "table_words"]

NOT_INDEPENDENT = (
    "n counts spots, not patients: neighbouring spots share tissue, and are not independent. "
    "So there are no p-values here; a difference found on one slide is a question to ask of "
    "others."
)
SMOOTH = (
    "A predicted value is a mean over reference spots and varies less than a measured one, so its "
    "effect sizes come out larger: compare them with each other, not with measured ones."
)


@dataclass(frozen=True, eq=False)
class RegionGenes:
    """All genes of a slide, A against B.

    Attributes
    ----------
    frame
        Index = key in the slide's `GeneTable`; columns as in `table_words`.
        Largest difference first, of the prediction where there is one.
    a, b
        Names of the two groups of spots.
    sizes
        Spots of (A, B) on each side, "predicted" and "measured".
    left_out
        Spots of (A, B) that the measured side leaves out: fewer than 100 genes.
    shared
        Spots that both groups hold.
    """

    slide: str
    frame: pd.DataFrame
    a: str
    b: str
    sizes: dict[str, tuple[int, int]]
    left_out: tuple[int, int]
    shared: int

    def describe(self) -> str:
        """What was compared, and what the numbers do not say, a line each."""
        genes = counted(len(self.frame), "gene")
        lines = [f"{self.a} against {self.b} on {self.slide}, {genes}, {UNIT}."]
        lines += [self._sizes(side) for side in self.sizes]
        if "measured" not in self.sizes:
            lines.append("Nothing was measured on this slide.")
        if "predicted" not in self.sizes:
            lines.append("Nothing was predicted for this slide yet.")
        if self.shared:
            lines.append(f"{self.shared:,} spots lie in both, and count in both.")
        lines.append(NOT_INDEPENDENT)
        if "predicted" in self.sizes:
            lines.append(SMOOTH)
        for side in self.sizes:
            why = self.frame[f"{side} why"]
            reasons = why[why != ""].value_counts()
            if len(reasons):
                said = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
                lines.append(f"{side.capitalize()}, genes without effect size: {said}.")
        return "\n".join(lines)

    def _sizes(self, side: str) -> str:
        n_a, n_b = self.sizes[side]
        line = f"{side.capitalize()}: {n_a:,} spots of {self.a}, {n_b:,} of {self.b}"
        if side == "measured" and any(self.left_out):
            line += (
                f"; {self.left_out[0]:,} and {self.left_out[1]:,} more have fewer than "
                f"{MIN_GENES} genes and are left out"
            )
        return f"{line}."


def region_genes(
    slide_name: str,
    genes: GeneTable,
    prediction: GenePrediction | None,
    measured: Measured | None,
    a: tuple[str, np.ndarray],
    b: tuple[str, np.ndarray],
) -> Steps[RegionGenes]:
    """Compare two groups of spots, every gene; close the generator to cancel.

    Parameters
    ----------
    genes
        The slide's genes, matched between ``prediction`` and ``measured``.
    a, b
        Name and rows of the spots, (n,) int64, of each group.

    Raises
    ------
    InputError
        Where a group has no spots, both are the same spots, or there is nothing to compare.
    """
    groups = (a, b)
    _check(groups, prediction, measured)
    sizes: dict[str, tuple[int, int]] = {}
    left_out = (0, 0)
    sources: dict[str, tuple[PredictedBlocks | MeasuredBlocks, int]] = {}
    if prediction is not None:
        rows = np.concatenate([a[1], b[1]])
        sources["predicted"] = PredictedBlocks(prediction, rows), len(a[1])
        sizes["predicted"] = len(a[1]), len(b[1])
    if measured is not None:
        good = [rows[measured.detected[rows] >= MIN_GENES] for _, rows in groups]
        sources["measured"] = MeasuredBlocks(measured, np.concatenate(good)), len(good[0])
        sizes["measured"] = len(good[0]), len(good[1])
        left_out = (len(a[1]) - len(good[0]), len(b[1]) - len(good[1]))
    frame = genes.frame[["symbol"]].copy()
    frame["symbol"] = frame["symbol"].where(frame["symbol"] != "", frame.index.to_series())
    n = len(frame)
    found = {
        f"{side} {name}": np.full(n, np.nan) for side in sources for name in SIDES if name != "why"
    }
    why = {side: np.full(n, f"not {side}", object) for side in sources}
    if prediction is not None and prediction.has_evidence:
        why["predicted"][:] = "not in the reference"
    used = max((getattr(source, "n_used", 0) for source, _ in sources.values()), default=0)
    size = block_size(6 * (len(a[1]) + len(b[1])), 2 * used)
    for part in blocks(n, size):
        yield Progress("Comparing genes", part.start, n, "genes")
        for side, (source, n_a) in sources.items():
            names = genes.frame[side].to_numpy(object)[part]
            here = np.flatnonzero(names != "")
            if not len(here):
                continue
            values = source.block(list(names[here]))
            columns, reasons = compare_groups(values[:n_a], values[n_a:])
            for name, column in columns.items():
                found[f"{side} {name}"][here + part.start] = column
            why[side][here + part.start] = reasons
    yield Progress("Comparing genes", n, n, "genes")
    for name in SIDES:
        for side in sources:
            frame[f"{side} {name}"] = why[side] if name == "why" else found[f"{side} {name}"]
    frame["id"] = genes.frame["id"]
    first = next(iter(sources))
    order = np.argsort(
        -np.nan_to_num(np.abs(found[f"{first} difference"]), nan=-1.0), kind="stable"
    )
    shared = len(np.intersect1d(a[1], b[1]))
    return RegionGenes(
        slide_name, frame.iloc[order].rename_axis(None), a[0], b[0], sizes, left_out, shared
    )


def table_words(result: RegionGenes) -> dict[str, str]:
    """The columns of `RegionGenes.frame`, and what they mean."""
    a, b = result.a, result.b
    words = {
        "difference": f"mean of {a} minus mean of {b}, {UNIT}",
        "d": "Cohen's d: the difference over the pooled standard deviation of the spots, no unit",
        "AUC": f"how often a spot of {a} is above one of {b}: 1 always, 0.5 as often as not",
        "mean A": f"mean over the spots of {a}, {UNIT}",
        "mean B": f"mean over the spots of {b}, {UNIT}",
        "n A": f"spots of {a} with a value",
        "n B": f"spots of {b} with a value",
        "why": "why there is no effect size",
    }
    sides = {
        f"{side} {name}": f"{side.capitalize()}: {words[name]}"
        for name in SIDES
        for side in result.sizes
    }
    return {"symbol": "The gene; type its first letters to go there", **sides, "id": "Ensembl id"}


def _check(
    groups: tuple[tuple[str, np.ndarray], tuple[str, np.ndarray]],
    prediction: GenePrediction | None,
    measured: Measured | None,
) -> None:
    for name, rows in groups:
        if not len(rows):
            raise InputError(
                f"{name} holds no spots",
                expected="a region with the centre of at least one spot in it",
                fix="Draw it larger or elsewhere, or choose another region",
            )
    if np.array_equal(np.sort(groups[0][1]), np.sort(groups[1][1])):
        raise InputError(
            f"{groups[0][0]} and {groups[1][0]} hold the same spots",
            fix="Choose two different regions, or compare one with the rest",
        )
    if prediction is None and measured is None:
        raise InputError(
            "There is nothing to compare",
            expected="a slide with counts or a prediction",
            fix="Predict the slide's genes first",
        )
