"""What must be said of how maps are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.plugin.layers.colours import opacity_of
from napari_umpire.plugin.words.method import no_references

if TYPE_CHECKING:
    from napari_umpire.plugin.layers.colours import Look
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["look_words"]


def look_words(state: SlideState | None, look: Look) -> str:
    """Which values are clear and which are opaque; "" where all spots are alike."""
    if look.opacity == "value":
        return "Low values are clear, so that the tissue shows; of a difference those near 0."
    if look.opacity != "confidence":
        return ""
    if state is None or state.prediction is None:
        return "Nothing was predicted on this slide, so there is no confidence: all are opaque."
    if state.retrieval is None:
        return f"{no_references(state, 'confidence')} All are opaque."
    similarity = state.retrieval.mean_similarity
    low, high = opacity_of(similarity)[1]
    if not np.isfinite([low, high]).all() or not low < high:
        return "All spots are as similar to their references: all are opaque."
    return (
        f"Predicted spots are opaque from a similarity of {high:.2f} and faintest below {low:.2f} "
        "(95th and 5th percentile of this slide); measured maps, and two side by side, stay opaque."
    )
