"""The elements of a slide's `SpatialData`, made from our own parts.

All of them share the coordinate system "global", which is the grid of full-resolution pixels; axes
are x, y in shapes and c, y, x in images.
"""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.files import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from spatialdata import SpatialData
    from xarray import DataTree

    from napari_umpire.slides.pyramid import Pyramid

__all__ = [
    "GLOBAL",
    "INSTANCE_KEY",
    "REGION_KEY",
    "SPOT_COLUMN",
    "annotate",
    "assemble",
    "element_name",
    "image_element",
    "quiet_libraries",
    "spot_circles",
]

GLOBAL = "global"
REGION_KEY, INSTANCE_KEY = "region", "spot_id"
SPOT_COLUMN = "spot"
"""Column of a shapes element that holds the spot ids of a slide without a table."""


def element_name(text: str) -> str:
    """Return ``text`` as a legal SpatialData name: letters, digits, ``_``, ``-``, ``.``.

    It begins with a letter, a digit or ``-``: a leading dot would hide the element. One that is too
    long for a folder, with a number behind it, is cut.
    """
    return shortened(re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip("_.") or "slide", 240)


def image_element(pyramid: Pyramid, chunk: int = 512) -> DataTree:
    """Return the pyramid as a lazy multi-scale image (c, y, x) in chunks of ``chunk`` px."""
    from spatialdata.transformations import Identity, Scale, set_transformation
    from xarray import DataArray, Dataset, DataTree

    first = pyramid.levels[0]
    height, width = first.shape
    nodes = {}
    for i, level in enumerate(pyramid.levels):
        pixels = level.as_dask().transpose(2, 0, 1).rechunk((3, chunk, chunk))
        h, w = level.shape
        coords = {
            "c": ["r", "g", "b"],
            "y": (np.arange(h) + 0.5) * height / h,
            "x": (np.arange(w) + 0.5) * width / w,
        }
        nodes[f"scale{i}"] = Dataset({"image": DataArray(pixels, coords, ("c", "y", "x"))})
    tree = DataTree.from_dict(nodes)
    d = first.downsample
    placed = Identity() if d == 1 else Scale([d, d], axes=("y", "x"))
    set_transformation(tree, {GLOBAL: placed}, set_all=True)
    return tree


def spot_circles(spots: pd.DataFrame, radius_px: float) -> pd.DataFrame:
    """Return the spots as a GeoDataFrame of circles, indexed by ``instance_id``.

    Parameters
    ----------
    spots
        As `Slide.spots`.
    radius_px
        Radius, full-resolution px.
    """
    from spatialdata.models import ShapesModel

    circles = ShapesModel.parse(
        spots[["x", "y"]].to_numpy(np.float64),
        geometry=0,
        radius=radius_px,
        index=pd.Index(spots["instance_id"].to_numpy()),
    )
    circles[SPOT_COLUMN] = spots.index.to_numpy()
    for column in ("array_row", "array_col"):
        if column in spots:
            circles[column] = spots[column].to_numpy()
    return circles


def annotate(adata: AnnData, spots: pd.DataFrame, region: str) -> AnnData:
    """Return a copy of ``adata`` (rows as ``spots``) as a table that annotates ``region``."""
    from spatialdata.models import TableModel

    table = adata.copy()
    table.uns.pop("spatialdata_attrs", None)
    table.obs_names = spots.index.astype(str)
    table.obs[REGION_KEY] = pd.Categorical([region] * len(spots))
    table.obs[INSTANCE_KEY] = spots["instance_id"].to_numpy()
    for column in ("array_row", "array_col"):
        if column in spots:
            table.obs[column] = spots[column].to_numpy()
    table.obsm["spatial"] = spots[["x", "y"]].to_numpy(np.float64)
    return TableModel.parse(table, region=region, region_key=REGION_KEY, instance_key=INSTANCE_KEY)


def assemble(
    pyramid: Pyramid,
    spots: pd.DataFrame,
    *,
    region: str,
    image: str,
    radius_px: float,
    adata: AnnData | None = None,
) -> SpatialData:
    """Return image, circles and, where ``adata`` is given, the table "table"."""
    from spatialdata import SpatialData

    with quiet_libraries():
        shapes = {region: spot_circles(spots, radius_px)} if len(spots) else {}
        tables = {} if adata is None else {"table": annotate(adata, spots, region)}
        return SpatialData(images={image: image_element(pyramid)}, shapes=shapes, tables=tables)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide warnings of the data libraries that a user can neither cause nor mend."""
    with warnings.catch_warnings():
        for package in ("anndata", "dask", "ome_zarr", "scanpy", "spatialdata", "xarray", "zarr"):
            warnings.filterwarnings("ignore", module=rf"{package}(\.|$)")
        # These two name their caller's caller, not themselves.
        for message in ("zarr v3 autosharding", "SpatialData is not stored in the most current"):
            warnings.filterwarnings("ignore", message=message)
        yield
