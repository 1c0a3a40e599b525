"""A reference database of measured slides, made by a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.reference import ReferenceDatabase
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide

__all__ = ["write_reference"]


def write_reference(
    model: Model,
    slides: Iterable[Slide],
    folder: str | Path,
    batch_size: int,
    cache: FeatureCache | None,
    min_genes: int,
) -> Steps[ReferenceDatabase]:
    """See `Model.build_reference`; one slide is in memory at a time."""
    from napari_umpire.inference.embed_slide import gene_embeddings
    from napari_umpire.inference.gene_input import MeasuredGenes
    from napari_umpire.inference.reference_build import ReferencePart, ReferenceWriter

    with ReferenceWriter(folder, model_digest=model.digest) as writer:
        for slide in slides:
            measured = MeasuredGenes.of(slide, model.vocabulary)
            kept = np.flatnonzero(measured.n_detected >= min_genes)
            if not len(kept):
                raise InputError(
                    f"Slide {slide.name} has no spot that can be a reference",
                    got=f"at most {measured.n_detected.max(initial=0)} genes in a spot",
                    expected=f"at least {min_genes}",
                    fix="Lower min_genes, or leave the slide out",
                )
            embeddings = yield from gene_embeddings(model, slide, measured, batch_size, cache, kept)
            spots = slide.spots.iloc[kept][["y", "x"]].copy()
            spots["y_um"], spots["x_um"] = spots["y"] * slide.mpp, spots["x"] * slide.mpp
            writer.add(
                ReferencePart(
                    slide=slide.name,
                    digest=slide.digest,
                    embeddings=embeddings,
                    expression=measured.expression[kept],
                    genes=measured.genes,
                    spots=spots,
                )
            )
        yield Progress("Writing the reference", 0, 1, "")
        return writer.finish()
