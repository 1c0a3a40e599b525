"""Which image of a Space Ranger folder shows the tissue, and whether the spots lie on it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.images import PICTURE_SUFFIXES, TIFF_SUFFIXES, load_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_umpire.slides.images import SlideImage
    from napari_umpire.slides.pyramid import Pyramid
    from napari_umpire.slides.scale import ScaleSource

__all__ = ["TissueImage", "check_overlap", "choose_image"]


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


def choose_image(
    outs: Path,
    factors: dict[str, float],
    yx: np.ndarray,
    *,
    name: str,
    wanted: str | Path | None,
    given: Path,
) -> TissueImage:
    """Return the named image, a full-resolution one beside the folder, "hires", or "lowres".

    Parameters
    ----------
    outs
        The folder that holds ``spatial``.
    factors
        Its scale factors.
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
        Where there is no image, or the spots do not lie on it.
    """
    reduced = _reduced(outs / "spatial", factors)
    size = _expected_size(reduced)
    if wanted is not None:
        path = Path(wanted).expanduser()
        if not path.exists() and (given / path).exists():
            path = given / path
        loaded = load_image(path)
        _check_size(path, loaded, size)
        check_overlap(loaded.pyramid.extent, yx, name=name, image=path.name)
        return TissueImage(loaded.pyramid, loaded.stated, "full")
    if (beside := _beside(outs, yx, size)) is not None:
        check_overlap(beside.pyramid.extent, yx, name=name, image="the full-resolution image")
        return beside
    if not reduced:
        raise InputError(
            f"{name} holds no tissue image",
            expected="spatial/tissue_hires_image.png with its scale factor, or a full-resolution "
            "image",
            fix="Copy it there, or name the full-resolution file with image=",
        )
    chosen = next((r for r in reduced if not _is_blank(r)), reduced[0])
    for other in reduced:
        if _is_blank(other):
            shown = "; the lowres image is shown" if other is not chosen else ""
            warnings.warn(f"{name}: the {other.kind} image is blank{shown}", UmpireWarning, 2)
        if other is chosen:
            break
    check_overlap(chosen.pyramid.extent, yx, name=name, image=f"the {chosen.kind} image")
    return chosen


def check_overlap(extent: tuple[float, float], yx: np.ndarray, *, name: str, image: str) -> None:
    """Refuse spots of which more than half lie outside the image; warn where some do.

    Parameters
    ----------
    extent
        (height, width) of the image in the px of ``yx``.
    yx
        (n_spots, 2) spot centres.
    """
    outside = int((~_inside(extent, yx)).sum())
    if outside > len(yx) / 2:
        (y0, x0), (y1, x1) = yx.min(axis=0), yx.max(axis=0)
        raise InputError(
            f"Image and spots of {name} do not overlap",
            got=f"spots at y {y0:.0f} to {y1:.0f}, x {x0:.0f} to {x1:.0f} px; {image} is "
            f"{extent[0]:.0f} px high and {extent[1]:.0f} px wide",
            expected="spots on the image",
            fix="Give the image that the spots were found on",
        )
    if outside:
        warnings.warn(f"{name}: {outside} spots lie outside of {image}", UmpireWarning, 3)


def _inside(extent: tuple[float, float], yx: np.ndarray) -> np.ndarray:
    return np.all((yx >= 0) & (yx < np.asarray(extent)), axis=1)


def _reduced(spatial: Path, factors: dict[str, float]) -> list[TissueImage]:
    out = []
    for kind in ("hires", "lowres"):
        factor = factors.get(f"tissue_{kind}_scalef")
        files = sorted(
            p
            for p in spatial.glob(f"*tissue_{kind}_image.*")
            if p.suffix.lower() in PICTURE_SUFFIXES
        )
        if factor is not None and files:
            loaded = load_image(files[0], downsample=1 / factor, grey=True)
            out.append(TissueImage(loaded.pyramid, {}, kind))
    return out


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


def _beside(
    outs: Path, yx: np.ndarray, size: tuple[float, float, float] | None
) -> TissueImage | None:
    """A full-resolution image in the folder or beside ``outs``, where its size fits the spots."""
    folders = [outs, outs.parent] if outs.name == "outs" else [outs]
    fitting: list[tuple[Path, SlideImage]] = []
    for folder in folders:
        for path in sorted(folder.iterdir()):
            suffix = path.suffix.lower()
            if suffix not in TIFF_SUFFIXES | PICTURE_SUFFIXES or not path.is_file():
                continue
            try:
                loaded = load_image(path)
            except InputError as error:
                warnings.warn(
                    f"{path.name} beside the spots is left out: {error}", UmpireWarning, 4
                )
                continue
            extent = loaded.pyramid.extent
            fits = _inside(extent, yx).all() if size is None else _fits(extent, size)
            if fits:
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
