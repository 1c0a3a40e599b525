"""SpatialData stores (zarr v2 and v3) of Visium and Visium-like slides."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.genes.checks import check_sparse
from napari_umpire.slides.elements import SPOT_COLUMN, quiet_libraries
from napari_umpire.slides.readers.store_faults import without_transform
from napari_umpire.slides.readers.store_parts import (
    choose_table,
    choose_view,
    circle_elements,
    spot_regions,
)
from napari_umpire.slides.readers.tissue_image import check_overlap
from napari_umpire.slides.records import SlideRecord
from napari_umpire.slides.scale import (
    VISIUM_NOMINAL_DIAMETER_UM,
    VISIUM_PITCH_UM,
    VISIUM_SPOT_UM,
    PhysicalScale,
    hex_pitch_px,
    is_hexagonal,
    nearest_pitch_px,
    resolve_scale,
)
from napari_umpire.slides.slide import Slide, tidy_spots
from napari_umpire.slides.source_stamp import SourceStamp
from napari_umpire.slides.store_image import store_pyramid

if TYPE_CHECKING:
    from pathlib import Path

    from spatialdata import SpatialData

    from napari_umpire.slides.scale import ScaleSource

__all__ = ["claims", "read"]

_ELEMENTS = ("images", "labels", "points", "shapes", "tables")


def claims(path: Path) -> bool:
    """Whether the path is a zarr group with the folders of SpatialData."""
    root = any((path / n).is_file() for n in ("zarr.json", ".zgroup"))
    if not root:
        return False
    # In stores of the first format the one table lies in a group of its name; the group "tables"
    # of a later store looks the same from outside.
    return any((path / e).is_dir() for e in _ELEMENTS) or (path / "table" / "table").is_dir()


def read(
    path: Path,
    *,
    mpp: float | None = None,
    image: str | Path | None = None,
    region: str | None = None,
    name: str | None = None,
) -> list[Slide]:
    """Open the slides of a store: every element of circles that a table annotates.

    Without such a table, every element of circles. Spots are brought into the pixels of the finest
    red-green-blue image that shares a coordinate system with them.

    Raises
    ------
    InputError
        Where the store cannot be read, or holds no spots or no H&E image for them.
    """
    sdata = _load(path)
    regions = spot_regions(sdata, path.name) if region is None else [region]
    if region is not None and region not in circle_elements(sdata):
        raise InputError(
            f"{path.name} has no spots named {region!r}",
            got=", ".join(circle_elements(sdata)) or "no element of circles",
            fix="Name one of these with region=",
        )
    slides, problems = [], []
    for each in regions:
        own_name = name if len(regions) == 1 else None
        try:
            slides.append(_read_region(sdata, path, each, mpp, image, own_name))
        except InputError as error:
            problems.append(error)
    if not slides:
        raise problems[0]
    for problem in problems:
        warnings.warn(f"A region of {path.name} is left out: {problem}", UmpireWarning, 2)
    return slides


def _load(path: Path) -> SpatialData:
    import spatialdata

    problems = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError)
    try:
        with quiet_libraries():
            sdata = spatialdata.read_zarr(path)
    except problems as error:
        element = without_transform(path)
        if element is not None:
            raise InputError(
                f"The {element} of {path.name} has no coordinate transformation",
                expected="one that says where it lies in relation to the others",
                fix="Set it with spatialdata.transformations.set_transformation, and write the "
                "store again",
            ) from error
        raise InputError(
            f"The store {path.name} cannot be read",
            got=error,
            expected="a complete SpatialData store",
            fix="Write or copy it again",
        ) from error
    for name, table in sdata.tables.items():
        for matrix in (table.X, table.layers.get("counts")):
            check_sparse(matrix, where=f"table {name!r} of {path.name}")
    return sdata


def _read_region(
    sdata: SpatialData,
    path: Path,
    region: str,
    mpp: float | None,
    image: str | Path | None,
    name: str | None,
) -> Slide:
    record = SlideRecord.find(sdata.attrs, region, path.name)
    name = name or (record.name if record is not None else region)
    circles = sdata.shapes[region]
    table = choose_table(sdata, region, record.table if record is not None else None)
    spots = _spots(sdata, region, table, name)
    wanted = str(image) if image is not None else (record.image if record is not None else None)
    view = choose_view(sdata, region, spots[["x", "y"]].to_numpy(), wanted, name)
    # The full-resolution frame is the finest image's own pixels, unless the record of the slide
    # says that this image is a reduced copy.
    downsample = record.downsample if record is not None and view.image == record.image else 1.0
    spots[["x", "y"]] = view.to_pixels(spots[["x", "y"]].to_numpy(), downsample)
    complete = record is not None and record.complete and view.image == record.image
    pyramid = store_pyramid(sdata, view.image, downsample, complete=complete)
    check_overlap(pyramid.extent, spots[["y", "x"]].to_numpy(), name=name, image=view.image)
    if record is not None:
        scale = record.scale(mpp)
        platform, pitch_um = record.platform, record.pitch_um
        spot_um = record.spot_diameter_um
    else:
        radius_px = float(np.median(circles["radius"])) * view.magnification * downsample
        scale, platform, pitch_um, spot_um = _geometry(spots, 2 * radius_px, mpp, name)
    tables = [] if table is None else [path / "tables" / table]
    return Slide(
        name=name,
        sdata=sdata,
        pyramid=pyramid,
        spots=spots,
        scale=scale,
        pitch_um=pitch_um,
        spot_diameter_um=spot_um,
        platform=platform,
        region=region,
        table=table,
        path=path,
        stamp=SourceStamp.of(path / "images" / view.image, path / "shapes" / region, *tables),
    )


def _spots(sdata: SpatialData, region: str, table: str | None, name: str) -> pd.DataFrame:
    """The spots in the element's own coordinates, joined with the table by its keys."""
    circles = sdata.shapes[region]
    spots = pd.DataFrame(
        {
            "y": circles.geometry.y.to_numpy(np.float64),
            "x": circles.geometry.x.to_numpy(np.float64),
            "instance_id": circles.index.to_numpy(),
        }
    )
    ids = circles.get(SPOT_COLUMN, circles.index)
    array = circles.reset_index(drop=True)
    if table is not None:
        obs, obs_names = _rows(sdata, region, table, name)
        here = np.flatnonzero(spots["instance_id"].isin(obs.index))
        if not len(here):
            raise InputError(
                f"Table {table!r} and spots {region!r} have no instance in common",
                got=f"{obs.index[0]} in the table, {spots['instance_id'].iloc[0]} in the shapes",
                expected="instance ids that are the index of the shapes",
            )
        if len(here) < len(spots) or len(here) < len(obs):
            warnings.warn(
                f"{name}: {len(spots) - len(here)} spots have no row in the table and "
                f"{len(obs) - len(here)} rows no spot; {len(here)} are kept",
                UmpireWarning,
                stacklevel=3,
            )
        spots = spots.iloc[here].reset_index(drop=True)
        array = obs.loc[spots["instance_id"]].reset_index(drop=True)
        named = obs_names.loc[spots["instance_id"]]
        ids = named if named.is_unique else spots["instance_id"]
    for column in ("array_row", "array_col"):
        if column in array:
            spots[column] = array[column].to_numpy(np.int64)
    spots.index = pd.Index(np.asarray(ids).astype(str))
    if "in_tissue" in array:
        spots = spots[array["in_tissue"].to_numpy(np.int64) == 1].copy()
    if spots.empty:
        raise InputError(f"{region!r} has no spot under tissue")
    return tidy_spots(spots)


