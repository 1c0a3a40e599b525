"""The scale and the geometry of a store's spots: measured, and compared with what is recorded."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.readers.store_view import view_of
from napari_umpire.slides.records import SlideRecord, circles_digest, image_digest
from napari_umpire.slides.scale import (
    TOLERANCE,
    VISIUM_NOMINAL_DIAMETER_UM,
    VISIUM_PITCH_UM,
    VISIUM_SPOT_UM,
    PhysicalScale,
    hex_pitch_px,
    is_hexagonal,
    nearest_pitch_px,
    resolve_scale,
    square_pitch_px,
)
from napari_umpire.slides.store_image import is_rgb, stored_levels

if TYPE_CHECKING:
    import pandas as pd
    from spatialdata import SpatialData

    from napari_umpire.slides.scale import ScaleSource

__all__ = ["Geometry", "measure", "record_that_holds"]


_FEWEST = 20
"""Spots that show whether an array is stretched."""


@dataclass(frozen=True)
class Geometry:
    """What a slide says of its spots, um, and of its scale."""

    scale: PhysicalScale
    platform: Literal["visium", "st", "image"]
    pitch_um: float
    spot_diameter_um: float


def record_that_holds(sdata: SpatialData, region: str, store: str) -> SlideRecord | None:
    """Our record of a region, where image and circles are still what it was written about.

    Otherwise it is dropped with a warning that says what has changed.
    """
    record = SlideRecord.find(sdata.attrs, region, store)
    if record is None:
        return None
    changed = _changed(sdata, region, record)
    if changed is None:
        return record
    warnings.warn(
        f"{store}: the scale and geometry recorded for {region!r} are ignored, because {changed} "
        "since; both are measured again",
        UmpireWarning,
        stacklevel=2,
    )
    return None


def _changed(sdata: SpatialData, region: str, record: SlideRecord) -> str | None:
    """What is no longer as it was recorded, in words."""
    image = record.image
    if image not in sdata.images or not is_rgb(sdata.images[image]):
        return f"the image {image!r} has been removed"
    if record.circles_digest not in (None, circles_digest(sdata.shapes[region])):
        return "the spots have been changed"
    if record.image_digest is not None and sdata.path is not None:
        levels = stored_levels(sdata.path, image)
        if not levels or image_digest(levels) != record.image_digest:
            return f"the image {image!r} has been changed"
    # We write circles in full-resolution px, and the image by its downsample.
    view = view_of(sdata, region, image)
    placed = np.diag([1 / record.downsample, 1 / record.downsample, 1.0])
    if view is None or not np.allclose(view.matrix, placed, rtol=1e-6, atol=1e-6):
        return "image or spots have been moved"
    return None


def measure(
    array: pd.DataFrame,
    diameter_px: float,
    record: SlideRecord | None,
    user: float | None,
    name: str,
) -> Geometry:
    """The geometry by the spots themselves, beside what is recorded.

    Parameters
    ----------
    array
        Spots with y, x in full-resolution px, and array_row, array_col where they are known.
    diameter_px
        Of the circles, full-resolution px; NaN where it is not known.
    record
        One that holds.
    user
        Um per px by the user's word.
    """
    if record is not None:
        scale = _recorded_scale(array, diameter_px, record, user, name)
        # Gridded spots stay at their pixels: at another scale they lie further apart.
        longer = 1.0
        if record.platform == "image" and scale.mpp is not None and record.mpp is not None:
            longer = scale.mpp / record.mpp
        return Geometry(
            scale, record.platform, record.pitch_um * longer, record.spot_diameter_um * longer
        )
    pitch_px = _visium_pitch_px(array)
    if pitch_px is not None:
        candidates: dict[ScaleSource, float] = {"spot pitch": VISIUM_PITCH_UM / pitch_px}
        if diameter_px > 0:
            # Circles are drawn at the nominal 65 um of Space Ranger or at the printed 55 um.
            share = diameter_px / pitch_px * VISIUM_PITCH_UM
            drawn = min(
                (VISIUM_NOMINAL_DIAMETER_UM, VISIUM_SPOT_UM), key=lambda um: abs(um - share)
            )
            candidates["spot diameter"] = drawn / diameter_px
        scale = resolve_scale(candidates, user, name=name)
        return Geometry(scale, "visium", VISIUM_PITCH_UM, VISIUM_SPOT_UM)
    scale = resolve_scale({}, user, name=name)
    nearest = nearest_pitch_px(array[["y", "x"]].to_numpy())
    pitch_um = math.nan if nearest is None or scale.mpp is None else nearest * scale.mpp
    spot_um = diameter_px * scale.mpp if scale.mpp is not None and diameter_px > 0 else math.nan
    return Geometry(scale, "image", pitch_um, spot_um)


def _recorded_scale(
    array: pd.DataFrame,
    diameter_px: float,
    record: SlideRecord,
    user: float | None,
    name: str,
) -> PhysicalScale:
    """The recorded statements under their names, unless the spots measure otherwise.

    A record that does not say what it is about is one statement among others: "record".
    """
    measured: dict[ScaleSource, float] = {}
    pitch_px = _pitch_px(array, record.platform)
    if pitch_px is not None and math.isfinite(record.pitch_um):
        measured["spot pitch"] = record.pitch_um / pitch_px
    stated = dict(record.mpp_candidates) if record.is_bound else {}
    if record.mpp is not None and record.mpp_source is not None:
        known = stated.get(record.mpp_source)
        if known is None or _apart(known, record.mpp):
            stated["record"] = record.mpp
        if diameter_px > 0 and math.isfinite(record.spot_diameter_um):
            drawn = record.spot_diameter_um / diameter_px
            if _apart(drawn, record.mpp):
                stated["spot diameter"] = drawn
    for source, value in measured.items():
        said = stated.get(source)
        if said is None or _apart(said, value):
            if said is not None:
                stated["record"] = said
            stated[source] = value
    if user is not None:
        stated.pop("user", None)
    return resolve_scale(stated, user, name=name)


def _apart(a: float, b: float) -> bool:
    return max(a, b) > min(a, b) * (1 + TOLERANCE)


def _pitch_px(array: pd.DataFrame, platform: str) -> float | None:
    """Distance of the spots of a printed array; None for gridded spots, which tell no scale."""
    if platform == "visium":
        return _visium_pitch_px(array)
    if platform == "st" and {"array_row", "array_col"} <= set(array):
        return square_pitch_px(array)
    return None


def _visium_pitch_px(array: pd.DataFrame) -> float | None:
    """Distance of spots that lie on a hexagonal array by their columns, or by their places."""
    yx = array[["y", "x"]].to_numpy()
    _check_spread(yx)
    if {"array_row", "array_col"} <= set(array):
        if ((array["array_row"] + array["array_col"]) % 2 != 0).any():
            return None
        _check_square(array)
        pitch = hex_pitch_px(array)
        if pitch:
            return pitch
    return nearest_pitch_px(yx) if is_hexagonal(yx) else None


def _check_square(array: pd.DataFrame) -> None:
    """Refuse pixels that are not square: rows and columns of the array are equally far apart."""
    rc = array[["array_row", "array_col"]].to_numpy(np.float64)
    yx = array[["y", "x"]].to_numpy(np.float64)
    affine, _, rank, _ = np.linalg.lstsq(np.column_stack([rc, np.ones(len(rc))]), yx, rcond=None)
    if rank < 3 or len(rc) < _FEWEST:
        return
    # A row is sqrt(3) / 2 of the pitch, a column half of it; how they are turned is free.
    long, short = np.linalg.svd(affine[:2] / [[math.sqrt(3) / 2], [0.5]], compute_uv=False)
    if long > short * (1 + TOLERANCE):
        raise InputError(
            "The pixels under the spots are not square",
            got=f"spots {long:,.1f} px apart one way, {short:,.1f} px the other",
            expected="one distance, as on the printed array",
            fix="Correct the transformations of image and spots in the store, or the columns "
            "array_row and array_col",
        )


def _check_spread(yx: np.ndarray) -> None:
    if len(yx) > 1 and not np.ptp(yx, axis=0).any():
        raise InputError(
            "All spots lie at one place",
            got=f"{len(yx):,} spots at y {yx[0, 0]:g}, x {yx[0, 1]:g} px",
            expected="a place of its own for each spot",
            fix="Correct the shapes or their transformation in the store",
        )
