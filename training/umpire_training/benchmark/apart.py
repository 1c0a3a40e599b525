"""No section of an evaluation may be there twice: what is held out would be learned from."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError, UmpireWarning
from umpire_training.corpus.seen import refuse_seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umpire_training.corpus.content import Content
    from umpire_training.corpus.sources import Source

__all__ = ["require_apart", "require_unseen"]


def require_apart(slides: Sequence[Source], extra: Sequence[Source]) -> list[Content]:
    """Compare the counts of the slides with each other and with the further counts.

    Names and files do not matter: see `corpus.content`.

    Returns
    -------
    The contents of the slides, then of the further counts.

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
        return contents
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


def require_unseen(encoder: str, slides: Sequence[Source], contents: Sequence[Content]) -> None:
    """Refuse a pre-trained gene encoder that has seen a slide: each is held out once.

    One that does not say what it has seen, as published weights do not, is a warning.

    Parameters
    ----------
    encoder
        The folder that align.gene.pretrained names.
    contents
        Of the slides, in their order, as `require_apart` gives them.

    Raises
    ------
    InputError
        It was pre-trained on the counts of a slide, whatever that was called there.
    """
    held = [(slide.name, known.digest) for slide, known in zip(slides, contents, strict=True)]
    fix = (
        "Prepare its corpus with --exclude, or leave align.gene.pretrained out: each fold then "
        "pre-trains its own"
    )
    if not refuse_seen(encoder, held, fix=fix):
        warnings.warn(
            f"The gene encoder {encoder} does not say what it was pre-trained on; if these slides "
            "were among it, the scores are too good",
            UmpireWarning,
            stacklevel=2,
        )