def _rows(sdata: SpatialData, region: str, table: str, name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Rows of the region, indexed by instance, and their names."""
    adata = sdata.tables[table]
    keys = adata.uns["spatialdata_attrs"]
    obs = adata.obs[adata.obs[keys["region_key"]].astype(str) == region]
    if obs.empty:
        raise InputError(f"Table {table!r} has no row for {region!r}")
    instances = pd.Index(obs[keys["instance_key"]])
    if not instances.is_unique:
        raise InputError(
            f"Table {table!r} names the spot {instances[instances.duplicated()][0]} of {name} twice"
        )
    return obs.set_index(instances), pd.Series(obs.index.astype(str), index=instances)


def _geometry(
    spots: pd.DataFrame, diameter_px: float, user: float | None, name: str
) -> tuple[PhysicalScale, Literal["visium", "image"], float, float]:
    """Scale, platform, pitch and spot diameter (um) of spots without a record."""
    yx = spots[["y", "x"]].to_numpy()
    has_array = {"array_row", "array_col"} <= set(spots.columns)
    if has_array and ((spots["array_row"] + spots["array_col"]) % 2 == 0).all():
        pitch_px = hex_pitch_px(spots)
    else:
        pitch_px = nearest_pitch_px(yx) if not has_array and is_hexagonal(yx) else None
    if pitch_px is not None:
        # Circles are drawn at the nominal 65 um of Space Ranger or at the printed 55 um.
        share = diameter_px / pitch_px * VISIUM_PITCH_UM
        drawn = min((VISIUM_NOMINAL_DIAMETER_UM, VISIUM_SPOT_UM), key=lambda um: abs(um - share))
        candidates: dict[ScaleSource, float] = {
            "spot pitch": VISIUM_PITCH_UM / pitch_px,
            "spot diameter": drawn / diameter_px,
        }
        scale = resolve_scale(candidates, user, name=name)
        return scale, "visium", VISIUM_PITCH_UM, VISIUM_SPOT_UM
    scale = resolve_scale({}, user, name=name)
    nearest = nearest_pitch_px(yx)
    pitch_um = math.nan if nearest is None or scale.mpp is None else nearest * scale.mpp
    spot_um = math.nan if scale.mpp is None else diameter_px * scale.mpp
    return scale, "image", pitch_um, spot_um
