"""SpatialData stores (zarr v2 and v3) of Visium and Visium-like slides."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.genes.checks import check_sparse
from napari_umpire.slides.elements import quiet_libraries
from napari_umpire.slides.place import check_on_tissue, check_overlap
from napari_umpire.slides.readers.several import read_each
from napari_umpire.slides.readers.store_faults import without_transform
from napari_umpire.slides.readers.store_parts import choose_table, circle_elements, spot_regions
from napari_umpire.slides.readers.store_scale import measure, record_that_holds
from napari_umpire.slides.readers.store_spots import read_spots
from napari_umpire.slides.readers.store_view import choose_view
from napari_umpire.slides.slide import Slide, tidy_spots
from napari_umpire.slides.source_stamp import SourceStamp
from napari_umpire.slides.store_image import store_pyramid
from napari_umpire.slides.store_listing import mend_store

if TYPE_CHECKING:
    from pathlib import Path

    from spatialdata import SpatialData

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
    mend_store(path)
    sdata = _load(path)
    regions = spot_regions(sdata, path.name) if region is None else [region]
    if region is not None and region not in circle_elements(sdata):
        raise InputError(
            f"{path.name} has no spots named {region!r}",
            got=", ".join(circle_elements(sdata)) or "no element of circles",
            fix="Name one of these with region=",
        )
    own_name = name if len(regions) == 1 else None
    return read_each(
        regions,
        lambda each: _read_region(sdata, path, each, mpp, image, own_name),
        f"A region of {path.name}",
    )


def _load(path: Path) -> SpatialData:
    import spatialdata

    _check_files(path)
    try:
        with (
            reading(
                f"The store {path.name} cannot be read",
                expected="a complete SpatialData store",
                fix="Write or copy it again",
            ),
            quiet_libraries(),
        ):
            sdata = spatialdata.read_zarr(path)
    except InputError as error:
        element = without_transform(path)
        if element is None:
            raise
        raise InputError(
            f"The {element} of {path.name} has no coordinate transformation",
            expected="one that says where it lies in relation to the others",
            fix="Set it with spatialdata.transformations.set_transformation, and write the "
            "store again",
        ) from error.__cause__
    for name, table in sdata.tables.items():
        _check_counts_whole(path, name)
        for matrix in (table.X, table.layers.get("counts")):
            check_sparse(matrix, where=f"table {name!r} of {path.name}")
    return sdata


def _check_counts_whole(store: Path, table: str) -> None:
    """Refuse sparse counts of which pieces are lost: zarr reads a missing piece as 0.

    Other than an image, which may be black, a sparse matrix has no piece of zeros alone.
    """
    import zarr

    place = store / "tables" / table / "X" / "data"
    if not place.is_dir():
        return
    with reading(f"Table {table!r} of {store.name} cannot be read", fix="Copy the store again"):
        counts = zarr.open_array(place, mode="r")
        there, wanted = counts.nchunks_initialized, counts.nchunks
    if there < wanted:
        raise InputError(
            f"Table {table!r} of {store.name} is not whole",
            got=f"{there:,} of {wanted:,} pieces of its counts",
            expected="every piece, since a missing one would be read as 0",
            fix="Copy the store again",
        )


def _check_files(store: Path) -> None:
    """Refuse pipes and devices, which a library would wait for without end."""
    with reading(f"The store {store.name} cannot be read", fix="Check the rights to its folders"):
        waiting = [os.fspath(store)]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif not entry.is_file(follow_symlinks=False) and _is_special(entry):
                        raise InputError(
                            f"The store {store.name} contains something that is neither a file "
                            "nor a folder",
                            got=os.path.relpath(entry.path, store),
                            expected="files and folders",
                            fix="Copy the store again",
                        )


def _is_special(entry: os.DirEntry[str]) -> bool:
    try:
        mode = entry.stat().st_mode
    except OSError:  # a link to nowhere, or to itself: what reads it says so
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _read_region(
    sdata: SpatialData,
    path: Path,
    region: str,
    mpp: float | None,
    image: str | Path | None,
    name: str | None,
) -> Slide:
    record = record_that_holds(sdata, region, path.name)
    name = name or (record.name if record is not None else region)
    table = choose_table(sdata, region, record.table if record is not None else None)
    spots, array = read_spots(sdata, region, table, name)
    wanted = str(image) if image is not None else (record.image if record is not None else None)
    view = choose_view(sdata, region, spots[["x", "y"]].to_numpy(), wanted, name)
    if record is not None and view.image != record.image:
        record = None  # what is recorded is about another image
    # The full-resolution frame is the finest image's own pixels, unless the record of the slide
    # says that this image is a reduced copy.
    downsample = record.downsample if record is not None else 1.0
    for part in (spots, array):
        part[["x", "y"]] = view.to_pixels(part[["x", "y"]].to_numpy(), downsample)
    pyramid = store_pyramid(sdata, view.image, downsample)
    check_overlap(pyramid.extent, spots[["y", "x"]].to_numpy(), name=name, image=view.image)
    radius = sdata.shapes[region]["radius"].to_numpy(np.float64)
    radius = radius[np.isfinite(radius) & (radius > 0)]
    diameter_px = np.nan
    if len(radius):
        diameter_px = 2 * float(np.median(radius)) * view.magnification * downsample
    geometry = measure(array, diameter_px, record, mpp, name)
    check_on_tissue(pyramid, spots[["y", "x"]].to_numpy(), geometry.scale.mpp, name=name)
    tables = [] if table is None else [path / "tables" / table]
    return Slide(
        name=name,
        sdata=sdata,
        pyramid=pyramid,
        spots=tidy_spots(spots),
        scale=geometry.scale,
        pitch_um=geometry.pitch_um,
        spot_diameter_um=geometry.spot_diameter_um,
        platform=geometry.platform,
        region=region,
        table=table,
        path=path,
        stamp=SourceStamp.of(path / "images" / view.image, path / "shapes" / region, *tables),
    )
