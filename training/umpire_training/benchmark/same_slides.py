"""What an evaluation began with: a resumed one goes on with the same slides, wherever they lie."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from umpire_training.stages.same_start import digest_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from umpire_training.corpus.content import Content
    from umpire_training.corpus.sources import SlideSource, Source

__all__ = ["start_of"]


def start_of(
    slides: Sequence[SlideSource],
    extra: Sequence[Source],
    contents: Sequence[Content],
    patient_of: Mapping[str, str] | None,
    positions: Sequence[np.ndarray | None],
) -> dict[str, tuple[str, str]]:
    """Digests of all that the folds are made of, for `stages.same_start`.

    Parameters
    ----------
    contents
        Of the slides, then of ``extra``.
    patient_of
        Slide -> patient; None where patients are not known.
    positions
        Registered coordinates of each slide's good spots, or None.
    """
    names = [source.name for source in slides]
    start = {"slides": (digest_parts(json.dumps(names)), f"list of slides ({', '.join(names)})")}
    for source in slides:
        start[f"slide {source.name}"] = (_of_slide(source), f"slide {source.name}")
    more = {s.name: c.digest for s, c in zip(extra, contents[len(slides) :], strict=True)}
    start["counts"] = (digest_parts(json.dumps(more)), "list of further counts")
    start["patients"] = (digest_parts(json.dumps(patient_of, sort_keys=True)), "table of patients")
    places = [b"none" if p is None else p.tobytes() for p in positions]
    start["registration"] = (digest_parts(*places), "registration")
    return start


def _of_slide(source: SlideSource) -> str:
    """Of image, spots, genes and every single count."""
    slide = source.slide
    counts = slide.counts()
    genes = slide.genes
    names = [*genes.index, *genes["id"], *genes["symbol"]]
    return digest_parts(
        slide.digest,
        json.dumps([str(name) for name in names]),
        counts.indptr.astype("<i8").tobytes(),
        counts.indices.astype("<i8").tobytes(),
        np.ascontiguousarray(counts.data, "<f8").tobytes(),
    )
