"""What OME-XML says of one image of a file: size, physical size, depth and channels.

A file may hold several images, each with `Pixels` of its own, and its text may be left over from
another file. So an image is found by its pages and its size, and what is said of others is not
used.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["UNITS_UM", "OmeImage", "image_of_page", "ome_images"]

UNITS_UM = {
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "pm": 1e-6,
    "Å": 1e-4,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "in": 25_400.0,
    "inch": 25_400.0,
}
"""Um per unit of length, by the names that programs write."""

_FLUORESCENCE = {"Fluorescence", "Epifluorescence"}


@dataclass(frozen=True)
class OmeImage:
    """One `Image` of the text.

    Attributes
    ----------
    name
        As its writer named it; "" where it did not.
    size
        (height, width), px; None where the text does not say.
    pages
        Places of its pages in this file.
    px
        What it says of the size of a pixel along x and y, as written; "" where nothing.
    units
        The units of `px`; the default of OME is um.
    bits
        Bits of a sample that are used; None where the text does not say.
    channels
        Names of its channels, "" where they have none; a channel may be red, green and blue.
    fluorescence
        Whether a channel is said to be fluorescence.
    """

    name: str
    size: tuple[int, int] | None
    pages: frozenset[int]
    px: tuple[str, str]
    units: tuple[str, str]
    bits: int | None
    channels: tuple[str, ...]
    fluorescence: bool

    @property
    def px_um(self) -> tuple[float, float] | None:
        """Um per px along x and y; None where it states none, or one that is no length.

        A size in pixels or in an unknown unit is no physical statement.
        """
        values = []
        for text, unit in zip(self.px, self.units, strict=True):
            if unit not in UNITS_UM:
                return None
            values.append(_number(text) * UNITS_UM[unit])
        if not self.px[1]:
            values[1] = values[0]  # one size is that of both sides
        if not all(math.isfinite(v) and v > 0 for v in values):
            return None
        return values[0], values[1]


def ome_images(text: str | None, file: str) -> list[OmeImage]:
    """Every image that OME-XML describes; none where it is no XML.

    Parameters
    ----------
    text
        The XML.
    file
        Name of the file that holds it; pages in other files do not count.
    """
    try:
        root = ElementTree.fromstring(text or "")
    except (ElementTree.ParseError, ValueError):
        return []
    found = []
    for image in _children(root, "Image"):
        for pixels in _children(image, "Pixels"):
            channels = list(_children(pixels, "Channel"))
            size = (_whole(pixels.get("SizeY")), _whole(pixels.get("SizeX")))
            found.append(
                OmeImage(
                    name=(image.get("Name") or "").strip(),
                    size=(size[0], size[1]) if size[0] and size[1] else None,
                    pages=frozenset(_pages(pixels, channels, file)),
                    px=(pixels.get("PhysicalSizeX", ""), pixels.get("PhysicalSizeY", "")),
                    units=_units(pixels),
                    bits=_whole(pixels.get("SignificantBits")),
                    channels=tuple((c.get("Name") or "").strip() for c in channels),
                    fluorescence=any(
                        {c.get("ContrastMethod"), c.get("IlluminationType")} & _FLUORESCENCE
                        for c in channels
                    ),
                )
            )
    return found


def image_of_page(images: list[OmeImage], page: int, size: tuple[int, int]) -> OmeImage | None:
    """The image that a page of ``size`` (height, width) belongs to; None where none clearly is.

    By page and size; else by size alone where one has it; else by page.
    """
    of_size = [image for image in images if image.size == size]
    of_page = [image for image in images if page in image.pages]
    both = [image for image in of_size if page in image.pages]
    for matching in (both, of_size, of_page):
        if len(matching) == 1:
            return matching[0]
    return images[0] if len(images) == 1 else None


def _children(element: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if re.fullmatch(rf"(\{{.*\}})?{tag}", str(child.tag)))


_MOST_PAGES = 100_000


def _units(pixels: ElementTree.Element) -> tuple[str, str]:
    """Of x and y: one that is given holds for both, and the default of OME is um."""
    x, y = ((pixels.get(f"PhysicalSize{axis}Unit") or "").strip() for axis in "XY")
    return x or y or "µm", y or x or "µm"


def _pages(
    pixels: ElementTree.Element, channels: list[ElementTree.Element], file: str
) -> Iterator[int]:
    samples = max([_whole(c.get("SamplesPerPixel")) or 1 for c in channels], default=1)
    planes = math.prod(_whole(pixels.get(f"Size{axis}")) or 1 for axis in "ZCT") // samples
    for data in _children(pixels, "TiffData"):
        names = [uuid.get("FileName") for uuid in _children(data, "UUID")]
        if any(name and name.lower() != file.lower() for name in names):
            continue
        first = _whole(data.get("IFD"))
        count = _whole(data.get("PlaneCount")) or (planes if first is None else 1)
        yield from range(first or 0, (first or 0) + min(max(count, 1), _MOST_PAGES))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _whole(text: str | None) -> int | None:
    """A whole number of at most nine digits, None for anything else."""
    return int(text) if text is not None and re.fullmatch(r"\d{1,9}", text) else None
