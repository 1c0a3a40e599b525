"""`SlideState`: a slide in a viewer, and what is known about it so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.genes.table import GeneTable
from napari_umpire.inference.predictions.prediction import Prediction
from napari_umpire.plugin.layers.raster import SpotRaster, raster_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.genes.signature import Score, Signature
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.plugin.layers.make import Kind
    from napari_umpire.plugin.layers.spot_map import SpotMap
    from napari_umpire.slides.slide import Slide

__all__ = ["EmbeddingKind", "SlideState"]

EmbeddingKind = Literal["image", "genes"]

_GENES_AT_ONCE, _VALUES_AT_ONCE = 200, 500_000
"""Of a signature, what is scored in some 20 ms; more would hold up the window."""


@dataclass(eq=False)
class SlideState:
    """A slide in a viewer, and what is known about it so far.

    Attributes
    ----------
    name
        Its name among the slides of the session, unique.
    image
        The layer that shows it.
    prediction, measured
        None until they were computed, read.
    maps
        What can be laid over it beside genes, by key.
    labels
        Classes of its spots, by name.
    embeddings
        (n_spots, dim) float32 by what was embedded, with the digest of the model.
    signatures
        Key -> signature, those of the session: they are asked for like genes.
    """

    name: str
    slide: Slide
    image: Image
    prediction: GenePrediction | None = None
    measured: Measured | None = None
    maps: dict[str, SpotMap] = field(default_factory=dict, repr=False)
    labels: dict[str, SpotLabels] = field(default_factory=dict, repr=False)
    embeddings: dict[EmbeddingKind, tuple[np.ndarray, str]] = field(
        default_factory=dict, repr=False
    )
    signatures: dict[str, Signature] = field(default_factory=dict, repr=False)
    _genes: GeneTable | None = field(default=None, repr=False)
    _maps: tuple[str, dict[Kind, np.ndarray]] | None = field(default=None, repr=False)
    _spread: tuple[str, np.ndarray | None] | None = field(default=None, repr=False)
    _scores: tuple[str, dict[str, Score]] | None = field(default=None, repr=False)

    @property
    def raster(self) -> SpotRaster:
        """The spot-index raster."""
        return raster_of(self.slide)

    @property
    def genes(self) -> GeneTable:
        """The genes that can be shown."""
        if self._genes is None:
            self._genes = GeneTable.build(
                None if self.prediction is None else self.prediction.genes,
                None if self.measured is None else self.measured.genes,
            )
        return self._genes

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What there is to see of some gene."""
        kinds: list[Kind] = []
        if self.prediction is not None:
            kinds.append("predicted")
        if self.slide.has_counts:
            kinds.append("measured")
        if len(kinds) == 2:
            kinds.append("difference")
        if self.prediction is not None and self.prediction.has_evidence:
            kinds.append("spread")
        return tuple(kinds)

    @property
    def retrieval(self) -> Prediction | None:
        """The prediction where references are behind it; None for one from the image alone."""
        found = self.prediction
        return found if isinstance(found, Prediction) and found.has_evidence else None

    def knows(self, gene: str) -> bool:
        """Whether there is a gene or a signature of this key to show."""
        return gene in self.genes or gene in self.signatures

    def label(self, gene: str) -> str:
        """What a gene, or a signature, is called."""
        signature = self.signatures.get(gene)
        return self.genes.label(gene) if signature is None else signature.name

    def unit(self, gene: str) -> str:
        """Unit of the maps of a gene or a signature."""
        signature = self.signatures.get(gene)
        return UNIT if signature is None else signature.unit

    def gene_maps(self, gene: str) -> dict[Kind, np.ndarray]:
        """Predicted, measured and difference of a gene or a signature, as far as there are.

        Returns
        -------
        Kind -> (n_spots,) float32 in `unit`.
        """
        if self._maps is None or self._maps[0] != gene:
            self._maps = (gene, self._compute_maps(gene) if self.knows(gene) else {})
        return self._maps[1]

    def spread(self, gene: str) -> np.ndarray | None:
        """Weighted standard deviation of a gene over the K references of each spot.

        (n_spots,) float32, log1p CP10k; None for a signature, a gene that is not predicted, and a
        method without references.
        """
        if self._spread is None or self._spread[0] != gene:
            name = str(self.genes.frame.loc[gene, "predicted"]) if gene in self.genes else ""
            values = self.prediction.spread(name) if self.prediction is not None and name else None
            self._spread = (gene, values)
        return self._spread[1]

    def scores(self, gene: str) -> dict[str, Score]:
        """Scores of a signature by kind of map, with how many genes count.

        None while it is `pending`.
        """
        if self.pending(gene):
            return {}
        from napari_umpire.inference.genes.signature import signature_scores

        if self._scores is None or self._scores[0] != gene:
            found = signature_scores(
                self.signatures[gene], self.genes, self.prediction, self.measured
            )
            self._scores = (gene, found)
        return self._scores[1]

    def pending(self, gene: str) -> bool:
        """Whether ``gene`` is a signature that is too large to be scored in the window.

        `keep_scores` brings what the thread made of it.
        """
        signature = self.signatures.get(gene)
        if signature is None or (self._scores is not None and self._scores[0] == gene):
            return False
        n = len(signature.genes)
        return n > _GENES_AT_ONCE or n * self.slide.n_spots > _VALUES_AT_ONCE

    def keep_scores(self, gene: str, scores: dict[str, Score]) -> None:
        """Keep the scores of a signature, by kind of map."""
        self._scores, self._maps = (gene, scores), None

    def _compute_maps(self, gene: str) -> dict[Kind, np.ndarray]:
        maps: dict[Kind, np.ndarray] = {}
        if gene in self.signatures:
            scores = self.scores(gene)
            kinds: tuple[Kind, ...] = ("predicted", "measured", "difference")
            return {kind: scores[kind].values for kind in kinds if kind in scores}
        row = self.genes.frame.loc[gene]
        if self.prediction is not None and row["predicted"]:
            maps["predicted"] = np.asarray(self.prediction.gene_map(row["predicted"]), np.float32)
        if self.measured is not None and row["measured"]:
            maps["measured"] = self.measured.column(row["measured"])
        if len(maps) == 2:
            maps["difference"] = maps["predicted"] - maps["measured"]
        return maps

    def forget_genes(self) -> None:
        """Compute genes and maps anew when next asked for them."""
        self._genes = None
        self.forget_maps()

    def forget_maps(self) -> None:
        """Compute maps anew when next asked for them."""
        self._maps = self._spread = self._scores = None

    def forget_all(self, *, same_spots: bool) -> None:
        """Drop what was computed: the slide itself was replaced.

        Parameters
        ----------
        same_spots
            Whether it has the same spots, so that their counts and their classes still hold.
        """
        self.prediction = None
        self.maps.clear()
        self.embeddings.clear()
        if not same_spots:
            self.measured = None
            self.labels.clear()
        self.forget_genes()
