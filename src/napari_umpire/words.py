"""Words that all rooms use in what a user reads."""

from __future__ import annotations

__all__ = ["counted", "size_on_disk"]


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 gene", "3,211 genes"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def size_on_disk(n_bytes: int) -> str:
    """A size in words, such as "1.2 GB"."""
    size = float(n_bytes)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
