"""Every case, by name."""

from __future__ import annotations

from .case import CASES
from .models import config, recipes, reference, weights  # noqa: F401
from .slides import (  # noqa: F401
    colour,
    columns,
    counts,
    paths,
    place,
    pyramids,
    records,
    scale,
    several,
    sizes,
    stores,
)

__all__ = ["CASES"]
