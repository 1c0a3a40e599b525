"""What the Compare and Regions widgets run in a thread. No Qt here: steps in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.inference.scores.region_genes import RegionGenes
    from napari_umpire.inference.scores.table import GeneScores
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide

__all__ = ["Compared", "Scored", "compare_steps", "score_steps"]


@dataclass(frozen=True, eq=False)
class Scored:
    """The genes of a slide with their scores, and the measurement they were scored with."""

    scores: GeneScores
    measured: Measured | None
    prediction: GenePrediction | None


@dataclass(frozen=True, eq=False)
class Compared:
    """Two groups of spots compared, and with what."""

    result: RegionGenes
    measured: Measured | None
    prediction: GenePrediction | None


def score_steps(
    slide: Slide, prediction: GenePrediction | None, measured: Measured | None
) -> Steps[Scored]:
    """Score every gene of ``slide``; reads its counts where they were not read yet."""
    from napari_umpire.inference.scores.genes import gene_scores

    measured = yield from _measured(slide, measured)
    genes = _genes(prediction, measured)
    scores = yield from gene_scores(slide, genes, prediction, measured)
    return Scored(scores, measured, prediction)


def compare_steps(
    slide: Slide,
    prediction: GenePrediction | None,
    measured: Measured | None,
    a: tuple[str, np.ndarray],
    b: tuple[str, np.ndarray],
) -> Steps[Compared]:
    """Compare two named groups of spots; reads the counts where they were not read yet."""
    from napari_umpire.inference.scores.region_genes import region_genes

    measured = yield from _measured(slide, measured)
    genes = _genes(prediction, measured)
    result = yield from region_genes(slide.name, genes, prediction, measured, a, b)
    return Compared(result, measured, prediction)


def _measured(slide: Slide, measured: Measured | None) -> Steps[Measured | None]:
    from napari_umpire.plugin.runs.predict import measured_steps

    if measured is None and slide.has_counts:
        return (yield from measured_steps(slide))
    return measured


def _genes(prediction: GenePrediction | None, measured: Measured | None) -> GeneTable:
    from napari_umpire.inference.genes.table import GeneTable

    return GeneTable.build(
        None if prediction is None else prediction.genes,
        None if measured is None else measured.genes,
    )
