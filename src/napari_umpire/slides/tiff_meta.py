"""What the tags of a TIFF file say: whether it is an H&E image, and its physical scale."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

if TYPE_CHECKING:
    import tifffile

    from napari_umpire.slides.scale import ScaleSource

__all__ = ["PLAUSIBLE_TAG_MPP", "refusal", "resolution_mpp", "stated_scales"]

PLAUSIBLE_TAG_MPP = (0.1, 20.0)
"""Um per px that a resolution tag may claim. Programs write 72, 96 or 300 dpi (353 to 85 um) as
placeholders for screens and printers."""

_RGB, _YCBCR = 2, 6
_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_PER_UNIT_UM = {2: 25_400.0, 3: 10_000.0}


def refusal(page: tifffile.TiffPage, series: tifffile.TiffPageSeries | None = None) -> str | None:
    """Why a page is not an H&E image, in words; None where it is."""
    axes = series.axes if series is not None else page.axes
    shape = tuple(series.shape) if series is not None else tuple(page.shape)
    size = " x ".join(f"{n} {a}" for n, a in zip(shape, axes, strict=True))
    planes = [n for n, a in zip(shape, axes, strict=True) if a not in "YXS"]
    dtype = np.dtype(page.dtype) if page.dtype is not None else None
    if any(n > 1 for n in planes):
        return f"several planes of {dtype} ({size})"
    if dtype not in (np.uint8, np.uint16):
        return f"pixels of type {dtype} ({size})"
    if page.samplesperpixel < 3:
        return f"a grey image of {dtype} ({size})"
    if page.photometric not in (_RGB, _YCBCR) or page.samplesperpixel > 4:
        return f"{page.samplesperpixel} samples of {dtype} per pixel ({size}), not RGB"
    return None


def stated_scales(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[ScaleSource, float]:
    """Um per px of the finest level, by each statement that the file makes about it."""
    unit = _PER_UNIT_UM.get(int(page.resolutionunit or 0))
    told: dict[ScaleSource, float | None] = {
        "metadata": _ome(tif) or _philips(tif, page),
        "description": _aperio(page) or _imagej(tif, page),
        "resolution tag": None if unit is None else resolution_mpp(page.resolution, unit),
    }
    return {k: v for k, v in told.items() if v is not None and np.isfinite(v) and v > 0}


def resolution_mpp(per_unit: tuple[float, float], unit_um: float) -> float | None:
    """Um per px from a resolution tag; None where it is a placeholder or the axes differ.

    Parameters
    ----------
    per_unit
        Pixels per unit along x and y.
    unit_um
        The unit, um.
    """
    x, y = (float(v) for v in per_unit)
    if min(x, y) <= 0 or max(x, y) > 1.01 * min(x, y):
        return None
    mpp = 2 * unit_um / (x + y)
    low, high = PLAUSIBLE_TAG_MPP
    return mpp if low <= mpp <= high else None


def _ome(tif: tifffile.TiffFile) -> float | None:
    if not tif.is_ome or not tif.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except ElementTree.ParseError:
        return None
    largest, found = 0, None
    for pixels in root.iter():
        if not pixels.tag.endswith("}Pixels") or "PhysicalSizeX" not in pixels.attrib:
            continue
        area = int(pixels.get("SizeX", 0)) * int(pixels.get("SizeY", 0))
        unit = _UM.get(pixels.get("PhysicalSizeXUnit", "µm"))
        if unit is not None and area > largest:
            largest, found = area, float(pixels.attrib["PhysicalSizeX"]) * unit
    return found


def _aperio(page: tifffile.TiffPage) -> float | None:
    match = re.search(r"\|\s*MPP\s*=\s*([0-9.]+)", page.description or "")
    return float(match.group(1)) if match else None


def _philips(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    if not tif.is_philips:
        return None
    match = re.search(
        r'DICOM_PIXEL_SPACING"[^>]*>\s*(?:&quot;|")?([0-9.eE+-]+)', page.description or ""
    )
    return float(match.group(1)) * 1e3 if match else None


def _imagej(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    meta = tif.imagej_metadata if tif.is_imagej else None
    unit = str((meta or {}).get("unit", "")).encode().decode("unicode_escape", "replace")
    if unit not in _UM or min(page.resolution) <= 0:
        return None
    return _UM[unit] / float(page.resolution[0])
