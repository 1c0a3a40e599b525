"""Pictures of more than 8 bits whose values fill a small part of their range.

A camera of 10 to 14 bits in samples of 16 gives a black picture unless the file says how many bits
are used. Glass on a brightfield slide passes half of the range, so a picture that stays below a
quarter is such a one, or too dark to use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from napari_umpire.slides.tiff_level import TiffLevel

__all__ = ["check_depth", "check_shown"]

_TRIES = 5


def check_depth(level: TiffLevel, name: str) -> None:
    """Look at up to 25 tiles, until one is bright enough.

    Raises
    ------
    InputError
        Where none is, and not all are black.
    """
    bits = level.bits
    if bits == 8:
        return
    largest = 0
    rows, cols = (np.unique(np.linspace(0, n - 1, _TRIES).round().astype(int)) for n in level.grid)
    # From the middle outwards, where tissue and glass are likely.
    for row in sorted(rows, key=lambda r: abs(int(r) - level.grid[0] // 2)):
        for col in sorted(cols, key=lambda c: abs(int(c) - level.grid[1] // 2)):
            largest = max(largest, level.largest(int(row), int(col)))
            if largest >> (bits - 2):
                return
    if largest:
        check_brightness(name, largest, bits)


def check_shown(name: str, pixels: np.ndarray, bits: int) -> None:
    """Look at all pixels once ``bits`` have become 8 of them; what was black may hold low values.

    Raises
    ------
    InputError
        Where none is bright enough.
    """
    check_brightness(name, ((int(pixels.max(initial=0)) + 1) << (bits - 8)) - 1, bits)


def check_brightness(name: str, largest: int, bits: int) -> None:
    """Refuse a picture whose largest value is below a quarter of 2^bits."""
    if bits == 8 or largest >> (bits - 2):
        return
    used = max(8, largest.bit_length())
    raise InputError(
        f"{name} would be shown nearly black",
        got=f"no value above {largest:,}, as of a camera of {used} bits, where {bits} bits per "
        f"colour reach {2**bits - 1:,}",
        expected="values that fill the range, or a file that says how many bits are used "
        "(SignificantBits in OME-XML, or the TIFF tag SMaxSampleValue)",
        fix="Export the image with 8 bits per colour",
    )
