"""Any image file as a pyramid, with the um per px that it states."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_umpire.bounded import check_file
from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.faults import reading
from napari_umpire.slides.elements import element_name
from napari_umpire.slides.overviews import with_overviews
from napari_umpire.slides.scale import square_px
from napari_umpire.slides.tiff import tiff_images
from napari_umpire.slides.tiff_scale import resolution_px
from napari_umpire.slides.vendor import VENDOR_SUFFIXES, is_vendor_file, open_vendor
from napari_umpire.slides.wholefile import PictureLevel, opened_picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_umpire.slides.pyramid import Pyramid
    from napari_umpire.slides.scale import ScaleSource

__all__ = [
    "IMAGE_SUFFIXES",
    "PICTURE_SUFFIXES",
    "TIFF_SUFFIXES",
    "SlideImage",
    "header_size",
    "load_image",
    "load_images",
]

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".svs"})
IMAGE_SUFFIXES = PICTURE_SUFFIXES | TIFF_SUFFIXES | VENDOR_SUFFIXES


@dataclass(frozen=True)
class SlideImage:
    """An image, and each statement of its file about the um per full-resolution px, by source.

    Attributes
    ----------
    scene
        Its name among the images of its file; None where the file holds one.
    """

    pyramid: Pyramid
    stated: Mapping[ScaleSource, float] = field(default_factory=dict)
    scene: str | None = None


def load_image(path: Path, *, downsample: float = 1.0, grey: bool = False) -> SlideImage:
    """Open the image of a file that holds one.

    Parameters and errors are those of `load_images`; also refused is a file of several images.
    """
    images = load_images(path, downsample=downsample, grey=grey)
    if len(images) > 1:
        raise InputError(
            f"{path.name} holds {len(images)} images",
            got=", ".join(str(image.scene) for image in images),
            expected="one",
            fix="Export the one you mean as a file of its own",
        )
    return images[0]


def load_images(path: Path, *, downsample: float = 1.0, grey: bool = False) -> list[SlideImage]:
    """Open every H&E image of a file: the scenes of an OME-TIFF, the pages of a TIFF.

    Headers are read, and a few tiles at most.

    Parameters
    ----------
    path
        TIFF family, PNG, JPEG, or a scanner format (extra ``wsi``).
    downsample
        Full-resolution px per px of this file; not 1 only for reduced PNG and JPEG copies.
    grey
        Whether a PNG or JPEG without colour is taken.

    Raises
    ------
    InputError
        Where the file is absent, of another kind, broken, too large, or no colour image.
    """
    check_file(path, str(path))
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        level = PictureLevel(path, downsample, grey=grey)
        px = None if level.dpi is None else resolution_px(level.dpi, 25_400.0)
        mpp = None if px is None else square_px(*px, what="the resolution tag", name=path.name)
        stated: dict[ScaleSource, float] = {} if mpp is None else {"resolution tag": mpp}
        return [SlideImage(with_overviews([level]), stated)]
    if suffix in VENDOR_SUFFIXES:
        return [_vendor(path)]
    if suffix not in TIFF_SUFFIXES:
        raise InputError(
            f"{path.name} is not an image that can be opened",
            expected="one of " + ", ".join(sorted(IMAGE_SUFFIXES)),
        )
    try:
        images = tiff_images(path)
    except InputError:
        if not is_vendor_file(path):
            raise
        return [_vendor(path)]
    scenes = _names([image.name for image in images]) if len(images) > 1 else [None]
    for image, scene in zip(images, scenes, strict=True):
        for note in image.notes:
            where = path.name if scene is None else f"{path.name}, {scene}"
            warnings.warn(f"{where}: {note}", UmpireWarning, stacklevel=2)
    return [
        SlideImage(with_overviews(list(image.levels)), image.stated, scene)
        for image, scene in zip(images, scenes, strict=True)
    ]


def header_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of a TIFF, PNG or JPEG as its first header says, px; None where it does not.

    What is wrong with the file is said when it is opened.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in PICTURE_SUFFIXES:
            with opened_picture(path) as picture:
                return picture.height, picture.width
        if suffix in TIFF_SUFFIXES:
            import tifffile

            check_file(path)
            with reading(path.name), tifffile.TiffFile(path, _multifile=False) as tiff:
                return tiff.pages.first.imagelength, tiff.pages.first.imagewidth
    except InputError:
        pass
    return None


def _names(told: Sequence[str]) -> list[str]:
    """A name of its own for each image, by number where it has none."""
    out: list[str] = []
    for number, name in enumerate(told, 1):
        wanted = name or f"image {number}"
        if element_name(wanted).lower() in {element_name(other).lower() for other in out}:
            wanted = f"{wanted} ({number})"
        out.append(wanted)
    return out


def _vendor(path: Path) -> SlideImage:
    levels, mpp = open_vendor(path)
    return SlideImage(with_overviews(levels), {} if mpp is None else {"metadata": mpp})
