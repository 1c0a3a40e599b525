"""No section of an evaluation may be there twice: what is held out would be learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umpire_training.corpus.sources import Source

__all__ = ["require_apart"]


def require_apart(slides: Sequence[Source], extra: Sequence[Source]) -> None:
    """Compare the counts of the slides with each other and with the further counts.

    Names and files do not matter: see `corpus.content`.

    Raises
    ------
    InputError
        Two of them share spots, and at least one of the two is a slide.
    """
    from umpire_training.corpus.choice import PART_SHARE
    from umpire_training.corpus.content import content_of, overlaps

    sources = [*slides, *extra]
    contents = [content_of(chunk.counts for chunk in source.chunks()) for source in sources]
    found = overlaps(contents, PART_SHARE)
    shared = [pair for pair in found if pair.first < len(slides)]
    if not shared:
        return
    lines = "; ".join(
        f"{sources[a].name} ({sources[a].path}) and {sources[b].name} ({sources[b].path}) "
        f"share {part:.0%} of their spots"
        for a, b, part in shared[:3]
    )
    raise InputError(
        "A section is there twice, so it would be held out and learned from at once",
        got=lines + (f", and {len(shared) - 3} more pairs" if shared[3:] else ""),
        fix="Name each section once; counts that are named beside the slides are never held out",
    )
