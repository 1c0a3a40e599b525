"""Paths in narrow docks."""

from __future__ import annotations

import re

__all__ = ["breakable"]


def breakable(text: str) -> str:
    """``text`` in which a path may go on in the next line, by spaces without width."""
    return re.sub(r"([/\\_])", "\\1\u200b", text)
