"""`SlideState`: a slide in a viewer, and what is known about it so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.inference.gene_table import GeneTable
from napari_umpire.plugin.raster import SpotRaster, raster_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_umpire.inference.measured import Measured
    from napari_umpire.inference.prediction import Prediction
    from napari_umpire.inference.spot_labels import SpotLabels
    from napari_umpire.plugin.layers import Kind
    from napari_umpire.plugin.spot_map import SpotMap
    from napari_umpire.slides.slide import Slide

__all__ = ["EmbeddingKind", "SlideState"]

EmbeddingKind = Literal["image", "genes"]


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
    """

    name: str
    slide: Slide
    image: Image
    prediction: Prediction | None = None
    measured: Measured | None = None
    maps: dict[str, SpotMap] = field(default_factory=dict, repr=False)
    labels: dict[str, SpotLabels] = field(default_factory=dict, repr=False)
    embeddings: dict[EmbeddingKind, tuple[np.ndarray, str]] = field(
        default_factory=dict, repr=False
    )
    _genes: GeneTable | None = field(default=None, repr=False)
    _maps: tuple[str, dict[Kind, np.ndarray]] | None = field(default=None, repr=False)

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
        return tuple(kinds)

    def gene_maps(self, gene: str) -> dict[Kind, np.ndarray]:
        """What there is to see of a gene: kind -> (n_spots,) float32, log1p CP10k."""
        if self._maps is None or self._maps[0] != gene:
            self._maps = (gene, self._compute_maps(gene) if gene in self.genes else {})
        return self._maps[1]

    def _compute_maps(self, gene: str) -> dict[Kind, np.ndarray]:
        row = self.genes.frame.loc[gene]
        maps: dict[Kind, np.ndarray] = {}
        if self.prediction is not None and row["predicted"]:
            maps["predicted"] = np.asarray(self.prediction.gene_map(row["predicted"]), np.float32)
        if self.measured is not None and row["measured"]:
            maps["measured"] = self.measured.column(row["measured"])
        if len(maps) == 2:
            maps["difference"] = maps["predicted"] - maps["measured"]
        return maps

    def forget_genes(self) -> None:
        """Compute genes and maps anew when next asked for them."""
        self._genes = self._maps = None

    def forget_all(self) -> None:
        """Drop everything that was computed: the slide itself was replaced."""
        self.prediction = self.measured = None
        self.maps.clear()
        self.labels.clear()
        self.embeddings.clear()
        self.forget_genes()
