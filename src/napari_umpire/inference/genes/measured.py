"""What was measured on a slide, ready to be shown gene by gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.inference.scores.agreement import MIN_GENES
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    import scipy.sparse as sp

    from napari_umpire.slides.slide import Slide

__all__ = ["Measured", "gene_keys", "keyed_counts", "read_measured"]


@dataclass(frozen=True, eq=False)
class Measured:
    """Expression of a slide, by gene.

    Attributes
    ----------
    expression
        (n_spots, n_genes) CSC float32, log1p CP10k over all measured genes.
    genes
        One row per column: index = key (`gene_keys`), columns ``id``, ``symbol``.
    detected
        (n_spots,) number of genes seen in each spot.
    """

    expression: sp.csc_matrix
    genes: pd.DataFrame
    detected: np.ndarray

    def column(self, key: str) -> np.ndarray:
        """Expression of one gene, (n_spots,) float32."""
        number = self.genes.index.get_loc(key)
        return self.expression[:, [number]].toarray().ravel()

    def most_variable(self) -> str:
        """Key of the gene with the largest variance over the spots that are not nearly empty."""
        part = (
            self.expression[self.detected >= MIN_GENES]
            if (self.detected >= MIN_GENES).any()
            else None
        )
        x = self.expression if part is None else part
        mean = np.asarray(x.mean(0)).ravel()
        variance = np.asarray(x.multiply(x).mean(0)).ravel() - mean**2
        return str(self.genes.index[int(variance.argmax())])


def gene_keys(genes: pd.DataFrame) -> pd.Index:
    """What a gene is called where it is shown: its Ensembl id without version, else its symbol.

    Parameters
    ----------
    genes
        Index = name, columns ``id`` and ``symbol``, "" where unknown.
    """
    columns = genes["id"], genes["symbol"], genes.index
    lines = zip(*(column.astype(str).tolist() for column in columns), strict=True)
    return pd.Index(
        [(g.partition(".")[0] if "." in g else g) or symbol or name for g, symbol, name in lines],
        dtype=object,
    )


def keyed_counts(slide: Slide) -> tuple[sp.csr_matrix, pd.DataFrame]:
    """Raw counts by gene key, columns of one gene summed, and the genes as `Measured.genes`.

    Raises
    ------
    InputError
        Where the slide has no counts, or they are not counts.
    """
    from napari_umpire.genes.columns import sum_columns

    codes, keys = pd.factorize(gene_keys(slide.genes))
    counts = sum_columns(slide.counts(), codes, len(keys))
    # Of columns that are one gene, the first one's id and symbol are shown.
    first = np.unique(codes, return_index=True)[1]
    return counts, slide.genes.iloc[first].set_axis(keys, axis=0)


def read_measured(slide: Slide) -> Steps[Measured]:
    """Read, check and normalise the counts of ``slide``; columns of one gene are summed.

    Raises
    ------
    InputError
        Where the slide has no counts, or they are not counts.
    """
    import scipy.sparse as sp

    from napari_umpire.genes.normalise import expression

    yield Progress("Reading the counts", 0, slide.n_spots)
    counts, frame = keyed_counts(slide)
    yield Progress("Normalising the counts", 0, slide.n_spots)
    detected = np.diff(counts.indptr)
    result = Measured(sp.csc_matrix(expression(counts)), frame, detected)
    yield Progress("Normalising the counts", slide.n_spots, slide.n_spots)
    return result
