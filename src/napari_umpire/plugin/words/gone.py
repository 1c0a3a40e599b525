"""What is said of a run whose slide was taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["gone_words"]


def gone_words(names: Sequence[str], after: str = "") -> str:
    """Why the run ended.

    Parameters
    ----------
    names
        Of the slides that are gone, at least one.
    after
        What the user can do then, "" for nothing.
    """
    was = "was" if len(names) == 1 else "were"
    said = f"Cancelled: {' and '.join(names)} {was} removed from the layers, or changed."
    return f"{said} {after}".strip()
