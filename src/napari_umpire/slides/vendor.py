"""Scanner formats that only OpenSlide reads (extra ``wsi``)."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.slides.pyramid import Level, over_white
from napari_umpire.slides.scale import square_px

if TYPE_CHECKING:
    from pathlib import Path

    import openslide

__all__ = ["VENDOR_SUFFIXES", "OpenSlideLevel", "is_vendor_file", "open_vendor"]

VENDOR_SUFFIXES = frozenset(
    {".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".dcm", ".czi"}
)

# Formats that OpenSlide reads too, but tifffile reads in full.
_OURS = {"aperio", "generic-tiff"}
_TILE = 512


class OpenSlideLevel(Level):
    """One level of a slide that OpenSlide has open; transparent pixels become white."""

    def __init__(self, slide: openslide.OpenSlide, path: Path, index: int) -> None:
        self._slide, self._path, self._index = slide, path, index
        width, height = slide.level_dimensions[index]
        self.shape = (height, width)
        self.downsample = float(slide.level_downsamples[index])
        stored = slide.properties.get(f"openslide.level[{index}].tile-width", "")
        side = int(stored) if stored.isdigit() else _TILE
        self.tile = (max(side, _TILE // side * side),) * 2

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (_reopen, (self._path, self._index))

    def _read_tile(self, row: int, col: int) -> np.ndarray:
        y, x = row * self.tile[0], col * self.tile[1]
        size = (min(self.tile[1], self.shape[1] - x), min(self.tile[0], self.shape[0] - y))
        at = (round(x * self.downsample), round(y * self.downsample))
        with reading(
            f"{self._path.name} holds pixels that cannot be read "
            f"(tile ({row}, {col}) of level {self._index})"
        ):
            rgba = np.asarray(self._slide.read_region(at, self._index, size))
        return over_white(rgba)


def is_vendor_file(path: Path) -> bool:
    """Whether OpenSlide is installed and reads this file in a format that tifffile does not."""
    if importlib.util.find_spec("openslide") is None:
        return False
    import openslide

    with reading(f"{path.name} cannot be read by OpenSlide"):
        found = openslide.OpenSlide.detect_format(path)
    return found is not None and found not in _OURS


def open_vendor(path: Path) -> tuple[list[Level], float | None]:
    """Open a scanner file: its levels, finest first, and um per px where it says.

    Raises
    ------
    InputError
        Where the extra is not installed, or OpenSlide cannot read the file.
    """
    if importlib.util.find_spec("openslide") is None:
        raise InputError(
            f"{path.name} is a scanner format that needs OpenSlide",
            fix='Install it: pip install "napari-umpire[wsi]"',
        )
    import openslide

    with reading(
        f"{path.name} cannot be read by OpenSlide",
        fix="Copy the file again from its source, with all files that belong to it",
    ):
        slide = openslide.OpenSlide(path)
        levels: list[Level] = [OpenSlideLevel(slide, path, i) for i in range(slide.level_count)]
    x, y = (_number(slide.properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    return levels, square_px(x, y, what="the scanner's metadata", name=path.name)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _reopen(path: Path, index: int) -> Level:
    return open_vendor(path)[0][index]
