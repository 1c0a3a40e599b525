"""What a TIFF file states of its physical scale: each statement about the chosen image by itself.

A program that crops or shrinks an image often copies the text of the whole one along. So where a
text names a size, it is compared with the page's, and what follows from both is a statement too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from napari_umpire.slides.ome import UNITS_UM
from napari_umpire.slides.pyramid import downsample_between
from napari_umpire.slides.scale import px_of_sides

if TYPE_CHECKING:
    import tifffile

    from napari_umpire.slides.ome import OmeImage
    from napari_umpire.slides.scale import ScaleSource

__all__ = ["PLAUSIBLE_TAG_MPP", "Statements", "resolution_px", "tiff_statements"]

PLAUSIBLE_TAG_MPP = (0.1, 20.0)
"""Um per px that a resolution tag may claim. Programs write 72, 96 or 300 dpi (353 to 85 um) as
placeholders for screens and printers."""

_PER_UNIT_UM = {2: 25_400.0, 3: 10_000.0}
_NUMBER = r"\s*([0-9]+(?:[.,][0-9]+)?(?:[eE][-+]?[0-9]+)?)"


@dataclass
class Statements:
    """Um per px by source, and what is to be said of statements that are ignored."""

    mpp: dict[ScaleSource, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        source: ScaleSource,
        px_um: tuple[float, float] | None,
        what: str,
        *,
        of: tuple[int, int] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Take a statement about both sides of a pixel, x and y, where it is one.

        Parameters
        ----------
        what
            Who states it, such as "the OME metadata".
        of, size
            (height, width) of the image that it was made of, where that is told, and of the page.
        """
        if px_um is None:
            return
        mpp, problem = px_of_sides(*px_um, what)
        if problem is not None:
            self.notes.append(problem)
        if mpp is None:
            return
        self.mpp.setdefault(source, mpp)
        if of is None or size is None or of == size:
            return
        # The factor by which the page was shrunk, or enlarged.
        shrunk, enlarged = downsample_between(of, size), downsample_between(size, of)
        if shrunk or enlarged:
            self.mpp.setdefault("geometry", mpp * (shrunk or 1 / (enlarged or 1)))
        elif of[0] * of[1] > 1:
            self.notes.append(
                f"{what} is about an image of {of[0]} x {of[1]} px (height x width), and this one "
                f"has {size[0]} x {size[1]}: its {mpp:.4g} um per px holds only where the image "
                "was cropped, not resized"
            )


def tiff_statements(
    tif: tifffile.TiffFile, page: tifffile.TiffPage, ome: OmeImage | None
) -> Statements:
    """Every statement of a file about the um per px of ``page``, its finest level.

    Parameters
    ----------
    ome
        What the OME-XML says of this image, where there is any.
    """
    told = Statements()
    size = (page.imagelength, page.imagewidth)
    text = page.description or ""
    if ome is not None:
        told.add("metadata", ome.px_um, "the OME metadata", of=ome.size, size=size)
        if any(ome.px) and ome.px_um is None and all(u in UNITS_UM for u in ome.units):
            said = " x ".join(v or "?" for v in ome.px)
            told.notes.append(f"the OME metadata gives a pixel of {said}, which is ignored")
    if tif.is_philips:
        told.add("metadata", _philips_px(text), "the Philips metadata")
    mpp = _described_mpp(text)
    told.add("description", mpp, "the description", of=_described_size(text), size=size)
    if tif.is_imagej:
        told.add("description", _imagej_px(tif, page), "the ImageJ description")
    number = page.resolutionunit
    unit = _PER_UNIT_UM.get(number) if isinstance(number, int) else None
    if unit is not None:
        told.add("resolution tag", resolution_px(page.resolution, unit), "the resolution tag")
    return told


def resolution_px(per_unit: tuple[float, float], unit_um: float) -> tuple[float, float] | None:
    """Um per px along x and y from a resolution tag; None where it is a placeholder.

    Parameters
    ----------
    per_unit
        Pixels per unit along x and y.
    unit_um
        The unit, um.
    """
    x, y = (float(v) for v in per_unit)
    if not (math.isfinite(x) and math.isfinite(y) and min(x, y) > 0):
        return None
    low, high = PLAUSIBLE_TAG_MPP
    px = unit_um / x, unit_um / y
    return px if all(low <= v <= high for v in px) else None


def _described_mpp(text: str) -> tuple[float, float] | None:
    """Aperio's ``MPP = 0.25``, or OpenSlide's properties as libvips copies them."""
    if match := re.search(rf"(?:^|[|\n\s])MPP\s*={_NUMBER}", text):
        return (_value(match), _value(match))
    sides = [
        re.search(rf"openslide\.mpp-{axis}</name>\s*<value[^>]*>{_NUMBER}", text) for axis in "xy"
    ]
    if sides[0] is None or sides[1] is None:
        return None
    return _value(sides[0]), _value(sides[1])


def _described_size(text: str) -> tuple[int, int] | None:
    """(height, width) of the image that the description was written for, px.

    Aperio writes ``46920x33014 [0,100 46000x32914] (256x256)``: in brackets is the part of the scan
    that the page shows, and ``-> 1024x732`` after it what it was shrunk to. Of several such texts
    the first is the latest.
    """
    latest = re.split(r"[;|]", text, maxsplit=1)[0]
    whole = r"(\d{1,7})\s*x\s*(\d{1,7})"
    if match := (
        re.search(rf"\[[^\]]*?\b{whole}\s*\]", latest)
        or re.search(rf"(?<![\d(]){whole}\s*->", latest)
        or re.search(r"(?<![\d(])(\d{3,7})\s*x\s*(\d{3,7})(?!\d*\))", latest)
    ):
        return int(match[2]), int(match[1])
    sides = [
        re.search(rf"openslide\.level\[0\]\.{side}</name>\s*<value[^>]*>(\d{{1,7}})<", text)
        for side in ("height", "width")
    ]
    if sides[0] is None or sides[1] is None:
        return None
    return int(sides[0][1]), int(sides[1][1])


def _philips_px(text: str) -> tuple[float, float] | None:
    """Spacing of the whole-slide image along x and y; the file gives rows first, in mm."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return None
    for image in root.iter("DataObject"):
        own = {a.get("Name"): a.text for a in image if a.tag == "Attribute"}
        if (own.get("PIM_DP_IMAGE_TYPE") or "").strip() != "WSI":
            continue
        # The image itself may leave it to its levels, of which the first is the finest.
        spaced = [a.text for a in image.iter("Attribute") if a.get("Name") == "DICOM_PIXEL_SPACING"]
        spacing = own.get("DICOM_PIXEL_SPACING") or next(iter(spaced), None)
        values = re.findall(r"[0-9.]+(?:[eE][-+]?[0-9]+)?", spacing or "")
        if len(values) == 2:
            try:
                return float(values[1]) * 1e3, float(values[0]) * 1e3
            except ValueError:
                return None
    return None


def _imagej_px(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[float, float] | None:
    unit = str((tif.imagej_metadata or {}).get("unit", ""))
    unit = unit.encode().decode("unicode_escape", "replace")
    x, y = (float(v) for v in page.resolution)
    if unit not in UNITS_UM or not min(x, y) > 0:
        return None
    return UNITS_UM[unit] / x, UNITS_UM[unit] / y


def _value(match: re.Match[str]) -> float:
    return float(match[1].replace(",", "."))
