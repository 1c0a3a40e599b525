"""What the tags of a TIFF page say of its samples: whether they are H&E, and how they are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.slides.channels import colour_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tifffile

    from napari_umpire.slides.ome import OmeImage

__all__ = ["Samples", "orientation", "refusal"]

_RGB, _PALETTE, _YCBCR = 2, 3, 6
_ASSOCIATED, _UNASSOCIATED = 1, 2
_DEPTHS = range(9, 16)
_CAMERA = range(10, 15)
_MAX_VALUES = (341, 281)  # SMaxSampleValue, MaxSampleValue
_ORIENTATION = 274
# A single channel may hold all colours and be called anything, but not one of these.
_STAIN = re.compile(
    r"dapi|hoechst|fitc|tritc|texas.?red|rhodamine|alexa|dylight|fluor|phalloidin|panck"
    r"|\b(?:e?[bcgry]fp|mcherry|tdtomato|cy\s?[2357](?:\.5)?|a[ft]\s?\d{3}|opal\s?\d{3}|cd\d+)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Samples:
    """How samples become red, green and blue of 8 bits.

    Attributes
    ----------
    bits
        Bits of a sample that are used, from the lowest.
    alpha
        What the fourth sample is: transparency that the colours were multiplied by, or that they
        were not; None where it is none.
    rgb
        Places of red, green and blue.
    """

    bits: int
    alpha: Literal["premultiplied", "straight"] | None
    rgb: tuple[int, int, int] = (0, 1, 2)

    @classmethod
    def of(cls, page: tifffile.TiffPage, ome: OmeImage | None) -> Samples:
        """Read them from the tags, and from what OME-XML says of the image."""
        extra = tuple(int(v) for v in page.extrasamples)[:1]
        alpha: Literal["premultiplied", "straight"] | None = None
        if page.samplesperpixel == 4 and extra == (_ASSOCIATED,):
            alpha = "premultiplied"
        elif page.samplesperpixel == 4 and extra == (_UNASSOCIATED,):
            alpha = "straight"
        names = () if ome is None else ome.channels
        # A single channel holds all three colours, whatever it is called.
        order = colour_order(names) if len(names) > 1 else None
        return cls(_bits(page, ome), alpha, order or (0, 1, 2))


def _bits(page: tifffile.TiffPage, ome: OmeImage | None) -> int:
    if page.dtype == np.uint8:
        return 8
    stored = np.max(page.bitspersample)
    if stored in _DEPTHS:
        return int(stored)
    if ome is not None and ome.bits is not None and 8 <= ome.bits < 16:
        return ome.bits
    for code in _MAX_VALUES:
        # Some programs note the largest value that occurs: its length in bits is the camera's.
        value = page.tags.valueof(code)
        # One for each sample; a fourth one is no colour.
        numbers = np.atleast_1d(value)[:3] if value is not None else np.empty(0)
        if numbers.size and np.issubdtype(numbers.dtype, np.number):
            bits = int(numbers.max()).bit_length()
            if bits in _CAMERA:
                return bits
    return 16


def refusal(
    page: tifffile.TiffPage,
    axes: str | None = None,
    shape: Sequence[int] | None = None,
    ome: OmeImage | None = None,
) -> str | None:
    """Why a page is not an H&E image, in words; None where it is.

    Parameters
    ----------
    axes, shape
        Of the series that the page belongs to, as tifffile names them; of the page where not given.
    ome
        What the OME-XML says of the image.
    """
    axes = page.axes if axes is None else axes
    shape = tuple(page.shape if shape is None else shape)
    size = " x ".join(f"{n} {a}" for n, a in zip(shape, axes, strict=True))
    dtype = np.dtype(page.dtype) if page.dtype is not None else None
    if any(n > 1 for n, a in zip(shape, axes, strict=True) if a not in "YXS"):
        return f"several planes of {dtype} ({size})"
    if dtype not in (np.uint8, np.uint16):
        return f"pixels of type {dtype} ({size})"
    if page.photometric == _PALETTE:
        return f"an image with a palette ({size})"
    if page.samplesperpixel < 3:
        return f"a grey image of {dtype} ({size})"
    if page.photometric not in (_RGB, _YCBCR) or page.samplesperpixel > 4:
        return f"{page.samplesperpixel} samples of {dtype} per pixel ({size}), not RGB"
    if ome is None:
        return None
    if ome.fluorescence:
        return f"a fluorescence image by its OME metadata ({size})"
    one = len(ome.channels) == 1
    if _STAIN.search(ome.channels[0]) if one else colour_order(ome.channels) is None:
        return f"channels named {', '.join(n or '(no name)' for n in ome.channels)} ({size})"
    return None


def orientation(page: tifffile.TiffPage) -> int:
    """How the page is to be turned to stand upright, 1 to 8 as in the TIFF standard."""
    value = page.tags.valueof(_ORIENTATION)
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1
