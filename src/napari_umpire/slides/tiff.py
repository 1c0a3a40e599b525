"""TIFF, BigTIFF, OME-TIFF and SVS images, decoded tile by tile.

tifffile parses the file and knows every codec; the bytes of a tile are read and decoded here
without its page machinery, from any thread.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.slides.pyramid import usable_levels
from napari_umpire.slides.tiff_level import TiffLevel, TiffSource, segment_size
from napari_umpire.slides.tiff_meta import refusal, stated_scales
from napari_umpire.slides.wholefile import WholeLevel

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tifffile

    from napari_umpire.slides.pyramid import Level
    from napari_umpire.slides.scale import ScaleSource

__all__ = ["TiffImage", "open_tiff", "reopen"]

_SEGMENT_LIMIT_PX = 64_000_000


@dataclass(frozen=True)
class TiffImage:
    """The H&E image of a TIFF file: its levels, finest first, and what it states of its scale."""

    levels: tuple[Level, ...]
    stated: Mapping[ScaleSource, float]


def open_tiff(path: str | Path) -> TiffImage:
    """Open the largest colour image of a TIFF-family file with its stored levels.

    Raises
    ------
    InputError
        Where the file is no TIFF, holds no red-green-blue image, or its pixels cannot be read.
    """
    path = Path(path).resolve()
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be opened", got=error) from error
    return _open(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _open(path: Path, mtime_ns: int, size: int) -> TiffImage:
    import tifffile

    # What tifffile raises on a spoilt header, found by spoiling headers.
    problems = (
        tifffile.TiffFileError,
        struct.error,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    )
    try:
        with tifffile.TiffFile(path) as tif:
            series = _choose(path, tif)
            pages = [level.keyframe for level in series.levels]
            pages = [pages[0]] + [p for p in pages[1:] if refusal(p) is None]
            stated = stated_scales(tif, pages[0])
            for page in pages:
                _check_layout(path, page)
                page.init_decode()
    except InputError:
        raise
    except problems as error:
        raise InputError(
            f"{path.name} cannot be read as a TIFF image",
            got=error,
            fix="Copy the file again from its source",
        ) from error
    source = TiffSource(path)
    usable = usable_levels([_size(page) for page in pages], name=path.name)
    levels = [_level(source, pages[at], i, factor) for i, (at, factor) in enumerate(usable)]
    last = levels[-1]
    if not isinstance(last, WholeLevel):
        # A file may parse and yet hold no readable pixel; say so before anything is drawn.
        last.read_tile(last.grid[0] // 2, last.grid[1] // 2)
    return TiffImage(tuple(levels), stated)


def _choose(path: Path, tif: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The largest series that is one red-green-blue plane."""
    good = [s for s in tif.series if refusal(s.keyframe, s) is None]
    if not good:
        what = tif.series[0] if tif.series else None
        raise InputError(
            f"{path.name} holds no colour image",
            got=refusal(what.keyframe, what) if what is not None else "no image at all",
            expected="one red-green-blue plane of 8 or 16 bits (an H&E brightfield image)",
            fix="Export the H&E image as RGB",
        )
    return max(good, key=lambda s: s.keyframe.imagelength * s.keyframe.imagewidth)


def _check_layout(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse a page whose tags do not describe all of its pixels."""
    size, chunk = _size(page), segment_size(page)
    if min(*size, *chunk) > 0:
        segments = math.prod(-(-n // c) for n, c in zip(size, chunk, strict=True))
        segments *= page.samplesperpixel if page.planarconfig == 2 else 1
        if min(len(page.dataoffsets), len(page.databytecounts)) >= segments:
            return
    raise InputError(
        f"{path.name} cannot be read as a TIFF image",
        got=f"{len(page.dataoffsets)} tiles for {size[0]} x {size[1]} px",
        fix="Copy the file again from its source",
    )


def _size(page: tifffile.TiffPage) -> tuple[int, int]:
    return page.imagelength, page.imagewidth


def _level(source: TiffSource, page: tifffile.TiffPage, index: int, downsample: float) -> Level:
    if math.prod(segment_size(page)) <= _SEGMENT_LIMIT_PX:
        return TiffLevel(source, page, index, downsample)
    if page.is_contiguous and page.compression == 1 and page.planarconfig == 1:
        return TiffLevel(source, page, index, downsample, raw=True)
    # One segment that fills the page can only be decoded whole; it goes to the bounded store.
    inner = TiffLevel(source, page, index, downsample)
    key = (source.key, index)
    return WholeLevel(key, inner.shape, lambda: inner.read(0, 0, *inner.shape), downsample)


def reopen(path: Path, index: int) -> Level:
    """The level ``index`` of a file, in another process."""
    return open_tiff(path).levels[index]
