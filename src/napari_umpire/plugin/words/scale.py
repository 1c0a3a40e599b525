"""What is said of slides whose physical scale is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["scale_asked"]


def scale_asked(states: Iterable[SlideState]) -> str:
    """Whose um per px the user is asked for before their images can be embedded; "" for none's."""
    names = [state.name for state in states if state.slide.scale.mpp is None]
    if not names:
        return ""
    return (
        f"It is not known how many µm a pixel of {' and '.join(names)} covers: enter it in Predict."
    )
