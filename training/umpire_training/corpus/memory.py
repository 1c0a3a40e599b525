"""A section read once and kept, for work that passes over the same counts many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from umpire_training.corpus.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from umpire_training.corpus.sources import Chunk

__all__ = ["KeptSource", "keep"]


@dataclass(frozen=True)
class KeptSource(Source):
    """Counts in memory.

    Attributes
    ----------
    kept
        All of the section's chunks, checked.
    """

    kept: tuple[Chunk, ...] = ()

    layout: ClassVar[str] = "counts in memory"

    def chunks(self) -> Iterator[Chunk]:
        """They were checked when they were read."""
        return iter(self.kept)

    _raw = chunks


def keep(source: Source) -> KeptSource:
    """Read ``source`` whole."""
    return KeptSource(
        source.name,
        source.path,
        species=source.species,
        technology=source.technology,
        kept=tuple(source.chunks()),
    )
