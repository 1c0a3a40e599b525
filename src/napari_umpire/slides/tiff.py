"""TIFF, BigTIFF, OME-TIFF and SVS images, decoded tile by tile.

tifffile parses the file and knows every codec; the bytes of a tile are read and decoded here
without its page machinery, from any thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.bounded import check_file
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.slides.copies import is_copy
from napari_umpire.slides.depth import check_depth
from napari_umpire.slides.pyramid import downsample_between, fitting_levels
from napari_umpire.slides.tiff_level import TiffLevel, TiffSource, segment_size
from napari_umpire.slides.tiff_meta import Samples, orientation
from napari_umpire.slides.tiff_scale import tiff_statements
from napari_umpire.slides.tiff_scenes import FoundImage, find_images, page_size
from napari_umpire.slides.turned import TurnedLevel
from napari_umpire.slides.wholefile import WholeLevel, check_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tifffile

    from napari_umpire.slides.pyramid import Level
    from napari_umpire.slides.scale import ScaleSource

__all__ = ["TiffImage", "reopen", "tiff_images"]

# A larger tile or strip would be decoded as a whole, 200 MB, for each look at a part of it.
_SEGMENT_LIMIT_PX = 64_000_000
# Images nearer in size are two sections; scanners reduce by 2 or more.
_LEAST_REDUCTION = 1.25


@dataclass(frozen=True)
class TiffImage:
    """An H&E image of a TIFF file.

    Attributes
    ----------
    levels
        Finest first, upright.
    stated
        Um per px of the finest level, by each statement about this image.
    name
        As the file names it; "" where it does not.
    notes
        What is to be said of it in words.
    stored
        The levels as they are stored, turned or not.
    """

    levels: tuple[Level, ...]
    stated: Mapping[ScaleSource, float]
    name: str
    notes: tuple[str, ...]
    stored: tuple[Level, ...]


def tiff_images(path: str | Path) -> tuple[TiffImage, ...]:
    """Open every H&E image of a TIFF-family file with its stored levels.

    At most a few tiles are decoded.

    Raises
    ------
    InputError
        Where the file is no TIFF, holds no red-green-blue image, or its pixels cannot be read.
    """
    path = Path(path)
    check_file(path, str(path))
    path = path.resolve()
    stat = path.stat()
    return _open(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _open(path: Path, mtime_ns: int, size: int) -> tuple[TiffImage, ...]:
    import tifffile

    problem = f"{path.name} cannot be read as a TIFF image"
    with reading(problem):
        # An OME-TIFF may name pages in other files: these are not followed.
        tif = tifffile.TiffFile(path, _multifile=False)
    with tif:
        samples: dict[tifffile.TiffPage, Samples] = {}
        # Tags are parsed as they are asked for, and a damaged one may have any type.
        with reading(problem):
            found, notes = find_images(path, tif)
            for one in found:
                for page in one.pages:
                    _check_layout(path, page)
                    page.init_decode()
                    samples[page] = Samples.of(page, one.ome)
        source = TiffSource(path)
        merged = _merged(source, found, samples, notes)
        images = [
            _image(tif, source, one, samples, scene, notes) for scene, one in enumerate(merged)
        ]
    for image in images:
        _try(path, image)
    return tuple(images)


def _image(
    tif: tifffile.TiffFile,
    source: TiffSource,
    found: FoundImage,
    samples: Mapping[tifffile.TiffPage, Samples],
    scene: int,
    notes: list[str],
) -> TiffImage:
    fitting, left_out = fitting_levels([page_size(page) for page in found.pages])
    first = found.pages[fitting[0][0]]
    of_first = samples[first]
    stored: list[Level] = []
    said = [*notes, *([] if left_out is None else [left_out])]
    for at, factor in fitting:
        page = found.pages[at]
        # The first page speaks for its copies, which often lack its tags.
        alike = (page.samplesperpixel, page.dtype) == (first.samplesperpixel, first.dtype)
        own = of_first if alike else samples[page]
        level = _level(source, page, (scene, len(stored)), factor, own)
        if not stored or factor.is_integer() or is_copy(stored[0], level):
            stored.append(level)
        else:
            high, wide = level.shape
            said.append(f"a copy of {high} x {wide} px that shows something else is left out")
    if first.samplesperpixel == 4 and of_first.alpha is None:
        said.append("its fourth sample is not said to be transparency, and is ignored")
    turn = orientation(first)
    told = tiff_statements(tif, first, found.ome)
    levels = tuple(stored if turn == 1 else (TurnedLevel(level, turn) for level in stored))
    return TiffImage(levels, told.mpp, found.name, (*said, *told.notes), tuple(stored))


def _merged(
    source: TiffSource,
    found: list[FoundImage],
    samples: Mapping[tifffile.TiffPage, Samples],
    notes: list[str],
) -> list[FoundImage]:
    """Images of which none is a copy of another: those join the pages of the larger one."""
    kept: dict[int, FoundImage] = {}
    for i in sorted(range(len(found)), key=lambda i: -_area(found[i])):
        image = found[i]
        for k, larger in kept.items():
            if _is_copy_of(source, larger, image, samples):
                kept[k] = replace(larger, pages=larger.pages + image.pages)
                break
        else:
            if image.is_reduced and kept:
                high, wide = image.size
                notes.append(f"a reduced copy of {high} x {wide} px that fits none is left out")
            else:
                kept[i] = image
    return [kept[i] for i in sorted(kept)]


def _area(image: FoundImage) -> int:
    return math.prod(image.size)


def _is_copy_of(
    source: TiffSource,
    larger: FoundImage,
    smaller: FoundImage,
    samples: Mapping[tifffile.TiffPage, Samples],
) -> bool:
    """Whether an image is a reduced copy of another."""
    factor = downsample_between(larger.size, smaller.size)
    if factor is None or factor < _LEAST_REDUCTION:
        return False
    levels = [
        _level(source, page, (0, 0), d, samples[page])
        for image, d in ((larger, 1.0), (smaller, factor))
        for page in image.pages
        if page_size(page) == image.size
    ]
    same = is_copy(levels[0], levels[-1])
    if same is not None:
        return same
    # Nothing but glass at all places: two images that OME-XML describes are not taken for one.
    two = larger.ome is not None and smaller.ome is not None and not smaller.is_reduced
    return factor.is_integer() and not two


def _try(path: Path, image: TiffImage) -> None:
    """Read a tile: a file may parse and yet hold no readable pixel."""
    last = image.stored[-1]
    if isinstance(last, TiffLevel):
        last.read_tile(last.grid[0] // 2, last.grid[1] // 2)
    deep = [v for v in image.stored if isinstance(v, TiffLevel) and v.bits > 8]
    if deep:
        check_depth(deep[-1], path.name)


def _check_layout(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse a page whose tags do not describe all of its pixels."""
    size, chunk = page_size(page), segment_size(page)
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


