"""Which column of a coordinate file is the image's height, and how large its pixels are.

The files name the columns yaxis and xaxis. That is believed only as far as the image agrees: spots
lie on it, and on its tissue.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning

if TYPE_CHECKING:
    import pandas as pd

    from napari_umpire.slides.pyramid import Pyramid
    from napari_umpire.slides.scale import PhysicalScale, ScaleSource

__all__ = ["check_axes", "scale_of"]

# pitch and diameter of the spots, um
_ARRAYS = {"ST": (200.0, 100.0), "Visium": (100.0, 55.0)}
_FIT = 0.99
_CLEARLY = 0.05


def check_axes(pyramid: Pyramid, coords: pd.DataFrame, *, name: str) -> np.ndarray:
    """Centres (n, 2) y, x in px, once it is clear which column is y.

    As written where only that lies on the image; swapped, with a warning, where only that does;
    where both do (a square image), the order that puts clearly more spots on tissue, else as
    written.

    Raises
    ------
    InputError
        Where the spots lie on the image in neither order.
    """
    written = coords[["yaxis", "xaxis"]].to_numpy(np.float64)
    swapped = written[:, ::-1]
    fits = _inside(pyramid, written), _inside(pyramid, swapped)
    height, width = pyramid.extent
    if max(fits) < _FIT:
        raise InputError(
            f"The image and the spots of slide {name} disagree",
            got=f"{fits[0]:.0%} of the spots on an image of {height:.0f} x {width:.0f} px "
            f"(y to {written[:, 0].max():.0f}, x to {written[:, 1].max():.0f})",
            expected="all spots on the image",
            fix="Download both files again; leave the slide out if they still disagree",
        )
    if min(fits) < _FIT:
        if fits[0] >= _FIT:
            return written
        _say_swapped(name, "lie on the image only that way")
        return swapped
    tissue = _on_tissue(pyramid, written), _on_tissue(pyramid, swapped)
    if tissue[1] > tissue[0] + _CLEARLY:
        _say_swapped(name, f"{tissue[1]:.0%} lie on tissue that way, {tissue[0]:.0%} as written")
        return swapped
    return written


def scale_of(
    yx: np.ndarray, radius_px: np.ndarray, technology: str, *, name: str
) -> tuple[PhysicalScale, float, float]:
    """Scale, pitch (um) and spot diameter (um) of the array of ``technology``."""
    from napari_umpire.slides.scale import nearest_pitch_px, resolve_scale

    pitch_px = nearest_pitch_px(yx)
    if technology not in _ARRAYS or pitch_px is None:
        raise InputError(
            f"The physical scale of slide {name} is not known",
            got=f"technology {technology or 'unknown'}, {len(yx)} spots",
            expected=f"an array of known pitch: {', '.join(_ARRAYS)}",
            fix="Name the slide with --counts",
        )
    pitch_um, spot_um = _ARRAYS[technology]
    candidates: dict[ScaleSource, float] = {"spot pitch": pitch_um / pitch_px}
    diameter = 2 * float(np.median(radius_px))
    if technology == "ST" and diameter > 0:
        # Of Visium the radius is drawn now at 55 um, now at 65 um: no second opinion.
        candidates["spot diameter"] = spot_um / diameter
    scale: PhysicalScale = resolve_scale(candidates, name=name)
    return scale, pitch_um, spot_um


def _inside(pyramid: Pyramid, yx: np.ndarray) -> float:
    return float(np.mean((yx >= 0).all(axis=1) & (yx < np.array(pyramid.extent)).all(axis=1)))


def _on_tissue(pyramid: Pyramid, yx: np.ndarray) -> float:
    """Share of the spots where the coarsest level is darker than glass."""
    level = pyramid.levels[-1]
    height, width = level.shape[:2]
    picture = np.asarray(level.as_dask())[..., :3].astype(np.float64).mean(axis=2)
    at = (yx / level.downsample).astype(np.int64)
    there = picture[np.clip(at[:, 0], 0, height - 1), np.clip(at[:, 1], 0, width - 1)]
    low, high = np.percentile(picture, [2, 98])
    return float(np.mean(there < (low + high) / 2))


def _say_swapped(name: str, why: str) -> None:
    warnings.warn(
        f"{name}: yaxis and xaxis of the coordinates are swapped; spots {why}",
        UmpireWarning,
        stacklevel=3,
    )
