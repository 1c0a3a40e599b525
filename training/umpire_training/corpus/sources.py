"""Where counts come from: slides, count files without an image, h5ad files of any size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from umpire_training.corpus.qc import passes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import scipy.sparse as sp

    from napari_umpire.slides.slide import Slide
    from umpire_training.options import QcOptions

__all__ = ["CountFile", "Part", "SlideSource", "Source", "open_sources"]


@dataclass(frozen=True)
class Part:
    """Some spots of a source that passed quality control.

    Attributes
    ----------
    counts
        (n_spots, n_genes) canonical CSR of raw counts.
    genes
        Index = name, columns ``id`` and ``symbol``, as `Slide.genes`.
    spots
        (n_spots,) ids.
    rows
        (n_spots,) int64 rows in the source.
    """

    counts: sp.csr_matrix
    genes: pd.DataFrame
    spots: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Source:
    """One section's counts.

    Attributes
    ----------
    name
        Short and unique within a corpus.
    path
        What was opened.
    """

    name: str
    path: str

    def parts(self, qc: QcOptions) -> Iterator[Part]:
        """The spots that pass ``qc``, in order, checked, in parts of bounded size."""
        from napari_umpire.genes import check_counts

        start = 0
        for counts, genes, spots in self._raw():
            counts = check_counts(counts, genes=genes.index, spots=spots, where=self.path)
            rows = np.flatnonzero(passes(counts, qc))
            yield Part(counts[rows], genes, np.asarray(spots)[rows].astype(str), start + rows)
            start += counts.shape[0]

    def _raw(self) -> Iterator[tuple[sp.csr_matrix, pd.DataFrame, pd.Index]]:
        raise NotImplementedError


@dataclass(frozen=True)
class SlideSource(Source):
    """Any slide with counts that `open_slides` reads."""

    slide: Slide

    def _raw(self) -> Iterator[tuple[sp.csr_matrix, pd.DataFrame, pd.Index]]:
        yield self.slide.counts(), self.slide.genes, self.slide.spots.index


@dataclass(frozen=True)
class CountFile(Source):
    """A count table of the legacy Spatial Transcriptomics layout, read without its image."""

    def _raw(self) -> Iterator[tuple[sp.csr_matrix, pd.DataFrame, pd.Index]]:
        from napari_umpire.genes.columns import gene_table
        from napari_umpire.slides.readers.counts_table import read_counts

        table = read_counts(Path(self.path))
        yield table.X, gene_table(table.var), table.obs_names


def open_sources(
    slides: Iterable[str], counts: Iterable[str] = (), *, mpp: float | None = None
) -> list[Source]:
    """Open everything once, so that a wrong path is known before any work starts.

    Parameters
    ----------
    slides
        Slides with counts (all regions of a store), or h5ad files.
    counts
        Counts only: count tables of the legacy layout, h5ad files, or slides.
    mpp
        The user's um per px for all slides.

    Raises
    ------
    InputError
        A path that is not there or not readable, a slide without counts, a name that occurs
        twice, or nothing at all.
    """
    found: list[Source] = []
    for path in slides:
        found += _open(path, mpp)
    for path in counts:
        _must_exist(path)
        if path.endswith((".tsv", ".tsv.gz")):
            found.append(CountFile(_stem(path), path))
        else:
            found += _open(path, mpp)
    if not found:
        raise InputError("No sources were given", fix="Name slides, or count files with --counts")
    names = pd.Series([source.name for source in found])
    if names.duplicated().any():
        twice = sorted(set(names[names.duplicated()]))
        raise InputError(
            "Sources must have different names", got=f"more than one of {', '.join(twice)}"
        )
    return found


def _open(path: str, mpp: float | None) -> list[Source]:
    from napari_umpire.slides.open import open_slides

    _must_exist(path)
    if path.endswith(".h5ad"):
        from umpire_training.corpus.h5ad import H5adSource

        return [H5adSource(_stem(path), path)]
    slides = open_slides(path, mpp=mpp)
    for slide in slides:
        if not slide.has_counts:
            raise InputError(
                f"Slide {slide.name} ({path}) has no gene counts",
                expected="slides with a measured count table",
            )
    return [SlideSource(slide.name, path, slide) for slide in slides]


def _must_exist(path: str) -> None:
    if not Path(path).exists():
        raise InputError(f"There is nothing at {path}", fix="Check the path")


def _stem(path: str) -> str:
    name = Path(path).name
    for suffix in (".tsv.gz", ".tsv", ".h5ad"):
        name = name.removesuffix(suffix)
    return name
