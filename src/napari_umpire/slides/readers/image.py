"""Plain images and whole-slide files: nothing was measured, so spots are laid over the tissue."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.build import build_slide
from napari_umpire.slides.images import IMAGE_SUFFIXES, load_image
from napari_umpire.slides.scale import VISIUM_PITCH_UM, VISIUM_SPOT_UM, resolve_scale
from napari_umpire.slides.slide import tidy_spots

if TYPE_CHECKING:
    from pathlib import Path

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
    """Open an image file as one slide.

    Spots lie on a hexagonal grid of 100 um over the tissue. Where neither the file nor the user
    tells the scale there are none: the slide can be looked at, and asks for its mpp when used.

    Raises
    ------
    InputError
        Where the file cannot be read, is no colour image, or ``image`` / ``region`` are given.
    """
    if image is not None or region is not None:
        raise InputError(
            f"{path.name} is an image itself",
            got="image= or region= beside it",
            fix="Leave those out",
        )
    name = name or path.name.removesuffix(path.suffix).removesuffix(".ome")
    loaded = load_image(path)
    scale = resolve_scale(loaded.stated, mpp, name=name)
    spots = pd.DataFrame({"y": np.empty(0), "x": np.empty(0), "instance_id": np.empty(0, np.int64)})
    if scale.mpp is not None:
        from napari_umpire.slides.tissue import grid_spots, tissue_of

        mask = tissue_of(loaded.pyramid, scale.mpp)
        spots = grid_spots(loaded.pyramid, mask, scale.mpp, pitch_um=GRID_PITCH_UM, kind="hex")
        spots = tidy_spots(spots)
        if spots.empty:
            warnings.warn(f"{name}: no tissue was found, so it has no spots", UmpireWarning, 2)
    return [
        build_slide(
            name,
            loaded.pyramid,
            spots,
            scale,
            platform="image",
            pitch_um=GRID_PITCH_UM,
            spot_diameter_um=GRID_SPOT_UM,
            path=path,
        )
    ]
