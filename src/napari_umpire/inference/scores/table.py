"""`GeneScores`: the genes of a slide, how well each was predicted, and what that rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.scores.agreement import MIN_GENES
from napari_umpire.words import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "MIN_SPOTS", "ControlScores", "GeneScores"]

MIN_SPOTS = 10
"""A correlation over fewer spots is chance."""

COLUMNS = {
    "symbol": "The gene; type its first letters to go there",
    "PCC": "Pearson correlation of predicted and measured over n spots, -1 to 1",
    "n": "Spots that the correlation runs over",
    "mean measured": f"Mean over the counted spots, {UNIT}",
    "mean predicted": f"Mean over the counted spots, {UNIT}",
    "seen %": "Share of the counted spots in which the gene was seen at all",
    "neighbours": "Control: PCC of a spot's measured value with the mean measured value of the "
    "adjacent spots. What position alone tells where this slide is measured",
    "half counts": "PCC of one random half of the counts with the other: how reliable the "
    "measurement of the gene is. That of half the counts, so no strict ceiling",
    "why no PCC": "What stands in the way of a correlation",
    "id": "Ensembl id",
}
"""Columns of `GeneScores.frame`, and what they mean."""


@dataclass(frozen=True)
class ControlScores:
    """What the mean PCC is to be held against.

    Attributes
    ----------
    permuted
        Mean PCC over genes for each permutation of the measured spots; empty: not computed.
    n_permuted_genes
        Genes, drawn at random, that the permutations were done for.
    reliability
        Why there is no correlation of half counts, "" where there is.
    """

    permuted: tuple[float, ...] = ()
    n_permuted_genes: int = 0
    reliability: str = ""

    def brief(self, frame: pd.DataFrame) -> str:
        """The controls that stand beside the score at once, as numbers."""
        scored = frame[frame["PCC"].notna()]
        parts = [f"permuted {np.mean(self.permuted):.3f}"] if self.permuted else []
        for name, column in (("adjacent spots", "neighbours"), ("half counts", "half counts")):
            values = scored[column].dropna()
            if len(values):
                parts.append(f"{name} {values.mean():.3f}")
        return f" (controls: {', '.join(parts)})" if parts else ""

    def describe(self, frame: pd.DataFrame) -> str:
        """The controls in a sentence each; ``frame`` as in `GeneScores`."""
        scored = frame[frame["PCC"].notna()]
        lines = []
        if self.permuted:
            mean, spread = float(np.mean(self.permuted)), float(np.std(self.permuted))
            lines.append(
                f"Controls: measured spots permuted {mean:.3f} ± {spread:.3f} "
                f"({len(self.permuted)} times, {self.n_permuted_genes:,} genes);"
            )
        adjacent = scored["neighbours"].dropna()
        if len(adjacent):
            lines.append(
                f"adjacent spots' measured values {adjacent.mean():.3f} (they know this slide's "
                "measurement, the prediction does not);"
            )
        half = scored["half counts"].dropna()
        if self.reliability or not len(half):
            lines.append(f"reliability not computed: {self.reliability or 'no gene varies'}.")
        else:
            lines.append(f"half of the counts with the other half {half.mean():.3f}.")
        return " ".join(lines)


@dataclass(frozen=True, eq=False)
class GeneScores:
    """The genes of one slide, and how well each was predicted.

    Attributes
    ----------
    slide
        Name of the slide.
    frame
        Index = key in the slide's `GeneTable`, columns `COLUMNS`, best PCC first.
    n_counted, n_left_out
        Spots that count, and those with fewer than 100 genes that do not.
    has_measured, has_predicted
        Whether there was a measurement, a prediction.
    in_reference
        Whether the slide is itself among the references of the prediction.
    controls
        What the mean PCC is to be held against.
    """

    slide: str
    frame: pd.DataFrame
    n_counted: int
    n_left_out: int
    has_measured: bool
    has_predicted: bool
    in_reference: bool
    controls: ControlScores

    def describe(self) -> str:
        """Mean, protocol, controls and what was left out, a line each."""
        genes = counted(len(self.frame), "gene")
        if not self.has_measured:
            return (
                f"Nothing was measured on {self.slide}, so there is no correlation. "
                f"{genes} with their predicted mean over {self.n_counted:,} spots, {UNIT}."
            )
        where = f"the {self.n_counted:,} spots of {self.slide} with ≥ {MIN_GENES} genes"
        if self.n_left_out:
            where += f" ({self.n_left_out:,} left out)"
        if not self.has_predicted:
            return (
                f"Not predicted yet, so there is no correlation. {genes} measured over "
                f"{where}, {UNIT}."
            )
        lines = []
        if self.in_reference:
            lines.append(
                "This slide is itself in the reference: its spots were predicted from "
                "themselves, and the correlation says nothing about a new slide."
            )
        scored = self.frame["PCC"].dropna()
        protocol = f"Pearson correlation per gene over {where}, {UNIT}, all genes of the slide."
        if len(scored):
            lines.append(
                f"Mean PCC {scored.mean():.3f}{self.controls.brief(self.frame)}, median "
                f"{scored.median():.3f} over {counted(len(scored), 'gene')}. {protocol}"
            )
            lines.append(self.controls.describe(self.frame))
        else:
            lines.append(f"No gene has a PCC. {protocol}")
        reasons = self.frame.loc[self.frame["PCC"].isna(), "why no PCC"].value_counts()
        if len(reasons):
            said = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
            have = "has" if reasons.sum() == 1 else "have"
            lines.append(f"{counted(int(reasons.sum()), 'gene')} {have} none: {said}.")
        return "\n".join(lines)
