"""A reference database of measured slides, made by a model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.progress import Progress
from napari_umpire.slides.crops import CROP_PX, crop_spec
from napari_umpire.slides.patches import iter_patches, plan_patches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.references.build import ReferenceWriter
    from napari_umpire.inference.references.database import ReferenceDatabase
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
    *,
    patches: bool,
    image_embeddings: bool,
) -> Steps[ReferenceDatabase]:
    """See `Model.build_reference`; one slide is in memory at a time."""
    from napari_umpire.inference.embed_slide import gene_embeddings
    from napari_umpire.inference.genes.input import MeasuredGenes
    from napari_umpire.inference.references.build import ReferencePart, ReferenceWriter

    look = (model.patch_spec.field_um, CROP_PX) if patches else None
    with ReferenceWriter(folder, model_digest=model.digest, patches=look) as writer:
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
            images = None
            if image_embeddings and _fits(model, slide):
                # Of all spots: what a spot looks like depends on the slide around it.
                images = (yield from model.embed_images(slide, batch_size=batch_size, cache=cache))[
                    kept
                ]
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
                    image_embeddings=images,
                )
            )
            if patches:
                yield from _write_pictures(writer, slide, kept, model.patch_spec.field_um)
        yield Progress("Writing the reference", 0, 1, "")
        return writer.finish()


def _fits(model: Model, slide: Slide) -> bool:
    """Whether the slide's image is fine enough for the model; a warning where it is not."""
    try:
        plan_patches(slide, model.patch_spec)
    except InputError as error:
        warnings.warn(
            f"The reference gets no image embeddings of {slide.name}. {error}",
            UmpireWarning,
            stacklevel=2,
        )
        return False
    return True


def _write_pictures(
    writer: ReferenceWriter, slide: Slide, kept: np.ndarray, field_um: float
) -> Steps[None]:
    done, stage = 0, f"Pictures of {slide.name}"
    for batch in iter_patches(slide, crop_spec(field_um), spots=kept):
        writer.add_patches(np.searchsorted(kept, batch.rows), batch.pixels)
        done += len(batch.rows)
        yield Progress(stage, done, len(kept))
