"""The vocabulary of a corpus: given by its user, or made from the counts of the sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_umpire.genes import GeneVocabulary
    from umpire_training.corpus.sources import Source
    from umpire_training.corpus.survey import Survey
    from umpire_training.options import QcOptions, VocabularyOptions

__all__ = ["make_vocabulary", "read_vocabulary", "surveyed_vocabulary"]


def make_vocabulary(
    sources: Iterable[Source], options: VocabularyOptions, qc: QcOptions
) -> GeneVocabulary:
    """Read the vocabulary that ``options`` names, or build one from the spots that pass ``qc``.

    Building streams over the sources once; the tokenizer's means are those of the raw counts
    where a gene was seen.
    """
    from napari_umpire.genes import GeneVocabulary

    if options.path is not None:
        return read_vocabulary(options.path)
    sources = list(sources)
    vocabulary = GeneVocabulary.from_counts(
        ((part.counts, part.genes) for source in sources for part in source.parts(qc)),
        min_spots=options.min_spots,
    )
    if options.max_genes is None or options.max_genes >= vocabulary.n_genes:
        return vocabulary
    return _most_variable(vocabulary, sources, qc, options.max_genes)


def surveyed_vocabulary(
    surveyed: Sequence[tuple[Source, Survey]], options: VocabularyOptions, qc: QcOptions
) -> GeneVocabulary:
    """As `make_vocabulary`, of sections that were surveyed: their sums are added, not counted anew.

    Sums are whole numbers, so the means are the same to the bit however the sections were read.
    """
    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.genes.counting import CountedGenes

    if options.path is not None:
        return read_vocabulary(options.path)
    counted = CountedGenes()
    for _, survey in surveyed:
        counted.add_sums(survey.sums())
    vocabulary = GeneVocabulary(*counted.result(options.min_spots), "counts")
    if options.max_genes is None or options.max_genes >= vocabulary.n_genes:
        return vocabulary
    return _most_variable(vocabulary, [source for source, _ in surveyed], qc, options.max_genes)


def _most_variable(
    vocabulary: GeneVocabulary, sources: list[Source], qc: QcOptions, n: int
) -> GeneVocabulary:
    """The ``n`` genes of the highest variance of log1p CP10k, in the order of ``vocabulary``."""
    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.genes.normalise import vocabulary_expression
    from napari_umpire.inference.genes.choice import choose_genes

    parts = (
        vocabulary_expression(part.counts, vocabulary.map(part.genes))
        for source in sources
        for part in source.parts(qc)
    )
    kept = np.sort(choose_genes(parts, "VAR", n, min_detected=0.0))
    return GeneVocabulary(
        vocabulary.ids[kept],
        vocabulary.symbols[kept],
        vocabulary.means[kept],
        f"{vocabulary.source}, the {n} most variable of {vocabulary.n_genes} genes",
    )


def read_vocabulary(path: str | Path) -> GeneVocabulary:
    """A genes.csv, a folder that holds one, or the folder of the published files.

    Raises
    ------
    InputError
        Where there is nothing, or what is there cannot be read as a vocabulary.
    """
    from napari_umpire.genes import GeneVocabulary

    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no vocabulary at {path}", fix="Check vocabulary.path")
    if path.is_file():
        return GeneVocabulary.read_csv(path)
    if (path / "genes.csv").is_file():
        return GeneVocabulary.read_csv(path / "genes.csv")
    return GeneVocabulary.from_published(path)
