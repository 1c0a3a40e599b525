"""A slide's counts as the gene encoder wants them, and as a reference keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

    from napari_umpire.genes.mapping import GeneMapping
    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.models.umpire import UmpireConfig
    from napari_umpire.slides.slide import Slide

__all__ = ["MeasuredGenes"]


@dataclass(frozen=True, eq=False)
class MeasuredGenes:
    """The counts of a slide, columns named by gene.

    Attributes
    ----------
    counts
        (n_spots, n_keys) CSR, raw; columns that are one gene are summed.
    genes
        Index = gene key, columns ``id``, ``symbol``. The key is the vocabulary's id of the gene,
        else its Ensembl id without version, else its symbol; so slides that name genes in
        different ways agree.
    mapping
        Of the slide's own columns to the vocabulary.
    """

    counts: sp.csr_matrix
    genes: pd.DataFrame
    mapping: GeneMapping
    _raw: sp.csr_matrix

    @classmethod
    def of(cls, slide: Slide, vocabulary: GeneVocabulary) -> MeasuredGenes:
        """Name the counts of ``slide``, which checks them.

        Raises
        ------
        InputError
            Where the slide has no counts, they are not raw counts, or no gene is the model's.
        """
        from napari_umpire.genes.columns import sum_columns
        from napari_umpire.genes.mapping import require_mapped

        named = slide.genes
        raw = slide.counts()
        mapping = vocabulary.map(named)
        require_mapped(mapping, where=f"Slide {slide.name}")
        genes, column = _keys(named, mapping)
        return cls(sum_columns(raw, column, len(genes)), genes, mapping, raw)

    @cached_property
    def expression(self) -> sp.csr_matrix:
        """(n_spots, n_keys) float32 log1p CP10k over all genes of the slide."""
        from napari_umpire.genes.normalise import expression

        return expression(self.counts)

    @cached_property
    def n_detected(self) -> np.ndarray:
        """(n_spots,) int, genes with a count, whether or not the model knows them."""
        return np.diff(self.counts.indptr)

    def digest_of(self, rows: np.ndarray) -> str:
        """Digest of the counts of some spots: what gene features depend on beside the encoder."""
        part = self.counts[rows]
        h = hashlib.sha256("\n".join(self.genes.index).encode())
        for array in (part.indptr, part.indices, part.data):
            h.update(array.astype(np.float64).tobytes())
        return h.hexdigest()[:16]

    def inputs(self, config: UmpireConfig, fill: np.ndarray | None = None) -> GeneInputs:
        """What the gene encoder of ``config`` reads, row by row.

        Parameters
        ----------
        fill
            (n_panel,) value of panel genes that the slide did not measure: the training mean,
            which says nothing, rather than 0, which says absent.
        """
        if config.gene.of_panel is not None:
            return GeneInputs(self, config, self._panel(config.gene.of_panel.panel, fill), None)
        return GeneInputs(self, config, None, self.mapping.apply(self._raw))

    def _panel(self, panel: tuple[str, ...], fill: np.ndarray | None) -> np.ndarray:
        column = self.genes.index.get_indexer(pd.Index(panel))
        absent = column < 0
        if absent.all():
            raise InputError(
                "The slide measured none of the genes that the model reads",
                got=", ".join(self.genes.index[:3]),
                expected=", ".join(panel[:3]),
            )
        out = np.zeros((self.counts.shape[0], len(panel)), np.float32)
        out[:, ~absent] = self.expression[:, column[~absent]].toarray()
        if fill is not None:
            out[:, absent] = fill[absent]
        return out


@dataclass(frozen=True, eq=False)
class GeneInputs:
    """Tokens or panel expression of a slide's spots, made for the rows that are asked for."""

    measured: MeasuredGenes
    config: UmpireConfig
    panel: np.ndarray | None
    mapped: sp.csr_matrix | None

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """(b, length) int64 tokens, or (b, n_panel) float32."""
        if self.panel is not None:
            return self.panel[rows]
        from napari_umpire.genes.tokens import rank_tokens

        assert self.mapped is not None  # one of the two is always there
        tokens = self.config.tokens
        return rank_tokens(
            self.mapped[rows],
            self.measured.mapping.vocabulary.means,
            length=tokens.length,
            rounding=tokens.rounding,
        ).astype(np.int64)


def _keys(named: pd.DataFrame, mapping: GeneMapping) -> tuple[pd.DataFrame, np.ndarray]:
    """The gene table of the keys, and for each column of the slide which of them it is."""
    from napari_umpire.genes.columns import table_columns
    from napari_umpire.genes.names import is_ensembl_id

    vocabulary = mapping.vocabulary
    table: dict[str, tuple[str, str]] = {}
    place: dict[str, int] = {}
    column = np.empty(len(named), np.int64)
    names, ids, symbols = table_columns(named)
    for i, (name, gene_id, symbol) in enumerate(zip(names, ids, symbols, strict=True)):
        known = mapping.index[i]
        if known >= 0:
            key = str(vocabulary.ids[known])
            symbol = str(vocabulary.symbols[known]) or symbol
            gene_id = key if is_ensembl_id(key) else gene_id.partition(".")[0]
        else:
            gene_id = gene_id.partition(".")[0]
            key = gene_id or symbol or name
        table.setdefault(key, (gene_id, symbol))
        place.setdefault(key, len(place))
        column[i] = place[key]
    frame = pd.DataFrame.from_dict(table, orient="index", columns=["id", "symbol"])
    return frame, column
