"""What the alignment reads: the rows of a paired set as batches, or features that are frozen.

Importing this module imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from umpire_training.corpus.paired_check import check_tokens

if TYPE_CHECKING:
    import scipy.sparse as sp

    from umpire_training.corpus.paired import PairedSet

__all__ = ["Columns", "PairRows"]


@dataclass
class Columns:
    """Some genes' expression of every spot, and how to standardise it.

    Attributes
    ----------
    genes
        (n,) vocabulary indices.
    parts
        Per slide, (n_spots, n) CSR float32.
    mean, std
        (n,) over the training rows; std 1 where a gene never varied there.
    absent
        Per slide, (n,) bool: genes that it did not measure.
    fill
        (n,) what stands in for those: a mean says nothing, where 0 would say that the gene is off.
    """

    genes: np.ndarray
    parts: list[sp.csr_matrix]
    mean: np.ndarray
    std: np.ndarray
    absent: list[np.ndarray]
    fill: np.ndarray

    def rows(self, slide: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Dense (b, n) float32 of the given rows.

        Parameters
        ----------
        slide, row
            (b,) int: number of the slide of each, and the row in it.
        """
        out = np.empty((len(row), len(self.genes)), np.float32)
        for number in np.unique(slide):
            here = slide == number
            found = self.parts[number][row[here]].toarray()
            absent = self.absent[number]
            found[:, absent] = self.fill[absent]
            out[here] = found
        return out

    def standardised(self, slide: np.ndarray, row: np.ndarray) -> np.ndarray:
        """The same as z-scores, (b, n) float32, cut at +-10: one spot must not decide."""
        return np.clip((self.rows(slide, row) - self.mean) / self.std, -10, 10)

    @classmethod
    def of(
        cls,
        expression: list[sp.csr_matrix],
        genes: np.ndarray,
        train: list[np.ndarray],
        measured: list[np.ndarray],
        fill: np.ndarray | None = None,
    ) -> Columns:
        """Cut the columns ``genes`` out of each slide.

        Parameters
        ----------
        expression
            Per slide, (n_spots, n_vocabulary) log1p CP10k.
        genes
            (n,) vocabulary indices.
        train
            Per slide, (n_train_spots,) int: its training rows.
        measured
            Per slide, (n_vocabulary,) bool: `PairedSlide.measured`.
        fill
            (n,); None: the mean over the training rows.
        """
        parts = [part[:, genes].tocsr().astype(np.float32) for part in expression]
        n, total, squares = 0, np.zeros(len(genes)), np.zeros(len(genes))
        for part, rows in zip(parts, train, strict=True):
            x = part[rows].astype(np.float64)
            n += x.shape[0]
            total += np.asarray(x.sum(axis=0)).ravel()
            squares += np.asarray(x.multiply(x).sum(axis=0)).ravel()
        mean = total / n
        std = np.sqrt(np.maximum(squares / n - mean**2, 0))
        std = np.where(std > 1e-6, std, 1.0)
        centre = mean.astype(np.float32)
        absent = [~found[genes] for found in measured]
        return cls(
            np.asarray(genes), parts, centre, std.astype(np.float32), absent,
            centre if fill is None else fill,
        )  # fmt: skip


@dataclass
class PairRows(Dataset):
    """Batches of a paired set: an array of global rows in, a dict of tensors out.

    Rows count through the slides in order. What is cached as features (``image``, ``gene``) is
    not read from disk.

    Attributes
    ----------
    image, gene
        (N, D) float32 features of all spots, or None.
    panel
        The genes that an mlp gene encoder reads, or None.
    space, rec
        The genes of the soft targets and of the reconstruction, or None.
    components
        (n_space, c) principal axes of ``space``, or None.
    reads_genes
        Whether batches hold what the gene encoder reads; a reconstruction alone has none.
    """

    pairs: PairedSet
    image: np.ndarray | None = None
    gene: np.ndarray | None = None
    panel: Columns | None = None
    space: Columns | None = None
    rec: Columns | None = None
    components: np.ndarray | None = None
    reads_genes: bool = True
    _patches: list[np.ndarray] = field(init=False, repr=False)
    _tokens: list[np.ndarray] = field(init=False, repr=False)
    _ends: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._patches = [slide.patches for slide in self.pairs.slides]
        self._tokens = [slide.tokens for slide in self.pairs.slides]
        for slide in self.pairs.slides:
            check_tokens(slide, self.pairs.vocabulary.n_tokens)
        self._ends = np.cumsum([len(tokens) for tokens in self._tokens])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def measured(self) -> list[np.ndarray]:
        """Per slide, (n_vocabulary,) bool: `PairedSlide.measured`."""
        return [slide.measured() for slide in self.pairs.slides]

    @property
    def measured_everywhere(self) -> np.ndarray:
        """Vocabulary indices of the genes that all slides measured, ascending."""
        return np.flatnonzero(np.all(self.measured, axis=0))

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slide number and row in the slide, (b,) int each, of the (b,) global ``rows``."""
        slide = np.searchsorted(self._ends, rows, side="right")
        return slide, rows - np.concatenate([[0], self._ends])[slide]

    def where(self, rows: np.ndarray) -> list[str]:
        """The slide of each row."""
        return [self.pairs.slides[i].name for i in self.locate(rows)[0]]

    def by_slide(self, rows: np.ndarray) -> list[np.ndarray]:
        """Per slide, (n_of_slide,) int: its local rows among the (b,) global ``rows``."""
        slide, row = self.locate(rows)
        return [row[slide == number] for number in range(len(self.pairs.slides))]

    def gene_inputs(self, rows: np.ndarray) -> np.ndarray:
        """What the gene encoder reads: panel (b, n) float32, or tokens (b, length) int64.

        Of the (b,) global ``rows``.
        """
        slide, row = self.locate(rows)
        if self.panel is not None:
            return self.panel.rows(slide, row)
        return _gather(self._tokens, slide, row).astype(np.int64)

    def __getitem__(self, rows: np.ndarray) -> dict[str, Tensor]:
        slide, row = self.locate(rows)
        batch: dict[str, np.ndarray] = {}
        if self.image is not None:
            batch["image_features"] = self.image[rows]
        else:
            batch["pixels"] = _gather(self._patches, slide, row)
        if self.gene is not None:
            batch["gene_features"] = self.gene[rows]
        elif self.reads_genes:
            batch["genes"] = self.gene_inputs(rows)
        if self.space is not None:
            z = self.space.standardised(slide, row)
            batch["space"] = z if self.components is None else z @ self.components
        if self.rec is not None:
            batch["rec"] = self.rec.standardised(slide, row)
        return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in batch.items()}


def _gather(parts: list[np.ndarray], slide: np.ndarray, row: np.ndarray) -> np.ndarray:
    out = np.empty((len(row), *parts[0].shape[1:]), parts[0].dtype)
    for number in np.unique(slide):
        here = slide == number
        out[here] = parts[number][row[here]]
    return out
