"""Maps of how sure a prediction is: similarity, and spots that are out of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.inference.classes.labels import SpotLabels
from napari_umpire.plugin.layers.spot_map import SpotMap

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.trust import OutOfReference
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["OUT", "SIMILARITY", "in_reference_words", "out_map", "similarity_map"]

SIMILARITY = "similarity"
OUT = "out of reference"
_COLOURS = ("#ff7a00", "#f4f4f4")
"""Orange, which H&E has nowhere; a breath of white over the others: they were asked too."""
_FAINT = 0.3


def similarity_map(state: SlideState) -> SpotMap:
    """Mean cosine similarity of each spot to its K references."""
    assert state.retrieval is not None
    return SpotMap(
        SIMILARITY,
        "Similarity to the reference",
        values=np.asarray(state.retrieval.mean_similarity, np.float32),
        unit=f"cosine, mean of K = {state.retrieval.k}",
        palette="confidence",
    )


def out_map(state: SlideState, out: OutOfReference) -> SpotMap:
    """Spots that look like nothing in the reference; the others are nearly clear."""
    codes = np.where(out.mask, 0, 1).astype(np.int64)
    labels = SpotLabels(OUT, codes, ("like nothing in the reference", "like some of it"), _COLOURS)
    title = f"{int(out.mask.sum()):,} of {len(out.mask):,} spots out of the reference"
    return SpotMap(OUT, title, labels=labels, opacity=np.where(out.mask, 1.0, _FAINT))


def in_reference_words(state: SlideState) -> str:
    """A warning where the slide is itself in the reference, else ""."""
    if state.retrieval is None:
        return ""
    if any(slide.digest == state.slide.digest for slide in state.retrieval.reference.info.slides):
        return (
            "This slide is itself in the reference: its spots find themselves there, so their "
            "similarity says nothing about a new slide."
        )
    return ""
