"""Words that all rooms use in what a user reads."""

from __future__ import annotations

__all__ = ["counted"]


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 gene", "3,211 genes"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