def _level(
    source: TiffSource,
    page: tifffile.TiffPage,
    place: tuple[int, int],
    downsample: float,
    samples: Samples,
) -> Level:
    """A page as a level; ``place`` is its image in the file, and which level of that it is."""
    level = TiffLevel(source, page, place, downsample, samples)
    segment = segment_size(page)
    if math.prod(segment) <= _SEGMENT_LIMIT_PX:
        return level
    if page.is_contiguous and page.compression == 1 and page.planarconfig == 1:
        return TiffLevel(source, page, place, downsample, samples, raw=True)
    # One segment that fills the page can only be decoded whole; it goes to the bounded store.
    wide = page.samplesperpixel * np.dtype(page.dtype).itemsize
    check_size(source.path.name, tuple(np.maximum(segment, level.shape)), wide)
    return _OneSegment(level, (source.key, page.offset), source.path.name)


class _OneSegment(WholeLevel):
    """A page that is one segment; in another process the file is opened again."""

    def __init__(self, page: TiffLevel, key: object, name: str) -> None:
        super().__init__(key, page.shape, page.read_whole, page.downsample, name=name)
        self._page = page

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._page.__reduce__()


def reopen(path: Path, image: int, level: int) -> Level:
    """A stored level of a file, in another process."""
    return tiff_images(path)[image].stored[level]
