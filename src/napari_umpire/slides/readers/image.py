"""Plain images and whole-slide files: nothing was measured, so spots are laid over the tissue."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.build import build_slide
from napari_umpire.slides.elements import element_name
from napari_umpire.slides.images import IMAGE_SUFFIXES, load_images
from napari_umpire.slides.scale import VISIUM_PITCH_UM, VISIUM_SPOT_UM, resolve_scale
from napari_umpire.slides.slide import tidy_spots

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.slides.images import SlideImage
    from napari_umpire.slides.slide import Slide

__all__ = ["claims", "read"]

# The grid is that of Visium, which the models were trained on.
GRID_PITCH_UM, GRID_SPOT_UM = VISIUM_PITCH_UM, VISIUM_SPOT_UM


def claims(path: Path) -> bool:
    """Whether the path is a file with the ending of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def read(
    path: Path,
    *,
    mpp: float | None = None,
    image: str | Path | None = None,
    region: str | None = None,
    name: str | None = None,
) -> list[Slide]:
    """Open an image file: a slide, or several where it holds several images.

    Spots lie on a hexagonal grid of 100 um over the tissue. Where neither the file nor the user
    tells the scale there are none: the slide can be looked at, and asks for its mpp when used.

    Parameters
    ----------
    image
        Of a file that holds several: the name of one, or its number from 1.
    region
        The same by the name of its spots, `Slide.region`.

    Raises
    ------
    InputError
        Where the file cannot be read, is no colour image, or holds no such image.
    """
    stem = path.name.removesuffix(path.suffix).removesuffix(".ome")
    loaded = load_images(path)
    named = {_slide_name(stem, one): one for one in loaded}
    if image is not None or region is not None:
        if len(loaded) == 1:
            raise InputError(
                f"{path.name} is an image itself",
                got="image= or region= beside it",
                fix="Leave those out",
            )
        named = _chosen(path, named, image, region)
    return [
        _slide(path, called if name is None or len(named) > 1 else name, called, one, mpp)
        for called, one in named.items()
    ]


def _slide_name(stem: str, loaded: SlideImage) -> str:
    return stem if loaded.scene is None else f"{stem} {loaded.scene}"


def _chosen(
    path: Path, named: dict[str, SlideImage], image: str | Path | None, region: str | None
) -> dict[str, SlideImage]:
    """The images that are meant, of several."""
    chosen = {}
    names = [one.scene for one in named.values()]
    wanted = None if image is None else str(image).strip()
    for number, (called, one) in enumerate(named.items(), 1):
        by_number = wanted == str(number) and wanted not in names
        if wanted is not None and wanted != one.scene and not by_number:
            continue
        if region is None or region == element_name(called):
            chosen[called] = one
    if chosen:
        return chosen
    raise InputError(
        f"{path.name} holds no image of this name",
        got=region if wanted is None else wanted,
        expected="one of " + ", ".join(f"{n} ({name})" for n, name in enumerate(names, 1)),
        fix="Name it by its name or its number with image=",
    )


def _slide(path: Path, name: str, called: str, loaded: SlideImage, mpp: float | None) -> Slide:
    """One image as a slide; ``called`` is what its region is named after among several."""
    scale = resolve_scale(loaded.stated, mpp, name=name)
    spots = pd.DataFrame({"y": np.empty(0), "x": np.empty(0), "instance_id": np.empty(0, np.int64)})
    if scale.mpp is not None:
        from napari_umpire.slides.tissue import grid_spots, tissue_of

        mask = tissue_of(loaded.pyramid, scale.mpp)
        spots = grid_spots(loaded.pyramid, mask, scale.mpp, pitch_um=GRID_PITCH_UM, kind="hex")
        spots = tidy_spots(spots)
        if spots.empty:
            warnings.warn(f"{name}: no tissue was found, so it has no spots", UmpireWarning, 2)
    return build_slide(
        name,
        loaded.pyramid,
        spots,
        scale,
        platform="image",
        pitch_um=GRID_PITCH_UM,
        spot_diameter_um=GRID_SPOT_UM,
        path=path,
        scene=None if loaded.scene is None else called,
    )
