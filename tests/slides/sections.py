"""A made-up section: tissue with nuclei on glass, in one corner of a slide that is not square."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GLASS = 244

TILED: dict[str, Any] = {
    "photometric": "rgb",
    "tile": (128, 192),
    "compression": "zlib",
    "metadata": None,
}


def section(height: int = 850, width: int = 1000, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint8; another seed gives another section."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    centre = 0.35 + 0.1 * rng.random(2)
    inside = ((y / height - centre[0]) / 0.3) ** 2 + ((x / width - centre[1]) / 0.3) ** 2 < 1
    image = np.full((height, width, 3), GLASS, np.uint8)
    image[inside] = (205, 130, 175)
    nuclei = rng.random((height // 8 + 1, width // 8 + 1)) < 0.25
    image[inside & np.kron(nuclei, np.ones((8, 8), bool))[:height, :width]] = (110, 60, 140)
    return image


def halved(image: np.ndarray, step: int = 2) -> np.ndarray:
    """Means of ``step`` x ``step`` px."""
    h, w = (n // step for n in image.shape[:2])
    return image[: h * step, : w * step].reshape(h, step, w, step, 3).mean((1, 3)).astype(np.uint8)


def ome_xml(*images: str | tuple[str, str, str]) -> bytes:
    """OME-XML of images of one page each: attributes of `Pixels`, or (name, those, channels)."""
    out = ['<?xml version="1.0" encoding="UTF-8"?>']
    out.append('<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">')
    for i, image in enumerate(images):
        name, pixels, channels = image if isinstance(image, tuple) else (f"I{i}", image, "")
        channels = channels or f'<Channel ID="Channel:{i}:0" SamplesPerPixel="3"/>'
        out.append(
            f'<Image ID="Image:{i}" Name="{name}"><Pixels ID="Pixels:{i}" DimensionOrder="XYCZT" '
            f'Type="uint8" SizeC="3" SizeZ="1" SizeT="1" {pixels}>{channels}'
            f'<TiffData IFD="{i}" PlaneCount="1"/></Pixels></Image>'
        )
    return "".join([*out, "</OME>"]).encode()


def write(path: Path, image: np.ndarray, mpp: float | None = None, **options: Any) -> Path:
    """A tiled TIFF, with a resolution tag where ``mpp`` is given."""
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, image, **TILED | options)
    return path


def write_levels(path: Path, levels: Sequence[np.ndarray], mpp: float = 0.9) -> Path:
    """A pyramid whose copies are SubIFDs, in the given order."""
    with tifffile.TiffWriter(path) as out:
        out.write(
            levels[0],
            subifds=len(levels) - 1,
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
            **TILED,
        )
        for level in levels[1:]:
            out.write(level, subfiletype=1, **TILED)
    return path
