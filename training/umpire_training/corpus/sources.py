"""Where counts come from: one small class per kind of file, all read in parts of bounded size.

A source is light: it names a section and opens it when it is read, so that a thousand of them fit a
list and each can be sent to another process.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError, UmpireWarning
from umpire_training.corpus.qc import passes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import scipy.sparse as sp

    from napari_umpire.slides.slide import Slide
    from umpire_training.corpus.images import SpotImages
    from umpire_training.options import QcOptions

__all__ = [
    "Chunk",
    "CountFile",
    "Part",
    "SlideSource",
    "Source",
    "Unreadable",
    "stem",
    "warn_of_names",
]


@dataclass(frozen=True)
class Chunk:
    """Some spots in tissue of a source, whatever their quality.

    Attributes
    ----------
    counts
        (n_spots, n_genes) canonical CSR of raw counts.
    genes
        Index = name, columns ``id`` and ``symbol``, as `Slide.genes`; one object for all chunks.
    spots
        (n_spots,) ids.
    rows
        (n_spots,) int64 rows in the source.
    outside
        Spots beside the tissue that were left out here.
    """

    counts: sp.csr_matrix
    genes: pd.DataFrame
    spots: np.ndarray
    rows: np.ndarray
    outside: int = 0


@dataclass(frozen=True)
class Part:
    """The spots of a `Chunk` that passed quality control, of ``n_seen`` spots in tissue."""

    counts: sp.csr_matrix
    genes: pd.DataFrame
    spots: np.ndarray
    rows: np.ndarray
    n_seen: int


@dataclass(frozen=True)
class Source(ABC):
    """One section's counts.

    Attributes
    ----------
    name
        Short and unique within a corpus.
    path
        What was opened.
    species
        What the collection's own table says; "" where it says nothing.
    technology
        The same of the technology.
    """

    name: str
    path: str
    species: str = field(default="", kw_only=True)
    technology: str = field(default="", kw_only=True)

    layout: ClassVar[str]
    """What kind of file it is, for people."""

    def chunks(self) -> Iterator[Chunk]:
        """All spots in tissue, in order, checked to be raw counts."""
        from napari_umpire.genes import check_counts

        for chunk in self._raw():
            counts = check_counts(
                chunk.counts, genes=chunk.genes.index, spots=pd.Index(chunk.spots), where=self.path
            )
            spots = np.asarray(chunk.spots).astype(str)
            yield Chunk(counts, chunk.genes, spots, chunk.rows, chunk.outside)

    def parts(self, qc: QcOptions) -> Iterator[Part]:
        """The spots that pass ``qc``, in order, checked."""
        for chunk in self.chunks():
            keep = np.flatnonzero(passes(chunk.counts, qc))
            yield Part(
                chunk.counts[keep],
                chunk.genes,
                chunk.spots[keep],
                chunk.rows[keep],
                chunk.counts.shape[0],
            )

    @abstractmethod
    def _raw(self) -> Iterator[Chunk]:
        """Chunks of bounded size, as they are in the file."""

    def images(self) -> SpotImages:
        """The image half of the section, for a paired set.

        Raises
        ------
        InputError
            Where it has none, or one that is not of these spots.
        """
        from umpire_training.corpus.images import SlideImages

        return SlideImages(self.whole_image())

    def whole_image(self) -> Slide:
        """The section's image and the places of its spots as a slide, whose counts may be absent.

        Raises
        ------
        InputError
            As `images`.
        """
        raise InputError(
            f"{self.path} has no image",
            expected="slides with an image",
            fix="Name it with --counts",
        )

    def files(self) -> tuple[Path, ...]:
        """What must not change between two reads of the source."""
        return (Path(self.path),)


@dataclass(frozen=True)
class SlideSource(Source):
    """Any slide with counts that `open_slides` reads.

    Attributes
    ----------
    opened
        The slide where it is open already; else it is opened each time it is read.
    region, mpp
        As in `open_slides`.
    """

    opened: Slide | None = None
    region: str | None = None
    mpp: float | None = None

    layout: ClassVar[str] = "slide"

    @property
    def slide(self) -> Slide:
        """The slide, opened."""
        if self.opened is not None:
            return self.opened
        from napari_umpire.slides.open import open_slide

        slide = open_slide(self.path, region=self.region, mpp=self.mpp)
        _must_have_counts(slide, self.path)
        return slide

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens the slide anew; its arrays are not sent there.
        return {**self.__dict__, "opened": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _raw(self) -> Iterator[Chunk]:
        slide = self.slide
        counts = slide.counts()
        rows = np.arange(counts.shape[0])
        yield Chunk(counts, slide.genes, np.asarray(slide.spots.index), rows)

    def whole_image(self) -> Slide:
        """The slide itself."""
        return self.slide


@dataclass(frozen=True)
class CountFile(Source):
    """A count table of the legacy Spatial Transcriptomics layout, read without its image."""

    layout: ClassVar[str] = "count table"

    def _raw(self) -> Iterator[Chunk]:
        from napari_umpire.genes.columns import gene_table
        from napari_umpire.slides.readers.counts_table import read_counts

        table = read_counts(Path(self.path))
        rows = np.arange(table.n_obs)
        yield Chunk(table.X, gene_table(table.var), np.asarray(table.obs_names), rows)


@dataclass(frozen=True)
class Unreadable(Source):
    """What could not even be opened: it fails when it is read, as any other source may.

    Attributes
    ----------
    error
        What was raised over it.
    """

    error: Exception = field(default_factory=Exception, repr=False)

    layout: ClassVar[str] = "not readable"

    def _raw(self) -> Iterator[Chunk]:
        raise self.error

    def whole_image(self) -> Slide:
        """Raise what was raised over it."""
        raise self.error


def _must_have_counts(slide: Slide, path: str) -> None:
    if not slide.has_counts:
        raise InputError(
            f"Slide {slide.name} ({path}) has no gene counts",
            expected="slides with a measured count table",
        )


def warn_of_names(genes: pd.DataFrame, where: str) -> None:
    """Say of the genes of ``where`` which are of another genome, and which became dates."""
    from napari_umpire.genes.columns import clean_columns

    for remark in clean_columns(genes).remarks():
        warnings.warn(f"{where}: {remark}.", UmpireWarning, stacklevel=2)


def stem(path: str | Path) -> str:
    """The name of a count file without its ending."""
    name = Path(path).name
    for suffix in (".tsv.gz", ".tsv", ".h5ad"):
        name = name.removesuffix(suffix)
    return name
