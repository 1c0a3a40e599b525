"""What is said of the physical scale of slides: where it is not known, and when it is overruled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.slides.scale import SOURCE_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["dropped_words", "proposal_words", "ruler_words", "scale_asked"]


def scale_asked(states: Iterable[SlideState]) -> str:
    """Whose um per px the user is asked for before their images can be embedded; "" for none's."""
    names = [state.name for state in states if state.slide.scale.mpp is None]
    if not names:
        return ""
    return (
        f"It is not known how many µm a pixel of {' and '.join(names)} covers: enter it in Predict."
    )


def ruler_words(px: float, um: float) -> str:
    """What to do next with the ruler, or what it says.

    Parameters
    ----------
    px
        Length of the line, full-resolution px; 0 while there is none.
    um
        Real length of the object under it; 0 while nobody said it.
    """
    if px <= 0:
        return "Drag a line over something whose length you know; zoom in first to be exact."
    if um <= 0:
        return f"The line is {px:,.0f} px long. Enter the real length of the object under it."
    return f"{um:,.4g} µm over {px:,.0f} px."


def proposal_words(state: SlideState, mpp: float) -> str:
    """What a proposed scale, um per px, would change; "" while there is none (0)."""
    scale = state.slide.scale
    if mpp <= 0:
        return ""
    if scale.mpp is None:
        return f"Proposed: {mpp:.4g} µm per px."
    ratio = mpp / scale.mpp
    change = (
        f"all lengths become {ratio:.3g} times as long" if abs(ratio - 1) > 1e-3 else "no change"
    )
    words = (
        f"{mpp:.4g} µm per px in place of {scale.mpp:.4g} from {SOURCE_WORDS[scale.source]}: "
        f"{change}."
    )
    return " ".join(filter(None, (words, _at_stake(state))))


def _at_stake(state: SlideState) -> str:
    made = _made(state)
    return f"OK discards {made} of this slide, made at the old scale." if made else ""


def _made(state: SlideState) -> str:
    """What a new scale makes void."""
    gridded = state.slide.platform == "image"
    found = {
        "the prediction": state.prediction is not None,
        "the embeddings": bool(state.embeddings),
        "the classes": bool(state.labels) and gridded,
    }
    return " and ".join(name for name, there in found.items() if there)


def dropped_words(state: SlideState) -> str:
    """What is said after a new scale was given, of what was made at the old one; asked before."""
    made = _made(state)
    was = "were" if " and " in made or made.endswith("s") else "was"
    return (
        f"{made.capitalize()} {was} made at the old scale and discarded. Run again." if made else ""
    )
