"""Which image of a Space Ranger folder shows the tissue, and whether its copies agree."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.faults import reading
from napari_umpire.files import listed
from napari_umpire.slides.images import PICTURE_SUFFIXES, TIFF_SUFFIXES, load_image
from napari_umpire.slides.place import check_overlap, inside
from napari_umpire.slides.thumbnails import likeness

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from napari_umpire.slides.images import SlideImage
    from napari_umpire.slides.pyramid import Pyramid
    from napari_umpire.slides.scale import ScaleSource
    from napari_umpire.slides.thumbnails import Likeness

__all__ = ["TissueImage", "choose_image"]


@dataclass(frozen=True)
class TissueImage:
    """The image of a slide.

    Attributes
    ----------
    pyramid
        In the frame of full-resolution px.
    stated
        What a full-resolution file states of its um per px, by source.
    kind
        "full", "hires" or "lowres".
    """

    pyramid: Pyramid
    stated: Mapping[ScaleSource, float]
    kind: Literal["full", "hires", "lowres"]


# No microscope image is larger; a scale factor of 1e-300 says so.
_LARGEST_PX = 2_000_000
# What rounding to whole px leaves of a size, beside one px of each copy.
_ROUNDING = 0.002


def choose_image(
    outs: Path,
    images: Mapping[str, Path],
    factors: Mapping[str, float],
    yx: np.ndarray,
    *,
    name: str,
    wanted: str | Path | None,
    given: Path,
) -> TissueImage:
    """Return the named image, a full-resolution one beside the folder, "hires", or "lowres".

    A full-resolution image must have the size that the reduced copies tell, and look like them.

    Parameters
    ----------
    outs
        The folder that holds ``spatial``.
    images
        The reduced copies: "hires" and "lowres", as far as they are there.
    factors
        The scale factors.
    yx
        (n_spots, 2) spot centres, full-resolution px.
    name
        Of the slide, for messages.
    wanted
        The full-resolution file that the user named.
    given
        The path that the user opened; relative names are looked up there too.

    Raises
    ------
    InputError
        Where there is no image, the spots do not lie on it, or the images contradict each other.
    """
    reduced = _reduced(images, factors, name)
    shown = [r for r in reduced if not _is_blank(r)]
    seen = shown[0] if shown else None
    if len(shown) == 2:
        _compare_copies(*shown, name=name)
    size = _expected_size(reduced)
    if wanted is not None:
        with reading(f"The image {wanted} cannot be found", fix="Check the path"):
            path = Path(wanted).expanduser()
            if not path.exists() and (given / path).exists():
                path = given / path
        loaded = load_image(path)
        _check_size(path, loaded, size)
        _check_likeness(path, loaded, seen)
        check_overlap(loaded.pyramid.extent, yx, name=name, image=path.name)
        return TissueImage(loaded.pyramid, loaded.stated, "full")
    if (beside := _beside(outs, yx, size, seen)) is not None:
        check_overlap(beside.pyramid.extent, yx, name=name, image="the full-resolution image")
        return beside
    if not reduced:
        raise InputError(
            f"{name} holds no tissue image",
            expected="spatial/tissue_hires_image.png with its scale factor, or a full-resolution "
            "image",
            fix="Copy it there, or name the full-resolution file with image=",
        )
    chosen = seen or reduced[0]
    for other in reduced:
        if _is_blank(other):
            instead = "; the lowres image is shown" if other is not chosen else ""
            warnings.warn(f"{name}: the {other.kind} image is blank{instead}", UmpireWarning, 2)
        if other is chosen:
            break
    check_overlap(chosen.pyramid.extent, yx, name=name, image=f"the {chosen.kind} image")
    return chosen


def _reduced(
    images: Mapping[str, Path], factors: Mapping[str, float], name: str
) -> list[TissueImage]:
    """The reduced copies, the finest first, once they tell one size of the full image."""
    out = []
    for kind in ("hires", "lowres"):
        factor, path = factors.get(f"tissue_{kind}_scalef"), images.get(kind)
        if factor is None or path is None:
            continue
        pyramid = load_image(path, downsample=1 / factor, grey=True).pyramid
        height, width = pyramid.extent
        if not max(height, width) <= _LARGEST_PX:
            raise InputError(
                f"Image and scale factor of {name} do not belong together",
                got=f"tissue_{kind}_scalef {factor:g}, by which the full-resolution image has "
                f"{height:.3g} x {width:.3g} px",
                expected=f"at most {_LARGEST_PX:,} px",
                fix="Copy the whole spatial folder again",
            )
        out.append(TissueImage(pyramid, {}, kind))
    if len(out) == 2:
        _check_sizes(*out, name=name)
    return out


def _check_sizes(hires: TissueImage, lowres: TissueImage, *, name: str) -> None:
    """Refuse copies that imply two sizes of the full image: one of them was replaced."""
    rounding = hires.pyramid.levels[0].downsample + lowres.pyramid.levels[0].downsample
    pairs = list(zip(hires.pyramid.extent, lowres.pyramid.extent, strict=True))
    if all(abs(a - b) <= rounding + _ROUNDING * max(a, b) for a, b in pairs):
        return
    told = [
        f"{h:.0f} x {w:.0f} px by the {picture.kind} image and its scale factor"
        for picture in (hires, lowres)
        for h, w in [picture.pyramid.extent]
    ]
    raise InputError(
        f"The images of {name} imply two different sizes of the full-resolution image",
        got=", ".join(told),
        expected="one size (height x width): an image or the scale factors were replaced",
        fix="Copy the whole spatial folder again",
    )


def _is_blank(picture: TissueImage) -> bool:
    level = picture.pyramid.levels[0]
    pixels = level.read(0, 0, *level.shape).reshape(-1, 3)
    return bool((pixels == pixels[0]).all())


def _expected_size(reduced: list[TissueImage]) -> tuple[float, float, float] | None:
    """(height, width, tolerance) of the full-resolution image, px, told by the finest copy."""
    if not reduced:
        return None
    pyramid = reduced[0].pyramid
    # A copy's size is rounded to whole px of its own.
    return (*pyramid.extent, 2 * pyramid.levels[0].downsample)


def _fits(extent: tuple[float, float], size: tuple[float, float, float]) -> bool:
    return all(abs(a - b) <= size[2] for a, b in zip(extent, size[:2], strict=True))


def _check_size(path: Path, loaded: SlideImage, size: tuple[float, float, float] | None) -> None:
    extent = loaded.pyramid.extent
    if size is None or _fits(extent, size):
        return
    raise InputError(
        f"{path.name} is not the image that these spots were found on",
        got=f"{extent[0]:.0f} x {extent[1]:.0f} px (height x width)",
        expected=f"about {size[0]:.0f} x {size[1]:.0f} px",
        fix="Give the file that went into Space Ranger, neither resized, turned nor cropped",
    )


def _compare_copies(hires: TissueImage, lowres: TissueImage, *, name: str) -> None:
    found = likeness(lowres.pyramid, hires.pyramid)
    if found is not None and not found.same:
        warnings.warn(
            f"{name}: the lowres image does not show what the hires image shows ({found}); one of "
            "them was replaced. Copy the whole spatial folder again",
            UmpireWarning,
            stacklevel=3,
        )


def _likeness(loaded: SlideImage, seen: TissueImage | None) -> Likeness | None:
    """How a full-resolution image resembles a reduced copy; None where that shows nothing."""
    return None if seen is None else likeness(loaded.pyramid, seen.pyramid)


def _check_likeness(path: Path, loaded: SlideImage, seen: TissueImage | None) -> None:
    found = _likeness(loaded, seen)
    if seen is None or found is None or found.same:
        return
    raise InputError(
        f"{path.name} does not show what the {seen.kind} image of these spots shows",
        got=found,
        expected="the file that went into Space Ranger, neither turned nor of another section",
        fix=f"Give that file; if this one is right, move the {seen.kind} image elsewhere",
    )


def _listed_beside(folder: Path, outs: Path) -> list[Path]:
    """What a folder holds; that around ``outs`` may belong to others, and is not needed."""
    try:
        return listed(folder)
    except InputError as error:
        if folder == outs:
            raise
        warnings.warn(f"No image is looked for in {folder.name}: {error}", UmpireWarning, 5)
        return []


def _beside(
    outs: Path,
    yx: np.ndarray,
    size: tuple[float, float, float] | None,
    seen: TissueImage | None,
) -> TissueImage | None:
    """A full-resolution image in the folder or beside ``outs`` that fits the spots and copies."""
    folders = [outs, outs.parent] if outs.name == "outs" else [outs]
    fitting: list[tuple[Path, SlideImage]] = []
    for folder in folders:
        for path in _listed_beside(folder, outs):
            suffix = path.suffix.lower()
            if suffix not in TIFF_SUFFIXES | PICTURE_SUFFIXES or not path.is_file():
                continue
            try:
                loaded = load_image(path)
                extent = loaded.pyramid.extent
                fits = inside(extent, yx).all() if size is None else _fits(extent, size)
                found = _likeness(loaded, seen) if fits else None
            except InputError as error:
                warnings.warn(
                    f"{path.name} beside the spots is left out: {error}", UmpireWarning, 4
                )
                continue
            if seen is not None and found is not None and not found.same:
                warnings.warn(
                    f"{path.name} beside the spots is left out: it has the right size, but does "
                    f"not show what the {seen.kind} image shows ({found})",
                    UmpireWarning,
                    stacklevel=4,
                )
            elif fits:
                fitting.append((path, loaded))
    if not fitting:
        return None
    if len(fitting) > 1:
        names = ", ".join(path.name for path, _ in fitting)
        warnings.warn(
            f"Several images fit the spots ({names}); {fitting[0][0].name} is used. "
            "Name another with image=",
            UmpireWarning,
            stacklevel=3,
        )
    loaded = fitting[0][1]
    return TissueImage(loaded.pyramid, loaded.stated, "full")
