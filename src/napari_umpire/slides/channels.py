"""Which channels of an image are red, green and blue, by their names.

Three channels of 8 bits are an H&E image where nobody named them, or where they are named so: a
fluorescence image of three stains has as many.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xarray import DataArray

__all__ = ["UNNAMED", "Channels", "channel_names", "colour_channels", "colour_order"]

_WORDS = {"r": "r", "red": "r", "g": "g", "green": "g", "b": "b", "blue": "b"}
_ALPHA = ("a", "alpha")
# What programs write where nobody gave a name: 0, "1", "c0", "Channel 0", "Channel:0:2".
_NUMBERED = re.compile(r"(c|ch|channel)?[\s_:=-]*(\d+:)?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Channels:
    """Where the colours are along the axis of channels.

    Attributes
    ----------
    rgb
        Indices of red, green and blue.
    alpha
        Index of the transparency; None where no channel is named so.
    aside
        A channel that is neither; None where there is none.
    """

    rgb: tuple[int, int, int] = (0, 1, 2)
    alpha: int | None = None
    aside: str | None = None


UNNAMED = Channels()
"""Three channels in the order of an RGB image."""


def channel_names(scale: DataArray) -> list[str]:
    """Names of the channels, "" where they have none."""
    if "c" not in scale.coords:
        return [""] * scale.sizes["c"]
    return [str(name).strip() for name in np.atleast_1d(scale.coords["c"].to_numpy())]


def colour_channels(scale: DataArray) -> Channels | None:
    """Say which channels are the colours; None where the image is no H&E image.

    Parameters
    ----------
    scale
        One scale of an image element, by its dimensions c, y, x.
    """
    if scale.dims != ("c", "y", "x") or scale.dtype != np.uint8 or scale.sizes["c"] not in (3, 4):
        return None
    names = channel_names(scale)
    order = colour_order(names)
    if order is None:
        return None
    if not any(map(_is_name, names)):
        return Channels(aside=None if len(names) == 3 else "4, which has no name")
    alpha = aside = None
    for i, name in enumerate(names):
        if i not in order:
            alpha, aside = (i, None) if name.lower() in _ALPHA else (None, repr(name))
    return Channels(order, alpha, aside)


def colour_order(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Places of red, green and blue among three or more channels by their names.

    Channels without names are red, green and blue in this order. None where the names are others.
    """
    if not any(map(_is_name, names)):
        return (0, 1, 2)
    colours = [_WORDS.get(name.strip().lower(), "") for name in names]
    if any(colours.count(c) != 1 for c in "rgb"):
        return None
    return colours.index("r"), colours.index("g"), colours.index("b")


def _is_name(text: str) -> bool:
    return bool(text.strip()) and _NUMBERED.fullmatch(text.strip()) is None
