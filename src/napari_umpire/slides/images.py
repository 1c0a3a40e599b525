"""Any image file as a pyramid, with the um per px that it states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.slides.overviews import with_overviews
from napari_umpire.slides.tiff import open_tiff
from napari_umpire.slides.tiff_meta import resolution_mpp
from napari_umpire.slides.vendor import VENDOR_SUFFIXES, is_vendor_file, open_vendor
from napari_umpire.slides.wholefile import PictureLevel, picture_dpi

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_umpire.slides.pyramid import Pyramid
    from napari_umpire.slides.scale import ScaleSource

__all__ = ["IMAGE_SUFFIXES", "PICTURE_SUFFIXES", "TIFF_SUFFIXES", "SlideImage", "load_image"]

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".svs"})
IMAGE_SUFFIXES = PICTURE_SUFFIXES | TIFF_SUFFIXES | VENDOR_SUFFIXES


@dataclass(frozen=True)
class SlideImage:
    """An image, and each statement of its file about the um per full-resolution px, by source."""

    pyramid: Pyramid
    stated: Mapping[ScaleSource, float] = field(default_factory=dict)


def load_image(path: Path, *, downsample: float = 1.0, grey: bool = False) -> SlideImage:
    """Open an image file.

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
        Where the file is absent, of another kind, broken, or no colour image.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="an image file", fix="Check the path")
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        level = PictureLevel(path, downsample, grey=grey)
        dpi = picture_dpi(path)
        mpp = None if dpi is None else resolution_mpp(dpi, 25_400.0)
        return SlideImage(with_overviews([level]), {} if mpp is None else {"resolution tag": mpp})
    if suffix in VENDOR_SUFFIXES:
        return _vendor(path)
    if suffix not in TIFF_SUFFIXES:
        raise InputError(
            f"{path.name} is not an image that can be opened",
            expected="one of " + ", ".join(sorted(IMAGE_SUFFIXES)),
        )
    try:
        tiff = open_tiff(path)
    except InputError:
        if not is_vendor_file(path):
            raise
        return _vendor(path)
    return SlideImage(with_overviews(list(tiff.levels)), tiff.stated)


def _vendor(path: Path) -> SlideImage:
    levels, mpp = open_vendor(path)
    return SlideImage(with_overviews(levels), {} if mpp is None else {"metadata": mpp})
