"""Sections of any layout as slides with image and counts, opened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from umpire_training.corpus.sources import SlideSource, warn_of_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_umpire.slides.slide import Slide
    from umpire_training.corpus.sources import Source

__all__ = ["opened_slides", "slides_by_name"]


def slides_by_name(paths: Iterable[str], mpp: float | None) -> dict[str, Slide]:
    """Open slides of which the image alone is wanted, measured or not, and find them by name.

    Parameters
    ----------
    mpp
        um per full-resolution px of all, where the files do not say.

    Raises
    ------
    InputError
        For a name that occurs twice.
    """
    from napari_umpire.slides.open import open_slides

    found: dict[str, Slide] = {}
    for path in paths:
        for slide in open_slides(path, mpp=mpp):
            if slide.name in found:
                raise InputError(
                    "Slides must have different names", got=f"more than one {slide.name}"
                )
            found[slide.name] = slide
    return found


def opened_slides(sources: Iterable[Source]) -> list[SlideSource]:
    """Open each section once, so that a wrong path is known before any work starts.

    For the few slides of an evaluation or a reference. Of a collection's section the slide is put
    together from its image and its counts; spots that only one of them has are left out.

    Raises
    ------
    InputError
        For a section without counts or without an image.
    """
    slides = [_opened(source) for source in sources]
    for source in slides:
        warn_of_names(source.slide.genes, source.path)
    return slides


def _opened(source: Source) -> SlideSource:
    if isinstance(source, SlideSource):
        # By the name that tells it from the other sections.
        return replace(source, opened=replace(source.slide, name=source.name))
    slide = _with_counts(source, source.whole_image())
    return SlideSource(
        source.name, source.path, opened=slide, species=source.species, technology=source.technology
    )


def _with_counts(source: Source, slide: Slide) -> Slide:
    import scipy.sparse as sp
    from anndata import AnnData

    from napari_umpire.slides.build import build_slide

    chunks = list(source.chunks())
    ids = np.concatenate([chunk.spots for chunk in chunks])
    placed = np.isin(ids, slide.spots.index.to_numpy().astype(str))
    if not placed.any():
        raise InputError(
            f"The image and the counts of {source.name} have no spot in common",
            got=f"{ids[0]} in the counts, {slide.spots.index[0]} in the image",
            expected="the same spot ids",
            fix="Check that both are of the same section",
        )
    counts = sp.vstack([chunk.counts for chunk in chunks], format="csr")[placed]
    spots = slide.spots.loc[ids[placed]]
    table = AnnData(counts, obs=spots[[]].copy(), var=chunks[0].genes)
    return build_slide(
        source.name,
        slide.pyramid,
        spots.assign(instance_id=np.arange(len(spots))),
        slide.scale,
        platform=slide.platform,
        pitch_um=slide.pitch_um,
        spot_diameter_um=slide.spot_diameter_um,
        adata=table,
        path=slide.path,
    )
