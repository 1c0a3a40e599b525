"""The slides of an evaluation: good spots, colour features and positions, made once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.files import replace_file
from napari_umpire.genes.normalise import vocabulary_expression
from umpire_training.baselines.colour import slide_features
from umpire_training.baselines.position import read_registration
from umpire_training.benchmark.places import place_name
from umpire_training.console import follow
from umpire_training.corpus.images import write_patches
from umpire_training.corpus.qc import good_spots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import scipy.sparse as sp

    from napari_umpire.genes import GeneVocabulary
    from umpire_training.corpus.sources import SlideSource
    from umpire_training.options import PatchOptions, QcOptions

__all__ = ["Measured", "good_sections", "load_measured"]

MIN_SPOTS = 10
"""Over fewer spots a correlation is chance, and of one or two there is none."""


@dataclass(frozen=True)
class Measured:
    """One slide of the evaluation, with its good spots only.

    Attributes
    ----------
    counts
        (n_spots, n_columns) canonical CSR.
    patches
        Its patches.npy.
    colour
        (n_spots, 62) float32.
    position
        (n_spots, 2) registered coordinates, or None.
    """

    source: SlideSource
    counts: sp.csr_matrix
    patches: Path
    colour: np.ndarray
    position: np.ndarray | None

    @property
    def name(self) -> str:
        """The slide's name."""
        return self.source.name

    def expression(self, vocabulary: GeneVocabulary) -> tuple[sp.csr_matrix, np.ndarray]:
        """log1p CP10k over the vocabulary (n_spots, n_genes), and which genes were measured."""
        mapping = vocabulary.map(self.source.slide.genes)
        return vocabulary_expression(self.counts, mapping), mapping.measured


def good_sections(sources: Sequence[SlideSource], qc: QcOptions) -> list[SlideSource]:
    """The slides with their good spots only.

    Raises
    ------
    InputError
        Where a slide has too few of them to be held out.
    """
    good = []
    for source in sources:
        slide = good_spots(source.slide, qc)
        if slide.n_spots < MIN_SPOTS:
            raise InputError(
                f"Slide {slide.name} has too few good spots: over so few a correlation is chance",
                got=f"{slide.n_spots} spots with at least {qc.min_genes} detected genes and "
                f"{qc.min_counts} counts, of {source.slide.n_spots}",
                expected=f"at least {MIN_SPOTS}",
                fix="Leave the slide out, or lower qc.min_genes or qc.min_counts",
            )
        good.append(replace(source, opened=slide))
    return good


def load_measured(
    sources: list[SlideSource],
    folder: Path,
    *,
    qc: QcOptions,
    patches: PatchOptions,
    registration: str | None,
) -> list[Measured]:
    """Keep the good spots of each slide and make what does not depend on the fold.

    What was made before lies in ``folder`` and is read.

    Raises
    ------
    InputError
        Fewer than two slides, one with too few good spots, a registration table that cannot be
        read.
    """
    if len(sources) < 2:
        raise InputError("Leaving one section out needs at least two", got=f"{len(sources)} slides")
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for source in good_sections(sources, qc):
        slide = source.slide
        stem = place_name(slide.name)
        position = None if registration is None else read_registration(registration, slide)
        pixels, colour = folder / f"{stem}-patches.npy", folder / f"{stem}-colour.npy"
        if not pixels.is_file():
            with replace_file(pixels) as written:
                follow(write_patches(slide, written, patches))
        if not colour.is_file():
            with replace_file(colour) as written:
                np.save(written, follow(slide_features(slide)))
        found.append(
            Measured(
                source=source,
                counts=slide.counts(),
                patches=pixels,
                colour=np.load(colour, allow_pickle=False),
                position=position,
            )
        )
    return found
