"""Predicted expression of a slide, computed gene by gene when it is looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.inference.finite import check_finite
from napari_umpire.inference.genes.search import GeneIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    import scipy.sparse as sp
    from anndata import AnnData

    from napari_umpire.inference.predictions.record import RunRecord
    from napari_umpire.inference.references.database import ReferenceDatabase

__all__ = ["GenePrediction", "Prediction"]


class GenePrediction(ABC):
    """What every prediction of genes on a slide offers, by whatever method.

    A method implements `_gene_map`, and where it can `_spread` and `evidence`.

    Attributes
    ----------
    slide_name
        Name of the slide.
    spots
        Index = spot id; columns ``y``, ``x`` (full-resolution px) and what else the slide has.
    genes
        Index = gene key, columns ``id`` and ``symbol``.
    record
        How this was made.
    embeddings
        (n_spots, dim) float32 of the slide's spots, where the method has them.
    has_evidence
        Whether `evidence` can say where a value comes from.
    """

    slide_name: str
    spots: pd.DataFrame
    record: RunRecord
    embeddings: np.ndarray | None
    has_evidence: bool = False

    @property
    @abstractmethod
    def genes(self) -> pd.DataFrame:
        """Index = gene key, columns ``id`` and ``symbol``."""

    @abstractmethod
    def _gene_map(self, key: str) -> np.ndarray: ...

    def _spread(self, key: str) -> np.ndarray | None:
        return None

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return len(self.spots)

    @cached_property
    def index(self) -> GeneIndex:
        """Search over the genes, for typing ahead."""
        return GeneIndex(self.genes)

    def find(self, text: str) -> str:
        """The key of the gene called ``text``: key, id, symbol; else `InputError`."""
        return self.index.find(text)

    def gene_map(self, gene: str) -> np.ndarray:
        """Predicted expression of one gene, (n_spots,) float32 log1p CP10k.

        NaN where nothing that the prediction rests on has measured the gene.
        """
        return self._gene_map(self.find(gene))

    def spread(self, gene: str) -> np.ndarray | None:
        """How far the evidence disagrees, (n_spots,) float32; None where the method has none."""
        return self._spread(self.find(gene))

    def evidence(self, spot: str, gene: str | None = None) -> pd.DataFrame:
        """Where the values of one spot come from; an `InputError` where the method cannot say."""
        raise InputError(
            f"The prediction of {self.slide_name} has no evidence",
            expected="a prediction from references",
            fix="This method computes values directly from the image",
        )

    def to_table(self, genes: Sequence[str] | None = None, *, std: bool = False) -> AnnData:
        """Predictions as a table: see `predictions.table.to_table`."""
        from napari_umpire.inference.predictions.table import to_table

        return to_table(self, genes, std=std)


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(GenePrediction):
    """Each spot as a weighted mean of its K most similar references.

    A gene map is W @ expression[:, gene], with W (n_spots, R) of K weights per row, computed when
    asked for. References whose slide did not measure the gene do not count: the others' weights
    are scaled up to sum to 1.

    Attributes
    ----------
    reference
        Where the expression is.
    indices, similarity, weight
        (n_spots, K): reference rows int64, cosine similarity float32, weights float32 with rows
        that sum to 1. Most similar first.
    """

    slide_name: str
    spots: pd.DataFrame
    reference: ReferenceDatabase
    indices: np.ndarray
    similarity: np.ndarray
    weight: np.ndarray
    record: RunRecord
    embeddings: np.ndarray | None = None
    has_evidence: bool = True

    def __post_init__(self) -> None:
        shape = self.indices.shape
        if len(shape) != 2 or shape[0] != len(self.spots) or shape[1] == 0:
            raise ValueError(f"indices {shape} do not fit {len(self.spots)} spots")
        if self.similarity.shape != shape or self.weight.shape != shape:
            raise ValueError(f"{self.similarity.shape}, {self.weight.shape} and {shape} differ")
        check_finite(f"The prediction of {self.slide_name}", self.similarity, self.weight)
        rows = self.indices.min(initial=0), self.indices.max(initial=0)
        if not (0 <= rows[0] <= rows[1] < self.reference.n and _shares(self.weight)):
            raise InputError(
                f"The prediction of {self.slide_name} is damaged",
                got=f"references {rows[0]} to {rows[1]}, or weights that do not sum to 1",
                expected=f"references 0 to {self.reference.n - 1}, weights that sum to 1",
                fix="Predict the slide again",
            )

    def __repr__(self) -> str:
        return (
            f"<Prediction of {self.slide_name!r}: {self.n_spots:,} spots, {len(self.genes):,} "
            f"genes, K={self.k}, mean similarity {float(self.similarity.mean()):.2f}>"
        )

    @property
    def genes(self) -> pd.DataFrame:
        """The genes of the reference: index = gene key, columns ``id`` and ``symbol``."""
        return self.reference.genes

    @cached_property
    def index(self) -> GeneIndex:
        """Search over the genes of the reference."""
        return self.reference.index

    @property
    def k(self) -> int:
        """References per spot."""
        return self.indices.shape[1]

    @property
    def weights(self) -> sp.csr_matrix:
        """W, (n_spots, R) float32 sparse."""
        import scipy.sparse as sp

        indptr = np.arange(self.n_spots + 1) * self.k
        # Copies: sorting happens in place.
        parts = (self.weight.flatten(), self.indices.flatten(), indptr)
        matrix = sp.csr_matrix(parts, shape=(self.n_spots, self.reference.n))
        matrix.sort_indices()
        return matrix

    @property
    def mean_similarity(self) -> np.ndarray:
        """Mean similarity of the K references, (n_spots,) float32: the confidence of a spot."""
        return self.similarity.mean(axis=1)

    @property
    def top_similarity(self) -> np.ndarray:
        """Similarity of the nearest reference, (n_spots,) float32."""
        return self.similarity[:, 0]

    def _values(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """(n, K) expression of the references, and weights over those that measured the gene."""
        values = self.reference.column(key).take(self.indices)
        measured = self.reference.measured_by(key)
        if measured is None:
            return values, self.weight
        weight = self.weight * measured.take(self.indices)
        total = weight.sum(axis=1, keepdims=True)
        scaled = np.full_like(weight, np.nan)
        return values, np.divide(weight, total, out=scaled, where=total > 0)

    def _gene_map(self, key: str) -> np.ndarray:
        values, weight = self._values(key)
        return np.einsum("nk,nk->n", weight, values)

    def _spread(self, key: str) -> np.ndarray:
        """Weighted standard deviation, sqrt(sum_k w_k (v_k - mean)^2)."""
        values, weight = self._values(key)
        centred = values - np.einsum("nk,nk->n", weight, values)[:, None]
        return np.sqrt(np.einsum("nk,nk->n", weight, centred * centred))

    def spread(self, gene: str) -> np.ndarray:
        """Weighted standard deviation of the gene over the K references, (n_spots,) float32."""
        return self._spread(self.find(gene))

    def evidence(self, spot: str, gene: str | None = None) -> pd.DataFrame:
        """The K references behind one spot.

        Returns
        -------
        Index ``rank`` from 1; columns slide, spot, y, x (full-resolution px of that slide),
        similarity, weight and, with ``gene``, value: log1p CP10k, NaN where its slide did not
        measure the gene.
        """
        if spot not in self.spots.index:
            raise InputError(f"Slide {self.slide_name} has no spot {spot}")
        row = self.spots.index.get_loc(spot)
        rows = self.indices[row]
        table = self.reference.spots.iloc[rows][["slide", "spot", "y", "x"]].astype({"slide": str})
        table = table.assign(similarity=self.similarity[row], weight=self.weight[row])
        if gene is not None:
            key = self.find(gene)
            value, measured = self.reference.column(key)[rows], self.reference.measured_by(key)
            table["value"] = value if measured is None else np.where(measured[rows], value, np.nan)
        table.index = pd.RangeIndex(1, len(rows) + 1, name="rank")
        return table

    def save(self, path: str | Path) -> Path:
        """Write to a new ``.npz`` file: see `predictions.file`."""
        from napari_umpire.inference.predictions.file import save

        return save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, reference: ReferenceDatabase | None = None) -> Prediction:
        """Read what `save` wrote; the reference is opened where it was unless one is given."""
        from napari_umpire.inference.predictions.file import load

        return load(Path(path), reference)


def _shares(weight: np.ndarray) -> bool:
    return bool((weight >= 0).all() and (np.abs(weight.sum(axis=1) - 1.0) < 1e-3).all())
