"""What a prediction from the image alone lacks, said alike wherever it is missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["FROM_IMAGE", "METHODS", "no_references", "result_words"]

FROM_IMAGE = "Predicted from the image alone, by the model's decoder: no references are behind it."
METHODS = {
    "retrieval": "retrieval, with evidence",
    "decoder": "decoder, from the image alone",
}
"""The ways to predict, as a form offers them."""


def no_references(state: SlideState | None, what: str) -> str:
    """Why there is no ``what``, which takes references; "" where there are some.

    Parameters
    ----------
    what
        Such as "evidence".
    """
    if state is None or state.prediction is None or state.retrieval is not None:
        return ""
    return f"{FROM_IMAGE} So there is no {what}; predict by retrieval to have it."


def result_words(state: SlideState) -> str:
    """What a run gave, in half a sentence: how near the references are, or that there are none."""
    found = state.retrieval
    if found is not None:
        similarity = float(found.mean_similarity.mean())
        return f"mean similarity to their {found.k} reference spots {similarity:.2f}."
    n = 0 if state.prediction is None else len(state.prediction.genes)
    return f"{n:,} genes from the image alone, without evidence."
