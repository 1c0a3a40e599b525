"""How well each gene of a slide was predicted, computed in blocks of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.inference.genes.blocks import (
    THREADS,
    MeasuredBlocks,
    PredictedBlocks,
    block_size,
    blocks,
    in_threads,
)
from napari_umpire.inference.predictions.direct import DirectPrediction
from napari_umpire.inference.predictions.prediction import Prediction
from napari_umpire.inference.scores.agreement import MIN_GENES
from napari_umpire.inference.scores.controls import Controls
from napari_umpire.inference.scores.correlation import centre, correlate
from napari_umpire.inference.scores.metrics import pcc_per_gene
from napari_umpire.inference.scores.table import COLUMNS, MIN_SPOTS, GeneScores
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    import pandas as pd

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.table import GeneTable
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.slides.slide import Slide

__all__ = ["gene_scores"]

_NUMBERS = ("PCC", "mean measured", "mean predicted", "seen %", "neighbours", "half counts")


def gene_scores(
    slide: Slide,
    genes: GeneTable,
    prediction: GenePrediction | None,
    measured: Measured | None,
    *,
    reliability: bool = True,
    seed: int = 0,
) -> Steps[GeneScores]:
    """Score every gene of a slide; close the generator to cancel.

    The protocol is that of `agreement`: spots with at least 100 genes, log1p CP10k. Without a
    measurement, or without a prediction, what there is is listed.

    Parameters
    ----------
    genes
        The slide's genes, matched between ``prediction`` and ``measured``.
    reliability
        Whether to correlate two halves of the counts; reads them again.
    """
    rows = np.arange(slide.n_spots)
    if measured is not None:
        rows = np.flatnonzero(measured.detected >= MIN_GENES)
    yield Progress("Preparing the genes", 0, len(genes), "genes")
    scorer = _Scorer(slide, genes, prediction, measured, rows, seed)
    if len(rows):
        if reliability and scorer.compares:
            yield from scorer.controls.split_counts()
        parts = blocks(len(genes), scorer.block_size)
        for part in in_threads(scorer.take, parts, scorer.threads):
            yield Progress("Scoring genes", part.start, len(genes), "genes")
    yield Progress("Scoring genes", len(genes), len(genes), "genes")
    return scorer.result()


class _Scorer:
    """Fills the columns of the table, a block of genes at a time."""

    def __init__(
        self,
        slide: Slide,
        genes: GeneTable,
        prediction: GenePrediction | None,
        measured: Measured | None,
        rows: np.ndarray,
        seed: int,
    ) -> None:
        self._slide, self._genes, self._rows = slide, genes, rows
        self._prediction, self._measured = prediction, measured
        self.compares = prediction is not None and measured is not None
        self._names = {
            kind: genes.frame[kind].to_numpy(object) for kind in ("predicted", "measured")
        }
        both = (self._names["predicted"] != "") & (self._names["measured"] != "")
        self.controls = Controls(slide, rows, np.flatnonzero(both), seed)
        self._predicted_by = None if prediction is None else PredictedBlocks(prediction, rows)
        self._measured_by = None if measured is None else MeasuredBlocks(measured, rows)
        self._found = {name: np.full(len(genes), np.nan) for name in _NUMBERS}
        self._n = np.zeros(len(genes), np.int64)
        self._why = np.full(len(genes), "", object)

    @property
    def block_size(self) -> int:
        """Genes to take at once."""
        used = 0 if self._predicted_by is None else self._predicted_by.n_used
        return block_size(*self.threads * (8 * len(self._rows), 2 * used))

    @property
    def threads(self) -> int:
        """Blocks to take at once; other methods need not bear being asked from several threads."""
        return THREADS if isinstance(self._prediction, Prediction | None) else 1

    def take(self, part: slice) -> None:
        """Compute the genes ``part``."""
        numbers = np.arange(part.start, part.stop)
        p_names, m_names = self._names["predicted"][part], self._names["measured"][part]
        has_p, has_m = p_names != "", m_names != ""
        found = self._found
        if self._predicted_by is not None and has_p.any():
            predicted = self._predicted_by.block(list(p_names[has_p]))
            p = centre(predicted)
            found["mean predicted"][numbers[has_p]] = p.mean
        if self._measured_by is not None and has_m.any():
            measured = self._measured_by.block(list(m_names[has_m]))
            m = centre(measured)
            found["mean measured"][numbers[has_m]] = m.mean
            found["seen %"][numbers[has_m]] = 100 * (measured > 0).mean(axis=0)
        both = has_p & has_m
        if not self.compares or not both.any():
            return
        in_p, in_m, which = both[has_p], both[has_m], numbers[both]
        if not in_p.all():
            predicted, p = predicted[:, in_p], p.take(in_p)
        if not in_m.all():
            measured, m = measured[:, in_m], m.take(in_m)
        self._n[which] = len(self._rows)
        found["PCC"][which] = correlate(p, m)
        found["neighbours"][which] = self.controls.neighbours(measured, m)
        found["half counts"][which] = self.controls.half_counts(list(m_names[both]))
        self.controls.permute(which, p, m)
        self._why[which[p.constant]] = "constant in the prediction"
        self._why[which[m.constant]] = "constant in the measurement"
        self._why[which[m.constant & (m.mean == 0)]] = "not seen in the counted spots"
        for column in np.flatnonzero(np.isnan(p.mean)):
            self._score_part(which[column], predicted[:, column], measured[:, column])

    def _score_part(self, gene: int, predicted: np.ndarray, measured: np.ndarray) -> None:
        """A gene that no reference of some spots has measured: only the other spots count."""
        known = np.isfinite(predicted)
        self._n[gene] = n = int(known.sum())
        if n:
            p, m = predicted[known, None], measured[known, None]
            self._found["mean predicted"][gene] = p.mean(dtype=np.float64)
            self._found["PCC"][gene] = pcc_per_gene(p, m)[0]
            constant = np.ptp(m) == 0
            self._why[gene] = f"constant in the {'measurement' if constant else 'prediction'}"

    def result(self) -> GeneScores:
        """The table, best PCC first."""
        pcc, why = self._found["PCC"], self._why
        few = (self._n < MIN_SPOTS) & (self._names["predicted"] != "")
        pcc[few] = np.nan
        why[few] = f"fewer than {MIN_SPOTS} spots"
        why[self._names["predicted"] == ""] = self._unpredicted()
        why[self._names["measured"] == ""] = "not measured"
        why[np.isfinite(pcc)] = ""
        frame: pd.DataFrame = self._genes.frame[["symbol", "id"]].assign(n=self._n, **self._found)
        frame["symbol"] = frame["symbol"].where(frame["symbol"] != "", frame.index.to_series())
        frame["why no PCC"] = why
        order = np.argsort(-np.nan_to_num(pcc, nan=-np.inf), kind="stable")
        return GeneScores(
            slide=self._slide.name,
            frame=frame[list(COLUMNS)].iloc[order].rename_axis(None),
            n_counted=len(self._rows),
            n_left_out=self._slide.n_spots - len(self._rows),
            has_measured=self._measured is not None,
            has_predicted=self._prediction is not None,
            in_reference=self._in_reference(),
            controls=self.controls.result(),
        )

    def _unpredicted(self) -> str:
        if self._prediction is None:
            return "not predicted yet"
        if isinstance(self._prediction, DirectPrediction):
            return "not in the decoder"
        return "not in the reference" if self._prediction.has_evidence else "not predicted"

    def _in_reference(self) -> bool:
        if not isinstance(self._prediction, Prediction):
            return False
        slides = self._prediction.reference.info.slides
        return self._slide.digest in {slide.digest for slide in slides}
