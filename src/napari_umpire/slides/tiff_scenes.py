"""Which images of a TIFF file are slides: every H&E image, without labels and reduced copies."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.slides.ome import OmeImage, image_of_page, ome_images
from napari_umpire.slides.tiff_meta import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import tifffile

__all__ = ["FoundImage", "find_images", "page_size"]

# What scanners name the photographs beside the scan: "label 387x463", "Macro image". In front may
# stand the name of the file, behind only a size: "label-free" and "Macro ROI 2" are scans.
_PHOTOGRAPH = re.compile(
    r"^(.*[^a-z\n])?(?:label|macro|thumbnail|overview|preview)(?:[ _-]?image)?"
    r"[^a-z\n]*(?:\d+ ?x ?\d+[^a-z\n]*)?$",
    re.IGNORECASE | re.MULTILINE,
)
# More planes in a row are a stack or a film, not sections.
_MOST_PLANES = 200
# Beside a scan, an image with a 64th of its px (an eighth of each side) is a picture of the glass.
_SMALL = 64


@dataclass(frozen=True)
class FoundImage:
    """One H&E image of a file.

    Attributes
    ----------
    name
        As the file names it, "" where it does not.
    pages
        The image and what the file says are its reduced copies, in the order of the file.
    ome
        What the OME-XML says of it.
    """

    name: str
    pages: tuple[tifffile.TiffPage, ...]
    ome: OmeImage | None

    @property
    def is_reduced(self) -> bool:
        """Whether the file says that it is a reduced copy of another image."""
        return bool(self.pages[0].is_reduced)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the largest page, px."""
        return max((page_size(page) for page in self.pages), key=math.prod)


def page_size(page: tifffile.TiffPage) -> tuple[int, int]:
    """(height, width) of a page, px."""
    return page.imagelength, page.imagewidth


def _area(page: tifffile.TiffPage) -> int:
    return math.prod(page_size(page))


def find_images(path: Path, tif: tifffile.TiffFile) -> tuple[list[FoundImage], list[str]]:
    """Every H&E image of a file, in its order, and words about what is left out.

    Some may be reduced copies of others.

    Raises
    ------
    InputError
        Where there is none.
    """
    told = ome_images(tif.ome_metadata if tif.is_ome else None, path.name)
    found, refused = [], []
    for series in tif.series:
        for name, pages, axes, shape in _images(series):
            first = pages[0]
            ome = image_of_page(told, _index(first), page_size(first))
            why = refusal(first, axes, shape, ome)
            if why is not None:
                refused.append((math.prod(page_size(first)), why))
                continue
            levels = [page for page in pages[1:] if refusal(page) is None]
            # That a page has half the size of another does not yet make it a copy.
            copies = [p for p in levels if series.kind != "generic" or p.is_reduced or p.is_subifd]
            found.append(FoundImage(name, (first, *copies), ome))
            found += [FoundImage("", (page,), None) for page in levels if page not in copies]
    if not found:
        raise InputError(
            f"{path.name} holds no colour image",
            got=refused[0][1] if refused else "no image at all",
            expected="one red-green-blue plane of 8 or 16 bits (an H&E brightfield image)",
            fix="Export the H&E image as RGB",
        )
    found, larger = _without_larger_copies(found)
    slides, others = _slides(found)
    return slides, [*larger, *others]


def _without_larger_copies(found: list[FoundImage]) -> tuple[list[FoundImage], list[str]]:
    """A SubIFD is a reduced copy by definition: one that is larger than every image is none."""
    images = [image.pages[0] for image in found if not image.pages[0].is_subifd]
    most = max(map(_area, images), default=0)
    if not most:
        return found, []
    kept, notes = [], []
    for image in found:
        pages = tuple(p for p in image.pages if not (p.is_subifd and _area(p) > most))
        for high, wide in (page_size(p) for p in image.pages if p not in pages):
            notes.append(f"a copy of {high} x {wide} px is larger than its image, and is ignored")
        if pages:
            kept.append(replace(image, pages=pages))
    return kept, notes


def _slides(found: list[FoundImage]) -> tuple[list[FoundImage], list[str]]:
    """Without photographs of the glass and labels."""
    if len(found) == 1:
        return found, []
    photographs = {i: match for i, image in enumerate(found) if (match := _photograph(image))}
    slides = [image for i, image in enumerate(found) if i not in photographs] or [
        max(found, key=lambda image: math.prod(image.size))
    ]
    largest = max(math.prod(image.size) for image in slides)
    notes = []
    for i, match in photographs.items():
        # What has a scanner's very words for it is nothing to speak of.
        if found[i] not in slides and not found[i].is_reduced and match[1]:
            high, wide = found[i].size
            notes.append(
                f"the image {match[0].strip()!r} of {high} x {wide} px (height x width) is left "
                "out: by its name it is a photograph of the glass"
            )
    for image in list(slides):
        if not image.is_reduced and math.prod(image.size) * _SMALL < largest:
            slides.remove(image)
            high, wide = image.size
            notes.append(f"a small image of {high} x {wide} px (height x width) is left out")
    return slides, notes


def _photograph(image: FoundImage) -> re.Match[str] | None:
    """The words that make an image a photograph of the glass or its label; None where it is not."""
    page = image.pages[0]
    # tifffile names the pages of an svs file by their place; where another program wrote it
    # again without the thumbnail, a reduced copy of the scan stands there.
    name = "" if page.is_reduced and page.is_tiled else image.name
    return _PHOTOGRAPH.search(f"{name}\n{_first_words(page)}")


def _images(
    series: tifffile.TiffPageSeries,
) -> Iterator[tuple[str, list[tifffile.TiffPage], str, tuple[int, ...]]]:
    """Name, pages, axes and shape of each image of a series; pages in a row are several images."""
    name = series.name or ""
    levels = [level for level in series.levels if level.keyframe is not None]
    count = math.prod(n for n, a in zip(series.shape, series.axes, strict=True) if a in "IQ")
    stacked = any(n > 1 for n, a in zip(series.shape, series.axes, strict=True) if a not in "IQYXS")
    each = all(len(level.pages) == count for level in levels)
    if stacked or count < 2 or count > _MOST_PLANES or not each:
        yield name, [level.keyframe for level in levels], series.axes, tuple(series.shape)
        return
    kept = [(n, a) for n, a in zip(series.shape, series.axes, strict=True) if a not in "IQ"]
    for i in range(count):
        pages = [page.aspage() for level in levels if (page := level.pages[i]) is not None]
        yield name, pages, "".join(a for _, a in kept), tuple(n for n, _ in kept)


def _index(page: tifffile.TiffPage) -> int:
    index = page.index
    return int(index[0] if isinstance(index, tuple) else index)


def _first_words(page: tifffile.TiffPage) -> str:
    """The first two lines of a description, as far as its properties."""
    text = page.description or ""
    if text.lstrip().startswith(("<", "{")):
        return ""
    return "\n".join(re.split(r"[|;]", text, maxsplit=1)[0].splitlines()[:2])
